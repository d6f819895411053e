//! How many bits the label of an input has that nobody knows who does not know the task: what a rule must read from the support, or
//! could have memorised if there are none.

use std::collections::BTreeMap;

use hebbian_shared::seed::{Purpose, Seed};
use hebbian_shared::spec::task::{ClassKind, TaskFamily, TaskKind, TaskSpec};

use super::plane;

/// A task as a table of labels by inputs, all of which are equally probable.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelTable {
    /// Of the task.
    pub probability: f64,
    /// Label of each input.
    pub labels: BTreeMap<u32, u32>,
}

/// Keys, all equally probable, each of which makes label y the label `key[y]`; none changes nothing.
pub type Keys<'a> = &'a [Vec<u32>];

/// Bits of some probabilities.
fn bits(probabilities: impl Iterator<Item = f64>) -> f64 {
    probabilities.filter(|&p| p > 0.0).map(|p| -p * libm::log2(p)).sum()
}

/// Calls `with` for each key's share and what it makes of a label.
fn for_each_key(keys: Keys<'_>, mut with: impl FnMut(f64, &dyn Fn(u32) -> u32)) {
    if keys.is_empty() {
        return with(1.0, &|label| label);
    }
    for key in keys {
        with(1.0 / keys.len() as f64, &|label| key[label as usize]);
    }
}

/// H(Y'|X) of one example.
pub fn conditional(tables: &[LabelTable], keys: Keys<'_>) -> f64 {
    let (mut joint, mut of_input) = (BTreeMap::new(), BTreeMap::new());
    for LabelTable { probability, labels } in tables {
        for (&input, &label) in labels {
            let share = probability / labels.len() as f64;
            *of_input.entry(input).or_insert(0.0) += share;
            for_each_key(keys, |of_key, apply| {
                *joint.entry((input, apply(label))).or_insert(0.0) += share * of_key;
            });
        }
    }
    bits(joint.into_values()) - bits(of_input.into_values())
}

/// H(Y'_1 .. Y'_n | X = these inputs) of a support set, over the tasks that have all of them.
pub fn of_support(tables: &[LabelTable], inputs: &[u32], keys: Keys<'_>) -> f64 {
    let (mut joint, mut total) = (BTreeMap::new(), 0.0);
    for LabelTable { probability, labels } in tables {
        let found: Option<Vec<u32>> = inputs.iter().map(|input| labels.get(input).copied()).collect();
        let Some(found) = found else { continue };
        total += probability;
        for_each_key(keys, |of_key, apply| {
            let labels: Vec<u32> = found.iter().map(|&label| apply(label)).collect();
            *joint.entry(labels).or_insert(0.0) += probability * of_key;
        });
    }
    bits(joint.into_values().map(|p| p / total))
}

/// H of the key.
pub fn of_key(keys: Keys<'_>) -> f64 {
    libm::log2(keys.len().max(1) as f64)
}

/// Whether for every input different keys or labels give different labels: then H(Y'|X) = H(Y|X) + H(key).
pub fn is_one_to_one(tables: &[LabelTable], keys: Keys<'_>) -> bool {
    let mut seen = BTreeMap::new();
    tables.iter().flat_map(|table| &table.labels).all(|(&input, &label)| {
        keys.iter()
            .all(|key| *seen.entry((input, key[label as usize])).or_insert((key, label)) == (key, label))
    })
}

/// All orders of so many labels.
pub fn permutations(count: u32) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new()];
    for place in 0..count {
        let longer = |order: &Vec<u32>| {
            let order = order.clone();
            (0..=place as usize).map(move |at| {
                let mut order = order.clone();
                order.insert(at, place);
                order
            })
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// What nobody knows of a family's labels who does not know the task, in bits.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Unknown {
    /// Of one example.
    pub example: f64,
    /// Of a support set: of one example of each class, or of `SUPPORT` points of the plane.
    pub support: f64,
}

/// Functions of a family in the plane that stand for all.
const FUNCTIONS: u64 = 256;
/// Points of a support set in the plane.
const SUPPORT: usize = 5;
/// The most classes of a task whose orders are counted one by one.
const PERMUTED_CLASSES_MAX: u32 = 7;

/// Of the tasks of a family; `None` if their tables are not finite. Functions in the plane are some hundred, on a grid.
pub fn of_family(family: TaskFamily, spec: &TaskSpec) -> Option<Unknown> {
    let Unknown { example, support } = of_labels(family, spec)?;
    // Different keys or labels give different soft targets, so that one example tells the key: H(Y'|X) = H(Y|X) + H(key).
    let key = spec.smooth.map_or(0.0, |smooth| smooth.bits());
    Some(Unknown { example: example + key, support: support + key })
}

/// The same of whole labels.
fn of_labels(family: TaskFamily, spec: &TaskSpec) -> Option<Unknown> {
    if family.row().kind == TaskKind::Labels {
        let draw =
            |number| plane::labels(family, Seed::from_small(0).derive(Purpose::FixedFunctions, number));
        let functions: Vec<Vec<bool>> = (0..FUNCTIONS).filter_map(draw).collect();
        let probability = 1.0 / functions.len() as f64;
        let table = |labels: &Vec<bool>| {
            let labels = labels.iter().enumerate().map(|(at, &label)| (at as u32, u32::from(label)));
            LabelTable { probability, labels: labels.collect() }
        };
        let tables: Vec<LabelTable> = functions.iter().map(table).collect();
        let cells = functions.first()?.len();
        // Points that lie far from each other, none on an axis of symmetry.
        let points: Vec<u32> =
            (0..SUPPORT).map(|k| ((2 * k + 1) * cells / (2 * SUPPORT) + 3 * k) as u32).collect();
        return Some(Unknown {
            example: conditional(&tables, &[]).max(0.0),
            support: of_support(&tables, &points, &[]).max(0.0),
        });
    }
    if !family.has_parts() {
        return None;
    }
    let (count, has_keys) = match &spec.classes {
        Some(classes) => (classes.way, classes.kind != ClassKind::NonExclusive),
        None => (spec.outputs(family), spec.images.permute_labels),
    };
    if !has_keys {
        return Some(Unknown { example: 0.0, support: 0.0 });
    }
    if count > PERMUTED_CLASSES_MAX {
        // As below: all orders of the classes are equally probable.
        let support = (1..=count).map(|class| libm::log2(f64::from(class))).sum();
        return Some(Unknown { example: libm::log2(f64::from(count)), support });
    }
    let table = LabelTable { probability: 1.0, labels: (0..count).map(|class| (class, class)).collect() };
    let (keys, inputs) = (permutations(count), (0..count).collect::<Vec<_>>());
    let tables = [table];
    Some(Unknown { example: conditional(&tables, &keys), support: of_support(&tables, &inputs, &keys) })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]
mod tests {
    use hebbian_shared::spec::task::{ClassesSpec, ImageAugmentation, SmoothSpec};

    use super::*;

    #[test]
    fn orders_are_all_and_different() {
        let mut orders = permutations(4);
        orders.sort_unstable();
        orders.dedup();
        assert_eq!((orders.len(), orders[0].clone()), (24, vec![0, 1, 2, 3]));
    }

    #[test]
    fn what_is_unknown_is_what_tasks_differ_by() {
        let plane = |family| of_family(family, &TaskSpec::of(vec![family])).unwrap();
        assert_eq!(plane(TaskFamily::Xor), Unknown { example: 0.0, support: 0.0 });
        let circle = plane(TaskFamily::Circle);
        assert!(circle.example > 0.5 && circle.example < 1.0 && circle.support > 2.0, "{circle:?}");
        let digits = |kind: Option<ClassKind>| {
            let classes = kind.map(|kind| ClassesSpec { way: 2, kind, train: vec![0, 1], test: vec![2, 3] });
            let images =
                ImageAugmentation { permute_labels: classes.is_none(), ..ImageAugmentation::default() };
            let family = TaskFamily::Digits;
            of_family(family, &TaskSpec { classes, images, ..TaskSpec::of(vec![family]) }).unwrap()
        };
        assert_eq!(digits(Some(ClassKind::NonExclusive)), Unknown { example: 0.0, support: 0.0 });
        for kind in [ClassKind::Intrashuffle, ClassKind::Intershuffle] {
            assert_eq!(digits(Some(kind)), Unknown { example: 1.0, support: 1.0 });
        }
        let all = digits(None);
        assert!(
            (all.example - 10.0_f64.log2()).abs() < 1e-9 && (all.support - 21.7911).abs() < 1e-3,
            "{all:?}"
        );
        assert_eq!(of_family(TaskFamily::Sinusoid, &TaskSpec::of(vec![TaskFamily::Sinusoid])), None);
    }

    #[test]
    fn a_key_that_softens_labels_adds_its_bits() {
        for family in [TaskFamily::Xor, TaskFamily::Circle, TaskFamily::Digits] {
            let of = |smooth| of_family(family, &TaskSpec { smooth, ..TaskSpec::of(vec![family]) }).unwrap();
            let whole = of(None);
            for (steps, bits) in [(2, 1.0), (10, 10.0_f64.log2())] {
                let soft = of(Some(SmoothSpec { steps, ..SmoothSpec::default() }));
                assert!((soft.example - whole.example - bits).abs() < 1e-12, "{family}: {soft:?}");
                assert!((soft.support - whole.support - bits).abs() < 1e-12, "{family}: {soft:?}");
            }
        }
        // As a table of targets: of two labels and three keys, all in one to one.
        let table = LabelTable { probability: 1.0, labels: [(0, 0), (1, 1)].into() };
        let keys: Vec<Vec<u32>> = (0..3).map(|key| vec![2 * key, 2 * key + 1]).collect();
        assert!(is_one_to_one(std::slice::from_ref(&table), &keys));
        assert!((conditional(&[table], &keys) - of_key(&keys)).abs() < 1e-12);
    }
}
