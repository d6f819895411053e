//! Workers whose answers are wrong: what follows when it is known who has lied.
//!
//! What such a worker settled of an open generation is computed again, as if it had never answered. What it settled of generations
//! that are closed is part of its runs' searches: they are marked from its first settlement on, and go on. The snapshot before
//! that is kept, and a fork that begins with it is the run as it would have been without the liar.

use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::Engine;
use super::events::Happening;
use crate::run::record::Record;

/// Why a worker is excluded, for people.
pub(super) const LIED: &str = "two others agree on an episode of which it said otherwise, so its machine is faulty or its \
                    answers are made up";

impl Engine {
    /// Keeps a worker that has lied from everything, and forgets what it said as far as possible.
    pub(super) fn exclude(&mut self, now: Timestamp, worker: WorkerId, run: RunId) {
        let told = self.runs.values().find_map(|run| run.name_of(worker));
        let known = match self.workers.get_mut(&worker) {
            Some(entry) if entry.excluded => return,
            Some(entry) => {
                entry.excluded = true;
                let mut actions = Vec::new();
                for job in self.runs.keys().chain(self.evaluations.keys()) {
                    self.scheduler.bar(*job, worker, LIED.to_owned(), &mut actions);
                }
                Some((entry.hello.name.clone(), actions))
            }
            None => None,
        };
        // What one said that has gone is still here; of an evaluation nobody remembers its name.
        let (name, actions) = known.unwrap_or_else(|| (told.unwrap_or_default(), Vec::new()));
        let shown = if name.is_empty() { "a worker that has gone".into() } else { format!("worker {name}") };
        self.note(now, run, format!("{shown} gave a wrong answer; {LIED}"));
        self.happened_to(now, (worker, name.clone()), Happening::Excluded, LIED);
        self.carry_out(now, actions);
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        for run in runs {
            self.disown(now, run, worker, &name);
        }
        let mut writes = Vec::new();
        for ended in self.ended.values_mut() {
            ended.doubt(&name, &mut writes);
        }
        self.outbox.write(now, &mut writes);
    }

    /// Forgets what a worker settled of a run's open generation, and marks the run if there is more.
    fn disown(&mut self, now: Timestamp, id: RunId, worker: WorkerId, name: &str) {
        let run = self.runs.get_mut(&id).expect("answers are disowned in runs that are there");
        let Some(first) = run.first_settled(worker, name) else { return };
        let generation = run.generation();
        let mut writes = Vec::new();
        let episodes = if run.state().is_final() || run.is_advancing() {
            Vec::new()
        } else {
            run.settled_by(worker, name)
        };
        let count = episodes.len();
        if first < generation || run.state().is_final() || run.is_advancing() {
            run.commit(now, Record::Doubted { generation: first, worker: name.to_owned() }, &mut writes);
        }
        if count > 0 {
            run.commit(now, Record::Reopened { generation, episodes }, &mut writes);
            let text = format!(
                "{count} episodes of generation {generation} that worker {name} settled are computed again"
            );
            run.note(now, text, &mut writes);
        }
        self.outbox.write(now, &mut writes);
        if count > 0 {
            self.submit(now, id);
        }
    }

    /// Compares what says again how episodes ended with what has settled them; not of evaluations, nor of a run whose answers may differ.
    pub(super) fn compare(
        &mut self,
        now: Timestamp,
        id: RunId,
        worker: WorkerId,
        (purpose, block): (EpisodePurpose, BlockIndex),
        again: Vec<Settlement>,
    ) {
        for said in again {
            let Some(run) = self.runs.get_mut(&id).filter(|run| !run.is_noisy()) else { return };
            let name = &self.workers[&worker].hello.name;
            let Some((outcome, maker, makers_name)) = run.contradicted_by(purpose, &said) else { continue };
            let generation = run.generation();
            let place = (purpose, said.candidate, said.task);
            let compared = run.tolerance().is_some();
            let checked = self.settings.scheduler.recheck.share > 0.0;
            let judged = compared && checked && !run.is_advancing();
            let text = format!(
                "workers {makers_name} and {name} disagree on candidate {} and task {} of generation {generation}: {}",
                said.candidate,
                said.task,
                if judged {
                    "a third one is asked"
                } else if compared || run.spec().problem.external().is_none() {
                    "one of them is wrong, and `cluster.recheck` would show which"
                } else {
                    "if that may be, the spec says so (`problem.noisy`); else `problem.recheck` says how far they may be apart"
                }
            );
            let mut writes = Vec::new();
            run.note(now, text, &mut writes);
            if judged {
                run.commit(now, Record::Reopened { generation, episodes: vec![place] }, &mut writes);
                let answers = vec![(maker, outcome), (worker, said.outcome.clone())];
                self.scheduler.dispute(id, &said, (purpose, block), answers);
            }
            self.outbox.write(now, &mut writes);
        }
    }

    /// Remembers that a worker settled something of a run, and when it did so first, where its answers are checked.
    pub(super) fn remember(&mut self, now: Timestamp, id: RunId, worker: WorkerId) {
        if self.settings.scheduler.recheck.share <= 0.0 {
            return;
        }
        // Of an evaluation nothing is kept.
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let Some(worker) = run.is_new(&self.workers[&worker].hello.name) {
            let generation = run.generation();
            let mut writes = Vec::new();
            run.commit(now, Record::Contributor { worker, generation }, &mut writes);
            self.outbox.write(now, &mut writes);
        }
    }
}
