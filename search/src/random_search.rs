//! Random search: the control that every other strategy must beat.

use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::strategy::RandomSearchSpec;

use serde::{Deserialize, Serialize};

use super::envelope::{Envelope, Form, check_numbers};
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, check_count, norm,
};

const FORM: Form = Form { strategy: "random-search", version: 1 };

/// Independent normal samples around the initial mean, in every generation alike.
///
/// Its distribution never moves, so its result is not a mean but the best sample ever told; before the first candidate
/// with a fitness, the initial mean. Among equals the first told stays.
#[derive(Clone, Debug)]
pub struct RandomSearch {
    initial_mean: Vec<f64>,
    deviation: f64,
    population_size: usize,
    seed: Seed,
    state: State,
}

/// What a generation leaves to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// Generations told; the open generation's index.
    generation: u32,
    /// The best sample and its fitness; `None` before the first candidate with a fitness.
    best: Option<(Genome, Fitness)>,
}

pub(crate) fn start(settings: &RandomSearchSpec, mean: Vec<f64>, seed: Seed, _: &Frame) -> Box<dyn Strategy> {
    Box::new(RandomSearch::new(mean, settings, seed))
}

pub(crate) fn resume(
    settings: &RandomSearchSpec,
    mean: &[f64],
    seed: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let state: State = stored.open(FORM)?;
    if let Some((genome, _)) = &state.best {
        check_numbers("its best sample", mean.len(), &genome.0)?;
    }
    Ok(Box::new(RandomSearch { state, ..RandomSearch::new(mean.to_vec(), settings, seed) }))
}

impl RandomSearch {
    /// A search around `initial_mean`, a finite point, with the settings of a validated spec.
    pub fn new(initial_mean: Vec<f64>, settings: &RandomSearchSpec, seed: Seed) -> Self {
        Self {
            initial_mean,
            deviation: settings.step_size,
            population_size: settings.population_size as usize,
            seed,
            state: State::default(),
        }
    }

    fn samples(&self) -> impl Iterator<Item = Genome> + '_ {
        let mut rng = self.seed.derive(Purpose::Sampling, u64::from(self.state.generation)).rng();
        (0..self.population_size).map(move |_| {
            let mut values = vec![0.0; self.initial_mean.len()];
            fill_normal(&mut rng, &mut values);
            values.iter_mut().zip(&self.initial_mean).for_each(|(z, m)| *z = m + self.deviation * *z);
            Genome(values)
        })
    }
}

impl Strategy for RandomSearch {
    fn ask(&self) -> Vec<Candidate> {
        self.samples().map(|genome| Candidate { genome, block: BlockIndex(0) }).collect()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        check_count(self.population_size, measured.len())?;
        let mut best = None;
        for (candidate, fitness) in
            measured.iter().enumerate().filter_map(|(i, m)| Some((i, m.verdict.fitness()?)))
        {
            if best.is_none_or(|(_, highest)| fitness > highest) {
                best = Some((candidate, fitness));
            }
        }
        if let Some((candidate, fitness)) = best
            && self.state.best.as_ref().is_none_or(|(_, highest)| fitness > *highest)
        {
            let genome = self.samples().nth(candidate);
            self.state.best = genome.map(|genome| (genome, fitness));
        }
        self.state.generation = self.state.generation.saturating_add(1);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        None
    }

    fn mean(&self) -> Genome {
        match &self.state.best {
            Some((genome, _)) => genome.clone(),
            None => Genome(self.initial_mean.clone()),
        }
    }

    fn summary(&self) -> SearchSummary {
        let mean = self.mean();
        SearchSummary {
            step_size: self.deviation,
            axis_ratio: 1.0,
            deviation_range: (self.deviation, self.deviation),
            mean_norm: norm(&mean.0),
            mean: mean.0,
            deviations: vec![self.deviation],
            ..SearchSummary::default()
        }
    }

    fn state(&self) -> Envelope {
        Envelope::seal(FORM, &self.state)
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::Verdict;

    use super::*;

    fn search() -> RandomSearch {
        let settings = RandomSearchSpec { population_size: 1000, step_size: 0.5 };
        RandomSearch::new(vec![1.0, -2.0, 3.0], &settings, Seed::new(4).unwrap())
    }

    fn fit(value: f64) -> Verdict {
        Verdict::Fit(Fitness::new(value).unwrap())
    }

    #[test]
    fn samples_scatter_around_the_initial_mean() {
        let candidates = search().ask();
        for (dimension, mean) in [1.0, -2.0, 3.0].into_iter().enumerate() {
            let values: Vec<f64> = candidates.iter().map(|c| c.genome.0[dimension]).collect();
            let average = values.iter().sum::<f64>() / 1000.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0;
            // Five standard errors.
            assert!((average - mean).abs() < 5.0 * 0.5 / 1000f64.sqrt(), "{average}");
            assert!((variance - 0.25).abs() < 5.0 * 0.25 * (2.0 / 1000f64).sqrt(), "{variance}");
        }
    }

    #[test]
    fn the_result_is_the_best_sample_ever_told() {
        let mut search = search();
        assert_eq!(search.mean().0, [1.0, -2.0, 3.0]);
        let first = search.ask();
        let mut verdicts = vec![fit(0.0); 1000];
        verdicts[0] = Verdict::Diverged { episodes: 1 };
        verdicts[7] = fit(2.0);
        verdicts[8] = fit(2.0);
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
        assert_eq!(search.mean(), first[7].genome);
        assert_ne!(search.ask(), first);
        // No improvement in the second generation.
        search.tell(&Measured::without_gradients(&[fit(2.0); 1000])).unwrap();
        assert_eq!(search.mean(), first[7].genome);
    }
}
