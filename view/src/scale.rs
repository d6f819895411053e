//! From figures to places in a picture, and the round numbers along an axis.

use crate::number::{digits, power_of_ten};

/// The largest number that is drawn: the difference of two is still a number.
const MOST: f64 = 1e300;
/// The smallest positive number that a logarithmic axis shows.
const LEAST: f64 = 1e-300;
/// Beyond that whole numbers are as close as any others.
const COUNTED_MAX: f64 = 1e15;
/// Powers of ten along a logarithmic axis, at most.
const POWERS_MAX: i32 = 7;

/// What stands on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Any numbers.
    Linear,
    /// Positive numbers, by their powers of ten.
    Logarithmic,
    /// What is counted: there is nothing between two whole numbers.
    Whole,
}

/// An axis: the numbers that it spans, and the places of its two ends.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// An axis for all of the values that it can show; `None` if there are none.
    pub(crate) fn of(
        axis: Axis,
        values: impl Iterator<Item = f64>,
        (from, to): (f64, f64),
        margin: f64,
    ) -> Option<Self> {
        let logarithmic = axis == Axis::Logarithmic;
        let shown = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let place = |value: f64| if logarithmic { log(value) } else { value.clamp(-MOST, MOST) };
        let ends = |ends: (f64, f64), value: f64| (ends.0.min(value), ends.1.max(value));
        let (low, high) = shown.map(place).fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        if low > high {
            return None;
        }
        let (before, after) = if high > low {
            (margin * (high - low), margin * (high - low))
        } else if logarithmic {
            (0.3, 0.3)
        } else if axis == Axis::Whole && low.abs() < COUNTED_MAX {
            (0.5, 0.5)
        } else {
            let around = (0.05 * low.abs()).max(1e-6);
            (around, around)
        };
        Some(Self { axis, low: low - before, high: high + after, from, to })
    }

    /// The place of a value; `None` if it has none on this axis.
    pub(crate) fn at(&self, value: f64) -> Option<f64> {
        let logarithmic = self.axis == Axis::Logarithmic;
        if !value.is_finite() || logarithmic && value <= 0.0 {
            return None;
        }
        let value = if logarithmic { log(value) } else { value };
        let share = (value - self.low) / (self.high - self.low);
        Some(self.from + share.clamp(0.0, 1.0) * (self.to - self.from))
    }

    /// Round numbers on it with their places, about `count` of them.
    pub(crate) fn ticks(&self, count: i32) -> Vec<(f64, String)> {
        if self.axis == Axis::Logarithmic { self.powers() } else { self.steps(count) }
    }

    fn steps(&self, count: i32) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / f64::from(count);
        let rough = if self.axis == Axis::Whole { rough.max(1.0) } else { rough };
        let exponent = libm::floor(libm::log10(rough)) as i32;
        let unit = power_of_ten(exponent);
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * unit >= rough).unwrap_or(10.0);
        let step = factor * unit;
        let decimals = if factor == 10.0 { -exponent - 1 } else { -exponent };
        let first = libm::ceil(self.low / step);
        (0..=2 * count)
            .map(|place| (first + f64::from(place)) * step)
            .filter(|value| *value <= self.high)
            .filter_map(|value| {
                let large = value.abs() >= 1e6 || decimals > 6;
                let text = if value == 0.0 {
                    "0".to_owned()
                } else if large {
                    format!("{value:.1e}")
                } else {
                    format!("{value:.*}", decimals.max(0) as usize)
                };
                Some((self.at(value)?, text))
            })
            .collect()
    }

    fn powers(&self) -> Vec<(f64, String)> {
        let (first, last) = (libm::ceil(self.low) as i32, libm::floor(self.high) as i32);
        let every = ((last - first) / POWERS_MAX + 1).max(1);
        let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0).map(power_of_ten);
        let mut values: Vec<f64> = powers.collect();
        if last - first < 2 {
            let between = (first - 1..=last)
                .flat_map(|power| [2.0, 3.0, 5.0, 7.0].map(|factor| factor * power_of_ten(power)));
            let within = |value: &f64| (self.low..=self.high).contains(&log(*value));
            values.extend(between.filter(within));
            values.sort_unstable_by(f64::total_cmp);
        }
        let mut least = 2;
        if values.len() < 2 && self.high - self.low < 1.0 {
            least = 3;
            let middle = f64::midpoint(self.low, self.high);
            values = [self.low, middle, self.high].map(|power| libm::pow(10.0, power)).to_vec();
        }
        let labels = labels(&values, least);
        values.into_iter().zip(labels).filter_map(|(value, label)| Some((self.at(value)?, label))).collect()
    }
}

/// With as many digits as tell them apart, and no fewer than `least`.
fn labels(values: &[f64], least: i32) -> Vec<String> {
    let with = |digits| values.iter().map(|value| label(*value, digits)).collect::<Vec<_>>();
    let differ = |labels: &Vec<String>| labels.windows(2).all(|two| two[0] != two[1]);
    (least..6).map(with).find(differ).unwrap_or_else(|| with(6))
}

fn label(value: f64, most: i32) -> String {
    let plain = digits(value, most);
    match plain.split_once('.') {
        Some((whole, rest)) if !plain.contains('e') => {
            let rest = rest.trim_end_matches('0');
            if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
        }
        _ => plain.replace(".0e", "e"),
    }
}

fn log(value: f64) -> f64 {
    libm::log10(value.clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, low: f64, high: f64) -> Vec<String> {
        let scale = Scale::of(axis, [low, high].into_iter(), (0.0, 100.0), 0.0).unwrap();
        scale.ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(Axis::Linear, 0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Axis::Linear, 0.0, 1000.0), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(Axis::Logarithmic, 0.001, 100.0), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(Axis::Logarithmic, 1e-12, 1e9), ["1e-12", "1e-8", "0.0001", "1", "10000", "1e8"]);
        assert_eq!(labels(Axis::Logarithmic, 0.2, 0.9), ["0.2", "0.3", "0.5", "0.7"]);
        // What is counted has no halves, and what lies close together can be told apart.
        assert_eq!(labels(Axis::Whole, 0.0, 2.0), ["0", "1", "2"]);
        assert_eq!(labels(Axis::Whole, 7.0, 7.0), ["7"]);
        assert_eq!(labels(Axis::Linear, 0.0, 1.5), ["0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(Axis::Logarithmic, 0.97, 1.01), ["0.97", "0.99", "1.01"]);
        assert_eq!(labels(Axis::Logarithmic, 0.472, 0.476), ["0.472", "0.474", "0.476"]);
    }

    #[test]
    fn whatever_the_values_are_there_is_an_axis_with_finite_places() {
        for (low, high) in [(0.0, 0.0), (1e300, 1e300), (f64::MIN, f64::MAX), (5e-324, 1e308), (-1.0, -1.0)] {
            for axis in [Axis::Linear, Axis::Logarithmic, Axis::Whole] {
                let Some(scale) = Scale::of(axis, [low, high].into_iter(), (0.0, 9.0), 0.05) else {
                    assert!(axis == Axis::Logarithmic && high <= 0.0);
                    continue;
                };
                let ticks = scale.ticks(5);
                assert!(ticks.len() < 20, "{ticks:?}");
                for value in ticks.into_iter().map(|(place, _)| place).chain(scale.at(high)) {
                    assert!((0.0..=9.0).contains(&value));
                }
            }
        }
        assert!(Scale::of(Axis::Logarithmic, [0.0, -1.0].into_iter(), (0.0, 1.0), 0.0).is_none());
        assert!(Scale::of(Axis::Linear, [f64::NAN].into_iter(), (0.0, 1.0), 0.0).is_none());
    }
}
