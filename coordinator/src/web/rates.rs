//! What each worker settles a second, between two looks at the page of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use hebbian_proto::v1;
use tokio::time::Instant;

/// Two looks are at least so far apart.
const APART: Duration = Duration::from_millis(900);

/// See the module. However many look, the page has one memory.
#[derive(Debug, Default)]
pub(super) struct Rates {
    looked: Option<Instant>,
    settled: BTreeMap<u64, u64>,
    found: BTreeMap<u64, f64>,
}

impl Rates {
    /// Looks at the workers; those that were there at the look before have a rate.
    pub(super) fn look(&mut self, now: Instant, workers: &[v1::Worker]) {
        let since = self.looked.map(|looked| now - looked);
        if since.is_some_and(|since| since < APART) {
            return;
        }
        self.found.clear();
        if let Some(since) = since {
            let rate = |worker: &v1::Worker| {
                let before = self.settled.get(&worker.id)?;
                let settled = worker.settled_episodes.saturating_sub(*before);
                Some((worker.id, settled as f64 / since.as_secs_f64()))
            };
            self.found.extend(workers.iter().filter_map(rate));
        }
        self.settled = workers.iter().map(|worker| (worker.id, worker.settled_episodes)).collect();
        self.looked = Some(now);
    }

    /// Episodes a second of a worker; none before the second look at it.
    pub(super) fn of(&self, worker: u64) -> Option<f64> {
        self.found.get(&worker).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_time_since_the_look_before() {
        let worker = |id, settled_episodes| v1::Worker { id, settled_episodes, ..Default::default() };
        let (mut rates, start) = (Rates::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        rates.look(at(0), &[worker(1, 1000)]);
        assert_eq!(rates.of(1), None);
        rates.look(at(2000), &[worker(1, 1500), worker(2, 70)]);
        assert_eq!((rates.of(1), rates.of(2)), (Some(250.0), None));
        // Somebody else looks at once.
        rates.look(at(2100), &[worker(1, 1500), worker(2, 70)]);
        assert_eq!(rates.of(1), Some(250.0));
        rates.look(at(3000), &[worker(2, 70)]);
        assert_eq!((rates.of(1), rates.of(2)), (None, Some(0.0)));
    }
}
