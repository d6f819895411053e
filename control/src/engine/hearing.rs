//! What workers say.

use hebbian_search::Birth;
use hebbian_shared::dispatch::{BlockEpisodes, FromWorker, Report, Settlement};
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, WorkerId};
use hebbian_shared::limits::REASON_BYTES_MAX;
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::run::record::{Maker, Record, Settled};
use crate::scheduler::Reported;

impl Engine {
    /// Takes what a worker said. What one says that was detached meanwhile comes late.
    pub(super) fn hear(&mut self, now: Timestamp, worker: WorkerId, message: FromWorker) {
        if !self.workers.contains_key(&worker) {
            if matches!(message, FromWorker::Report(_) | FromWorker::GiveBack(_)) {
                self.scheduler.count_late();
            }
            return;
        }
        self.scheduler.heard(now, worker);
        match message {
            FromWorker::Heartbeat => {}
            FromWorker::Report(report) => self.report(now, worker, report),
            FromWorker::Reject { run, reason } => {
                let mut actions = Vec::new();
                let active = self.runs.get(&run).is_some_and(|run| !run.state().is_final());
                if active || self.evaluations.contains_key(&run) {
                    let reason: String =
                        reason.chars().filter(|c| !c.is_control()).take(REASON_BYTES_MAX).collect();
                    self.scheduler.rejected(run, worker, reason, &mut actions);
                    // If it is asked again, it begins with the spec.
                    let entry = self.workers.get_mut(&worker).expect("it was found above");
                    entry.specs.remove(&run);
                }
                self.carry_out(now, actions);
            }
            FromWorker::Leaving => self.scheduler.drain(worker, None),
            FromWorker::GiveBack(mut given) => {
                self.find_given_back(&mut given);
                // Only a leaving worker gives back: another would be given the same again, without end.
                self.scheduler.drain(worker, None);
                self.scheduler.give_back(now, worker, &given);
            }
        }
    }

    /// What a worker knows by the generation that it was drawn in, as candidates of the open one. What is none of them stays as it
    /// was said.
    fn find(
        &self,
        run: RunId,
        purpose: EpisodePurpose,
        generation: GenerationIndex,
        candidate: CandidateIndex,
    ) -> Option<CandidateIndex> {
        let birth = Birth { generation: generation.0, candidate: candidate.0 };
        self.runs.get(&run)?.born(purpose, birth)
    }

    fn find_reported(&self, report: &mut Report) {
        let Some(run) = self.runs.get(&report.run).filter(|run| run.is_asynchronous()) else { return };
        let (id, purpose, born) = (report.run, report.purpose, report.generation);
        let found = |mut settlement: Settlement| {
            settlement.candidate = self.find(id, purpose, born, settlement.candidate)?;
            Some(settlement)
        };
        let settlements: Vec<Settlement> = report.settlements.iter().cloned().filter_map(found).collect();
        // What was dropped, or told long ago, is late: of no generation that is open.
        let is_late = settlements.is_empty() && born == run.generation();
        report.generation = if settlements.is_empty() { born } else { run.generation() };
        report.block = BlockIndex(born.0);
        if !settlements.is_empty() || is_late {
            report.settlements = settlements;
        }
    }

    fn find_given_back(&self, given: &mut BlockEpisodes) {
        let Some(run) = self.runs.get(&given.run).filter(|run| run.is_asynchronous()) else { return };
        let (id, purpose, born) = (given.run, given.purpose, given.generation);
        let found = |&(candidate, task)| Some((self.find(id, purpose, born, candidate)?, task));
        given.episodes = given.episodes.iter().filter_map(found).collect();
        (given.generation, given.block) = (run.generation(), BlockIndex(born.0));
    }

    fn report(&mut self, now: Timestamp, worker: WorkerId, mut report: Report) {
        self.find_reported(&mut report);
        let (id, sequence, generation) = (report.run, report.sequence, report.generation);
        let (purpose, block) = (report.purpose, report.block);
        if let Some(run) = self.runs.get(&id) {
            let asked = run.asked(purpose);
            let external = run.spec().problem.external();
            for Settlement { outcome, .. } in &mut report.settlements {
                if let Some(problem) = external {
                    problem.orient(outcome);
                }
                outcome.check(&asked);
            }
        } else if let Some(evaluation) = self.evaluations.get(&id) {
            report.settlements.iter_mut().for_each(|settlement| evaluation.check(&mut settlement.outcome));
        }
        let mut actions = Vec::new();
        let Reported { settled: settlements, again } =
            self.scheduler.report(now, worker, report, &mut actions);
        if !settlements.is_empty() {
            self.take_fingerprint(now, id, worker);
            self.remember(now, id, worker);
        }
        if let Some(run) = self.runs.get_mut(&id)
            && !settlements.is_empty()
        {
            let mut writes = Vec::new();
            let session = worker;
            let (worker, episodes) = (self.workers[&worker].hello.name.clone(), settlements.len() as u32);
            let makers = vec![Maker { worker, session: session.0, episodes }];
            let settled = Record::Settled(Settled { generation, purpose, settlements, makers });
            run.commit(now, settled, &mut writes);
            self.outbox.write(now, &mut writes);
        } else {
            self.evaluated(now, id, settlements);
        }
        self.outbox.acknowledge(now, worker, sequence);
        self.compare(now, id, worker, (purpose, block), again);
        self.carry_out(now, actions);
        self.close_generation(now, id);
    }
}
