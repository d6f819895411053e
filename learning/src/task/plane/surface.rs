//! Regression: the real functions over the plane and how their parameters are drawn.

use std::f64::consts::TAU;

use hebbian_shared::seed::{ChaCha8Rng, fill_normal, normal_pair, uniform_between};
use hebbian_shared::spec::task::TaskFamily;

use super::{difference, direction, dot, grid, symmetric_pair, uniform_point};

/// Bumps of a function of that family.
const BUMPS: usize = 3;

/// A function from the plane to about -0.9 .. 0.9: a shape whose lowest and highest values over the square are brought
/// to -1 and 1, times `spread`, plus `offset`. So every task has its own scale and mean, and any activation of the last
/// layer that reaches from -1 to 1 can meet it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Surface {
    shape: Shape,
    /// Half the distance and the middle of the shape's lowest and highest values over the grid.
    half_range: f64,
    middle: f64,
    /// Uniform in 0.3 .. 0.7.
    spread: f64,
    /// Uniform in +-0.2.
    offset: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Along a uniform direction.
    Linear { axis: [f64; 2] },
    /// `sin(frequency u + phase)` with u along a uniform direction; frequency 2 to 4.5.
    Wave { axis: [f64; 2], frequency: f64, phase: f64 },
    /// The sum of `height exp(-|x - centre|^2 / (2 width^2))`: centres uniform in +-0.8, widths 0.25 to 0.6, heights
    /// normal.
    Bumps([Bump; BUMPS]),
    /// `c0 x + c1 y + c2 x^2 + c3 x y + c4 y^2` with normal coefficients.
    Quadric([f64; 5]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bump {
    centre: [f64; 2],
    width: f64,
    height: f64,
}

impl Surface {
    /// Draws a function of a family of regression.
    pub(super) fn draw(family: TaskFamily, rng: &mut ChaCha8Rng) -> Self {
        let shape = Shape::draw(family, rng);
        let (low, high) = grid()
            .map(|point| shape.value(point))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        Self {
            // No draw is constant; were one, it would be 0 everywhere.
            half_range: (0.5 * (high - low)).max(1e-9),
            middle: 0.5 * (high + low),
            spread: uniform_between(rng, 0.3, 0.7),
            offset: uniform_between(rng, -0.2, 0.2),
            shape,
        }
    }

    /// Draws a point, uniform in [-1, 1)^2, and its value.
    pub(super) fn example(&self, rng: &mut ChaCha8Rng) -> ([f32; 2], f32) {
        let point = uniform_point(rng);
        // The value belongs to the rounded point, which is what the network sees.
        (point, self.value(point.map(f64::from)) as f32)
    }

    fn value(&self, point: [f64; 2]) -> f64 {
        self.offset + self.spread * (self.shape.value(point) - self.middle) / self.half_range
    }
}

impl Shape {
    fn draw(family: TaskFamily, rng: &mut ChaCha8Rng) -> Self {
        // Fields are drawn in the order in which they are written: reordering them changes every task.
        match family {
            TaskFamily::RegressLinear => Self::Linear { axis: direction(rng) },
            TaskFamily::RegressWave => Self::Wave {
                axis: direction(rng),
                frequency: uniform_between(rng, 2.0, 4.5),
                phase: uniform_between(rng, 0.0, TAU),
            },
            TaskFamily::RegressBumps => Self::Bumps(std::array::from_fn(|_| Bump {
                centre: symmetric_pair(rng, 0.8),
                width: uniform_between(rng, 0.25, 0.6),
                height: normal_pair(rng).0,
            })),
            TaskFamily::RegressQuadric => {
                let mut coefficients = [0.0; 5];
                fill_normal(rng, &mut coefficients);
                Self::Quadric(coefficients)
            }
            _ => unreachable!("{family} is no family of regression"),
        }
    }

    fn value(&self, point: [f64; 2]) -> f64 {
        let [x, y] = point;
        match self {
            Self::Linear { axis } => dot(*axis, point),
            Self::Wave { axis, frequency, phase } => libm::sin(frequency * dot(*axis, point) + phase),
            Self::Bumps(bumps) => bumps.iter().map(|bump| bump.value(point)).sum(),
            Self::Quadric([c0, c1, c2, c3, c4]) => c0 * x + c1 * y + c2 * x * x + c3 * x * y + c4 * y * y,
        }
    }
}

impl Bump {
    fn value(&self, point: [f64; 2]) -> f64 {
        let from_centre = difference(point, self.centre);
        self.height * libm::exp(-0.5 * dot(from_centre, from_centre) / (self.width * self.width))
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::Seed;

    use super::*;

    fn check(shape: &Shape, expected: &[([f64; 2], f64)]) {
        for (point, value) in expected {
            assert!(
                (shape.value(*point) - value).abs() < 1e-12,
                "{shape:?} at {point:?}: {}",
                shape.value(*point)
            );
        }
    }

    #[test]
    fn shapes_are_their_formulas() {
        check(&Shape::Linear { axis: [0.6, 0.8] }, &[([1.0, 0.0], 0.6), ([-1.0, 0.5], -0.2)]);
        let wave = Shape::Wave { axis: [0.0, 1.0], frequency: 2.0, phase: TAU / 4.0 };
        check(&wave, &[([0.7, 0.0], 1.0), ([0.0, TAU / 8.0], 0.0)]);
        let bump = |centre, height| Bump { centre, width: 0.5, height };
        let bumps = [bump([0.5, 0.0], 1.0), bump([0.5, 0.0], -3.0), bump([0.0, 0.0], 0.0)];
        check(&Shape::Bumps(bumps), &[([0.5, 0.0], -2.0), ([0.5, 0.5], -2.0 * libm::exp(-0.5))]);
        check(&Shape::Quadric([1.0, 2.0, 3.0, 4.0, 5.0]), &[([1.0, -1.0], 3.0), ([0.5, 0.0], 1.25)]);
    }

    #[test]
    fn values_fill_their_range_and_tasks_differ() {
        let mut rng = Seed::new(4).unwrap().rng();
        let families = TaskFamily::ALL
            .iter()
            .filter(|family| family.is_regression() && **family != TaskFamily::Sinusoid);
        assert_eq!(families.clone().count(), 4);
        for &family in families {
            let mut functions = Vec::new();
            for _ in 0..20 {
                let surface = Surface::draw(family, &mut rng);
                let values: Vec<f64> = (0..4000).map(|_| f64::from(surface.example(&mut rng).1)).collect();
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                assert!(low > -1.0 && high < 1.0, "{surface:?}: {low} to {high}");
                let range = (high - low) / (2.0 * surface.spread);
                assert!((0.95..1.2).contains(&range), "{surface:?}: {low} to {high}");
                functions.push(surface);
            }
            assert!(functions[1..].iter().all(|other| *other != functions[0]), "{family}");
        }
    }
}
