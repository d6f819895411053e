//! The ceiling: what kernel ridge regression knows of a task after as many examples.

use hebbian_shared::estimate::Estimate;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::kernel_ridge::KernelRidgeSpec;
use hebbian_shared::spec::task::TaskFamily;
use serde::{Deserialize, Serialize};

use super::{ComparisonError, ComparisonSettings, Laboratory, Rival};
use crate::evaluation::{EvaluationRequest, Stage};

/// Tasks of each family on which width and ridge are chosen.
const TUNING_TASKS: u32 = 4;
/// Numbers of updates for which they are chosen, all together.
const HORIZONS: [u32; 4] = [3, 5, 10, 20];
const WIDTHS: [f64; 5] = [0.7, 1.0, 1.4, 2.0, 2.8];
const RIDGES: [f64; 4] = [0.01, 0.03, 0.1, 0.3];

/// Kernel ridge regression on a family, tuned on that family's training tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// The family.
    pub family: TaskFamily,
    /// Width of the kernel, relative to the root of the number of inputs.
    pub width: f64,
    /// What is added to the diagonal.
    pub ridge: f64,
    /// Fresh tasks.
    pub tasks: u32,
    /// Root of the draws.
    pub seed: Seed,
    /// Numbers of updates, each with a batch of further examples.
    pub updates: Vec<u32>,
    /// Its accuracy after each of them.
    pub accuracy: Vec<Estimate>,
}

fn is_asked_for(settings: &ComparisonSettings) -> bool {
    settings.rivals.as_ref().is_some_and(|rivals| rivals.contains(&Rival::Ceiling))
}

/// Updates that are counted for what [`ceilings`] computes; each costs far more than a network's.
pub(super) fn work(settings: &ComparisonSettings) -> u64 {
    if is_asked_for(settings) { settings.families.len() as u64 * work_of_family(settings) } else { 0 }
}

fn work_of_family(settings: &ComparisonSettings) -> u64 {
    let configurations = (WIDTHS.len() * RIDGES.len()) as u64;
    let tuning = configurations * u64::from(TUNING_TASKS) * u64::from(HORIZONS[HORIZONS.len() - 1]);
    tuning + work_of_trials(settings)
}

fn work_of_trials(settings: &ComparisonSettings) -> u64 {
    u64::from(settings.tasks_per_family) * u64::from(settings.updates.last().copied().unwrap_or(0))
}

/// The ceilings of the families, if they are asked for.
pub(super) fn ceilings(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<Ceiling>, ComparisonError> {
    let families = if is_asked_for(settings) { &settings.families[..] } else { &[] };
    families.iter().map(|&family| measure(rule, family, settings, laboratory)).collect()
}

fn measure(
    rule: &RuleLearning,
    family: TaskFamily,
    settings: &ComparisonSettings,
    laboratory: &Laboratory<'_>,
) -> Result<Ceiling, ComparisonError> {
    let network = NetworkSpec { initial_synapses: InitialSynapses::default(), ..rule.network.clone() };
    let problem =
        RuleLearning { rule: RuleSpec::KernelRidge(KernelRidgeSpec {}), network, tasks: rule.tasks.clone() };
    let request = |genomes, stage, tasks_per_family, points: &[u32]| EvaluationRequest {
        problem: problem.clone(),
        ablation: None,
        genomes,
        families: vec![family],
        stage,
        first_task: 0,
        tasks_per_family,
        points: points.to_vec(),
        seed: settings.seed,
        score: settings.score,
        part: None,
    };
    let grid: Vec<(f64, f64)> =
        WIDTHS.iter().flat_map(|&width| RIDGES.iter().map(move |&ridge| (width, ridge))).collect();
    let genomes: Vec<Genome> = grid.iter().map(|&of| genome(&problem, of)).collect();
    let trials = work_of_trials(settings);
    let tuning = request(genomes.clone(), Stage::Tuning, TUNING_TASKS, &HORIZONS);
    let scores = laboratory.scores(&[tuning], work_of_family(settings) - trials)?;
    let sum =
        |place: usize| -> f64 { (0..TUNING_TASKS as usize).flat_map(|task| scores[0].of(place, task)).sum() };
    // Of equals, the first.
    let best = (1..grid.len()).fold(0, |best, place| if sum(place) > sum(best) { place } else { best });
    let tasks = settings.tasks_per_family;
    let trial = request(vec![genomes[best].clone()], settings.stage, tasks, &settings.updates);
    let scores = laboratory.scores(&[trial], trials)?;
    let (width, ridge) = grid[best];
    let of_point = |point: usize| Estimate::of((0..tasks as usize).map(|task| scores[0].of(0, task)[point]));
    Ok(Ceiling {
        family,
        width,
        ridge,
        tasks,
        seed: settings.seed,
        updates: settings.updates.clone(),
        accuracy: (0..settings.updates.len()).map(of_point).collect(),
    })
}

fn genome(problem: &RuleLearning, (width, ridge): (f64, f64)) -> Genome {
    let layout = problem.layout();
    let mut genome = layout.initial_mean();
    for (name, parameter) in [("width", width), ("ridge", ridge)] {
        let segment = layout.segment(name).expect("kernel ridge regression has it");
        genome.0[segment.start as usize] = segment.transform.invert(parameter);
    }
    genome
}

impl Ceiling {
    /// The accuracy after a number of updates, if it was measured.
    pub fn after(&self, updates: u32) -> Option<Estimate> {
        self.updates.iter().zip(&self.accuracy).find(|(after, _)| **after == updates).map(|(_, found)| *found)
    }
}
