//! `hebbian genome`

use std::fs;

use crate::support::{Place, errors};

#[test]
fn a_run_starts_from_a_genome_file() {
    let place = Place::new();
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
    fs::create_dir(place.path("below")).unwrap();
    place.ok(&genome);
    let spec = |genome: &str| {
        format!(
            "name = \"from-file\"\nstrategy = {{ kind = \"sep-cma-es\", population_size = 4, step_size = 1e-6 }}\n\
             [start]\ngenome = \"{genome}\"\n[network]\nhidden = [6]\n\
             [tasks]\nfamilies = [\"circle\"]\nper_generation = 2\n[stop]\ngenerations = 1\n\
             [evaluation]\nobjective = \"logistic\"\n\
             [rule]\nstates = 2\ngates = \"per-state\"\ngenome = \"per-layer\"\nforward_activation = [\"tanh\", \"d_tanh\"]\n\
             backward_activation = \"identity\"\nlast_layer_activation = \"identity\"\nbackward_update = \"gated\"\n\
             feedback = \"softmax-difference\"\nsymmetric_synapses = true\nreadout = true\n\
             initial_scale = {{ tied_draws = [0, 0] }}\n"
        )
    };
    fs::write(place.path("below/spec.toml"), spec("bp.json")).unwrap();
    place.ok(&["run", "below/spec.toml", "--out", "found"]);
    let written = fs::read_to_string(place.path("found/spec.toml")).unwrap();
    assert!(
        written.contains("[start]") && !written.contains("bp.json"),
        "the numbers are in the spec: {written}"
    );
    let values = |path: &str| -> Vec<f64> {
        let file: serde_json::Value = serde_json::from_slice(&fs::read(place.path(path)).unwrap()).unwrap();
        file["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let (start, found) = (values("below/bp.json"), values("found/genome.json"));
    assert!(start.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-3), "{start:?} became {found:?}");
    fs::write(place.path("spec.toml"), spec("none.json")).unwrap();
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
