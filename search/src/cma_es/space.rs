//! From the numbers that are searched to genomes: scales, fixed coordinates and bounds.
//!
//! The search itself knows no limits: it moves free coordinates in units of their scales. Bounds are met by a smooth
//! map of the line onto the interval, pycma's: the identity within, a parabola near each bound, mirrored beyond, so a
//! distribution that overlaps a bound is folded back and never sees a cliff.

use hebbian_shared::spec::strategy::CmaEsSpec;

use crate::linear_algebra::matrix::Matrix;
use crate::{Integer, Interval};

/// The map from the search's coordinates to genomes and back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Space {
    /// The genome at which the search starts; fixed coordinates keep its values.
    origin: Vec<f64>,
    /// The free coordinates, ascending.
    free: Vec<Axis>,
    /// Whether both sides are the same.
    is_identity: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    coordinate: usize,
    scale: f64,
    bounds: Bounds,
    /// Whether genomes have it rounded. Its bounds then clip.
    is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Bounds {
    /// How far within the lower and the upper bound the parabolas begin, which is how far without they end.
    fn margins(self) -> (f64, f64) {
        let margin = |bound: Option<f64>| bound.map_or(0.0, |bound| (1.0 + bound.abs()) / 20.0);
        let half = match (self.lower, self.upper) {
            (Some(lower), Some(upper)) => (upper - lower) / 2.0,
            _ => f64::INFINITY,
        };
        (margin(self.lower).min(half), margin(self.upper).min(half))
    }

    /// Onto the interval.
    fn apply(self, x: f64) -> f64 {
        let (low, high) = self.margins();
        // There is no arithmetic where there is nothing to do: beside a distant bound it would cost every digit.
        if self.lower.is_none_or(|lower| x >= lower + low) && self.upper.is_none_or(|upper| x <= upper - high)
        {
            return x;
        }
        let x = match (self.lower, self.upper) {
            (None, None) => return x,
            (Some(lower), None) => (lower - low) + (x - (lower - low)).abs(),
            (None, Some(upper)) => (upper + high) - (x - (upper + high)).abs(),
            (Some(lower), Some(upper)) => {
                // Periodic: up the interval and its margins and down again.
                let (start, length) = (lower - low, upper - lower + low + high);
                let phase = (x - start).rem_euclid(2.0 * length);
                start + if phase > length { 2.0 * length - phase } else { phase }
            }
        };
        match (self.lower, self.upper) {
            (Some(lower), _) if x < lower + low => {
                (lower + (x - (lower - low)).powi(2) / (4.0 * low)).max(lower)
            }
            (_, Some(upper)) if x > upper - high => {
                (upper - (x - (upper + high)).powi(2) / (4.0 * high)).min(upper)
            }
            _ => x,
        }
    }

    /// The smallest and the largest whole number within.
    fn whole(self) -> (f64, f64) {
        let (low, high) = (self.lower.map(libm::ceil), self.upper.map(libm::floor));
        (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY))
    }

    /// The whole number within that is nearest.
    fn round(self, x: f64) -> f64 {
        let (low, high) = self.whole();
        libm::floor(x + 0.5).max(low).min(high)
    }

    /// The nearest to the interval's inside of what is mapped to `y`, which is within.
    fn invert(self, y: f64) -> f64 {
        let (low, high) = self.margins();
        match (self.lower, self.upper) {
            (Some(lower), _) if y < lower + low => lower - low + 2.0 * (low * (y - lower).max(0.0)).sqrt(),
            (_, Some(upper)) if y > upper - high => upper + high - 2.0 * (high * (upper - y).max(0.0)).sqrt(),
            _ => y,
        }
    }
}

impl Space {
    /// The space of a search that starts at `origin`, with validated settings.
    pub(super) fn new(origin: Vec<f64>, settings: &CmaEsSpec) -> Self {
        let of = |values: &[f64], i: usize| {
            values.get(i).or(values.first().filter(|_| values.len() == 1)).copied()
        };
        // An infinite one is none.
        let bound = |values: &[f64], i: usize| of(values, i).filter(|bound| bound.is_finite());
        let axis = |coordinate: usize| Axis {
            coordinate,
            scale: of(&settings.scales, coordinate).unwrap_or(1.0),
            bounds: Bounds {
                lower: bound(&settings.lower_bounds, coordinate),
                upper: bound(&settings.upper_bounds, coordinate),
            },
            is_whole: settings.integers.contains(&(coordinate as u32)),
        };
        let free = (0..origin.len()).filter(|&i| !settings.fixed.contains(&(i as u32))).map(axis).collect();
        let is_identity = settings.fixed.is_empty()
            && settings.integers.is_empty()
            && settings.scales.is_empty()
            && settings.lower_bounds.is_empty()
            && settings.upper_bounds.is_empty();
        Self { origin, free, is_identity }
    }

    /// Dimension of the search (free coordinates).
    pub(super) fn dimension(&self) -> usize {
        self.free.len()
    }

    /// Numbers of a genome.
    pub(super) fn genome_length(&self) -> usize {
        self.origin.len()
    }

    /// The genome of a point of the search.
    pub(super) fn to_genome(&self, point: Vec<f64>) -> Vec<f64> {
        if self.is_identity {
            return point;
        }
        let mut genome = self.origin.clone();
        for (axis, x) in self.free.iter().zip(point) {
            let x = axis.scale * x;
            genome[axis.coordinate] = if axis.is_whole { axis.bounds.round(x) } else { axis.bounds.apply(x) };
        }
        genome
    }

    /// The point of the search that a genome stands for; fixed coordinates are not looked at.
    pub(super) fn to_point(&self, genome: &[f64]) -> Vec<f64> {
        if self.is_identity {
            return genome.to_vec();
        }
        let bound = |axis: &Axis| {
            let y = genome[axis.coordinate];
            let y = axis.bounds.lower.map_or(y, |lower| y.max(lower));
            axis.bounds.upper.map_or(y, |upper| y.min(upper))
        };
        let invert = |axis: &Axis| if axis.is_whole { bound(axis) } else { axis.bounds.invert(bound(axis)) };
        self.free.iter().map(|axis| invert(axis) / axis.scale).collect()
    }

    /// The integers of the settings, and those among genomes' numbers that others round, in the search's coordinates.
    pub(super) fn integers(&self, rounded_by_others: &[Integer]) -> Vec<Integer> {
        let of = |(place, axis): (usize, &Axis)| {
            if axis.is_whole {
                let (low, high) = axis.bounds.whole();
                return Some(Integer { coordinate: place, offset: 0.0, slope: axis.scale, low, high });
            }
            let integer = rounded_by_others.iter().find(|integer| integer.coordinate == axis.coordinate)?;
            Some(Integer { coordinate: place, slope: axis.scale * integer.slope, ..*integer })
        };
        self.free.iter().enumerate().filter_map(of).collect()
    }

    /// The reals of the settings that have two bounds, and those among genomes' numbers that others fold back, in the search's
    /// coordinates.
    pub(super) fn intervals(&self, folded_by_others: &[Interval]) -> Vec<Interval> {
        let of = |(place, axis): (usize, &Axis)| {
            let length = match axis.bounds {
                _ if axis.is_whole => return None,
                Bounds { lower: Some(lower), upper: Some(upper) } => upper - lower,
                _ => folded_by_others.iter().find(|interval| interval.coordinate == axis.coordinate)?.length,
            };
            Some(Interval { coordinate: place, length: length / axis.scale })
        };
        self.free.iter().enumerate().filter_map(of).collect()
    }

    /// The point that the search starts at.
    pub(super) fn start(&self) -> Vec<f64> {
        self.to_point(&self.origin)
    }

    /// The covariance matrix among free coordinates in the search's units, of the lower triangle by columns of one among
    /// all coordinates.
    pub(super) fn covariance(&self, triangle: &[f64]) -> Matrix {
        let n = self.genome_length();
        let place =
            |row: usize, column: usize| column * n - column * column.saturating_sub(1) / 2 + row - column;
        Matrix::from_fn(self.dimension(), self.dimension(), |row, column| {
            let (a, b) = (self.free[row.max(column)], self.free[row.min(column)]);
            triangle[place(a.coordinate, b.coordinate)] / (a.scale * b.scale)
        })
    }

    /// The lower triangle by columns of a covariance among all coordinates, in the genome's units, of one among the free ones in the
    /// search's. A fixed coordinate has the variance 1 and varies with no other.
    pub(super) fn triangle(&self, covariance: &Matrix) -> Vec<f64> {
        let n = self.genome_length();
        let mut place = vec![None; n];
        self.free.iter().enumerate().for_each(|(place_of, axis)| place[axis.coordinate] = Some(place_of));
        let number = |row: usize, column: usize| match (place[row], place[column]) {
            (Some(a), Some(b)) => covariance[(a, b)] * self.free[a].scale * self.free[b].scale,
            _ => f64::from(u8::from(row == column)),
        };
        (0..n)
            .flat_map(|column| (column..n).map(move |row| (row, column)))
            .map(|(r, c)| number(r, c))
            .collect()
    }

    /// The scales of the free coordinates.
    pub(super) fn scales(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.free.iter().map(|axis| axis.scale)
    }

    /// Values of free coordinates in the order of the genome, with 0 where a coordinate is fixed.
    pub(super) fn spread(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut all = vec![0.0; self.genome_length()];
        self.free.iter().zip(values).for_each(|(axis, value)| all[axis.coordinate] = value);
        all
    }
}

#[cfg(test)]
mod tests;
