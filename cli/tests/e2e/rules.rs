//! Rules that are part of the program.

use crate::support::{Place, SPEC, bits, errors};

#[test]
fn shipped_rules_are_listed_shown_exported_and_used_by_name() {
    let place = Place::new();
    let listed = place.ok(&["rules", "list"]);
    assert!(listed.contains("rule:images") && listed.contains("rule:quickstart"), "{listed}");
    let shown = place.json(&["rules", "show", "quickstart", "--json"]);
    let text = place.ok(&["rules", "show", "quickstart"]);
    for words in
        [shown["digest"].as_str().unwrap(), "hebbian run --preset quickstart --seed 1", "after updates"]
    {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    place.ok(&["rules", "export", "quickstart", "--out", "exported.json"]);
    let comparison = |genome: &str| {
        let few = ["--tasks", "and", "--updates", "3", "--tasks-per-family", "2", "--baselines", "sgd"];
        place.ok(&[&["evaluate", genome, "--json"][..], &few].concat())
    };
    assert_eq!(comparison("rule:quickstart"), comparison("exported.json"));
    assert!(
        place.ok(&["genome", "show", "rule:images"]).contains("`images`, seed 1, after 1000 generations")
    );
    let unknown = place.output(&["evaluate", "rule:other"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(errors(&unknown).contains("no rule is called `other`; there are"), "{}", errors(&unknown));
}

#[test]
fn several_rules_are_compared_with_the_same_baselines() {
    const FEW: [&str; 8] =
        ["--tasks", "and", "--updates", "3", "--tasks-per-family", "2", "--baselines", "sgd"];
    fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["evaluate"], arguments, &FEW[..]].concat()
    }
    let place = Place::new();
    place.ok(&["rules", "export", "quickstart", "--out", "exported.json"]);
    let one = place.ok(&with(&["rule:quickstart", "--json"]));
    let both: serde_json::Value =
        serde_json::from_str(&place.ok(&with(&["rule:quickstart", "exported.json", "--json"]))).unwrap();
    let comparison: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(both, serde_json::json!([comparison, comparison]));
    let text = place.ok(&with(&["rule:quickstart", "exported.json"]));
    let whose = ["rule:quickstart", "exported.json"]
        .map(|path| format!("{path}: `quickstart`, seed 1, after 265 generations"));
    assert!(text.starts_with(&whose[0]) && text.contains(&format!("\n\n{}\n", whose[1])), "{text}");
    assert_eq!(text.matches("best baseline  ").count(), 2, "{text}");
    assert_eq!(text.matches("Baselines, tuned on").count(), 1, "{text}");

    place.write("one.json", &one);
    assert_eq!(place.ok(&with(&["exported.json", "--baselines-from", "one.json", "--json"])), one);
    let refused = |arguments: &[&str], expected: &str| {
        let output = place.output(&with(arguments));
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains(expected), "{}", errors(&output));
    };
    let other = ["exported.json", "--baselines-from", "one.json", "--hidden", "21"];
    refused(&other, "--baselines-from: [0]: has baselines for xor, or, ");
    refused(&["exported.json", "--baselines-from", "exported.json"], "exported.json: is no comparison: ");
}

#[test]
fn a_search_starts_from_a_shipped_rule() {
    let place = Place::new();
    let from = |genome: &str| {
        SPEC.replace("rule = { states = 2 }", "rule = { states = 4 }")
            .replace("generations = 60", "generations = 1")
            .replace("[tasks]", &format!("[start]\ngenome = \"{genome}\"\n[tasks]"))
    };
    place.ok(&["rules", "export", "quickstart", "--out", "exported.json"]);
    for (name, genome) in [("by-name", "rule:quickstart"), ("by-file", "exported.json")] {
        place.write(&format!("{name}.toml"), &from(genome));
        place.ok(&["run", &format!("{name}.toml"), "--out", name]);
    }
    assert_eq!(bits(&place.path("by-name/genome.json")), bits(&place.path("by-file/genome.json")));
    place.write("other.toml", &from("rule:other"));
    let other = place.output(&["check", "other.toml"]);
    assert!(errors(&other).contains("start.genome: no rule is called `other`"), "{}", errors(&other));
    place.write("images.toml", &from("rule:images"));
    let images = place.output(&["check", "images.toml"]);
    assert!(errors(&images).contains("start.genome: the layout of rule:images is"), "{}", errors(&images));
}
