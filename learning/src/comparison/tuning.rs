//! Tuning of baselines on some families.
//!
//! Every configuration of the grid trains networks on the first tasks; the better part of each class goes on to more
//! tasks, and again, until the best mean accuracy over all tasks decides (successive halving, Jamieson and Talwalkar
//! 2016). All configurations meet the same tasks.

use std::collections::BTreeMap;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::{Loss, Optimizer};
use hebbian_shared::spec::task::TaskFamily;

use super::{BaselineSettings, ComparisonError, Laboratory, TunedBaseline, baseline};
use crate::evaluation::{EvaluationRequest, Score, Scores, Stage};
use grid::Class;

mod grid;

pub(super) use grid::Grid;

/// How closely baselines are tuned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) grid: Grid,
    /// Numbers of updates that baselines are tuned for, each by itself; increasing.
    horizons: &'static [u32],
    /// How many tasks of each family the rounds have, from round to round. A round keeps one configuration in
    /// [`Effort::KEEP`] for the next.
    tasks_per_family: &'static [u32],
}

impl Effort {
    /// So fast that a comparison can begin with it: seconds.
    pub(super) const CUSTOMARY: Self =
        Self { grid: Grid::Customary, horizons: &[5, 10], tasks_per_family: &[4, 16, 64] };
    /// So closely that nobody need doubt it: minutes.
    pub(super) const THOROUGH: Self =
        Self { grid: Grid::Thorough, horizons: &[3, 5, 10, 20, 50], tasks_per_family: &[2, 8, 32, 64] };
    /// Over what is known: a tenth of that.
    pub(super) const NEAR: Self =
        Self { grid: Grid::Near, horizons: &[3, 5, 10, 20, 50], tasks_per_family: &[2, 8, 32] };
    /// Enough to see that it works.
    #[cfg(test)]
    pub(super) const LEAST: Self = Self { tasks_per_family: &[1, 1], ..Self::CUSTOMARY };

    const KEEP: usize = 6;
}

/// What is tuned.
pub(super) struct Tuning<'a> {
    /// Its networks and the sizes of its tasks.
    pub(super) problem: &'a RuleLearning,
    /// Whose tasks are learned.
    pub(super) families: &'a [TaskFamily],
    pub(super) optimizers: &'a [Optimizer],
    pub(super) losses: &'a [Loss],
    /// Root of all draws.
    pub(super) seed: Seed,
    /// What is measured, if it is not what is customary.
    pub(super) score: Option<Score>,
}

impl Tuning<'_> {
    fn classes(&self, effort: Effort) -> Vec<Class> {
        effort.grid.classes(self.optimizers)
    }

    /// How many baselines come of it, at most.
    pub(super) fn winners_max(&self, effort: Effort) -> usize {
        self.classes(effort).len() * effort.horizons.len()
    }

    /// Whether there is nothing to choose from.
    pub(super) fn is_empty(&self, effort: Effort) -> bool {
        self.classes(effort).into_iter().all(|class| effort.grid.of(class, self.losses).is_empty())
    }

    /// Updates of all networks that are trained, at most.
    pub(super) fn work(&self, effort: Effort) -> u64 {
        (0..effort.tasks_per_family.len()).map(|round| self.round_work(effort, round)).sum()
    }

    fn round_work(&self, effort: Effort, round: usize) -> u64 {
        let last = effort.horizons.last().copied().unwrap_or(0);
        let updates: u32 = if round == 0 { last } else { effort.horizons.iter().sum() };
        let left = |class: Class| survivors(effort.grid.of(class, self.losses).len(), round);
        let configurations: usize = self.classes(effort).into_iter().map(left).sum();
        let tasks = self.families.len() as u64 * u64::from(effort.tasks_per_family[round]);
        tasks * configurations as u64 * u64::from(updates)
    }
}

/// Configurations of a class that are left for a round and horizon.
fn survivors(configurations: usize, round: usize) -> usize {
    (configurations / Effort::KEEP.pow(round as u32)).max(1)
}

/// The best configurations of each class: one per horizon, or fewer that are best at several.
pub(super) fn tune(
    tuning: &Tuning<'_>,
    effort: Effort,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<TunedBaseline>, ComparisonError> {
    let horizons = effort.horizons;
    let classes = tuning.classes(effort);
    let configurations: Vec<(Class, BaselineSettings)> = classes
        .iter()
        .flat_map(|&class| effort.grid.of(class, tuning.losses).into_iter().map(move |one| (class, one)))
        .collect();
    // Per horizon, the configurations that are still in; per configuration and horizon, the sum of accuracies.
    let mut in_play: Vec<Vec<usize>> = vec![(0..configurations.len()).collect(); horizons.len()];
    let mut sums = vec![vec![0.0; horizons.len()]; configurations.len()];
    let families = tuning.families.len();
    let mut tasks_before = 0;
    for (round, &tasks) in effort.tasks_per_family.iter().enumerate() {
        let groups = groups(&configurations, &in_play);
        let request = |group: &Group| {
            let problem = baseline::problem(tuning.problem, configurations[group.places[0]].1.options());
            EvaluationRequest {
                genomes: group.places.iter().map(|&place| configurations[place].1.genome(&problem)).collect(),
                problem,
                ablation: None,
                families: tuning.families.to_vec(),
                stage: Stage::Tuning,
                first_task: tasks_before,
                tasks_per_family: tasks,
                points: horizons[..=group.last_horizon].to_vec(),
                seed: tuning.seed,
                score: tuning.score,
                part: None,
            }
        };
        let requests: Vec<EvaluationRequest> = groups.iter().map(request).collect();
        let scores = laboratory.scores(&requests, tuning.round_work(effort, round))?;
        for (group, scores) in groups.iter().zip(&scores) {
            for (genome, &place) in group.places.iter().enumerate() {
                add(&mut sums[place], scores, genome, (families, tasks as usize));
            }
        }
        tasks_before += tasks;
        for (horizon, in_play) in in_play.iter_mut().enumerate() {
            let mut kept = Vec::new();
            for &class in &classes {
                let mut ranked = in_play.clone();
                ranked.retain(|&place| configurations[place].0 == class);
                // Stable: of equals, the first of the grid.
                ranked.sort_by(|&a, &b| sums[b][horizon].total_cmp(&sums[a][horizon]));
                ranked.truncate(survivors(effort.grid.of(class, tuning.losses).len(), round + 1));
                kept.extend(ranked);
            }
            *in_play = kept;
        }
    }
    let mean =
        |place: usize, horizon: usize| sums[place][horizon] / (f64::from(tasks_before) * families as f64);
    let winner = |class: Class, horizon: usize| {
        in_play[horizon].iter().copied().find(|&place| configurations[place].0 == class)
    };
    Ok(classes
        .iter()
        .flat_map(|&class| {
            let won = horizons.iter().enumerate().filter_map(|(horizon, &updates)| {
                let place = winner(class, horizon)?;
                Some((updates, configurations[place].1, mean(place, horizon)))
            });
            winners(class, won, horizons.len())
        })
        .collect())
}

/// Configurations of equal options that are trained equally long: they are genomes of one rule.
struct Group {
    places: Vec<usize>,
    /// The place of the last horizon at which any of them is still in.
    last_horizon: usize,
}

/// The groups of what is still in at any horizon.
fn groups(configurations: &[(Class, BaselineSettings)], in_play: &[Vec<usize>]) -> Vec<Group> {
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for (horizon, places) in in_play.iter().enumerate() {
        last.extend(places.iter().map(|&place| (place, horizon)));
    }
    let mut groups: Vec<Group> = Vec::new();
    for (place, last_horizon) in last {
        let options = configurations[place].1.options();
        let known = groups.iter_mut().find(|group| {
            group.last_horizon == last_horizon && configurations[group.places[0]].1.options() == options
        });
        match known {
            Some(group) => group.places.push(place),
            None => groups.push(Group { places: vec![place], last_horizon }),
        }
    }
    groups
}

/// Adds what a genome scores at each horizon that it reached, task by task: of every family the first, then of every family the
/// second.
fn add(sums: &mut [f64], scores: &Scores, genome: usize, (families, tasks): (usize, usize)) {
    for task in 0..tasks {
        for family in 0..families {
            for (sum, score) in sums.iter_mut().zip(scores.of(genome, family * tasks + task)) {
                *sum += score;
            }
        }
    }
}

/// What won in a class, with the numbers of updates at which it did, of which there are `horizons` in all.
fn winners(
    class: Class,
    won: impl Iterator<Item = (u32, BaselineSettings, f64)>,
    horizons: usize,
) -> Vec<TunedBaseline> {
    let mut tuned: Vec<TunedBaseline> = Vec::new();
    for (updates, configuration, mean) in won {
        let known = tuned.iter_mut().find(|baseline| baseline.configuration == configuration);
        let baseline = if let Some(baseline) = known {
            baseline
        } else {
            tuned.push(TunedBaseline {
                name: class.name(Some(updates)),
                configuration,
                tuned_for: Vec::new(),
                tuning_accuracy: Vec::new(),
            });
            tuned.last_mut().expect("it has just been put there")
        };
        baseline.tuned_for.push(updates);
        baseline.tuning_accuracy.push(mean);
        if baseline.tuned_for.len() == horizons {
            baseline.name = class.name(None);
        }
    }
    tuned
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::gradient_descent::{HiddenActivation, InitialWeights};

    use super::*;

    #[test]
    fn who_wins_everywhere_needs_no_number_of_updates() {
        let class = Class { kind: Optimizer::Adam, decays: true };
        let configuration = |learning_rate| BaselineSettings {
            kind: Optimizer::Adam,
            learning_rate,
            momentum: Some(0.5),
            schedule_power: Some(-0.5),
            initial_weights: InitialWeights::He,
            activation: HiddenActivation::Tanh,
            loss: Loss::Logistic,
        };
        let won = [(3, configuration(0.1), 0.7), (5, configuration(0.2), 0.8), (10, configuration(0.1), 0.9)];
        let names = |tuned: &[TunedBaseline]| tuned.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let tuned = winners(class, won.into_iter(), 3);
        assert_eq!(names(&tuned), ["adam@3 decay", "adam@5 decay"]);
        assert_eq!((&tuned[0].tuned_for[..], &tuned[0].tuning_accuracy[..]), (&[3, 10][..], &[0.7, 0.9][..]));
        assert_eq!(names(&winners(class, won[..1].iter().copied(), 1)), ["adam decay"]);
    }
}
