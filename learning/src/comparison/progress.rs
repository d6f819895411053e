//! How far a comparison is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts work that several threads do and passes it on.
pub(super) struct Progress<'a> {
    report: &'a (dyn Fn(u64, u64) + Sync),
    done: AtomicU64,
    total: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(report: &'a (dyn Fn(u64, u64) + Sync), total: u64) -> Self {
        report(0, total);
        Self { report, done: AtomicU64::new(0), total }
    }

    pub(super) fn advance(&self, work: u64) {
        let done = self.done.fetch_add(work, Ordering::Relaxed) + work;
        (self.report)(done, self.total);
    }
}
