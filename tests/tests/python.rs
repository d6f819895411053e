//! What the Python package must compute alike: the shipped rules, each through a few updates of a small network from given synapses.
//! Here it is what the program computes in 32 bits; `python/tests/test_product.py` compares with the same file. With `HEBBIAN_UPDATE` set
//! the test writes it.

use std::path::{Path, PathBuf};

use hebbian_learning::rule::multi_state::differentiable::{DifferentiableNetwork, DifferentiableRule};
use hebbian_learning::rule::multi_state::{Network, UpdateRule};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;
use serde::Deserialize;
use serde_json::json;

const UPDATES: usize = 6;
const BATCH: usize = 8;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Of a genome file what a network needs.
#[derive(Deserialize)]
struct GenomeFile {
    layout: GenomeLayout,
    values: Genome,
    rule: RuleSpec,
    network: NetworkSpec,
}

impl GenomeFile {
    fn read(rule: &str) -> Self {
        let path = root().join("cli/rules").join(rule).join("genome.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn options(&self) -> &MultiStateSpec {
        match &self.rule {
            RuleSpec::MultiState(options) => options,
            _ => panic!("the Python package knows one family"),
        }
    }
}

/// Number `place` of a stream, from -1 to 1 in steps of 1/32, as the Python test has it.
fn number(stream: usize, place: usize) -> f32 {
    ((place * 37 + stream * 11 + place * place * 5) % 65) as f32 / 32.0 - 1.0
}

fn numbers(stream: usize, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|place| scale * number(stream, place)).collect()
}

/// Inputs and targets of an update: the class of an example is the number of its place.
fn batch(update: usize, (inputs, outputs): (usize, usize), hit: f32, miss: f32) -> [Vec<f32>; 2] {
    let classes = outputs.max(2);
    let target = |place: usize| {
        let (example, output) = (place / outputs, place % outputs);
        let class = (example + update) % classes;
        let is_hit = if outputs == 1 { class == 1 } else { class == output };
        if is_hit { hit } else { miss }
    };
    [numbers(100 + update, BATCH * inputs, 1.0), (0..BATCH * outputs).map(target).collect()]
}

/// The predictions for the first batch after 0, 1, ... updates.
fn predictions(file: &GenomeFile, sizes: &[usize]) -> Vec<Vec<f32>> {
    let (options, ends) = (file.options(), (sizes[0], sizes[sizes.len() - 1]));
    let synapses = |stream: usize, layer: usize| numbers(stream, (sizes[layer] + 1) * sizes[layer + 1], 0.5);
    let forward = |layer: usize, state: usize| synapses(10 * layer + state, layer);
    let query = &batch(0, ends, 1.0, 0.0)[0];
    let mut prediction = vec![0.0; BATCH * ends.1];
    let mut all = Vec::new();
    if options.is_extended() {
        let mut rule = DifferentiableRule::<f32>::default();
        rule.read(options.backward_update, &file.layout, &file.values).unwrap();
        let mut network = DifferentiableNetwork::new(options, sizes, BATCH);
        network.start_from_synapses(forward, (UPDATES as u64, usize::MAX));
        for update in 0..=UPDATES {
            network.predict(&rule, query, BATCH, &mut prediction);
            let temperature = rule.parameters().loss_temperature as f32;
            all.push(prediction.iter().map(|x| temperature * x).collect());
            let [inputs, targets] = batch(update, ends, 1.0, 0.0);
            network.update(&rule, &inputs, &targets, BATCH);
        }
        return all;
    }
    let rule = UpdateRule::<f32>::from_genome(&file.layout, &file.values).unwrap();
    let mut network = Network::new(options, sizes, BATCH);
    for layer in 0..sizes.len() - 1 {
        for state in 0..usize::from(options.states) {
            network.forward_synapses_mut(layer, state).copy_from_slice(&forward(layer, state));
            if let Some(backward) = network.backward_synapses_mut(layer, state) {
                backward.copy_from_slice(&synapses(1000 + 10 * layer + state, layer));
            }
        }
    }
    for update in 0..=UPDATES {
        network.predict(&rule, query, BATCH, &mut prediction);
        all.push(prediction.clone());
        let [inputs, targets] = batch(update, ends, 1.0, -1.0);
        network.update(&rule, &inputs, &targets, BATCH);
    }
    all
}

#[test]
fn shipped_rules_compute_what_python_is_compared_with() {
    let path = root().join("tests/fixtures/python.json");
    let of_rule = |rule: &str, sizes: &[usize]| {
        let file = GenomeFile::read(rule);
        assert_eq!(file.network.synapse_layers(), Some(sizes.len() - 1));
        json!({ "rule": rule, "layers": sizes, "predictions": predictions(&file, sizes) })
    };
    let found = json!([of_rule("images", &[6, 5, 3]), of_rule("quickstart", &[2, 7, 1])]);
    if std::env::var_os("HEBBIAN_UPDATE").is_some() {
        std::fs::write(&path, format!("{found}\n")).unwrap();
        return;
    }
    let expected: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        let lists = value.as_array().unwrap().iter().flat_map(|rule| rule["predictions"].as_array().unwrap());
        lists.flat_map(|list| list.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect()
    };
    let (found, expected) = (numbers(&found), numbers(&expected));
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
            "{place}: {found}, not {expected}"
        );
    }
}
