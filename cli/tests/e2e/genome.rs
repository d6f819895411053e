//! `hebbian genome`

use std::fs;

use crate::support::{Place, errors};

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
