use hebbian_shared::fitness::Fitness;

use super::*;

fn criterion_of(state: &State, history: &History, is_exact: bool, compares_fitness: bool) -> Option<String> {
    criterion_with(0, state, history, is_exact, compares_fitness)
}

fn criterion_with(
    integers: usize,
    state: &State,
    history: &History,
    is_exact: bool,
    compares_fitness: bool,
) -> Option<String> {
    let search = Search {
        state,
        history,
        initial_step_size: 2.0,
        population_size: 10,
        mean_rate: 1.0,
        is_exact,
        compares_fitness,
        integers,
    };
    search.stop_reason().map(|reason| {
        assert!(!reason.detail.is_empty());
        reason.criterion
    })
}

fn state() -> State {
    State { generation: 1000, updates: 1000, ..State::new(vec![1.0; 4], 1.0) }
}

fn check(change: impl Fn(&mut State), expected: Option<&str>) {
    let mut state = state();
    change(&mut state);
    let history = History::new(&state.mean);
    assert_eq!(criterion_of(&state, &history, true, true).as_deref(), expected);
}

#[test]
fn a_distribution_stops_by_the_figure_that_met_the_criterion() {
    check(|_| (), None);
    check(|s| s.stuck = true, Some("numerics"));
    check(
        |s| {
            s.step_size = 1.9e-11;
            s.mean = vec![0.0; 4];
        },
        Some("tolx"),
    );
    check(
        |s| {
            s.step_size = 2.1e-11;
            s.mean = vec![0.0; 4];
        },
        None,
    );
    check(|s| s.axis_lengths = vec![1.0, 1.0, 1.0, 1.1e7], Some("condition"));
    check(|s| s.axis_lengths = vec![1e-27; 4], Some("tolupsigma"));
    check(|s| s.step_size = 2.1e3, Some("tolfacupx"));
    check(|s| s.step_size = 1.9e3, None);
    check(|s| s.mean = vec![1e20; 4], Some("noeffectaxis"));
    // Axis 1000 mod 4 = 0 still moves.
    check(|s| s.mean = vec![1.0, 1.0, 1e20, 1.0], Some("noeffectcoord"));
}

/// Tells `generations` generations of ten fitnesses each; the criterion after the last, and when it was first met.
fn after(generations: u32, moves: bool, fitness: impl Fn(u32, u32) -> f64) -> Option<(String, u32)> {
    let mut state = State::new(vec![1.0; 4], 1.0);
    let mut history = History::new(&state.mean);
    for generation in 0..generations {
        if moves {
            state.mean[0] += 0.1;
        }
        state.generation += 1;
        state.updates += 1;
        let verdict = |i| Verdict::Fit(Fitness::new(fitness(generation, i)).unwrap());
        history.note(&(0..10).map(verdict).collect::<Vec<_>>(), &state, 2.0, true);
        if let Some(criterion) = criterion_of(&state, &history, true, true) {
            // In noise the same history stops nothing; where the function changes, only a mean that stays does.
            assert_eq!(criterion_of(&state, &history, false, false), None);
            let in_run = criterion_of(&state, &history, true, false);
            assert_eq!(in_run.as_deref(), Some("tolxstagnation").filter(|_| criterion == "tolxstagnation"));
            return Some((criterion, generation + 1));
        }
    }
    None
}

#[test]
fn fitness_that_no_longer_changes_stops_a_search() {
    let met = |criterion: &str, generation| Some((criterion.to_owned(), generation));
    // Improving.
    assert_eq!(after(2000, true, |g, i| f64::from(g) - f64::from(i)), None);
    assert_eq!(after(2000, true, |_, _| 5.0), met("flat", 11));
    // 10 + 30 * 4 / 10 = 22 generations.
    assert_eq!(after(2000, true, |_, i| 1e-13 * f64::from(i)), met("tolfun", 22));
    assert_eq!(after(2000, true, |_, i| -f64::from(i)), met("tolfunhist", 22));
    // 120 + 12 generations, looked at every tenth. The best goes round, so that its range is large.
    assert_eq!(after(2000, true, |g, i| f64::from(g % 3) - f64::from(i)), met("stagnation", 140));
    // A mean that stays: 20 generations and a tenth of all.
    assert_eq!(after(2000, false, |g, i| f64::from(g) - f64::from(i)), met("tolxstagnation", 23));
}

#[test]
fn the_history_is_bounded_and_a_damaged_one_is_found() {
    let mut state = State::new(vec![1.0; 4], 1.0);
    let mut history = History::new(&state.mean);
    for generation in 0..3000u32 {
        state.updates += 1;
        state.mean[0] += 1.0;
        let verdict = |i: u32| Verdict::Fit(Fitness::new(f64::from(generation * i)).unwrap());
        history.note(&(0..10).map(verdict).collect::<Vec<_>>(), &state, 2.0, true);
        assert!(history.best.len() <= 1000, "{}", history.best.len());
    }
    assert!(history.best.len() >= 600);
    assert!(history.is_sound(4) && !history.is_sound(5));
    history.best[0] = f64::NAN;
    assert!(!history.is_sound(4));
}

/// On the discus in 100 dimensions progress is hidden by the bad condition for about 900 generations.
#[test]
fn stagnation_looks_back_farther_in_many_dimensions_and_with_integers() {
    let state = |n| State::new(vec![0.0; n], 1.0);
    for (n, population_size, expected) in [(10, 10, 150), (100, 17, 1196), (3000, 5, HISTORY_MAX)] {
        assert_eq!(stagnation_span(&state(n), population_size), expected);
    }
    for (n, population_size, expected) in [(10, 19, 500), (100, 17, 1196)] {
        assert_eq!(stagnation_span(&State { factors: vec![1.0; n], ..state(n) }, population_size), expected);
    }
}

#[test]
fn integers_have_plateaus_and_grow_by_what_is_learnt() {
    assert_eq!(
        [(4, 0), (4, 4), (5, 4), (40, 1)].map(|(n, integers)| flat_generations_max(n, integers)),
        [10, 33, 27, 3]
    );
    // Fitness of integers alone may be equal for as long as `flat` allows it; with one real it may not.
    let mut history = History::new(&[1.0; 4]);
    (history.best, history.median, history.range) = (vec![1.0; 40], vec![1.0; 40], 1.0);
    for (integers, expected) in [(4, None), (3, Some("tolfunhist"))] {
        assert_eq!(criterion_with(integers, &state(), &history, true, true).as_deref(), expected);
    }
    check(|s| s.factors = vec![1.0, 1.0, 1.0, 1e7], None);
    check(|s| (s.step_size, s.factors) = (2.1e3, vec![1e-2; 4]), None);
    check(|s| (s.step_size, s.factors) = (2.1e3, vec![1e-2, 1.0, 1.0, 1.0]), Some("tolfacupx"));
}
