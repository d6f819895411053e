//! What a run's notes tell of the cluster: which workers were lost, and which coordinators took the run up.

use std::time::Duration;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::run::Run;

/// Notes of lost workers come at most once per this time for each run: a worker that comes and goes must not fill the
/// journal.
const LOST_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    /// Notes that this coordinator has taken a run up, unless the run has ended or nothing of it was done before.
    pub(super) fn note_taken_up(&mut self, now: Timestamp, id: RunId) {
        let run = &self.runs[&id];
        let progress = run.progress();
        if run.state().is_final() || (progress.generation, progress.settled_episodes) == (0, 0) {
            return;
        }
        let text = format!(
            "start {} of the coordinator took the run up in generation {}, with {} of {} episodes settled",
            self.epoch, progress.generation, progress.settled_episodes, progress.generation_episodes
        );
        self.note(now, id, text);
    }

    /// Notes in a run that a worker does not answer. Of those that never did one note tells, however many there are. An evaluation has no
    /// notes.
    pub(super) fn note_overtaken(&mut self, now: Timestamp, worker: WorkerId, run: RunId, ever: bool) {
        let Some(generation) = self.runs.get(&run).map(Run::generation) else { return };
        let name = self.name_of(worker);
        let text = if ever {
            format!(
                "worker {name} does not answer in generation {generation}: others finished all that it held; it gets \
                 less and less until it does"
            )
        } else {
            "workers are attached that have never answered (`hebbian workers` names them); they get little, and less and less, \
             until they do"
                .to_owned()
        };
        self.note(now, run, text);
    }

    /// Notes a lost worker in the runs that it worked on.
    ///
    /// # Panics
    /// If it is no more known.
    pub(super) fn note_gone(&mut self, now: Timestamp, worker: WorkerId, how: &str, why: &str) {
        let name = self.name_of(worker).to_owned();
        let specs = self.workers[&worker].specs.iter();
        let runs = specs.filter_map(|id| Some((*id, self.runs.get(id)?.generation())));
        for (run, generation) in runs.collect::<Vec<_>>() {
            let told = self.lost_told.get(&run);
            if told.is_some_and(|told| now.since(*told) < LOST_INTERVAL) {
                continue;
            }
            self.lost_told.insert(run, now);
            let text = format!(
                "worker {name} {how} in generation {generation} ({why}); its episodes are handed out again"
            );
            self.note(now, run, text);
        }
    }
}
