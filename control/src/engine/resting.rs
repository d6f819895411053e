//! Runs that have ended: they rest as summaries, are taken up again for whoever asks for more, and are deleted.

use hebbian_shared::digest::Digest;
use hebbian_shared::id::RunId;
use hebbian_shared::time::Timestamp;

use super::Engine;
use super::effect::Effect;
use crate::run::Run;
use crate::run::ended::Ended;
use crate::run::record::{Created, Write};

impl Engine {
    /// Keeps of a run that has ended no more than a summary, if `durable` is its last record: what its journal does not hold yet would
    /// be lost. To be called with what [`Effect::Publish`] says.
    pub fn rest(&mut self, id: RunId, durable: u64) {
        let run = self.runs.get(&id).filter(|run| run.sequence() == durable);
        if let Some(ended) = run.and_then(Ended::of) {
            self.runs.remove(&id);
            self.lost_told.remove(&id);
            self.ended.insert(id, ended);
        }
    }

    /// Whether no more than a summary of a run is here; [`Engine::wake`] brings the rest.
    pub fn is_resting(&self, id: RunId) -> bool {
        self.ended.contains_key(&id)
    }

    /// Takes a run that rests up again, as [`Run::recover`] read it from the journal, with what that gave to be written. False, and
    /// nothing happens, if it rests no longer, or has a record that had not been read.
    pub fn wake(&mut self, now: Timestamp, run: Run, read: u64, mut writes: Vec<Write>) -> bool {
        let id = run.id();
        if self.ended.get(&id).is_none_or(|ended| ended.sequence() != read) {
            return false;
        }
        self.ended.remove(&id);
        self.runs.insert(id, run);
        self.outbox.write(now, &mut writes);
        true
    }

    /// Whether a run has ended, and the number of its last record; `None` if it cannot be taken up, or there is none.
    pub fn standing(&self, id: RunId) -> Option<(bool, u64)> {
        let whole = self.runs.get(&id).map(|run| (run.state().is_final(), run.sequence()));
        whole.or_else(|| self.ended.get(&id).map(|ended| (true, ended.sequence())))
    }

    /// When a run was created, in milliseconds since 1970 UTC; `None` if that is not known.
    pub(crate) fn created_unix_ms(&self, id: RunId) -> Option<u64> {
        let whole = self.runs.get(&id).map(|run| run.created().created_unix_ms);
        whole.or_else(|| self.ended.get(&id).map(Ended::created_unix_ms))
    }

    /// Whether a creation asks for a run that is there.
    pub(crate) fn is_as(&self, id: RunId, created: &Created) -> bool {
        let whole = self.runs.get(&id).map(|run| run.created().is_as(created));
        whole.or_else(|| self.ended.get(&id).map(|ended| ended.is_as(created))).unwrap_or(false)
    }

    /// The digest of the layout of a run's genomes; `None` if the run is unknown or cannot be taken up.
    pub(crate) fn layout_digest(&self, id: RunId) -> Option<Digest> {
        let whole = self.runs.get(&id).map(Run::layout_digest);
        whole.or_else(|| self.ended.get(&id).map(Ended::layout_digest))
    }

    /// How many runs are counted for a client.
    pub(crate) fn owned_by(&self, owner: &str) -> usize {
        let whole = self.runs.values().filter(|run| run.created().owner == owner).count();
        whole + self.ended.values().filter(|ended| ended.owner() == owner).count()
    }

    pub(super) fn insert_ended(&mut self, ended: Ended) {
        self.order.push(ended.id());
        if !ended.request_id().is_empty() {
            self.request_ids.insert(ended.request_id().to_owned(), ended.id());
        }
        self.ended.insert(ended.id(), ended);
    }

    pub(crate) fn delete(&mut self, now: Timestamp, id: RunId, retired: bool) {
        let whole = self.runs.remove(&id).map(|run| run.created().request_id.clone());
        let ended = || self.ended.remove(&id).map(|ended| ended.request_id().to_owned());
        let request_id = whole.or_else(ended);
        if request_id.is_some() || self.unreadable.remove(&id).is_some() {
            self.order.retain(|other| *other != id);
            if let Some(request_id) = request_id {
                self.request_ids.remove(&request_id);
            }
            self.lost_told.remove(&id);
            self.outbox.write(now, &mut vec![Write::Delete { run: id }]);
            self.outbox.after_sync(Effect::Deleted { run: id, retired });
        }
    }

    /// Takes a run from the scheduler.
    pub(crate) fn end(&mut self, now: Timestamp, id: RunId) {
        self.close_job(now, id);
        self.retire_at = Some(now);
    }

    pub(super) fn close_job(&mut self, now: Timestamp, id: RunId) {
        let mut actions = Vec::new();
        self.scheduler.close(now, id, &mut actions);
        self.carry_out(now, actions);
        for worker in self.workers.values_mut() {
            worker.specs.remove(&id);
        }
    }
}
