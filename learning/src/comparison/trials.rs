//! The rule, what ablations leave of it, and the tuned baselines on the same fresh tasks.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;

use super::{ComparisonError, ComparisonSettings, Laboratory, TunedBaseline, baseline};
use crate::evaluation::EvaluationRequest;

/// What one task of a family showed.
pub(super) struct Trial {
    pub(super) family: TaskFamily,
    /// Score of the rule at each number of updates.
    pub(super) rule: Vec<f64>,
    /// `[ablation][number of updates]`
    pub(super) ablations: Vec<Vec<f64>>,
    /// `[baseline][number of updates]`
    pub(super) baselines: Vec<Vec<f64>>,
}

/// Updates of all networks that [`run`] trains, at most.
pub(super) fn work(settings: &ComparisonSettings) -> u64 {
    let updates = settings.updates.last().copied().unwrap_or(0);
    let networks = 1 + settings.ablations.len() + 2 * settings.baselines.len();
    let tasks = settings.families.len() as u64 * u64::from(settings.tasks_per_family);
    tasks * networks as u64 * u64::from(updates)
}

/// Tries all on fresh tasks of every family, in the order of families and tasks.
pub(super) fn run(
    rule: &RuleLearning,
    genome: &Genome,
    baselines: &[TunedBaseline],
    settings: &ComparisonSettings,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<Trial>, ComparisonError> {
    let request = |problem: RuleLearning, ablation, genome: Genome| EvaluationRequest {
        problem,
        ablation,
        genomes: vec![genome],
        families: settings.families.clone(),
        stage: settings.stage,
        first_task: 0,
        tasks_per_family: settings.tasks_per_family,
        points: settings.updates.clone(),
        seed: settings.seed,
    };
    let mut requests = vec![request(rule.clone(), None, genome.clone())];
    for &ablation in &settings.ablations {
        requests.push(request(rule.clone(), Some(ablation), genome.clone()));
    }
    for TunedBaseline { configuration, .. } in baselines {
        let problem = baseline::problem(rule, configuration.options());
        let genome = configuration.genome(&problem);
        requests.push(request(problem, None, genome));
    }
    let scores = laboratory.scores(&requests, work(settings))?;
    let (of_rule, of_baselines) = scores.split_at(1 + settings.ablations.len());
    let of_task = |(task, family): (usize, TaskFamily)| Trial {
        family,
        rule: of_rule[0].of(0, task).to_vec(),
        ablations: of_rule[1..].iter().map(|scores| scores.of(0, task).to_vec()).collect(),
        baselines: of_baselines.iter().map(|scores| scores.of(0, task).to_vec()).collect(),
    };
    let tasks = settings.tasks_per_family as usize;
    let families = settings.families.iter().flat_map(|&family| std::iter::repeat_n(family, tasks));
    Ok(families.enumerate().map(of_task).collect())
}
