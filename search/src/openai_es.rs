//! Antithetic evolution strategies as T. Salimans et al. 2017 use them (arXiv 1703.03864): an isotropic distribution of
//! fixed width, whose mean follows a rank-shaped gradient by Adam.

use hebbian_shared::genome::Genome;
use hebbian_shared::progress::{SearchSummary, StopReason};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::OpenAiEsSpec;

use super::adam::Adam;
use super::antithetic::{self, Pairs};
use super::snapshot::OpenAiEsSnapshot;
use super::{Candidate, Measured, Strategy, StrategyError, StrategySnapshot, snapshot, verdicts_of};

/// A mean that climbs, and samples of fixed deviation around it.
///
/// Its mean scatters by about the learning rate around an optimum: it never converges, and so has no criterion of its own
/// to stop by.
#[derive(Clone, Debug)]
pub struct OpenAiEs {
    settings: OpenAiEsSpec,
    seed: Seed,
    generation: u32,
    mean: Vec<f64>,
    adam: Adam,
    pairs: Pairs,
}

impl OpenAiEs {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &OpenAiEsSpec, seed: Seed) -> Self {
        let adam = Adam::new(mean.len());
        Self::with_state(settings, seed, 0, mean, adam)
    }

    /// A search of `dimension` dimensions that continues from a snapshot.
    pub fn restore(
        dimension: usize,
        settings: &OpenAiEsSpec,
        seed: Seed,
        snapshot: &OpenAiEsSnapshot,
    ) -> Result<Self, StrategyError> {
        snapshot::check_numbers("mean", dimension, &snapshot.mean)?;
        let adam = Adam::restore(dimension, &snapshot.adam)?;
        Ok(Self::with_state(settings, seed, snapshot.generation, snapshot.mean.clone(), adam))
    }

    fn with_state(settings: &OpenAiEsSpec, seed: Seed, generation: u32, mean: Vec<f64>, adam: Adam) -> Self {
        let pairs = Pairs::draw(mean.len(), settings.population_size as usize, seed, generation);
        Self { settings: settings.clone(), seed, generation, mean, adam, pairs }
    }
}

impl Strategy for OpenAiEs {
    fn ask(&self) -> Vec<Candidate> {
        self.pairs.candidates(&self.mean, &vec![self.settings.step_size; self.mean.len()])
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let population_size = self.settings.population_size as usize;
        let verdicts = verdicts_of(population_size, measured)?;
        if let Some(gradient) = antithetic::mean_gradient(&self.pairs, &antithetic::rank(&verdicts)) {
            self.adam.ascend(&mut self.mean, &gradient, self.settings.learning_rate);
        }
        self.generation = self.generation.saturating_add(1);
        self.pairs = Pairs::draw(self.mean.len(), population_size, self.seed, self.generation);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        None
    }

    fn mean(&self) -> Genome {
        Genome(self.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        let step_size = self.settings.step_size;
        SearchSummary {
            step_size,
            axis_ratio: 1.0,
            deviation_range: (step_size, step_size),
            mean_norm: self.mean.iter().map(|x| x * x).sum::<f64>().sqrt(),
            ..SearchSummary::default()
        }
    }

    fn snapshot(&self) -> StrategySnapshot {
        StrategySnapshot::OpenAiEs(OpenAiEsSnapshot {
            generation: self.generation,
            mean: self.mean.clone(),
            adam: self.adam.snapshot(),
        })
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
        assert!((search.mean[0] - 1.0).abs() < 0.1, "{:?}", search.mean);
        assert!((search.mean[1] - 5.0).abs() < 0.5, "{:?}", search.mean);
        assert_eq!(search.summary().step_size, 0.2);
        assert_eq!(search.stop_reason(), None);
    }
}
