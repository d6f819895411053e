//! What networks answer while they learn one task, as people want to see it: for pictures. Nothing is decided by it.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::{InputAugmentation, TaskFamily, TaskKind};

use crate::comparison::{BaselineSettings, baseline_problem};
use crate::evaluation::Stage;
use crate::rule::{self, ExampleBatch, Shape};
use crate::task::data_set::DataSets;
use crate::task::{Task, distribution};

/// Updates that networks are trained for.
pub const UPDATES: u32 = 50;
/// After so many updates it is looked what a network answers.
pub const LOOKS: [u32; 7] = [0, 1, 3, 5, 10, 20, 50];
/// Points of the plane to a side.
pub const SIDE: usize = 28;
/// Examples that are shown: points of the plane, or images.
const POINTS_SHOWN: usize = 80;
const IMAGES_SHOWN: usize = 10;

/// Somebody who learns.
#[derive(Clone, Debug)]
pub struct Learner {
    name: String,
    problem: RuleLearning,
    genome: Genome,
}

impl Learner {
    /// By the rule of a genome.
    pub fn by_rule(name: &str, problem: &RuleLearning, genome: Genome) -> Self {
        Self { name: name.to_owned(), problem: problem.clone(), genome }
    }

    /// By a baseline in the networks of a rule's problem.
    pub fn by_baseline(name: &str, of: &RuleLearning, configuration: BaselineSettings) -> Self {
        let (problem, genome) = baseline_problem(of, configuration);
        Self { name: name.to_owned(), problem, genome }
    }
}

/// What is asked of the networks.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A grid of the plane, with examples of what is right: place and label.
    Plane(Vec<([f32; 2], f32)>),
    /// Images, each with its class. All are squares.
    Images(Vec<(Vec<f32>, usize)>),
}

/// What one learner answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Whose.
    pub name: String,
    /// At each of [`LOOKS`], as far as it came: the outputs at the grid's points, row by row from below, or the class of each image.
    pub looks: Vec<Vec<f32>>,
    /// The share of the task's query that is right, before the first update and after each, as far as it came.
    pub accuracy: Vec<f64>,
}

/// A task and what was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Demonstration {
    /// The task's family.
    pub family: TaskFamily,
    /// What was asked.
    pub asked: Probe,
    /// What each learner answered.
    pub learners: Vec<Answers>,
}

/// Has learners learn the same fresh task of a family. `None` if it is of a kind that has no picture, or its data are not here.
pub fn demonstrate(
    learners: &[Learner],
    family: TaskFamily,
    seed: Seed,
    data: &dyn DataSets,
) -> Option<Demonstration> {
    let problem = &learners.first()?.problem;
    let stage = Stage::judging(problem);
    let mut tasks = problem.tasks.clone();
    // As people know them, whatever the search does to images and classes.
    tasks.images.permute_labels = false;
    tasks.images.inputs = vec![InputAugmentation::Original];
    let distribution = distribution(family, &tasks, stage.task_set(), data).ok()?;
    let seed = stage.task_seed(seed, family, 0);
    let task = distribution.sample(seed).ok()?;
    let sizes = task.sizes();
    let (mut inputs, mut targets) =
        (vec![0.0; sizes.query * sizes.inputs], vec![0.0; sizes.query * sizes.outputs]);
    task.query(&mut inputs, &mut targets);
    let (asked, grid) = match family.row().kind {
        TaskKind::Labels if sizes.inputs == 2 && sizes.outputs == 1 => {
            let (points, _) = inputs.as_chunks::<2>();
            let points = points.iter().copied().zip(targets.iter().copied()).take(POINTS_SHOWN);
            (Probe::Plane(points.collect()), grid())
        }
        TaskKind::Images if is_square(sizes.inputs) && sizes.outputs > 1 => {
            let images = inputs.chunks_exact(sizes.inputs).zip(targets.chunks_exact(sizes.outputs));
            let images = images.map(|(image, target)| (image.to_vec(), class(target))).take(IMAGES_SHOWN);
            let asked = inputs[..sizes.inputs * sizes.query.min(IMAGES_SHOWN)].to_vec();
            (Probe::Images(images.collect()), asked)
        }
        _ => return None,
    };
    let query = ExampleBatch { inputs: &inputs, targets: &targets, examples: sizes.query };
    let learn = |learner: &Learner| answers(learner, &*task, seed, query, &grid);
    let learners = learners.iter().map(learn).collect::<Option<_>>()?;
    Some(Demonstration { family, asked, learners })
}

fn is_square(inputs: usize) -> bool {
    let side = inputs.isqrt();
    side > 3 && side * side == inputs
}

/// The centres of the cells of [-1, 1]^2.
fn grid() -> Vec<f32> {
    let at = |place: usize| ((2 * place + 1) as f32) / SIDE as f32 - 1.0;
    (0..SIDE * SIDE).flat_map(|cell| [at(cell % SIDE), at(cell / SIDE)]).collect()
}

/// The output that is largest; the first of several.
fn class(outputs: &[f32]) -> usize {
    let mut best = 0;
    for (place, output) in outputs.iter().enumerate() {
        if *output > outputs[best] {
            best = place;
        }
    }
    best
}

/// Has one learner learn; `None` if its genome is not one of its rule.
fn answers(
    learner: &Learner,
    task: &dyn Task,
    seed: Seed,
    query: ExampleBatch<'_>,
    asked: &[f32],
) -> Option<Answers> {
    let Learner { name, problem, genome } = learner;
    let (sizes, network) = (task.sizes(), &problem.network);
    let layers = network.layer_sizes(network.shape(seed), sizes.inputs as u32, sizes.outputs as u32);
    let batch_max = sizes.support.max(sizes.query);
    let mut rule = rule::family(&problem.rule).compile(problem, None);
    if !rule.load(genome) {
        return None;
    }
    rule.start(&Shape { layers, batch_max }, seed);
    // Not more at a time than the network has room for.
    let answer = |rule: &mut dyn rule::Rule, inputs: &[f32]| -> Vec<f32> {
        let mut outputs = Vec::new();
        for inputs in inputs.chunks(batch_max * sizes.inputs) {
            let examples = inputs.len() / sizes.inputs;
            let mut some = vec![0.0; examples * sizes.outputs];
            rule.predict(inputs, examples, &mut some);
            outputs.extend(some);
        }
        outputs
    };
    let (mut looks, mut accuracy) = (Vec::new(), Vec::new());
    let (mut inputs, mut targets) =
        (vec![0.0; sizes.support * sizes.inputs], vec![0.0; sizes.support * sizes.outputs]);
    for done in 0..=UPDATES {
        if done > 0 {
            task.support(done - 1, &mut inputs, &mut targets);
            rule.update(&ExampleBatch { inputs: &inputs, targets: &targets, examples: sizes.support });
        }
        let outputs = answer(&mut *rule, query.inputs);
        if !rule.is_finite() || !outputs.iter().all(|output| output.is_finite()) {
            break;
        }
        accuracy.push(right(&outputs, query.targets, sizes.outputs));
        if LOOKS.contains(&done) {
            let outputs = answer(&mut *rule, asked);
            looks.push(if sizes.outputs == 1 {
                outputs
            } else {
                outputs.chunks_exact(sizes.outputs).map(|outputs| class(outputs) as f32).collect()
            });
        }
    }
    Some(Answers { name: name.clone(), looks, accuracy })
}

/// The share of answers that name the right class.
fn right(outputs: &[f32], targets: &[f32], classes: usize) -> f64 {
    let pairs = outputs.chunks_exact(classes).zip(targets.chunks_exact(classes));
    let is_right = |(output, target): &(&[f32], &[f32])| {
        if classes == 1 { (output[0] > 0.0) == (target[0] > 0.0) } else { class(output) == class(target) }
    };
    let all = outputs.len() / classes;
    pairs.filter(is_right).count() as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::RunSpec;

    use super::*;
    use crate::task::data_set::NoDataSets;

    fn problem(spec: &str) -> RuleLearning {
        RunSpec::read(spec).unwrap().problem.rule_learning().unwrap().clone()
    }

    fn adam(problem: &RuleLearning) -> Learner {
        let configuration: BaselineSettings = serde_json::from_str(
            r#"{"kind": "adam", "learning_rate": 0.05, "initial_weights": "xavier", "activation": "tanh", "loss": "logistic"}"#,
        )
        .unwrap();
        Learner::by_baseline("adam", problem, configuration)
    }

    #[test]
    fn adam_learns_a_half_plane_and_its_boundary_is_seen() {
        let problem = problem(include_str!("../../examples/quickstart.toml"));
        let seed = Seed::new(1).unwrap();
        let rule = Learner::by_rule("rule", &problem, problem.layout().initial_mean());
        let family = TaskFamily::HalfPlane;
        let shown = demonstrate(&[rule, adam(&problem)], family, seed, &NoDataSets).unwrap();
        let [_, adam] = &shown.learners[..] else { panic!("{shown:?}") };
        assert_eq!((adam.accuracy.len(), adam.looks.len()), (51, LOOKS.len()));
        assert!(adam.accuracy[50] > 0.9 && adam.accuracy[50] > adam.accuracy[0], "{:?}", adam.accuracy);
        assert!(adam.looks.iter().all(|look| look.len() == SIDE * SIDE));
        // What it answers at the examples' cells agrees with the examples about as often.
        let Probe::Plane(examples) = &shown.asked else { panic!("{shown:?}") };
        let cell = |place: f32| ((f32::midpoint(place, 1.0) * SIDE as f32) as usize).min(SIDE - 1);
        let agrees = |([x, y], label): &&([f32; 2], f32)| {
            (adam.looks[6][cell(*y) * SIDE + cell(*x)] > 0.0) == (*label > 0.0)
        };
        assert!(examples.iter().filter(agrees).count() * 10 > examples.len() * 8);
    }

    #[test]
    fn images_are_shown_with_their_classes() {
        let problem = problem(include_str!("../../examples/images.toml"));
        let family = TaskFamily::Digits;
        let shown = demonstrate(&[adam(&problem)], family, Seed::new(1).unwrap(), &NoDataSets).unwrap();
        let Probe::Images(images) = &shown.asked else { panic!("{shown:?}") };
        assert_eq!(images.len(), IMAGES_SHOWN);
        let learner = &shown.learners[0];
        assert!(learner.looks.iter().all(|look| look.len() == IMAGES_SHOWN));
        assert!(learner.accuracy[50] > learner.accuracy[0], "{:?}", learner.accuracy);
    }

    #[test]
    fn what_has_no_picture_has_none() {
        let problem = problem(include_str!("../../examples/quickstart.toml"));
        let seed = Seed::new(1).unwrap();
        let of = |family| demonstrate(&[adam(&problem)], family, seed, &NoDataSets);
        assert!(of(TaskFamily::RememberBits).is_none() && of(TaskFamily::Sinusoid).is_none());
        let wrong = Learner::by_rule("rule", &problem, Genome(vec![0.0]));
        assert!(demonstrate(&[wrong], TaskFamily::HalfPlane, seed, &NoDataSets).is_none());
    }
}
