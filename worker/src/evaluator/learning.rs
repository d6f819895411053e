//! The evaluator of real workers: multi-state networks on sampled tasks.

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodeKey, Outcome, Wants};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::data_set::DataSetName;

use super::{Episodes, Evaluator, Runner};
use hebbian_learning::comparison::remote::Trials;
use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::task::data_set::{Arriving, DataSets, NoDataSets};
use hebbian_learning::training::Workspace;

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

    fn lacking(&self, spec: &RunSpec) -> Vec<(DataSetName, Digest)> {
        let known = spec.used_data_sets().filter_map(|data_set| Some((data_set.name, data_set.digest?)));
        known.filter(|&(name, digest)| self.data.find(name, Some(digest)).is_err()).collect()
    }

    fn trials(&self, trials: &Trials, threads: u32, interrupt: &Interrupt) -> Result<Vec<f64>, String> {
        trials.scores(threads as usize, &*self.data, interrupt).map_err(|error| error.to_string())
    }

    fn receive(&self, name: DataSetName, digest: Digest) -> Result<Box<dyn Arriving>, String> {
        self.data.receive(name, digest).map_err(|error| error.to_string())
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
    fn run(
        &mut self,
        genome: &Genome,
        key: &EpisodeKey,
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        if wants.gradient {
            let rule = self.runner.spec().problem.rule_learning().map(|problem| problem.rule.options());
            let reason = format!(
                "rules of the family `{}` give no gradient of their fitness; choose a strategy that wants none",
                rule.map_or("none", |rule| rule.family())
            );
            return Some(Outcome::Rejected { reason });
        }
        self.runner.run(&mut self.workspace, genome, key, interrupt)
    }
}
