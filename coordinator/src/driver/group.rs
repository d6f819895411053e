//! Transactions that wait for the journal, of which the next commit writes all.

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Record, Write};
use hebbian_shared::id::RunId;

use crate::journal::KeptSnapshots;

/// So many snapshots of a run are kept whatever it is: should the last be damaged, the one before it still saves most of the time.
const LAST: usize = 2;

/// Transactions in order, not yet written.
pub(super) struct Group {
    transactions: Vec<Transaction>,
    kept: KeptSnapshots,
}

impl Group {
    /// An empty group for a journal that keeps some snapshots beside the last.
    pub(super) fn new(kept: KeptSnapshots) -> Self {
        Self { transactions: Vec::new(), kept }
    }

    /// Adds a transaction. A search that closes its generations faster than the disk takes its snapshots would fill the memory with
    /// them: what the commit would write and delete again goes at once.
    pub(super) fn push(&mut self, transaction: Transaction) {
        let of_snapshots = transaction.writes.iter().filter_map(|write| match write {
            Write::Snapshot { run, .. } => Some(*run),
            _ => None,
        });
        let runs: Vec<RunId> = of_snapshots.collect();
        self.transactions.push(transaction);
        for run in runs {
            self.drop_superseded(run);
        }
    }

    /// Drops the snapshot of a run before its last ones, if journals forget it.
    fn drop_superseded(&mut self, run: RunId) {
        let (mut later, mut came) = (0, Vec::new());
        for transaction in self.transactions.iter_mut().rev() {
            for place in (0..transaction.writes.len()).rev() {
                match &transaction.writes[place] {
                    Write::Snapshot { run: of, .. } if *of == run && later < LAST => later += 1,
                    Write::Snapshot { run: of, snapshot } if *of == run => {
                        // Whoever forks a run because a worker lied begins before that worker came.
                        if !self.kept.keeps(snapshot.closed) && !came.contains(&snapshot.closed) {
                            transaction.writes.remove(place);
                        }
                        return;
                    }
                    Write::Record { run: of, record: Record::Contributor { generation, .. }, .. }
                        if *of == run =>
                    {
                        came.push(*generation);
                    }
                    _ => {}
                }
            }
        }
    }

    /// All of them, in order.
    pub(super) fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// Forgets what is written.
    pub(super) fn clear(&mut self) {
        self.transactions.clear();
    }
}

#[cfg(test)]
mod tests {
    use hebbian_control::run::record::Snapshot;
    use hebbian_shared::digest::Digest;
    use hebbian_shared::id::GenerationIndex;

    use super::*;

    fn runs() -> [RunId; 2] {
        [1, 2].map(RunId::new)
    }

    fn snapshot(run: RunId, closed: u32) -> Write {
        let (closed, strategy) = (GenerationIndex(closed), vec![7; 9]);
        let digest = Digest::of(&strategy);
        Write::Snapshot { run, snapshot: Snapshot { closed, strategy, digest, best: None } }
    }

    fn came(run: RunId, generation: u32) -> Write {
        let record = Record::Contributor { generation: GenerationIndex(generation), worker: "new".into() };
        Write::Record { run, sequence: 1, record }
    }

    /// The generations of a run's snapshots in a group of these writes, each a transaction of its own.
    fn left(kept: KeptSnapshots, writes: impl IntoIterator<Item = Write>, run: RunId) -> Vec<u32> {
        let mut group = Group::new(kept);
        for (before, write) in (0..).zip(writes) {
            group.push(Transaction { position: before + 1, writes: vec![write], sync: false });
        }
        let writes = group.transactions().iter().flat_map(|transaction| &transaction.writes);
        let closed = writes.filter_map(|write| match write {
            Write::Snapshot { run: of, snapshot } if *of == run => Some(snapshot.closed.0),
            _ => None,
        });
        closed.collect()
    }

    #[test]
    fn of_each_run_the_last_two_snapshots_wait() {
        let of_both = || (1..=100).flat_map(|closed| runs().map(|run| snapshot(run, closed)));
        for run in runs() {
            assert_eq!(left(KeptSnapshots::LAST, of_both(), run), [99, 100]);
        }
    }

    #[test]
    fn what_a_journal_keeps_waits_too() {
        let writes = (1..=10).map(|closed| snapshot(runs()[0], closed));
        assert_eq!(left(KeptSnapshots { every: 4 }, writes, runs()[0]), [4, 8, 9, 10]);
    }

    #[test]
    fn where_a_worker_came_the_snapshot_before_it_waits() {
        let writes = [snapshot(runs()[0], 3), came(runs()[0], 3), snapshot(runs()[0], 4), came(runs()[1], 4)];
        let later = (5..=9).map(|closed| snapshot(runs()[0], closed));
        assert_eq!(left(KeptSnapshots::LAST, writes.into_iter().chain(later), runs()[0]), [3, 8, 9]);
    }

    #[test]
    fn transactions_stay_whole_and_in_order() {
        let mut group = Group::new(KeptSnapshots::LAST);
        for closed in 1..=5 {
            let writes = vec![came(runs()[1], closed), snapshot(runs()[0], closed)];
            group.push(Transaction { position: closed.into(), writes, sync: closed == 1 });
        }
        let kept = group.transactions().iter().map(|of| (of.position, of.writes.len(), of.sync));
        let all = [(1, 1, true), (2, 1, false), (3, 1, false), (4, 2, false), (5, 2, false)];
        assert_eq!(kept.collect::<Vec<_>>(), all);
    }
}
