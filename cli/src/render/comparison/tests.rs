use hebbian_shared::spec::task::NoiseKind;
use serde_json::{Value, json};

use super::*;

/// A comparison on remembered bits whose columns have so many parts.
fn recalled(parts: &[usize]) -> Comparison {
    let estimate = |mean: f64| json!({ "mean": mean, "standard_error": 0.01 });
    let column = |(place, &parts): (usize, &usize)| {
        let positions: Vec<Value> = (0..parts).map(|part| estimate(0.5 + 0.05 * part as f64)).collect();
        json!({
            "updates": 4 * (place + 1), "rule": estimate(0.9), "baselines": [], "best_baseline": "sgd", "best": estimate(0.8),
            "difference": estimate(0.1), "positions": positions,
        })
    };
    let columns: Vec<Value> = parts.iter().enumerate().map(column).collect();
    let updates: Vec<Value> = columns.iter().map(|column| column["updates"].clone()).collect();
    let families = json!(["remember-bits"]);
    let group = json!({
        "name": "remember-bits", "score": "recall", "families": families, "trained_on": false, "columns": columns, "overtaken_from": null,
    });
    let comparison = json!({
        "updates": updates, "tasks_per_family": 150, "seed": 1, "training_families": families, "shapes": [[]], "baselines": [],
        "groups": [group], "families": [],
    });
    serde_json::from_value(comparison).unwrap()
}

/// The rows of parts, each cell by itself.
fn rows(comparison: &Comparison) -> Vec<String> {
    let table = table(comparison, Paint::none());
    table.lines().filter(|line| line.starts_with("  part ")).map(str::to_owned).collect()
}

#[test]
fn parts_are_printed_in_those_columns_that_have_them() {
    let found = rows(&recalled(&[0, 8]));
    assert_eq!(found.len(), 8, "{found:?}");
    assert_eq!(found[0], format!("{:<16}{:12}{:>12}", "  part 1 of 8", "", ".500"));
    assert_eq!(found[7], format!("{:<16}{:12}{:>12}", "  part 8 of 8", "", ".850"));
    let found = rows(&recalled(&[8, 0, 8]));
    assert_eq!(found[1], format!("{:<16}{:>12}{:12}{:>12}", "  part 2 of 8", ".550", "", ".550"));
}

#[test]
fn no_column_with_parts_is_no_row() {
    let none = recalled(&[0, 0]);
    assert_eq!(rows(&none), [""; 0]);
    assert!(!table(&none, Paint::none()).contains("part 1 of 8"));
    assert!(table(&recalled(&[0, 8]), Paint::none()).contains("part 1 of 8: what the rule recalls"));
}

#[test]
fn the_heading_says_which_noise_there_is() {
    let heading = |noise: Option<LabelNoiseSpec>| {
        let table = table(&Comparison { label_noise: noise, ..recalled(&[0]) }, Paint::none());
        table.lines().next().unwrap().to_owned()
    };
    let spec = LabelNoiseSpec::default();
    assert!(!heading(None).contains("label noise"));
    let found = heading(Some(spec.clone()));
    assert!(found.contains("; label noise: symmetric .4, 600 examples; networks start"), "{found}");
    let (rates, imbalance) = (vec![0.0, 0.25], vec![10.0, 50.0]);
    let found = heading(Some(LabelNoiseSpec {
        kind: NoiseKind::SymmetricOther,
        rates,
        imbalance,
        samples: 200,
        clean: 20,
        taught: Taught::RightLabels,
    }));
    let expected = "label noise: symmetric other 0 or .25, 200 examples, largest class 10 or 50 times the smallest, clean set of 20, \
                    right labels alone are taught;";
    assert!(found.contains(expected), "{found}");
    let found = heading(Some(LabelNoiseSpec { rates: vec![0.0], ..spec }));
    assert!(found.contains("; label noise: none, 600 examples;"), "{found}");
}

#[test]
fn columns_stand_below_each_other_however_long_names_are() {
    let estimate = json!({ "mean": 0.5, "standard_error": 0.01 });
    let with = |ablation: &str, other: &str| {
        let mut comparison = serde_json::to_value(recalled(&[0, 8])).unwrap();
        let columns = comparison["groups"][0]["columns"].as_array_mut().unwrap();
        for column in columns {
            column["ablations"] = json!([{ "ablation": ablation, "accuracy": estimate, "loss": estimate }]);
            column["companions"] = json!([{ "name": other, "accuracy": estimate, "difference": estimate }]);
        }
        let table = table(&serde_json::from_value(comparison).unwrap(), Paint::none());
        let ends = |start: &str| {
            let line = table
                .lines()
                .find(|line| line.starts_with(start))
                .unwrap_or_else(|| panic!("{start}: {table}"));
            line.chars().count()
        };
        let name: String = other.chars().take(8).collect();
        [ends("after updates"), ends("  learned rule"), ends(&format!("  {name}"))]
    };
    for (ablation, other, length) in [
        ("no-feedback", "leap", 16 + 24),
        ("one-synapse-state", "leap", 19 + 24),
        ("no-feedback", "online, 16 copies", 19 + 24),
        ("no-feedback", "gr\u{fc}\u{df}e an die Regel", 20 + 24),
    ] {
        assert_eq!(with(ablation, other), [length; 3], "{ablation} {other}");
    }
    // A name beyond all measure shifts nothing but its own row.
    let [header, rule, own] = with("no-feedback", &"x".repeat(60));
    assert_eq!((header, rule), (32 + 24, 32 + 24));
    assert!(own > rule);
}
