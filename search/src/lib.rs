//! Search strategies: ask for candidates, tell their verdicts. Pure, deterministic, in f64.
//!
//! A strategy is a state and three functions: what it asks for is a function of its state and the run's seed, telling
//! advances the state by one generation, and a snapshot is the whole state. So a restored strategy continues bit for bit.

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::progress::{SearchSummary, StopReason};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::{POPULATION_SIZE_MAX, Restarts, StrategySpec};
use hebbian_shared::spec::validation::Selection;
use hebbian_shared::spec::{EPISODES_PER_GENERATION_MAX, RunSpec};

mod adam;
mod antithetic;
pub mod ask_tell;
pub mod cma_es;
pub mod openai_es;
pub mod pgpe;
pub mod random_search;
mod ranking;
pub mod restart;
pub mod sep_cma_es;
pub mod snapshot;
pub mod stop;

pub use cma_es::CmaEs;
use cma_es::{Criteria, Sampler};
pub use openai_es::OpenAiEs;
pub use pgpe::Pgpe;
pub use random_search::RandomSearch;
use restart::Limits;
pub use restart::RestartedCmaEs;
pub use sep_cma_es::SepCmaEs;
pub use snapshot::StrategySnapshot;

/// Ended searches whose means are kept where validation chooses among them.
const FINALISTS_MAX: usize = 15;

/// A point that a strategy wants measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Where it is.
    pub genome: Genome,
    /// On which block of the generation's tasks. Block 0 is what the search is told of first; others measure again.
    pub block: BlockIndex,
}

/// What measuring a candidate gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The mean of its episodes' fitnesses, or how many of them diverged.
    pub verdict: Verdict,
    /// The gradient of that mean with respect to the genome. Only a strategy that wants gradients is told any, and there is
    /// none where a candidate diverged.
    pub gradient: Option<Vec<f64>>,
}

impl Measured {
    /// Verdicts for a strategy that wants nothing beside them.
    pub fn without_gradients(verdicts: &[Verdict]) -> Vec<Self> {
        verdicts.iter().map(|&verdict| Self { verdict, gradient: None }).collect()
    }
}

/// What a strategy wants to be told of a candidate beside its verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The gradient of the fitness with respect to the genome.
    pub gradient: bool,
}

/// A mean that may become a run's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalist {
    /// The number of the search that ended with it, from 0: restarts are searches of their own.
    pub search: u32,
    /// The mean.
    pub mean: Genome,
}

/// Why a strategy could not be told, or not be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// Another number of verdicts than candidates.
    #[error("{expected} candidates were asked for but {found} verdicts were told")]
    VerdictCount {
        /// Candidates.
        expected: usize,
        /// Verdicts.
        found: usize,
    },
    /// A sample that cannot have been drawn by the strategy.
    #[error("sample {candidate}: {problem}")]
    Sample {
        /// Which one, counted from 0.
        candidate: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A snapshot of another strategy, dimension or version.
    #[error("the snapshot does not fit: {0}")]
    Snapshot(String),
}

/// A search. No generator is stored: what `ask` draws derives from the run's seed and the generation.
pub trait Strategy: Send {
    /// The candidates of the open generation. Pure: ask twice, get the same.
    fn ask(&self) -> Vec<Candidate>;
    /// Closes the open generation with what its candidates measured, in their order. An error leaves the strategy as it was.
    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError>;
    /// What [`Strategy::tell`] wants beside the verdicts. It is the same throughout a search.
    fn wants(&self) -> Wants {
        Wants::default()
    }
    /// Why the strategy itself would end the search, with the figure that met the criterion.
    fn stop_reason(&self) -> Option<StopReason>;
    /// The result of a run: the search distribution's mean (of random search, the best sample).
    fn mean(&self) -> Genome;
    /// The means among which validation chooses the result where the spec asks for it; the first is [`Strategy::mean`], so that
    /// what is measured of it is the same whether a search has ended or goes on.
    fn finalists(&self) -> Vec<Finalist> {
        vec![Finalist { search: 0, mean: self.mean() }]
    }
    /// For people.
    fn summary(&self) -> SearchSummary;
    /// The whole state.
    fn snapshot(&self) -> StrategySnapshot;
}

/// The strategy of a validated spec at its first generation, at the layout's initial mean unless the spec has another.
pub fn build(spec: &RunSpec) -> Box<dyn Strategy> {
    start(&spec.strategy, spec.layout().initial_mean().0, spec.seed, Frame::of_run(spec))
}

/// The strategy of a validated spec as it was when `snapshot` was taken; it continues bit for bit.
///
/// A snapshot of another strategy or dimension, or one whose numbers no search can reach, is refused.
pub fn restore(spec: &RunSpec, snapshot: &StrategySnapshot) -> Result<Box<dyn Strategy>, StrategyError> {
    resume(&spec.strategy, spec.layout().initial_mean().0, spec.seed, Frame::of_run(spec), snapshot)
}

/// What whoever drives a search asks of it beyond its settings. The default is that of a search without a run, whose
/// fitnesses can be compared from generation to generation.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    criteria: Criteria,
    sampler: Sampler,
    limits: Limits,
}

impl Frame {
    /// As the runs of a spec's version have it.
    fn of_run(spec: &RunSpec) -> Self {
        // All episodes of a generation must be in memory; those that are asked again come on top.
        let candidates = EPISODES_PER_GENERATION_MAX / u64::from(spec.tasks_per_generation()) * 9 / 10;
        let population_size = candidates.min(u64::from(POPULATION_SIZE_MAX)) as u32;
        let chosen = spec.validation.as_ref().map(|validation| validation.select);
        let finalists = if chosen == Some(Selection::BestRestart) { FINALISTS_MAX } else { 0 };
        Self {
            criteria: Criteria::of_version(spec.version),
            sampler: if spec.version < 2 { Sampler::Pairs } else { Sampler::default() },
            limits: Limits { population_size, evaluations: spec.stop.evaluations, finalists },
        }
    }
}

/// A strategy of validated settings at its first generation, from an initial mean of finite numbers.
fn start(settings: &StrategySpec, mean: Vec<f64>, seed: Seed, frame: Frame) -> Box<dyn Strategy> {
    let Frame { criteria, sampler, limits } = frame;
    match settings {
        StrategySpec::CmaEs(settings) if settings.restarts != Restarts::None => {
            Box::new(RestartedCmaEs::new(mean, settings, seed, criteria, limits))
        }
        StrategySpec::CmaEs(settings) => {
            Box::new(CmaEs::new(mean, settings, seed).with_criteria(criteria).with_sampler(sampler))
        }
        StrategySpec::RandomSearch(settings) => Box::new(RandomSearch::new(mean, settings, seed)),
        StrategySpec::SepCmaEs(settings) => Box::new(SepCmaEs::new(mean, settings, seed)),
        StrategySpec::Pgpe(settings) => Box::new(Pgpe::new(mean, settings, seed)),
        StrategySpec::OpenAiEs(settings) => Box::new(OpenAiEs::new(mean, settings, seed)),
    }
}

/// The strategy that was started with the same settings and frame, as it was when `snapshot` was taken.
fn resume(
    settings: &StrategySpec,
    mean: Vec<f64>,
    seed: Seed,
    frame: Frame,
    snapshot: &StrategySnapshot,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let Frame { criteria, limits, .. } = frame;
    match (settings, snapshot) {
        (StrategySpec::CmaEs(settings), StrategySnapshot::Restarts(state))
            if settings.restarts != Restarts::None =>
        {
            Ok(Box::new(RestartedCmaEs::restore(mean, settings, seed, criteria, limits, state)?))
        }
        (StrategySpec::CmaEs(settings), StrategySnapshot::CmaEs(state))
            if settings.restarts == Restarts::None =>
        {
            Ok(Box::new(CmaEs::restore(mean, settings, seed, state)?.with_criteria(criteria)))
        }
        (StrategySpec::RandomSearch(settings), StrategySnapshot::RandomSearch(state)) => {
            Ok(Box::new(RandomSearch::restore(mean, settings, seed, state)?))
        }
        (StrategySpec::SepCmaEs(settings), StrategySnapshot::SepCmaEs(state)) => {
            Ok(Box::new(SepCmaEs::restore(mean.len(), settings, seed, state)?))
        }
        (StrategySpec::Pgpe(settings), StrategySnapshot::Pgpe(state)) => {
            Ok(Box::new(Pgpe::restore(mean.len(), settings, seed, state)?))
        }
        (StrategySpec::OpenAiEs(settings), StrategySnapshot::OpenAiEs(state)) => {
            Ok(Box::new(OpenAiEs::restore(mean.len(), settings, seed, state)?))
        }
        (strategy, snapshot) => Err(StrategyError::Snapshot(format!(
            "the spec's strategy is {}, the snapshot is of {}",
            strategy.name(),
            snapshot.name()
        ))),
    }
}

/// The verdicts of what was measured; refuses another number of them than candidates.
fn verdicts_of(expected: usize, measured: &[Measured]) -> Result<Vec<Verdict>, StrategyError> {
    check_count(expected, measured.len())?;
    Ok(measured.iter().map(|measured| measured.verdict).collect())
}

fn check_count(expected: usize, found: usize) -> Result<(), StrategyError> {
    if found == expected { Ok(()) } else { Err(StrategyError::VerdictCount { expected, found }) }
}

#[cfg(test)]
mod conformance;
