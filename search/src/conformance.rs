//! What every strategy must do; each strategy runs through all of it.

use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::{Purpose, Seed, uniform};
use hebbian_shared::spec::strategy::{
    CmaEsSpec, GradientSpec, NoiseHandling, OnePlusLambdaSpec, OpenAiEsSpec, PgpeSpec, RandomSearchSpec,
    Restarts, SepCmaEsSpec, StrategySpec,
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::*;

const DIMENSION: usize = 68;

/// All strategies with their options; populations that come in pairs are one larger where the size is odd.
fn strategies(population_size: u32) -> Vec<StrategySpec> {
    let plain = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(population_size) };
    let even = population_size.next_multiple_of(2);
    vec![
        StrategySpec::CmaEs(plain.clone()),
        StrategySpec::RandomSearch(RandomSearchSpec { population_size, step_size: 0.5 }),
        StrategySpec::SepCmaEs(SepCmaEsSpec::of(population_size)),
        StrategySpec::Pgpe(PgpeSpec::of(even, None, None)),
        StrategySpec::OpenAiEs(OpenAiEsSpec::of(even, None, None)),
        StrategySpec::OnePlusLambda(OnePlusLambdaSpec::of(population_size)),
        StrategySpec::Gradient(GradientSpec::default()),
        StrategySpec::CmaEs(CmaEsSpec { active: false, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { noise: NoiseHandling::Lra, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { noise: NoiseHandling::Auto, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { restarts: Restarts::Bipop, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { integers: vec![0, 5], ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { integers: vec![4], restarts: Restarts::Ipop, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { asynchronous: true, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { mirrored: true, ..plain }),
    ]
}

/// A strategy as a run has it.
#[derive(Clone)]
struct Search {
    settings: StrategySpec,
    mean: Vec<f64>,
    seed: Seed,
    frame: Frame,
}

fn search(settings: StrategySpec, seed: u64) -> Search {
    let frame = Frame { function_changes: true, ..Frame::default() };
    Search { settings, mean: vec![0.25; DIMENSION], seed: Seed::new(seed).unwrap(), frame }
}

impl Search {
    fn start(&self) -> Box<dyn Strategy> {
        start(&self.settings, self.mean.clone(), self.seed, &self.frame)
    }

    fn resume(&self, state: &Envelope) -> Result<Box<dyn Strategy>, StrategyError> {
        resume(&self.settings, &self.mean, self.seed, &self.frame, state)
    }

    /// The state after a generation.
    fn told(&self) -> Envelope {
        let mut strategy = self.start();
        strategy.tell(&measured(&*strategy, &[4])).unwrap();
        strategy.state()
    }

    /// Whether candidates are samples; otherwise a generation's only candidate is the mean.
    fn samples(&self) -> bool {
        self.settings.population_size() > 1
    }
}

fn fit(value: f64) -> Verdict {
    Verdict::Fit(Fitness::new(value).unwrap())
}

/// The sphere's fitness, where `pattern` does not say otherwise: its bytes make candidates diverge or tie. Beside it its gradient,
/// where it is wanted, also of every second one that diverged: as if that had been on some of its tasks.
fn measured(strategy: &dyn Strategy, pattern: &[u8]) -> Vec<Measured> {
    let candidates = strategy.ask();
    let verdict = |(candidate, byte): (&Candidate, &u8)| match byte % 8 {
        0 | 1 => Verdict::Diverged { episodes: 1 + u32::from(byte / 64) },
        2 => fit(0.0),
        3 => fit(-1e300),
        _ => fit(-candidate.genome.0.iter().map(|x| (x - 1.0).powi(2)).sum::<f64>()),
    };
    let told = |(candidate, byte): (&Candidate, &u8)| {
        let is_known = strategy.wants().gradient && byte % 8 != 1;
        let gradient = is_known.then(|| candidate.genome.0.iter().map(|x| 2.0 * (1.0 - x)).collect());
        Measured { verdict: verdict((candidate, byte)), gradient }
    };
    candidates.iter().zip(pattern.iter().cycle()).map(told).collect()
}

/// Takes a strategy through generations of the given patterns, and resumes it from its stored state after each as a second
/// one that must not differ.
fn check_patterns(search: &Search, patterns: &[Vec<u8>]) {
    let mut strategy = search.start();
    for pattern in patterns {
        let stored = strategy.state().to_bytes();
        let state = Envelope::from_bytes(&stored).unwrap();
        assert_eq!(state, strategy.state());
        let mut restored = search.resume(&state).unwrap();
        let candidates = strategy.ask();
        assert_eq!(candidates, strategy.ask(), "asking again must not change the candidates");
        assert_eq!(candidates, restored.ask());
        let population_size = search.settings.population_size() as usize;
        assert!(candidates.len() >= population_size);
        assert!(candidates.len() <= search.settings.candidates_max() as usize);
        for (place, candidate) in candidates.iter().enumerate() {
            assert!(candidate.genome.0.iter().all(|x| x.is_finite()));
            let again = place >= population_size && !search.settings.is_asynchronous();
            assert_eq!(candidate.block, BlockIndex(u32::from(again)));
        }
        let measured = measured(&*strategy, pattern);
        strategy.tell(&measured).unwrap();
        restored.tell(&measured).unwrap();
        assert_eq!(strategy.state(), restored.state());
        assert_ne!(strategy.state().to_bytes(), stored, "a told generation is over");
        let summary = strategy.summary();
        assert!(summary.step_size > 0.0 && summary.axis_ratio >= 1.0, "{summary:?}");
        if search.samples() {
            assert_ne!(strategy.ask(), candidates, "every generation draws afresh");
            assert!(summary.deviation_range.0 > 0.0);
        } else {
            assert_eq!(strategy.ask()[0].genome, strategy.mean());
        }
        assert!(summary.deviation_range.0 <= summary.deviation_range.1);
        assert!(strategy.mean().0.iter().all(|x| x.is_finite()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pattern_of_verdicts_is_survived_and_a_restored_strategy_continues_bit_for_bit(
        population_size in 4u32..40,
        seed in 0u64..1000,
        patterns in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..12),
    ) {
        for strategy in strategies(population_size) {
            check_patterns(&search(strategy, seed), &patterns);
        }
    }
}

#[test]
fn generations_in_which_all_diverge_change_nothing_but_the_samples() {
    // What was told of gradients is what was told, not what became of it.
    let summary_of = |strategy: &dyn Strategy| SearchSummary { gradient: None, ..strategy.summary() };
    for strategy in strategies(16) {
        let search = search(strategy, 1);
        let mut strategy = search.start();
        for _ in 0..3 {
            strategy.tell(&measured(&*strategy, &[9, 4, 4])).unwrap();
        }
        let (mean, summary, candidates) = (strategy.mean(), summary_of(&*strategy), strategy.ask());
        for _ in 0..50 {
            let all = vec![Verdict::Diverged { episodes: 2 }; strategy.ask().len()];
            strategy.tell(&Measured::without_gradients(&all)).unwrap();
        }
        assert_eq!((strategy.mean(), summary_of(&*strategy)), (mean, summary));
        assert_eq!(strategy.ask() == candidates, !search.samples());
        assert_eq!(strategy.stop_reason(), None);
    }
}

#[test]
fn another_number_of_verdicts_is_refused_and_changes_nothing() {
    for strategy in strategies(8) {
        let mut strategy = search(strategy, 1).start();
        let before = strategy.state();
        let expected = strategy.ask().len();
        for found in [0, expected - 1, expected + 1] {
            let error = strategy.tell(&Measured::without_gradients(&vec![fit(1.0); found]));
            assert_eq!(error, Err(StrategyError::VerdictCount { expected, found }));
        }
        assert_eq!(strategy.state(), before);
    }
}

#[test]
fn states_of_another_strategy_or_dimension_are_refused() {
    let searches: Vec<Search> = strategies(8).into_iter().map(|strategy| search(strategy, 1)).collect();
    let refusal = |search: &Search, state: &Envelope| match search.resume(state) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{} must be refused", state.strategy()),
    };
    for search in &searches {
        let (name, state) = (search.settings.name(), search.told());
        for other in searches.iter().filter(|other| other.settings.name() != name) {
            let message = refusal(other, &state);
            assert!(message.contains(&format!("it is of `{}`, not of `", state.strategy())), "{message}");
        }
        let smaller = Search { mean: vec![0.25; 20], ..search.clone() };
        assert!(refusal(&smaller, &state).contains("must hold 20 "), "{name}");
    }
}

#[test]
fn a_state_with_numbers_that_no_search_can_reach_is_refused() {
    for strategy in strategies(8) {
        let search = search(strategy, 1);
        let state = search.told();
        let stored = state.to_bytes();
        let mean = search.resume(&state).unwrap().mean().0[1].to_le_bytes();
        let place = stored.windows(8).position(|bytes| bytes == mean).expect("the mean is in the state");
        for number in [f64::NAN, f64::INFINITY] {
            let mut damaged = stored.clone();
            damaged[place..place + 8].copy_from_slice(&number.to_le_bytes());
            assert!(
                search.resume(&Envelope::from_bytes(&damaged).unwrap()).is_err(),
                "{:?}",
                search.settings
            );
        }
    }
}

#[test]
fn a_state_that_is_cut_short_or_has_a_tail_is_refused() {
    for strategy in strategies(8) {
        let search = search(strategy, 1);
        let stored = search.told().to_bytes();
        let is_refused =
            |bytes: &[u8]| Envelope::from_bytes(bytes).and_then(|state| search.resume(&state)).is_err();
        // All places near the ends, and some of the long lists between them.
        for length in (0..stored.len()).filter(|l| *l < 64 || l % 997 == 0 || l + 64 > stored.len()) {
            assert!(is_refused(&stored[..length]), "{length} bytes of {}", search.settings.name());
        }
        assert!(is_refused(&[&stored[..], &[0]].concat()));
    }
}

#[test]
fn seeds_and_generations_give_different_candidates() {
    for strategy in strategies(8).into_iter().filter(|strategy| strategy.population_size() > 1) {
        let first = search(strategy.clone(), 1).start().ask();
        assert_eq!(first, search(strategy.clone(), 1).start().ask());
        assert_ne!(first, search(strategy, 2).start().ask());
    }
}

/// What each strategy reaches in 100 generations of four in one dimension, towards 3.
#[test]
fn one_dimension_is_enough() {
    let cma_es = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(4) };
    for (strategy, precision) in [
        (StrategySpec::CmaEs(cma_es), 1e-6),
        (StrategySpec::SepCmaEs(SepCmaEsSpec::of(4)), 1e-6),
        (StrategySpec::Pgpe(PgpeSpec::of(4, Some(0.5), Some(0.1))), 0.3),
        (StrategySpec::OpenAiEs(OpenAiEsSpec::of(4, Some(0.5), Some(0.1))), 0.3),
        (StrategySpec::OnePlusLambda(OnePlusLambdaSpec::of(4)), 1e-3),
        (StrategySpec::RandomSearch(RandomSearchSpec { population_size: 4, step_size: 3.0 }), 0.1),
    ] {
        let mut search = start(&strategy, vec![0.0], Seed::new(5).unwrap(), &Frame::default());
        for _ in 0..100 {
            let verdict = |candidate: &Candidate| fit(-(candidate.genome.0[0] - 3.0).abs());
            let verdicts: Vec<Verdict> = search.ask().iter().map(verdict).collect();
            search.tell(&Measured::without_gradients(&verdicts)).unwrap();
        }
        let found = search.mean().0[0];
        assert!((found - 3.0).abs() < precision, "{}: {found}", strategy.name());
    }
}

/// Every candidate diverges with probability one half, whatever its fitness. Random search never converges.
#[test]
#[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
fn half_of_every_population_may_diverge() {
    let cma_es = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(10) };
    for (strategy, generations, reached) in [
        (StrategySpec::CmaEs(cma_es), 600, 1e-9),
        (StrategySpec::SepCmaEs(SepCmaEsSpec::of(10)), 600, 1e-9),
        (StrategySpec::Pgpe(PgpeSpec::of(32, Some(0.3), Some(0.02))), 400, 0.01),
        (StrategySpec::OpenAiEs(OpenAiEsSpec::of(32, Some(0.1), Some(0.02))), 400, 0.02),
    ] {
        let mut search = start(&strategy, vec![1.0; 10], Seed::new(3).unwrap(), &Frame::default());
        let mut rng = Seed::new(4).unwrap().derive(Purpose::Task, 0).rng();
        for _ in 0..generations {
            let mut verdict = |candidate: &Candidate| {
                if uniform(&mut rng) < 0.5 {
                    Verdict::Diverged { episodes: 1 }
                } else {
                    fit(-candidate.genome.0.iter().map(|x| x * x).sum::<f64>())
                }
            };
            let verdicts: Vec<Verdict> = search.ask().iter().map(&mut verdict).collect();
            search.tell(&Measured::without_gradients(&verdicts)).unwrap();
        }
        let found: f64 = search.mean().0.iter().map(|x| x * x).sum();
        println!("{}: {found:e}", strategy.name());
        assert!(found < reached, "{}: {found:e}", strategy.name());
    }
}
