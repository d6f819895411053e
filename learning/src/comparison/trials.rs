//! The rule, what ablations leave of it, and the tuned baselines on the same fresh tasks.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::companions::Tried;
use super::contenders::{Contenders, Plan};
use super::{ComparisonError, ComparisonSettings, Laboratory, TunedBaseline, baseline_problem};
use crate::evaluation::{EvaluationRequest, Part, Score};

/// What one task of a family showed.
pub(super) struct Trial {
    pub(super) family: TaskFamily,
    /// Score of the rule at each number of updates.
    pub(super) rule: Vec<f64>,
    /// `[ablation][number of updates]`
    pub(super) ablations: Vec<Vec<f64>>,
    /// `[contenders][baseline][number of updates]`; no baselines of contenders that are not tried on the family.
    pub(super) contenders: Vec<Vec<Vec<f64>>>,
    /// `[companion][number of updates]`
    pub(super) companions: Vec<Vec<f64>>,
    /// `[part of what was shown][number of updates]`, of families that are to be remembered.
    pub(super) positions: Vec<Vec<f64>>,
}

/// Parts of a stream whose recall is told apart.
const POSITIONS: u32 = 8;

/// Whether the parts of what is asked for after so many updates are different pairs; of fewer pairs than parts some would be told twice.
pub(super) fn have_own_pairs(tasks: &TaskSpec, updates: u32) -> bool {
    tasks.query_size.min(tasks.batch_size.saturating_mul(updates)) >= POSITIONS
}

/// Whether what was shown first is told from what was shown last: everything else is asked as a whole.
fn has_positions(settings: &ComparisonSettings) -> bool {
    settings.families.iter().all(|&family| Score::of(family) == Score::Recall)
}

/// Updates of all networks that [`run`] trains, at most.
pub(super) fn work(plans: &[Plan], settings: &ComparisonSettings) -> u64 {
    let updates = settings.updates.last().copied().unwrap_or(0);
    let positions = if has_positions(settings) { u64::from(POSITIONS) } else { 0 };
    let own = (1 + settings.ablations.len() as u64 + positions) * settings.families.len() as u64;
    let of_plan = |plan: &Plan| {
        let (networks, families) = plan.networks(settings);
        networks * families
    };
    let networks = own + plans.iter().map(of_plan).sum::<u64>();
    networks * u64::from(settings.tasks_per_family) * u64::from(updates)
}

/// Tries all on fresh tasks of every family, in the order of families and tasks.
pub(super) fn run(
    rule: &RuleLearning,
    genome: &Genome,
    (contenders, companions): (&[Contenders], &[Tried]),
    settings: &ComparisonSettings,
    work: u64,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<Trial>, ComparisonError> {
    let request =
        |problem: RuleLearning, ablation, genome: Genome, families: &[TaskFamily]| EvaluationRequest {
            problem,
            ablation,
            genomes: vec![genome],
            families: families.to_vec(),
            stage: settings.stage,
            first_task: 0,
            tasks_per_family: settings.tasks_per_family,
            points: settings.updates.clone(),
            seed: settings.seed,
            score: settings.score,
            part: None,
        };
    let mut requests = vec![request(rule.clone(), None, genome.clone(), &settings.families)];
    for &ablation in &settings.ablations {
        requests.push(request(rule.clone(), Some(ablation), genome.clone(), &settings.families));
    }
    let positions = if has_positions(settings) { POSITIONS } else { 0 };
    for place in 0..positions {
        let whole = request(rule.clone(), None, genome.clone(), &settings.families);
        requests.push(EvaluationRequest { part: Some(Part { place, of: positions }), ..whole });
    }
    for Contenders { problem, tried_on, set, .. } in contenders {
        for TunedBaseline { configuration, .. } in &set.baselines {
            let (problem, genome) = baseline_problem(problem, *configuration);
            requests.push(request(problem, None, genome, tried_on));
        }
    }
    let scores = laboratory.scores(&requests, work)?;
    let (of_rule, of_others) = scores.split_at(1 + settings.ablations.len());
    let (of_positions, mut of_others) = of_others.split_at(positions as usize);
    let mut of_contenders = Vec::with_capacity(contenders.len());
    for Contenders { set, .. } in contenders {
        let (own, others) = of_others.split_at(set.baselines.len());
        of_contenders.push(own);
        of_others = others;
    }
    let tasks = settings.tasks_per_family as usize;
    let of_task = |(task, family): (usize, TaskFamily)| {
        let tried = contenders.iter().zip(&of_contenders).map(|(contenders, scores)| {
            let Some(place) = contenders.tried_on.iter().position(|&tried| tried == family) else {
                return Vec::new();
            };
            let task = place * tasks + task % tasks;
            scores.iter().map(|of| of.of(0, task).to_vec()).collect()
        });
        Trial {
            family,
            rule: of_rule[0].of(0, task).to_vec(),
            ablations: of_rule[1..].iter().map(|scores| scores.of(0, task).to_vec()).collect(),
            contenders: tried.collect(),
            companions: companions.iter().map(|companion| companion.of_task(task)).collect(),
            positions: of_positions.iter().map(|scores| scores.of(0, task).to_vec()).collect(),
        }
    };
    let families = settings.families.iter().flat_map(|&family| std::iter::repeat_n(family, tasks));
    Ok(families.enumerate().map(of_task).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_from_eight_pairs_on() {
        let of = |batch_size, query_size, updates| {
            let tasks = TaskSpec { batch_size, query_size, ..TaskSpec::of(vec![TaskFamily::RememberBits]) };
            have_own_pairs(&tasks, updates)
        };
        assert!(!of(1, 64, 7) && of(1, 64, 8) && of(1, 64, 9));
        assert!(!of(3, 64, 2) && of(3, 64, 3) && of(8, 64, 1));
        // What is not asked for is in no part.
        assert!(!of(8, 7, 100) && of(8, 8, 100) && of(64, 64, u32::MAX));
    }
}
