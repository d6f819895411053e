//! Tuning of baselines on the families that the rule was evolved on.
//!
//! Every configuration of the grid trains networks on the first tasks; the better part of each kind goes on to more
//! tasks, and again, until the best mean accuracy over all tasks decides (successive halving, Jamieson and Talwalkar
//! 2016). All configurations meet the same tasks.

use std::collections::BTreeSet;

use hebbian_shared::seed::Purpose;
use hebbian_shared::spec::RuleLearning;

use super::progress::Progress;
use super::trial::Trial;
use super::{ComparisonError, ComparisonSettings, TunedBaseline, parallel};
use crate::interrupt::Interrupt;
use crate::rule::gradient_descent::{BaselineKind, Configuration, HiddenActivation, InitialWeights, Loss};
use crate::task::data_set::DataSets;
use crate::task::{self, TaskSet};

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
        let families = rule.tasks.families.len() as u64;
        let losses = losses(rule, settings);
        let rounds = self.tasks_per_family.iter().enumerate();
        rounds.map(|(round, &tasks)| families * u64::from(tasks) * round_work(round, settings, losses)).sum()
    }
}

/// Updates that a task of a round takes, at most.
fn round_work(round: usize, settings: &ComparisonSettings, losses: &[Loss]) -> u64 {
    let per_kind = survivors(grid(BaselineKind::Sgd, losses).len(), round);
    let horizons = if round == 0 { 1 } else { HORIZONS.len() };
    (settings.baselines.len() * per_kind * horizons) as u64 * u64::from(HORIZONS[HORIZONS.len() - 1])
}

/// Configurations of a kind that are left for a round and horizon.
fn survivors(configurations: usize, round: usize) -> usize {
    (configurations / Effort::KEEP.pow(round as u32)).max(1)
}

/// The losses that baselines may descend: values are no classes, so the logistic loss is out where there are any.
fn losses(rule: &RuleLearning, settings: &ComparisonSettings) -> &'static [Loss] {
    let mut families = rule.tasks.families.iter().chain(&settings.families);
    if families.any(|family| family.is_regression()) { &[Loss::Squared] } else { Loss::ALL }
}

/// All configurations of a kind.
fn grid(kind: BaselineKind, losses: &[Loss]) -> Vec<Configuration> {
    // Wide enough that the best rate is inside, whatever the other choices (checked by a test).
    let (lowest, highest) = match kind {
        BaselineKind::Sgd => (0.02, 40.0),
        BaselineKind::Momentum => (0.01, 20.0),
        BaselineKind::Adam => (0.004, 1.0),
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
    data: &dyn DataSets,
    progress: &Progress<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<TunedBaseline>, ComparisonError> {
    let mut families = Vec::new();
    for &family in &rule.tasks.families {
        families.push((family, task::distribution(family, &rule.tasks, TaskSet::Training, data)?));
    }
    let losses = losses(rule, settings);
    let configurations: Vec<Configuration> =
        settings.baselines.iter().flat_map(|&kind| grid(kind, losses)).collect();
    // Per horizon, the configurations that are still in; per configuration and horizon, the sum of accuracies.
    let mut in_play: [Vec<usize>; 2] = [0, 1].map(|_| (0..configurations.len()).collect());
    let mut sums = vec![[0.0; HORIZONS.len()]; configurations.len()];
    let mut tasks_before = 0;
    for (round, &tasks) in effort.tasks_per_family.iter().enumerate() {
        let active: Vec<usize> =
            in_play.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let accuracies = parallel::map(
            families.len() * tasks as usize,
            settings.threads,
            interrupt,
            || (),
            |(), job| {
                let (family, distribution) = &families[job % families.len()];
                let number = tasks_before + (job / families.len()) as u64;
                let root = settings.seed.derive(Purpose::Tuning, family.number());
                let seed = root.derive(Purpose::Task, number);
                let trial = Trial::draw(*family, &**distribution, seed, HORIZONS[1])?;
                let layer_sizes = trial.layer_sizes(&rule.network);
                let mut accuracies = Vec::with_capacity(active.len());
                for &place in &active {
                    let curve =
                        trial.train_baseline(configurations[place], &layer_sizes, &HORIZONS, interrupt)?;
                    accuracies.push([curve[0], curve[1]]);
                }
                progress.advance(round_work(round, settings, losses));
                Ok(accuracies)
            },
        )?;
        tasks_before += u64::from(tasks);
        for of_task in &accuracies {
            for (&place, accuracy) in active.iter().zip(of_task) {
                for (sum, accuracy) in sums[place].iter_mut().zip(accuracy) {
                    *sum += accuracy;
                }
            }
        }
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
    let tasks = tasks_before as f64 * families.len() as f64;
    let mut tuned: Vec<TunedBaseline> = Vec::new();
    for &kind in &settings.baselines {
        for (horizon, in_play) in in_play.iter().enumerate() {
            // Ranked best first.
            let Some(&best) = in_play.iter().find(|&&place| configurations[place].kind == kind) else {
                continue;
            };
            let configuration = configurations[best];
            match tuned.iter_mut().find(|baseline| baseline.configuration == configuration) {
                Some(baseline) => {
                    kind.name().clone_into(&mut baseline.name);
                    baseline.tuned_for.push(HORIZONS[horizon]);
                    baseline.tuning_accuracy.push(sums[best][horizon] / tasks);
                }
                None => tuned.push(TunedBaseline {
                    name: format!("{kind}@{}", HORIZONS[horizon]),
                    configuration,
                    tuned_for: vec![HORIZONS[horizon]],
                    tuning_accuracy: vec![sums[best][horizon] / tasks],
                }),
            }
        }
    }
    Ok(tuned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_as_fine_as_promised() {
        for &kind in BaselineKind::ALL {
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
