//! Networks against golden vectors: every `*.json` of the folder named by `HEBBIAN_GOLDEN_DIR`, by default of the three
//! folders of fixtures. A file that cannot be run is a failure. Vectors of differentiable rules have gradients as well; those of the
//! families of the literature have bounds of their own.

use std::path::{Path, PathBuf};

use hebbian_learning::rule::multi_state::Real;
use hebbian_learning::rule::number::Number;
use hebbian_tests::golden::{Coverage, Tolerance, run};
use hebbian_tests::golden_families;
use hebbian_tests::golden_gradients::{self, Tolerances};

/// The folder's vectors in order of their names; an error if there is none.
fn vectors(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: holds no *.json", folder.display()));
    }
    Ok(files)
}

fn folders() -> Vec<PathBuf> {
    match std::env::var_os("HEBBIAN_GOLDEN_DIR") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => ["golden", "golden-gradients", "golden-families"].map(fixtures).to_vec(),
    }
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Runs a vector of any format.
fn run_any<T: Real + Number>(text: &str, coverage: Coverage, tolerance: Tolerance) -> Result<(), String> {
    if let Some(outcome) = golden_families::run::<T>(text) {
        return outcome;
    }
    if !text.contains(golden_gradients::FORMAT) {
        return run::<T>(text, coverage, tolerance);
    }
    golden_gradients::run::<T>(
        text,
        match tolerance {
            Tolerance::Absolute(bound) => Tolerances { values: bound, gradients: bound },
            Tolerance::Relative(bound) => Tolerances { values: bound, gradients: 2.0 * bound },
        },
    )
}

/// Runs all vectors and reports all that fail.
fn check(run: impl Fn(&str) -> Result<(), String>) {
    let of_folder = |folder: &PathBuf| vectors(folder).unwrap_or_else(|problem| panic!("{problem}"));
    let files: Vec<PathBuf> = folders().iter().flat_map(of_folder).collect();
    let mut problems = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        if let Err(problem) = text.and_then(|text| run(&text)) {
            problems.push(format!("{}: {problem}", file.display()));
        }
    }
    assert!(problems.is_empty(), "{} of {} fail:\n{}", problems.len(), files.len(), problems.join("\n"));
    println!("{} vectors", files.len());
}

#[test]
fn f64_with_everything_computed() {
    check(|text| run_any::<f64>(text, Coverage::Full, Tolerance::Absolute(1e-10)));
}

#[test]
fn f64_with_only_what_is_read() {
    check(|text| run_any::<f64>(text, Coverage::Lean, Tolerance::Absolute(1e-10)));
}

#[test]
fn f32_with_everything_computed() {
    check(|text| run_any::<f32>(text, Coverage::Full, Tolerance::Relative(1e-5)));
}

#[test]
fn f32_with_only_what_is_read() {
    check(|text| run_any::<f32>(text, Coverage::Lean, Tolerance::Relative(1e-5)));
}

/// The first default vector with one piece of text replaced.
fn altered(from: &str, to: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/a1_default_k2.json");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn what_cannot_be_run_is_refused_with_the_reason() {
    for (from, to, reason) in [
        ("\"relu_tanh\"", "\"softplus\"", "spec.forward_activation"),
        ("\"additive\"", "\"quadratic\"", "spec.backward_update"),
        ("\"concat_groundtruth\"", "\"hints\"", "spec.feedback"),
        ("\"oja\":null", "\"oja\":{\"use_ojas_rule\":false}", "spec.oja"),
        ("\"synapse_normalization\":null", "\"synapse_normalization\":{}", "spec.synapse_normalization"),
        ("\"saturation_type\":null", "\"saturation_type\":\"exp_update\"", "spec.saturation_eps"),
        ("\"supervised_every\":null", "\"supervised_every\":0", "rule.supervised_every"),
        ("\"per_layer_genome\":false", "\"per_layer_genome\":true", "another shape"),
        ("\"supervised_every\"", "\"supervised_often\"", "spec.supervised_often"),
        (
            "\"needs_full_synapse_matrix\":false",
            "\"needs_full_synapse_matrix\":true",
            "full_synapses is missing",
        ),
        ("\"neuron/keep\"", "\"neuron/keeps\"", "genome.neuron/keeps"),
        ("\"batch_size\":", "\"batch_size\":1", "another shape"),
        ("\"format\":\"blur-golden-1\"", "\"format\":\"blur-golden-2\"", "format"),
    ] {
        let problem = run::<f64>(&altered(from, to), Coverage::Full, Tolerance::Absolute(1e-10)).unwrap_err();
        assert!(problem.contains(reason), "{to}: {problem}");
    }
}

#[test]
fn an_empty_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(vectors(folder.path()).unwrap_err().contains("no *.json"));
}
