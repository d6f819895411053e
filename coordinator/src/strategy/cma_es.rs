//! CMA-ES with full covariance, by N. Hansen, *The CMA Evolution Strategy: A Tutorial*, arXiv 1604.00772, whose
//! equation numbers stand beside the arithmetic. Fitness is maximised.
//!
//! `parameters` are what n and lambda determine, `state` is what a generation leaves to the next, `sampling` draws a
//! population from the state, and `update` makes the next state of both and the ranking.

mod linear_algebra;
pub mod parameters;
mod sampling;
mod state;
mod update;

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::progress::{SearchSummary, StopReason};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::CmaEsSpec;

use super::snapshot::CmaEsSnapshot;
use super::stop::Distribution;
use super::{Candidate, Strategy, StrategyError, StrategySnapshot, check_count, ranking};
use parameters::Parameters;
use sampling::Population;
use state::State;

/// CMA-ES: a normal distribution that moves to where candidates are fit and takes the shape of good steps.
///
/// The population is a function of seed and state; it is kept so that it is drawn once, and is no part of the state.
#[derive(Clone, Debug)]
pub struct CmaEs {
    parameters: Parameters,
    initial_step_size: f64,
    seed: Seed,
    state: State,
    population: Population,
}

impl CmaEs {
    /// A search that starts from `mean`.
    ///
    /// # Panics
    /// If the mean is empty or not finite, or the settings would not pass the spec's validation.
    pub fn new(mean: Vec<f64>, settings: &CmaEsSpec, seed: Seed) -> Self {
        let state = State::new(mean, settings.step_size);
        assert!(!state.mean.is_empty() && state.is_sound(), "mean and step size must be finite numbers");
        Self::with_state(settings, seed, state)
    }

    /// A search of `dimension` dimensions that continues from a snapshot.
    pub fn restore(
        dimension: usize,
        settings: &CmaEsSpec,
        seed: Seed,
        snapshot: &CmaEsSnapshot,
    ) -> Result<Self, StrategyError> {
        Ok(Self::with_state(settings, seed, State::from_snapshot(dimension, snapshot)?))
    }

    fn with_state(settings: &CmaEsSpec, seed: Seed, state: State) -> Self {
        assert!(settings.population_size >= 4, "a population is at least 4");
        let population_size = settings.population_size as usize;
        let parameters = Parameters::new(state.mean.len(), population_size, settings.active);
        let population = Population::draw(&state, population_size, seed);
        Self { parameters, initial_step_size: settings.step_size, seed, state, population }
    }

    /// What dimension and population size determine.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Closes the open generation with samples that were drawn elsewhere, as if they had been asked for: one finite
    /// genome per candidate, in the order of the verdicts.
    pub fn tell_samples(&mut self, samples: &[Genome], verdicts: &[Verdict]) -> Result<(), StrategyError> {
        check_count(self.parameters.population_size(), verdicts)?;
        check_count(samples.len(), verdicts)?;
        for (candidate, sample) in samples.iter().enumerate() {
            let problem = if sample.0.len() != self.parameters.dimension {
                format!("it must hold {} numbers, not {}", self.parameters.dimension, sample.0.len())
            } else if !sample.0.iter().all(|x| x.is_finite()) {
                "all its numbers must be finite".to_owned()
            } else {
                continue;
            };
            return Err(StrategyError::Sample { candidate, problem });
        }
        self.population = Population::of_samples(&self.state, samples);
        self.advance(verdicts);
        Ok(())
    }

    /// Updates the distribution and draws the next population. An update that would leave the finite numbers is
    /// refused: the distribution stays, and `stop_reason` says so.
    fn advance(&mut self, verdicts: &[Verdict]) {
        let selected = ranking::select(verdicts, &self.parameters.weights);
        match update::update(&self.state, &self.parameters, &self.population, &selected) {
            Some(next) => self.state = State { stuck: false, ..next },
            None => self.state.stuck = true,
        }
        self.state.generation += 1;
        self.population = Population::draw(&self.state, self.parameters.population_size(), self.seed);
    }
}

impl Strategy for CmaEs {
    fn ask(&self) -> Vec<Candidate> {
        (0..self.parameters.population_size())
            .map(|i| Candidate { genome: self.population.genome(&self.state, i), block: BlockIndex(0) })
            .collect()
    }

    fn tell(&mut self, verdicts: &[Verdict]) -> Result<(), StrategyError> {
        check_count(self.parameters.population_size(), verdicts)?;
        self.advance(verdicts);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        Distribution {
            initial_step_size: self.initial_step_size,
            step_size: self.state.step_size,
            axis_range: self.state.axis_range(),
            reach: self.state.deviations().fold(update::path_reach(&self.state), f64::max),
            stuck: self.state.stuck,
        }
        .stop_reason()
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        let (shortest, longest) = self.state.axis_range();
        let range = |ends: (f64, f64), d: f64| (ends.0.min(d), ends.1.max(d));
        SearchSummary {
            step_size: self.state.step_size,
            axis_ratio: longest / shortest,
            deviation_range: self.state.deviations().fold((f64::INFINITY, 0.0), range),
            mean_norm: linear_algebra::norm(&self.state.mean),
            ..SearchSummary::default()
        }
    }

    fn snapshot(&self) -> StrategySnapshot {
        StrategySnapshot::CmaEs(self.state.to_snapshot())
    }
}
