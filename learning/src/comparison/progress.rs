//! How far a comparison is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Passes on how much of all work is done.
pub(super) struct Progress<'a> {
    report: &'a (dyn Fn(u64, u64) + Sync),
    /// Of the stages that have begun.
    planned: AtomicU64,
    total: u64,
}

/// A part of the work, which is planned before it is known exactly.
pub(super) struct Stage<'a> {
    progress: &'a Progress<'a>,
    before: u64,
    planned: u64,
    actual: u64,
    done: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(report: &'a (dyn Fn(u64, u64) + Sync), total: u64) -> Self {
        report(0, total);
        Self { report, planned: AtomicU64::new(0), total }
    }

    /// Begins a stage that takes `planned` of the total, whatever its `actual` work is.
    pub(super) fn stage(&'a self, planned: u64, actual: u64) -> Stage<'a> {
        let before = self.planned.fetch_add(planned, Ordering::Relaxed);
        Stage { progress: self, before, planned, actual, done: AtomicU64::new(0) }
    }
}

impl Stage<'_> {
    pub(super) fn advance(&self, work: u64) {
        let done = self.done.fetch_add(work, Ordering::Relaxed) + work;
        let share = u128::from(self.planned) * u128::from(done) / u128::from(self.actual.max(1));
        (self.progress.report)(self.before + share as u64, self.progress.total);
    }
}
