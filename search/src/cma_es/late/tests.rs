use std::cmp::Reverse;
use std::collections::BTreeMap;

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, uniform};
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

use super::super::CmaEs;
use super::*;
use crate::{Envelope, Measured, Strategy as _};

/// Functions whose minimum is 0, and where their searches start: all coordinates, and the step size.
type Function = fn(&[f64]) -> f64;

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn ellipsoid(x: &[f64]) -> f64 {
    let weight = |i: usize| libm::exp10(6.0 * i as f64 / (x.len() - 1) as f64);
    x.iter().enumerate().map(|(i, x)| weight(i) * x * x).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}

const POPULATION: u32 = 16;
const WORKERS: u32 = 16;
const TARGET: f64 = 1e-6;

fn search(function: Function, n: usize, seed: u64, asynchronous: bool) -> CmaEs {
    // Rosenbrock's minimum is where the others start.
    let (start, step_size) = if function(&[1.0, 1.0]) == 0.0 { (0.0, 0.5) } else { (1.0, 1.0) };
    let settings =
        CmaEsSpec { asynchronous, step_size, noise: NoiseHandling::None, ..CmaEsSpec::of(POPULATION) };
    CmaEs::new(vec![start; n], &settings, Seed::new(seed).unwrap())
}

/// How long an evaluation takes.
#[derive(Clone, Copy, Debug)]
enum Durations {
    /// Pareto's distribution with exponent 1.5: its variance is infinite.
    Pareto,
    /// The first worker takes a thousand times as long as the others.
    OneIsSlow,
}

impl Durations {
    fn draw(self, worker: u32, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Pareto => libm::pow(1.0 - uniform(rng), -1.0 / 1.5),
            Self::OneIsSlow => {
                if worker == 0 {
                    1000.0
                } else {
                    1.0
                }
            }
        }
    }
}

/// Evaluations and time until a candidate is at the target, with workers that take one candidate each; `None` beyond `most`.
#[derive(Clone, Copy, Debug)]
struct Cost {
    evaluations: u32,
    time: f64,
}

fn waiting(function: Function, n: usize, seed: u64, durations: Durations) -> Cost {
    let mut search = search(function, n, seed, false);
    let mut rng = Seed::new(seed).unwrap().derive(Purpose::Task, 1).rng();
    let mut cost = Cost { evaluations: 0, time: 0.0 };
    loop {
        let values: Vec<f64> = search.ask().iter().map(|c| function(&c.genome.0)).collect();
        let longest = (0..WORKERS).map(|worker| durations.draw(worker, &mut rng)).fold(0.0, f64::max);
        cost = Cost { evaluations: cost.evaluations + POPULATION, time: cost.time + longest };
        if values.iter().any(|value| *value < TARGET) {
            return cost;
        }
        search.tell(&values.iter().map(|value| Measured::of(-value)).collect::<Vec<_>>()).unwrap();
    }
}

/// A cluster of simulated workers that evaluates an asynchronous search.
struct Cluster {
    function: Function,
    durations: Durations,
    workers: u32,
    rng: ChaCha8Rng,
    /// By the time of its end and a number: which candidate, and who evaluates it.
    running: BTreeMap<(u64, u32), (Birth, Genome, u32)>,
    number: u32,
    arrived: Vec<(Birth, f64)>,
    cost: Cost,
}

/// A positive time as a number in the same order.
fn ordered(time: f64) -> u64 {
    time.to_bits()
}

impl Cluster {
    fn new(function: Function, seed: u64, durations: Durations) -> Self {
        let rng = Seed::new(seed).unwrap().derive(Purpose::Task, 1).rng();
        let cost = Cost { evaluations: 0, time: 0.0 };
        Self {
            function,
            durations,
            workers: WORKERS,
            rng,
            running: BTreeMap::new(),
            number: 0,
            arrived: Vec::new(),
            cost,
        }
    }

    /// Lets a generation arrive; the best value of it.
    fn generation(&mut self, search: &mut CmaEs) -> f64 {
        let births = search.births();
        let candidates = search.ask();
        let is_running = |running: &BTreeMap<_, (Birth, Genome, u32)>, birth| {
            running.values().any(|(of, ..)| *of == birth)
        };
        let mut waiting: Vec<usize> =
            (0..births.len()).filter(|&place| !is_running(&self.running, births[place])).collect();
        waiting.reverse();
        let mut idle: Vec<u32> = (0..self.workers).rev().collect();
        idle.retain(|worker| self.running.values().all(|(.., of)| of != worker));
        while self.arrived.len() < POPULATION as usize {
            while let Some(worker) = idle.pop() {
                let Some(place) = waiting.pop() else { break };
                let ends = self.cost.time + self.durations.draw(worker, &mut self.rng);
                self.number += 1;
                let of = (births[place], candidates[place].genome.clone(), worker);
                self.running.insert((ordered(ends), self.number), of);
            }
            let ((ends, _), (birth, genome, worker)) = self.running.pop_first().expect("somebody works");
            self.cost = Cost {
                evaluations: self.cost.evaluations + 1,
                time: f64::from_bits(ends).max(self.cost.time),
            };
            self.arrived.push((birth, (self.function)(&genome.0)));
            idle.push(worker);
        }
        let place = |birth: Birth| births.iter().position(|of| *of == birth).unwrap() as u32;
        let arrived: Vec<(u32, Measured)> =
            self.arrived.drain(..).map(|(birth, value)| (place(birth), Measured::of(-value))).collect();
        let best = arrived.iter().filter_map(|(_, m)| m.verdict.fitness()).max().unwrap();
        let kept: Vec<u32> = self.running.values().map(|(birth, ..)| place(*birth)).collect();
        let fresh = POPULATION + self.workers.saturating_sub(kept.len() as u32);
        search.tell_arrived(&arrived, &kept, fresh).unwrap();
        -best.get()
    }
}

fn entering_late(function: Function, n: usize, seed: u64, durations: Durations, most: u32) -> Option<Cost> {
    let mut search = search(function, n, seed, true);
    let mut cluster = Cluster::new(function, seed, durations);
    while cluster.cost.evaluations < most {
        if cluster.generation(&mut search) < TARGET {
            return Some(cluster.cost);
        }
    }
    None
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by_key(|value| Reverse(ordered(*value)));
    values[values.len() / 2]
}

/// How many times sooner, and with how many times the evaluations; medians over seeds.
fn gain(function: Function, n: usize, durations: Durations, seeds: u64) -> (f64, f64) {
    let whole: Vec<Cost> = (1..=seeds).map(|seed| waiting(function, n, seed, durations)).collect();
    let evaluations = median(whole.iter().map(|cost| f64::from(cost.evaluations)).collect());
    let most = (3.0 * evaluations) as u32;
    let late: Vec<Cost> = (1..=seeds)
        .map(|seed| entering_late(function, n, seed, durations, most).expect("it does not diverge"))
        .collect();
    let time = |of: &[Cost]| median(of.iter().map(|cost| cost.time).collect());
    let spent = median(late.iter().map(|cost| f64::from(cost.evaluations)).collect());
    (time(&whole) / time(&late), spent / evaluations)
}

#[test]
#[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
fn heavy_tails_hold_nobody_up() {
    let functions: [(&str, Function); 3] =
        [("sphere", sphere), ("ellipsoid", ellipsoid), ("Rosenbrock", rosenbrock)];
    for (n, seeds) in [(10, 9), (40, 3)] {
        for (name, function) in functions {
            let (sooner, evaluations) = gain(function, n, Durations::Pareto, seeds);
            println!("{name} {n}: {sooner:.2} times sooner, {evaluations:.2} times the evaluations");
            assert!(sooner >= 3.0, "{name} {n}: {sooner:.2} times sooner");
            assert!(evaluations <= 1.5, "{name} {n}: {evaluations:.2} times the evaluations");
        }
    }
}

#[test]
#[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
fn it_does_not_diverge_when_the_slowest_takes_a_thousand_times_as_long() {
    let functions: [Function; 3] = [sphere, ellipsoid, rosenbrock];
    for function in functions {
        let (sooner, evaluations) = gain(function, 10, Durations::OneIsSlow, 5);
        println!("{sooner:.0} times sooner, {evaluations:.2} times the evaluations");
        assert!(sooner > 100.0 && evaluations <= 1.5, "{sooner} {evaluations}");
    }
}

/// With four workers for each candidate of the population a candidate is late by four generations on average.
#[test]
fn many_late_candidates_do_not_make_it_diverge() {
    let functions: [Function; 2] = [ellipsoid, rosenbrock];
    for function in functions {
        for seed in 1..=5 {
            let mut search = search(function, 10, seed, true);
            let mut cluster = Cluster { workers: 64, ..Cluster::new(function, seed, Durations::Pareto) };
            while cluster.generation(&mut search) >= TARGET {
                assert!(cluster.cost.evaluations < 30_000, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_search_that_goes_on_from_its_state_has_the_same_bits() {
    let mut one = search(ellipsoid, 5, 3, true);
    let mut cluster = Cluster::new(ellipsoid, 3, Durations::Pareto);
    let settings = one.settings.clone();
    for _ in 0..60 {
        let stored = Envelope::from_bytes(&one.state().to_bytes()).unwrap();
        one = CmaEs::restore(vec![1.0; 5], &settings, Seed::new(3).unwrap(), &stored).unwrap();
        assert_eq!(one.state(), stored);
        cluster.generation(&mut one);
    }
    let mut other = search(ellipsoid, 5, 3, true);
    let mut cluster = Cluster::new(ellipsoid, 3, Durations::Pareto);
    let mut late = 0;
    for _ in 0..60 {
        cluster.generation(&mut other);
        late += other.state.open.as_ref().unwrap().late.len();
    }
    assert!(late > 300, "{late} late candidates");
    assert_eq!((one.state(), one.ask(), one.births()), (other.state(), other.ask(), other.births()));
}

#[test]
fn candidates_that_are_kept_stay_as_they_are_and_the_order_of_arrival_counts() {
    let told = |search: &CmaEs, places: &[u32]| -> Vec<(u32, Measured)> {
        let candidates = search.ask();
        places.iter().map(|&p| (p, Measured::of(-sphere(&candidates[p as usize].genome.0)))).collect()
    };
    let first = || {
        let mut search = search(sphere, 4, 1, true);
        assert_eq!(search.ask().len(), 32, "more than close a generation, so that one alone holds nobody up");
        let arrived = told(&search, &(0..16).collect::<Vec<_>>());
        search.tell_arrived(&arrived, &[], 20).unwrap();
        search
    };
    let mut search = first();
    let before = search.ask();
    let arrived: Vec<u32> = (2..18).collect();
    search.tell_arrived(&told(&search, &arrived), &[19, 0], 15).unwrap();
    let (after, births) = (search.ask(), search.births());
    assert_eq!((after.len(), &after[..2]), (17, &[before[19].clone(), before[0].clone()][..]));
    let birth = |generation, candidate| Birth { generation, candidate };
    assert_eq!(births[..3], [birth(1, 19), birth(1, 0), birth(2, 2)]);
    // The same of the second time, and the order decides between equals alone, which there are none of.
    let mut other = first();
    let backwards: Vec<u32> = arrived.iter().rev().copied().collect();
    other.tell_arrived(&told(&other, &backwards), &[19, 0], 15).unwrap();
    assert_eq!(other.births(), births);
    // What does not fit changes nothing.
    let stored = search.state();
    let of = |places: std::ops::Range<u32>| told(&search, &places.collect::<Vec<_>>());
    let (short, whole) = (of(0..15), of(0..16));
    let twice: Vec<_> = whole[..15].iter().cloned().chain([whole[0].clone()]).collect();
    for (arrived, kept, fresh, expected) in [
        (&short, vec![], 16, "16 candidates were asked for but 15 verdicts were told"),
        (&twice, vec![], 16, "sample 0: it is named twice"),
        (&whole, vec![3], 16, "sample 3: it is named twice"),
        (&whole, vec![17], 16, "sample 17: there are 17 candidates, counted from 0"),
        (&whole, vec![16], 14, "sample 15: 15 candidates would be open, and a generation closes with 16"),
    ] {
        let error = search.tell_arrived(arrived, &kept, fresh).expect_err(expected).to_string();
        assert_eq!(error, expected);
    }
    assert_eq!(search.state(), stored);
    assert!(search.inject(&[Genome(vec![0.0; 4])]).is_err());
}

#[test]
fn a_state_with_impossible_births_is_refused() {
    let mut search = search(sphere, 4, 1, true);
    let mut cluster = Cluster::new(sphere, 1, Durations::Pareto);
    cluster.generation(&mut search);
    cluster.generation(&mut search);
    let refused = |change: fn(&mut Open)| {
        let mut damaged =
            CmaEs::restore(vec![1.0; 4], &search.settings, search.seed, &search.state()).unwrap();
        change(damaged.state.open.as_mut().unwrap());
        CmaEs::restore(vec![1.0; 4], &search.settings, search.seed, &damaged.state()).is_err()
    };
    assert!(!refused(|_| ()));
    assert!(refused(|open| open.late[0].birth.generation = 2));
    assert!(refused(|open| open.late[1].birth = open.late[0].birth));
    assert!(refused(|open| open.late[0].step[0] = f64::NAN));
    assert!(refused(|open| open.late[0].mean.push(0.0)));
    assert!(refused(|open| *open = Open::of(15)));
    assert!(refused(|open| open.fresh = u32::MAX));
}

/// An integer's samples may be wider than what is learnt, by another factor when they arrive than when they were drawn.
#[test]
fn a_late_integer_enters_from_where_it_was_measured() {
    let settings = CmaEsSpec {
        asynchronous: true,
        step_size: 0.05,
        integers: vec![0],
        noise: NoiseHandling::None,
        ..CmaEsSpec::of(4)
    };
    let mut search = CmaEs::new(vec![0.4, 0.4], &settings, Seed::new(1).unwrap());
    let arrived: Vec<(u32, Measured)> = (0..4).map(|k| (k, Measured::of(f64::from(k)))).collect();
    search.tell_arrived(&arrived, &[5], 4).unwrap();
    search.state.factors[0] = 7.0;
    let Some(open) = &search.state.open else { unreachable!("an asynchronous search") };
    let late = &open.late[0];
    assert!((late.step[0] - (late.point[0] - late.mean[0])).abs() < 1e-15, "{late:?}");
    let (population, _) = open.arrived(&search.state, &search.population, [0].into_iter());
    let State { mean, step_size, factors, .. } = &search.state;
    let half_way = |i: usize| f64::midpoint(late.mean[i], mean[i]);
    let wanted: Vec<f64> = (0..2)
        .map(|i| (late.point[i] - late.mean[i] + half_way(i) - mean[i]) / step_size / factors[i])
        .collect();
    // Shortened at most.
    let found = population.steps.column(0);
    let shrink = found[1] / wanted[1];
    assert!(shrink > 0.0 && shrink <= 1.0 + 1e-12, "{shrink}");
    assert!((found[0] - shrink * wanted[0]).abs() < 1e-12, "{found:?}, not {wanted:?}");
}
