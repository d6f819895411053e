//! When something was acknowledged last, by a clock that was plausible: what a later start compares its own clock with.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A coordinator that was off for longer, or whose clock is wrong by more, deletes no runs by their age until somebody says
/// that the clock is right.
const JUMP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// What is wrong with a clock that says `now` where it was `last` before.
pub(crate) fn implausible(now: SystemTime, last: SystemTime) -> Option<String> {
    let days = |jump: Duration| jump.as_secs() / 86_400;
    match now.duration_since(last) {
        Ok(jump) if jump > JUMP_MAX => Some(format!("{} days after", days(jump))),
        Err(error) if error.duration() > JUMP_MAX => Some(format!("{} days before", days(error.duration()))),
        _ => None,
    }
}

/// The moment that whoever mends a journal leaves in it: that of a clock is none if it is implausible.
pub(super) fn plausible(now: SystemTime, last: Option<SystemTime>) -> SystemTime {
    last.filter(|last| implausible(now, *last).is_some()).unwrap_or(now)
}

/// The clock of whoever writes a journal. One that jumps while it is used is not followed: what it shows would be written with the next
/// commit, and a later start would take it for right.
#[derive(Debug)]
pub(super) struct Clock {
    /// When the journal was written last before it was opened.
    last_written: Option<SystemTime>,
    /// Whether this clock is believed at all.
    is_trusted: bool,
    /// Whether it has jumped, and somebody was told.
    has_jumped: bool,
    /// What was believed last, and when that was by a clock that nobody sets.
    believed: (SystemTime, Instant),
}

impl Clock {
    pub(super) fn new(last_written: Option<SystemTime>) -> Self {
        let believed = (SystemTime::now(), Instant::now());
        Self { last_written, is_trusted: true, has_jumped: false, believed }
    }

    pub(super) fn last_written(&self) -> Option<SystemTime> {
        self.last_written
    }

    /// It is wrong: what is written says no other time than before.
    pub(super) fn distrust(&mut self) {
        self.is_trusted = false;
    }

    /// The Unix time to be written into `store` with what is acknowledged now, in seconds.
    pub(super) fn unix_s(&mut self, store: impl Display) -> u64 {
        let now = self.read(SystemTime::now(), Instant::now(), store);
        now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// The moment that is believed when the clock shows `shown`, at a moment by the one that nobody sets.
    fn read(&mut self, shown: SystemTime, at: Instant, store: impl Display) -> SystemTime {
        if !self.is_trusted {
            return self.last_written.unwrap_or(UNIX_EPOCH);
        }
        let (last, last_at) = self.believed;
        let expected = last + at.saturating_duration_since(last_at);
        let jump = implausible(shown, expected);
        if let Some(jump) = &jump
            && !self.has_jumped
        {
            tracing::warn!(
                journal = %store,
                "the clock has jumped: it shows a moment {jump} the one that was expected, and is not believed; if it is right, start again \
                 with --clock-confirmed"
            );
        }
        self.has_jumped = jump.is_some();
        let believed = if self.has_jumped { expected } else { shown };
        self.believed = (believed, at);
        believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_clock_that_jumps_is_not_followed_until_it_is_back() {
        let start = UNIX_EPOCH + 20_000 * DAY;
        let second = Duration::from_secs(1);
        for further in [true, false] {
            let jumped = |to: SystemTime| if further { to + 400 * DAY } else { to - 400 * DAY };
            let mut clock = Clock::new(Some(start));
            let at = Instant::now();
            clock.believed = (start, at);
            assert_eq!(clock.read(start + second, at + second, "j"), start + second);
            for seconds in 2..9 {
                let now = start + seconds * second;
                assert_eq!(clock.read(jumped(now), at + seconds * second, "j"), now);
            }
            // What is written is far from what the clock shows, at the next start as well.
            assert!(implausible(jumped(start), clock.believed.0).is_some());
            assert_eq!(clock.read(start + 9 * second, at + 9 * second, "j"), start + 9 * second);
            assert!(!clock.has_jumped);
        }
    }

    #[test]
    fn who_was_asleep_for_days_and_a_clock_that_is_set_right_are_believed() {
        let start = UNIX_EPOCH + 20_000 * DAY;
        let mut clock = Clock::new(None);
        let at = Instant::now();
        clock.believed = (start, at);
        // Longer in all than any of them may be.
        for times in 1..5 {
            let shown = start + times * 20 * DAY;
            assert_eq!(clock.read(shown, at, "j"), shown);
        }
        assert_eq!(clock.read(start + 79 * DAY, at, "j"), start + 79 * DAY);
        clock.distrust();
        assert_eq!(clock.read(start, at, "j"), UNIX_EPOCH);
    }

    #[test]
    fn whoever_mends_a_journal_confirms_no_clock() {
        let last = UNIX_EPOCH + 20_000 * DAY;
        assert_eq!(plausible(last + 400 * DAY, Some(last)), last);
        assert_eq!(plausible(last - 400 * DAY, Some(last)), last);
        assert_eq!(plausible(last + DAY, Some(last)), last + DAY);
        assert_eq!(plausible(last, None), last);
    }
}
