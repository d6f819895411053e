//! The labelled functions over the plane and how their parameters are drawn.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use hebbian_shared::seed::{ChaCha8Rng, fill_normal, index_below, normal_pair, uniform_between};
use hebbian_shared::spec::task::{TaskFamily, Variation};

use super::{difference, direction, dot, grid, symmetric_pair, uniform_point};
use crate::task::TaskError;

/// How many functions are drawn in search of a balanced one.
const DRAWS_MAX: u32 = 1000;

/// A function from the plane to two labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Function {
    /// Both coordinates positive.
    And,
    /// Either coordinate positive.
    Or,
    /// Coordinates of different sign.
    Xor,
    /// Coordinates of the same sign.
    Nxor,
    /// First coordinate positive and second negative.
    Qand,
    /// `x` beyond the line with unit `normal` at `-offset` from the origin.
    HalfPlane { normal: [f64; 2], offset: f64 },
    /// The two projections of the same sign.
    ProjectedXor(Projection),
    /// Either projection positive, turned around if `inverted`.
    OrientedOr { projection: Projection, inverted: bool },
    /// Inside of the circle, or outside if `inverted`.
    Circle { centre: [f64; 2], radius: f64, inverted: bool },
    /// Directions from `centre` within `width` radians counter-clockwise of `start`.
    AngularSlice { centre: [f64; 2], start: f64, width: f64 },
    /// Which of two half circles a point was drawn from. `axis` is the first axis after rotation.
    TwoMoons { axis: [f64; 2] },
    /// Above `amplitude sin(frequency u)`, with u along `axis` and "above" across it.
    Sine { axis: [f64; 2], amplitude: f64, frequency: f64 },
    /// Inside of the square with sides along and across `axis`, or outside if `inverted`.
    Square { centre: [f64; 2], axis: [f64; 2], half_side: f64, inverted: bool },
    /// `c0 + c1 x + c2 y + c3 x^2 + c4 x y + c5 y^2` positive.
    Quadric([f64; 6]),
    /// `sin(frequency u + phase)` positive, with u along `axis`.
    Stripes { axis: [f64; 2], frequency: f64, phase: f64 },
    /// `sin(frequency u + phases[0]) sin(frequency v + phases[1])` positive, with u along `axis` and v across it.
    Checkerboard { axis: [f64; 2], frequency: f64, phases: [f64; 2] },
}

/// An affine map of the plane: `x P + b`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Projection {
    matrix: [[f64; 2]; 2],
    offset: [f64; 2],
}

impl Projection {
    /// P uniform in +-1, b uniform in +-0.5.
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let matrix = [symmetric_pair(rng, 1.0), symmetric_pair(rng, 1.0)];
        Self { matrix, offset: symmetric_pair(rng, 0.5) }
    }

    fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|column| x * self.matrix[0][column] + y * self.matrix[1][column] + self.offset[column])
    }
}

impl Function {
    /// Draws a function of a family. Families of random functions draw again until 30 to 70 % of the square's points
    /// are positive.
    pub(super) fn draw(family: TaskFamily, rng: &mut ChaCha8Rng) -> Result<Self, TaskError> {
        for _ in 0..DRAWS_MAX {
            let function = Self::draw_once(family, rng);
            if family.row().variation == Variation::Fixed || function.is_balanced() {
                return Ok(function);
            }
        }
        Err(TaskError::Unbalanced { family, draws: DRAWS_MAX })
    }

    fn draw_once(family: TaskFamily, rng: &mut ChaCha8Rng) -> Self {
        // Fields are drawn in the order in which they are written: reordering them changes every task.
        match family {
            TaskFamily::And => Self::And,
            TaskFamily::Or => Self::Or,
            TaskFamily::Xor => Self::Xor,
            TaskFamily::Nxor => Self::Nxor,
            TaskFamily::Qand => Self::Qand,
            TaskFamily::HalfPlane => {
                Self::HalfPlane { normal: direction(rng), offset: uniform_between(rng, -0.4, 0.4) }
            }
            TaskFamily::ProjectedXor => Self::ProjectedXor(Projection::draw(rng)),
            TaskFamily::OrientedOr => {
                Self::OrientedOr { projection: Projection::draw(rng), inverted: coin(rng) }
            }
            TaskFamily::Circle => Self::Circle {
                centre: symmetric_pair(rng, 0.6),
                radius: uniform_between(rng, 0.4, 0.95),
                inverted: coin(rng),
            },
            TaskFamily::AngularSlice => Self::AngularSlice {
                centre: symmetric_pair(rng, 0.3),
                start: uniform_between(rng, 0.0, TAU),
                width: uniform_between(rng, FRAC_PI_2, 1.3 * PI),
            },
            TaskFamily::TwoMoons => Self::TwoMoons { axis: direction(rng) },
            TaskFamily::Sine => Self::Sine {
                axis: direction(rng),
                amplitude: uniform_between(rng, 0.3, 0.8),
                frequency: uniform_between(rng, 2.0, 4.0),
            },
            TaskFamily::Square => Self::Square {
                centre: symmetric_pair(rng, 0.4),
                axis: direction(rng),
                half_side: uniform_between(rng, 0.45, 0.8),
                inverted: coin(rng),
            },
            TaskFamily::Quadric => {
                let mut coefficients = [0.0; 6];
                fill_normal(rng, &mut coefficients);
                Self::Quadric(coefficients)
            }
            TaskFamily::Stripes => Self::Stripes {
                axis: direction(rng),
                frequency: uniform_between(rng, 2.0, 4.5),
                phase: uniform_between(rng, 0.0, TAU),
            },
            TaskFamily::Checkerboard => Self::Checkerboard {
                axis: direction(rng),
                frequency: uniform_between(rng, 2.5, 4.5),
                phases: [uniform_between(rng, 0.0, TAU), uniform_between(rng, 0.0, TAU)],
            },
            _ => unreachable!("{family} has no labels over the plane, see `task::distribution`"),
        }
    }

    /// Whether both labels are frequent enough. The moons always are.
    fn is_balanced(&self) -> bool {
        if let Self::TwoMoons { .. } = self {
            return true;
        }
        let cells = grid().len() as f64;
        let share = grid().filter(|point| self.label(*point)).count() as f64 / cells;
        (0.3..=0.7).contains(&share)
    }

    /// Draws a point and its label: uniform in [-1, 1)^2, or, for the moons, on one of them.
    pub(super) fn example(&self, rng: &mut ChaCha8Rng) -> ([f32; 2], bool) {
        if let Self::TwoMoons { axis } = self {
            return moon_example(*axis, rng);
        }
        let point = uniform_point(rng);
        // The label belongs to the rounded point, which is what the network sees.
        (point, self.label(point.map(f64::from)))
    }

    /// The label of a point; for the moons, which of them is on this side of the curve between them.
    pub(super) fn label(&self, point: [f64; 2]) -> bool {
        let [x, y] = point;
        match self {
            Self::And => x > 0.0 && y > 0.0,
            Self::Or => x > 0.0 || y > 0.0,
            Self::Xor => x * y < 0.0,
            Self::Nxor => x * y > 0.0,
            Self::Qand => x > 0.0 && y < 0.0,
            Self::HalfPlane { normal, offset } => dot(*normal, point) + offset > 0.0,
            Self::ProjectedXor(projection) => {
                let [a, b] = projection.apply(point);
                a * b > 0.0
            }
            Self::OrientedOr { projection, inverted } => {
                let [a, b] = projection.apply(point);
                (a > 0.0 || b > 0.0) != *inverted
            }
            Self::Circle { centre, radius, inverted } => {
                let from_centre = difference(point, *centre);
                (dot(from_centre, from_centre) < radius * radius) != *inverted
            }
            Self::AngularSlice { centre, start, width } => {
                let [from_x, from_y] = difference(point, *centre);
                let mut angle = libm::atan2(from_y, from_x) - start;
                while angle < 0.0 {
                    angle += TAU;
                }
                angle < *width
            }
            Self::TwoMoons { axis } => dot(across(*axis), point) > 0.0,
            Self::Sine { axis, amplitude, frequency } => {
                dot(across(*axis), point) > amplitude * libm::sin(frequency * dot(*axis, point))
            }
            Self::Square { centre, axis, half_side, inverted } => {
                let from_centre = difference(point, *centre);
                let along = dot(*axis, from_centre).abs();
                let aside = dot(across(*axis), from_centre).abs();
                (along < *half_side && aside < *half_side) != *inverted
            }
            Self::Quadric([c0, c1, c2, c3, c4, c5]) => {
                c0 + c1 * x + c2 * y + c3 * x * x + c4 * x * y + c5 * y * y > 0.0
            }
            Self::Stripes { axis, frequency, phase } => {
                libm::sin(frequency * dot(*axis, point) + phase) > 0.0
            }
            Self::Checkerboard { axis, frequency, phases: [along, aside] } => {
                let wave = |axis, phase: &f64| libm::sin(frequency * dot(axis, point) + phase);
                wave(*axis, along) * wave(across(*axis), aside) > 0.0
            }
        }
    }
}

/// A point of the two moons: half circles of radius 1 around (0, 0) and (1, 0.5), the second open upwards, normal noise
/// of standard deviation 0.1; centred, divided by 1.5 and rotated, which puts them into about [-1, 1]^2.
fn moon_example(axis: [f64; 2], rng: &mut ChaCha8Rng) -> ([f32; 2], bool) {
    let positive = coin(rng);
    let (sine, cosine) = libm::sincos(uniform_between(rng, 0.0, PI));
    let (noise_x, noise_y) = normal_pair(rng);
    let [x, y] = if positive { [cosine, sine] } else { [1.0 - cosine, 0.5 - sine] };
    let along = (x + 0.1 * noise_x - 0.5) / 1.5;
    let aside = (y + 0.1 * noise_y - 0.25) / 1.5;
    let [across_x, across_y] = across(axis);
    let rotated = [along * axis[0] + aside * across_x, along * axis[1] + aside * across_y];
    (rotated.map(|coordinate| coordinate as f32), positive)
}

fn coin(rng: &mut ChaCha8Rng) -> bool {
    index_below(rng, 2) == 1
}

/// The vector turned counter-clockwise by a right angle.
fn across([x, y]: [f64; 2]) -> [f64; 2] {
    [-y, x]
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::Seed;
    use hebbian_shared::spec::task::TaskKind;

    use super::*;

    fn check(function: &Function, positive: &[[f64; 2]], negative: &[[f64; 2]]) {
        for point in positive {
            assert!(function.label(*point), "{function:?} at {point:?} should be positive");
        }
        for point in negative {
            assert!(!function.label(*point), "{function:?} at {point:?} should be negative");
        }
    }

    #[test]
    fn fixed_functions_are_the_truth_tables() {
        let (pp, pn, np, nn) = ([0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]);
        check(&Function::And, &[pp], &[pn, np, nn]);
        check(&Function::Or, &[pp, pn, np], &[nn]);
        check(&Function::Xor, &[pn, np], &[pp, nn]);
        check(&Function::Nxor, &[pp, nn], &[pn, np]);
        check(&Function::Qand, &[pn], &[pp, np, nn]);
    }

    #[test]
    fn random_functions_have_the_geometry_of_their_names() {
        let diagonal = [0.5_f64.sqrt(), 0.5_f64.sqrt()];
        check(
            &Function::HalfPlane { normal: [0.0, 1.0], offset: 0.3 },
            &[[0.9, -0.2], [-0.9, 0.0]],
            &[[0.0, -0.4], [0.9, -0.31]],
        );
        let projection = Projection { matrix: [[1.0, 0.0], [0.0, 1.0]], offset: [0.5, 0.0] };
        check(
            &Function::ProjectedXor(projection.clone()),
            &[[-0.4, 0.1], [-0.6, -0.1]],
            &[[-0.6, 0.1], [-0.4, -0.1]],
        );
        check(
            &Function::OrientedOr { projection: projection.clone(), inverted: false },
            &[[-0.4, -0.1], [-0.6, 0.1]],
            &[[-0.6, -0.1]],
        );
        check(
            &Function::OrientedOr { projection, inverted: true },
            &[[-0.6, -0.1]],
            &[[-0.4, -0.1], [-0.6, 0.1]],
        );
        let centre = [0.5, 0.0];
        check(
            &Function::Circle { centre, radius: 0.4, inverted: false },
            &[[0.2, 0.0], [0.5, 0.39]],
            &[[0.0, 0.0], [0.8, 0.3]],
        );
        check(&Function::Circle { centre, radius: 0.4, inverted: true }, &[[0.0, 0.0]], &[[0.2, 0.0]]);
        // From 3 pi / 2 over the branch cut to pi / 2: the right half.
        check(
            &Function::AngularSlice { centre, start: 1.5 * PI, width: PI },
            &[[0.6, 0.5], [0.6, -0.5], [0.9, 0.0]],
            &[[0.4, 0.5], [0.4, -0.5], [-0.9, 0.0]],
        );
        // The first axis points upwards, so "above" is to the left.
        let sine = Function::Sine { axis: [0.0, 1.0], amplitude: 0.5, frequency: PI };
        check(&sine, &[[-0.1, 0.0], [-0.6, 0.5]], &[[0.1, 0.0], [-0.4, 0.5]]);
        check(
            &Function::Square { centre, axis: diagonal, half_side: 0.5, inverted: false },
            &[[0.5, 0.6], [0.75, 0.25]],
            &[[0.9, 0.4], [0.5, 0.8]],
        );
        check(
            &Function::Quadric([-0.25, 0.0, 0.0, 1.0, 0.0, 1.0]),
            &[[0.6, 0.0], [0.4, 0.4]],
            &[[0.4, 0.0], [0.3, 0.3]],
        );
        check(
            &Function::Stripes { axis: [1.0, 0.0], frequency: TAU, phase: 0.0 },
            &[[0.25, 0.9], [-0.75, 0.0]],
            &[[0.75, 0.9], [-0.25, 0.0]],
        );
        // Half a unit to each square; the first axis points upwards, so the second one points to the left.
        check(
            &Function::Checkerboard { axis: [0.0, 1.0], frequency: TAU, phases: [0.0, 0.25 * TAU] },
            &[[0.0, 0.25], [0.2, 0.25], [0.5, -0.25]],
            &[[0.5, 0.25], [0.3, 0.25], [0.0, -0.25]],
        );
    }

    #[test]
    fn random_functions_are_balanced_and_fixed_ones_are_not_changed() {
        let mut rng = Seed::new(4).unwrap().rng();
        let labelled = |family: &&TaskFamily| family.row().kind == TaskKind::Labels;
        for &family in TaskFamily::ALL.iter().filter(labelled) {
            let expected = match family {
                TaskFamily::And | TaskFamily::Qand => 0.22..0.28,
                TaskFamily::Or => 0.72..0.78,
                TaskFamily::Xor | TaskFamily::Nxor | TaskFamily::TwoMoons => 0.47..0.53,
                // The grid of the rule is coarse.
                _ => 0.27..0.73,
            };
            let mut functions = Vec::new();
            for _ in 0..20 {
                let function = Function::draw(family, &mut rng).unwrap();
                let positive = (0..4000).filter(|_| function.example(&mut rng).1).count();
                let share = positive as f64 / 4000.0;
                assert!(expected.contains(&share), "{function:?}: {share}");
                functions.push(function);
            }
            let fixed = family.row().variation == Variation::Fixed;
            assert_eq!(functions[0] == functions[1], fixed, "{family}");
        }
    }

    #[test]
    fn moons_lie_in_the_square_and_apart() {
        let mut rng = Seed::new(8).unwrap().rng();
        let (mut outside, mut above) = (0, 0);
        for _ in 0..1000 {
            let (point, positive) = moon_example([1.0, 0.0], &mut rng);
            outside += u32::from(point.iter().any(|coordinate| coordinate.abs() > 1.0));
            above += u32::from((point[1] > 0.0) == positive);
        }
        assert!(outside < 100, "{outside} of 1000 points outside of [-1, 1]^2");
        assert!((700..950).contains(&above), "{above} of 1000 points on their moon's side");
    }
}
