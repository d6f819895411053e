//! Rules by which runs that have ended are deleted by themselves.

use std::time::Duration;

use hebbian_shared::id::RunId;
use hebbian_shared::time::Timestamp;

use super::Engine;

/// How long deletions wait while the journal cannot be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long runs that have ended are kept. Runs that have not ended are never deleted by a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For so long after their end; for ever if `None`.
    pub keep_for: Option<Duration>,
    /// At most so many, those that ended last; all if `None`.
    pub keep_runs: Option<usize>,
}

impl Engine {
    /// Deletes the runs that the rules do not keep, when it is time to look.
    pub(super) fn retire(&mut self, now: Timestamp) {
        if self.retire_at.is_none_or(|at| now < at) {
            return;
        }
        let Retention { keep_for, keep_runs } = self.settings.retention;
        self.retire_at = None;
        if keep_for.is_none() && keep_runs.is_none() {
            return;
        }
        if self.check_journal_for_room().is_err() {
            self.retire_at = Some(now + RETRY_INTERVAL);
            return;
        }
        let mut ended: Vec<(Timestamp, RunId)> = self
            .runs
            .values()
            .filter_map(|run| Some((run.ended_unix_ms()?, run.id())))
            .chain(self.ended.values().map(|ended| (ended.ended_unix_ms(), ended.id())))
            .map(|(moment, run)| (Timestamp::from_millis(moment), run))
            .collect();
        // The last to end first.
        ended.sort_unstable_by(|a, b| b.cmp(a));
        let most = keep_runs.unwrap_or(usize::MAX);
        for (place, &(moment, run)) in ended.iter().enumerate() {
            let until = keep_for.map(|keep_for| moment + keep_for);
            if place >= most || until.is_some_and(|until| until <= now) {
                self.delete(now, run, true);
            } else if let Some(until) = until {
                self.retire_at = Some(self.retire_at.map_or(until, |at| at.min(until)));
            }
        }
    }
}
