use serde_json::{Value, json};

use super::*;

/// All places in a value: the steps to each of them.
fn places(value: &Value) -> Vec<Vec<Value>> {
    let below: Vec<(Value, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (json!(name), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(place, value)| (json!(place), value)).collect(),
        _ => Vec::new(),
    };
    let further = |(step, value): (Value, &Value)| {
        let tails = std::iter::once(Vec::new()).chain(places(value)).collect::<Vec<_>>();
        tails.into_iter().map(move |tail| [vec![step.clone()], tail].concat()).collect::<Vec<_>>()
    };
    below.into_iter().flat_map(further).collect()
}

/// The object or list that a place is in.
fn around<'a>(value: &'a mut Value, place: &[Value]) -> &'a mut Value {
    place[..place.len() - 1].iter().fold(value, |value, step| match step.as_u64() {
        Some(item) => &mut value[item as usize],
        None => &mut value[step.as_str().unwrap()],
    })
}

/// A spec without what is at a place, with something else there, and with something beside it.
fn broken(spec: &Value, place: &[Value]) -> Vec<Value> {
    let last = place.last().unwrap();
    let mut without = spec.clone();
    match around(&mut without, place) {
        Value::Object(fields) => drop(fields.remove(last.as_str().unwrap())),
        Value::Array(items) => drop(items.remove(last.as_u64().unwrap() as usize)),
        _ => unreachable!(),
    }
    let mut beside = spec.clone();
    if let Value::Object(fields) = around(&mut beside, place) {
        fields.insert("zzz".to_owned(), json!(1));
    }
    let others =
        [json!(true), json!("?"), json!(-7.5), json!([]), json!([[]]), json!({}), json!({ "zzz": 1 })];
    let others = others.map(|other| {
        let mut spec = spec.clone();
        match around(&mut spec, place) {
            Value::Object(fields) => drop(fields.insert(last.as_str().unwrap().to_owned(), other)),
            Value::Array(items) => items[last.as_u64().unwrap() as usize] = other,
            _ => unreachable!(),
        }
        spec
    });
    [without, beside].into_iter().chain(others).collect()
}

/// Whatever is wrong, its field is said once.
#[test]
#[expect(clippy::disallowed_methods, reason = "the examples are files")]
fn an_error_names_its_field_once() {
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).unwrap();
    let mut refused = 0;
    for path in examples.map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let spec = tree(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for place in places(&spec) {
            for broken in broken(&spec, &place) {
                let text = broken.to_string();
                let as_toml = toml::to_string(&broken).ok();
                for text in as_toml.iter().chain([&text]) {
                    let Err(SpecError { field, problem, .. }) = RunSpec::read(text) else { continue };
                    refused += 1;
                    // The head of what is wrong names no field: neither this one nor one of its sections.
                    let head = problem.split_once(": ").map_or("", |(head, _)| head);
                    let mut sections = field.match_indices(['.', '[']).map(|(end, _)| &field[..end]);
                    let names = head == field || head.starts_with(&format!("{field}."));
                    assert!(
                        field.is_empty() || !names && sections.all(|section| head != section),
                        "{field}: {problem}\n{text}"
                    );
                    assert!(!field.is_empty() || !problem.starts_with("problem"), "{problem}\n{text}");
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}
