//! What every strategy must do; each strategy runs through all of it.

use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling, RandomSearchSpec, StrategySpec};
use proptest::prelude::*;

use super::*;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

fn strategies(population_size: u32) -> [StrategySpec; 6] {
    let plain = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(population_size) };
    let random_search = StrategySpec::RandomSearch(RandomSearchSpec { population_size, step_size: 0.5 });
    [
        StrategySpec::CmaEs(plain.clone()),
        random_search,
        StrategySpec::CmaEs(CmaEsSpec { active: false, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { noise: NoiseHandling::Lra, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { noise: NoiseHandling::Auto, ..plain.clone() }),
        StrategySpec::CmaEs(CmaEsSpec { mirrored: true, ..plain }),
    ]
}

/// A spec of 68 dimensions.
fn spec(strategy: StrategySpec, seed: u64) -> RunSpec {
    let quickstart = RunSpec::from_toml(QUICKSTART).unwrap();
    RunSpec { strategy, seed: Seed::new(seed).unwrap(), ..quickstart }
}

fn fit(value: f64) -> Verdict {
    Verdict::Fit(Fitness::new(value).unwrap())
}

/// The sphere's fitness, where `pattern` does not say otherwise: its bytes make candidates diverge or tie.
fn verdicts(candidates: &[Candidate], pattern: &[u8]) -> Vec<Verdict> {
    let verdict = |(candidate, byte): (&Candidate, &u8)| match byte % 8 {
        0 | 1 => Verdict::Diverged { episodes: 1 + u32::from(byte / 64) },
        2 => fit(0.0),
        3 => fit(-1e300),
        _ => fit(-candidate.genome.0.iter().map(|x| (x - 1.0).powi(2)).sum::<f64>()),
    };
    candidates.iter().zip(pattern.iter().cycle()).map(verdict).collect()
}

/// Takes `strategy` through generations of the given patterns, restoring it from its stored snapshot after each into a
/// second one that must not differ.
fn check_patterns(spec: &RunSpec, patterns: &[Vec<u8>]) {
    let mut strategy = build(spec);
    for pattern in patterns {
        let stored = strategy.snapshot().to_bytes();
        let snapshot = StrategySnapshot::from_bytes(&stored).unwrap();
        assert_eq!(snapshot.digest(), strategy.snapshot().digest());
        let mut restored = restore(spec, &snapshot).unwrap();
        let candidates = strategy.ask();
        assert_eq!(candidates, strategy.ask(), "asking again must not change the candidates");
        assert_eq!(candidates, restored.ask());
        let population_size = spec.strategy.population_size() as usize;
        assert!(candidates.len() >= population_size);
        assert!(candidates.len() <= spec.strategy.candidates_max() as usize);
        for (place, candidate) in candidates.iter().enumerate() {
            assert!(candidate.genome.0.iter().all(|x| x.is_finite()));
            assert_eq!(candidate.block, BlockIndex(u32::from(place >= population_size)));
        }
        let verdicts = verdicts(&candidates, pattern);
        strategy.tell(&verdicts).unwrap();
        restored.tell(&verdicts).unwrap();
        assert_eq!(strategy.snapshot().to_bytes(), restored.snapshot().to_bytes());
        assert_ne!(strategy.snapshot().to_bytes(), stored, "a told generation is over");
        assert_ne!(strategy.ask(), candidates, "every generation draws afresh");
        let summary = strategy.summary();
        assert!(summary.step_size > 0.0 && summary.axis_ratio >= 1.0, "{summary:?}");
        assert!(summary.deviation_range.0 > 0.0 && summary.deviation_range.0 <= summary.deviation_range.1);
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
            check_patterns(&spec(strategy, seed), &patterns);
        }
    }
}

#[test]
fn generations_in_which_all_diverge_change_nothing_but_the_samples() {
    for strategy in strategies(16) {
        let mut strategy = build(&spec(strategy, 1));
        for _ in 0..3 {
            strategy.tell(&verdicts(&strategy.ask(), &[9, 4, 4])).unwrap();
        }
        let (mean, summary, candidates) = (strategy.mean(), strategy.summary(), strategy.ask());
        for _ in 0..50 {
            let all = vec![Verdict::Diverged { episodes: 2 }; strategy.ask().len()];
            strategy.tell(&all).unwrap();
        }
        assert_eq!((strategy.mean(), strategy.summary()), (mean, summary));
        assert_ne!(strategy.ask(), candidates);
        assert_eq!(strategy.stop_reason(), None);
    }
}

#[test]
fn another_number_of_verdicts_is_refused_and_changes_nothing() {
    for strategy in strategies(8) {
        let mut strategy = build(&spec(strategy, 1));
        let before = strategy.snapshot();
        let expected = strategy.ask().len();
        for found in [0, expected - 1, expected + 1] {
            let error = strategy.tell(&vec![fit(1.0); found]);
            assert_eq!(error, Err(StrategyError::VerdictCount { expected, found }));
        }
        assert_eq!(strategy.snapshot(), before);
    }
}

#[test]
fn snapshots_of_another_strategy_or_dimension_are_refused() {
    let specs = strategies(8).map(|strategy| spec(strategy, 1));
    let snapshot = |spec: &RunSpec| {
        let mut strategy = build(spec);
        strategy.tell(&verdicts(&strategy.ask(), &[4])).unwrap();
        strategy.snapshot()
    };
    let refusal = |spec: &RunSpec, snapshot: &StrategySnapshot| match restore(spec, snapshot) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{} must be refused", snapshot.name()),
    };
    let [cma_es, random_search, ..] = &specs;
    assert!(refusal(random_search, &snapshot(cma_es)).contains("strategy is random-search"));
    assert!(refusal(cma_es, &snapshot(random_search)).contains("snapshot is of random-search"));
    for spec in [cma_es, random_search] {
        let mut smaller = spec.clone();
        let hebbian_shared::spec::Problem::RuleLearning(problem) = &mut smaller.problem;
        problem.rule.states = 2;
        assert!(refusal(&smaller, &snapshot(spec)).contains("must hold 20"));
    }
}

#[test]
fn seeds_and_generations_give_different_candidates() {
    for strategy in strategies(8) {
        let first = build(&spec(strategy.clone(), 1)).ask();
        assert_eq!(first, build(&spec(strategy.clone(), 1)).ask());
        assert_ne!(first, build(&spec(strategy, 2)).ask());
    }
}

/// Both strategies in one dimension, towards 3.
#[test]
fn one_dimension_is_enough() {
    let seed = Seed::new(5).unwrap();
    let cma_es = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(4) };
    let random_search = RandomSearchSpec { population_size: 4, step_size: 3.0 };
    let strategies: [(Box<dyn super::Strategy>, f64); 2] = [
        (Box::new(CmaEs::new(vec![0.0], &cma_es, seed)), 1e-6),
        (Box::new(RandomSearch::new(vec![0.0], &random_search, seed)), 0.1),
    ];
    for (mut strategy, precision) in strategies {
        for _ in 0..100 {
            let verdict = |candidate: &Candidate| fit(-(candidate.genome.0[0] - 3.0).abs());
            let verdicts: Vec<Verdict> = strategy.ask().iter().map(verdict).collect();
            strategy.tell(&verdicts).unwrap();
        }
        let found = strategy.mean().0[0];
        assert!((found - 3.0).abs() < precision, "{found}");
    }
}
