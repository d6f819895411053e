//! Who computes episodes: what the pool and the session know of networks and tasks.

mod learning;

use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;

use crate::interrupt::Interrupt;
pub use learning::LearningEvaluator;

/// Prepares for runs.
pub trait Evaluator: Send + Sync + 'static {
    /// Prepares for a run, or says what this worker lacks for it. May take a while: it reads data sets.
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String>;
}

/// Episodes of one run; shared by the threads of a worker.
pub trait Runner: Send + Sync + 'static {
    /// What one thread needs to run episodes.
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes>;
}

/// Episodes of one run on one thread.
pub trait Episodes {
    /// Runs an episode; `None` if it was interrupted. The same arguments give the same outcome on every thread.
    fn run(&mut self, genome: &Genome, key: &EpisodeKey, interrupt: &Interrupt) -> Option<Outcome>;
}
