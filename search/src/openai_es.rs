//! Antithetic evolution strategies as T. Salimans et al. 2017 use them (arXiv 1703.03864): an isotropic distribution of
//! fixed width, whose mean follows a rank-shaped gradient by Adam.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::OpenAiEsSpec;

use serde::{Deserialize, Serialize};

use super::adam::{Adam, BETAS};
use super::antithetic::{self, Pairs};
use super::envelope::{Envelope, Form, check_numbers};
use super::stop::without_effect;
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, norm, verdicts_of,
};

const FORM: Form = Form { strategy: "openai-es", version: 1 };

/// A mean that climbs, and samples of fixed deviation around it.
///
/// Its mean scatters by about the learning rate around an optimum: it never converges, and so has no criterion of its own
/// to stop by.
#[derive(Clone, Debug)]
pub struct OpenAiEs {
    settings: OpenAiEsSpec,
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
    /// What Adam remembers of the mean's gradients.
    adam: Adam,
}

pub(crate) fn start(settings: &OpenAiEsSpec, mean: Vec<f64>, seed: Seed, _: &Frame) -> Box<dyn Strategy> {
    Box::new(OpenAiEs::new(mean, settings, seed))
}

pub(crate) fn resume(
    settings: &OpenAiEsSpec,
    mean: &[f64],
    seed: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let state: State = stored.open(FORM)?;
    check_numbers("mean", mean.len(), &state.mean)?;
    state.adam.check(mean.len())?;
    Ok(Box::new(OpenAiEs::with_state(settings, seed, state)))
}

impl OpenAiEs {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &OpenAiEsSpec, seed: Seed) -> Self {
        let adam = Adam::new(mean.len());
        Self::with_state(settings, seed, State { generation: 0, mean, adam })
    }

    fn with_state(settings: &OpenAiEsSpec, seed: Seed, state: State) -> Self {
        let population_size = settings.population_size as usize;
        let pairs = Pairs::draw(state.mean.len(), population_size, seed, state.generation);
        Self { settings: settings.clone(), seed, state, pairs }
    }
}

impl Strategy for OpenAiEs {
    fn ask(&self) -> Vec<Candidate> {
        let State { mean, .. } = &self.state;
        self.pairs.candidates(mean, &vec![self.settings.step_size; mean.len()])
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let population_size = self.settings.population_size as usize;
        let verdicts = verdicts_of(population_size, measured)?;
        if let Some(gradient) = antithetic::mean_gradient(&self.pairs, &antithetic::rank(&verdicts)) {
            let State { mean, adam, .. } = &mut self.state;
            adam.ascend(mean, &gradient, self.settings.learning_rate, BETAS);
        }
        let State { mean, generation, .. } = &mut self.state;
        *generation = generation.saturating_add(1);
        self.pairs = Pairs::draw(mean.len(), population_size, self.seed, *generation);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        // The deviation is what it was, so nothing but its loss beside the mean can be told.
        without_effect(&self.state.mean, std::iter::repeat(self.settings.step_size))
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        let step_size = self.settings.step_size;
        SearchSummary {
            step_size,
            axis_ratio: 1.0,
            deviation_range: (step_size, step_size),
            mean_norm: norm(&self.state.mean),
            mean: self.state.mean.clone(),
            deviations: vec![step_size],
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

    #[test]
    fn the_mean_climbs_by_the_learning_rate_and_the_deviation_stays() {
        let settings = OpenAiEsSpec::of(64, Some(0.2), Some(0.01));
        let mut search = OpenAiEs::new(vec![0.0, 5.0], &settings, Seed::new(2).unwrap());
        for _ in 0..100 {
            let verdict = |c: &Candidate| Verdict::Fit(Fitness::new(3.0 * c.genome.0[0]).unwrap());
            search
                .tell(&Measured::without_gradients(&search.ask().iter().map(verdict).collect::<Vec<_>>()))
                .unwrap();
        }
        assert!((search.state.mean[0] - 1.0).abs() < 0.1, "{:?}", search.state.mean);
        assert!((search.state.mean[1] - 5.0).abs() < 0.5, "{:?}", search.state.mean);
        assert_eq!(search.summary().step_size, 0.2);
        assert_eq!(search.stop_reason(), None);
    }
}
