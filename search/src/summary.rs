//! What a strategy says of itself.

use serde::{Deserialize, Serialize};

/// Why a search ended, with the figure that met the criterion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReason {
    /// The criterion's name, for example `generations`, `target`, `tolx`.
    pub criterion: String,
    /// The figure that met it, for people, for example `265 generations (limit 265)`.
    pub detail: String,
}

/// What a strategy says of itself after a generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchSummary {
    /// Global step size (sigma); zero where the strategy has none.
    pub step_size: f64,
    /// Longest over shortest axis of the search distribution; 1 where it has none.
    pub axis_ratio: f64,
    /// Smallest and largest coordinate-wise standard deviation.
    pub deviation_range: (f64, f64),
    /// Euclidean norm of the mean.
    pub mean_norm: f64,
    /// The mean in units of the untransformed genome.
    pub mean: Vec<f64>,
    /// Standard deviations of the coordinates in units of the untransformed genome, 0 where one is fixed. One number stands for
    /// all if they are alike; none if there is no distribution.
    pub deviations: Vec<f64>,
    /// Lengths of the distribution's axes without the step size (square roots of its covariance's eigenvalues), in any order;
    /// none where the axes are those of the coordinates.
    pub axes: Vec<f64>,
    /// What is known of noise in the fitness; `None` where nothing is done about it.
    pub noise: Option<NoiseSummary>,
    /// What is known of gradients; `None` where none are wanted.
    pub gradient: Option<GradientSummary>,
    /// The restart that the generation ended with.
    pub restart: Option<Box<Restart>>,
}

/// What a strategy has been told of gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientSummary {
    /// The norm of the generation's gradient before it was shortened; 0 where every task diverged.
    pub norm: f64,
    /// Tasks of all generations that diverged and so had no gradient.
    pub diverged: u64,
}

/// What a strategy knows of noise in the fitness, and how it learns in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseSummary {
    /// How far two measurements agree on the order of candidates: 1 in everything, 0 in nothing (Kendall's tau, averaged
    /// over recent generations); `None` where it is not measured.
    pub agreement: Option<f64>,
    /// Learning rate of the mean, in (0, 1]; 1 without adaptation.
    pub mean_rate: f64,
    /// Learning rate of the covariance, in (0, 1]; 1 without adaptation.
    pub covariance_rate: f64,
}

/// A search that ended by a criterion of its own and began anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// Its number, from 1.
    pub number: u32,
    /// Candidates per generation of the new search.
    pub population_size: u32,
    /// Initial step size of the new search.
    pub step_size: f64,
    /// Why the old one ended.
    pub reason: StopReason,
}
