//! Generations on their way: the search that asks, the episodes that are handed out, the close.

use std::collections::BTreeMap;
use std::sync::Arc;

use hebbian_search::Birth;
use hebbian_shared::dispatch::{Assignment, Batch, BatchGenome, BlockEpisodes, ToWorker};
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Wants};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::time::Timestamp;

use super::Engine;
use super::effect::Effect;
use crate::run::Advanced;

impl Engine {
    /// Has the search advance if the open generation is complete; ends the run whose result is measured. A report on an evaluation,
    /// or on a run that was deleted, closes nothing.
    pub(crate) fn close_generation(&mut self, now: Timestamp, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if !run.is_complete() || run.state().is_final() || run.is_advancing() {
            return;
        }
        if run.search_ended().is_some() {
            let mut writes = Vec::new();
            run.finish(now, &mut writes);
            self.outbox.write(now, &mut writes);
            return self.end(now, id);
        }
        if run.is_asynchronous() && run.search().is_some() {
            let threads = self.scheduler.believed_threads();
            let begun = self.scheduler.keep_begun(id);
            if let Some(advance) = run.advance_arrived(&begun, threads) {
                self.outbox.now(Effect::Advance(Box::new(advance)));
            }
            return;
        }
        match run.advance() {
            Some(advance) => {
                self.outbox.now(Effect::Advance(Box::new(advance)));
                let mut actions = Vec::new();
                self.scheduler.withdraw(now, id, &mut actions);
                self.carry_out(now, actions);
            }
            None => self.pause(now, id, "its search was lost; start the coordinator again".to_owned()),
        }
    }

    /// Closes the generation with what its outcomes made of the search, and begins the next one. What comes to a run that was
    /// ended or deleted meanwhile is dropped.
    pub(super) fn advanced(&mut self, now: Timestamp, advanced: Advanced) {
        let (id, generation) = advanced.place();
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.awaits(&advanced)) else { return };
        let mut writes = Vec::new();
        let births = run.births().to_vec();
        let closed = run.close(now, advanced, &mut writes);
        self.outbox.write(now, &mut writes);
        match closed {
            Ok(()) => {
                self.begin_generation_after(now, id, &births);
                // Of an asynchronous search enough may have come meanwhile.
                self.close_generation(now, id);
            }
            Err(problem) => {
                self.pause(now, id, format!("generation {generation} could not be closed: {problem}"));
            }
        }
    }

    /// Hands the open generation's episodes to the scheduler: those of the search, or, if a criterion is met, those that
    /// measure its result.
    pub(crate) fn begin_generation(&mut self, now: Timestamp, id: RunId) {
        self.begin_generation_after(now, id, &[]);
    }

    /// The same after a generation whose candidates were drawn then.
    fn begin_generation_after(&mut self, now: Timestamp, id: RunId, births: &[Birth]) {
        let run = self.runs.get_mut(&id).expect("a generation is begun of a run that is there");
        let mut writes = Vec::new();
        if run.search_ended().is_none()
            && let Some(reason) = run.stop_reason(now, &mut writes)
        {
            run.end_search(now, reason, &mut writes);
        }
        self.outbox.write(now, &mut writes);
        self.submit_after(now, id, births);
    }

    /// Hands what is open of a run's generation to the scheduler, once more.
    pub(super) fn submit(&mut self, now: Timestamp, id: RunId) {
        let births = self.runs[&id].births().to_vec();
        self.submit_after(now, id, &births);
    }

    fn submit_after(&mut self, now: Timestamp, id: RunId, births: &[Birth]) {
        let run = &self.runs[&id];
        let mut actions = Vec::new();
        let settled = |purpose, candidate, task| run.has_settled(purpose, candidate, task);
        if run.is_asynchronous() {
            let portions = run.portions();
            let unwanted = self.scheduler.turn(id, run.generation(), &portions, settled, run.kept());
            for (worker, episodes) in unwanted {
                self.withdraw_episodes(worker, id, births, &episodes);
            }
            return;
        }
        self.scheduler.submit(now, id, run.generation(), &run.portions(), settled, &mut actions);
        self.carry_out(now, actions);
    }

    /// Takes back what a worker holds of an asynchronous search: candidates of a generation, which it knows by their births.
    fn withdraw_episodes(
        &mut self,
        worker: WorkerId,
        run: RunId,
        births: &[Birth],
        episodes: &[(CandidateIndex, TaskIndex)],
    ) {
        let mut by_birth: BTreeMap<u32, Vec<(CandidateIndex, TaskIndex)>> = BTreeMap::new();
        for &(candidate, task) in episodes {
            if let Some(birth) = births.get(candidate.as_usize()) {
                by_birth.entry(birth.generation).or_default().push((CandidateIndex(birth.candidate), task));
            }
        }
        for (generation, episodes) in by_birth {
            let (generation, purpose, block) =
                (GenerationIndex(generation), EpisodePurpose::Search, BlockIndex(0));
            let unwanted = BlockEpisodes { run, generation, purpose, block, episodes };
            self.outbox.now(Effect::Send { worker, message: ToWorker::WithdrawEpisodes(unwanted) });
        }
    }

    pub(super) fn send_batch(
        &mut self,
        worker: WorkerId,
        id: RunId,
        generation: GenerationIndex,
        (purpose, block): (EpisodePurpose, BlockIndex),
        episodes: &[(CandidateIndex, TaskIndex)],
    ) {
        let entry = self.workers.get_mut(&worker).expect("work is given to attached workers");
        let run_spec = self.runs.get(&id).map(|run| Arc::clone(run.spec()));
        let external = run_spec.as_deref().and_then(|spec| Some((spec.problem.external()?, spec.seed)));
        let (layout, wants, candidates, announcement) = if let Some(run) = self.runs.get(&id) {
            debug_assert_eq!(run.generation(), generation, "only the open generation is dispatched");
            let announcement = ToWorker::Spec { run: id, spec: Arc::clone(run.spec()) };
            (run.layout_digest(), run.wants(purpose), run.genomes(purpose), announcement)
        } else if let Some(evaluation) = self.evaluations.get(&id) {
            (evaluation.digest, Wants::default(), &evaluation.genomes[..], evaluation.announcement(id))
        } else {
            unreachable!("work is of a run or of an evaluation");
        };
        if entry.specs.insert(id) {
            self.outbox.now(Effect::Send { worker, message: announcement });
        }
        // Workers know a late candidate by the generation that it was drawn in, which is the scheduler's block of it.
        let run = self.runs.get(&id);
        let known_as = |candidate| match run.and_then(|run| run.birth(purpose, candidate)) {
            Some(Birth { generation, candidate }) => (GenerationIndex(generation), CandidateIndex(candidate)),
            None => (generation, candidate),
        };
        let is_late = run.is_some_and(|run| run.birth(purpose, CandidateIndex(0)).is_some());
        let block = if is_late { BlockIndex(0) } else { block };
        let first = episodes.first().map_or(generation, |(candidate, _)| known_as(*candidate).0);
        self.table.clear();
        self.table.resize(candidates.len(), u32::MAX);
        let mut genomes = Vec::new();
        let mut assignments = Vec::with_capacity(episodes.len());
        for &(candidate, task) in episodes {
            let place = &mut self.table[candidate.as_usize()];
            if *place == u32::MAX {
                *place = genomes.len() as u32;
                let genome = Arc::clone(&candidates[candidate.as_usize()]);
                let parameters = external.map_or_else(Vec::new, |(problem, _)| problem.numbers(&genome));
                genomes.push(BatchGenome { candidate: known_as(candidate).1, genome, parameters });
            }
            let (generation, candidate) = known_as(candidate);
            let key = EpisodeKey { run: id, generation, purpose, block, candidate, task };
            let seed = external.map_or(0, |(problem, seed)| problem.seed(&key, seed));
            assignments.push(Assignment { genome: *place, task, seed });
        }
        let generation = first;
        let batch = Batch { run: id, layout, generation, purpose, block, wants, genomes, assignments };
        self.outbox.now(Effect::Send { worker, message: ToWorker::Batch(batch) });
    }
}
