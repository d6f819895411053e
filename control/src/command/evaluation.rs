//! Commands that are about evaluations: what genomes score on tasks, computed by workers for a client that waits.
//!
//! An evaluation is a job of the scheduler beside the runs. Nothing of it is journalled: it ends with its client or with this
//! process, and costs only time then.

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::check_weight;
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{
    CLUSTER_EVALUATION_EPISODES_MAX, CLUSTER_EVALUATION_SCORES_MAX, EVALUATION_GENOMES_MAX, EVALUATIONS_MAX,
    SPEC_BYTES_MAX,
};
use hebbian_shared::time::Timestamp;

use super::{Command, Refusal, check_share};
use crate::engine::Engine;

/// Has workers compute what genomes score on tasks. The answer is the evaluation's id; its scores follow as effects.
#[derive(Clone, Debug)]
pub struct CreateEvaluation {
    /// A number that nobody can foresee: the evaluation has the first id from here on that no run and no other evaluation has.
    pub id: RunId,
    /// The rule, its genomes and the tasks: a text that only workers understand.
    pub request: Arc<str>,
    /// How many genomes it names.
    pub genomes: u32,
    /// How many tasks each of them meets.
    pub tasks: u32,
    /// How many scores an episode has.
    pub points: u32,
    /// The numerics of workers that may compute it; `None` for those of the first that comes.
    pub fingerprint: Option<Digest>,
    /// Share of the cluster beside that of others.
    pub weight: f64,
    /// For whom it is counted: the subject of a certificate, or an address; empty for this process.
    pub owner: String,
}

impl CreateEvaluation {
    fn check(&self) -> Result<(), Refusal> {
        check_weight(self.weight).map_err(|problem| Refusal::field("weight", problem))?;
        let within = |field, found: u64, most: u64| {
            let problem = format!("must be 1 to {most}, not {found}");
            if (1..=most).contains(&found) { Ok(()) } else { Err(Refusal::field(field, problem)) }
        };
        let episodes = u64::from(self.genomes) * u64::from(self.tasks);
        within("request", self.request.len() as u64, SPEC_BYTES_MAX)?;
        within("genomes", u64::from(self.genomes), EVALUATION_GENOMES_MAX as u64)?;
        within("tasks", u64::from(self.tasks), CLUSTER_EVALUATION_EPISODES_MAX / u64::from(self.genomes))?;
        within("points", u64::from(self.points), CLUSTER_EVALUATION_SCORES_MAX / episodes)
    }
}

impl Command for CreateEvaluation {
    type Answer = RunId;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<RunId, Refusal> {
        self.check()?;
        if engine.evaluations.len() >= EVALUATIONS_MAX {
            let problem = format!("{EVALUATIONS_MAX} evaluations are being computed, which is the limit");
            return Err(Refusal::Limit(problem));
        }
        let own = engine.evaluations.values().filter(|evaluation| evaluation.owner == self.owner).count();
        let count = (own, engine.evaluations.len() - own, EVALUATIONS_MAX);
        check_share(&self.owner, count, "evaluations")?;
        Ok(engine.begin_evaluation(now, self))
    }
}

/// The client of an evaluation has gone: nobody wants its scores any more.
#[derive(Clone, Copy, Debug)]
pub struct Abandon {
    /// Which evaluation; it may have ended.
    pub evaluation: RunId,
}

impl Command for Abandon {
    type Answer = ();

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<(), Refusal> {
        engine.end_evaluation(now, self.evaluation, Err("its client has gone".to_owned()));
        Ok(())
    }
}
