//! Where the time of generations goes, and what workers report: for the metrics, and for nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Record, Write};
use hebbian_proto::figures::RunState;
use hebbian_shared::dispatch::FromWorker;
use hebbian_shared::id::{RunId, WorkerId};
use tokio::time::Instant;

use crate::timing::{Part, Timings};

/// What passes through the driver, timed.
#[derive(Debug)]
pub(super) struct Phases {
    timings: Arc<Timings>,
    /// Compute threads of attached workers.
    threads: BTreeMap<WorkerId, u32>,
    runs: BTreeMap<RunId, Run>,
    /// When closes were given to the journal, by their transactions.
    closing: BTreeMap<u64, Vec<Instant>>,
}

/// The open generation of a run.
#[derive(Debug, Default)]
struct Run {
    /// Since when its episodes are with workers, or wait for some.
    out: Option<Instant>,
    /// How long that was, when its search has begun to advance.
    episodes: Duration,
    /// What workers computed on its episodes, whatever they were for.
    computed: Duration,
    /// Since when its search advances.
    searching: Option<Instant>,
}

impl Phases {
    pub(super) fn new(timings: Arc<Timings>) -> Self {
        Self { timings, threads: BTreeMap::new(), runs: BTreeMap::new(), closing: BTreeMap::new() }
    }

    pub(super) fn attached(&mut self, worker: WorkerId, threads: u32) {
        self.threads.insert(worker, threads);
    }

    pub(super) fn gone(&mut self, worker: WorkerId) {
        self.threads.remove(&worker);
    }

    /// A worker is given episodes of a run.
    pub(super) fn sends(&mut self, run: RunId, now: Instant) {
        let run = self.runs.entry(run).or_default();
        if run.searching.is_none() {
            run.out.get_or_insert(now);
        }
    }

    /// A worker has said something.
    pub(super) fn hears(&mut self, message: &FromWorker) {
        let FromWorker::Report(report) = message else { return };
        self.timings.reported.count(&report.settlements);
        if let Some(run) = self.runs.get_mut(&report.run) {
            let computed = report.settlements.iter().map(|of| of.compute_time);
            run.computed = computed.fold(run.computed, Duration::saturating_add);
        }
    }

    /// A search begins to advance: the generation's episodes have settled.
    pub(super) fn advances(&mut self, run: RunId, now: Instant) {
        let run = self.runs.entry(run).or_default();
        run.episodes += run.out.take().map_or(Duration::ZERO, |since| now - since);
        run.searching = Some(now);
    }

    /// It has advanced: the next generation's episodes can be handed out.
    pub(super) fn advanced(&mut self, run: RunId, now: Instant) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        if let Some(since) = run.searching.take() {
            self.timings.spent(Part::Search, now - since);
        }
    }

    /// Something is given to the journal.
    pub(super) fn commits(&mut self, transaction: &Transaction, now: Instant) {
        for write in &transaction.writes {
            match write {
                Write::Record { run, record: Record::GenerationClosed(_), .. } => {
                    self.closes(*run);
                    self.closing.entry(transaction.position).or_default().push(now);
                }
                Write::Record { run, record: Record::StateChanged { state, .. }, .. }
                    if *state != RunState::RUNNING =>
                {
                    self.runs.remove(run);
                }
                Write::Delete { run } => drop(self.runs.remove(run)),
                Write::Record { .. } | Write::Snapshot { .. } => {}
            }
        }
    }

    /// Of the time in which a generation's episodes were out, as much was computing as all threads together would have needed.
    fn closes(&mut self, run: RunId) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        let threads = self.threads.values().sum::<u32>().max(1);
        let (episodes, computed) = (std::mem::take(&mut run.episodes), std::mem::take(&mut run.computed));
        let compute = (computed / threads).min(episodes);
        self.timings.spent(Part::Compute, compute);
        self.timings.spent(Part::Waiting, episodes.saturating_sub(compute));
    }

    /// An evaluation has ended.
    pub(super) fn evaluated(&mut self, evaluation: RunId) {
        self.runs.remove(&evaluation);
    }

    /// Transactions up to this position survive a loss of power.
    pub(super) fn synced(&mut self, position: u64, now: Instant) {
        while let Some(first) = self.closing.first_entry().filter(|first| *first.key() <= position) {
            for since in first.remove() {
                self.timings.spent(Part::Disk, now - since);
                self.timings.closed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_control::run::record::Closed;
    use hebbian_proto::v1;
    use hebbian_shared::dispatch::{Report, Settlement};
    use hebbian_shared::episode::{EpisodePurpose, Outcome};
    use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex};

    /// A worker reports an episode, of the search or of a validation, that took so long.
    fn report(phases: &mut Phases, purpose: EpisodePurpose, compute_time: Duration) {
        let (candidate, task) = (CandidateIndex(0), TaskIndex(0));
        let settlement = Settlement { candidate, task, outcome: Outcome::Diverged, compute_time };
        let (run, generation, block) = (RunId::new(1), GenerationIndex(0), BlockIndex(0));
        let settlements = vec![settlement];
        phases.hears(&FromWorker::Report(Report {
            sequence: 1,
            run,
            generation,
            purpose,
            block,
            settlements,
        }));
    }

    fn close(phases: &mut Phases, position: u64, now: Instant) {
        let summary = v1::GenerationSummary::default();
        let closed = Closed { summary, told: Vec::new(), contributions: BTreeMap::new(), turn: None };
        let record = Record::GenerationClosed(Box::new(closed));
        let writes = vec![Write::Record { run: RunId::new(1), sequence: position, record }];
        phases.commits(&Transaction { position, writes, sync: true }, now);
    }

    fn check(phases: &Phases, millis: [u64; 4], closed: u64) {
        let (parts, generations) = phases.timings.generations();
        let found = parts.map(|(_, spent)| (spent * 1e3).round() as u64);
        assert_eq!((found, generations), (millis, closed));
    }

    #[test]
    fn a_generations_time_is_computing_waiting_searching_and_the_disk() {
        let mut phases = Phases::new(Arc::default());
        let (run, start) = (RunId::new(1), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        phases.attached(WorkerId(1), 3);
        phases.attached(WorkerId(2), 5);
        phases.gone(WorkerId(2));
        phases.attached(WorkerId(3), 1);
        phases.sends(run, at(100));
        phases.sends(run, at(150));
        report(&mut phases, EpisodePurpose::Search, Duration::from_millis(100));
        report(&mut phases, EpisodePurpose::Validation, Duration::from_millis(300));
        phases.advances(run, at(300));
        phases.advanced(run, at(310));
        // 4 threads computed 0.4 s together, so 0.1 s of the 0.2 s are computing.
        close(&mut phases, 5, at(311));
        check(&phases, [100, 100, 10, 0], 0);
        phases.synced(4, at(320));
        phases.synced(5, at(331));
        check(&phases, [100, 100, 10, 20], 1);
        // More than the clock allows is no waiting.
        phases.sends(run, at(340));
        report(&mut phases, EpisodePurpose::Search, Duration::from_secs(9));
        phases.advances(run, at(350));
        phases.advanced(run, at(351));
        close(&mut phases, 6, at(351));
        phases.synced(6, at(351));
        check(&phases, [110, 100, 11, 20], 2);
    }

    #[test]
    fn what_stops_leaves_nothing_behind() {
        let mut phases = Phases::new(Arc::default());
        let (run, now) = (RunId::new(1), Instant::now());
        let stop = |state| Record::StateChanged { state, elapsed: Duration::ZERO, unix_ms: 0 };
        for record in [stop(RunState::paused("by an operator")), stop(RunState::CANCELLED)] {
            phases.sends(run, now);
            let writes = vec![Write::Record { run, sequence: 1, record }];
            phases.commits(&Transaction { position: 1, writes, sync: true }, now);
            assert!(phases.runs.is_empty());
        }
        phases.sends(run, now);
        phases.evaluated(run);
        assert!(phases.runs.is_empty() && phases.closing.is_empty());
    }
}
