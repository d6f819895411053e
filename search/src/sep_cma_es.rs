//! Separable CMA-ES: R. Ros and N. Hansen, *A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity*
//! (2008). The covariance matrix is diagonal, so a generation costs of the order lambda n and nothing is decomposed, and
//! its learning rates are (n + 2) / 3 times as high. Equation numbers are those of Hansen's tutorial. Fitness is maximised.

use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::strategy::SepCmaEsSpec;

use serde::{Deserialize, Serialize};

use super::cma_es::parameters::Parameters;
use super::envelope::{Envelope, Form, check_numbers, unreachable};
use super::ranking::{self, Selected};
use super::stop::{deviations_grew, deviations_vanished, numbers_ended, without_effect};
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, norm, verdicts_of,
};

const FORM: Form = Form { strategy: "sep-cma-es", version: 1 };

/// The most that the logarithm of the step size changes in one generation.
const STEP_SIZE_CHANGE_MAX: f64 = 1.0;
/// Beyond this, in either direction, products of two numbers of the state may leave the finite numbers.
const MAGNITUDE_MAX: f64 = 1e140;

/// A normal distribution with independent coordinates that moves to where candidates are fit and takes the scale of good
/// steps in each of them.
#[derive(Clone, Debug)]
pub struct SepCmaEs {
    parameters: Parameters,
    initial_step_size: f64,
    seed: Seed,
    state: State,
    /// Standard normal steps z of the open generation, n numbers for each candidate in turn: a function of seed and
    /// generation, and no part of the state.
    steps: Vec<f64>,
}

/// What a generation leaves to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    /// Generations told; the open generation's index.
    generation: u32,
    /// Generations of which at least one candidate had a fitness.
    updates: u32,
    /// Whether the last update was refused since it would have left the finite numbers.
    stuck: bool,
    /// The mean (m).
    mean: Vec<f64>,
    /// The step size (sigma).
    step_size: f64,
    /// `p_sigma`.
    step_size_path: Vec<f64>,
    /// `p_c`.
    covariance_path: Vec<f64>,
    /// The diagonal of C, up to the step size.
    variances: Vec<f64>,
}

impl State {
    fn new(mean: Vec<f64>, step_size: f64) -> Self {
        let n = mean.len();
        Self {
            generation: 0,
            updates: 0,
            stuck: false,
            mean,
            step_size,
            step_size_path: vec![0.0; n],
            covariance_path: vec![0.0; n],
            variances: vec![1.0; n],
        }
    }

    /// Whether it can be sampled from and updated without leaving the finite numbers.
    fn is_sound(&self) -> bool {
        let bounded = |values: &[f64]| values.iter().all(|v| v.abs() <= MAGNITUDE_MAX);
        let positive = |value: f64| (1.0 / MAGNITUDE_MAX..=MAGNITUDE_MAX).contains(&value);
        positive(self.step_size)
            && bounded(&self.mean)
            && bounded(&self.step_size_path)
            && bounded(&self.covariance_path)
            && self.variances.iter().all(|&v| positive(v))
    }

    /// Smallest and largest standard deviation of a coordinate.
    fn deviation_range(&self) -> (f64, f64) {
        let range = |ends: (f64, f64), &v: &f64| (ends.0.min(v), ends.1.max(v));
        let (smallest, largest) = self.variances.iter().fold((f64::INFINITY, 0.0), range);
        (self.step_size * smallest.sqrt(), self.step_size * largest.sqrt())
    }
}

/// The tutorial's parameters without negative weights, the covariance's learning rates for n instead of n (n + 1) / 2
/// numbers to learn.
fn separable_parameters(dimension: usize, population_size: usize) -> Parameters {
    let parameters = Parameters::new(dimension, population_size, false);
    let faster = (dimension as f64 + 2.0) / 3.0;
    let c_1 = (parameters.c_1 * faster).min(1.0);
    let c_mu = (parameters.c_mu * faster).min(1.0 - c_1);
    Parameters { c_1, c_mu, ..parameters }
}

pub(crate) fn start(settings: &SepCmaEsSpec, mean: Vec<f64>, seed: Seed, _: &Frame) -> Box<dyn Strategy> {
    Box::new(SepCmaEs::new(mean, settings, seed))
}

pub(crate) fn resume(
    settings: &SepCmaEsSpec,
    mean: &[f64],
    seed: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let (n, state): (usize, State) = (mean.len(), stored.open(FORM)?);
    check_numbers("mean", n, &state.mean)?;
    check_numbers("step_size_path", n, &state.step_size_path)?;
    check_numbers("covariance_path", n, &state.covariance_path)?;
    check_numbers("variances", n, &state.variances)?;
    if !state.is_sound() || state.updates > state.generation {
        return Err(unreachable());
    }
    Ok(Box::new(SepCmaEs::with_state(settings, seed, state)))
}

impl SepCmaEs {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &SepCmaEsSpec, seed: Seed) -> Self {
        Self::with_state(settings, seed, State::new(mean, settings.step_size))
    }

    fn with_state(settings: &SepCmaEsSpec, seed: Seed, state: State) -> Self {
        let parameters = separable_parameters(state.mean.len(), settings.population_size as usize);
        let mut search =
            Self { parameters, initial_step_size: settings.step_size, seed, state, steps: Vec::new() };
        search.draw();
        search
    }

    /// (38): draws the open generation's steps.
    fn draw(&mut self) {
        let mut rng = self.seed.derive(Purpose::Sampling, u64::from(self.state.generation)).rng();
        let n = self.parameters.dimension;
        self.steps.resize(n * self.parameters.population_size(), 0.0);
        self.steps.chunks_exact_mut(n).for_each(|step| fill_normal(&mut rng, step));
    }

    fn step(&self, candidate: usize) -> &[f64] {
        let n = self.parameters.dimension;
        &self.steps[candidate * n..(candidate + 1) * n]
    }

    /// The state after an update by the selected candidates; without any, nothing is known and nothing moves.
    fn update(&self, selected: &[Selected]) -> State {
        let mut next = self.state.clone();
        if selected.is_empty() {
            return next;
        }
        let Parameters { c_sigma, d_sigma, c_c, c_1, c_mu, expected_norm, dimension, .. } = self.parameters;
        let n = dimension as f64;
        next.updates += 1;

        // (41), in standard normal steps and their squares: per coordinate y = sqrt(v) z.
        let mut step = vec![0.0; dimension];
        let mut squares = vec![0.0; dimension];
        for s in selected {
            for ((step, square), z) in step.iter_mut().zip(&mut squares).zip(self.step(s.candidate)) {
                *step += s.recombination * z;
                *square += s.recombination * z * z;
            }
        }
        let weight_sum: f64 = selected.iter().map(|s| s.recombination).sum();
        // The standard deviation of the step under random selection, `1 / sqrt(mu_eff)` of the weights in use.
        let deviation = selected.iter().map(|s| s.recombination * s.recombination).sum::<f64>().sqrt();

        // (43)
        let gain = (c_sigma * (2.0 - c_sigma)).sqrt() / deviation;
        for (path, z) in next.step_size_path.iter_mut().zip(&step) {
            *path = (1.0 - c_sigma) * *path + gain * z;
        }
        let path_norm = norm(&next.step_size_path);
        // (45): the exponent is 2 (g + 1) with g counted from 0; `updates` counts the present one already.
        let cumulated = 1.0 - libm::pow(1.0 - c_sigma, 2.0 * f64::from(next.updates));
        let progress_is_normal = path_norm / cumulated.sqrt() < (1.4 + 2.0 / (n + 1.0)) * expected_norm;
        let (gain, delta) = if progress_is_normal {
            ((c_c * (2.0 - c_c)).sqrt() / deviation, 0.0)
        } else {
            (0.0, c_c * (2.0 - c_c))
        };
        let kept = 1.0 + c_1 * delta - c_1 - c_mu * weight_sum;
        for i in 0..dimension {
            let scale = self.state.variances[i].sqrt();
            next.mean[i] += self.state.step_size * scale * step[i]; // (42)
            let path = (1.0 - c_c) * next.covariance_path[i] + gain * scale * step[i]; // (45)
            next.covariance_path[i] = path;
            let variance = self.state.variances[i];
            next.variances[i] = kept * variance + c_1 * path * path + c_mu * variance * squares[i]; // (47)
        }
        // (44), its exponent clipped as in CMA-ES.
        let change = c_sigma / d_sigma * (path_norm / expected_norm - 1.0);
        next.step_size *= libm::exp(change.clamp(-STEP_SIZE_CHANGE_MAX, STEP_SIZE_CHANGE_MAX));
        next
    }
}

impl Strategy for SepCmaEs {
    fn ask(&self) -> Vec<Candidate> {
        let State { mean, step_size, variances, .. } = &self.state;
        let deviations: Vec<f64> = variances.iter().map(|v| step_size * v.sqrt()).collect();
        let candidate = |step: &[f64]| {
            let coordinates = mean.iter().zip(&deviations).zip(step);
            let genome = Genome(coordinates.map(|((m, s), z)| m + s * z).collect()); // (40)
            Candidate { genome, block: BlockIndex(0) }
        };
        self.steps.chunks_exact(self.parameters.dimension).map(candidate).collect()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let verdicts = verdicts_of(self.parameters.population_size(), measured)?;
        let next = self.update(&ranking::select(&verdicts, &self.parameters.weights));
        if next.is_sound() {
            self.state = State { stuck: false, ..next };
        } else {
            self.state.stuck = true;
        }
        self.state.generation = self.state.generation.saturating_add(1);
        self.draw();
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        if self.state.stuck {
            return Some(numbers_ended(self.state.step_size));
        }
        let reach = |longest: f64, p: &f64| longest.max(self.state.step_size * p.abs());
        let reach = self.state.covariance_path.iter().fold(self.state.deviation_range().1, reach);
        let state = &self.state;
        let gain = state.deviation_range().1 / self.initial_step_size;
        let deviations = state.variances.iter().map(|variance| state.step_size * variance.sqrt());
        deviations_vanished(reach, self.initial_step_size)
            .or_else(|| deviations_grew(gain))
            .or_else(|| without_effect(&state.mean, deviations))
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        let (shortest, longest) = self.state.deviation_range();
        let deviations = self.state.variances.iter().map(|variance| self.state.step_size * variance.sqrt());
        SearchSummary {
            step_size: self.state.step_size,
            axis_ratio: longest / shortest,
            deviation_range: (shortest, longest),
            mean_norm: norm(&self.state.mean),
            mean: self.state.mean.clone(),
            deviations: deviations.collect(),
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

    fn ellipsoid(x: &[f64]) -> f64 {
        let last = (x.len() - 1) as f64;
        x.iter().enumerate().map(|(i, x)| libm::pow(10.0, 6.0 * i as f64 / last) * x * x).sum()
    }

    /// Evaluations until a sample is below 1e-9.
    fn evaluations(dimension: usize, population_size: u32, seed: u64) -> usize {
        let settings = SepCmaEsSpec { step_size: 1.0, ..SepCmaEsSpec::of(population_size) };
        let mut search = SepCmaEs::new(vec![1.0; dimension], &settings, Seed::new(seed).unwrap());
        for generation in 0.. {
            let values: Vec<f64> = search.ask().iter().map(|c| ellipsoid(&c.genome.0)).collect();
            if let Some(place) = values.iter().position(|&value| value < 1e-9) {
                return generation * values.len() + place + 1;
            }
            assert!(search.stop_reason().is_none() && generation < 100_000, "{:?}", search.stop_reason());
            let verdict = |value: &f64| Verdict::Fit(Fitness::new(-value).unwrap());
            search
                .tell(&Measured::without_gradients(&values.iter().map(verdict).collect::<Vec<_>>()))
                .unwrap();
        }
        unreachable!()
    }

    /// Ros and Hansen's figure 1 shows about 3e3, 1.5e4 and 4e4 evaluations at n = 10, 40 and 100, growing nearly
    /// linearly, where full CMA-ES needs 4e3, 5e4 and 3e5.
    #[test]
    #[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
    fn scales_of_coordinates_are_learnt_in_linear_time() {
        for (dimension, population_size, limit) in [(10, 10, 4_000), (40, 15, 16_000), (100, 17, 45_000)] {
            let mut counts: Vec<usize> =
                (1..=5).map(|seed| evaluations(dimension, population_size, seed)).collect();
            counts.sort_unstable();
            println!("n = {dimension}: median {} evaluations", counts[2]);
            assert!(counts[2] < limit, "n = {dimension}: {counts:?}");
        }
    }

    #[test]
    fn the_learning_rates_are_higher_by_a_third_of_the_dimension() {
        let (full, separable) = (Parameters::new(100, 17, false), separable_parameters(100, 17));
        assert!((separable.c_1 / full.c_1 - 34.0).abs() < 1e-12);
        assert!((separable.c_mu / full.c_mu - 34.0).abs() < 1e-12);
        assert!(separable.weights.iter().all(|&w| w >= 0.0));
        for (dimension, population_size) in [(1, 4), (2, 65_536), (100_000, 4)] {
            let Parameters { c_1, c_mu, .. } = separable_parameters(dimension, population_size);
            assert!(c_1 > 0.0 && c_mu > 0.0 && c_1 + c_mu <= 1.0);
        }
    }

    #[test]
    fn a_search_that_leaves_the_numbers_stands_and_says_so() {
        let settings = SepCmaEsSpec { step_size: 1e6, ..SepCmaEsSpec::of(8) };
        let mut search = SepCmaEs::new(vec![0.0; 2], &settings, Seed::new(1).unwrap());
        for _ in 0..10_000 {
            // It would have ended by `tolfacupx` long before.
            if search.stop_reason().is_some_and(|reason| reason.criterion == "numerics") {
                break;
            }
            let verdict = |c: &Candidate| Verdict::Fit(Fitness::new(c.genome.0[0]).unwrap());
            search
                .tell(&Measured::without_gradients(&search.ask().iter().map(verdict).collect::<Vec<_>>()))
                .unwrap();
        }
        assert_eq!(search.stop_reason().map(|reason| reason.criterion).as_deref(), Some("numerics"));
        assert!(search.mean().0.iter().all(|x| x.is_finite()));
    }
}
