//! Microseconds of CMA-ES per generation (ask and tell), the lazy eigendecomposition included.
//!
//! `cargo bench -p hebbian-tests --bench strategy`: prints, for each dimension and population size, the fastest and the
//! median of many batches of generations on the sphere. On a machine at rest the two agree; elsewhere read the fastest.

use std::hint::black_box;
use std::time::Instant;

use hebbian_coordinator::strategy::{CmaEs, Strategy as _};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

const BATCHES: usize = 101;
/// Short, so that some batches run undisturbed on a machine that others use too.
const BATCH_SECONDS: f64 = 0.002;

/// The search and the time of one of its generations, fitness evaluation excluded.
fn generation_seconds(search: &mut CmaEs) -> f64 {
    let start = Instant::now();
    let candidates = black_box(search.ask());
    let asked = start.elapsed();
    let verdict = |x: &[f64]| Verdict::Fit(Fitness::new(-x.iter().map(|x| x * x).sum::<f64>()).unwrap());
    let verdicts: Vec<Verdict> = candidates.iter().map(|c| verdict(&c.genome.0)).collect();
    let start = Instant::now();
    search.tell(&verdicts).unwrap();
    (asked + start.elapsed()).as_secs_f64()
}

/// The fastest and the median.
fn microseconds(dimension: usize, population_size: u32) -> (f64, f64) {
    let settings = CmaEsSpec { step_size: 1.0, noise: NoiseHandling::None, ..CmaEsSpec::of(population_size) };
    let new = || CmaEs::new(vec![1.0; dimension], &settings, Seed::new(1).unwrap());
    let mut search = new();
    let warm_up: f64 = (0..10).map(|_| generation_seconds(&mut search)).sum::<f64>() / 10.0;
    // Whole intervals between decompositions, and not so many that the search converges.
    let interval = search.parameters().eigen_interval as usize;
    let generations = ((BATCH_SECONDS / warm_up) as usize).clamp(interval, 500).next_multiple_of(interval);
    let batch = || {
        let mut search = new();
        (0..generations).map(|_| generation_seconds(&mut search)).sum::<f64>() / generations as f64
    };
    let mut times: Vec<f64> = std::iter::repeat_with(batch).take(BATCHES).collect();
    times.sort_by(f64::total_cmp);
    (times[0] * 1e6, times[BATCHES / 2] * 1e6)
}

fn main() {
    println!("{:>5} {:>7} {:>12} {:>12}", "n", "lambda", "fastest us", "median us");
    let defaults = [10, 24, 68, 72, 264].map(|n| (n, 4 + (3.0 * (n as f64).ln()) as u32));
    for (dimension, population_size) in
        defaults.into_iter().chain([(68, 64), (24, 1024), (72, 1024), (264, 1024)])
    {
        let (fastest, median) = microseconds(dimension, population_size);
        println!("{dimension:>5} {population_size:>7} {fastest:>12.1} {median:>12.1}");
    }
}
