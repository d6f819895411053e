//! One task on which the rule and all baselines are tried.

use hebbian_shared::seed::{Purpose, Seed};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::task::TaskFamily;

use super::progress::Progress;
use super::{Ablation, ComparisonError, ComparisonSettings, Score, TunedBaseline, parallel};
use crate::episode::objective;
use crate::interrupt::Interrupt;
use crate::rule::gradient_descent::{Batch, Configuration, Learner};
use crate::rule::multi_state::{Network, UpdateRule};
use crate::task::data_set::DataSets;
use crate::task::{self, TaskDistribution, TaskSet, TaskSizes};

/// A task with all its batches, as the rule's network and as the baselines want them.
pub(super) struct Trial {
    family: TaskFamily,
    sizes: TaskSizes,
    seed: Seed,
    /// Row-major inputs and targets.
    support: Vec<(Vec<f32>, Vec<f32>)>,
    query: (Vec<f32>, Vec<f32>),
    converted_support: Vec<Batch>,
    converted_query: Batch,
}

impl Trial {
    /// Draws the task of a seed and its first batches.
    pub(super) fn draw(
        family: TaskFamily,
        distribution: &dyn TaskDistribution,
        seed: Seed,
        updates: u32,
    ) -> Result<Self, ComparisonError> {
        let task = distribution.sample(seed)?;
        let sizes = task.sizes();
        let buffers = |examples| (vec![0.0; examples * sizes.inputs], vec![0.0; examples * sizes.outputs]);
        let mut support = Vec::with_capacity(updates as usize);
        for update in 0..updates {
            let (mut inputs, mut targets) = buffers(sizes.support);
            task.support(update, &mut inputs, &mut targets);
            support.push((inputs, targets));
        }
        let mut query = buffers(sizes.query);
        task.query(&mut query.0, &mut query.1);
        let converted =
            |examples, (inputs, targets): &(Vec<f32>, Vec<f32>)| Batch::new(examples, inputs, targets);
        Ok(Self {
            family,
            sizes,
            seed,
            converted_support: support.iter().map(|batch| converted(sizes.support, batch)).collect(),
            converted_query: converted(sizes.query, &query),
            support,
            query,
        })
    }

    fn batch_max(&self) -> usize {
        self.sizes.support.max(self.sizes.query)
    }

    /// Layer sizes of all networks that are tried on the task: of the shape that it draws, as in a run.
    pub(super) fn layer_sizes(&self, network: &NetworkSpec) -> Vec<usize> {
        let TaskSizes { inputs, outputs, .. } = self.sizes;
        network.layer_sizes(network.shape(self.seed), inputs as u32, outputs as u32)
    }

    /// Score of a baseline after each of `points` updates, which increase.
    pub(super) fn train_baseline(
        &self,
        configuration: Configuration,
        layer_sizes: &[usize],
        points: &[u32],
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>, ComparisonError> {
        let mut learner = Learner::new(configuration, layer_sizes, self.batch_max());
        learner.reset(self.seed);
        let mut curve = Vec::with_capacity(points.len());
        let mut updates = 0;
        for &point in points {
            if interrupt.is_raised() {
                return Err(ComparisonError::Interrupted);
            }
            for batch in &self.converted_support[updates..point as usize] {
                learner.update(batch);
            }
            updates = point as usize;
            curve.push(match Score::of(self.family) {
                Score::Accuracy => learner.accuracy(&self.converted_query),
                Score::ExplainedVariance => learner.explained_variance(&self.converted_query),
            });
        }
        Ok(curve)
    }

    /// Score of the rule, or of what an ablation leaves of it, after each of `points` updates, which increase. A network
    /// that has left the finite numbers predicts nothing.
    fn train_rule(
        &self,
        rule: &RuleLearning,
        update_rule: &UpdateRule<f32>,
        ablation: Option<Ablation>,
        points: &[u32],
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>, ComparisonError> {
        let mut network = Network::new(&rule.rule, &self.layer_sizes(&rule.network), self.batch_max());
        network.initialise_synapses(&update_rule.initial_synapses(rule.network.initial_synapses), self.seed);
        let ablated = ablation.map(|ablation| ablation.apply(update_rule));
        let update_rule = ablated.as_ref().unwrap_or(update_rule);
        let frozen = ablation.and_then(|ablation| ablation.freeze(&network));
        let mut prediction = vec![0.0; self.query.1.len()];
        let mut curve = Vec::with_capacity(points.len());
        let mut updates = 0;
        for &point in points {
            for (inputs, targets) in &self.support[updates..point as usize] {
                if interrupt.is_raised() {
                    return Err(ComparisonError::Interrupted);
                }
                network.update(update_rule, inputs, targets, self.sizes.support);
                if let Some(frozen) = &frozen {
                    frozen.restore(&mut network);
                }
            }
            updates = point as usize;
            network.predict(update_rule, &self.query.0, self.sizes.query, &mut prediction);
            let finite = network.is_finite() && prediction.iter().all(|value| value.is_finite());
            let score = match Score::of(self.family) {
                Score::Accuracy => objective::accuracy(&prediction, &self.query.1, self.sizes.outputs),
                Score::ExplainedVariance => objective::explained_variance(&prediction, &self.query.1),
            };
            curve.push(if finite { score } else { 0.0 });
        }
        Ok(curve)
    }
}

/// What one task of a family showed.
pub(super) struct TrialResult {
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
    task_work(settings) * settings.families.len() as u64 * u64::from(settings.tasks_per_family)
}

fn task_work(settings: &ComparisonSettings) -> u64 {
    let updates = settings.updates.last().copied().unwrap_or(0);
    (1 + settings.ablations.len() as u64 + 2 * settings.baselines.len() as u64) * u64::from(updates)
}

/// What the rule, and what ablations leave of it, score on one task at each number of updates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RuleScores {
    pub(super) rule: Vec<f64>,
    /// `[ablation][number of updates]`
    pub(super) ablations: Vec<Vec<f64>>,
}

impl RuleScores {
    /// Of the rule, then of each ablation.
    pub(super) fn flat(self) -> impl Iterator<Item = f64> {
        self.rule.into_iter().chain(self.ablations.into_iter().flatten())
    }
}

/// The task of a family with a number, with all the batches that the comparison needs.
pub(super) fn draw(
    family: TaskFamily,
    distribution: &dyn TaskDistribution,
    settings: &ComparisonSettings,
    number: u64,
) -> Result<Trial, ComparisonError> {
    let updates = settings.updates.last().copied().unwrap_or(0);
    let root = settings.seed.derive(Purpose::Comparison, family.number());
    Trial::draw(family, distribution, root.derive(Purpose::Task, number), updates)
}

/// Tries the rule, and what ablations leave of it, on a task.
pub(super) fn of_rule(
    trial: &Trial,
    rule: &RuleLearning,
    update_rule: &UpdateRule<f32>,
    settings: &ComparisonSettings,
    interrupt: &Interrupt,
) -> Result<RuleScores, ComparisonError> {
    let train = |ablation| trial.train_rule(rule, update_rule, ablation, &settings.updates, interrupt);
    let ablations = settings.ablations.iter().map(|&ablation| train(Some(ablation)));
    let ablations = ablations.collect::<Result<_, _>>()?;
    Ok(RuleScores { rule: train(None)?, ablations })
}

/// Tries the rule (unless what it scores on each task is `given`) and the baselines on fresh tasks of every family, in the
/// order of families and tasks.
#[expect(clippy::too_many_arguments, reason = "each is one of its kind")]
pub(super) fn run(
    rule: &RuleLearning,
    update_rule: &UpdateRule<f32>,
    baselines: &[TunedBaseline],
    given: Option<&[RuleScores]>,
    settings: &ComparisonSettings,
    data: &dyn DataSets,
    progress: &Progress<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<TrialResult>, ComparisonError> {
    let mut families = Vec::new();
    for &family in &settings.families {
        families.push((family, task::distribution(family, &rule.tasks, TaskSet::Evaluation, data)?));
    }
    let tasks = settings.tasks_per_family as usize;
    let points = &settings.updates[..];
    parallel::map(
        families.len() * tasks,
        settings.threads,
        interrupt,
        || (),
        |(), job| {
            let (family, distribution) = &families[job / tasks];
            let trial = draw(*family, &**distribution, settings, (job % tasks) as u64)?;
            let layer_sizes = trial.layer_sizes(&rule.network);
            let scores = match given {
                Some(given) => given[job].clone(),
                None => of_rule(&trial, rule, update_rule, settings, interrupt)?,
            };
            let result = TrialResult {
                family: *family,
                rule: scores.rule,
                ablations: scores.ablations,
                baselines: baselines
                    .iter()
                    .map(|baseline| {
                        trial.train_baseline(baseline.configuration, &layer_sizes, points, interrupt)
                    })
                    .collect::<Result<_, _>>()?,
            };
            progress.advance(task_work(settings));
            Ok(result)
        },
    )
}
