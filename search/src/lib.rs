//! Evolution strategies: ask for candidates, tell what they are worth. Pure, deterministic, in f64.
//!
//! ```
//! use hebbian_search::strategy::CmaEsSpec;
//! use hebbian_search::{CmaEs, Measured, Seed, Strategy as _};
//!
//! let rosenbrock = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
//! let mut search = CmaEs::new(vec![-1.0, 2.0], &CmaEsSpec::of(8), Seed::new(1)?);
//! while search.stop_reason().is_none() {
//!     let candidates = search.ask();
//!     // Higher is better: what is minimised is negated.
//!     let measured: Vec<_> = candidates.iter().map(|c| Measured::of(-rosenbrock(&c.genome.0))).collect();
//!     search.tell(&measured)?;
//! }
//! assert!(rosenbrock(&search.mean().0) < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A strategy is a state and a few functions. What it asks for is a function of its state and its seed. To tell it advances the
//! state by one generation. An [`Envelope`] holds the whole state, and a strategy that is resumed from it continues bit for bit.
//!
//! [`start`] and [`resume`] build any strategy of the [`strategy::StrategySpec`]s; [`ask_tell`] keeps limits and the best point.

pub use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::for_each_strategy;
pub use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
pub use hebbian_shared::seed::Seed;
pub use hebbian_shared::spec::strategy;
use hebbian_shared::spec::strategy::StrategySpec;
use serde::{Deserialize, Serialize};

mod adam;
mod antithetic;
pub mod ask_tell;
pub mod cost;
mod envelope;
mod linear_algebra;
mod measured;
mod normal;
mod ranking;
pub mod restart;
pub mod stop;
mod summary;

pub use envelope::{Envelope, Form};
pub use hebbian_shared::episode::Wants;
pub use measured::Measured;
pub use restart::{Limits, RestartedCmaEs};
pub use summary::{GradientSummary, NoiseSummary, Restart, SearchSummary, StopReason};

/// A point that a strategy wants measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Where it is.
    pub genome: Genome,
    /// On which block of the generation's tasks. Block 0 is what the search is told of first; others measure again.
    pub block: BlockIndex,
}

/// When and as which candidate a candidate of an asynchronous search was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Birth {
    /// In which generation.
    pub generation: u32,
    /// Its place there.
    pub candidate: u32,
}

/// A search distribution from which another search may begin.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmStart {
    /// The mean, a genome.
    pub mean: Genome,
    /// The step size.
    pub step_size: f64,
    /// The covariance up to the step size, among all numbers of a genome: its lower triangle by columns, n (n + 1) / 2 numbers.
    pub covariance: Vec<f64>,
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
    /// There is not as much memory as the search takes.
    #[error("no memory for its search, which takes {:.0} MB", *bytes as f64 / 1e6)]
    Memory {
        /// What it takes.
        bytes: u64,
    },
    /// A state of another strategy, dimension or version, or one that no search can reach.
    #[error("the state does not fit: {0}")]
    State(String),
}

/// A search. No generator is stored: what `ask` draws derives from the seed and the generation.
pub trait Strategy: Send {
    /// The candidates of the open generation. Pure: ask twice, get the same.
    fn ask(&self) -> Vec<Candidate>;
    /// Closes the open generation with what its candidates measured, in their order. An error leaves the strategy as it was.
    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError>;
    /// Closes the open generation of an asynchronous search, with as many of its candidates as the population has. `arrived` are their
    /// places with what they measured, in the order of arrival. Of the others those `kept` stay open: they are the first of the
    /// next generation, in that order; so many `fresh` ones follow. Refused by searches that wait for whole generations.
    fn tell_arrived(&mut self, _: &[(u32, Measured)], _: &[u32], _: u32) -> Result<(), StrategyError> {
        Err(whole_generations())
    }
    /// When each candidate of the open generation was drawn; empty of searches that wait for whole generations.
    fn births(&self) -> Vec<Birth> {
        Vec::new()
    }
    /// What [`Strategy::tell`] wants beside the verdicts. It is the same throughout a search.
    fn wants(&self) -> Wants {
        Wants::default()
    }
    /// Puts foreign points into the open generation, in place of its last candidates. Refused by strategies that draw all
    /// themselves.
    fn inject(&mut self, _: &[Genome]) -> Result<(), StrategyError> {
        let problem = "cma-es takes points from elsewhere, and no other strategy".to_owned();
        Err(StrategyError::Sample { candidate: 0, problem })
    }
    /// Why the strategy itself would end the search, with the figure that met the criterion.
    fn stop_reason(&self) -> Option<StopReason>;
    /// The result: the search distribution's mean (of random search, the best sample).
    fn mean(&self) -> Genome;
    /// The means among which the result may still be chosen. The first is [`Strategy::mean`], so that what is measured of it is
    /// the same whether a search has ended or goes on.
    fn finalists(&self) -> Vec<Finalist> {
        vec![Finalist { search: 0, mean: self.mean() }]
    }
    /// Where another search may begin to go on from what this one has learnt; `None` of strategies that keep no covariance.
    fn warm_start(&self) -> Option<WarmStart> {
        None
    }
    /// For people.
    fn summary(&self) -> SearchSummary;
    /// The whole state.
    fn state(&self) -> Envelope;
}

/// A number of genomes that stands for whole numbers: the one nearest to `offset + slope x`, within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Integer {
    /// Its place in a genome.
    pub coordinate: usize,
    /// What is rounded at x = 0.
    pub offset: f64,
    /// By how much it grows with x, positive.
    pub slope: f64,
    /// The smallest whole number; infinite where there is none.
    pub low: f64,
    /// The largest one, above the smallest; infinite where there is none.
    pub high: f64,
}

/// A number of genomes that whoever evaluates it folds back into an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its place in a genome.
    pub coordinate: usize,
    /// How long the interval is, in the genome's units.
    pub length: f64,
}

/// What drives a search asks of it beyond its settings. The default is that of one function of reals that is measured throughout.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Whether every generation measures another function, as other tasks make it. Then fitnesses of different generations say
    /// nothing about each other, and no criterion compares them.
    pub function_changes: bool,
    /// What all restarts together keep to.
    pub limits: Limits,
    /// Numbers of a genome that whoever evaluates it rounds. CMA-ES keeps them moving.
    pub integers: Vec<Integer>,
    /// Numbers of a genome that whoever evaluates it folds back. CMA-ES with integers samples them no wider than that makes sense.
    pub intervals: Vec<Interval>,
}

/// What the rows of the table of strategies stand for here: a module that has `start` and `resume`.
macro_rules! declare {
    ($($(#[$doc:meta])* $module:ident: $variant:ident($settings:ident) = $name:literal,)+) => {
        $(pub mod $module;)+
        $(pub use $module::$variant;)+

        /// A strategy of validated settings at its first generation, from an initial mean of finite numbers.
        pub fn start(settings: &StrategySpec, mean: Vec<f64>, seed: Seed, frame: &Frame) -> Box<dyn Strategy> {
            match settings {
                $(StrategySpec::$variant(settings) => $module::start(settings, mean, seed, frame),)+
            }
        }

        /// The strategy that was started with the same settings, mean, seed and frame, as it was when it gave away its state.
        pub fn resume(
            settings: &StrategySpec,
            mean: &[f64],
            seed: Seed,
            frame: &Frame,
            state: &Envelope,
        ) -> Result<Box<dyn Strategy>, StrategyError> {
            match settings {
                $(StrategySpec::$variant(settings) => $module::resume(settings, mean, seed, frame, state),)+
            }
        }
    };
}

for_each_strategy!(declare);

/// The verdicts of what was measured; refuses another number of them than candidates.
fn verdicts_of(expected: usize, measured: &[Measured]) -> Result<Vec<Verdict>, StrategyError> {
    check_count(expected, measured.len())?;
    Ok(measured.iter().map(|measured| measured.verdict).collect())
}

/// Why a search cannot be told of candidates as they arrive.
fn whole_generations() -> StrategyError {
    let problem = "the search waits for whole generations: it is not asynchronous".to_owned();
    StrategyError::Sample { candidate: 0, problem }
}

fn check_count(expected: usize, found: usize) -> Result<(), StrategyError> {
    if found == expected { Ok(()) } else { Err(StrategyError::VerdictCount { expected, found }) }
}

/// The Euclidean length.
fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod conformance;
