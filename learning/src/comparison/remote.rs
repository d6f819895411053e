//! The rule's part of a comparison in pieces, for whoever computes it elsewhere.

use hebbian_shared::genome::Genome;
use hebbian_shared::limits::EVALUATION_POINTS_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;

use super::{Ablation, Comparison, ComparisonError, ComparisonSettings, compare};
use crate::evaluation::{Evaluate, EvaluationError, EvaluationRequest, Gathering, Scores, Stage, Threads};
use crate::interrupt::Interrupt;
use crate::task::data_set::DataSets;

/// The most tasks of one piece.
pub const PIECE_TASKS_MAX: u32 = 4096;

/// Some tasks of one family, on which a rule and what ablations leave of it are tried. Their scores are a function of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    /// The rule, and the tasks and networks that belong to it.
    pub rule: RuleLearning,
    /// The rule's genome.
    pub genome: Genome,
    /// The family.
    pub family: TaskFamily,
    /// The first task.
    pub first: u32,
    /// How many tasks, 1 to [`PIECE_TASKS_MAX`].
    pub tasks: u32,
    /// Numbers of updates after which the score is measured.
    pub updates: Vec<u32>,
    /// What the rule is also tried without.
    pub ablations: Vec<Ablation>,
    /// The comparison's seed.
    pub seed: Seed,
}

impl Trials {
    /// How many numbers [`Trials::scores`] gives.
    pub fn len(&self) -> usize {
        self.tasks as usize * (1 + self.ablations.len()) * self.updates.len()
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each task, for the rule and then each ablation, the score after each number of updates. The bits do not depend
    /// on the number of threads.
    pub fn scores(
        &self,
        threads: usize,
        data: &dyn DataSets,
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>, ComparisonError> {
        let request = |ablation| EvaluationRequest {
            problem: self.rule.clone(),
            ablation,
            genomes: vec![self.genome.clone()],
            families: vec![self.family],
            stage: Stage::Comparison,
            first_task: self.first,
            tasks_per_family: self.tasks,
            points: self.updates.clone(),
            seed: self.seed,
        };
        let ablations = self.ablations.iter().copied().map(Some);
        let requests: Vec<EvaluationRequest> = std::iter::once(None).chain(ablations).map(request).collect();
        let scores = Threads { threads, data }.evaluate(&requests, &|_| (), interrupt)?;
        let of_task = |task| scores.iter().flat_map(move |scores| scores.of(0, task).to_vec());
        Ok((0..self.tasks as usize).flat_map(of_task).collect())
    }
}

/// All scores of the rule's part of a comparison, gathered from pieces.
#[derive(Clone, Debug)]
pub struct Gathered {
    columns: usize,
    ablations: usize,
    tasks: usize,
    /// By family and task.
    scores: Vec<Option<Vec<f64>>>,
    missing: usize,
}

impl Gathered {
    /// None yet.
    pub fn new(settings: &ComparisonSettings) -> Self {
        let tasks = settings.tasks_per_family as usize;
        let missing = settings.families.len() * tasks;
        let (columns, ablations) = (settings.updates.len(), settings.ablations.len());
        Self { columns, ablations, tasks, scores: vec![None; missing], missing }
    }

    /// Takes the scores of a piece, as [`Trials::scores`] gives them. An error says what is wrong with them.
    pub fn add(&mut self, family: u32, first: u32, scores: &[f64]) -> Result<(), String> {
        debug_assert!(self.columns <= EVALUATION_POINTS_MAX);
        let of_task = self.columns * (1 + self.ablations);
        let count = scores.len() / of_task;
        let place = (family as usize).saturating_mul(self.tasks).saturating_add(first as usize);
        let fits = scores.len() == count * of_task && first as usize + count <= self.tasks;
        if !fits || place.saturating_add(count) > self.scores.len() {
            return Err(format!("{} scores from task {first} of family {family} on", scores.len()));
        }
        if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(format!("a score of {score}"));
        }
        for (slot, scores) in self.scores[place..].iter_mut().zip(scores.chunks(of_task)) {
            self.missing -= usize::from(slot.is_none());
            *slot = Some(scores.to_vec());
        }
        Ok(())
    }

    /// Tasks that have scores, and all tasks.
    pub fn progress(&self) -> (usize, usize) {
        (self.scores.len() - self.missing, self.scores.len())
    }
}

/// Completes a comparison whose rule's part was computed elsewhere: `evaluate` tunes and tries the baselines.
pub fn complete(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    gathered: &Gathered,
    evaluate: &dyn Evaluate,
    progress: &(dyn Fn(u64, u64) + Sync),
    interrupt: &Interrupt,
) -> Result<Comparison, ComparisonError> {
    compare(rule, genome, settings, &Given { rule, gathered, evaluate }, progress, interrupt)
}

/// Knows what the rule and its ablations score, and has the rest computed.
pub(super) struct Given<'a> {
    pub(super) rule: &'a RuleLearning,
    pub(super) gathered: &'a Gathered,
    pub(super) evaluate: &'a dyn Evaluate,
}

impl Evaluate for Given<'_> {
    fn evaluate(
        &self,
        requests: &[EvaluationRequest],
        advance: &(dyn Fn(u64) + Sync),
        interrupt: &Interrupt,
    ) -> Result<Vec<Scores>, EvaluationError> {
        let known = requests.iter().take_while(|request| request.problem == *self.rule).count();
        let mut all = Vec::with_capacity(requests.len());
        for (place, request) in requests[..known].iter().enumerate() {
            let mut gathering = Gathering::new(request);
            for (task, scores) in self.gathered.scores.iter().enumerate() {
                let of_request =
                    scores.iter().flat_map(|scores| scores.chunks(self.gathered.columns).nth(place));
                for scores in of_request {
                    gathering.add(0, task as u32, scores).map_err(EvaluationError::Elsewhere)?;
                }
            }
            advance(request.work());
            let missing = format!("{} tasks have no scores", gathering.missing());
            all.push(gathering.finish().ok_or(EvaluationError::Elsewhere(missing))?);
        }
        all.extend(self.evaluate.evaluate(&requests[known..], advance, interrupt)?);
        Ok(all)
    }
}
