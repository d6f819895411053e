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
    for told in [vec![(6, fitness)], vec![(1, fitness), (1, None)], (0..6).map(|c| (c, fitness)).collect()] {
        assert!(
            AskTell::restore(AskTellSnapshot {
                told: told.into_iter().map(|(place, of)| (place, of.into())).collect(),
                ..before.clone()
            })
            .is_err()
        );
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
        let mean = vec![START_NUMBER_MAX, -START_NUMBER_MAX, 0.0];
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
fn the_default_population_is_the_tutorials_and_with_integers_pycmas() {
    assert_eq!([1, 2, 10, 40, 100].map(|n| default_population_size(n, 0)), [4, 6, 10, 15, 17]);
    let with_integers = [(1, 1), (2, 1), (5, 4), (10, 8), (20, 16), (40, 40)];
    assert_eq!(with_integers.map(|(n, k)| default_population_size(n, k)), [6, 8, 14, 19, 23, 28]);
}

/// The search of a run ranks feasible candidates first, then infeasible ones by their violation, and those that failed last; so does this.
#[test]
fn infeasible_candidates_rank_behind_all_fitnesses_by_their_violation() {
    let strategy = StrategySpec::CmaEs(exact(6));
    let tell = |told: [Told; 6]| {
        let mut search = AskTell::new(Settings { strategy: strategy.clone(), ..settings(6) }).unwrap();
        search.tell(&told).unwrap();
        search
    };
    let fitness = |value: f64| Told::from(Fitness::new(value).ok());
    let infeasible = |by: f64| Told::from(Violation::new(by).unwrap());
    let failed = Told::Fitness(None);
    let search =
        tell([infeasible(2.0), fitness(-3.0), failed, infeasible(0.5), fitness(1.0), infeasible(9.0)]);
    // The same order in fitnesses alone; the worst two do not matter to the mean of the best three.
    let ranked = tell([-4.0, 0.0, -6.0, -1.0, 1.0, -5.0].map(fitness));
    assert_eq!(search.mean(), ranked.mean());
    let other = tell([-1.0, 0.0, -6.0, -4.0, 1.0, -5.0].map(fitness));
    assert_ne!(search.mean(), other.mean());
    assert_eq!(search.best().unwrap().1, Fitness::new(1.0).unwrap());
    // In parts, through a snapshot, it is the same; and nothing that is infeasible is a best one, or a failure of all.
    let mut parts = AskTell::new(Settings { strategy: strategy.clone(), ..settings(6) }).unwrap();
    parts.tell_some(&[(3, infeasible(0.5)), (0, infeasible(2.0)), (2, failed)]).unwrap();
    let mut parts = AskTell::restore(parts.snapshot()).unwrap();
    parts.tell_some(&[(4, fitness(1.0)), (1, fitness(-3.0)), (5, infeasible(9.0))]).unwrap();
    assert_eq!(parts.snapshot(), search.snapshot());
    let mut none = AskTell::new(Settings { strategy, ..settings(6) }).unwrap();
    for _ in 0..25 {
        let told: Vec<Told> =
            none.candidates().iter().map(|candidate| infeasible(1.0 + candidate.genome.0[0].abs())).collect();
        none.tell(&told).unwrap();
    }
    assert_eq!((none.best(), none.stop_reason()), (None, None));
}

#[test]
fn what_is_told_is_read_and_what_is_wrong_with_it_is_said() {
    let read = |text: &str| serde_json::from_str::<Vec<Told>>(text).map_err(|error| error.to_string());
    let told = read("[1, -0.5, null, {\"infeasible\": 0.1}]").unwrap();
    assert_eq!(told[3], Told::from(Violation::new(0.1).unwrap()));
    assert_eq!(serde_json::to_string(&told).unwrap(), "[1.0,-0.5,null,{\"infeasible\":0.1}]");
    for (text, expected) in [
        ("[\"4\"]", "expected a number, null for a failed candidate, or {\"infeasible\""),
        ("[{\"infeasible\": -1}]", "expected a number, null for a failed candidate, or {\"infeasible\""),
        ("[{\"infeasible\": 1, \"by\": 2}]", "expected a number, null"),
        ("[1e999]", "number out of range"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
