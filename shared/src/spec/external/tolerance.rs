//! How far apart two honest answers of an objective may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::SpecError;
use super::super::range::Range;
use crate::episode::Outcome;
use crate::limits::START_NUMBER_MAX;

/// Two answers agree if all of their numbers are at most `absolute` + `relative` times the larger one apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// A distance of two numbers.
    #[serde(default)]
    #[schemars(transform = ABSOLUTE.schema())]
    pub absolute: f64,
    /// The same as a share of the one that is further from zero.
    #[serde(default)]
    #[schemars(transform = RELATIVE.schema())]
    pub relative: f64,
}

const ABSOLUTE: Range<f64> = Range::new(0.0, START_NUMBER_MAX);
const RELATIVE: Range<f64> = Range::new(0.0, 1.0);

impl Tolerance {
    /// The same to the last bit.
    pub const NONE: Self = Self { absolute: 0.0, relative: 0.0 };

    pub(super) fn validate(&self, field: &str) -> Result<(), SpecError> {
        ABSOLUTE.check(&format!("{field}.absolute"), self.absolute)?;
        RELATIVE.check(&format!("{field}.relative"), self.relative)
    }

    /// Whether two answers of the same evaluation say the same.
    pub fn agree(&self, one: &Outcome, other: &Outcome) -> bool {
        match (one, other) {
            (Outcome::Evaluated(one), Outcome::Evaluated(other)) if *self != Self::NONE => {
                self.near(one.fitness.get(), other.fitness.get())
                    && one.scores.len() == other.scores.len()
                    && one.scores.iter().zip(&other.scores).all(|(one, other)| self.near(*one, *other))
            }
            (Outcome::Infeasible(one), Outcome::Infeasible(other)) => self.near(one.get(), other.get()),
            _ => one == other,
        }
    }

    fn near(&self, one: f64, other: f64) -> bool {
        (one - other).abs() <= self.absolute + self.relative * one.abs().max(other.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episode::Evaluation;
    use crate::fitness::{Fitness, Violation};

    #[test]
    fn answers_agree_within_the_tolerance() {
        let value = |fitness, score| {
            let evaluation = Evaluation::of(Fitness::new(fitness).unwrap());
            Outcome::Evaluated(Evaluation { scores: vec![score], ..evaluation })
        };
        let infeasible = |by| Outcome::Infeasible(Violation::new(by).unwrap());
        let check = |absolute, relative, one: &Outcome, other: &Outcome, expected| {
            let tolerance = Tolerance { absolute, relative };
            assert_eq!(tolerance.agree(one, other), expected, "{tolerance:?}: {one:?}, {other:?}");
            assert_eq!(tolerance.agree(other, one), expected);
        };
        for (absolute, relative) in [(0.0, 0.0), (0.5, 0.0), (0.0, 0.1)] {
            check(absolute, relative, &value(4.0, 1.0), &value(4.0, 1.0), true);
            check(absolute, relative, &value(4.0, 1.0), &Outcome::Diverged, false);
            check(absolute, relative, &Outcome::Diverged, &Outcome::Diverged, true);
            check(absolute, relative, &value(4.0, 1.0), &infeasible(4.0), false);
            check(absolute, relative, &value(-4.0, 1.0), &value(4.0, 1.0), false);
        }
        check(0.0, 0.0, &value(4.0, 1.0), &value(4.0 + 1e-15, 1.0), false);
        check(0.5, 0.0, &value(4.0, 1.0), &value(4.5, 1.5), true);
        check(0.5, 0.0, &value(4.0, 1.0), &value(4.6, 1.0), false);
        check(0.5, 0.0, &value(4.0, 1.0), &value(4.0, 1.6), false);
        check(0.0, 0.125, &value(-4.0, 1.0), &value(-3.5, 1.0), true);
        check(0.0, 0.125, &value(-4.0, 1.0), &value(-3.4, 1.0), false);
        check(0.5, 0.0, &infeasible(1.0), &infeasible(1.5), true);
        check(0.0, 0.0, &infeasible(1.0), &infeasible(1.5), false);
    }
}
