//! PGPE: policy gradients with parameter-based exploration (F. Sehnke et al. 2010), with symmetric samples, a step size
//! per coordinate, centred ranks in place of rewards and Adam for the mean, as evosax and `EvoTorch` have it.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::PgpeSpec;

use serde::{Deserialize, Serialize};

use super::adam::{Adam, BETAS};
use super::antithetic::{self, Pairs, RankedPair};
use super::envelope::{Envelope, Form, check_numbers};
use super::stop::{deviations_grew, deviations_vanished, without_effect};
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, norm, verdicts_of,
};

const FORM: Form = Form { strategy: "pgpe", version: 1 };
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
    state: State,
    pairs: Pairs,
}

/// What a generation leaves to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// Generations told; the open generation's index.
    generation: u32,
    /// m, n numbers.
    mean: Vec<f64>,
    /// Standard deviation of each coordinate (sigma), positive.
    deviations: Vec<f64>,
    /// What Adam remembers of the mean's gradients.
    adam: Adam,
}

pub(crate) fn start(settings: &PgpeSpec, mean: Vec<f64>, seed: Seed, _: &Frame) -> Box<dyn Strategy> {
    Box::new(Pgpe::new(mean, settings, seed))
}

pub(crate) fn resume(
    settings: &PgpeSpec,
    mean: &[f64],
    seed: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let state: State = stored.open(FORM)?;
    check_numbers("mean", mean.len(), &state.mean)?;
    check_numbers("deviations", mean.len(), &state.deviations)?;
    if state.deviations.iter().any(|&s| s <= 0.0) {
        return Err(StrategyError::State("its deviations must be positive".to_owned()));
    }
    state.adam.check(mean.len())?;
    Ok(Box::new(Pgpe::with_state(settings, seed, state)))
}

impl Pgpe {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &PgpeSpec, seed: Seed) -> Self {
        let n = mean.len();
        let deviations = vec![settings.step_size; n];
        Self::with_state(settings, seed, State { generation: 0, mean, deviations, adam: Adam::new(n) })
    }

    fn with_state(settings: &PgpeSpec, seed: Seed, state: State) -> Self {
        let population_size = settings.population_size as usize;
        let pairs = Pairs::draw(state.mean.len(), population_size, seed, state.generation);
        Self { settings: settings.clone(), seed, state, pairs }
    }

    /// Sehnke's equation for sigma: its gradient is the average over pairs of the halves' mean reward times
    /// `((x - m)^2 - sigma^2) / sigma`. Centred ranks need no baseline: their mean is zero.
    fn adapt_deviations(&mut self, ranked: &[RankedPair]) {
        let mut relative = vec![0.0; self.state.deviations.len()];
        for pair in ranked {
            let weight = f64::midpoint(pair.plus, pair.minus) / ranked.len() as f64;
            let step = self.pairs.step(pair.pair);
            relative.iter_mut().zip(step).for_each(|(r, z)| *r += weight * (z * z - 1.0));
        }
        for (deviation, gradient) in self.state.deviations.iter_mut().zip(relative) {
            let change = DEVIATION_LEARNING_RATE * gradient;
            let changed = *deviation * (1.0 + change.clamp(-DEVIATION_CHANGE_MAX, DEVIATION_CHANGE_MAX));
            *deviation = changed.clamp(DEVIATION_RANGE.0, DEVIATION_RANGE.1);
        }
    }

    fn deviation_range(&self) -> (f64, f64) {
        let range = |ends: (f64, f64), &s: &f64| (ends.0.min(s), ends.1.max(s));
        self.state.deviations.iter().fold((f64::INFINITY, 0.0), range)
    }
}

impl Strategy for Pgpe {
    fn ask(&self) -> Vec<Candidate> {
        self.pairs.candidates(&self.state.mean, &self.state.deviations)
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let population_size = self.settings.population_size as usize;
        let verdicts = verdicts_of(population_size, measured)?;
        let ranked = antithetic::rank(&verdicts);
        if let Some(gradient) = antithetic::mean_gradient(&self.pairs, &ranked) {
            let State { mean, adam, .. } = &mut self.state;
            adam.ascend(mean, &gradient, self.settings.learning_rate, BETAS);
            self.adapt_deviations(&ranked);
        }
        let State { mean, generation, .. } = &mut self.state;
        *generation = generation.saturating_add(1);
        self.pairs = Pairs::draw(mean.len(), population_size, self.seed, *generation);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        let (largest, initial) = (self.deviation_range().1, self.settings.step_size);
        deviations_vanished(largest, initial)
            .or_else(|| deviations_grew(largest / initial))
            .or_else(|| without_effect(&self.state.mean, self.state.deviations.iter().copied()))
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    /// The step size is the geometric mean of the deviations.
    fn summary(&self) -> SearchSummary {
        let (shortest, longest) = self.deviation_range();
        let logarithms: f64 = self.state.deviations.iter().map(|&s| libm::log(s)).sum();
        SearchSummary {
            step_size: libm::exp(logarithms / self.state.deviations.len() as f64),
            axis_ratio: longest / shortest,
            deviation_range: (shortest, longest),
            mean_norm: norm(&self.state.mean),
            mean: self.state.mean.clone(),
            deviations: self.state.deviations.clone(),
            ..SearchSummary::default()
        }
    }

    fn state(&self) -> Envelope {
        Envelope::seal(FORM, &self.state)
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
        assert!(search.state.mean.iter().all(|x| x.abs() < 0.1), "{:?}", search.state.mean);
        assert!(search.state.deviations[0] < 0.1, "{:?}", search.state.deviations);
        assert!(
            2.0 * search.state.deviations[0] < search.state.deviations[1],
            "{:?}",
            search.state.deviations
        );
    }

    #[test]
    fn a_deviation_grows_where_far_samples_are_fitter() {
        let mut search = search(vec![0.0, 0.0]);
        run(&mut search, 20, |x| -x[0].abs());
        assert!(
            search.state.deviations[0] > 0.6 && search.state.deviations[1] < 0.6,
            "{:?}",
            search.state.deviations
        );
        // One generation changes it by a fifth at most, and for ever.
        run(&mut search, 5000, |x| -x[0].abs());
        assert!(search.state.deviations[0] <= DEVIATION_RANGE.1);
        assert!(search.ask().iter().all(|c| c.genome.0.iter().all(|x| x.is_finite())));
    }

    #[test]
    fn vanished_deviations_end_the_search() {
        let mut search = search(vec![0.0]);
        run(&mut search, 1, |x| x[0]);
        assert_eq!(search.stop_reason(), None);
        search.state.deviations = vec![4e-12];
        assert_eq!(search.stop_reason().unwrap().criterion, "tolx");
    }
}
