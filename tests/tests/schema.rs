//! The JSON Schema of run specs says what the program's own checks say: sound specs suit both, and of wrong ones each field that can be
//! wrong by itself is refused by both.

use std::fs;
use std::path::{Path, PathBuf};

use hebbian_shared::spec::{RunSpec, schema};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

fn parsed() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn from_toml(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

fn specs_in(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let specs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let specs: Vec<_> = specs.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let specs: Vec<_> = specs
        .into_iter()
        .filter(|(_, text)| text.contains("families") || text.contains("[problem]"))
        .collect();
    assert!(!specs.is_empty(), "{folder} has specs");
    specs
}

#[test]
fn sound_specs_suit_the_schema() {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    let folders = [
        "examples",
        "tests/compose",
        "learning/src/rule/multi_state/canonical",
        "learning/src/rule/gradient_descent/canonical",
        "learning/src/rule/abcd/canonical",
        "learning/src/rule/update_networks/canonical",
        "learning/src/rule/warped_descent/canonical",
        "learning/src/rule/sample_weights/canonical",
    ];
    for (path, text) in folders.iter().flat_map(|folder| specs_in(folder)) {
        let spec = RunSpec::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // As it is written, and with all defaults.
        for written in [from_toml(&text), serde_json::to_value(&spec).unwrap()] {
            let wrong: Vec<String> = validator
                .iter_errors(&written)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
        }
    }
}

#[test]
fn examples_name_the_schema_for_editors() {
    for (path, text) in specs_in("examples") {
        let first = text.lines().next().unwrap();
        let schema = first.strip_prefix("#:schema ").unwrap_or_else(|| panic!("{}: {first}", path.display()));
        let named = path.parent().unwrap().join(schema).canonicalize().unwrap();
        assert_eq!(named, root().join("docs/spec.schema.json").canonicalize().unwrap());
    }
}

/// A place in a spec, as the schema describes it.
struct Place {
    /// Names, and 0 for the items of a list.
    path: Vec<Step>,
    schema: Value,
    /// A sound spec that may have it.
    base: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Item,
}

impl Place {
    /// The path as messages write it.
    fn field(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Name(name) if text.is_empty() => text.push_str(name),
                Step::Name(name) => text.extend([".", name]),
                Step::Item => text.push_str("[0]"),
            }
        }
        text
    }

    /// The sound spec with another value here.
    fn with(&self, value: Value) -> Value {
        let mut spec = self.base.clone();
        let mut at = &mut spec;
        for step in &self.path {
            at = match step {
                Step::Name(name) => {
                    if !at.is_object() {
                        *at = json!({});
                    }
                    &mut at[name]
                }
                Step::Item => {
                    if !at.is_array() {
                        *at = json!([null]);
                    }
                    &mut at[0]
                }
            };
        }
        *at = value;
        spec
    }

    /// What the sound spec has here, where it has anything.
    fn found(&self) -> Option<&Value> {
        self.path.iter().try_fold(&self.base, |at, step| match step {
            Step::Name(name) => at.get(name),
            Step::Item => at.get(0),
        })
    }
}

/// Every place that a schema describes.
fn walk(whole: &Value, schema: &Value, path: &[Step], base: &Value, found: &mut Vec<Place>) {
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        return walk(whole, whole.pointer(pointer).unwrap(), path, base, found);
    }
    found.push(Place { path: path.to_vec(), schema: schema.clone(), base: base.clone() });
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for part in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            walk(whole, part, path, &base_of(path, part, base), found);
        }
    }
    for (name, part) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = [path, &[Step::Name(name.clone())]].concat();
        walk(whole, part, &path, &base_of(&path, part, base), found);
    }
    if let Some(items) = schema.get("items") {
        walk(whole, items, &[path, &[Step::Item]].concat(), base, found);
    }
}

/// The sound spec that has the kind of strategy, or the family of rules, that a part of the schema describes.
fn base_of(path: &[Step], part: &Value, base: &Value) -> Value {
    if path == [Step::Name("problem".to_owned())] {
        return from_toml(include_str!("../../examples/cart-pole.toml"));
    }
    // Classes are of families over data sets.
    if path == ["tasks", "classes"].map(|name| Step::Name(name.to_owned())) {
        return from_toml(include_str!("../../examples/meta-augmentation.toml"));
    }
    let mut base = base.clone();
    let constant = |name: &str| part.pointer(&format!("/properties/{name}/const")).cloned();
    let at = |name: &str| path == [Step::Name(name.to_owned())];
    if at("strategy")
        && let Some(kind) = constant("kind")
    {
        base["strategy"] = match kind.as_str() {
            Some("cma-es") => json!({
                "kind": kind, "population_size": 64, "initial_covariance": identity(68),
                "fixed": [1], "lower_bounds": [-5.0], "upper_bounds": [5.0], "step_size_max": 9.0,
            }),
            Some("gradient") => json!({ "kind": kind }),
            _ => json!({ "kind": kind, "population_size": 64 }),
        };
    }
    if base["strategy"]["kind"] == "gradient" {
        base["rule"] = differentiable();
        base["evaluation"]["objective"] = json!("logistic");
    }
    if at("rule")
        && let Some(family) = constant("family")
    {
        base["rule"] = match family.as_str() {
            // With the options that few others go with.
            Some("multi-state") => differentiable(),
            _ => json!({ "family": family }),
        };
    }
    // A covariance has scales of its own.
    if path == [Step::Name("strategy".to_owned()), Step::Name("scales".to_owned())]
        && let Some(strategy) = base["strategy"].as_object_mut()
    {
        strategy.remove("initial_covariance");
        strategy.insert("scales".to_owned(), json!(vec![1.0; 68]));
    }
    if path == [Step::Name("network".to_owned()), Step::Name("shapes".to_owned())] {
        base["network"] = json!({ "shapes": [[20]] });
    }
    base
}

/// A rule that knows its gradient.
fn differentiable() -> Value {
    from_toml(include_str!("../../examples/differentiable.toml"))["rule"].clone()
}

/// Its lower triangle by columns.
fn identity(dimension: usize) -> Vec<f64> {
    (0..dimension)
        .flat_map(|column| (column..dimension).map(move |row| f64::from(u8::from(row == column))))
        .collect()
}

fn places() -> Vec<Place> {
    let mut base = from_toml(include_str!("../../examples/quickstart.toml"));
    base["tasks"]["data_sets"] = json!([{ "name": "a", "classes": [1, 2] }]);
    base["tasks"]["images"] = json!({ "inputs": ["original"] });
    let (whole, mut found) = (parsed(), Vec::new());
    walk(&whole, &whole, &[], &base, &mut found);
    for place in &found {
        let read = RunSpec::read(&place.base.to_string());
        assert!(read.is_ok(), "{} begins with a sound spec: {read:?}", place.field());
    }
    found
}

/// Asserts that a spec is refused by the schema and by the program, and gives the program's message.
fn refused(validator: &Validator, spec: &Value, what: &str) -> String {
    assert!(!validator.is_valid(spec), "the schema lets pass {what}");
    match RunSpec::read(&spec.to_string()) {
        Ok(_) => panic!("the program lets pass {what}"),
        Err(error) => error.to_string(),
    }
}

/// Numbers right outside of the range that a schema gives, and those at its ends.
fn around(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let whole = schema["type"] == "integer";
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    let beside = |end: &Value, step: f64| match (whole, end.as_u64()) {
        (true, Some(0)) if step < 0.0 => json!(-1),
        (true, Some(end)) => json!(if step < 0.0 { end - 1 } else { end + 1 }),
        _ => {
            let end = end.as_f64().unwrap();
            json!(end + step * end.abs().max(1e-200))
        }
    };
    if let Some(low) = schema.get("minimum") {
        outside.push(beside(low, -0.5));
        inside.push(low.clone());
    }
    if let Some(low) = schema.get("exclusiveMinimum") {
        outside.push(low.clone());
        inside.push(beside(low, 1.0));
    }
    if let Some(high) = schema.get("maximum") {
        outside.push(beside(high, 0.5));
        inside.push(high.clone());
    }
    (outside, inside)
}

/// What limits these further depends on other fields.
const NARROWER: [&str; 2] = ["evaluation.measure[0].update", "validation.tasks_per_family"];

#[test]
fn numbers_out_of_range_are_refused_by_schema_and_program() {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    let mut fields = Vec::new();
    for place in places() {
        let (outside, inside) = around(&place.schema);
        if outside.is_empty() || place.schema.get("const").is_some() {
            continue;
        }
        let field = place.field();
        for value in outside {
            let what = format!("{field} = {value}");
            let error = refused(&validator, &place.with(value), &what);
            // A seed is one value, wherever it is written.
            assert!(error.starts_with(&format!("{field}: ")), "{what}: {error}");
        }
        for value in inside {
            let spec = place.with(value.clone());
            assert!(validator.is_valid(&spec), "the schema refuses {field} = {value}");
            let of_range =
                |problem: &str| problem.starts_with("must be from") || problem.starts_with("must be above");
            let error = RunSpec::read(&spec.to_string()).err();
            let error = error.filter(|error| error.field == field && of_range(&error.problem));
            assert!(error.is_none() || NARROWER.contains(&&*field), "{field} = {value}: {error:?}");
        }
        fields.push(field);
    }
    for known in
        ["seed", "strategy.learning_rate", "rule.oja.scale", "network.shapes[0][0]", "stop.time_limit_s"]
    {
        assert!(fields.iter().any(|field| field == known), "{known} is tried: {fields:?}");
    }
}

#[test]
fn unknown_and_missing_fields_are_refused_by_schema_and_program() {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    let mut objects = 0;
    for place in places() {
        if place.schema.get("properties").is_none() {
            continue;
        }
        objects += 1;
        let field = place.field();
        let object = place.found().and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let mut more = object.clone();
        more.insert("no_such_field".into(), json!(1));
        let error = refused(&validator, &place.with(more.into()), &format!("{field}.no_such_field"));
        // Of several forms that a field may have, none was meant.
        assert!(error.contains("no_such_field") || error.contains("expected"), "{field}: {error}");
        for name in place.schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let mut fewer = object.clone();
            fewer.remove(name.as_str().unwrap());
            // A rule without a family is one of the first family, to which none of its options are known.
            if fewer.is_empty() && field == "rule" {
                continue;
            }
            refused(&validator, &place.with(fewer.into()), &format!("{field} without {name}"));
        }
    }
    assert!(objects > 20, "{objects} objects are tried");
}

#[test]
fn words_and_types_that_are_not_meant_are_refused_by_schema_and_program() {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    for place in places() {
        let field = place.field();
        // No field may be any text, and none whatever it likes.
        for wrong in [json!("No such word"), json!({ "no_such_field": 1 })] {
            refused(&validator, &place.with(wrong.clone()), &format!("{field} = {wrong}"));
        }
        if place.schema["type"] != "boolean" {
            refused(&validator, &place.with(json!(true)), &format!("{field} = true"));
        }
    }
}

#[test]
fn what_another_kind_has_is_refused_by_schema_and_program() {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    let check = |section: &str, written: Value| {
        let mut spec = from_toml(include_str!("../../examples/quickstart.toml"));
        spec[section] = written;
        let what = format!("{section} = {}", spec[section]);
        refused(&validator, &spec, &what);
    };
    check("rule", json!({ "family": "gradient-descent", "states": 4 }));
    check("rule", json!({ "family": "multi-state", "optimizer": "sgd" }));
    check("rule", json!({ "optimizer": "sgd" }));
    check("strategy", json!({ "kind": "pgpe", "population_size": 64, "active": true }));
    check("strategy", json!({ "kind": "pgpe", "population_size": 63 }));
    check("strategy", json!({ "kind": "one-plus-lambda", "population_size": 1 }));
    check("strategy", json!({ "kind": "one-plus-lambda", "population_size": 8, "learning_rate": 0.1 }));
    check("strategy", json!({ "kind": "sep-cma-es", "population_size": 8, "fixed": [1] }));
    check("stop", json!({ "target_fitness": 1.0 }));
    check("name", json!("Quick start"));
    check("name", json!(""));
    check("name", json!("x".repeat(65)));
    check("version", json!(2));
    let families = |families: Value| check("tasks", json!({ "families": families }));
    families(json!([]));
    families(json!(["xorr"]));
    families(json!(["idx:A"]));
}
