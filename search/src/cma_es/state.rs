//! The search distribution, and all else that a generation leaves to the next.

use serde::{Deserialize, Serialize};

use super::super::StrategyError;
use super::super::envelope::{check_length, unreachable};
use super::late::Open;
use super::learning_rate::LearningRates;
use super::noise::NoiseEstimate;
use super::termination::History;
use crate::linear_algebra::matrix::Matrix;

/// Everything that changes from generation to generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Generations told; the open generation's index.
    pub(super) generation: u32,
    /// Updates of the distribution: the generations of which at least one candidate had a fitness.
    pub(super) updates: u32,
    /// Updates since the covariance matrix was decomposed.
    pub(super) lag: u32,
    /// Whether the last update was refused since it would have left the finite numbers.
    pub(super) stuck: bool,
    /// The mean (m), n numbers.
    pub(super) mean: Vec<f64>,
    /// The step size (sigma), positive.
    pub(super) step_size: f64,
    /// The evolution path of the step size (`p_sigma`), n numbers.
    pub(super) step_size_path: Vec<f64>,
    /// The evolution path of the covariance matrix (`p_c`), n numbers.
    pub(super) covariance_path: Vec<f64>,
    /// The covariance matrix (C), n x n, up to the step size; only the lower triangle is kept up to date.
    #[serde(with = "lower_triangle")]
    pub(super) covariance: Matrix,
    /// Eigenvectors of C when it was last decomposed (B), one per column.
    #[serde(with = "columns")]
    pub(super) eigenbasis: Matrix,
    /// Square roots of the eigenvalues of C when it was last decomposed (D), positive.
    pub(super) axis_lengths: Vec<f64>,
    /// What is known of noise, where it is measured.
    pub(super) noise: Option<NoiseEstimate>,
    /// Learning rates, while they adapt.
    pub(super) learning_rates: Option<LearningRates>,
    /// What the criteria remember.
    pub(super) history: History,
    /// Points that take the place of the open generation's last candidates.
    pub(super) injected: Vec<Vec<f64>>,
    /// By how much wider each coordinate is sampled than C says (the diagonal of A of CMA-ES with margin): 1 for a real. Empty
    /// where there are no integers. Stored behind the state.
    #[serde(skip)]
    pub(super) factors: Vec<f64>,
    /// The open generation of an asynchronous search. Stored behind the state.
    #[serde(skip)]
    pub(super) open: Option<Open>,
}

/// Beyond this, in either direction, products of two numbers of the state may leave the finite numbers.
pub(super) const MAGNITUDE_MAX: f64 = 1e140;
/// More generations than a spec allows.
const GENERATIONS_MAX: u32 = 1 << 31;

pub(super) fn bounded(values: &[f64]) -> bool {
    values.iter().all(|v| v.abs() <= MAGNITUDE_MAX)
}

/// Whether a positive quantity can be computed with.
pub(super) fn is_workable(value: f64) -> bool {
    (1.0 / MAGNITUDE_MAX..=MAGNITUDE_MAX).contains(&value)
}

impl State {
    /// The isotropic distribution of a first generation.
    pub(super) fn new(mean: Vec<f64>, step_size: f64) -> Self {
        let n = mean.len();
        Self {
            noise: None,
            learning_rates: None,
            history: History::new(&mean),
            injected: Vec::new(),
            factors: Vec::new(),
            open: None,
            generation: 0,
            updates: 0,
            lag: 0,
            stuck: false,
            mean,
            step_size,
            step_size_path: vec![0.0; n],
            covariance_path: vec![0.0; n],
            covariance: Matrix::identity(n),
            eigenbasis: Matrix::identity(n),
            axis_lengths: vec![1.0; n],
        }
    }

    /// The state of a search with integers, of what is stored of it.
    pub(crate) fn with_factors(self, factors: Vec<f64>) -> Self {
        Self { factors, ..self }
    }

    /// What is stored behind the state of a search with integers.
    pub(crate) fn factors(&self) -> &[f64] {
        &self.factors
    }

    /// Shortest and longest axis.
    pub(super) fn axis_range(&self) -> (f64, f64) {
        let range = |ends: (f64, f64), &d: &f64| (ends.0.min(d), ends.1.max(d));
        self.axis_lengths.iter().fold((f64::INFINITY, 0.0), range)
    }

    /// Shortens the step size where the longest axis would be longer than `most`.
    pub(super) fn limit_step_size(&mut self, most: f64) {
        self.step_size = self.step_size.min(most / self.axis_range().1);
    }

    /// Coordinate-wise standard deviations of what is learnt; samples are wider where integers need it.
    pub(super) fn deviations(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        (0..self.mean.len()).map(|i| self.step_size * self.covariance[(i, i)].sqrt())
    }

    /// By how much wider a coordinate is sampled than C says.
    pub(super) fn factor(&self, coordinate: usize) -> f64 {
        self.factors.get(coordinate).copied().unwrap_or(1.0)
    }

    /// Coordinate-wise standard deviations of samples.
    pub(super) fn sampled_deviations(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.deviations().enumerate().map(|(i, deviation)| deviation * self.factor(i))
    }

    /// Whether mean, paths and step size are numbers that can be computed with.
    pub(super) fn vectors_are_sound(&self) -> bool {
        bounded(&self.mean)
            && bounded(&self.step_size_path)
            && bounded(&self.covariance_path)
            && is_workable(self.step_size)
    }

    /// Whether the distribution can be sampled from and updated without leaving the finite numbers; the eigenbasis, which
    /// does not change between decompositions, is taken to be one.
    pub(super) fn is_sound(&self) -> bool {
        let n = self.mean.len();
        self.vectors_are_sound()
            && (0..n).all(|column| bounded(&self.covariance.column(column)[column..]))
            && (0..n).all(|i| is_workable(self.covariance[(i, i)]))
            && self.axis_lengths.iter().all(|&d| is_workable(d))
    }

    /// The lower triangle of C by columns, n (n + 1) / 2 numbers.
    pub(super) fn lower_covariance(&self) -> Vec<f64> {
        lower_triangle::of(&self.covariance)
    }

    /// Refuses what no search of `n` dimensions can reach.
    pub(super) fn check(&self, n: usize) -> Result<(), StrategyError> {
        check_length("mean", n, self.mean.len())?;
        check_length("step_size_path", n, self.step_size_path.len())?;
        check_length("covariance_path", n, self.covariance_path.len())?;
        check_length("covariance", n * n, self.covariance.values().len())?;
        check_length("eigenbasis", n * n, self.eigenbasis.values().len())?;
        check_length("axis_lengths", n, self.axis_lengths.len())?;
        let counts_agree =
            self.lag <= self.updates && self.updates <= self.generation && self.generation < GENERATIONS_MAX;
        let sound = counts_agree
            && self.is_sound()
            && self.eigenbasis.values().iter().all(|b| b.abs() <= 1.0 + 1e-9)
            && self.noise.as_ref().is_none_or(NoiseEstimate::is_sound)
            && self.learning_rates.as_ref().is_none_or(|rates| rates.is_sound(n))
            && self.history.is_sound(n)
            && self.injected.iter().all(|point| point.len() == n && bounded(point));
        if sound { Ok(()) } else { Err(unreachable()) }
    }
}

/// A symmetric matrix as the lower triangle by columns.
mod lower_triangle {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::linear_algebra::matrix::Matrix;

    pub(super) fn of(matrix: &Matrix) -> Vec<f64> {
        (0..matrix.columns()).flat_map(|column| &matrix.column(column)[column..]).copied().collect()
    }

    pub(super) fn serialize<S: Serializer>(matrix: &Matrix, serializer: S) -> Result<S::Ok, S::Error> {
        of(matrix).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Matrix, D::Error> {
        let numbers = Vec::<f64>::deserialize(deserializer)?;
        let n = (2 * numbers.len()).isqrt();
        if n * (n + 1) / 2 != numbers.len() {
            return Err(D::Error::custom(format!("{} numbers are no triangle", numbers.len())));
        }
        let mut matrix = Matrix::zeros(n, n);
        let mut rest = numbers.as_slice();
        for column in 0..n {
            let (values, others) = rest.split_at(n - column);
            matrix.column_mut(column)[column..].copy_from_slice(values);
            rest = others;
        }
        Ok(matrix)
    }
}

/// A square matrix by columns.
mod columns {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::linear_algebra::matrix::Matrix;

    pub(super) fn serialize<S: Serializer>(matrix: &Matrix, serializer: S) -> Result<S::Ok, S::Error> {
        matrix.values().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Matrix, D::Error> {
        let numbers = Vec::<f64>::deserialize(deserializer)?;
        let n = numbers.len().isqrt();
        if n * n != numbers.len() {
            return Err(D::Error::custom(format!("{} numbers are no square", numbers.len())));
        }
        Ok(Matrix::from_fn(n, n, |row, column| numbers[column * n + row]))
    }
}
