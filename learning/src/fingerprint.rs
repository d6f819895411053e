//! The numerics fingerprint: whether two workers compute the same bits.

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Outcome, Wants};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::rule::RuleSpec;

use crate::episode::EpisodeRunner;
use crate::interrupt::Interrupt;
use crate::rule;
use crate::training::Workspace;

/// The canonical runs of every family of rules.
fn specs() -> impl Iterator<Item = &'static str> {
    RuleSpec::of_each_family().flat_map(|rule| rule::family(&rule).canonical()).copied()
}

/// The digest of the bits of canonical episodes on this machine. Workers of equal fingerprints may share a run whose
/// result must be exact.
///
/// # Panics
/// If a canonical run is not a valid spec (checked by a test).
pub fn fingerprint() -> Digest {
    let mut bytes = Vec::new();
    for (place, outcomes) in canonical_outcomes().into_iter().enumerate() {
        bytes.push(place as u8);
        for outcome in outcomes {
            match outcome.fitness() {
                Some(fitness) => bytes.extend(fitness.get().to_le_bytes()),
                // No fitness has these bits.
                None => bytes.extend(f64::NAN.to_le_bytes()),
            }
            let gradient = outcome.evaluation().and_then(|evaluation| evaluation.gradient.as_ref());
            bytes.extend(gradient.into_iter().flatten().flat_map(|value| value.to_le_bytes()));
        }
    }
    Digest::of(&bytes)
}

/// The outcomes of the episodes of each canonical run, and once more with their gradients where there are any.
fn canonical_outcomes() -> Vec<Vec<Outcome>> {
    let mut workspace = Workspace::new();
    let interrupt = Interrupt::new();
    let of_spec = |(place, text): (usize, &str)| {
        let spec = RunSpec::read(text).expect("a canonical run is a valid spec");
        let runner = EpisodeRunner::new(Arc::new(spec)).expect("canonical runs need nothing special");
        let seed = runner.spec().seed.derive(Purpose::Fingerprint, place as u64);
        let genome = genome(&runner.spec().layout(), seed);
        let mut episode = |task, wants| {
            let key = EpisodeKey {
                run: RunId::new(0),
                generation: GenerationIndex(0),
                purpose: EpisodePurpose::Search,
                block: BlockIndex(0),
                candidate: CandidateIndex(0),
                task: TaskIndex(task),
            };
            runner.run_for(&mut workspace, &genome, &key, wants, &interrupt).expect("nobody interrupts")
        };
        let has_gradient = runner.spec().check_gradient().is_ok();
        let mut of_tasks = |gradient| -> Vec<Outcome> {
            let tasks = 0..runner.spec().tasks_per_generation();
            tasks.map(|task| episode(task, Wants { gradient })).collect()
        };
        [Some(of_tasks(false)), has_gradient.then(|| of_tasks(true))]
    };
    specs().enumerate().flat_map(of_spec).flatten().collect()
}

/// A genome near the start of a search: normal with standard deviation 0.3.
fn genome(layout: &GenomeLayout, seed: Seed) -> Genome {
    let mut values = vec![0.0; layout.dimension()];
    fill_normal(&mut seed.rng(), &mut values);
    Genome(layout.initial_mean().0.into_iter().zip(values).map(|(mean, value)| mean + 0.3 * value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_episodes_are_evaluated_and_differ() {
        for (place, outcomes) in canonical_outcomes().into_iter().enumerate() {
            let fitness = |outcome: &Outcome| outcome.fitness().map(|fitness| fitness.get().to_bits());
            let mut seen: Vec<_> = outcomes.iter().map(fitness).collect();
            assert!(seen.iter().all(Option::is_some), "canonical run {place}: {outcomes:?}");
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), outcomes.len(), "canonical run {place}: {outcomes:?}");
        }
    }

    #[test]
    fn the_fingerprint_is_the_same_every_time() {
        assert_eq!(fingerprint(), fingerprint());
    }

    #[test]
    fn every_kernel_and_activation_has_a_part_in_it() {
        let all: String = specs().collect();
        for word in [
            "identity",
            "\"tanh\"",
            "\"relu\"",
            "relu_tanh",
            "\"sigmoid\"",
            "d_identity",
            "d_tanh",
            "d_relu",
            "d_sigmoid",
            "concat-ground-truth",
            "replace-state0",
            "difference\"",
            "difference-times-second-state",
            "softmax-difference",
            "additive",
            "multiplicative-second-state",
            "normalisation",
            "oja",
            "saturation",
            "squared-error",
            "logistic",
            "gated",
            "synapse_mixing",
            "update_normalisation",
            "update_schedule",
            "initial_scale",
            "readout",
            "loss_temperature",
            "fan_in",
            "prequential",
            "gradient-descent",
            "kernel-ridge",
            "linear-memory",
            "least-squares",
            "momentum",
            "nesterov",
            "half-xavier",
            "adam",
            "\"squared\"",
        ] {
            assert!(all.contains(word), "no canonical run has {word}");
        }
    }
}
