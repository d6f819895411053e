//! Which worker may work on which run, and what is said when none may.

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::Numerics;
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::run::record::Record;

fn other_numerics(its: Digest, whose: &str, taken: Digest) -> String {
    let (its, taken) = (its.short(), taken.short());
    format!("its numerics fingerprint is {its}, the {whose} is {taken}: another kind of processor or version")
}

impl Engine {
    /// Decides whether a worker may work on a run or an evaluation; the first one gives it its fingerprint.
    pub(crate) fn admit(&mut self, now: Timestamp, id: RunId, worker: WorkerId) {
        let Some(entry) = self.workers.get(&worker) else { return };
        let hello = &entry.hello;
        let mut writes = Vec::new();
        let reason = if hello.episode_semantics != EPISODE_SEMANTICS {
            Some(format!(
                "its episode semantics are {}, those of this coordinator are {EPISODE_SEMANTICS}: run the same \
                 version on both sides",
                hello.episode_semantics
            ))
        } else if let Some(evaluation) = self.evaluations.get_mut(&id) {
            let taken = *evaluation.fingerprint.get_or_insert(hello.fingerprint);
            (taken != hello.fingerprint).then(|| other_numerics(hello.fingerprint, "evaluation's", taken))
        } else {
            let Some(run) = self.runs.get_mut(&id) else { return };
            match run.fingerprint() {
                _ if run.spec().numerics == Numerics::Any => None,
                Some(taken) => (taken != hello.fingerprint).then(|| {
                    let waiver = " (the spec's `numerics = \"any\"` would waive it)";
                    other_numerics(hello.fingerprint, "run's", taken) + waiver
                }),
                None => {
                    let record = Record::FingerprintTaken {
                        fingerprint: hello.fingerprint,
                        worker: hello.name.clone(),
                    };
                    run.commit(now, record, &mut writes);
                    None
                }
            }
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
