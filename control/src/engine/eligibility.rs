//! Which worker may work on which run, and what is said when none may.

use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::Numerics;
use hebbian_shared::spec::external::Tolerance;
use hebbian_shared::time::Timestamp;

use super::exclusion::LIED;
use super::{Engine, WorkerEntry};
use crate::run::record::Record;
use crate::scheduler::Action;

fn other_numerics(its: Digest, whose: &str, taken: Digest) -> String {
    let (its, taken) = (its.short(), taken.short());
    format!("its numerics fingerprint is {its}, the {whose} is {taken}: another kind of processor or version")
}

fn serves_another(hello: &Hello, problem: &str) -> String {
    let remedy = format!("`hebbian worker --exec COMMAND --serves {problem}` is one that does");
    match hello.serves.as_slice() {
        [] => format!("it trains networks and evaluates no external problem; {remedy}"),
        served => format!("it serves {} and not `{problem}`; {remedy}", served.join(", ")),
    }
}

impl Engine {
    /// Decides whether a worker may work on a run or an evaluation.
    pub(crate) fn admit(&mut self, now: Timestamp, id: RunId, worker: WorkerId) {
        let Some(reason) = self.unfit(id, worker) else { return };
        let mut actions = Vec::new();
        self.scheduler.rejected(id, worker, reason, &mut actions);
        // Visible in the worker's status; a note for each attachment would drown the others.
        actions.retain(|action| !matches!(action, Action::Barred { .. }));
        self.carry_out(now, actions);
        self.note_if_stranded(now, id);
    }

    /// Why a worker may not work on a run or an evaluation.
    fn unfit(&self, id: RunId, worker: WorkerId) -> Option<String> {
        let WorkerEntry { hello, excluded, .. } = &self.workers[&worker];
        let external = self.runs.get(&id).and_then(|run| run.spec().problem.external());
        if *excluded {
            Some(LIED.to_owned())
        } else if let Some(problem) = external {
            (!hello.serves(&problem.name)).then(|| serves_another(hello, &problem.name))
        } else if !hello.serves.is_empty() {
            Some(format!("it serves external problems ({}) and trains no networks", hello.serves.join(", ")))
        } else if hello.episode_semantics != EPISODE_SEMANTICS {
            Some(format!(
                "its episode semantics are {}, those of this coordinator are {EPISODE_SEMANTICS}: run the same \
                 version on both sides",
                hello.episode_semantics
            ))
        } else if let Some(evaluation) = self.evaluations.get(&id) {
            let taken = evaluation.fingerprint.filter(|taken| *taken != hello.fingerprint)?;
            Some(other_numerics(hello.fingerprint, "evaluation's", taken))
        } else {
            let run = self.runs.get(&id).filter(|run| run.spec().numerics == Numerics::Uniform)?;
            let taken = run.fingerprint().filter(|taken| *taken != hello.fingerprint)?;
            let waiver = " (the spec's `numerics = \"any\"` would waive it)";
            Some(other_numerics(hello.fingerprint, "run's", taken) + waiver)
        }
    }

    /// Takes the fingerprint of a run or an evaluation from the worker that is the first to settle something of it; the others may go on
    /// if theirs is the same.
    pub(super) fn take_fingerprint(&mut self, now: Timestamp, id: RunId, worker: WorkerId) {
        let hello = &self.workers[&worker].hello;
        let fingerprint = hello.fingerprint;
        if let Some(evaluation) = self.evaluations.get_mut(&id) {
            if evaluation.fingerprint.replace(fingerprint).is_some() {
                return;
            }
        } else {
            let run = self.runs.get_mut(&id).expect("what settles belongs to an evaluation or a run");
            // Nobody knows the bits of an external objective.
            let is_external = run.spec().problem.external().is_some();
            if run.fingerprint().is_some() || run.spec().numerics == Numerics::Any || is_external {
                return;
            }
            let mut writes = Vec::new();
            let record = Record::FingerprintTaken { fingerprint, worker: hello.name.clone() };
            run.commit(now, record, &mut writes);
            self.outbox.write(now, &mut writes);
        }
        self.scheduler.set_tolerance(id, Some(Tolerance::NONE));
        self.admit_all(now, id);
    }

    /// Decides anew which of the attached workers may work on a run or an evaluation.
    pub(crate) fn admit_all(&mut self, now: Timestamp, id: RunId) {
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            self.admit(now, id, worker);
        }
    }

    /// Asks all workers again whether they can work on a run, as an operator wants it. If it has closed no generation and nobody has
    /// the numerics that its first settlement gave it, it forgets them, and what has settled with it.
    pub(crate) fn ask_again(&mut self, now: Timestamp, id: RunId) {
        self.scheduler.resume(id);
        let held = |taken| self.workers.values().any(|entry| entry.hello.fingerprint == taken);
        let run = self.runs.get_mut(&id).filter(|run| run.fingerprint().is_some_and(|taken| !held(taken)));
        if let Some(run) = run.filter(|run| run.has_closed_none() && !run.is_advancing()) {
            let mut writes = Vec::new();
            run.commit(now, Record::FingerprintReleased, &mut writes);
            self.outbox.write(now, &mut writes);
            self.scheduler.set_tolerance(id, None);
            self.submit(now, id);
        }
        self.admit_all(now, id);
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
