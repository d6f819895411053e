//! Microseconds of CMA-ES per generation, on one thread; beside the Rust crate `cmaes` in the same run.
//!
//! `cargo bench -p hebbian-tests --bench strategy [--features peers]`: a generation is ask, the sphere's value of each candidate, tell; lazy
//! eigendecompositions are amortised over whole intervals between them. Both engines run in turn, batch by batch; the
//! fastest batch of each counts, and the ratio is of those: below 1, ours is faster.

use std::hint::black_box;
use std::time::Instant;

use hebbian_search::{CmaEs, Measured, Strategy as _};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

/// Batches of each engine.
const BATCHES: usize = 15;
/// Time of one batch.
const BATCH_SECONDS: f64 = 0.02;

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn ours(dimension: usize, population_size: u32) -> CmaEs {
    let settings = CmaEsSpec { step_size: 1.0, noise: NoiseHandling::None, ..CmaEsSpec::of(population_size) };
    CmaEs::new(vec![1.0; dimension], &settings, Seed::new(1).unwrap())
}

fn generation(search: &mut CmaEs) {
    let candidates = black_box(search.ask());
    let verdict = |x: &[f64]| Verdict::Fit(Fitness::new(-sphere(x)).unwrap());
    let verdicts: Vec<Verdict> = candidates.iter().map(|c| verdict(&c.genome.0)).collect();
    search.tell(&Measured::without_gradients(&verdicts)).unwrap();
}

/// Seconds per generation of `cmaes`.
#[cfg(feature = "peers")]
fn peer_seconds(dimension: usize, population_size: u32, generations: usize) -> f64 {
    use cmaes::{CMAES, CMAESOptions, DVector};
    let function: fn(&DVector<f64>) -> f64 = |x| sphere(x.as_slice());
    let new = || -> CMAES<fn(&DVector<f64>) -> f64> {
        let options = CMAESOptions::new(vec![1.0; dimension], 1.0);
        options
            .population_size(population_size as usize)
            .seed(1)
            .build(function)
            .expect("the options are valid")
    };
    seconds(generations, new, |search| {
        black_box(search.next());
    })
}

#[cfg(not(feature = "peers"))]
fn peer_seconds(_: usize, _: u32, _: usize) -> f64 {
    f64::NAN
}

/// Seconds per generation of the fastest batch, over searches that begin anew with each batch.
fn seconds<S>(generations: usize, new: impl Fn() -> S, generation: impl Fn(&mut S)) -> f64 {
    let mut search = new();
    let start = Instant::now();
    (0..generations).for_each(|_| generation(&mut search));
    start.elapsed().as_secs_f64() / generations as f64
}

fn main() {
    println!("{:>5} {:>7} {:>12} {:>12} {:>7}", "n", "lambda", "hebbian us", "cmaes us", "ratio");
    let defaults = [10, 24, 72, 100, 264, 300, 500, 1000].map(|n| (n, 4 + (3.0 * (n as f64).ln()) as u32));
    let large = [24, 72, 264].into_iter().flat_map(|n| [256, 1024, 4096].map(|lambda| (n, lambda)));
    for (dimension, population_size) in defaults.into_iter().chain(large) {
        let new = || ours(dimension, population_size);
        // Whole intervals between decompositions, and not so many that the search converges.
        let interval = new().parameters().eigen_interval as usize;
        let warm_up = seconds(interval.max(2), new, generation);
        let generations =
            ((BATCH_SECONDS / warm_up) as usize).clamp(interval, 500).next_multiple_of(interval);
        let batches = ((1.0 / (warm_up * generations as f64)) as usize).clamp(2, BATCHES);
        let mut fastest = [f64::INFINITY; 2];
        for _ in 0..batches {
            fastest[0] = fastest[0].min(seconds(generations, new, generation));
            fastest[1] = fastest[1].min(peer_seconds(dimension, population_size, generations));
        }
        let [ours, theirs] = fastest.map(|seconds| seconds * 1e6);
        println!("{dimension:>5} {population_size:>7} {ours:>12.1} {theirs:>12.1} {:>7.2}", ours / theirs);
    }
}
