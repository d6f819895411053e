//! What noise costs CMA-ES without, with constant and with automatic adaptation of learning rates.
//!
//! `cargo bench -p hebbian-tests --bench noise [-- SEEDS]`. First the noise table of docs/SEARCH.md: additive noise of
//! standard deviation tau f(x0), equal evaluations, the median over seeds of log10 f(mean) / f(x0) without noise. Then what
//! the measuring costs where there is no noise: median evaluations to 1e-9.

use hebbian_search::{CmaEs, Measured, Strategy as _};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, fill_normal, normal_pair};
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

const MODES: [(&str, NoiseHandling); 3] =
    [("none", NoiseHandling::None), ("lra", NoiseHandling::Lra), ("auto", NoiseHandling::Auto)];

/// A function to minimise, of a point in a basis of random orthonormal directions.
type Function = fn(&[f64]) -> f64;

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn ellipsoid(x: &[f64], condition: f64) -> f64 {
    let last = (x.len() - 1) as f64;
    x.iter().enumerate().map(|(i, x)| condition.powf(i as f64 / last) * x * x).sum()
}

fn rastrigin(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x + 10.0 * (1.0 - (std::f64::consts::TAU * x).cos())).sum()
}

struct Row {
    name: &'static str,
    function: Function,
    n: usize,
    tau: f64,
    population_size: u32,
    distance: f64,
    step_size: f64,
    evaluations: usize,
    /// pycma and LRA as the design's study has them.
    known: &'static str,
}

/// Orthonormal rows (Gram and Schmidt).
fn rotation(n: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row = vec![0.0; n];
        fill_normal(rng, &mut row);
        for _ in 0..2 {
            for other in &rows {
                let product: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= product * b);
            }
        }
        let norm = sphere(&row).sqrt();
        for a in &mut row {
            *a /= norm;
        }
        rows.push(row);
    }
    rows
}

/// `log10 f(mean) / f(x0)`, and the agreement and the mean's learning rate at the end.
fn gain(row: &Row, noise: NoiseHandling, seed: u64) -> (f64, f64, f64) {
    let seed = Seed::new(seed).unwrap();
    let mut rng = seed.derive(Purpose::Task, 0).rng();
    let basis = rotation(row.n, &mut rng);
    let value = |x: &[f64]| {
        let rotated: Vec<f64> = basis.iter().map(|b| b.iter().zip(x).map(|(b, x)| b * x).sum()).collect();
        (row.function)(&rotated)
    };
    let mut start = vec![0.0; row.n];
    fill_normal(&mut rng, &mut start);
    let norm = sphere(&start).sqrt();
    for x in &mut start {
        *x *= row.distance * (row.n as f64).sqrt() / norm;
    }
    let first = value(&start);
    let deviation = row.tau * first;
    let settings = CmaEsSpec { step_size: row.step_size, noise, ..CmaEsSpec::of(row.population_size) };
    let mut search = CmaEs::new(start, &settings, seed);
    let mut evaluations = 0;
    loop {
        let candidates = search.ask();
        evaluations += candidates.len();
        if evaluations > row.evaluations {
            break;
        }
        let verdicts: Vec<Verdict> = candidates
            .iter()
            .map(|c| {
                let noisy = value(&c.genome.0) + deviation * normal_pair(&mut rng).0;
                Verdict::Fit(Fitness::new(-noisy).unwrap())
            })
            .collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
    }
    let summary = search.summary().noise;
    let agreement = summary.and_then(|noise| noise.agreement).unwrap_or(f64::NAN);
    ((value(&search.mean().0) / first).log10(), agreement, summary.map_or(1.0, |noise| noise.mean_rate))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn noise_table(seeds: u64) {
    let row = |name, function, n, tau, population_size, known| Row {
        name,
        function,
        n,
        tau,
        population_size,
        distance: 1.0,
        step_size: 0.5,
        evaluations: if n == 24 { 24_000 } else { 30_000 },
        known,
    };
    let rows = [
        row("sphere", sphere as Function, 24, 1.0, 64, "-.53 -1.94"),
        row("sphere", sphere, 24, 1.0, 1024, "-.91 -1.75"),
        row("ellipsoid 1e3", |x| ellipsoid(x, 1e3), 24, 1.0, 64, "-.69 -1.80"),
        Row { distance: 3.0, step_size: 1.0, ..row("rastrigin", rastrigin, 24, 0.1, 64, "-1.09 -1.13") },
        row("sphere", sphere, 100, 1.0, 512, "-.27 -1.10"),
        row("sphere", sphere, 24, 0.1, 64, ""),
        row("sphere", sphere, 24, 0.01, 64, ""),
        row("ellipsoid 1e3", |x| ellipsoid(x, 1e3), 24, 0.1, 64, ""),
        row("ellipsoid 1e3", |x| ellipsoid(x, 1e3), 24, 0.01, 64, ""),
    ];
    println!(
        "{:<14} {:>4} {:>5} {:>7} | {:>7} {:>7} {:>7} | agreement, rate | published: pycma, LRA",
        "function", "n", "tau", "lambda", "none", "lra", "auto"
    );
    for row in &rows {
        print!("{:<14} {:>4} {:>5} {:>7} |", row.name, row.n, row.tau, row.population_size);
        let (mut agreement, mut rate) = (0.0, 0.0);
        for (_, noise) in MODES {
            let gains: Vec<(f64, f64, f64)> = (1..=seeds).map(|seed| gain(row, noise, seed)).collect();
            print!(" {:>7.2}", median(gains.iter().map(|g| g.0).collect()));
            agreement = median(gains.iter().map(|g| g.1).collect());
            rate = median(gains.iter().map(|g| g.2).collect());
        }
        println!(" | {agreement:>9.2} {rate:>5.2} | {}", row.known);
    }
}

/// Evaluations until a sample is better than 1e-9, without noise.
fn evaluations(function: Function, n: usize, step_size: f64, noise: NoiseHandling, seed: u64) -> f64 {
    let settings = CmaEsSpec { step_size, noise, ..CmaEsSpec::of(4 + (3.0 * (n as f64).ln()) as u32) };
    let mut search = CmaEs::new(vec![1.0; n], &settings, Seed::new(seed).unwrap());
    let mut evaluations = 0.0;
    while evaluations < 1e6 {
        let mut verdicts = Vec::new();
        for candidate in search.ask() {
            evaluations += 1.0;
            let value = function(&candidate.genome.0);
            if value < 1e-9 {
                return evaluations;
            }
            verdicts.push(Verdict::Fit(Fitness::new(-value).unwrap()));
        }
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
    }
    f64::INFINITY
}

fn calm_table(seeds: u64) {
    println!("\n{:<14} {:>4} | {:>8} {:>8} | ratio", "no noise", "n", "none", "auto");
    let functions: [(&str, Function); 2] = [("sphere", sphere), ("ellipsoid 1e6", |x| ellipsoid(x, 1e6))];
    for (name, function) in functions {
        for n in [10, 24] {
            let of = |noise| median((1..=seeds).map(|s| evaluations(function, n, 1.0, noise, s)).collect());
            let (none, auto) = (of(NoiseHandling::None), of(NoiseHandling::Auto));
            println!("{name:<14} {n:>4} | {none:>8} {auto:>8} | {:.3}", auto / none);
        }
    }
}

fn main() {
    let seeds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    noise_table(seeds);
    calm_table(4 * seeds + 1);
}
