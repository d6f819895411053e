//! Trajectories of pycma, its own samples fed through hebbian's CMA-ES: every number of the state must agree.
//!
//! `tests/fixtures/pycma/record.py` recorded them and says where pycma was brought to the tutorial.

use hebbian_search::{CmaEs, Strategy as _};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recording {
    trajectories: Vec<Trajectory>,
}

#[derive(Deserialize)]
struct Trajectory {
    name: String,
    mean: Vec<f64>,
    step_size: f64,
    population_size: u32,
    active: bool,
    #[serde(default)]
    integers: Vec<u32>,
    generations: Vec<Generation>,
}

#[derive(Deserialize)]
struct Generation {
    samples: Vec<Genome>,
    fitnesses: Vec<f64>,
    mean: Vec<f64>,
    step_size: f64,
    step_size_path: Vec<f64>,
    covariance_path: Vec<f64>,
    covariance: Vec<Vec<f64>>,
    stalled: bool,
    /// Of samples, where there are integers: a lower bound widens them.
    #[serde(default)]
    deviations: Vec<f64>,
}

/// How far a vector may be from pycma's, relative to the largest of its numbers.
const TOLERANCE: f64 = 1e-9;

fn check(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE * scale, "{what}: {found}, pycma has {expected}");
    }
}

#[test]
fn pycmas_samples_lead_to_pycmas_states() {
    let text = include_str!("../fixtures/pycma/trajectories.json");
    let recording: Recording = serde_json::from_str(text).unwrap();
    let mut stalled = 0;
    for trajectory in &recording.trajectories {
        let Trajectory { population_size, step_size, active, .. } = *trajectory;
        let settings = CmaEsSpec {
            step_size,
            active,
            integers: trajectory.integers.clone(),
            noise: NoiseHandling::None,
            ..CmaEsSpec::of(population_size)
        };
        let mut search = CmaEs::new(trajectory.mean.clone(), &settings, Seed::new(1).unwrap());
        assert!(trajectory.generations.len() >= 30);
        for (index, generation) in trajectory.generations.iter().enumerate() {
            let verdict = |&fitness: &f64| Verdict::Fit(Fitness::new(fitness).unwrap());
            let verdicts: Vec<Verdict> = generation.fitnesses.iter().map(verdict).collect();
            search.tell_samples(&generation.samples, &verdicts).unwrap();
            let state = search.distribution();
            let what = |quantity| format!("{}, generation {index}, {quantity}", trajectory.name);
            check(&what("mean"), state.mean, &generation.mean);
            check(&what("step size"), &[state.step_size], &[generation.step_size]);
            check(&what("step size path"), state.step_size_path, &generation.step_size_path);
            check(&what("covariance path"), state.covariance_path, &generation.covariance_path);
            let lower: Vec<f64> = (0..state.mean.len())
                .flat_map(|column| generation.covariance[column..].iter().map(move |row| row[column]))
                .collect();
            check(&what("covariance"), &state.covariance, &lower);
            if !trajectory.integers.is_empty() {
                check(&what("deviations"), &search.summary().deviations, &generation.deviations);
            }
            stalled += usize::from(generation.stalled);
        }
    }
    assert!(stalled > 0, "the recording must exercise h_sigma");
}
