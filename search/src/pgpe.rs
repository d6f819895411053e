//! PGPE: policy gradients with parameter-based exploration (F. Sehnke et al. 2010), with symmetric samples, a step size
//! per coordinate, centred ranks in place of rewards and Adam for the mean, as evosax and `EvoTorch` have it.

use hebbian_shared::genome::Genome;
use hebbian_shared::progress::{SearchSummary, StopReason};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::PgpeSpec;

use super::adam::Adam;
use super::antithetic::{self, Pairs, RankedPair};
use super::snapshot::PgpeSnapshot;
use super::stop::deviations_vanished;
use super::{Candidate, Measured, Strategy, StrategyError, StrategySnapshot, snapshot, verdicts_of};

/// Learning rate of the deviations, relative to them.
const DEVIATION_LEARNING_RATE: f64 = 0.1;
/// The largest change of a deviation in one generation, relative to it.
const DEVIATION_CHANGE_MAX: f64 = 0.2;
/// Between these, samples are numbers to compute with.
const DEVIATION_RANGE: (f64, f64) = (1e-120, 1e100);

/// A normal distribution with a deviation per coordinate, all of which follow the gradient of the expected rank.
#[derive(Clone, Debug)]
pub struct Pgpe {
    settings: PgpeSpec,
    seed: Seed,
    generation: u32,
    mean: Vec<f64>,
    /// Standard deviation of each coordinate (sigma), positive.
    deviations: Vec<f64>,
    adam: Adam,
    pairs: Pairs,
}

impl Pgpe {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &PgpeSpec, seed: Seed) -> Self {
        let n = mean.len();
        Self::with_state(settings, seed, 0, mean, vec![settings.step_size; n], Adam::new(n))
    }

    /// A search of `dimension` dimensions that continues from a snapshot.
    pub fn restore(
        dimension: usize,
        settings: &PgpeSpec,
        seed: Seed,
        snapshot: &PgpeSnapshot,
    ) -> Result<Self, StrategyError> {
        snapshot::check_numbers("mean", dimension, &snapshot.mean)?;
        snapshot::check_numbers("deviations", dimension, &snapshot.deviations)?;
        if snapshot.deviations.iter().any(|&s| s <= 0.0) {
            return Err(StrategyError::Snapshot("its deviations must be positive".to_owned()));
        }
        let adam = Adam::restore(dimension, &snapshot.adam)?;
        Ok(Self::with_state(
            settings,
            seed,
            snapshot.generation,
            snapshot.mean.clone(),
            snapshot.deviations.clone(),
            adam,
        ))
    }

    fn with_state(
        settings: &PgpeSpec,
        seed: Seed,
        generation: u32,
        mean: Vec<f64>,
        deviations: Vec<f64>,
        adam: Adam,
    ) -> Self {
        let pairs = Pairs::draw(mean.len(), settings.population_size as usize, seed, generation);
        Self { settings: settings.clone(), seed, generation, mean, deviations, adam, pairs }
    }

    /// Sehnke's equation for sigma: its gradient is the average over pairs of the halves' mean reward times
    /// `((x - m)^2 - sigma^2) / sigma`. Centred ranks need no baseline: their mean is zero.
    fn adapt_deviations(&mut self, ranked: &[RankedPair]) {
        let mut relative = vec![0.0; self.deviations.len()];
        for pair in ranked {
            let weight = f64::midpoint(pair.plus, pair.minus) / ranked.len() as f64;
            let step = self.pairs.step(pair.pair);
            relative.iter_mut().zip(step).for_each(|(r, z)| *r += weight * (z * z - 1.0));
        }
        for (deviation, gradient) in self.deviations.iter_mut().zip(relative) {
            let change = DEVIATION_LEARNING_RATE * gradient;
            let changed = *deviation * (1.0 + change.clamp(-DEVIATION_CHANGE_MAX, DEVIATION_CHANGE_MAX));
            *deviation = changed.clamp(DEVIATION_RANGE.0, DEVIATION_RANGE.1);
        }
    }

    fn deviation_range(&self) -> (f64, f64) {
        let range = |ends: (f64, f64), &s: &f64| (ends.0.min(s), ends.1.max(s));
        self.deviations.iter().fold((f64::INFINITY, 0.0), range)
    }
}

impl Strategy for Pgpe {
    fn ask(&self) -> Vec<Candidate> {
        self.pairs.candidates(&self.mean, &self.deviations)
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let population_size = self.settings.population_size as usize;
        let verdicts = verdicts_of(population_size, measured)?;
        let ranked = antithetic::rank(&verdicts);
        if let Some(gradient) = antithetic::mean_gradient(&self.pairs, &ranked) {
            self.adam.ascend(&mut self.mean, &gradient, self.settings.learning_rate);
            self.adapt_deviations(&ranked);
        }
        self.generation = self.generation.saturating_add(1);
        self.pairs = Pairs::draw(self.mean.len(), population_size, self.seed, self.generation);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        deviations_vanished(self.deviation_range().1, self.settings.step_size)
    }

    fn mean(&self) -> Genome {
        Genome(self.mean.clone())
    }

    /// The step size is the geometric mean of the deviations.
    fn summary(&self) -> SearchSummary {
        let (shortest, longest) = self.deviation_range();
        let logarithms: f64 = self.deviations.iter().map(|&s| libm::log(s)).sum();
        SearchSummary {
            step_size: libm::exp(logarithms / self.deviations.len() as f64),
            axis_ratio: longest / shortest,
            deviation_range: (shortest, longest),
            mean_norm: self.mean.iter().map(|x| x * x).sum::<f64>().sqrt(),
            ..SearchSummary::default()
        }
    }

    fn snapshot(&self) -> StrategySnapshot {
        StrategySnapshot::Pgpe(PgpeSnapshot {
            generation: self.generation,
            mean: self.mean.clone(),
            deviations: self.deviations.clone(),
            adam: self.adam.snapshot(),
        })
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::{Fitness, Verdict};

    use super::*;

    fn search(mean: Vec<f64>) -> Pgpe {
        Pgpe::new(mean, &PgpeSpec::of(64, Some(0.5), Some(0.05)), Seed::new(2).unwrap())
    }

    fn run(search: &mut Pgpe, generations: u32, value: fn(&[f64]) -> f64) {
        for _ in 0..generations {
            let verdict = |c: &Candidate| Verdict::Fit(Fitness::new(-value(&c.genome.0)).unwrap());
            search
                .tell(&Measured::without_gradients(&search.ask().iter().map(verdict).collect::<Vec<_>>()))
                .unwrap();
        }
    }

    #[test]
    fn the_mean_goes_to_the_optimum_and_steep_coordinates_get_small_deviations() {
        let mut search = search(vec![2.0, 2.0]);
        run(&mut search, 300, |x| 100.0 * x[0] * x[0] + x[1] * x[1]);
        assert!(search.mean.iter().all(|x| x.abs() < 0.1), "{:?}", search.mean);
        assert!(search.deviations[0] < 0.1, "{:?}", search.deviations);
        assert!(2.0 * search.deviations[0] < search.deviations[1], "{:?}", search.deviations);
    }

    #[test]
    fn a_deviation_grows_where_far_samples_are_fitter() {
        let mut search = search(vec![0.0, 0.0]);
        run(&mut search, 20, |x| -x[0].abs());
        assert!(search.deviations[0] > 0.6 && search.deviations[1] < 0.6, "{:?}", search.deviations);
        // One generation changes it by a fifth at most, and for ever.
        run(&mut search, 5000, |x| -x[0].abs());
        assert!(search.deviations[0] <= DEVIATION_RANGE.1);
        assert!(search.ask().iter().all(|c| c.genome.0.iter().all(|x| x.is_finite())));
    }

    #[test]
    fn vanished_deviations_end_the_search() {
        let mut search = search(vec![0.0]);
        run(&mut search, 1, |x| x[0]);
        assert_eq!(search.stop_reason(), None);
        search.deviations = vec![4e-12];
        assert_eq!(search.stop_reason().unwrap().criterion, "tolx");
    }
}
