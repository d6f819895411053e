//! One task on which the rule and all baselines are tried.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::{Purpose, Seed};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::task::TaskFamily;

use super::progress::Progress;
use super::{ComparisonError, ComparisonSettings, Score, TunedBaseline, parallel};
use crate::evaluation::{Evaluate, EvaluationRequest, Stage, Threads};
use crate::interrupt::Interrupt;
use crate::rule::gradient_descent::{Batch, Configuration, Learner};
use crate::task::data_set::DataSets;
use crate::task::{self, TaskDistribution, TaskSet, TaskSizes};

/// A task with all its batches, as the rule's network and as the baselines want them.
pub(super) struct Trial {
    family: TaskFamily,
    sizes: TaskSizes,
    seed: Seed,
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
    (1 + settings.ablations.len() as u64) * u64::from(updates) + baseline_work(settings)
}

fn baseline_work(settings: &ComparisonSettings) -> u64 {
    let updates = settings.updates.last().copied().unwrap_or(0);
    2 * settings.baselines.len() as u64 * u64::from(updates)
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

/// Tries the rule, and what ablations leave of it, on tasks of every family from `first_task` on; by family and task.
pub(super) fn of_rule(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    (first_task, tasks_per_family): (u32, u32),
    evaluate: &dyn Evaluate,
    advance: &(dyn Fn(u64) + Sync),
    interrupt: &Interrupt,
) -> Result<Vec<RuleScores>, ComparisonError> {
    let request = |ablation| EvaluationRequest {
        problem: rule.clone(),
        ablation,
        genomes: vec![genome.clone()],
        families: settings.families.clone(),
        stage: Stage::Comparison,
        first_task,
        tasks_per_family,
        points: settings.updates.clone(),
        seed: settings.seed,
    };
    let requests: Vec<EvaluationRequest> =
        std::iter::once(None).chain(settings.ablations.iter().copied().map(Some)).map(request).collect();
    let scores = evaluate.evaluate(&requests, advance, interrupt)?;
    let of_task = |task: u32| {
        let mut scores = scores.iter().map(|scores| scores.of(0, task as usize).to_vec());
        let rule = scores.next().expect("there is one of the whole rule");
        RuleScores { rule, ablations: scores.collect() }
    };
    Ok((0..requests[0].tasks()).map(of_task).collect())
}

/// Tries the rule (unless what it scores on each task is `given`) and the baselines on fresh tasks of every family, in the
/// order of families and tasks.
#[expect(clippy::too_many_arguments, reason = "each is one of its kind")]
pub(super) fn run(
    rule: &RuleLearning,
    genome: &Genome,
    baselines: &[TunedBaseline],
    given: Option<&[RuleScores]>,
    settings: &ComparisonSettings,
    data: &dyn DataSets,
    progress: &Progress<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<TrialResult>, ComparisonError> {
    let computed;
    let given = if let Some(given) = given {
        given
    } else {
        let evaluate = Threads { threads: settings.threads, data };
        let (all, advance) = ((0, settings.tasks_per_family), |work| progress.advance(work));
        computed = of_rule(rule, genome, settings, all, &evaluate, &advance, interrupt)?;
        &computed
    };
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
            let scores = given[job].clone();
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
            progress.advance(baseline_work(settings));
            Ok(result)
        },
    )
}
