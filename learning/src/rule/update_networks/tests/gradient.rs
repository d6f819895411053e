//! The gradient through what a network is shown and asked.

use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Wants};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::evaluation::{Measure, Objective};
use hebbian_shared::spec::rule::update_networks::{Interaction, UpdateActivation};
use proptest::prelude::*;

use super::*;
use crate::episode::EpisodeRunner;
use crate::interrupt::Interrupt;
use crate::rule::Lesson;
use crate::rule::lesson::{Examples, slope};
use crate::rule::loss::Descended;
use crate::training::Workspace;

const UPDATES: u32 = 3;

fn numbers<T: Real>(values: &[f32]) -> Vec<T> {
    values.iter().map(|&value| T::from_f64(f64::from(value))).collect()
}

fn hidden(layers: &[usize]) -> Vec<u32> {
    layers[1..layers.len() - 1].iter().map(|&neurons| neurons as u32).collect()
}

fn layout(options: UpdateNetworksSpec, layers: &[usize]) -> GenomeLayout {
    problem(options, &hidden(layers)).layout()
}

/// The loss of a lesson, by forward passes alone.
fn loss(options: UpdateNetworksSpec, layers: &[usize], genome: &Genome, lesson: &mut Examples) -> f64 {
    let mut parameters = Parameters::<f64>::default();
    assert!(parameters.read(&options, &layout(options, layers), genome, None));
    let mut network = Network::new(Form::new(options, layers));
    initialise(&mut network, options.initial_scale, seed(3));
    let (outputs, descended) = (layers[layers.len() - 1], Descended::from(lesson.objective()));
    let mut before = Vec::new();
    let mut ask = |network: &mut Network<f64>, batch: &ExampleBatch<'_>| {
        network.save(&mut before);
        let mut answers = vec![0.0; batch.targets.len()];
        let cues = numbers(batch.inputs);
        for (cue, answer) in cues.chunks_exact(layers[0]).zip(answers.chunks_exact_mut(outputs)) {
            network.recall(&parameters, cue, answer);
        }
        network.restore(&before);
        let mut errors = vec![0.0; answers.len()];
        descended.of(&answers, &numbers::<f64>(batch.targets), &mut errors, outputs)
    };
    let mut total = 0.0;
    for done in 0..=UPDATES {
        total += lesson.query_weight(done) * ask(&mut network, &lesson.query(done));
        if done < UPDATES {
            let weight = lesson.support_weight(done);
            let batch = lesson.support(done);
            total += weight * ask(&mut network, &batch);
            let (cues, targets) = (numbers(batch.inputs), numbers(batch.targets));
            for (cue, target) in cues.chunks_exact(layers[0]).zip(targets.chunks_exact(outputs)) {
                network.present(&parameters, cue, target);
            }
        }
    }
    total
}

/// Loss and gradient of a genome, and what the network answers after its updates.
fn differentiate<T: Real>(
    options: UpdateNetworksSpec,
    layers: &[usize],
    genome: &Genome,
    lesson: &mut Examples,
) -> (f64, Vec<f64>, Vec<f32>) {
    let mut rule = Course::<T>::new(options, layout(options, layers));
    assert!(rule.load(genome));
    // What an unroll leaves behind is nothing to the next.
    for updates in [UPDATES, 0, UPDATES] {
        rule.record(updates);
        rule.start(&Shape { layers: layers.to_vec(), batch_max: 5 }, seed(3));
        for update in 0..UPDATES {
            rule.update(&lesson.batch(update as usize));
        }
    }
    let mut answers = vec![0.0; lesson.batch(3).targets.len()];
    rule.predict(lesson.batch(3).inputs, 5, &mut answers);
    let mut gradient = vec![0.0; genome.0.len()];
    let loss = rule.walk_back(lesson, &mut gradient).unwrap();
    (loss, gradient, answers)
}

/// Options with the hidden layers of a network.
fn options() -> impl Strategy<Value = (UpdateNetworksSpec, Vec<usize>)> {
    let sizes = (1..4_u32, 1..4_u32, 0..3_u32, 1..4_u32, 0..3_u32);
    let ticks = (1..3_u32, 1..3_u32);
    let hidden = prop_oneof![Just(vec![]), Just(vec![4]), Just(vec![4, 9])];
    (sizes, ticks, hidden, any::<[bool; 6]>()).prop_map(|(sizes, ticks, hidden, flags)| {
        let [one_type, sum, body_identity, synapse_identity, feedback, plastic] = flags;
        let activation = |is_identity| {
            if is_identity { UpdateActivation::Identity } else { UpdateActivation::Tanh }
        };
        let options = UpdateNetworksSpec {
            body_states: sizes.0,
            synapse_states: sizes.1,
            embedding: sizes.2,
            types: if one_type { LayerTypes::One } else { LayerTypes::ByRole },
            features: sizes.3,
            body_features: sizes.4,
            interaction: if sum { Interaction::Sum } else { Interaction::Product },
            body_activation: activation(body_identity),
            synapse_activation: activation(synapse_identity),
            feedback: feedback && !hidden.is_empty(),
            present_ticks: ticks.0,
            recall_ticks: ticks.1,
            recall: if plastic { Recall::Plastic } else { Recall::Frozen },
            initial_scale: 0.5,
        };
        (options, hidden)
    })
}

proptest! {
    // The same cases every time: a random one of many is so nearly chaotic that differences say nothing.
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::with_cases(64) })]

    #[test]
    fn gradients_are_those_of_central_differences(
        (options, between) in options(),
        outputs in prop_oneof![1..3_usize, Just(10)],
        (logistic, prequential) in any::<(bool, bool)>(),
        number in 0..1000_u64,
    ) {
        let layers = [&[3][..], &between, &[outputs]].concat();
        let dimension = layout(options, &layers).dimension();
        let genome = Genome(normal(dimension, number).iter().map(|x| 0.4 * x).collect());
        let objective = if logistic { Objective::Logistic } else { Objective::SquaredError };
        let mut lesson = Examples::new((3, outputs), objective, prequential);
        let (found_loss, gradient, _) = differentiate::<f64>(options, &layers, &genome, &mut lesson);
        let expected = loss(options, &layers, &genome, &mut lesson);
        // Identities everywhere may lead anywhere.
        prop_assume!(expected.abs() < 1e3);
        prop_assert!((found_loss - expected).abs() < 1e-5 * (1.0 + expected), "{found_loss}, not {expected}");
        for (place, &found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut genome = genome.clone();
                genome.0[place] += by;
                loss(options, &layers, &genome, &mut lesson)
            };
            let (difference, doubt) = slope(moved);
            prop_assert!((found - difference).abs() < 1e-6 * (1.0 + found.abs()) + doubt, "{place}: {found}, not {difference}");
        }
        // In single precision, in which episodes run, nearly the same; and answers that are those of the rule itself.
        let (_, single, answers) = differentiate::<f32>(options, &layers, &genome, &mut lesson);
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let apart: Vec<f64> = single.iter().zip(&gradient).map(|(x, y)| x - y).collect();
        prop_assert!(length(&apart) < 1e-3 * (length(&gradient) + 1e-2), "{} of {}", length(&apart), length(&gradient));
        let mut rule = options.compile(&problem(options, &hidden(&layers)), None);
        prop_assert!(rule.load(&genome));
        rule.start(&Shape { layers, batch_max: 5 }, seed(3));
        for update in 0..UPDATES {
            rule.update(&lesson.batch(update as usize));
        }
        let mut expected = vec![0.0; answers.len()];
        rule.predict(lesson.batch(3).inputs, 5, &mut expected);
        prop_assert_eq!(answers, expected);
    }
}

/// Of a network that is nearly chaotic: differences over 1e-5 are 2 % beside the slope, which those over 1e-8 confirm to seven digits.
#[test]
fn a_slope_where_the_loss_has_ripples_is_that_of_very_small_differences() {
    let options = UpdateNetworksSpec {
        synapse_states: 3,
        embedding: 0,
        features: 1,
        body_features: 2,
        body_activation: UpdateActivation::Identity,
        feedback: true,
        present_ticks: 2,
        initial_scale: 0.5,
        ..UpdateNetworksSpec::default()
    };
    let layers = [3, 4, 10];
    let dimension = layout(options, &layers).dimension();
    let genome = Genome(normal(dimension, 229).iter().map(|x| 0.4 * x).collect());
    let mut lesson = Examples::new((3, 10), Objective::Logistic, false);
    let (_, gradient, _) = differentiate::<f64>(options, &layers, &genome, &mut lesson);
    let mut at = |by: f64| {
        let mut genome = genome.clone();
        genome.0[36] += by;
        loss(options, &layers, &genome, &mut lesson)
    };
    let difference = (at(1e-8) - at(-1e-8)) / 2e-8;
    assert!((gradient[36] - 0.283_135_6).abs() < 1e-6 && (difference - gradient[36]).abs() < 1e-6);
}

/// An episode of a canonical run, measured after its last update.
fn episode(text: &str, gradient: bool, workspace: &mut Workspace, task: u32) -> Evaluation {
    let mut spec = RunSpec::read(text).unwrap();
    spec.evaluation.measure = Measure::last();
    let genome = Genome(normal(spec.layout().dimension(), 8).iter().map(|x| 0.3 * x).collect());
    let runner = EpisodeRunner::new(Arc::new(spec)).unwrap();
    let key = EpisodeKey {
        run: RunId::new(0),
        generation: GenerationIndex(0),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        candidate: CandidateIndex(0),
        task: TaskIndex(task),
    };
    let outcome = runner.run_for(workspace, &genome, &key, Wants { gradient }, &Interrupt::new()).unwrap();
    outcome.evaluation().unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

#[test]
fn an_episode_has_the_same_bits_with_its_gradient_on_any_thread_and_cpu() {
    for text in UpdateNetworksSpec::default().canonical() {
        let mut used = Workspace::new();
        for task in [2, 0, 1, 0] {
            let found = episode(text, true, &mut used, task);
            let plain = episode(text, false, &mut used, task);
            assert_eq!(found.fitness.get().to_bits(), plain.fitness.get().to_bits());
            let alone = episode(text, true, &mut Workspace::new(), task);
            let narrow = hebbian_shared::vectors::narrow(|| episode(text, true, &mut Workspace::new(), task));
            assert!(found.gradient.as_ref().unwrap().iter().any(|&slope| slope != 0.0));
            assert_eq!(found, alone);
            assert_eq!(found, narrow);
        }
    }
}
