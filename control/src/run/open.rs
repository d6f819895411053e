//! The generation that episodes are out for.
//!
//! Beside the strategy's candidates a generation may hold other portions, each with a purpose of its own: the validation of
//! the mean that it opens with, and, when the search has ended, the measurement of mean and best sample on fresh tasks.

use std::sync::Arc;
use std::time::Duration;

use hebbian_search::Measured;
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex, WorkerId};
use hebbian_shared::spec::RunSpec;

use super::record::{Contributions, Maker, Place, Settled};
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
    /// Of each outcome, the place of its maker in the generation's.
    made_by: Vec<u32>,
    settled: u32,
    /// By candidate, its episodes without an outcome.
    left: Vec<u32>,
    /// The candidates all of whose episodes have an outcome, in the order in which the last one came.
    complete: Vec<u32>,
    compute_time: Duration,
}

impl Measurement {
    fn new(purpose: EpisodePurpose, candidates: Vec<(Arc<Genome>, BlockIndex)>, tasks: u32) -> Self {
        let outcomes = vec![None; candidates.len() * tasks as usize];
        let (genomes, blocks): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
        let (made_by, compute_time) = (vec![0; outcomes.len()], Duration::ZERO);
        let (left, complete) = (vec![tasks; blocks.len()], Vec::new());
        Self {
            purpose,
            genomes,
            blocks,
            tasks,
            length: 1,
            outcomes,
            made_by,
            settled: 0,
            left,
            complete,
            compute_time,
        }
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

    /// The outcomes of a candidate's episodes as far as there are some.
    pub(super) fn outcomes_of(&self, candidate: u32) -> impl Iterator<Item = (usize, &Outcome)> {
        let tasks = self.tasks as usize;
        let places = candidate as usize * tasks..(candidate as usize + 1) * tasks;
        places.filter_map(|place| Some((place, self.outcomes[place].as_ref()?)))
    }

    /// What one candidate measured, all of whose episodes have an outcome.
    pub(super) fn measured_of(&self, candidate: u32) -> Measured {
        let outcomes = self.outcomes_of(candidate).map(|(_, outcome)| outcome);
        Measured::of_outcomes(outcomes).expect("a candidate has tasks")
    }

    /// Tasks of each candidate.
    pub(super) fn tasks(&self) -> u32 {
        self.tasks
    }

    /// The candidates all of whose episodes have an outcome, in the order in which they were complete.
    pub(super) fn complete(&self) -> &[u32] {
        &self.complete
    }

    /// Whether all episodes of a candidate have an outcome.
    pub(super) fn is_complete(&self, candidate: u32) -> bool {
        self.left[candidate as usize] == 0
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
    /// The workers that settled something, each with how much of it still counts.
    makers: Vec<Maker>,
    /// Of an asynchronous search: with how many complete candidates it closes.
    share: Option<u32>,
}

impl OpenGeneration {
    fn of(measurements: impl IntoIterator<Item = Measurement>) -> Self {
        let measurements = measurements.into_iter().map(Arc::new).collect();
        Self { measurements, makers: Vec::new(), share: None }
    }

    /// What the search asks for, and the validation of its mean if it is due.
    pub(super) fn ask(spec: &RunSpec, reached: &Reached, generation: GenerationIndex) -> Self {
        let due = spec.validation.as_ref().is_some_and(|validation| validation.is_due(generation.0));
        let mean = reached.finalists.first().filter(|_| due).map(|finalist| finalist.mean.clone());
        // First, because its episodes are the longest.
        let validation = mean.and_then(|mean| Measurement::validation(spec, vec![mean]));
        let tasks = spec.tasks_per_generation();
        let search = Measurement::new(EpisodePurpose::Search, reached.candidates.clone(), tasks);
        let share = spec.strategy.is_asynchronous().then(|| spec.strategy.population_size());
        Self { share, ..Self::of(validation.into_iter().chain([search])) }
    }

    /// With how many complete candidates it closes, whichever they are; `None` where it waits for all.
    pub(super) fn share(&self) -> Option<u32> {
        self.share
    }

    /// What has settled of candidates that stay open, as candidates of the next generation, with the workers that computed it. Those
    /// that are complete come in the order in which they were, so that they will be again.
    pub(super) fn carried(&self, kept: &[u32]) -> (Vec<Settlement>, Vec<Maker>) {
        let Some(measurement) = self.measurement(EpisodePurpose::Search) else {
            return (Vec::new(), Vec::new());
        };
        let mut places = vec![None; measurement.left.len()];
        for (&candidate, place) in kept.iter().zip(0..) {
            places[candidate as usize] = Some(place);
        }
        let place_of = |candidate: u32| places[candidate as usize];
        let is_open = |candidate: &&u32| !measurement.is_complete(**candidate);
        let complete = measurement.complete.iter();
        let (mut settlements, mut makers) = (Vec::new(), Vec::<Maker>::new());
        for candidate in complete.chain(kept.iter().filter(is_open)) {
            let Some(place) = place_of(*candidate) else { continue };
            for (of, outcome) in measurement.outcomes_of(*candidate) {
                settlements.push(Settlement {
                    candidate: CandidateIndex(place),
                    task: TaskIndex((of % measurement.tasks as usize) as u32),
                    outcome: outcome.clone(),
                    // It was counted in this generation.
                    compute_time: Duration::ZERO,
                });
                makers.push(Maker { episodes: 1, ..self.makers[measurement.made_by[of] as usize].clone() });
            }
        }
        (settlements, makers)
    }

    /// The workers that computed candidates of the search.
    pub(super) fn contributions_to(&self, candidates: &[u32]) -> Contributions {
        let mut contributions = Contributions::new();
        let Some(measurement) = self.measurement(EpisodePurpose::Search) else { return contributions };
        for (place, _) in candidates.iter().flat_map(|&candidate| measurement.outcomes_of(candidate)) {
            let maker = &self.makers[measurement.made_by[place] as usize];
            *contributions.entry(maker.worker.clone()).or_default() += 1;
        }
        contributions
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
        let by = settled.makers.iter().flat_map(|maker| {
            let place = maker_of(&mut self.makers, maker);
            std::iter::repeat_n(place, maker.episodes as usize)
        });
        for (settlement, maker) in settled.settlements.iter().zip(by.collect::<Vec<_>>()) {
            let Some(place) = measurement.place(settlement.candidate, settlement.task) else { continue };
            let outcome = &mut measurement.outcomes[place];
            if outcome.is_none() {
                *outcome = Some(settlement.outcome.clone());
                measurement.made_by[place] = maker;
                self.makers[maker as usize].episodes += 1;
                measurement.settled += 1;
                let left = &mut measurement.left[settlement.candidate.as_usize()];
                *left -= 1;
                if *left == 0 {
                    measurement.complete.push(settlement.candidate.0);
                }
                measurement.compute_time = measurement.compute_time.saturating_add(settlement.compute_time);
            }
        }
    }

    /// Forgets outcomes; what is open stays so.
    pub(super) fn reopen(&mut self, episodes: &[Place]) {
        for &(purpose, candidate, task) in episodes {
            let found = self.measurements.iter_mut().find(|measurement| measurement.purpose == purpose);
            let Some(measurement) = found.and_then(Arc::get_mut) else { continue };
            let Some(place) = measurement.place(candidate, task) else { continue };
            if measurement.outcomes[place].take().is_some() {
                measurement.settled -= 1;
                measurement.left[candidate.as_usize()] += 1;
                measurement.complete.retain(|complete| *complete != candidate.0);
                self.makers[measurement.made_by[place] as usize].episodes -= 1;
            }
        }
    }

    /// The episodes that a worker settled. By its name, too, where they are of another coordinator's time.
    pub(super) fn settled_by(&self, worker: WorkerId, name: &str) -> impl Iterator<Item = Place> {
        let its =
            move |maker: &Maker| maker.session == worker.0 || maker.session == 0 && maker.worker == name;
        self.measurements.iter().flat_map(move |measurement| {
            let outcomes = measurement.outcomes.iter().zip(&measurement.made_by).enumerate();
            let tasks = measurement.tasks as usize;
            outcomes
                .filter(move |(_, (outcome, maker))| outcome.is_some() && its(&self.makers[**maker as usize]))
                .map(move |(place, _)| {
                    let (candidate, task) = ((place / tasks) as u32, (place % tasks) as u32);
                    (measurement.purpose, CandidateIndex(candidate), TaskIndex(task))
                })
        })
    }

    /// What settled an episode, and who.
    pub(super) fn settled_with(&self, (purpose, candidate, task): Place) -> Option<(&Outcome, &Maker)> {
        let measurement = self.measurement(purpose)?;
        let place = measurement.place(candidate, task)?;
        Some((measurement.outcomes[place].as_ref()?, &self.makers[measurement.made_by[place] as usize]))
    }

    /// The name of a worker that settled something.
    pub(super) fn name_of(&self, worker: WorkerId) -> Option<String> {
        self.makers.iter().find(|maker| maker.session == worker.0).map(|maker| maker.worker.clone())
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
    pub(super) fn contributions(&self) -> Contributions {
        let mut contributions = Contributions::new();
        for maker in self.makers.iter().filter(|maker| maker.episodes > 0) {
            *contributions.entry(maker.worker.clone()).or_default() += maker.episodes;
        }
        contributions
    }

    /// Episodes.
    pub(super) fn episodes(&self) -> u32 {
        self.measurements.iter().map(|measurement| measurement.episodes()).sum()
    }

    /// Episodes that have an outcome.
    pub(super) fn settled(&self) -> u32 {
        self.measurements.iter().map(|measurement| measurement.settled).sum()
    }

    /// Whether every episode has an outcome; of an asynchronous search, whether enough candidates are complete.
    pub(super) fn is_complete(&self) -> bool {
        match self.share.zip(self.measurement(EpisodePurpose::Search)) {
            Some((share, measurement)) => measurement.complete.len() >= share as usize,
            None => self.settled() == self.episodes(),
        }
    }
}

/// The place of a maker among others, where it gets one if it has none.
fn maker_of(makers: &mut Vec<Maker>, of: &Maker) -> u32 {
    let known = makers.iter().position(|maker| (maker.session, &maker.worker) == (of.session, &of.worker));
    let place = known.unwrap_or_else(|| {
        makers.push(Maker { episodes: 0, ..of.clone() });
        makers.len() - 1
    });
    place as u32
}
