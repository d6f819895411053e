//! A strategy that wants gradients of several candidates, as none that a spec names does. Runs of the name [`NAME`] are searched by this one, wherever an engine has
//! [`STRATEGIES`], so that the gradient's path is proved from the worker's thread to the search and the journal.

use hebbian_control::run::strategy::{self, Strategies};
use hebbian_search::{
    Candidate, Envelope, Form, Genome, Measured, SearchSummary, Seed, StopReason, Strategy, StrategyError,
    Wants,
};
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::{Purpose, fill_normal};
use hebbian_shared::spec::RunSpec;
use serde::{Deserialize, Serialize};

/// The name of runs that it searches.
pub const NAME: &str = "climber";

/// The strategies that specs name, and the climber for runs of its name.
pub const STRATEGIES: Strategies = Strategies { start, resume };

const FORM: Form = Form { strategy: NAME, version: 1 };

/// Standard deviation of the candidates around the mean.
const DEVIATION: f64 = 0.05;
/// What of the last step goes into the next one.
const MOMENTUM: f64 = 0.5;
/// Length of a step along the velocity.
const RATE: f64 = 0.05;

/// Gradient ascent with momentum: the mean follows the mean gradient of candidates around it.
#[derive(Clone, Debug)]
pub struct Climber {
    population_size: usize,
    seed: Seed,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    generation: u32,
    mean: Vec<f64>,
    velocity: Vec<f64>,
}

/// Whether a spec's run is searched by it.
pub fn climbs(spec: &RunSpec) -> bool {
    spec.name == NAME
}

fn start(spec: &RunSpec) -> Box<dyn Strategy> {
    if !climbs(spec) {
        return strategy::build(spec);
    }
    let mean = spec.layout().initial_mean().0;
    let state = State { generation: 0, velocity: vec![0.0; mean.len()], mean };
    Box::new(Climber::with(spec, state))
}

fn resume(spec: &RunSpec, state: &Envelope) -> Result<Box<dyn Strategy>, StrategyError> {
    if !climbs(spec) {
        return strategy::restore(spec, state);
    }
    let state: State = state.open(FORM)?;
    if state.mean.len() != spec.layout().dimension() || state.velocity.len() != state.mean.len() {
        return Err(StrategyError::State("it is of another dimension".to_owned()));
    }
    Ok(Box::new(Climber::with(spec, state)))
}

impl Climber {
    fn with(spec: &RunSpec, state: State) -> Self {
        Self { population_size: spec.strategy.population_size() as usize, seed: spec.seed, state }
    }

    /// The mean of the candidates' gradients; of those that diverged on all tasks there is none.
    fn gradient(&self, measured: &[Measured]) -> Result<Vec<f64>, StrategyError> {
        let dimension = self.state.mean.len();
        let (mut sum, mut count) = (vec![0.0; dimension], 0.0);
        for (candidate, Measured { verdict, gradient }) in measured.iter().enumerate() {
            match (verdict.fitness(), gradient) {
                (_, Some(gradient)) if gradient.len() == dimension => {
                    sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                    count += 1.0;
                }
                (None, None) => {}
                _ => {
                    let problem = format!("a candidate with a fitness has a gradient of {dimension} numbers");
                    return Err(StrategyError::Sample { candidate, problem });
                }
            }
        }
        Ok(sum.into_iter().map(|sum| sum / f64::max(count, 1.0)).collect())
    }
}

impl Strategy for Climber {
    fn ask(&self) -> Vec<Candidate> {
        let mut rng = self.seed.derive(Purpose::Sampling, u64::from(self.state.generation)).rng();
        let around = |_| {
            let mut genome = vec![0.0; self.state.mean.len()];
            fill_normal(&mut rng, &mut genome);
            genome.iter_mut().zip(&self.state.mean).for_each(|(z, mean)| *z = mean + DEVIATION * *z);
            Candidate { genome: Genome(genome), block: BlockIndex(0) }
        };
        (0..self.population_size).map(around).collect()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let (expected, found) = (self.population_size, measured.len());
        if expected != found {
            return Err(StrategyError::VerdictCount { expected, found });
        }
        let gradient = self.gradient(measured)?;
        let State { generation, mean, velocity } = &mut self.state;
        for ((x, v), g) in mean.iter_mut().zip(velocity).zip(gradient) {
            *v = MOMENTUM * *v + g;
            *x += RATE * *v;
        }
        *generation += 1;
        Ok(())
    }

    fn wants(&self) -> Wants {
        Wants { gradient: true }
    }

    fn stop_reason(&self) -> Option<StopReason> {
        None
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        SearchSummary {
            step_size: DEVIATION,
            axis_ratio: 1.0,
            deviation_range: (DEVIATION, DEVIATION),
            mean: self.state.mean.clone(),
            deviations: vec![DEVIATION],
            ..SearchSummary::default()
        }
    }

    fn state(&self) -> Envelope {
        Envelope::seal(FORM, &self.state)
    }
}
