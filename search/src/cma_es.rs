//! CMA-ES with full covariance, by N. Hansen, *The CMA Evolution Strategy: A Tutorial*, arXiv 1604.00772, whose
//! equation numbers stand beside the arithmetic. Fitness is maximised.
//!
//! `parameters` are what n and lambda determine, `state` is what a generation leaves to the next, `sampling` draws a
//! population from the state, and `update` makes the next state of both and the ranking. Around this core: `space` maps the
//! search's coordinates to genomes, `noise` measures noise, `learning_rate` slows the search down in noise, `integers` keeps
//! integers moving, `late` lets candidates arrive in later generations, and `termination` tells when it has ended.

mod integers;
mod late;
mod learning_rate;
mod noise;
pub mod parameters;
mod sampling;
mod space;
mod state;
mod termination;
mod update;

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling, Restarts};

use super::envelope::{Envelope, Form, unreachable};
use super::restart::RestartedCmaEs;
use super::{
    Birth, Candidate, Frame, Measured, NoiseSummary, SearchSummary, StopReason, Strategy, StrategyError,
    WarmStart, check_count, ranking, verdicts_of, whole_generations,
};
use crate::linear_algebra;
use integers::Integers;
use late::Open;
use learning_rate::LearningRates;
use noise::NoiseEstimate;
use parameters::Parameters;
use sampling::Population;
use space::Space;
use state::MAGNITUDE_MAX;
pub(crate) use state::State;

const FORM: Form = Form { strategy: "cma-es", version: 1 };
/// Of a search with integers: its factors follow the state.
const FORM_WITH_INTEGERS: Form = Form { strategy: "cma-es", version: 2 };
/// Of an asynchronous search: factors, if there are any, and the open generation follow the state.
const FORM_ASYNCHRONOUS: Form = Form { strategy: "asynchronous cma-es", version: 1 };

pub(crate) fn start(settings: &CmaEsSpec, mean: Vec<f64>, seed: Seed, frame: &Frame) -> Box<dyn Strategy> {
    if settings.restarts != Restarts::None {
        return Box::new(RestartedCmaEs::new(mean, settings, seed, frame));
    }
    Box::new(CmaEs::begin(mean, settings, seed, frame))
}

pub(crate) fn resume(
    settings: &CmaEsSpec,
    mean: &[f64],
    seed: Seed,
    frame: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    if settings.restarts != Restarts::None {
        return Ok(Box::new(RestartedCmaEs::restore(mean, settings, seed, frame, stored)?));
    }
    Ok(Box::new(CmaEs::restore_in(frame, mean.to_vec(), settings, seed, stored)?))
}

/// The search distribution in n dimensions, in the tutorial's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution<'a> {
    /// m, n numbers.
    pub mean: &'a [f64],
    /// sigma.
    pub step_size: f64,
    /// `p_sigma`, n numbers.
    pub step_size_path: &'a [f64],
    /// `p_c`, n numbers.
    pub covariance_path: &'a [f64],
    /// The lower triangle of C by columns, n (n + 1) / 2 numbers.
    pub covariance: Vec<f64>,
}

/// CMA-ES: a normal distribution that moves to where candidates are fit and takes the shape of good steps.
///
/// The population is a function of seed and state; it is kept so that it is drawn once, and is no part of the state.
pub struct CmaEs {
    parameters: Parameters,
    settings: CmaEsSpec,
    /// Whether every generation measures another function, so that its fitnesses say nothing beside an earlier one's.
    function_changes: bool,
    seed: Seed,
    space: Space,
    /// `None` where there are no integers.
    integers: Option<Integers>,
    state: State,
    population: Population,
}

impl CmaEs {
    /// A search that starts from `mean`, by itself.
    ///
    /// # Panics
    /// If the mean is empty or not finite, or the settings would not pass the spec's validation.
    pub fn new(mean: Vec<f64>, settings: &CmaEsSpec, seed: Seed) -> Self {
        Self::begin(mean, settings, seed, &Frame::default())
    }

    /// The same in a frame.
    pub(crate) fn begin(mean: Vec<f64>, settings: &CmaEsSpec, seed: Seed, frame: &Frame) -> Self {
        let space = Space::new(mean, settings);
        let mut state = State::new(space.start(), settings.step_size);
        state.noise = (settings.noise == NoiseHandling::Auto).then(NoiseEstimate::new);
        state.open = settings.asynchronous.then(|| Open::of(2 * settings.population_size));
        assert!(!state.mean.is_empty() && state.is_sound(), "mean and step size must be finite numbers");
        let mut search = Self::with_state(space, settings, seed, state, frame);
        if search.integers.is_some() {
            search.state.factors = Integers::factors(search.state.mean.len());
        }
        if !settings.initial_covariance.is_empty() {
            search.state.covariance = search.space.covariance(&settings.initial_covariance);
            // What cannot be made a covariance matrix is refused as one that the search cannot continue from.
            search.state.stuck = update::decompose(&mut search.state).is_err() || !search.state.is_sound();
            if search.state.stuck {
                let (noise, factors) = (search.state.noise.take(), search.state.factors.split_off(0));
                let start = State::new(search.space.start(), settings.step_size);
                let open = search.state.open.take();
                search.state = State { stuck: true, noise, factors, open, ..start };
            }
        }
        if settings.noise == NoiseHandling::Lra {
            search.adapt_learning_rates(true);
        }
        if let Some(integers) = &search.integers {
            integers.limit(&mut search.state);
        }
        search.draw();
        search
    }

    /// The search that was started from `mean` by itself and with the same settings, as it was when it gave away its state.
    pub fn restore(
        mean: Vec<f64>,
        settings: &CmaEsSpec,
        seed: Seed,
        stored: &Envelope,
    ) -> Result<Self, StrategyError> {
        Self::restore_in(&Frame::default(), mean, settings, seed, stored)
    }

    /// The same in the frame that it was started in.
    fn restore_in(
        frame: &Frame,
        mean: Vec<f64>,
        settings: &CmaEsSpec,
        seed: Seed,
        stored: &Envelope,
    ) -> Result<Self, StrategyError> {
        let state = if settings.asynchronous {
            let (state, factors, open): (State, Vec<f64>, Open) = stored.open(FORM_ASYNCHRONOUS)?;
            State { factors, open: Some(open), ..state }
        } else if has_integers(settings, frame) {
            let (state, factors): (State, Vec<f64>) = stored.open(FORM_WITH_INTEGERS)?;
            state.with_factors(factors)
        } else {
            stored.open(FORM)?
        };
        Self::resume(mean, settings, seed, frame, state)
    }

    /// The same with a state that was read.
    pub(crate) fn resume(
        mean: Vec<f64>,
        settings: &CmaEsSpec,
        seed: Seed,
        frame: &Frame,
        state: State,
    ) -> Result<Self, StrategyError> {
        let space = Space::new(mean, settings);
        state.check(space.dimension())?;
        if state.injected.len() > settings.population_size as usize {
            let problem = format!("{} injected points exceed the population", state.injected.len());
            return Err(StrategyError::State(problem));
        }
        if state.noise.is_some() != (settings.noise == NoiseHandling::Auto) {
            let problem = "it was taken with another handling of noise".to_owned();
            return Err(StrategyError::State(problem));
        }
        let mut search = Self::with_state(space, settings, seed, state, frame);
        let fits = match &search.integers {
            Some(integers) => integers.has(&search.state.factors, search.state.mean.len()),
            None => search.state.factors.is_empty(),
        };
        let (n, generation) = (search.state.mean.len(), search.state.generation);
        let is_sound = |open: &Open| open.is_sound(n, generation, settings.population_size as usize);
        if !fits || !search.state.open.as_ref().is_none_or(is_sound) {
            return Err(unreachable());
        }
        search.draw();
        Ok(search)
    }

    fn with_state(space: Space, settings: &CmaEsSpec, seed: Seed, state: State, frame: &Frame) -> Self {
        assert!(settings.population_size >= 4, "a population is at least 4");
        let population_size = settings.population_size as usize;
        let parameters = Parameters::new(state.mean.len(), population_size, settings.active);
        let population = Population::new(state.mean.len(), population_size);
        let integers = Integers::new(&space, frame, parameters.mu_eff);
        let (settings, function_changes) = (settings.clone(), frame.function_changes);
        Self { parameters, settings, function_changes, seed, space, integers, state, population }
    }

    /// What a generation leaves to the next.
    pub(crate) fn stored(&self) -> &State {
        &self.state
    }

    /// The search distribution, for example to start another search from it.
    pub fn distribution(&self) -> Distribution<'_> {
        let State { mean, step_size, step_size_path, covariance_path, .. } = &self.state;
        let covariance = self.state.lower_covariance();
        Distribution { mean, step_size: *step_size, step_size_path, covariance_path, covariance }
    }

    /// What dimension and population size determine.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Puts foreign points into the open generation, in place of its last candidates. A point farther away than the
    /// distribution would draw is moved towards the mean; an injected point never has a negative weight.
    pub fn inject(&mut self, points: &[Genome]) -> Result<(), StrategyError> {
        check_samples(points, self.space.genome_length())?;
        if self.state.open.is_some() {
            let problem = "an asynchronous search takes no points from elsewhere".to_owned();
            return Err(StrategyError::Sample { candidate: 0, problem });
        }
        if points.len() > self.parameters.population_size() {
            let problem = format!("at most {} points fit the population", self.parameters.population_size());
            return Err(StrategyError::Sample { candidate: self.parameters.population_size(), problem });
        }
        let points: Vec<Vec<f64>> = points.iter().map(|point| self.space.to_point(&point.0)).collect();
        // A scale may make large what is small.
        if let Some(candidate) = points.iter().position(|point| !state::bounded(point)) {
            let problem =
                format!("all its numbers must be within +-{MAGNITUDE_MAX:e} in units of the scales");
            return Err(StrategyError::Sample { candidate, problem });
        }
        self.state.injected = points;
        self.draw();
        Ok(())
    }

    /// Closes the open generation with samples that were drawn elsewhere, as if they had been asked for: one finite
    /// genome per candidate, in the order of the verdicts.
    pub fn tell_samples(&mut self, samples: &[Genome], verdicts: &[Verdict]) -> Result<(), StrategyError> {
        check_count(self.parameters.population_size(), verdicts.len())?;
        check_count(samples.len(), verdicts.len())?;
        check_samples(samples, self.space.genome_length())?;
        let points: Vec<Vec<f64>> = samples.iter().map(|sample| self.space.to_point(&sample.0)).collect();
        self.population = Population::of_points(&self.state, &points);
        self.advance(verdicts, &[], &[]);
        Ok(())
    }

    /// See [`Strategy::tell_arrived`].
    fn tell_arrived(
        &mut self,
        arrived: &[(u32, Measured)],
        kept: &[u32],
        fresh: u32,
    ) -> Result<(), StrategyError> {
        let Some(open) = &self.state.open else { return Err(whole_generations()) };
        let places = arrived.iter().map(|(candidate, _)| *candidate);
        open.check(places.clone(), kept, fresh, self.parameters.population_size())?;
        let (population, ages) = open.arrived(&self.state, &self.population, places);
        self.state.open = Some(open.next(&self.state, &self.population, kept, fresh));
        self.population = population;
        let verdicts: Vec<Verdict> = arrived.iter().map(|(_, measured)| measured.verdict).collect();
        self.advance(&verdicts, &[], &ages);
        Ok(())
    }

    /// How many candidates of the open generation are asked again.
    fn reasked(&self) -> usize {
        let measures = self.state.noise.as_ref().is_some_and(NoiseEstimate::measures);
        if measures { CmaEsSpec::reasked(self.settings.population_size) as usize } else { 0 }
    }

    /// Whether no noise is known of.
    fn is_exact(&self) -> bool {
        match self.settings.noise {
            NoiseHandling::None => true,
            NoiseHandling::Lra => false,
            NoiseHandling::Auto => self.state.noise.as_ref().is_some_and(|noise| !noise.is_present()),
        }
    }

    /// Whether fitnesses of different generations can be compared.
    fn compares_fitness(&self) -> bool {
        self.is_exact() && !self.function_changes
    }

    /// Updates the distribution and draws the next population. An update that would leave the finite numbers is
    /// refused: the distribution stays, and `stop_reason` says so.
    fn advance(&mut self, verdicts: &[Verdict], again: &[Verdict], ages: &[u32]) {
        if let Some(noise) = &mut self.state.noise {
            if again.is_empty() {
                noise.pass();
            } else {
                noise.measure(&verdicts[..again.len()], again);
            }
            let strong = noise.is_strong();
            if strong != self.state.learning_rates.is_some() {
                self.adapt_learning_rates(strong);
            }
        }
        let injected = self.state.injected.len();
        let mut selected = if self.settings.mirrored {
            ranking::select_of_pairs(verdicts, &self.parameters.weights)
        } else {
            ranking::select(verdicts, &self.parameters.weights)
        };
        for s in selected.iter_mut().filter(|s| s.candidate + injected >= verdicts.len()) {
            s.covariance = s.covariance.max(0.0);
        }
        if !ages.is_empty() {
            late::weigh_by_age(&mut selected, ages);
        }
        // Nobody asks for the reason before the first generation: a start that was refused stays so.
        let refused = self.state.stuck && self.state.generation == 0;
        if let Some(integers) = &self.integers {
            integers.centre(&self.state, &mut self.population, &selected);
        }
        let Self { parameters, population, .. } = self;
        self.state.stuck =
            update::update(&mut self.state, parameters, population, &selected).is_err() || refused;
        self.state.limit_step_size(self.settings.step_size_max);
        if let Some(integers) = &self.integers {
            integers.limit(&mut self.state);
        }
        self.state.injected.clear();
        self.state.generation += 1;
        let compares = self.compares_fitness();
        let Self { state, settings, .. } = self;
        let mut history = std::mem::replace(&mut state.history, termination::History::new(&[]));
        history.note(verdicts, state, settings.step_size, compares);
        state.history = history;
        self.draw();
    }

    fn adapt_learning_rates(&mut self, adapt: bool) {
        if adapt {
            self.state.stuck |= update::begin_adaptation(&mut self.state).is_err();
        } else {
            update::end_adaptation(&mut self.state);
        }
    }

    fn draw(&mut self) {
        let open = self.state.open.as_ref();
        let population_size = open.map_or(self.parameters.population_size(), |open| open.fresh as usize);
        if self.population.squared_norms.len() != population_size {
            self.population = Population::new(self.parameters.dimension, population_size);
        }
        self.population.draw(&self.state, self.seed, self.settings.mirrored);
    }

    fn rates(&self) -> (f64, f64) {
        self.state.learning_rates.as_ref().map_or((1.0, 1.0), LearningRates::rates)
    }
}

/// Whether a search has integers: its settings' or its frame's.
pub(crate) fn has_integers(settings: &CmaEsSpec, frame: &Frame) -> bool {
    !(settings.integers.is_empty() && frame.integers.is_empty())
}

fn check_samples(samples: &[Genome], length: usize) -> Result<(), StrategyError> {
    for (candidate, sample) in samples.iter().enumerate() {
        let problem = if sample.0.len() != length {
            format!("it must hold {length} numbers, not {}", sample.0.len())
        } else if !state::bounded(&sample.0) {
            format!("all its numbers must be within +-{MAGNITUDE_MAX:e}")
        } else {
            continue;
        };
        return Err(StrategyError::Sample { candidate, problem });
    }
    Ok(())
}

impl Strategy for CmaEs {
    fn ask(&self) -> Vec<Candidate> {
        let candidate = |i: usize, block: u32| Candidate {
            genome: Genome(self.space.to_genome(self.population.point(&self.state, i))),
            block: BlockIndex(block),
        };
        let late = self.state.open.iter().flat_map(|open| &open.late).map(|late| Candidate {
            genome: Genome(self.space.to_genome(late.point.clone())),
            block: BlockIndex(0),
        });
        let population = (0..self.population.squared_norms.len()).map(|i| candidate(i, 0));
        late.chain(population).chain((0..self.reasked()).map(|i| candidate(i, 1))).collect()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        if let Some(open) = &self.state.open {
            check_count(open.candidates(), measured.len())?;
            let first = self.parameters.population_size();
            let arrived: Vec<(u32, Measured)> = (0..).zip(measured[..first].iter().cloned()).collect();
            return Self::tell_arrived(self, &arrived, &[], 2 * self.settings.population_size);
        }
        let verdicts = verdicts_of(self.parameters.population_size() + self.reasked(), measured)?;
        let (first, again) = verdicts.split_at(self.parameters.population_size());
        self.advance(first, again, &[]);
        Ok(())
    }

    fn tell_arrived(
        &mut self,
        arrived: &[(u32, Measured)],
        kept: &[u32],
        fresh: u32,
    ) -> Result<(), StrategyError> {
        Self::tell_arrived(self, arrived, kept, fresh)
    }

    fn births(&self) -> Vec<Birth> {
        self.state.open.as_ref().map_or_else(Vec::new, |open| open.births(self.state.generation))
    }

    fn inject(&mut self, points: &[Genome]) -> Result<(), StrategyError> {
        Self::inject(self, points)
    }

    fn stop_reason(&self) -> Option<StopReason> {
        termination::Search {
            state: &self.state,
            history: &self.state.history,
            initial_step_size: self.settings.step_size,
            population_size: self.parameters.population_size(),
            mean_rate: self.rates().0,
            is_exact: self.is_exact(),
            compares_fitness: self.compares_fitness(),
            integers: self.integers.as_ref().map_or(0, Integers::count),
        }
        .stop_reason()
    }

    fn mean(&self) -> Genome {
        Genome(self.space.to_genome(self.state.mean.clone()))
    }

    fn summary(&self) -> SearchSummary {
        let (shortest, longest) = self.state.axis_range();
        let range = |ends: (f64, f64), d: f64| (ends.0.min(d), ends.1.max(d));
        let deviations = self.state.sampled_deviations().zip(self.space.scales()).map(|(d, scale)| d * scale);
        let (mean_rate, covariance_rate) = self.rates();
        let agreement = self.state.noise.as_ref().map(NoiseEstimate::agreement);
        let handles_noise = self.settings.noise != NoiseHandling::None;
        let mean = self.mean().0;
        SearchSummary {
            step_size: self.state.step_size,
            axis_ratio: longest / shortest,
            deviation_range: deviations.clone().fold((f64::INFINITY, 0.0), range),
            mean_norm: linear_algebra::norm(&mean),
            mean,
            deviations: self.space.spread(deviations),
            axes: self.state.axis_lengths.clone(),
            noise: handles_noise.then_some(NoiseSummary { agreement, mean_rate, covariance_rate }),
            ..SearchSummary::default()
        }
    }

    fn warm_start(&self) -> Option<WarmStart> {
        let covariance = self.space.triangle(&self.state.covariance);
        Some(WarmStart { mean: self.mean(), step_size: self.state.step_size, covariance })
    }

    fn state(&self) -> Envelope {
        if let Some(open) = &self.state.open {
            return Envelope::seal(FORM_ASYNCHRONOUS, &(&self.state, self.state.factors(), open));
        }
        match &self.integers {
            Some(_) => Envelope::seal(FORM_WITH_INTEGERS, &(&self.state, self.state.factors())),
            None => Envelope::seal(FORM, &self.state),
        }
    }
}

#[cfg(test)]
mod tests;
