//! Generations of asynchronous runs: workers go on with what they have begun.

use std::collections::BTreeMap;

use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};

use super::Scheduler;
use super::work::{Carried, Dropped, Portion, Work};

impl Scheduler {
    /// Takes what nobody has begun of an asynchronous run's search from the queue; the candidates that somebody has.
    pub fn keep_begun(&mut self, run: RunId) -> Vec<CandidateIndex> {
        let work = self.runs.get_mut(&run).and_then(|entry| entry.work.as_mut());
        work.map_or_else(Vec::new, Work::keep_begun)
    }

    /// The episodes of an asynchronous run's next generation, of which the candidates `kept` of the last one are the first. Workers
    /// go on with theirs; what they hold of the others, or of what has settled, is expected no more: it is the answer, by worker, with its
    /// places in the last generation.
    pub fn turn(
        &mut self,
        run: RunId,
        generation: GenerationIndex,
        portions: &[Portion<'_>],
        settled: impl Fn(EpisodePurpose, CandidateIndex, TaskIndex) -> bool,
        kept: &[u32],
    ) -> BTreeMap<WorkerId, Vec<(CandidateIndex, TaskIndex)>> {
        let entry = self.entry(run);
        let mut work = Work::new(generation, portions, settled);
        let all: Vec<u32>;
        let before = entry.work.take();
        let kept = match &before {
            // The same generation again, of which something is open again.
            Some(before) if before.generation == generation => {
                all = (0..portions.iter().map(|portion| portion.blocks.len() as u32).sum()).collect();
                &all
            }
            _ => kept,
        };
        let Carried { dropped, strayed } =
            before.map_or_else(Carried::default, |before| work.carry(before, kept));
        entry.work = Some(work);
        let mut unwanted: BTreeMap<WorkerId, Vec<(CandidateIndex, TaskIndex)>> = BTreeMap::new();
        for (worker, episode) in strayed {
            if self.workers.contains_key(&worker) {
                unwanted.entry(worker).or_default().push(episode);
            }
        }
        for Dropped { lease, worker: id, episodes, estimate, is_over } in dropped {
            let worker = self.workers.get_mut(&id).expect("a lease's worker is attached");
            worker.hand_back(episodes.len() as u32, estimate);
            unwanted.entry(id).or_default().extend(episodes);
            if is_over {
                worker.leases.remove(&(run, lease));
            }
            self.refresh(id);
        }
        unwanted
    }

    /// Threads that are counted on.
    pub fn believed_threads(&self) -> u32 {
        self.believed
    }
}
