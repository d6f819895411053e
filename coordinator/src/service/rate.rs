//! How often a peer may ask or attach.
//!
//! Each address has a bucket that holds `burst` tokens and is filled at `per_second`; a request takes one. An IPv6 peer
//! is its /64, since it has all addresses of it. The table of buckets is bounded: a full bucket need not be remembered,
//! and when all are in use, newcomers share one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hebbian_shared::limits::{
    ATTACH_BURST_MAX, ATTACH_RATE_MAX, PEERS_MAX, REQUEST_BURST_MAX, REQUEST_RATE_MAX,
};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// A rate and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_second: f64,
    /// At once, after a silence.
    pub burst: f64,
}

/// What one peer may do. Connections within the process are not limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimits {
    /// Requests about runs and the cluster.
    pub requests: Rate,
    /// Attachments of workers.
    pub attaches: Rate,
}

impl Default for RateLimits {
    /// All workers that a coordinator takes may come back at once from behind one address, but not again and again.
    fn default() -> Self {
        Self {
            requests: Rate { per_second: REQUEST_RATE_MAX, burst: REQUEST_BURST_MAX },
            attaches: Rate { per_second: ATTACH_RATE_MAX, burst: ATTACH_BURST_MAX },
        }
    }
}

/// Tokens at a time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

/// The buckets of all peers for one rate. Pure: it is given the time.
#[derive(Debug)]
struct Buckets {
    rate: Rate,
    peers_max: usize,
    peers: BTreeMap<IpAddr, Bucket>,
    /// Of all peers that the table has no room for.
    others: Bucket,
}

impl Buckets {
    fn new(rate: Rate, peers_max: usize) -> Self {
        let full = Bucket { tokens: rate.burst, at: Duration::ZERO };
        Self { rate, peers_max, peers: BTreeMap::new(), others: full }
    }

    fn filled(rate: Rate, bucket: Bucket, now: Duration) -> f64 {
        let since = now.saturating_sub(bucket.at).as_secs_f64();
        (bucket.tokens + since * rate.per_second).min(rate.burst)
    }

    /// Takes a token, or says how long it will be until there is one.
    fn take(&mut self, now: Duration, peer: IpAddr) -> Result<(), Duration> {
        let rate = self.rate;
        if self.peers.len() >= self.peers_max && !self.peers.contains_key(&peer) {
            self.peers.retain(|_, bucket| Self::filled(rate, *bucket, now) < rate.burst);
        }
        let full = Bucket { tokens: rate.burst, at: now };
        let bucket = if self.peers.len() < self.peers_max || self.peers.contains_key(&peer) {
            self.peers.entry(peer).or_insert(full)
        } else {
            &mut self.others
        };
        let tokens = Self::filled(rate, *bucket, now);
        *bucket = Bucket { tokens, at: now };
        if tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - tokens) / rate.per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// The buckets with a clock.
#[derive(Debug)]
pub(super) struct Rates {
    buckets: Mutex<Buckets>,
    start: Instant,
}

impl Rates {
    pub(super) fn new(rate: Rate) -> Arc<Self> {
        Arc::new(Self { buckets: Mutex::new(Buckets::new(rate, PEERS_MAX)), start: Instant::now() })
    }
}

/// A peer's identity: its IPv4 address, or the /64 that its IPv6 address belongs to.
pub(crate) fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Lets through what is within the rate; `what` a peer does too often, for people.
pub(super) fn check(
    rates: Arc<Rates>,
    what: &'static str,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| {
        let Some(address) = request.remote_addr() else { return Ok(request) };
        let mut buckets = rates.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = buckets.rate;
        match buckets.take(rates.start.elapsed(), peer(address.ip())) {
            Ok(()) => Ok(request),
            Err(wait) => {
                let message = format!(
                    "{} may {what} {} times at once and {} times a second: try again in {} ms",
                    address.ip(),
                    rate.burst,
                    rate.per_second,
                    wait.as_millis() + 1
                );
                let mut details =
                    ErrorDetails::with_quota_failure_violation(address.ip().to_string(), &message);
                details.set_retry_info(Some(wait));
                Err(Status::with_error_details(Code::ResourceExhausted, message, details))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn address(text: &str) -> IpAddr {
        peer(text.parse().unwrap())
    }

    #[test]
    fn a_peer_may_come_in_a_burst_and_then_at_the_rate() {
        let mut buckets = Buckets::new(Rate { per_second: 2.0, burst: 3.0 }, 8);
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        for _ in 0..3 {
            assert_eq!(buckets.take(seconds(0.0), one), Ok(()));
        }
        assert_eq!(buckets.take(seconds(0.0), one), Err(seconds(0.5)));
        assert_eq!(buckets.take(seconds(0.0), other), Ok(()), "peers have buckets of their own");
        assert_eq!(buckets.take(seconds(0.5), one), Ok(()));
        assert_eq!(buckets.take(seconds(0.5), one), Err(seconds(0.5)));
        // Silence fills a bucket, but not above its brim.
        for _ in 0..3 {
            assert_eq!(buckets.take(seconds(100.0), one), Ok(()));
        }
        assert!(buckets.take(seconds(100.0), one).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_newcomers_share_what_is_left() {
        let mut buckets = Buckets::new(Rate { per_second: 1.0, burst: 2.0 }, 2);
        for last in ["1", "2"] {
            buckets.take(seconds(0.0), address(&format!("10.0.0.{last}"))).unwrap();
        }
        for last in ["3", "4"] {
            assert_eq!(buckets.take(seconds(0.0), address(&format!("10.0.0.{last}"))), Ok(()));
        }
        assert!(buckets.take(seconds(0.0), address("10.0.0.5")).is_err(), "the shared bucket is empty");
        assert_eq!(buckets.peers.len(), 2);
        // Full buckets make room.
        assert_eq!(buckets.take(seconds(2.0), address("10.0.0.5")), Ok(()));
        assert_eq!(buckets.peers.len(), 1);
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
    }
}
