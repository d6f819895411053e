//! The strategy of a run's spec.

use hebbian_search::restart::Limits;
use hebbian_search::{Envelope, Frame, Strategy, StrategyError};
use hebbian_shared::limits::{EPISODES_PER_GENERATION_MAX, POPULATION_SIZE_MAX, SEARCH_NUMBERS_MAX};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::validation::Selection;

/// Ended searches whose means are kept where validation chooses among them.
const FINALISTS_MAX: usize = 15;

/// Where an engine's searches come from. The default are the strategies that specs name; whoever tries one that no spec names yet
/// has it here, and all that is around it stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Strategies {
    /// The strategy of a validated spec at its first generation.
    pub start: fn(&RunSpec) -> Box<dyn Strategy>,
    /// The same as it was when it gave away its state; it continues bit for bit. A state that is not its own is refused.
    pub resume: fn(&RunSpec, &Envelope) -> Resumed,
}

/// A strategy that goes on, or why the state is not one of its own.
pub type Resumed = Result<Box<dyn Strategy>, StrategyError>;

impl Default for Strategies {
    fn default() -> Self {
        Self { start: build, resume: restore }
    }
}

/// The strategy of a validated and complete spec at its first generation.
pub fn build(spec: &RunSpec) -> Box<dyn Strategy> {
    hebbian_search::start(&spec.strategy, spec.initial_mean().0, spec.seed, &frame(spec))
}

/// The strategy of a validated spec as it was when it gave away its state; it continues bit for bit.
///
/// A state of another strategy or dimension, or one whose numbers no search can reach, is refused.
pub fn restore(spec: &RunSpec, state: &Envelope) -> Resumed {
    hebbian_search::resume(&spec.strategy, &spec.initial_mean().0, spec.seed, &frame(spec), state)
}

fn frame(spec: &RunSpec) -> Frame {
    // All episodes and candidates of a generation must be in memory; those that are asked again come on top.
    let candidates = EPISODES_PER_GENERATION_MAX / u64::from(spec.tasks_per_generation()) * 9 / 10;
    let candidates = candidates.min(SEARCH_NUMBERS_MAX / spec.layout().dimension().max(1) as u64 * 9 / 10);
    let population_size = candidates.min(u64::from(POPULATION_SIZE_MAX)) as u32;
    let chosen = spec.validation.as_ref().map(|validation| validation.select);
    let finalists = if chosen == Some(Selection::BestRestart) { FINALISTS_MAX } else { 0 };
    Frame { function_changes: true, limits: Limits { population_size, finalists } }
}
