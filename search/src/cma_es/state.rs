//! The search distribution, and all else that a generation leaves to the next.

use faer::Mat;

use super::super::StrategyError;
use super::super::snapshot::CmaEsSnapshot;
use super::learning_rate::LearningRates;
use super::noise::NoiseEstimate;
use super::sampling::Sampler;
use super::termination::History;

/// Everything that changes from generation to generation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
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
    pub(super) covariance: Mat<f64>,
    /// Eigenvectors of C when it was last decomposed (B), one per column.
    pub(super) eigenbasis: Mat<f64>,
    /// Square roots of the eigenvalues of C when it was last decomposed (D), positive.
    pub(super) axis_lengths: Vec<f64>,
    /// How candidates are drawn.
    pub(super) sampler: Sampler,
    /// What is known of noise, where it is measured.
    pub(super) noise: Option<NoiseEstimate>,
    /// Learning rates, while they adapt.
    pub(super) learning_rates: Option<LearningRates>,
    /// What the criteria remember.
    pub(super) history: History,
    /// Points that take the place of the open generation's last candidates.
    pub(super) injected: Vec<Vec<f64>>,
}

/// Beyond this, in either direction, products of two numbers of the state may leave the finite numbers.
const MAGNITUDE_MAX: f64 = 1e140;
/// More generations than a spec allows.
const GENERATIONS_MAX: u32 = 1 << 31;

fn bounded(values: &[f64]) -> bool {
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
            sampler: Sampler::default(),
            noise: None,
            learning_rates: None,
            history: History::new(&mean),
            injected: Vec::new(),
            generation: 0,
            updates: 0,
            lag: 0,
            stuck: false,
            mean,
            step_size,
            step_size_path: vec![0.0; n],
            covariance_path: vec![0.0; n],
            covariance: Mat::identity(n, n),
            eigenbasis: Mat::identity(n, n),
            axis_lengths: vec![1.0; n],
        }
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

    /// Coordinate-wise standard deviations.
    pub(super) fn deviations(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.mean.len()).map(|i| self.step_size * self.covariance[(i, i)].sqrt())
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
            && (0..n).all(|column| bounded(&self.covariance.col_as_slice(column)[column..]))
            && (0..n).all(|i| is_workable(self.covariance[(i, i)]))
            && self.axis_lengths.iter().all(|&d| is_workable(d))
    }

    /// All of the state as plain numbers.
    pub(super) fn to_snapshot(&self) -> CmaEsSnapshot {
        let n = self.mean.len();
        let lower = |column: usize| self.covariance.col_as_slice(column)[column..].iter();
        CmaEsSnapshot {
            generation: self.generation,
            updates: self.updates,
            lag: self.lag,
            stuck: self.stuck,
            mean: self.mean.clone(),
            step_size: self.step_size,
            step_size_path: self.step_size_path.clone(),
            covariance_path: self.covariance_path.clone(),
            covariance: (0..n).flat_map(lower).copied().collect(),
            eigenbasis: (0..n).flat_map(|column| self.eigenbasis.col_as_slice(column)).copied().collect(),
            axis_lengths: self.axis_lengths.clone(),
            sampler: self.sampler as u8,
            noise: self.noise.as_ref().map(NoiseEstimate::to_snapshot),
            learning_rates: self.learning_rates.as_ref().map(LearningRates::to_snapshot),
            history: self.history.to_snapshot(),
            injected: self.injected.clone(),
        }
    }

    /// The state of a snapshot for a search of `n` dimensions; refuses what no search can reach.
    pub(super) fn from_snapshot(n: usize, snapshot: &CmaEsSnapshot) -> Result<Self, StrategyError> {
        for (name, expected, found) in [
            ("mean", n, snapshot.mean.len()),
            ("step_size_path", n, snapshot.step_size_path.len()),
            ("covariance_path", n, snapshot.covariance_path.len()),
            ("covariance", n * (n + 1) / 2, snapshot.covariance.len()),
            ("eigenbasis", n * n, snapshot.eigenbasis.len()),
            ("axis_lengths", n, snapshot.axis_lengths.len()),
        ] {
            if expected != found {
                let problem = format!("{name} must hold {expected} numbers, not {found}");
                return Err(StrategyError::Snapshot(problem));
            }
        }
        let unreachable = || StrategyError::Snapshot("it holds numbers that no search can reach".to_owned());
        let noise =
            snapshot.noise.as_ref().map(|noise| NoiseEstimate::from_snapshot(noise).ok_or_else(unreachable));
        let rates = snapshot.learning_rates.as_ref();
        let rates = rates.map(|rates| LearningRates::from_snapshot(n, rates).ok_or_else(unreachable));
        let injected_fit = snapshot.injected.iter().all(|point| point.len() == n && bounded(point));
        let mut covariance = Mat::zeros(n, n);
        let mut lower = snapshot.covariance.as_slice();
        for column in 0..n {
            let (values, rest) = lower.split_at(n - column);
            covariance.col_as_slice_mut(column)[column..].copy_from_slice(values);
            lower = rest;
        }
        let state = Self {
            generation: snapshot.generation,
            updates: snapshot.updates,
            lag: snapshot.lag,
            stuck: snapshot.stuck,
            mean: snapshot.mean.clone(),
            step_size: snapshot.step_size,
            step_size_path: snapshot.step_size_path.clone(),
            covariance_path: snapshot.covariance_path.clone(),
            covariance,
            eigenbasis: Mat::from_fn(n, n, |row, column| snapshot.eigenbasis[column * n + row]),
            axis_lengths: snapshot.axis_lengths.clone(),
            sampler: Sampler::of_number(snapshot.sampler).ok_or_else(unreachable)?,
            noise: noise.transpose()?,
            learning_rates: rates.transpose()?,
            history: History::from_snapshot(n, &snapshot.history).ok_or_else(unreachable)?,
            injected: snapshot.injected.clone(),
        };
        let counts_agree = state.lag <= state.updates
            && state.updates <= state.generation
            && state.generation < GENERATIONS_MAX;
        if counts_agree
            && injected_fit
            && state.is_sound()
            && snapshot.eigenbasis.iter().all(|b| b.abs() <= 1.0 + 1e-9)
        {
            Ok(state)
        } else {
            Err(unreachable())
        }
    }
}
