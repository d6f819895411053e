//! Fitness of episodes and verdicts over candidates. Higher is better, everywhere.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A finite number; higher is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fitness(f64);

/// A number that cannot be a fitness.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a fitness must be finite, not {0}")]
pub struct NotFiniteError(f64);

impl Fitness {
    /// Takes a finite number.
    pub fn new(value: f64) -> Result<Self, NotFiniteError> {
        // -0 and 0 are one fitness: ties must not depend on the sign of zero.
        if value.is_finite() { Ok(Self(value + 0.0)) } else { Err(NotFiniteError(value)) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Fitness {}

#[expect(
    clippy::derive_ord_xor_partial_ord,
    reason = "finite numbers without -0 are totally ordered by both"
)]
impl Ord for Fitness {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl TryFrom<f64> for Fitness {
    type Error = NotFiniteError;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Fitness> for f64 {
    fn from(fitness: Fitness) -> Self {
        fitness.0
    }
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a candidate's episodes say of it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// At least one episode left the finite numbers.
    Diverged {
        /// How many episodes diverged, at least 1.
        episodes: u32,
    },
    /// The mean of the episodes' fitnesses.
    Fit(Fitness),
}

impl Verdict {
    /// The verdict over a candidate's episodes, given in task order: `Some` fitness or `None` where one diverged.
    /// The mean is taken in f64 and in the given order, so it has one value only.
    pub fn of(episodes: impl IntoIterator<Item = Option<Fitness>>) -> Option<Self> {
        let (mut sum, mut count, mut diverged) = (0.0, 0u32, 0u32);
        for episode in episodes {
            count += 1;
            match episode {
                Some(fitness) => sum += fitness.get(),
                None => diverged += 1,
            }
        }
        if diverged > 0 {
            return Some(Self::Diverged { episodes: diverged });
        }
        // A sum of finite numbers can still leave them; such a candidate is as good as diverged.
        (count > 0).then(|| {
            Fitness::new(sum / f64::from(count)).map_or(Self::Diverged { episodes: count }, Self::Fit)
        })
    }

    /// The fitness, where there is one.
    pub fn fitness(self) -> Option<Fitness> {
        match self {
            Self::Fit(fitness) => Some(fitness),
            Self::Diverged { .. } => None,
        }
    }
}

/// Worst to best: many diverged episodes, few, then by fitness.
impl Ord for Verdict {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Fit(a), Self::Fit(b)) => a.cmp(b),
            (Self::Fit(_), Self::Diverged { .. }) => Ordering::Greater,
            (Self::Diverged { .. }, Self::Fit(_)) => Ordering::Less,
            (Self::Diverged { episodes: a }, Self::Diverged { episodes: b }) => b.cmp(a),
        }
    }
}

impl PartialOrd for Verdict {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(value: f64) -> Fitness {
        Fitness::new(value).unwrap()
    }

    #[test]
    fn only_finite_numbers_are_fitnesses() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Fitness::new(value).is_err());
        }
        assert_eq!(fit(-0.0).get().to_bits(), 0);
        assert_eq!(fit(-0.0).cmp(&fit(0.0)), Ordering::Equal);
    }

    #[test]
    fn a_verdict_is_the_mean_and_one_diverged_episode_spoils_it() {
        assert_eq!(Verdict::of([Some(fit(1.0)), Some(fit(2.0))]), Some(Verdict::Fit(fit(1.5))));
        assert_eq!(Verdict::of([Some(fit(1.0)), None, None]), Some(Verdict::Diverged { episodes: 2 }));
        assert_eq!(Verdict::of([Some(fit(f64::MAX)); 2]), Some(Verdict::Diverged { episodes: 2 }));
        assert_eq!(Verdict::of([]), None);
    }

    #[test]
    fn verdicts_are_ordered_worst_to_best() {
        let ordered = [
            Verdict::Diverged { episodes: 3 },
            Verdict::Diverged { episodes: 1 },
            Verdict::Fit(fit(-1e300)),
            Verdict::Fit(fit(0.5)),
        ];
        assert!(ordered.is_sorted_by(|a, b| a < b));
    }
}
