//! The computing of episodes, as the pool and the session know it.

mod exec;
mod learning;

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{Asked, EpisodeKey, Outcome, Wants};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::data_set::DataSetName;

pub use exec::{ExecEvaluator, shell};
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::task::data_set::Arriving;
pub use learning::LearningEvaluator;

/// Prepares for runs.
pub trait Evaluator: Send + Sync + 'static {
    /// Prepares for a run, or says what this worker lacks for it. May take a while: it reads data sets.
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String>;

    /// The data sets that [`Evaluator::prepare`] wants and does not find. May take a while, too.
    fn lacking(&self, _spec: &RunSpec) -> Vec<(DataSetName, Digest)> {
        Vec::new()
    }

    /// Prepares for an evaluation, whose request is text, or says what this worker lacks for it. The runner's episodes name
    /// genomes and tasks by their places in the request, and give scores.
    fn prepare_evaluation(&self, _request: &str) -> Result<Arc<dyn Runner>, String> {
        Err("this worker computes no evaluations".to_owned())
    }

    /// The data sets that [`Evaluator::prepare_evaluation`] wants and does not find.
    fn lacking_for_evaluation(&self, _request: &str) -> Vec<(DataSetName, Digest)> {
        Vec::new()
    }

    /// Takes a data set that is lacking, which comes from elsewhere.
    fn receive(&self, name: DataSetName, _digest: Digest) -> Result<Box<dyn Arriving>, String> {
        Err(format!("data set `{name}` is not wanted"))
    }
}

/// Episodes of one run or evaluation; shared by the threads of a worker.
pub trait Runner: Send + Sync + 'static {
    /// What an episode's outcome has to look like, apart from what is wanted beside its fitness.
    fn asked(&self) -> Asked {
        Asked::FITNESS
    }

    /// What one thread needs to run episodes.
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes>;
}

/// Episodes of one run or evaluation on one thread.
pub trait Episodes {
    /// Runs an episode and finds what is wanted beside its fitness; `None` if it was interrupted. The same arguments give the
    /// same outcome on every thread.
    fn run(
        &mut self,
        genome: &Genome,
        key: &EpisodeKey,
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Option<Outcome>;

    /// How many episodes it is good to run together.
    fn together(&self) -> usize {
        1
    }

    /// Runs some episodes, each as [`Episodes::run`] does.
    fn run_together(
        &mut self,
        episodes: &[(&Genome, EpisodeKey)],
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Vec<Option<Outcome>> {
        episodes.iter().map(|(genome, key)| self.run(genome, key, wants, interrupt)).collect()
    }
}
