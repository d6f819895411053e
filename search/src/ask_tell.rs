//! A search that somebody else evaluates: points out, fitnesses in, limits kept, the best remembered.
//!
//! Where a run pairs candidates with tasks, here they are points of any space and a fitness is whatever the caller says.
//! `hebbian ask-tell` carries it over a pipe.

use std::collections::BTreeMap;

use hebbian_shared::fitness::{Fitness, Verdict, Violation};
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::{ASK_TELL_NUMBERS_MAX, START_NUMBER_MAX};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::SpecError;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::StrategySpec;
use serde::{Deserialize, Serialize};

use super::{
    Candidate, Envelope, Frame, Measured, Restart, StopReason, Strategy, StrategyError, resume, start, stop,
};

/// All that determines the points of a search but the fitnesses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The strategy.
    pub strategy: StrategySpec,
    /// Where the search starts: n finite numbers.
    pub mean: Vec<f64>,
    /// Root of all randomness.
    pub seed: Seed,
}

impl Settings {
    /// Refuses what no search can start from, naming the field: `strategy.*` or `mean`.
    pub fn validate(&self) -> Result<(), SpecError> {
        let dimension = self.mean.len();
        if dimension == 0 {
            return Err(SpecError::field("mean", "must hold at least one number"));
        }
        if let Some(place) = self.mean.iter().position(|x| x.is_nan() || x.abs() > START_NUMBER_MAX) {
            let problem =
                format!("number {place} must be within +-{START_NUMBER_MAX:e}, not {:?}", self.mean[place]);
            return Err(SpecError::field("mean", problem));
        }
        self.strategy.validate(&self.mean)?;
        if self.strategy.wants_gradient() {
            let problem =
                format!("must be a strategy to which fitnesses are told, not {}", self.strategy.name());
            return Err(SpecError::field("strategy.kind", problem));
        }
        if self.strategy.is_asynchronous() {
            let problem = "is of runs; here whole generations are told: leave it out";
            return Err(SpecError::field("strategy.asynchronous", problem));
        }
        let population_size = self.strategy.population_size() as usize;
        if dimension.saturating_mul(population_size) > ASK_TELL_NUMBERS_MAX {
            return Err(SpecError::field(
                "strategy.population_size",
                format!(
                    "{population_size} candidates of dimension {dimension} are more than {ASK_TELL_NUMBERS_MAX} \
                     numbers"
                ),
            ));
        }
        Ok(())
    }
}

/// The population size if none is named, rounded down: 4 + 3 ln n (Hansen's tutorial, equation 48); with k integers
/// 6 + 3 (ln n + ln k), pycma's.
pub fn default_population_size(dimension: usize, integers: usize) -> u32 {
    let of_reals = 3.0 * libm::log(dimension.max(1) as f64);
    match integers {
        0 => 4 + of_reals as u32,
        _ => 6 + (of_reals + 3.0 * libm::log(integers as f64)) as u32,
    }
}

/// What is told of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number, null for a failed candidate, or {\"infeasible\": violation} with a violation of at least 0"
)]
pub enum Told {
    /// Its fitness; `None` where it could not be evaluated.
    Fitness(Option<Fitness>),
    /// It is not allowed.
    Infeasible(Infeasible),
}

/// By how much a candidate is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Infeasible {
    /// The violation: finite, not below 0, lower is better.
    pub infeasible: Violation,
}

impl From<Option<Fitness>> for Told {
    fn from(fitness: Option<Fitness>) -> Self {
        Self::Fitness(fitness)
    }
}

impl From<Violation> for Told {
    fn from(infeasible: Violation) -> Self {
        Self::Infeasible(Infeasible { infeasible })
    }
}

impl Told {
    fn fitness(self) -> Option<Fitness> {
        match self {
            Self::Fitness(fitness) => fitness,
            Self::Infeasible(_) => None,
        }
    }

    /// As of a run's candidate with one evaluation.
    fn verdict(self) -> Verdict {
        match self {
            Self::Fitness(Some(fitness)) => Verdict::Fit(fitness),
            Self::Fitness(None) => Verdict::Diverged { episodes: 1 },
            Self::Infeasible(Infeasible { infeasible }) => Verdict::Infeasible(infeasible),
        }
    }
}

/// A search between an ask and its tell, as plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct AskTellSnapshot {
    /// What determines the search.
    pub settings: Settings,
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// Candidates told of.
    pub evaluations: u64,
    /// Generations in a row of which every candidate failed.
    pub failed: u32,
    /// The best point told and its fitness; `None` before the first that has one.
    pub best: Option<(Genome, Fitness)>,
    /// What was told of the open generation: candidates, ascending, each with what was told of it.
    pub told: Vec<(u32, Told)>,
    /// The strategy's state.
    pub strategy: Envelope,
}

/// A search that is asked and told, always with an open generation.
pub struct AskTell {
    settings: Settings,
    strategy: Box<dyn Strategy>,
    candidates: Vec<Candidate>,
    generation: u32,
    evaluations: u64,
    failed: u32,
    best: Option<(Genome, Fitness)>,
    /// What was told of the open generation, by candidate.
    told: BTreeMap<u32, Told>,
}

impl AskTell {
    /// A search at its first generation.
    pub fn new(settings: Settings) -> Result<Self, SpecError> {
        settings.validate()?;
        let strategy = start(&settings.strategy, settings.mean.clone(), settings.seed, &Frame::default());
        let candidates = strategy.ask();
        Ok(Self {
            settings,
            strategy,
            candidates,
            generation: 0,
            evaluations: 0,
            failed: 0,
            best: None,
            told: BTreeMap::new(),
        })
    }

    /// The search as it was when `snapshot` was taken; it continues bit for bit.
    pub fn restore(snapshot: AskTellSnapshot) -> Result<Self, StrategyError> {
        let AskTellSnapshot { settings, generation, evaluations, failed, best, told, strategy } = snapshot;
        settings.validate().map_err(|error| StrategyError::State(error.to_string()))?;
        if best.as_ref().is_some_and(|(point, _)| point.0.len() != settings.mean.len()) {
            let problem = format!("its best point must hold {} numbers", settings.mean.len());
            return Err(StrategyError::State(problem));
        }
        let strategy =
            resume(&settings.strategy, &settings.mean, settings.seed, &Frame::default(), &strategy)?;
        let candidates = strategy.ask();
        let count = told.len();
        let told: BTreeMap<u32, Told> = told.into_iter().collect();
        if told.len() != count
            || count >= candidates.len()
            || told.keys().any(|&c| c as usize >= candidates.len())
        {
            let problem = "what was told of its open generation does not fit its candidates".to_owned();
            return Err(StrategyError::State(problem));
        }
        Ok(Self { settings, strategy, candidates, generation, evaluations, failed, best, told })
    }

    /// The whole state.
    pub fn snapshot(&self) -> AskTellSnapshot {
        AskTellSnapshot {
            settings: self.settings.clone(),
            generation: self.generation,
            evaluations: self.evaluations,
            failed: self.failed,
            best: self.best.clone(),
            told: self.told.iter().map(|(&candidate, &told)| (candidate, told)).collect(),
            strategy: self.strategy.state(),
        }
    }

    /// The open generation, counted from 0.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Candidates told of.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The points of the open generation. Where a point stands twice, the strategy measures noise: evaluate it twice.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The candidates of the open generation that nothing was told of, by their places.
    pub fn open(&self) -> Vec<u32> {
        (0..self.candidates.len() as u32).filter(|candidate| !self.told.contains_key(candidate)).collect()
    }

    /// Tells of some candidates, each by its place; with the last one the generation closes, as if all had been told together. An error
    /// leaves the search as it was.
    pub fn tell_some<T: Copy + Into<Told>>(&mut self, some: &[(u32, T)]) -> Result<(), StrategyError> {
        let mut told = self.told.clone();
        for &(candidate, of) in some {
            let problem = if candidate as usize >= self.candidates.len() {
                format!("there are {} candidates, counted from 0", self.candidates.len())
            } else if told.insert(candidate, of.into()).is_some() {
                "its fitness was told before".to_owned()
            } else {
                continue;
            };
            return Err(StrategyError::Sample { candidate: candidate as usize, problem });
        }
        if told.len() < self.candidates.len() {
            self.told = told;
            return Ok(());
        }
        let before = std::mem::take(&mut self.told);
        let all: Vec<Told> = told.into_values().collect();
        self.tell(&all).inspect_err(|_| self.told = before)
    }

    /// Refuses what is for a generation of which nothing was told yet.
    fn check_untold(&self, what: &str) -> Result<(), StrategyError> {
        match self.told.first_key_value() {
            None => Ok(()),
            Some((&candidate, _)) => {
                let problem = format!("its fitness was told already, so {what}");
                Err(StrategyError::Sample { candidate: candidate as usize, problem })
            }
        }
    }

    /// Closes the open generation: of each candidate its fitness, of which the higher is better, `None` where the evaluation failed,
    /// or its violation. As in a run, what is infeasible ranks behind every fitness, by its violation, and what failed comes last. An
    /// error leaves the search as it was.
    pub fn tell<T: Copy + Into<Told>>(&mut self, of: &[T]) -> Result<(), StrategyError> {
        self.check_untold("the others are told by their places, too")?;
        let told: Vec<Told> = of.iter().map(|&told| told.into()).collect();
        let verdicts: Vec<Verdict> = told.iter().map(|told| told.verdict()).collect();
        self.strategy.tell(&Measured::without_gradients(&verdicts))?;
        let mut best = self.best.as_ref().map(|(_, fitness)| *fitness);
        let mut place = None;
        for (candidate, told) in told.iter().enumerate() {
            if told.fitness() > best {
                (best, place) = (told.fitness(), Some(candidate));
            }
        }
        if let (Some(place), Some(fitness)) = (place, best) {
            self.best = Some((self.candidates[place].genome.clone(), fitness));
        }
        let all_failed = told.iter().all(|told| *told == Told::Fitness(None));
        self.failed = if all_failed { self.failed.saturating_add(1) } else { 0 };
        self.generation += 1;
        self.evaluations += told.len() as u64;
        self.candidates = self.strategy.ask();
        Ok(())
    }

    /// The first of `limits` that is met; the limit of time is the caller's.
    pub fn limit_reached(&self, limits: &StopSpec) -> Option<StopReason> {
        let best = self.best.as_ref().map(|(_, fitness)| *fitness);
        stop::limit_reached(limits, self.generation, self.evaluations, best)
    }

    /// Why the strategy itself would end the search.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let own = self.strategy.stop_reason().filter(|_| self.generation > 0);
        own.or_else(|| stop::all_fail(self.failed))
    }

    /// Puts foreign points into the open generation, in place of its last candidates. An error leaves the search as it was.
    pub fn inject(&mut self, points: &[Genome]) -> Result<(), StrategyError> {
        self.check_untold("no candidate of this generation can be replaced any more")?;
        self.strategy.inject(points)?;
        self.candidates = self.strategy.ask();
        Ok(())
    }

    /// The restart that the last generation ended with.
    pub fn restart(&self) -> Option<Restart> {
        self.strategy.summary().restart.map(|restart| *restart)
    }

    /// The search distribution's mean (of random search, the best point).
    pub fn mean(&self) -> Genome {
        self.strategy.mean()
    }

    /// The best point told and its fitness. Under noise the mean is better.
    pub fn best(&self) -> Option<&(Genome, Fitness)> {
        self.best.as_ref()
    }
}

#[cfg(test)]
mod tests;
