use hebbian_shared::seed::{fill_normal, uniform};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::update_networks::{Associator, LayerTypes, Recall, associator};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::*;

mod gradient;

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

fn problem(options: UpdateNetworksSpec, hidden: &[u32]) -> RuleLearning {
    RuleLearning {
        rule: hebbian_shared::spec::rule::RuleSpec::UpdateNetworks(options),
        network: NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() },
        tasks: TaskSpec::of(vec![TaskFamily::RememberBits]),
    }
}

fn normal(count: usize, number: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normal(&mut seed(number).rng(), &mut values);
    values
}

fn bits(count: usize, number: u64) -> Vec<f64> {
    let mut rng = seed(number).rng();
    (0..count).map(|_| if uniform(&mut rng) < 0.5 { -1.0 } else { 1.0 }).collect()
}

/// What a linear associator of `n` inputs and `m` outputs answers to its cues, by the formula.
fn associated(
    kind: Associator,
    rate: f64,
    (n, m): (usize, usize),
    cues: &[f64],
    targets: &[f64],
) -> Vec<f64> {
    let mut weights = vec![0.0; n * m];
    let answer = |weights: &[f64], cue: &[f64]| -> Vec<f64> {
        let of =
            |output| (0..n).map(|input| weights[input * m + output] * cue[input]).sum::<f64>() / n as f64;
        (0..m).map(of).collect()
    };
    for (cue, target) in cues.chunks_exact(n).zip(targets.chunks_exact(m)) {
        let predicted = match kind {
            Associator::OuterProduct => vec![0.0; m],
            Associator::DeltaRule => answer(&weights, cue),
        };
        for (place, weight) in weights.iter_mut().enumerate() {
            *weight += rate * cue[place / m] * (target[place % m] - predicted[place % m]);
        }
    }
    cues.chunks_exact(n).flat_map(|cue| answer(&weights, cue)).collect()
}

#[test]
fn special_genomes_are_the_linear_associators() {
    let (n, m, snippets) = (16, 12, 5);
    let (cues, targets) = (bits(n * snippets, 1), bits(m * snippets, 2));
    let options = UpdateNetworksSpec::of_associator();
    for (kind, rate) in
        [(Associator::OuterProduct, 1.0), (Associator::DeltaRule, 0.7), (Associator::DeltaRule, 1.3)]
    {
        let expected = associated(kind, rate, (n, m), &cues, &targets);
        let genome = associator(kind, rate);
        let mut parameters = Parameters::<f64>::default();
        assert!(parameters.read(&options, &options.layout_of(2), &genome, None));
        let mut network = Network::new(Form::new(options, &[n, m]));
        for (cue, target) in cues.chunks_exact(n).zip(targets.chunks_exact(m)) {
            network.present(&parameters, cue, target);
        }
        for (cue, expected) in cues.chunks_exact(n).zip(expected.chunks_exact(m)) {
            let mut found = vec![0.0; m];
            network.recall(&parameters, cue, &mut found);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{kind:?}");
        }
        // The same in f32, as episodes run.
        let mut learner = options.compile(&problem(options, &[]), None);
        assert!(learner.load(&genome));
        learner.start(&Shape { layers: vec![n, m], batch_max: snippets }, seed(1));
        let [inputs, goals] =
            [&cues, &targets].map(|values| values.iter().map(|&x| x as f32).collect::<Vec<_>>());
        learner.update(&ExampleBatch { inputs: &inputs, targets: &goals, examples: snippets });
        let mut found = vec![0.0; m * snippets];
        learner.predict(&inputs, snippets, &mut found);
        assert!(found.iter().zip(&expected).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-5), "{kind:?}");
    }
}

/// A rule of random numbers with its learner, which has seen two examples.
fn learner(
    options: UpdateNetworksSpec,
    hidden: &[u32],
    ablation: Option<Ablation>,
) -> (Box<dyn Rule>, Vec<f32>) {
    let problem = problem(options, hidden);
    let genome = Genome(normal(problem.layout().dimension(), 5).iter().map(|x| 0.5 * x).collect());
    let mut learner = options.compile(&problem, ablation);
    assert!(learner.load(&genome));
    assert!(!learner.load(&Genome(vec![0.0])));
    let layers: Vec<usize> = [4].into_iter().chain(hidden.iter().map(|&n| n as usize)).chain([3]).collect();
    learner.start(&Shape { layers, batch_max: 2 }, seed(7));
    let [inputs, targets] = [bits(8, 3), bits(6, 4)].map(|x| x.iter().map(|&x| x as f32).collect::<Vec<_>>());
    learner.update(&ExampleBatch { inputs: &inputs, targets: &targets, examples: 2 });
    (learner, inputs)
}

#[test]
fn asking_changes_nothing() {
    for (recall, feedback, hidden) in
        [(Recall::Frozen, false, &[][..]), (Recall::Plastic, true, &[5]), (Recall::Plastic, false, &[])]
    {
        let options =
            UpdateNetworksSpec { recall, feedback, recall_ticks: 2, ..UpdateNetworksSpec::default() };
        let (mut learner, inputs) = learner(options, hidden, None);
        let mut ask = || {
            let mut answers = vec![0.0; 6];
            learner.predict(&inputs, 2, &mut answers);
            answers
        };
        let first = ask();
        assert!(first.iter().any(|&answer| answer != 0.0));
        assert_eq!(ask(), first, "{recall:?}");
    }
}

#[test]
fn a_rule_of_zeros_writes_nothing() {
    let options = UpdateNetworksSpec::default();
    let problem = problem(options, &[]);
    let mut learner = options.compile(&problem, None);
    assert!(learner.load(&problem.layout().initial_mean()));
    learner.start(&Shape { layers: vec![2, 2], batch_max: 1 }, seed(1));
    learner.update(&ExampleBatch { inputs: &[1.0, -1.0], targets: &[1.0, 1.0], examples: 1 });
    let mut found = [1.0; 2];
    learner.predict(&[1.0, -1.0], 1, &mut found);
    assert_eq!(found, [0.0, 0.0]);
    assert!(learner.is_finite());
}

#[test]
fn every_ablation_takes_something_that_is_there() {
    let options = UpdateNetworksSpec { feedback: true, ..UpdateNetworksSpec::default() };
    let answers = |options, hidden: &[u32], ablation| {
        let (mut learner, inputs) = learner(options, hidden, ablation);
        let mut answers = vec![0.0; 6];
        learner.predict(&inputs, 2, &mut answers);
        answers
    };
    let all = options.ablations(&problem(options, &[5]));
    assert_eq!(all.len(), 5, "{all:?}");
    // Where it is not there, nothing changes, and it cannot be taken.
    let plain = UpdateNetworksSpec::default();
    let one = UpdateNetworksSpec { body_states: 1, synapse_states: 1, embedding: 0, ..plain };
    for (options, hidden, count) in [
        (options, &[5][..], 5),
        (plain, &[5], 4),
        (plain, &[], 3),
        (UpdateNetworksSpec { types: LayerTypes::One, ..plain }, &[], 2),
        (UpdateNetworksSpec { embedding: 0, ..options }, &[5], 4),
        (UpdateNetworksSpec { body_states: 1, ..plain }, &[], 2),
        (UpdateNetworksSpec { synapse_states: 1, ..plain }, &[], 2),
        (one, &[], 0),
        (one, &[5], 1),
    ] {
        let whole = answers(options, hidden, None);
        let given = options.ablations(&problem(options, hidden));
        assert_eq!(given.len(), count, "{given:?}");
        for &ablation in &all {
            let changes = answers(options, hidden, Some(ablation)) != whole;
            assert_eq!(given.contains(&ablation), changes, "{ablation}: {options:?}");
        }
    }
}
