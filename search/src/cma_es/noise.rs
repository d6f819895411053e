//! How noisy the fitness is, measured by asking some candidates again.
//!
//! The candidates asked again are measured in another block, that is on other tasks, and noise is judged from the order
//! *among them*, block against block, as UH-CMA-ES does (Hansen et al. 2009): the blocks' different difficulty cancels.
//! The figure is Kendall's tau over all pairs, summed over recent generations: 1 if both measurements always agree which
//! of two candidates is the better one, 0 if they agree by chance.
//!
//! Noise is met by what it does to the search, not by its mere presence. While two measurements still agree on most pairs,
//! the population itself averages the noise away and slower learning would only cost time; when the order is mostly
//! noise, learning rates must adapt. Hence two thresholds far apart, beyond which the state does not flicker.

use hebbian_shared::fitness::{Fitness, Verdict};
use serde::{Deserialize, Serialize};

/// Below this agreement the order is mostly noise and learning rates adapt.
const STRONG_BELOW: f64 = 0.2;
/// Above this agreement learning rates that adapt stop. Far below 1: a search begins where all candidates are as bad as
/// chance, which looks like noise, and must not stay slow when it has found its way out.
const STRONG_UNTIL: f64 = 0.5;
/// Pairs that must have been compared before noise is believed to be strong: more than one generation of 64 candidates
/// compares, fewer than are ever remembered with the smallest populations.
const PAIRS_STRONG: f64 = 15.0;
/// Above this agreement noise is gone as far as the search can tell.
const GONE_ABOVE: f64 = 0.9;
/// What a generation's pairs still count in the next measurement.
const MEMORY: f64 = 0.95;
/// Pairs of one half agreement each that stand for what is known before the first measurement.
const PRIOR_PAIRS: f64 = 2.0;
const PRIOR_AGREEMENT: f64 = 0.5;
/// Pairs that must have been compared before weak noise is believed to be weak.
const PAIRS_DECIDED: f64 = 30.0;
/// Generations from one measurement to the next while there is no noise.
const CALM_INTERVAL: u32 = 10;

/// The estimate and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NoiseEstimate {
    /// Agreeing less disagreeing pairs, older ones counting less.
    agreeing: f64,
    /// All pairs, older ones counting less.
    pairs: f64,
    /// Generations until candidates are asked again; 0: in the open one.
    wait: u32,
    /// Whether two measurements have ever differed since the last bit-identical repetition.
    present: bool,
    /// Whether learning rates adapt.
    strong: bool,
}

impl NoiseEstimate {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            agreeing: PRIOR_AGREEMENT * PRIOR_PAIRS,
            pairs: PRIOR_PAIRS,
            wait: 0,
            present: false,
            strong: false,
        }
    }

    /// Whether candidates of the open generation are asked again.
    pub(super) fn measures(&self) -> bool {
        self.wait == 0
    }

    /// Whether the last measurements differed at all.
    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// Whether learning rates must adapt.
    pub(super) fn is_strong(&self) -> bool {
        self.strong
    }

    /// Kendall's tau over recent measurements.
    pub(super) fn agreement(&self) -> f64 {
        self.agreeing / self.pairs
    }

    /// Takes note of a generation that measured nothing.
    pub(super) fn pass(&mut self) {
        self.wait = self.wait.saturating_sub(1);
    }

    /// Takes note of two measurements of the same candidates.
    pub(super) fn measure(&mut self, first: &[Verdict], second: &[Verdict]) {
        // Failures are a status, not a fitness: they say nothing about the order of the others.
        let fits = |(a, b): (&Verdict, &Verdict)| Some([a.fitness()?, b.fitness()?]);
        let fits: Vec<[Fitness; 2]> = first.iter().zip(second).filter_map(fits).collect();
        if fits.len() < 2 {
            // Nothing was measured; try again in the next generation.
            return;
        }
        if fits.iter().all(|[a, b]| a == b) {
            *self = Self { wait: CALM_INTERVAL - 1, ..Self::new() };
            self.agreeing = self.pairs;
            return;
        }
        self.present = true;
        let (mut agreeing, mut pairs) = (0, 0);
        for (i, one) in fits.iter().enumerate() {
            for other in &fits[..i] {
                let orders = [0, 1].map(|k| one[k].cmp(&other[k]) as i32);
                // A tie in both says nothing, in one it counts as half an agreement.
                pairs += i32::from(orders != [0, 0]);
                agreeing += orders[0] * orders[1];
            }
        }
        self.agreeing = MEMORY * self.agreeing + f64::from(agreeing);
        self.pairs = MEMORY * self.pairs + f64::from(pairs);
        let agreement = self.agreement();
        if agreement < STRONG_BELOW && self.pairs > PAIRS_STRONG {
            self.strong = true;
        } else if agreement > STRONG_UNTIL {
            self.strong = false;
        }
        let calm = !self.strong && self.pairs > PAIRS_DECIDED && agreement > GONE_ABOVE;
        self.wait = if calm { CALM_INTERVAL - 1 } else { 0 };
    }

    /// Whether a search can reach it.
    pub(super) fn is_sound(&self) -> bool {
        let Self { agreeing, pairs, wait, .. } = *self;
        pairs > 0.0 && pairs.is_finite() && agreeing.abs() <= pairs && wait < CALM_INTERVAL
    }
}
