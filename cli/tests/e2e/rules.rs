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
