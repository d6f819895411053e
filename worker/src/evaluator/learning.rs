//! The evaluator of real workers: multi-state networks on sampled tasks.

use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;

use super::{Episodes, Evaluator, Runner};
use crate::episode::{EpisodeRunner, Workspace};
use crate::interrupt::Interrupt;
use crate::task::data_set::{DataSets, NoDataSets};

/// Trains networks with the rules that genomes stand for.
#[derive(Clone)]
pub struct LearningEvaluator {
    data: Arc<dyn DataSets>,
}

impl LearningEvaluator {
    /// With these data sets.
    pub fn new(data: Arc<dyn DataSets>) -> Self {
        Self { data }
    }
}

impl Default for LearningEvaluator {
    /// Without data sets.
    fn default() -> Self {
        Self::new(Arc::new(NoDataSets))
    }
}

impl Evaluator for LearningEvaluator {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        Ok(Arc::new(EpisodeRunner::with_data(spec, &*self.data)?))
    }
}

impl Runner for EpisodeRunner {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(OnThread { runner: self, workspace: Workspace::default() })
    }
}

/// A runner with a thread's own buffers.
struct OnThread {
    runner: Arc<EpisodeRunner>,
    workspace: Workspace,
}

impl Episodes for OnThread {
    fn run(&mut self, genome: &Genome, key: &EpisodeKey, interrupt: &Interrupt) -> Option<Outcome> {
        self.runner.run(&mut self.workspace, genome, key, interrupt)
    }
}
