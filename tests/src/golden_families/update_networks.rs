//! Golden vectors of update networks: `gregor-*.json`.

use std::collections::BTreeMap;

use hebbian_learning::rule::Ablation;
use hebbian_learning::rule::multi_state::Real;
use hebbian_learning::rule::update_networks::{Form, Network, Parameters};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::rule::update_networks::UpdateNetworksSpec;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{WrittenSegment, check_layout, columns, compare, numbers, reals};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "about")]
    _about: String,
    config: Map<String, Value>,
    segments: Vec<WrittenSegment>,
    genome: Vec<f64>,
    parameters: BTreeMap<String, Value>,
    initial: State,
    snippets_cue: Vec<Vec<f64>>,
    snippets_target: Vec<Vec<f64>>,
    recall_cues: Vec<Vec<f64>>,
    after_each_present_tick: Vec<State>,
    recalled: Value,
    synapses_after_recalls: Synapses,
    mean_squared_error: f64,
    bits_right: f64,
    #[serde(default)]
    ablated_recalled: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    bodies: Vec<Value>,
    forward: Vec<Value>,
    backward: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Synapses {
    forward: Vec<Value>,
    backward: Vec<Value>,
}

/// What is taken from the rule, by the vectors' name.
fn ablation(name: &str) -> Option<Ablation> {
    Some(match name {
        "no-embedding" => Ablation::NoEmbedding,
        "one-body-state" => Ablation::OneBodyState,
        "one-synapse-state" => Ablation::OneSynapseState,
        "no-feedback" => Ablation::NoFeedback,
        "hidden-frozen" => Ablation::HiddenSynapsesFrozen,
        _ => return None,
    })
}

/// The form that a vector's options say, and the number of types.
fn read_form(mut config: Map<String, Value>) -> Result<(Form, u32), String> {
    let mut take = |name: &str| config.remove(name).ok_or(format!("config.{name} is missing"));
    let list = |value: Value| numbers(&value).into_iter().map(|x| x as usize).collect::<Vec<_>>();
    let (layers, types) = (list(take("layers")?), list(take("types")?));
    let type_count = numbers(&take("type_count")?)[0] as u32;
    let options: UpdateNetworksSpec =
        serde_json::from_value(Value::Object(config)).map_err(|error| format!("config: {error}"))?;
    Ok((Form { options, layers, types }, type_count))
}

/// Runs a vector.
pub(super) fn run<T: Real>(text: &str) -> Result<(), String> {
    let vector: Vector = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (form, types) = read_form(vector.config.clone())?;
    let layout = form.options.layout_of(types);
    check_layout(&layout, &vector.segments, &[])?;
    let genome = Genome(vector.genome.clone());
    for (name, expected) in &vector.parameters {
        let found = layout.parameters(name, &genome).ok_or(format!("genome: no {name}"))?;
        compare(&format!("parameters.{name}"), &found, &numbers(expected))?;
    }
    let recalled = Trial::<T>::new(&vector, &form, types, None)?.run(&vector, true)?;
    compare("recalled", &recalled, &numbers(&vector.recalled))?;
    check_scores(&vector, &recalled)?;
    for (name, expected) in &vector.ablated_recalled {
        let what = format!("ablated_recalled.{name}");
        let ablation = ablation(name).ok_or(format!("{what} is not known"))?;
        let recalled = Trial::<T>::new(&vector, &form, types, Some(ablation))?.run(&vector, false)?;
        compare(&what, &recalled, &numbers(expected))?;
    }
    Ok(())
}

/// Mean squared error and share of right bits.
fn check_scores<T: Real>(vector: &Vector, recalled: &[T]) -> Result<(), String> {
    let targets: Vec<f64> = vector.snippets_target.concat();
    let pairs = || recalled.iter().map(|y| y.to_f64()).zip(&targets);
    let count = targets.len() as f64;
    let error = pairs().map(|(y, t)| (y - t) * (y - t)).sum::<f64>() / count;
    compare("mean_squared_error", &[T::from_f64(error)], &[vector.mean_squared_error])?;
    let right = |(y, t): (f64, &f64)| if y * t == 0.0 { 0.5 } else { f64::from(u8::from(y * t > 0.0)) };
    let right = pairs().map(right).sum::<f64>() / count;
    compare("bits_right", &[T::from_f64(right)], &[vector.bits_right])
}

/// A network with the parameters of a vector.
struct Trial<T> {
    network: Network<T>,
    parameters: Parameters<T>,
}

impl<T: Real> Trial<T> {
    fn new(vector: &Vector, form: &Form, types: u32, ablation: Option<Ablation>) -> Result<Self, String> {
        let mut parameters = Parameters::default();
        let genome = Genome(vector.genome.clone());
        if !parameters.read(&form.options, &form.options.layout_of(types), &genome, ablation) {
            return Err("genome: another length".to_owned());
        }
        let mut network = Network::new(form.clone());
        for (place, synapses) in given(&vector.initial.forward, &vector.initial.backward).enumerate() {
            let values = columns(&numbers(synapses), form.options.synapse_states as usize);
            if values.len() != network.synapses(place).len() {
                return Err(format!("initial: synapses of layer {place} of another shape"));
            }
            network.synapses_mut(place).copy_from_slice(&reals::<T>(&values));
        }
        network.ablate(ablation);
        Ok(Self { network, parameters })
    }

    /// Presents all snippets and recalls them. What it recalled, `[snippet, output]`.
    fn run(mut self, vector: &Vector, is_checked: bool) -> Result<Vec<T>, String> {
        let ticks = self.network.form().options.present_ticks as usize;
        let examples = vector.snippets_cue.iter().zip(&vector.snippets_target);
        for (place, (cue, target)) in examples.enumerate() {
            self.network.present(&self.parameters, &reals::<T>(cue), &reals::<T>(target));
            if is_checked {
                let tick = (place + 1) * ticks - 1;
                let expected =
                    vector.after_each_present_tick.get(tick).ok_or("after_each_present_tick: too short")?;
                self.check(&format!("after_each_present_tick[{tick}]"), expected)?;
            }
        }
        let (mut recalled, mut before) = (Vec::new(), Vec::new());
        let is_frozen = vector.config["recall"] == "frozen";
        for cue in &vector.recall_cues {
            let mut prediction = vec![T::ZERO; vector.snippets_target[0].len()];
            self.network.save(&mut before);
            self.network.recall(&self.parameters, &reals::<T>(cue), &mut prediction);
            if is_frozen {
                self.network.restore(&before);
            }
            recalled.extend(prediction);
        }
        if is_checked {
            let Synapses { forward, backward } = &vector.synapses_after_recalls;
            self.check_synapses("synapses_after_recalls", forward, backward)?;
        }
        Ok(recalled)
    }

    fn check(&self, what: &str, expected: &State) -> Result<(), String> {
        let states = self.network.form().options.body_states as usize;
        for (layer, bodies) in expected.bodies.iter().enumerate() {
            let what = format!("{what}.bodies[{layer}]");
            compare(&what, self.network.bodies(layer), &columns(&numbers(bodies), states))?;
        }
        self.check_synapses(what, &expected.forward, &expected.backward)
    }

    fn check_synapses(&self, what: &str, forward: &[Value], backward: &[Value]) -> Result<(), String> {
        let states = self.network.form().options.synapse_states as usize;
        let mut places = 0;
        for (place, synapses) in given(forward, backward).enumerate() {
            let expected = columns(&numbers(synapses), states);
            compare(&format!("{what}.synapses[{place}]"), self.network.synapses(place), &expected)?;
            places += 1;
        }
        let expected = self.network.synapse_layers();
        if places == expected { Ok(()) } else { Err(format!("{what}: {places} layers, not {expected}")) }
    }
}

/// All layers of synapses that are there, as a network holds them.
fn given<'a>(forward: &'a [Value], backward: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    forward.iter().chain(backward).filter(|synapses| !synapses.is_null())
}
