//! Golden vectors of meta-augmentation: `metaaug-*.json`. They are told by what is given.

use std::collections::BTreeMap;

use hebbian_control::run::measures::measures;
use hebbian_learning::task::entropy::{self, LabelTable};
use hebbian_learning::task::sinusoid::wave;
use hebbian_shared::spec::task::{ClassKind, ClassesSpec, ShiftSpec};
use serde_json::{Value, json};

use super::{compare_shares, field, list, number, numbers};

const BOUND: f64 = 1e-9;

/// Whether a vector is one of these.
pub(super) fn is_one(vector: &Value) -> bool {
    let given = &vector["given"];
    let has = |key: &str| given.get(key).is_some();
    has("distributions")
        || has("permutations")
        || has("modulo_keys")
        || given["tasks"][0].get("amplitude").is_some()
        || (has("classes") && has("way"))
        || given[0].as_array().is_some_and(|row| row.len() == 6)
}

/// Runs a vector.
pub(super) fn run(vector: &Value) -> Result<(), String> {
    let (given, expected) = (field(vector, "given")?, field(vector, "expected")?);
    let has = |key: &str| given.get(key).is_some();
    if has("distributions") {
        entropies(given, expected)
    } else if has("permutations") {
        labels(given, expected)
    } else if has("modulo_keys") {
        shifts(given, expected)
    } else if has("tasks") {
        sinusoids(given, expected)
    } else if has("classes") {
        classes(given, expected)
    } else {
        of_validation(given, expected)
    }
}

fn entropies(given: &Value, expected: &Value) -> Result<(), String> {
    for case in expected.as_array().ok_or("expected: must be a list")? {
        let name = |key: &str| case[key].as_str().ok_or_else(|| format!("{key}: must be a name"));
        let (tasks, keys) = (name("tasks")?, name("keys")?);
        let mut tables = Vec::new();
        for task in list(&given["distributions"], tasks)? {
            let labels = field(task, "labels")?.as_object().ok_or("labels: must be a table")?;
            let label = |(input, label): (&String, &Value)| {
                Some((input.parse::<u32>().ok()?, u32::try_from(label.as_u64()?).ok()?))
            };
            let labels: Option<BTreeMap<u32, u32>> = labels.iter().map(label).collect();
            let labels = labels.ok_or("labels: must be classes by inputs")?;
            tables.push(LabelTable { probability: number(task, "probability")?, labels });
        }
        let orders = if keys == "none" { &[] } else { list(&given["keys"], keys)? };
        let orders: Vec<Vec<u32>> =
            orders.iter().map(|key| numbers(key).into_iter().map(|label| label as u32).collect()).collect();
        let what = format!("{tasks} with {keys}");
        for (name, found) in [
            ("conditional_entropy", entropy::conditional(&tables, &orders)),
            ("support_entropy", entropy::of_support(&tables, &[0, 1, 2], &orders)),
            ("key_entropy", entropy::of_key(&orders)),
        ] {
            let expected = number(case, name)?;
            if (found - expected).abs() > BOUND {
                return Err(format!("{what}: {name}: {found}, not {expected}"));
            }
        }
        let found =
            if orders.is_empty() { Value::Null } else { entropy::is_one_to_one(&tables, &orders).into() };
        if found != case["one_to_one"] {
            return Err(format!("{what}: one_to_one: {found}, not {}", case["one_to_one"]));
        }
    }
    Ok(())
}

/// Labels under permutations, by a task whose classes are in another order.
fn labels(given: &Value, expected: &Value) -> Result<(), String> {
    let permutations = list(given, "permutations")?;
    let cases = expected.as_array().ok_or("expected: must be a list")?;
    if permutations.len() != cases.len() {
        return Err(format!("expected: {} cases, not {}", cases.len(), permutations.len()));
    }
    for (permutation, case) in permutations.iter().zip(cases) {
        let key: Vec<u32> = numbers(permutation).into_iter().map(|label| label as u32).collect();
        // Where each label goes to is the inverse of which class stands at each place.
        let mut order = vec![0; key.len()];
        key.iter().enumerate().for_each(|(label, &to)| order[to as usize] = label as u32);
        let spec = ClassesSpec {
            way: key.len() as u32,
            kind: ClassKind::Intrashuffle,
            train: (0..key.len() as u32).collect(),
            test: Vec::new(),
        };
        let classes = spec.of_task(0, &order);
        for part in ["support", "query"] {
            let place = |label: f64| classes.iter().position(|&class| class == label as u32);
            let found: Option<Vec<f64>> = numbers(&given[part])
                .into_iter()
                .map(|label| place(label).map(|place| place as f64))
                .collect();
            compare_shares(part, &found.ok_or("a label is out of range")?, &case[part], BOUND)?;
        }
    }
    Ok(())
}

fn shifts(given: &Value, expected: &Value) -> Result<(), String> {
    let targets = numbers(field(given, "targets")?);
    for (keys, name, modulo) in [("modulo_keys", "modulo", true), ("real_keys", "real", false)] {
        let spec = ShiftSpec { modulo, ..ShiftSpec::default() };
        let found: Vec<f64> = numbers(field(given, keys)?)
            .into_iter()
            .flat_map(|key| targets.iter().map(move |&target| spec.apply(target, key)))
            .collect();
        compare_shares(name, &found, field(expected, name)?, BOUND)?;
    }
    Ok(())
}

fn sinusoids(given: &Value, expected: &Value) -> Result<(), String> {
    let offsets = numbers(field(given, "offsets")?);
    let cases = expected.as_array().ok_or("expected: must be a list")?;
    for (task, case) in list(given, "tasks")?.iter().zip(cases) {
        let (amplitude, phase) = (number(task, "amplitude")?, number(task, "phase")?);
        let (start, key) = (number(task, "start")?, number(task, "key")?);
        let inputs: Vec<f64> = offsets.iter().map(|offset| start + offset).collect();
        let shift = ShiftSpec::default();
        let target = |&x: &f64| shift.apply(wave(amplitude, -phase, x), key);
        let targets: Vec<f64> = inputs.iter().map(target).collect();
        compare_shares("x", &inputs, &case["x"], BOUND)?;
        compare_shares("y", &targets, &case["y"], BOUND)?;
    }
    Ok(())
}

/// Which classes stand for labels 0, 1, ..
fn classes(given: &Value, expected: &Value) -> Result<(), String> {
    let whole = |value: &Value| numbers(value).into_iter().map(|x| x as u32).collect::<Vec<u32>>();
    let train = whole(field(given, "classes")?);
    let way = number(given, "way")? as u32;
    let cases = given.get("cases").or_else(|| given.get("tasks")).unwrap_or(given);
    let cases = cases.as_array().ok_or("given.cases: must be a list")?;
    let expected = expected.as_array().ok_or("expected: must be a list")?;
    if cases.len() != expected.len() {
        return Err(format!("expected: {} cases, not {}", expected.len(), cases.len()));
    }
    for (case, expected) in cases.iter().zip(expected) {
        let kind: ClassKind =
            serde_json::from_value(field(case, "kind")?.clone()).map_err(|error| format!("kind: {error}"))?;
        let spec = ClassesSpec { way, kind, train: train.clone(), test: Vec::new() };
        let order = whole(case.get("chosen").or_else(|| case.get("order")).unwrap_or(&json!([])));
        let block = case.get("task_index").and_then(Value::as_u64).unwrap_or(0) as usize;
        let found = spec.of_task(block, &order);
        let expected = whole(expected.get("classes").unwrap_or(expected));
        if found != expected {
            return Err(format!("{case}: {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

fn of_validation(given: &Value, expected: &Value) -> Result<(), String> {
    let cases = expected.as_array().ok_or("expected: must be a list")?;
    for (row, case) in given.as_array().into_iter().flatten().zip(cases) {
        let Ok([trained, blind, unadapted, other, other_blind, chance]) = <[f64; 6]>::try_from(numbers(row))
        else {
            return Err("given: must be rows of six numbers".to_owned());
        };
        let found = measures([trained, blind, unadapted], [other, other_blind], chance);
        for (name, found) in [
            ("support_use", found.support_use),
            ("memorised", found.memorised),
            ("learner_gap", found.learner_gap),
            ("test_support_use", found.test_support_use),
        ] {
            let expected = number(case, name)?;
            if (found - expected).abs() > 1e-12 {
                return Err(format!("{row}: {name}: {found}, not {expected}"));
            }
        }
    }
    Ok(())
}
