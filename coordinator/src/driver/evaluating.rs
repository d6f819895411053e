//! Evaluations, from their beginning to their client.

use hebbian_control::command::evaluation::{Abandon, CreateEvaluation};
use hebbian_control::engine::effect::Scored;
use hebbian_shared::id::RunId;
use tokio::sync::mpsc;

use super::{Ask, Driver};
use crate::handle::Reply;

/// The scores of an evaluation as they come, then, if it ended early, why. Unbounded, but never longer than the evaluation.
pub type ArrivingScores = mpsc::UnboundedReceiver<Result<Vec<Scored>, String>>;

/// Begins an evaluation; the answer is its id and where its scores arrive. To be followed by [`Abandon`] when nobody waits for
/// them any more.
#[derive(Clone, Debug)]
pub struct Begin(pub CreateEvaluation);

impl Ask for Begin {
    type Answer = (RunId, ArrivingScores);

    fn ask(self, driver: &mut Driver, reply: Reply<Self::Answer>) {
        let begun = driver.engine.execute(driver.now(), self.0).answer.map(|evaluation| {
            let (sender, arriving) = mpsc::unbounded_channel();
            driver.evaluations.insert(evaluation, sender);
            (evaluation, arriving)
        });
        // Whoever asked may have gone.
        if let Err(Ok((evaluation, _))) = reply.send(begun) {
            driver.abandon(evaluation);
        }
    }
}

impl Driver {
    fn abandon(&mut self, evaluation: RunId) {
        let held = self.engine.execute(self.now(), Abandon { evaluation });
        debug_assert!(held.until.is_none(), "nothing of an evaluation waits for the disk");
    }

    /// Passes on the scores of an evaluation. If its client has gone, [`Abandon`] is on its way.
    pub(super) fn scored(&self, evaluation: RunId, scored: Vec<Scored>) {
        if let Some(client) = self.evaluations.get(&evaluation) {
            let _ = client.send(Ok(scored));
        }
    }

    /// Tells the client of an evaluation that it has ended.
    pub(super) fn evaluation_ended(&mut self, evaluation: RunId, end: Result<(), String>) {
        self.phases.evaluated(evaluation);
        self.traces.evaluated(evaluation, end.as_ref().err().map(String::as_str));
        if let (Some(client), Err(reason)) = (self.evaluations.remove(&evaluation), end) {
            let _ = client.send(Err(reason));
        }
    }
}
