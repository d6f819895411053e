//! Which worker may work on which run, and what is said when none may.

use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::Numerics;
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::run::record::Record;

impl Engine {
    /// Decides whether a worker may work on a run; the first one gives the run its fingerprint.
    pub(super) fn admit(&mut self, now: Timestamp, id: RunId, worker: WorkerId) {
        let (Some(run), Some(entry)) = (self.runs.get_mut(&id), self.workers.get(&worker)) else { return };
        let hello = &entry.hello;
        let mut writes = Vec::new();
        let reason = if hello.episode_semantics != EPISODE_SEMANTICS {
            Some(format!(
                "its episode semantics are {}, those of this coordinator are {EPISODE_SEMANTICS}: run the same \
                 version on both sides",
                hello.episode_semantics
            ))
        } else if run.spec().numerics == Numerics::Any {
            None
        } else if let Some(fingerprint) = run.fingerprint() {
            (fingerprint != hello.fingerprint).then(|| {
                format!(
                    "its numerics fingerprint is {}, the run's is {}: another kind of processor or version (the \
                     spec's `numerics = \"any\"` would waive it)",
                    hello.fingerprint.short(),
                    fingerprint.short()
                )
            })
        } else {
            let record =
                Record::FingerprintTaken { fingerprint: hello.fingerprint, worker: hello.name.clone() };
            run.commit(now, record, &mut writes);
            None
        };
        self.outbox.write(now, &mut writes);
        if let Some(reason) = reason {
            // Visible in the worker's status; a note for each attachment would drown the others.
            self.scheduler.bar(id, worker, reason, &mut Vec::new());
            self.note_if_stranded(now, id);
        }
    }

    /// Why a run gets nowhere although workers are attached, for people.
    pub(super) fn stranded(&self, id: RunId) -> Option<String> {
        let reason = self.scheduler.stranded(id)?;
        Some(format!(
            "no attached worker may work on it, the last one because {reason}; it goes on when one comes that may, and \
             `hebbian resume` asks them all again"
        ))
    }

    pub(super) fn note_if_stranded(&mut self, now: Timestamp, id: RunId) {
        if let Some(text) = self.stranded(id) {
            self.note(now, id, text);
        }
    }
}
