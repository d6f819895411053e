//! A search that somebody else evaluates: points out, fitnesses in, limits kept, the best remembered.
//!
//! Where a run pairs candidates with tasks, here they are points of any space and a fitness is whatever the caller says.
//! `hebbian ask-tell` carries it over a pipe.

use std::collections::BTreeMap;

use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::SpecError;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::StrategySpec;
use serde::{Deserialize, Serialize};

use super::{
    Candidate, Envelope, Frame, Measured, Restart, StopReason, Strategy, StrategyError, resume, start, stop,
};

/// The most numbers of a population, dimension times population size: 1 GB.
pub const POPULATION_NUMBERS_MAX: usize = 1 << 27;
/// The largest coordinate of an initial mean.
pub const COORDINATE_MAX: f64 = 1e100;

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
        if let Some(place) = self.mean.iter().position(|x| x.is_nan() || x.abs() > COORDINATE_MAX) {
            let problem =
                format!("number {place} must be within +-{COORDINATE_MAX:e}, not {:?}", self.mean[place]);
            return Err(SpecError::field("mean", problem));
        }
        self.strategy.validate(&self.mean)?;
        if self.strategy.wants_gradient() {
            let problem =
                format!("must be a strategy to which fitnesses are told, not {}", self.strategy.name());
            return Err(SpecError::field("strategy.kind", problem));
        }
        let population_size = self.strategy.population_size() as usize;
        if dimension.saturating_mul(population_size) > POPULATION_NUMBERS_MAX {
            return Err(SpecError::field(
                "strategy.population_size",
                format!(
                    "{population_size} candidates of dimension {dimension} are more than {POPULATION_NUMBERS_MAX} \
                     numbers"
                ),
            ));
        }
        Ok(())
    }
}

/// The population size if none is named: 4 + 3 ln n, rounded down (Hansen's tutorial, equation 48).
pub fn default_population_size(dimension: usize) -> u32 {
    4 + (3.0 * libm::log(dimension.max(1) as f64)) as u32
}

/// A search between an ask and its tell, as plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct AskTellSnapshot {
    /// What determines the search.
    pub settings: Settings,
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// Fitnesses told, failures included.
    pub evaluations: u64,
    /// Generations in a row of which every candidate failed.
    pub failed: u32,
    /// The best point told and its fitness; `None` before the first that did not fail.
    pub best: Option<(Genome, Fitness)>,
    /// What was told of the open generation: candidates, ascending, with their fitnesses.
    pub told: Vec<(u32, Option<Fitness>)>,
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
    told: BTreeMap<u32, Option<Fitness>>,
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
        let told: BTreeMap<u32, Option<Fitness>> = told.into_iter().collect();
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
            told: self.told.iter().map(|(&candidate, &fitness)| (candidate, fitness)).collect(),
            strategy: self.strategy.state(),
        }
    }

    /// The open generation, counted from 0.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Fitnesses told, failures included.
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

    /// Tells the fitnesses of some candidates, each by its place; with the last one the generation closes, as if all had been told
    /// together. An error leaves the search as it was.
    pub fn tell_some(&mut self, some: &[(u32, Option<Fitness>)]) -> Result<(), StrategyError> {
        let mut told = self.told.clone();
        for &(candidate, fitness) in some {
            let problem = if candidate as usize >= self.candidates.len() {
                format!("there are {} candidates, counted from 0", self.candidates.len())
            } else if told.insert(candidate, fitness).is_some() {
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
        let all: Vec<Option<Fitness>> = told.into_values().collect();
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

    /// Closes the open generation: one fitness per candidate, higher is better, `None` where the evaluation failed.
    /// An error leaves the search as it was.
    pub fn tell(&mut self, fitnesses: &[Option<Fitness>]) -> Result<(), StrategyError> {
        self.check_untold("the others are told by their places, too")?;
        let verdict = |fitness: &Option<Fitness>| match *fitness {
            Some(fitness) => Verdict::Fit(fitness),
            None => Verdict::Diverged { episodes: 1 },
        };
        let verdicts: Vec<Verdict> = fitnesses.iter().map(verdict).collect();
        self.strategy.tell(&Measured::without_gradients(&verdicts))?;
        let mut best = self.best.as_ref().map(|(_, fitness)| *fitness);
        let mut place = None;
        for (candidate, fitness) in fitnesses.iter().enumerate() {
            if *fitness > best {
                (best, place) = (*fitness, Some(candidate));
            }
        }
        if let (Some(place), Some(fitness)) = (place, best) {
            self.best = Some((self.candidates[place].genome.clone(), fitness));
        }
        let all_failed = fitnesses.iter().all(Option::is_none);
        self.failed = if all_failed { self.failed.saturating_add(1) } else { 0 };
        self.generation += 1;
        self.evaluations += fitnesses.len() as u64;
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
mod tests {
    use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling, RandomSearchSpec, Restarts};

    use super::*;

    /// CMA-ES for fitness without noise.
    fn exact(population_size: u32) -> CmaEsSpec {
        CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(population_size) }
    }

    fn settings(population_size: u32) -> Settings {
        Settings {
            strategy: StrategySpec::CmaEs(exact(population_size)),
            mean: vec![1.0; 3],
            seed: Seed::new(1).unwrap(),
        }
    }

    fn sphere(search: &AskTell) -> Vec<Option<Fitness>> {
        let value = |c: &Candidate| -c.genome.0.iter().map(|x| x * x).sum::<f64>();
        search.candidates().iter().map(|c| Fitness::new(value(c)).ok()).collect()
    }

    #[test]
    fn a_function_is_maximised_and_its_best_point_remembered() {
        let mut search = AskTell::new(settings(8)).unwrap();
        let limits = StopSpec { target_fitness: Some(-1e-10), ..StopSpec::default() };
        let mut evaluations = 0;
        while search.limit_reached(&limits).is_none() {
            let mut fitnesses = sphere(&search);
            fitnesses[search.generation() as usize % 8] = None;
            search.tell(&fitnesses).unwrap();
            evaluations += 8;
            assert!(evaluations < 4000);
        }
        assert_eq!(search.evaluations(), evaluations);
        let (point, fitness) = search.best().unwrap();
        assert_eq!(-point.0.iter().map(|x| x * x).sum::<f64>(), fitness.get());
        assert!(search.mean().0.iter().all(|x| x.abs() < 1e-4));
        let limits = StopSpec { evaluations: Some(evaluations), ..StopSpec::default() };
        assert_eq!(search.limit_reached(&limits).unwrap().criterion, "evaluations");
        assert_eq!(search.limit_reached(&StopSpec::default()), None);
    }

    #[test]
    fn a_restored_search_continues_bit_for_bit() {
        let mut search = AskTell::new(settings(6)).unwrap();
        for generation in 0..20 {
            let mut restored = AskTell::restore(search.snapshot()).unwrap();
            assert_eq!(restored.candidates(), search.candidates());
            let fitnesses = if generation == 3 { vec![None; 6] } else { sphere(&search) };
            search.tell(&fitnesses).unwrap();
            restored.tell(&fitnesses).unwrap();
            assert_eq!(restored.snapshot(), search.snapshot());
        }
        assert_eq!(search.tell(&[None; 5]), Err(StrategyError::VerdictCount { expected: 6, found: 5 }));
        assert_eq!(search.generation(), 20);
    }

    #[test]
    fn what_is_told_in_parts_and_in_any_order_is_as_if_it_had_been_told_together() {
        let (mut whole, mut parts) = (AskTell::new(settings(6)).unwrap(), AskTell::new(settings(6)).unwrap());
        for generation in 0..12_u32 {
            let mut fitnesses = sphere(&whole);
            fitnesses[generation as usize % 6] = None;
            whole.tell(&fitnesses).unwrap();
            // From a place on, one by one and two together; a restart between them loses none.
            let of = |candidate: u32| (candidate % 6, fitnesses[candidate as usize % 6]);
            parts.tell_some(&[of(generation), of(generation + 1)]).unwrap();
            assert_eq!(parts.open().len(), 4);
            for candidate in 2..6 {
                assert_eq!(parts.generation(), generation);
                parts = AskTell::restore(parts.snapshot()).unwrap();
                parts.tell_some(&[of(generation + candidate)]).unwrap();
            }
            assert_eq!(parts.snapshot(), whole.snapshot());
        }
        // What does not fit changes nothing.
        let fitness = Fitness::new(0.5).ok();
        parts.tell_some(&[(4, fitness)]).unwrap();
        let before = parts.snapshot();
        let refused = |problem: Result<(), StrategyError>, expected: &str| {
            let problem = problem.unwrap_err().to_string();
            assert!(problem.contains(expected), "{problem}");
        };
        refused(parts.tell_some(&[(0, fitness), (4, None)]), "sample 4: its fitness was told before");
        refused(parts.tell_some(&[(0, fitness), (0, fitness)]), "sample 0: its fitness was told before");
        refused(parts.tell_some(&[(6, fitness)]), "sample 6: there are 6 candidates");
        refused(parts.tell(&[fitness; 6]), "sample 4: its fitness was told already");
        refused(parts.inject(&[Genome(vec![0.0; 3])]), "sample 4: its fitness was told already");
        assert_eq!(parts.snapshot(), before);
        for told in
            [vec![(6, fitness)], vec![(1, fitness), (1, None)], (0..6).map(|c| (c, fitness)).collect()]
        {
            assert!(AskTell::restore(AskTellSnapshot { told, ..before.clone() }).is_err());
        }
    }

    /// Candidates that stand twice are as many verdicts more.
    #[test]
    fn noise_is_measured_by_asking_again() {
        let strategy = StrategySpec::CmaEs(CmaEsSpec::of(8));
        let mut search = AskTell::new(Settings { strategy, ..settings(8) }).unwrap();
        let points: Vec<_> = search.candidates().iter().map(|c| &c.genome).collect();
        assert_eq!(points.len(), 10);
        assert!(points[8..].iter().all(|again| points[..8].contains(again)));
        let fitnesses = sphere(&search);
        search.tell(&fitnesses).unwrap();
        assert_eq!(search.evaluations(), 10);
    }

    #[test]
    fn a_search_that_has_stopped_may_restart() {
        let strategy = StrategySpec::CmaEs(CmaEsSpec { restarts: Restarts::Ipop, ..exact(8) });
        let mut search = AskTell::new(Settings { strategy, ..settings(8) }).unwrap();
        while search.restart().is_none() {
            let fitnesses = sphere(&search);
            search.tell(&fitnesses).unwrap();
            assert_eq!(search.stop_reason(), None);
            assert!(search.evaluations() < 10_000);
        }
        assert_eq!(search.candidates().len(), 16);
        let restored = AskTell::restore(search.snapshot()).unwrap();
        assert_eq!(restored.candidates(), search.candidates());
    }

    #[test]
    fn a_search_of_which_every_candidate_fails_ends_and_is_told_so_also_after_a_restart() {
        for kind in ["cma-es", "sep-cma-es", "pgpe", "openai-es", "one-plus-lambda", "random-search"] {
            let text = format!("{{\"kind\": \"{kind}\", \"population_size\": 8}}");
            let strategy = serde_json::from_str(&text).unwrap();
            let mut search = AskTell::new(Settings { strategy, ..settings(8) }).unwrap();
            while search.stop_reason().is_none() {
                let failed = vec![None; search.candidates().len()];
                search.tell(&failed).unwrap();
                search = AskTell::restore(search.snapshot()).unwrap();
                assert!(search.generation() <= 20, "{kind}");
            }
            assert_eq!(search.stop_reason().unwrap().criterion, "failed", "{kind}");
            // One that does not fail is a beginning.
            let mut told = vec![None; search.candidates().len()];
            told[0] = Fitness::new(0.5).ok();
            search.tell(&told).unwrap();
            assert_eq!(search.stop_reason(), None, "{kind}");
        }
    }

    #[test]
    fn a_linear_function_ends_every_search_that_adapts_its_deviations() {
        for kind in ["cma-es", "sep-cma-es", "one-plus-lambda"] {
            let text = format!("{{\"kind\": \"{kind}\", \"population_size\": 8}}");
            let strategy = serde_json::from_str(&text).unwrap();
            let mut search = AskTell::new(Settings { strategy, ..settings(8) }).unwrap();
            while search.stop_reason().is_none() {
                let linear = |c: &Candidate| Fitness::new(c.genome.0[0]).ok();
                let fitnesses: Vec<_> = search.candidates().iter().map(linear).collect();
                search.tell(&fitnesses).unwrap();
                assert!(search.generation() < 2000, "{kind}");
            }
            assert_eq!(search.stop_reason().unwrap().criterion, "tolfacupx", "{kind}");
            assert!(search.mean().0[0] < 1e8, "{kind}: {:?}", search.mean());
        }
    }

    #[test]
    fn foreign_points_are_asked_where_the_strategy_takes_them() {
        let mut search = AskTell::new(settings(6)).unwrap();
        let foreign = Genome(vec![1.1, 0.9, 1.0]);
        search.inject(std::slice::from_ref(&foreign)).unwrap();
        let last = &search.candidates()[5].genome.0;
        assert!(last.iter().zip(&foreign.0).all(|(a, b)| (a - b).abs() < 1e-12), "{last:?}");
        assert_eq!(AskTell::restore(search.snapshot()).unwrap().candidates(), search.candidates());
        assert!(search.inject(&[Genome(vec![1.0])]).unwrap_err().to_string().contains("must hold 3 numbers"));
        let strategy = StrategySpec::RandomSearch(RandomSearchSpec::of(6));
        let mut other = AskTell::new(Settings { strategy, ..settings(6) }).unwrap();
        assert!(other.inject(&[foreign]).unwrap_err().to_string().contains("and no other strategy"));
    }

    #[test]
    fn what_no_search_can_start_from_is_refused() {
        fn check(expected: &str, change: impl FnOnce(&mut Settings)) {
            let mut settings = settings(8);
            change(&mut settings);
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(AskTell::new(settings).is_err());
        }
        check("mean: must hold", |s| s.mean.clear());
        check("mean: number 1 must be within +-1e100, not NaN", |s| s.mean[1] = f64::NAN);
        check("mean: number 0 must be within +-1e100, not -1e101", |s| s.mean[0] = -1e101);
        check("strategy.population_size: must be from 4", |s| {
            s.strategy = StrategySpec::CmaEs(CmaEsSpec::of(1));
        });
        check("strategy.step_size: must be", |s| {
            s.strategy = StrategySpec::CmaEs(CmaEsSpec { step_size: f64::NAN, ..CmaEsSpec::of(8) });
        });
        check("strategy.step_size: must be", |s| {
            s.strategy = StrategySpec::CmaEs(CmaEsSpec { step_size: 1e-200, ..CmaEsSpec::of(8) });
        });
        check("strategy.kind: cma-es keeps full matrices of 100000 x 100000 numbers", |s| {
            s.mean = vec![0.0; 100_000];
        });
        check("strategy.population_size: 65536 candidates of dimension 10000 are more", |s| {
            s.mean = vec![0.0; 10_000];
            s.strategy = StrategySpec::RandomSearch(RandomSearchSpec::of(65_536));
        });
    }

    #[test]
    fn the_extremes_that_are_allowed_are_survived() {
        for step_size in [1e-100, 1e6] {
            let strategy = StrategySpec::CmaEs(CmaEsSpec { step_size, ..exact(4) });
            let mean = vec![COORDINATE_MAX, -COORDINATE_MAX, 0.0];
            let mut search = AskTell::new(Settings { strategy, mean, ..settings(4) }).unwrap();
            for _ in 0..50 {
                assert!(search.candidates().iter().all(|c| c.genome.0.iter().all(|x| x.is_finite())));
                let fitnesses: Vec<_> =
                    search.candidates().iter().map(|c| Fitness::new(c.genome.0[2]).ok()).collect();
                search.tell(&fitnesses).unwrap();
            }
        }
    }

    #[test]
    fn the_default_population_is_the_tutorials() {
        assert_eq!([1, 2, 10, 40, 100].map(default_population_size), [4, 6, 10, 15, 17]);
    }
}
