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

    /// Round numbers on it with their places: about `count` of them, and at least two unless there is but one whole number. `room` says
    /// how much of the axis a label takes: no two share any of it.
    pub(crate) fn ticks(&self, count: i32, room: impl Fn(&str) -> f64) -> Vec<(f64, String)> {
        let fits = |ticks: &Vec<(f64, String)>| {
            let apart = |two: &[(f64, String)]| {
                (two[1].0 - two[0].0).abs() >= f64::midpoint(room(&two[0].1), room(&two[1].1))
            };
            ticks.len() > 1 && ticks.windows(2).all(apart)
        };
        let steps = || (2..=count).rev().map(|count| self.steps(count));
        let found = if self.axis == Axis::Logarithmic {
            let fine = self.fine();
            let few = Some(fine.clone()).filter(|fine| fine.len() <= count as usize + 2);
            let all = few.into_iter().chain((1..=POWERS_MAX).map(|every| self.powers(every))).chain([fine]);
            all.chain(steps()).find(fits)
        } else {
            steps().find(fits)
        };
        found.unwrap_or_else(|| {
            let ends = self.steps(count);
            let last = ends.len().saturating_sub(1);
            ends.into_iter()
                .enumerate()
                .filter(|(n, _)| [0, last].contains(n))
                .map(|(_, tick)| tick)
                .collect()
        })
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self, count: i32) -> Vec<(f64, String)> {
        let logarithmic = self.axis == Axis::Logarithmic;
        let end = |end: f64| if logarithmic { libm::pow(10.0, end) } else { end };
        let (low, high) = (end(self.low), end(self.high));
        let rough = (high - low) / f64::from(count);
        let rough = if self.axis == Axis::Whole { rough.max(1.0) } else { rough };
        let exponent = libm::floor(libm::log10(rough)) as i32;
        let unit = power_of_ten(exponent);
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * unit >= rough).unwrap_or(10.0);
        let step = factor * unit;
        let decimals = if factor == 10.0 { -exponent - 1 } else { -exponent };
        let first = libm::ceil(low / step);
        (0..=2 * count)
            .map(|place| (first + f64::from(place)) * step)
            .filter(|value| *value <= high)
            .filter_map(|value| Some((self.at(value)?, step_label(value, decimals))))
            .collect()
    }

    /// 1, 2 and 5 times each power of ten.
    fn fine(&self) -> Vec<(f64, String)> {
        let powers = libm::floor(self.low) as i32..=libm::floor(self.high) as i32;
        self.labelled(powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * power_of_ten(power))))
    }

    /// Every so many powers of ten, the more of them the longer the axis.
    fn powers(&self, every: i32) -> Vec<(f64, String)> {
        let (first, last) = (libm::ceil(self.low) as i32, libm::floor(self.high) as i32);
        let every = every * ((last - first) / POWERS_MAX + 1).max(1);
        self.labelled((first..=last).filter(|power| power.rem_euclid(every) == 0).map(power_of_ten))
    }

    /// Those on the axis, each with one digit.
    fn labelled(&self, values: impl Iterator<Item = f64>) -> Vec<(f64, String)> {
        let within = |value: &f64| (self.low..=self.high).contains(&log(*value));
        values.filter(within).filter_map(|value| Some((self.at(value)?, digits(value, 1)))).collect()
    }
}

/// A multiple of a step that has so many decimals.
fn step_label(value: f64, decimals: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() < 1e6 && decimals <= 6 {
        return format!("{value:.*}", decimals.max(0) as usize);
    }
    // As many digits as tell it from the next one.
    let exponent = libm::floor(libm::log10(value.abs())) as i32;
    format!("{value:.*e}", (exponent + decimals).max(0) as usize)
}

fn log(value: f64) -> f64 {
    libm::log10(value.clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of letters that are as wide as those of charts, along the longer side of one.
    fn ticks(axis: Axis, low: f64, high: f64) -> Vec<(f64, String)> {
        let scale = Scale::of(axis, [low, high].into_iter(), (0.0, 200.0), 0.0).unwrap();
        scale.ticks(5, |_| 12.0)
    }

    fn labels(axis: Axis, low: f64, high: f64) -> Vec<String> {
        ticks(axis, low, high).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(Axis::Linear, 0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Axis::Linear, 0.0, 1000.0), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(Axis::Logarithmic, 0.001, 100.0), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(Axis::Logarithmic, 1e-12, 1e9), ["1e-12", "1e-8", "0.0001", "1", "10000", "1e8"]);
        assert_eq!(labels(Axis::Logarithmic, 0.2, 0.9), ["0.2", "0.5"]);
        assert_eq!(labels(Axis::Logarithmic, 0.02, 0.9), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
        // What is counted has no halves, and what lies close together can be told apart.
        assert_eq!(labels(Axis::Whole, 0.0, 2.0), ["0", "1", "2"]);
        assert_eq!(labels(Axis::Whole, 7.0, 7.0), ["7"]);
        assert_eq!(labels(Axis::Linear, 0.0, 1.5), ["0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(Axis::Logarithmic, 0.97, 1.01), ["0.97", "0.98", "0.99", "1.00", "1.01"]);
        assert_eq!(labels(Axis::Logarithmic, 1.1, 4.9), ["2", "3", "4"]);
        assert_eq!(labels(Axis::Logarithmic, 0.472, 0.476), ["0.472", "0.473", "0.474", "0.475"]);
        assert_eq!(
            labels(Axis::Linear, 5e6, 5e6 + 4.0),
            ["5.000000e6", "5.000001e6", "5.000002e6", "5.000003e6", "5.000004e6"]
        );
        assert_eq!(labels(Axis::Linear, 0.0, 2e6), ["0", "500000", "1.0e6", "1.5e6", "2.0e6"]);
    }

    /// Whether a label is a power of ten, or 2 or 5 times one.
    fn is_of_one_two_or_five(label: &str) -> bool {
        let digits: String = label.split('e').next().unwrap().chars().filter(char::is_ascii_digit).collect();
        matches!(digits.trim_matches('0'), "1" | "2" | "5")
    }

    #[test]
    fn a_logarithmic_axis_has_two_ticks_or_more_that_differ_and_never_touch() {
        for tenths in -400..400 {
            for length in
                [1e-6, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.69, 0.7, 1.0, 1.5, 2.3, 3.0, 4.0, 7.0, 8.0, 15.0, 90.0]
            {
                let low = f64::from(tenths) / 10.0 + 0.013;
                let (least, most) = (libm::pow(10.0, low), libm::pow(10.0, low + length));
                let ticks = ticks(Axis::Logarithmic, least, most);
                let what = format!("{least:e} to {most:e}: {ticks:?}");
                assert!((2..=8).contains(&ticks.len()), "{what}");
                assert!(
                    ticks.windows(2).all(|two| two[1].0 - two[0].0 >= 12.0 && two[0].1 != two[1].1),
                    "{what}"
                );
                for (place, label) in &ticks {
                    let value: f64 = label.parse().unwrap();
                    let scale =
                        Scale::of(Axis::Logarithmic, [least, most].into_iter(), (0.0, 200.0), 0.0).unwrap();
                    assert!((scale.at(value).unwrap() - place).abs() < 1.0, "{what}: {label} is elsewhere");
                    // Where the axis is as long as it takes to have two of them.
                    assert!(length < 0.7 || is_of_one_two_or_five(label), "{what}: {label} is not round");
                }
            }
        }
    }

    #[test]
    fn long_labels_have_their_room() {
        let scale = Scale::of(Axis::Logarithmic, [3.0, 2000.0].into_iter(), (0.0, 200.0), 0.0).unwrap();
        let labels =
            |room: f64| scale.ticks(8, |_| room).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(10.0), ["5", "10", "20", "50", "100", "200", "500", "1000", "2000"]);
        assert_eq!(labels(60.0), ["10", "100", "1000"]);
        let scale = Scale::of(Axis::Linear, [0.0, 10.0].into_iter(), (0.0, 200.0), 0.0).unwrap();
        assert_eq!(scale.ticks(8, |_| 90.0).len(), 3);
        assert_eq!(scale.ticks(8, |_| 150.0).len(), 2);
    }

    #[test]
    fn whatever_the_values_are_there_is_an_axis_with_finite_places() {
        for (low, high) in [(0.0, 0.0), (1e300, 1e300), (f64::MIN, f64::MAX), (5e-324, 1e308), (-1.0, -1.0)] {
            for axis in [Axis::Linear, Axis::Logarithmic, Axis::Whole] {
                let Some(scale) = Scale::of(axis, [low, high].into_iter(), (0.0, 9.0), 0.05) else {
                    assert!(axis == Axis::Logarithmic && high <= 0.0);
                    continue;
                };
                let ticks = scale.ticks(5, |_| 1.0);
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
