//! `hebbian genome`

use std::fs;

use crate::support::{Place, errors};

/// From the start on by gradients, and from what they find by evolution.
#[test]
fn a_run_starts_from_the_genome_of_a_file_and_goes_on_by_another_strategy() {
    let place = Place::new();
    fs::create_dir(place.path("below")).unwrap();
    let genome = [
        "genome",
        "backprop",
        "--pairs",
        "1",
        "--hidden",
        "6",
        "--tasks",
        "circle",
        "--out",
        "below/bp.json",
    ];
    place.ok(&genome);
    let spec = |strategy: &str, genome: &str| {
        format!(
            "name = \"from-file\"\nstrategy = {{ {strategy} }}\n\
             [start]\ngenome = \"{genome}\"\n[network]\nhidden = [6]\n\
             [tasks]\nfamilies = [\"circle\"]\nper_generation = 2\n[stop]\ngenerations = 3\n\
             [evaluation]\nobjective = \"logistic\"\n\
             [rule]\nstates = 2\ngates = \"per-state\"\ngenome = \"per-layer\"\nforward_activation = [\"tanh\", \"d_tanh\"]\n\
             backward_activation = \"identity\"\nlast_layer_activation = \"identity\"\nbackward_update = \"gated\"\n\
             feedback = \"softmax-difference\"\nsymmetric_synapses = true\nreadout = true\n\
             initial_scale = {{ tied_draws = [0, 0] }}\n"
        )
    };
    let values = |path: &str| -> Vec<f64> {
        let file: serde_json::Value = serde_json::from_slice(&fs::read(place.path(path)).unwrap()).unwrap();
        file["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    // Beside the spec, wherever the program is started.
    place.write("below/spec.toml", &spec("kind = \"gradient\", learning_rate = 0.01", "bp.json"));
    place.ok(&["run", "below/spec.toml", "--out", "by-gradients"]);
    let written = fs::read_to_string(place.path("by-gradients/spec.toml")).unwrap();
    assert!(
        written.contains("[start]") && !written.contains("bp.json"),
        "the spec has the numbers: {written}"
    );
    let (start, climbed) = (values("below/bp.json"), values("by-gradients/genome.json"));
    let moved = distance(&start, &climbed);
    assert!((0.005..0.05).contains(&moved), "three steps of 0.01: {moved}");
    place.write(
        "spec.toml",
        &spec("kind = \"sep-cma-es\", population_size = 4, step_size = 1e-6", "by-gradients/genome.json"),
    );
    place.ok(&["run", "spec.toml", "--out", "evolved"]);
    let moved = distance(&climbed, &values("evolved/genome.json"));
    assert!(moved > 0.0 && moved < 1e-4, "three steps of 1e-6: {moved}");
    place.write("spec.toml", &spec("kind = \"gradient\"", "none.json"));
    let failed = place.output(&["check", "spec.toml"]);
    assert_eq!(failed.status.code(), Some(3));
    assert!(errors(&failed).contains("start.genome: none.json"), "{}", errors(&failed));
}

#[test]
fn the_backpropagation_genome_is_shown_exported_and_evaluated() {
    let place = Place::new();
    place.ok(&[
        "genome",
        "backprop",
        "--learning-rate",
        "0.25",
        "--hidden",
        "6",
        "--tasks",
        "xor,circle",
        "--out",
        "bp.json",
    ]);
    let shown = place.ok(&["genome", "show", "bp.json"]);
    for part in
        ["forward_transform", "hebbian_post", "synapse_update", "backpropagation", "states = 2", "0.250"]
    {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    for format in ["json", "npz", "safetensors"] {
        let out = format!("bp.{format}.out");
        place.ok(&["genome", "export", "bp.json", "--format", format, "--out", &out]);
        assert!(fs::metadata(place.path(&out)).unwrap().len() > 500, "{format}");
    }
    let evaluate = [
        "evaluate",
        "bp.json",
        "--tasks",
        "circle",
        "--updates",
        "20",
        "--baselines",
        "sgd",
        "--tasks-per-family",
        "20",
        "--json",
    ];
    let comparison = place.json(&evaluate);
    let accuracy = comparison["families"][0]["columns"][0]["rule"]["mean"].as_f64().unwrap();
    assert!(accuracy > 0.6, "gradient descent learns nothing: {accuracy}");
}

#[test]
fn what_is_no_genome_or_cannot_be_written_is_refused() {
    let place = Place::new();
    place.write("text.json", "{}");
    for (arguments, message) in [
        (&["genome", "show", "no.json"][..], "no.json"),
        (&["genome", "show", "text.json"], "is not a genome file"),
        (&["genome", "export", "text.json", "--format", "npz", "--out", "x"], "is not a genome file"),
        (&["genome", "export", "text.json", "--format", "csv", "--out", "x"], "csv"),
        (&["genome", "backprop", "--hidden", "0", "--out", "x"], "network.hidden[0]"),
        (&["genome", "backprop", "--learning-rate", "-1", "--out", "x"], "above 0"),
        (&["genome", "backprop", "--out", "no/such/place.json"], "there is no directory"),
    ] {
        let output = place.output(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors(&output).contains(message), "{arguments:?}: {}", errors(&output));
    }
}
