//! Fitness of episodes and verdicts over candidates. Higher is better, everywhere.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::estimate::mean;

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

/// How far a candidate is from what is allowed: finite and not below 0, lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Violation(Fitness);

/// A number that cannot be a violation.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a violation must be finite and not below 0, not {0}")]
pub struct NotAViolationError(f64);

impl Violation {
    /// Takes a finite number that is not below 0.
    pub fn new(value: f64) -> Result<Self, NotAViolationError> {
        match Fitness::new(value) {
            Ok(number) if value >= 0.0 => Ok(Self(number)),
            _ => Err(NotAViolationError(value)),
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0.get()
    }
}

impl TryFrom<f64> for Violation {
    type Error = NotAViolationError;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Violation> for f64 {
    fn from(violation: Violation) -> Self {
        violation.get()
    }
}

/// What an episode, or a candidate's episodes together, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// At least one episode left the finite numbers, or could not be evaluated.
    Diverged {
        /// How many episodes diverged, at least 1.
        episodes: u32,
    },
    /// At least one episode was not allowed: the mean of the episodes' violations, that of an allowed one being 0.
    Infeasible(Violation),
    /// The mean of the episodes' fitnesses.
    Fit(Fitness),
}

impl Verdict {
    /// The verdict over a candidate's episodes, given in task order, from that over each; `None` if there are none.
    /// The mean is taken in f64 and in the given order, so it has one value only.
    pub fn of(episodes: &[Self]) -> Option<Self> {
        let diverged = |episode: &Self| match episode {
            Self::Diverged { episodes } => *episodes,
            Self::Infeasible(_) | Self::Fit(_) => 0,
        };
        let violation = |episode: &Self| match episode {
            Self::Infeasible(violation) => violation.get(),
            Self::Diverged { .. } | Self::Fit(_) => 0.0,
        };
        let count = episodes.iter().map(diverged).sum::<u32>();
        if count > 0 {
            return Some(Self::Diverged { episodes: count });
        }
        if episodes.iter().any(|episode| matches!(episode, Self::Infeasible(_))) {
            return Violation::new(mean(episodes.iter().map(violation))).ok().map(Self::Infeasible);
        }
        let fitnesses = episodes.iter().filter_map(|episode| episode.fitness()).map(Fitness::get);
        Fitness::new(mean(fitnesses)).ok().filter(|_| !episodes.is_empty()).map(Self::Fit)
    }

    /// Whether the candidate has a place among others: one that diverged says nothing of where to go.
    pub fn is_ranked(self) -> bool {
        !matches!(self, Self::Diverged { .. })
    }

    /// The fitness, where there is one.
    pub fn fitness(self) -> Option<Fitness> {
        match self {
            Self::Fit(fitness) => Some(fitness),
            Self::Infeasible(_) | Self::Diverged { .. } => None,
        }
    }
}

/// Worst to best: many diverged episodes, few, then by violation from large to small, then by fitness.
impl Ord for Verdict {
    fn cmp(&self, other: &Self) -> Ordering {
        let class = |verdict: &Self| match verdict {
            Self::Diverged { .. } => 0,
            Self::Infeasible(_) => 1,
            Self::Fit(_) => 2,
        };
        match (self, other) {
            (Self::Fit(a), Self::Fit(b)) => a.cmp(b),
            (Self::Infeasible(a), Self::Infeasible(b)) => b.cmp(a),
            (Self::Diverged { episodes: a }, Self::Diverged { episodes: b }) => b.cmp(a),
            _ => class(self).cmp(&class(other)),
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
        let (one, two) = (Verdict::Fit(fit(1.0)), Verdict::Fit(fit(2.0)));
        let diverged = |episodes| Verdict::Diverged { episodes };
        assert_eq!(Verdict::of(&[one, two]), Some(Verdict::Fit(fit(1.5))));
        assert_eq!(Verdict::of(&[one, diverged(1), diverged(1)]), Some(diverged(2)));
        assert_eq!(Verdict::of(&[]), None);
        let outside = |by| Verdict::Infeasible(Violation::new(by).unwrap());
        assert_eq!(Verdict::of(&[one, outside(3.0), two]), Some(outside(1.0)));
        assert_eq!(Verdict::of(&[outside(3.0), outside(0.0)]), Some(outside(1.5)));
        assert_eq!(Verdict::of(&[one, outside(0.0)]), Some(outside(0.0)), "it is not allowed all the same");
        assert_eq!(Verdict::of(&[outside(3.0), diverged(1)]), Some(diverged(1)));
    }

    #[test]
    fn a_mean_of_values_that_sum_beyond_the_numbers_is_no_failure() {
        let of = |value: f64| Verdict::Fit(fit(value));
        let outside = |by| Verdict::Infeasible(Violation::new(by).unwrap());
        for value in [f64::MAX, 1e308, -1e308, f64::MIN] {
            assert_eq!(Verdict::of(&[of(value); 8]), Some(of(value)));
        }
        assert_eq!(Verdict::of(&[outside(f64::MAX); 3]), Some(outside(f64::MAX)));
        let Some(Verdict::Fit(better)) = Verdict::of(&[of(1e308), of(1e308), of(1e308)]) else { panic!() };
        let Some(Verdict::Fit(worse)) = Verdict::of(&[of(1e308), of(1e308), of(0.9e308)]) else { panic!() };
        assert!(better > worse && worse > fit(0.9e308), "it has its place among others");
    }

    #[test]
    fn a_violation_is_finite_and_not_negative() {
        for value in [f64::NAN, f64::INFINITY, -1.0, -f64::MIN_POSITIVE] {
            assert!(Violation::new(value).is_err(), "{value}");
        }
        assert_eq!(Violation::new(-0.0).unwrap().get().to_bits(), 0);
    }

    #[test]
    fn verdicts_are_ordered_worst_to_best() {
        let ordered = [
            Verdict::Diverged { episodes: 3 },
            Verdict::Diverged { episodes: 1 },
            Verdict::Infeasible(Violation::new(1e300).unwrap()),
            Verdict::Infeasible(Violation::new(0.0).unwrap()),
            Verdict::Fit(fit(-1e300)),
            Verdict::Fit(fit(0.5)),
        ];
        assert!(ordered.is_sorted_by(|a, b| a < b));
    }
}
