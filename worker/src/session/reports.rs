//! Outcomes on their way to a coordinator: gathered, numbered, and kept until they are acknowledged.

use std::collections::{BTreeMap, VecDeque};

use hebbian_shared::dispatch::{Batch, Report, Settlement};
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, GenerationIndex, RunId};
use hebbian_shared::limits::{KEPT_SIZE_MAX, REPORT_SIZE_MAX};

/// What a report is about.
type Block = (RunId, GenerationIndex, EpisodePurpose, BlockIndex);

/// Outcomes that are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Reports {
    gathered: BTreeMap<Block, Vec<Settlement>>,
    /// In order of their sequence numbers.
    kept: VecDeque<Report>,
    kept_size: usize,
    /// Sequence number of the last report.
    last: u64,
}

impl Reports {
    /// Adds outcomes of episodes of a batch.
    pub(super) fn add(&mut self, batch: &Batch, settlements: Vec<Settlement>) {
        if settlements.is_empty() {
            return;
        }
        let block = (batch.run, batch.generation, batch.purpose, batch.block);
        self.gathered.entry(block).or_default().extend(settlements);
    }

    /// Makes reports of what was gathered.
    pub(super) fn close(&mut self) {
        for ((run, generation, purpose, block), settlements) in std::mem::take(&mut self.gathered) {
            let mut rest = settlements.into_iter().peekable();
            while let Some(first) = rest.next() {
                let mut size = first.size();
                let mut settlements = vec![first];
                while let Some(next) = rest.next_if(|next| size + next.size() <= REPORT_SIZE_MAX) {
                    size += next.size();
                    settlements.push(next);
                }
                self.last += 1;
                self.kept_size += size;
                let sequence = self.last;
                self.kept.push_back(Report { sequence, run, generation, purpose, block, settlements });
            }
        }
        while self.kept_size > KEPT_SIZE_MAX {
            self.forget_first();
        }
    }

    /// Forgets the reports up to a sequence number.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        while self.kept.front().is_some_and(|report| report.sequence <= sequence) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(report) = self.kept.pop_front() {
            self.kept_size -= report.settlements.iter().map(Settlement::size).sum::<usize>();
        }
    }

    /// The first report that is kept after a sequence number.
    pub(super) fn after(&self, sequence: u64) -> Option<&Report> {
        // Sequence numbers have no gaps, so the place is known.
        let first = self.kept.front()?.sequence;
        self.kept.get((sequence + 1).saturating_sub(first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_shared::digest::Digest;
    use hebbian_shared::episode::{Evaluation, Outcome, Wants};
    use hebbian_shared::fitness::Fitness;
    use hebbian_shared::id::{CandidateIndex, TaskIndex};
    use std::time::Duration;

    fn check(reports: &Reports, sent: u64, expected: &[u64]) {
        let mut found = Vec::new();
        let mut sent = sent;
        while let Some(report) = reports.after(sent) {
            sent = report.sequence;
            found.push(sent);
        }
        assert_eq!(found, expected);
    }

    fn batch(generation: u32) -> Batch {
        Batch {
            run: RunId::new(1),
            layout: Digest([0; 32]),
            generation: GenerationIndex(generation),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            wants: Wants::default(),
            genomes: Vec::new(),
            assignments: Vec::new(),
        }
    }

    fn settlements(count: usize) -> Vec<Settlement> {
        let settlement = Settlement {
            candidate: CandidateIndex(0),
            task: TaskIndex(0),
            outcome: Outcome::Diverged,
            compute_time: Duration::ZERO,
        };
        vec![settlement; count]
    }

    #[test]
    fn reports_are_kept_until_they_are_acknowledged() {
        let mut reports = Reports::default();
        reports.add(&batch(0), settlements(2));
        reports.add(&batch(0), settlements(1));
        reports.add(&batch(1), settlements(1));
        reports.add(&batch(2), Vec::new());
        check(&reports, 0, &[]);
        reports.close();
        check(&reports, 0, &[1, 2]);
        assert_eq!(reports.after(0).unwrap().settlements.len(), 3);
        check(&reports, 1, &[2]);
        reports.acknowledge(1);
        check(&reports, 0, &[2]);
        reports.add(&batch(3), settlements(1));
        reports.close();
        check(&reports, 0, &[2, 3]);
        check(&reports, 3, &[]);
        reports.acknowledge(9);
        check(&reports, 0, &[]);
        reports.add(&batch(4), settlements(1));
        reports.close();
        check(&reports, 0, &[4]);
    }

    #[test]
    fn what_is_never_acknowledged_does_not_grow_for_ever() {
        let mut reports = Reports::default();
        reports.add(&batch(0), settlements(KEPT_SIZE_MAX + 1));
        reports.close();
        assert_eq!(reports.kept_size, KEPT_SIZE_MAX + 1 - REPORT_SIZE_MAX);
        check(&reports, 0, &(2..=65).collect::<Vec<_>>());
    }

    #[test]
    fn gradients_make_reports_short() {
        let evaluation = Evaluation {
            gradient: Some(vec![0.5; 8 * REPORT_SIZE_MAX / 3]),
            ..Evaluation::of(Fitness::new(1.0).unwrap())
        };
        let mut reports = Reports::default();
        let mut large = settlements(5);
        for settlement in &mut large {
            settlement.outcome = Outcome::Evaluated(evaluation.clone());
        }
        reports.add(&batch(0), large);
        reports.close();
        let lengths: Vec<usize> = reports.kept.iter().map(|report| report.settlements.len()).collect();
        assert_eq!(lengths, [2, 2, 1]);
        reports.acknowledge(3);
        assert_eq!(reports.kept_size, 0);
    }
}
