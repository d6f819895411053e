//! Tuning of baselines on the families that the rule was evolved on.
//!
//! Every configuration of the grid trains networks on the first tasks; the better part of each kind goes on to more
//! tasks, and again, until the best mean accuracy over all tasks decides (successive halving, Jamieson and Talwalkar
//! 2016). All configurations meet the same tasks.

use std::collections::BTreeSet;

use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::{HiddenActivation, InitialWeights, Loss, Optimizer};
use hebbian_shared::spec::task::TaskFamily;

use super::{ComparisonError, ComparisonSettings, Configuration, Laboratory, TunedBaseline, baseline};
use crate::evaluation::{EvaluationRequest, Scores, Stage};

/// Numbers of updates that baselines are tuned for, each by itself.
const HORIZONS: [u32; 2] = [5, 10];
/// Learning rates of the grid, in equal ratios.
const RATES: i32 = 18;

/// How many tasks of each family the rounds have, from round to round. A round keeps one configuration in
/// [`Effort::KEEP`] for the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    tasks_per_family: &'static [u32],
}

impl Effort {
    /// What every comparison that is shown to anybody uses.
    pub(super) const FULL: Self = Self { tasks_per_family: &[4, 16, 64] };
    /// Enough to see that it works.
    #[cfg(test)]
    pub(super) const LEAST: Self = Self { tasks_per_family: &[1, 1] };

    const KEEP: usize = 6;

    /// Updates of all networks that are trained, at most.
    pub(super) fn work(self, rule: &RuleLearning, settings: &ComparisonSettings) -> u64 {
        let families = tuned_on(rule).len() as u64;
        let losses = losses(rule, settings);
        let rounds = self.tasks_per_family.iter().enumerate();
        rounds.map(|(round, &tasks)| families * u64::from(tasks) * round_work(round, settings, losses)).sum()
    }
}

/// Updates that a task of a round takes, at most.
fn round_work(round: usize, settings: &ComparisonSettings, losses: &[Loss]) -> u64 {
    let per_kind = survivors(grid(Optimizer::Sgd, losses).len(), round);
    let horizons = if round == 0 { 1 } else { HORIZONS.len() };
    (settings.baselines.len() * per_kind * horizons) as u64 * u64::from(HORIZONS[HORIZONS.len() - 1])
}

/// Configurations of a kind that are left for a round and horizon.
fn survivors(configurations: usize, round: usize) -> usize {
    (configurations / Effort::KEEP.pow(round as u32)).max(1)
}

/// The families that baselines are tuned on: those of the rule, but for such as only stand in for others that are there.
fn tuned_on(rule: &RuleLearning) -> Vec<TaskFamily> {
    let families = rule.tasks.distinct_families();
    let others: Vec<TaskFamily> = families.iter().copied().filter(|family| !family.row().stands_in).collect();
    if others.is_empty() { families } else { others }
}

/// The losses that baselines may descend: values are no classes, so the logistic loss is out where there are any.
fn losses(rule: &RuleLearning, settings: &ComparisonSettings) -> &'static [Loss] {
    let mut families = rule.tasks.families.iter().chain(&settings.families);
    if families.any(|family| family.is_regression()) { &[Loss::Squared] } else { Loss::ALL }
}

/// All configurations of a kind.
fn grid(kind: Optimizer, losses: &[Loss]) -> Vec<Configuration> {
    // Wide enough that the best rate is inside, whatever the other choices (checked by a test).
    let (lowest, highest) = match kind {
        Optimizer::Sgd => (0.02, 40.0),
        Optimizer::Momentum => (0.01, 20.0),
        Optimizer::Adam => (0.004, 1.0),
    };
    let ratio = libm::log(highest / lowest) / f64::from(RATES - 1);
    let mut grid = Vec::new();
    for step in 0..RATES {
        let learning_rate = (lowest * libm::exp(ratio * f64::from(step))) as f32;
        for &initial_weights in InitialWeights::ALL {
            for &activation in HiddenActivation::ALL {
                for &loss in losses {
                    grid.push(Configuration { kind, learning_rate, initial_weights, activation, loss });
                }
            }
        }
    }
    grid
}

/// The best configurations of each kind: one per horizon, or one that is best at both.
pub(super) fn tune(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    effort: Effort,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<TunedBaseline>, ComparisonError> {
    let losses = losses(rule, settings);
    let configurations: Vec<Configuration> =
        settings.baselines.iter().flat_map(|&kind| grid(kind, losses)).collect();
    // Per horizon, the configurations that are still in; per configuration and horizon, the sum of accuracies.
    let mut in_play: [Vec<usize>; 2] = [0, 1].map(|_| (0..configurations.len()).collect());
    let mut sums = vec![[0.0; HORIZONS.len()]; configurations.len()];
    let tuned_on = tuned_on(rule);
    let families = tuned_on.len();
    let mut tasks_before = 0;
    for (round, &tasks) in effort.tasks_per_family.iter().enumerate() {
        let groups = groups(&configurations, in_play.iter().flatten().copied().collect());
        let requests: Vec<EvaluationRequest> = groups
            .iter()
            .map(|places| {
                let problem = baseline::problem(rule, configurations[places[0]].options());
                EvaluationRequest {
                    genomes: places.iter().map(|&place| configurations[place].genome(&problem)).collect(),
                    problem,
                    ablation: None,
                    families: tuned_on.clone(),
                    stage: Stage::Tuning,
                    first_task: tasks_before,
                    tasks_per_family: tasks,
                    points: HORIZONS.to_vec(),
                    seed: settings.seed,
                }
            })
            .collect();
        let work = families as u64 * u64::from(tasks) * round_work(round, settings, losses);
        let scores = laboratory.scores(&requests, work)?;
        for (places, scores) in groups.iter().zip(&scores) {
            for (genome, &place) in places.iter().enumerate() {
                add(&mut sums[place], scores, genome, (families, tasks as usize));
            }
        }
        tasks_before += tasks;
        for (horizon, in_play) in in_play.iter_mut().enumerate() {
            let mut kept = Vec::new();
            for &kind in &settings.baselines {
                let mut ranked = in_play.clone();
                ranked.retain(|&place| configurations[place].kind == kind);
                // Stable: of equals, the first of the grid.
                ranked.sort_by(|&a, &b| sums[b][horizon].total_cmp(&sums[a][horizon]));
                ranked.truncate(survivors(grid(kind, losses).len(), round + 1));
                kept.extend(ranked);
            }
            *in_play = kept;
        }
    }
    let means = |place: usize| sums[place].map(|sum| sum / (f64::from(tasks_before) * families as f64));
    Ok(winners(&configurations, &in_play, &settings.baselines, means))
}

/// The places of active configurations, those of equal options together: they are genomes of one rule.
fn groups(configurations: &[Configuration], active: BTreeSet<usize>) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in active {
        let options = configurations[place].options();
        match groups.iter_mut().find(|group| configurations[group[0]].options() == options) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

/// Adds what a genome scores at each horizon, task by task: of every family the first, then of every family the second.
fn add(sums: &mut [f64; HORIZONS.len()], scores: &Scores, genome: usize, (families, tasks): (usize, usize)) {
    for task in 0..tasks {
        for family in 0..families {
            for (sum, score) in sums.iter_mut().zip(scores.of(genome, family * tasks + task)) {
                *sum += score;
            }
        }
    }
}

/// Of each kind, what is ranked first at each horizon.
fn winners(
    configurations: &[Configuration],
    in_play: &[Vec<usize>; 2],
    kinds: &[Optimizer],
    means: impl Fn(usize) -> [f64; 2],
) -> Vec<TunedBaseline> {
    let mut tuned: Vec<TunedBaseline> = Vec::new();
    for &kind in kinds {
        for (horizon, in_play) in in_play.iter().enumerate() {
            let Some(&best) = in_play.iter().find(|&&place| configurations[place].kind == kind) else {
                continue;
            };
            let (configuration, mean) = (configurations[best], means(best)[horizon]);
            match tuned.iter_mut().find(|baseline| baseline.configuration == configuration) {
                Some(baseline) => {
                    kind.name().clone_into(&mut baseline.name);
                    baseline.tuned_for.push(HORIZONS[horizon]);
                    baseline.tuning_accuracy.push(mean);
                }
                None => tuned.push(TunedBaseline {
                    name: format!("{kind}@{}", HORIZONS[horizon]),
                    configuration,
                    tuned_for: vec![HORIZONS[horizon]],
                    tuning_accuracy: vec![mean],
                }),
            }
        }
    }
    tuned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_as_fine_as_promised() {
        for &kind in Optimizer::ALL {
            let grid = grid(kind, Loss::ALL);
            let distinct =
                |of: &dyn Fn(&Configuration) -> u64| grid.iter().map(of).collect::<BTreeSet<_>>().len();
            assert!(distinct(&|one| u64::from(one.learning_rate.to_bits())) >= 16);
            assert!(distinct(&|one| one.initial_weights as u64) >= 3);
            assert_eq!(distinct(&|one| one.activation as u64), 2);
            assert_eq!(distinct(&|one| one.loss as u64), 2);
            assert_eq!(grid.len(), 18 * 4 * 2 * 2);
        }
    }
}
