//! The generation that episodes are out for.
//!
//! Beside the strategy's candidates a generation may hold other portions, each with a purpose of its own: the validation of
//! the mean that it opens with, and, when the search has ended, the measurement of mean and best sample on fresh tasks.

use std::sync::Arc;
use std::time::Duration;

use hebbian_search::Measured;
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex};
use hebbian_shared::spec::RunSpec;

use super::record::{Contributions, Settled};
use super::search::Reached;
use crate::scheduler::Portion;

/// Candidates that are measured for one purpose.
pub(super) struct Measurement {
    purpose: EpisodePurpose,
    genomes: Vec<Arc<Genome>>,
    blocks: Vec<BlockIndex>,
    tasks: u32,
    /// Of an episode, in episodes of the search.
    length: u32,
    /// By candidate and task; `None` where an episode is open.
    outcomes: Vec<Option<Outcome>>,
    settled: u32,
    compute_time: Duration,
}

impl Measurement {
    fn new(purpose: EpisodePurpose, candidates: Vec<(Arc<Genome>, BlockIndex)>, tasks: u32) -> Self {
        let outcomes = vec![None; candidates.len() * tasks as usize];
        let (genomes, blocks) = candidates.into_iter().unzip();
        let compute_time = Duration::ZERO;
        Self { purpose, genomes, blocks, tasks, length: 1, outcomes, settled: 0, compute_time }
    }

    /// Genomes that meet the same tasks.
    fn of(purpose: EpisodePurpose, genomes: Vec<Genome>, tasks: u32) -> Self {
        let candidates = genomes.into_iter().map(|genome| (Arc::new(genome), BlockIndex(0)));
        Self::new(purpose, candidates.collect(), tasks)
    }

    fn validation(spec: &RunSpec, means: Vec<Genome>) -> Option<Self> {
        let validation = spec.validation.as_ref()?;
        let measurement = Self::of(EpisodePurpose::Validation, means, validation.tasks());
        Some(Self { length: validation.unroll_factor, ..measurement })
    }

    fn portion(&self) -> Portion<'_> {
        let &Self { purpose, ref blocks, tasks, length, .. } = self;
        Portion { purpose, blocks, tasks, length }
    }

    fn place(&self, candidate: CandidateIndex, task: TaskIndex) -> Option<usize> {
        (candidate.as_usize() < self.genomes.len() && task.0 < self.tasks)
            .then(|| candidate.as_usize() * self.tasks as usize + task.as_usize())
    }

    /// The candidates.
    pub(super) fn genomes(&self) -> &[Arc<Genome>] {
        &self.genomes
    }

    /// Episodes.
    pub(super) fn episodes(&self) -> u32 {
        self.outcomes.len() as u32
    }

    /// What the candidates measured, in their order.
    ///
    /// # Panics
    /// If an episode is open.
    pub(super) fn measured(&self) -> Vec<Measured> {
        let of = |outcomes| Measured::of_outcomes(outcomes).expect("a generation has tasks");
        self.candidates().map(of).collect()
    }

    /// Time that threads computed on them, summed.
    pub(super) fn compute_time(&self) -> Duration {
        self.compute_time
    }

    /// The outcomes of each candidate's episodes, in task order.
    ///
    /// # Panics
    /// If an episode is open.
    pub(super) fn candidates(&self) -> impl Iterator<Item = impl Iterator<Item = &Outcome> + Clone> {
        self.outcomes.chunks(self.tasks as usize).map(|outcomes| {
            outcomes.iter().map(|outcome| outcome.as_ref().expect("only what is complete is read"))
        })
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct OpenGeneration {
    /// A complete portion may be shared with its readers.
    measurements: Vec<Arc<Measurement>>,
    contributions: Contributions,
}

impl OpenGeneration {
    fn of(measurements: impl IntoIterator<Item = Measurement>) -> Self {
        let measurements = measurements.into_iter().map(Arc::new).collect();
        Self { measurements, contributions: Contributions::new() }
    }

    /// What the search asks for, and the validation of its mean if it is due.
    pub(super) fn ask(spec: &RunSpec, reached: &Reached, generation: GenerationIndex) -> Self {
        let due = spec.validation.as_ref().is_some_and(|validation| validation.is_due(generation.0));
        let mean = reached.finalists.first().filter(|_| due).map(|finalist| finalist.mean.clone());
        // First, because its episodes are the longest.
        let validation = mean.and_then(|mean| Measurement::validation(spec, vec![mean]));
        let tasks = spec.tasks_per_generation();
        let search = Measurement::new(EpisodePurpose::Search, reached.candidates.clone(), tasks);
        Self::of(validation.into_iter().chain([search]))
    }

    /// What is measured when the search has ended: every mean that may become the result once more as in validation, and
    /// these and the best sample on tasks that none was selected on.
    pub(super) fn last(spec: &RunSpec, reached: &Reached) -> Self {
        let means: Vec<Genome> = reached.finalists.iter().map(|finalist| finalist.mean.clone()).collect();
        let mut genomes = means.clone();
        let best = reached.best.as_ref().map(|(genome, _)| &**genome);
        genomes.extend(best.filter(|best| !means.contains(best)).cloned());
        let remeasurement = Measurement::of(EpisodePurpose::Remeasure, genomes, spec.remeasured_tasks());
        Self::of(Measurement::validation(spec, means).into_iter().chain([remeasurement]))
    }

    /// What is measured for a purpose.
    pub(super) fn measurement(&self, purpose: EpisodePurpose) -> Option<&Arc<Measurement>> {
        self.measurements.iter().find(|measurement| measurement.purpose == purpose)
    }

    /// What the scheduler is to know.
    pub(super) fn portions(&self) -> Vec<Portion<'_>> {
        self.measurements.iter().map(|measurement| measurement.portion()).collect()
    }

    /// Takes outcomes; what has settled before stays as it is.
    pub(super) fn settle(&mut self, settled: &Settled) {
        let found = self.measurements.iter_mut().find(|measurement| measurement.purpose == settled.purpose);
        // What is complete is shared, and what settles it again is a duplicate.
        let Some(measurement) = found.and_then(Arc::get_mut) else { return };
        for (worker, episodes) in &settled.contributions {
            *self.contributions.entry(worker.clone()).or_default() += episodes;
        }
        for settlement in &settled.settlements {
            let Some(place) = measurement.place(settlement.candidate, settlement.task) else { continue };
            let outcome = &mut measurement.outcomes[place];
            if outcome.is_none() {
                *outcome = Some(settlement.outcome.clone());
                measurement.settled += 1;
                measurement.compute_time = measurement.compute_time.saturating_add(settlement.compute_time);
            }
        }
    }

    /// Whether an episode has an outcome.
    pub(super) fn has_settled(
        &self,
        purpose: EpisodePurpose,
        candidate: CandidateIndex,
        task: TaskIndex,
    ) -> bool {
        let measurement = self.measurement(purpose);
        measurement.is_some_and(|m| m.place(candidate, task).is_some_and(|place| m.outcomes[place].is_some()))
    }

    /// The workers that computed the settled episodes.
    pub(super) fn contributions(&self) -> &Contributions {
        &self.contributions
    }

    /// Episodes.
    pub(super) fn episodes(&self) -> u32 {
        self.measurements.iter().map(|measurement| measurement.episodes()).sum()
    }

    /// Episodes that have an outcome.
    pub(super) fn settled(&self) -> u32 {
        self.measurements.iter().map(|measurement| measurement.settled).sum()
    }

    /// Whether every episode has an outcome.
    pub(super) fn is_complete(&self) -> bool {
        self.settled() == self.episodes()
    }
}
