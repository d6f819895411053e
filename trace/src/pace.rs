//! So many a second and no more.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what happens within a second.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    /// When the second began, and what happened since.
    second: Mutex<(Instant, u32)>,
}

impl Pace {
    /// At most so many a second.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, second: Mutex::new((Instant::now(), 0)) }
    }

    /// Whether one more may happen; counts it if so.
    pub(crate) fn may(&self) -> bool {
        self.may_at(Instant::now())
    }

    fn may_at(&self, now: Instant) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(second.0) >= Duration::from_secs(1) {
            *second = (now, 0);
        }
        let may = second.1 < self.most;
        second.1 += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_second_has_as_many_again() {
        let pace = Pace::new(3);
        let start = pace.second.lock().unwrap().0;
        let allowed = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..10).filter(|_| pace.may_at(now)).count()
        };
        assert_eq!([allowed(0), allowed(999), allowed(1000), allowed(5000)], [3, 0, 3, 3]);
    }
}
