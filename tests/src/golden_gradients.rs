//! Golden vectors of differentiable rules: the files' format, and how a network runs them there and back.
//!
//! The format (`hebbian-extended-1`) holds the options, a genome, initial synapses or the draws that they are made of, batches and a
//! query, and what the definition says of states, losses and gradients. Neurons are `[example, neuron, state]`, synapses
//! `[n + 1, m, state]`, draws `[group or state, n, m]`.

use std::collections::BTreeMap;

use hebbian_learning::rule::multi_state::Real;
use hebbian_learning::rule::multi_state::differentiable::{
    AnswerLoss, DifferentiableNetwork, DifferentiableRule,
};
use hebbian_shared::genome::{Genome, GenomeLayout, Segment, Transform};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, FanIn, Feedback, Gates, GenomeScope, Hebbian, InitialScale, MultiStateSpec,
    StateActivations,
};
use hebbian_shared::spec::start::{PerLayer, StartSpec};
use serde::Deserialize;
use serde_json::Value;

use crate::golden::{Tensor, Tolerance};

/// What the key `format` says of these vectors.
pub const FORMAT: &str = "hebbian-extended-1";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    format: String,
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "description")]
    _description: String,
    layer_sizes: Vec<usize>,
    num_states: usize,
    batch_size: usize,
    query_size: usize,
    updates: usize,
    spec: BTreeMap<String, Value>,
    segments: Vec<WrittenSegment>,
    genome: Vec<f64>,
    parameters: BTreeMap<String, Tensor>,
    draws: Option<Draws>,
    initial_synapses: Vec<Tensor>,
    steps: Vec<Examples>,
    query: Examples,
    support_weights: Vec<f64>,
    query_weights: Vec<f64>,
    expected: Expected,
    sgd: Option<Sgd>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSegment {
    name: String,
    start: u32,
    shape: Vec<u32>,
    transform: WrittenTransform,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WrittenTransform {
    Affine { offset: f64, scale: f64 },
    Exp { factor: f64, scale: f64 },
    Decay { rate: f64, shift: f64 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draws {
    shared: Vec<Tensor>,
    own: Vec<Tensor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    input: Tensor,
    target: Tensor,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    after: Vec<After>,
    support_logits: Vec<Tensor>,
    query_logits: Vec<QueryLogits>,
    support_losses: Vec<f64>,
    query_losses: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    gradient_of_initial_synapses: Vec<Tensor>,
    ablations: Option<BTreeMap<String, Ablated>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    updates: usize,
    synapses: Vec<Tensor>,
    rates: Tensor,
    mean_squares: Tensor,
    layers: Option<Vec<Tensor>>,
    layers_after_forward: Option<Vec<Tensor>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryLogits {
    updates: usize,
    logits: Tensor,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ablated {
    loss: f64,
    query_logits: Tensor,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sgd {
    learning_rate: f64,
    heads: Vec<usize>,
    steps: Vec<SgdStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SgdStep {
    loss_before: f64,
    weights_after: BTreeMap<String, Vec<Tensor>>,
}

/// How far a computed number may be from the expected one.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    /// That times 1 + |expected|.
    pub values: f64,
    /// Of gradients: that times the largest of them.
    pub gradients: f64,
}

/// Runs the vector in `text` in the number type `T`, there and back. The error says what differs or why it cannot be run.
pub fn run<T: Real>(text: &str, tolerances: Tolerances) -> Result<(), String> {
    let vector: Vector = serde_json::from_str(text).map_err(|error| format!("is not a vector: {error}"))?;
    vector.validate()?;
    let options = vector.options()?;
    let hidden = vector.layer_sizes[1..vector.layer_sizes.len() - 1].iter().map(|&n| n as u32).collect();
    let network = NetworkSpec { hidden, ..NetworkSpec::default() };
    options.validate().and_then(|()| options.check_differentiable("a vector")).map_err(|e| e.to_string())?;
    let layout = options.layout(&network);
    let genome = Genome(vector.genome.clone());
    vector.check_layout(&layout, &genome)?;
    vector.check_backpropagation(&options, &network)?;
    let mut rule = DifferentiableRule::default();
    rule.read(options.backward_update, &layout, &genome).ok_or("the genome is of another layout")?;
    let batch_max = vector.batch_size.max(vector.query_size);
    let mut runner = Runner {
        network: DifferentiableNetwork::<T>::new(&options, &vector.layer_sizes, batch_max),
        vector: &vector,
        rule,
        tolerances,
    };
    runner.start(usize::MAX);
    runner.forward()?;
    let whole = runner.back(&layout, &genome, &options)?;
    runner.compare_gradient("gradient", &whole, &vector.expected.gradient)?;
    runner.compare_synapse_gradient()?;
    // In parts of two updates.
    if vector.draws.is_none() {
        runner.start(1);
        vector.steps.iter().for_each(|step| runner.update(step));
        if runner.back(&layout, &genome, &options)? != whole {
            return Err("the gradient in parts has other bits than as a whole".to_owned());
        }
    }
    runner.ablations()
}

impl Vector {
    /// Checks the shapes that the file claims, so that nothing panics on a malformed one.
    fn validate(&self) -> Result<(), String> {
        let require = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        require(self.format == FORMAT, "format is another one")?;
        require((2..=16).contains(&self.num_states), "num_states must be 2 to 16")?;
        require(
            self.layer_sizes.len() >= 2 && !self.layer_sizes.contains(&0),
            "layer_sizes must name layers",
        )?;
        let (k, t, last) = (self.num_states, self.updates, self.layer_sizes[self.layer_sizes.len() - 1]);
        let examples = |examples: &Examples, count: usize| {
            count > 0
                && examples.input.is(&[count, self.layer_sizes[0]])
                && examples.target.is(&[count, last])
        };
        require(t > 0 && self.steps.len() == t, "steps has another length")?;
        require(
            self.steps.iter().all(|step| examples(step, self.batch_size))
                && examples(&self.query, self.query_size),
            "examples have another shape",
        )?;
        require(
            self.support_weights.len() == t && self.query_weights.len() == t + 1,
            "weights have another length",
        )?;
        let synapses = |tensors: &[Tensor]| {
            tensors.len() + 1 == self.layer_sizes.len()
                && tensors
                    .iter()
                    .zip(self.layer_sizes.windows(2))
                    .all(|(tensor, pair)| tensor.is(&[pair[0] + 1, pair[1], k]))
        };
        let expected = &self.expected;
        require(synapses(&self.initial_synapses), "initial_synapses has another shape")?;
        require(synapses(&expected.gradient_of_initial_synapses), "their gradient has another shape")?;
        require(expected.gradient.len() == self.genome.len(), "expected.gradient has another length")?;
        require(
            expected.support_losses.len() == t && expected.query_losses.len() == t + 1,
            "losses have another length",
        )?;
        require(expected.after.iter().all(|after| synapses(&after.synapses)), "synapses have another shape")?;
        let layers = self.layer_sizes.len() - 1;
        require(
            expected.after.iter().all(|a| a.rates.is(&[layers, k]) && a.mean_squares.is(&[layers, k])),
            "rates or mean squares have another shape",
        )?;
        let neurons = |tensors: &Option<Vec<Tensor>>| {
            tensors.as_ref().is_none_or(|tensors| {
                tensors.len() == self.layer_sizes.len()
                    && tensors
                        .iter()
                        .zip(&self.layer_sizes)
                        .all(|(tensor, &n)| tensor.is(&[self.batch_size, n, k]))
            })
        };
        require(
            expected.after.iter().all(|a| neurons(&a.layers) && neurons(&a.layers_after_forward)),
            "layers have another shape",
        )?;
        let draws = self.draws.iter().all(|draws| {
            draws.shared.len() == layers
                && draws.own.len() == layers
                && self.layer_sizes.windows(2).zip(draws.shared.iter().zip(&draws.own)).all(
                    |(pair, (shared, own))| {
                        let groups = shared.shape.first().copied().unwrap_or(0);
                        shared.is(&[groups, pair[0], pair[1]]) && own.is(&[k, pair[0], pair[1]])
                    },
                )
        });
        require(draws, "draws have another shape")
    }

    /// The options; whatever is not known is refused.
    fn options(&self) -> Result<MultiStateSpec, String> {
        let mut options = MultiStateSpec {
            states: self.num_states as u8,
            last_layer_activation: Activation::Identity.into(),
            feedback: Feedback::SoftmaxDifference,
            symmetric_synapses: true,
            ..MultiStateSpec::default()
        };
        for (name, value) in &self.spec {
            let refuse = || format!("spec.{name} = {value} is not supported");
            let flag = || value.as_bool().ok_or_else(refuse);
            match name.as_str() {
                "per_layer_genome" => {
                    options.genome = if flag()? { GenomeScope::PerLayer } else { GenomeScope::Shared };
                }
                "gates" => {
                    options.gates = match value.as_str() {
                        Some("per_state") => Gates::PerState,
                        Some("scalar") => Gates::Scalar,
                        _ => return Err(refuse()),
                    }
                }
                "hebbian" => {
                    options.hebbian = match value.as_str() {
                        Some("mean") => Hebbian::Mean,
                        Some("sum") => Hebbian::Sum,
                        _ => return Err(refuse()),
                    }
                }
                "forward_activation" => options.forward_activation = activations(value).ok_or_else(refuse)?,
                "backward_activation" => {
                    options.backward_activation = activations(value).ok_or_else(refuse)?;
                }
                "backward_update" => {
                    options.backward_update = match value.as_str() {
                        Some("gated") => BackwardUpdate::Gated,
                        Some("additive") => BackwardUpdate::Additive,
                        Some("multiplicative_second_state") => BackwardUpdate::MultiplicativeSecondState,
                        Some("multiplicative") => BackwardUpdate::Multiplicative,
                        Some("none") => BackwardUpdate::None,
                        _ => return Err(refuse()),
                    }
                }
                "updatable_input" => {
                    let flags = (0..self.layer_sizes.len()).map(|layer| layer > 0);
                    options.updatable = flag()?.then(|| flags.map(|_| true).collect());
                }
                "synapse_mixing" => options.synapse_mixing = flag()?,
                "update_normalisation" => options.update_normalisation = flag()?,
                "update_schedule" => options.update_schedule = flag()?,
                "readout" => options.readout = flag()?,
                "loss_temperature" => options.loss_temperature = flag()?,
                "initial_scale" => {
                    options.initial_scale = Option::<InitialScale>::deserialize(value)
                        .map_err(|error| format!("{}: {error}", refuse()))?;
                }
                "fan_in" => {
                    options.fan_in = Option::<FanIn>::deserialize(value)
                        .map_err(|error| format!("{}: {error}", refuse()))?;
                }
                _ => return Err(refuse()),
            }
        }
        if options.initial_scale.is_some() != self.draws.is_some() {
            return Err("draws must be there with spec.initial_scale, and only then".to_owned());
        }
        Ok(options)
    }

    /// The layout is the file's, and its parameters are those of the genome.
    fn check_layout(&self, layout: &GenomeLayout, genome: &Genome) -> Result<(), String> {
        let written = |segment: &WrittenSegment| Segment {
            name: segment.name.clone(),
            start: segment.start,
            shape: segment.shape.clone(),
            transform: match segment.transform {
                WrittenTransform::Affine { offset, scale } => Transform::Affine { offset, scale },
                WrittenTransform::Exp { factor, scale } => Transform::Exp { factor, scale },
                WrittenTransform::Decay { rate, shift } => Transform::Decay { rate, shift },
            },
            initial_mean: 0.0,
        };
        let segments: Vec<Segment> = self.segments.iter().map(written).collect();
        if segments != layout.segments() {
            return Err(format!("segments are {segments:?}, but the layout's are {:?}", layout.segments()));
        }
        for (name, tensor) in &self.parameters {
            let found =
                layout.parameters(name, genome).ok_or_else(|| format!("parameters.{name} is no segment"))?;
            if found.len() != tensor.data.len() {
                return Err(format!("parameters.{name} has another length"));
            }
            for (index, (&found, &value)) in found.iter().zip(&tensor.data).enumerate() {
                Tolerance::Relative(1e-10).check(&format!("parameters.{name}"), index, found, value)?;
            }
        }
        Ok(())
    }

    /// The genome of a vector of descent is the one that this program writes.
    fn check_backpropagation(&self, options: &MultiStateSpec, network: &NetworkSpec) -> Result<(), String> {
        let Some(sgd) = &self.sgd else { return Ok(()) };
        let learning_rate = Some(PerLayer::All(sgd.learning_rate));
        let start = StartSpec { learning_rate, ..StartSpec::default() };
        let genome = options.backpropagation_genome(network, &start).map_err(|error| error.to_string())?;
        let mut pairs = genome.0.iter().zip(&self.genome).enumerate();
        pairs.try_for_each(|(index, (&found, &value))| {
            Tolerance::Relative(1e-12).check("the genome of backpropagation", index, found, value)
        })
    }
}

/// One word for all states, a list, or null for the identity.
fn activations(value: &Value) -> Option<StateActivations> {
    let words = Option::<StateActivations>::deserialize(value).ok()?;
    Some(words.unwrap_or_else(|| Activation::Identity.into()))
}

/// A network on its way through a vector.
struct Runner<'a, T> {
    vector: &'a Vector,
    rule: DifferentiableRule<T>,
    network: DifferentiableNetwork<T>,
    tolerances: Tolerances,
}

impl<T: Real> Runner<'_, T> {
    fn start(&mut self, numbers_max: usize) {
        let (k, updates) = (self.vector.num_states, self.vector.updates as u64);
        if let Some(Draws { shared, own }) = &self.vector.draws {
            let draws: Vec<[Vec<T>; 2]> =
                shared.iter().zip(own).map(|(shared, own)| [shared.to(), own.to()]).collect();
            let draws: Vec<[&[T]; 2]> = draws.iter().map(|[shared, own]| [&shared[..], &own[..]]).collect();
            self.network.start_from_draws(&self.rule, &draws, updates);
            return;
        }
        let initial = &self.vector.initial_synapses;
        let synapses = |layer: usize, state: usize| -> Vec<T> {
            let values = initial[layer].data[state..].iter().step_by(k);
            values.map(|&value| T::from_f64(value)).collect()
        };
        self.network.start_from_synapses(synapses, (updates, numbers_max));
    }

    fn update(&mut self, step: &Examples) {
        let (input, target) = (step.input.to::<T>(), step.target.to::<T>());
        self.network.update(&self.rule, &input, &target, self.vector.batch_size);
    }

    fn value(&self, what: &str, index: usize, found: f64, expected: f64) -> Result<(), String> {
        Tolerance::Relative(self.tolerances.values).check(what, index, found, expected)
    }

    /// All updates, with what is expected on the way.
    fn forward(&mut self) -> Result<(), String> {
        let vector = self.vector;
        self.compare_synapses("initial_synapses", &vector.initial_synapses)?;
        self.query(0)?;
        for (t, step) in vector.steps.iter().enumerate() {
            self.update(step);
            let measured = [0, 1, vector.updates - 1];
            let mut measured: Vec<usize> = measured.into_iter().filter(|&t| t < vector.updates).collect();
            measured.dedup();
            if let Some(logits) =
                measured.iter().position(|&m| m == t).and_then(|p| vector.expected.support_logits.get(p))
            {
                let found = self.network.logits().ok_or("there are no logits")?.to_vec();
                self.compare_matrix(&format!("support_logits[{t}]"), logits, &found, vector.batch_size)?;
            }
            for after in vector.expected.after.iter().filter(|after| after.updates == t + 1) {
                self.after(after).map_err(|problem| format!("after {} updates: {problem}", t + 1))?;
            }
            if let Some(step) = vector.sgd.as_ref().map(|sgd| (&sgd.heads[..], &sgd.steps[t])) {
                self.compare_sgd(step).map_err(|problem| format!("sgd step {t}: {problem}"))?;
            }
            self.query(t + 1)?;
        }
        if self.network.is_finite() { Ok(()) } else { Err("the network is not finite".to_owned()) }
    }

    fn after(&self, after: &After) -> Result<(), String> {
        let k = self.vector.num_states;
        self.compare_synapses("synapses", &after.synapses)?;
        for (index, (&rate, &mean_square)) in
            after.rates.data.iter().zip(&after.mean_squares.data).enumerate()
        {
            let (layer, state) = (index / k, index % k);
            self.value("rates", index, self.network.rate(&self.rule, layer, state), rate)?;
            let sums = self.network.hebbian_sums(layer, state).ok_or("there are no Hebbian sums")?;
            let squares: f64 = sums.iter().map(|x| x.to_f64() * x.to_f64()).sum();
            self.value("mean_squares", index, squares / sums.len() as f64 + 1e-10, mean_square)?;
        }
        let layers =
            [("layers", &after.layers, true), ("layers_after_forward", &after.layers_after_forward, false)];
        for (what, expected, after_backward) in layers {
            for (layer, tensor) in expected.iter().flatten().enumerate() {
                for (index, &value) in tensor.data.iter().enumerate() {
                    let (state, cell) = (index % k, index / k);
                    let neurons = self.vector.layer_sizes[layer];
                    let found = if after_backward {
                        self.network.neurons(layer, state)
                    } else {
                        self.network.neurons_after_forward(layer, state)
                    };
                    // What nothing reads is not computed.
                    let Some(found) = found else { continue };
                    let place = cell % neurons * self.vector.batch_size + cell / neurons;
                    self.value(&format!("{what}[{layer}]"), index, found[place].to_f64(), value)?;
                }
            }
        }
        Ok(())
    }

    fn query(&mut self, updates: usize) -> Result<(), String> {
        let (vector, outputs) = (self.vector, self.vector.layer_sizes[self.vector.layer_sizes.len() - 1]);
        for expected in vector.expected.query_logits.iter().filter(|logits| logits.updates == updates) {
            let mut found = vec![T::ZERO; vector.query_size * outputs];
            self.network.predict(&self.rule, &vector.query.input.to::<T>(), vector.query_size, &mut found);
            for (index, (found, &value)) in found.iter().zip(&expected.logits.data).enumerate() {
                self.value(&format!("query_logits after {updates}"), index, found.to_f64(), value)?;
            }
        }
        Ok(())
    }

    /// `[neuron, example]` against `[example, neuron]`.
    fn compare_matrix(&self, what: &str, expected: &Tensor, found: &[T], batch: usize) -> Result<(), String> {
        let neurons = found.len() / batch;
        for (index, &value) in expected.data.iter().enumerate() {
            let place = index % neurons * batch + index / neurons;
            self.value(what, index, found[place].to_f64(), value)?;
        }
        Ok(())
    }

    fn compare_synapses(&self, what: &str, expected: &[Tensor]) -> Result<(), String> {
        let k = self.vector.num_states;
        for (layer, tensor) in expected.iter().enumerate() {
            for (index, &value) in tensor.data.iter().enumerate() {
                let found = self.network.synapses(layer, index % k)[index / k].to_f64();
                self.value(&format!("{what}[{layer}]"), index, found, value)?;
            }
        }
        Ok(())
    }

    /// In both states of every pair, synapses are the weights of a perceptron that descends.
    fn compare_sgd(&self, (heads, step): (&[usize], &SgdStep)) -> Result<(), String> {
        for head in heads {
            let weights = step.weights_after.get(&head.to_string()).ok_or("weights_after lacks a head")?;
            for (layer, weights) in weights.iter().enumerate() {
                for state in [*head, head + 1] {
                    let found = self.network.synapses(layer, state);
                    for (index, &value) in weights.data.iter().enumerate() {
                        let what = format!("weights_after[{head}][{layer}] in state {state}");
                        self.value(&what, index, found[index].to_f64(), value)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The way back: losses, and the gradient.
    fn back(
        &mut self,
        layout: &GenomeLayout,
        genome: &Genome,
        options: &MultiStateSpec,
    ) -> Result<Vec<f64>, String> {
        let vector = self.vector;
        let query = (vector.query.input.to::<T>(), vector.query.target.to::<T>());
        let mut total = 0.0;
        self.network.begin_walk(&self.rule);
        for t in (0..=vector.updates).rev() {
            let weight = vector.query_weights[t];
            let examples = (&query.0[..], &query.1[..]);
            let loss = self.network.measure(
                &self.rule,
                examples,
                vector.query_size,
                (AnswerLoss::CrossEntropy, weight),
            );
            self.value("query_losses", t, loss, vector.expected.query_losses[t])?;
            total += weight * loss;
            let Some(t) = t.checked_sub(1) else { break };
            let (_, again) = self.network.before();
            if !again.is_empty() {
                self.network.restore();
                again.for_each(|update| self.update(&vector.steps[update as usize]));
            }
            let weight = vector.support_weights[t];
            let target = vector.steps[t].target.to::<T>();
            let measured = Some((AnswerLoss::CrossEntropy, weight));
            let loss = self.network.step_back(&self.rule, &target, vector.batch_size, measured);
            self.value("support_losses", t, loss, vector.expected.support_losses[t])?;
            if let Some(sgd) = &vector.sgd {
                self.value("loss_before", t, loss, sgd.steps[t].loss_before)?;
            }
            total += weight * loss;
        }
        self.value("loss", 0, total, vector.expected.loss)?;
        let mut gradient = vec![0.0; vector.genome.len()];
        self.network.finish_walk(&self.rule, options.backward_update, (layout, genome), &mut gradient);
        Ok(gradient)
    }

    fn compare_gradient(&self, what: &str, found: &[f64], expected: &[f64]) -> Result<(), String> {
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let tolerance = Tolerance::Absolute(self.tolerances.gradients * largest);
        let mut pairs = found.iter().zip(expected).enumerate();
        pairs.try_for_each(|(index, (&found, &value))| tolerance.check(what, index, found, value))
    }

    fn compare_synapse_gradient(&self) -> Result<(), String> {
        let (k, expected) = (self.vector.num_states, &self.vector.expected.gradient_of_initial_synapses);
        let all = |of: &dyn Fn(usize, usize, f64) -> f64| -> Vec<f64> {
            let layers = expected.iter().enumerate();
            layers
                .flat_map(|(layer, tensor)| {
                    tensor.data.iter().enumerate().map(move |(index, &x)| (layer, index, x))
                })
                .map(|(layer, index, value)| of(layer, index, value))
                .collect()
        };
        let found =
            all(&|layer, index, _| self.network.synapse_gradient(layer, index % k)[index / k].to_f64());
        self.compare_gradient("gradient_of_initial_synapses", &found, &all(&|_, _, value| value))
    }

    /// The weighted losses, measured on the way forward.
    fn forward_losses(&mut self) -> f64 {
        let vector = self.vector;
        self.network.begin_walk(&self.rule);
        let mut total = 0.0;
        let measure =
            |network: &mut DifferentiableNetwork<T>, rule: &_, examples: &Examples, count, weight: f64| {
                let (input, target) = (examples.input.to::<T>(), examples.target.to::<T>());
                weight * network.measure(rule, (&input, &target), count, (AnswerLoss::CrossEntropy, 0.0))
            };
        for (t, &weight) in vector.query_weights.iter().enumerate() {
            let Self { network, rule, .. } = self;
            total += measure(network, rule, &vector.query, vector.query_size, weight);
            let Some(step) = vector.steps.get(t) else { break };
            total += measure(network, rule, step, vector.batch_size, vector.support_weights[t]);
            self.update(step);
        }
        total
    }

    /// What is left of the rule without a part of it.
    fn ablations(&mut self) -> Result<(), String> {
        let vector = self.vector;
        for (name, expected) in vector.expected.ablations.iter().flatten() {
            let mut rule = self.rule.clone();
            match name.as_str() {
                "no_backward" => rule.without_backward_transform(),
                "frozen_hidden" => self.network.freeze_hidden(true),
                _ => return Err(format!("ablations.{name} is not supported")),
            }
            std::mem::swap(&mut self.rule, &mut rule);
            self.start(usize::MAX);
            let loss = self.forward_losses();
            self.value(&format!("ablations.{name}.loss"), 0, loss, expected.loss)?;
            let last = vector.layer_sizes[vector.layer_sizes.len() - 1];
            let mut logits = vec![T::ZERO; vector.query_size * last];
            self.network.predict(&self.rule, &vector.query.input.to::<T>(), vector.query_size, &mut logits);
            for (index, (found, &value)) in logits.iter().zip(&expected.query_logits.data).enumerate() {
                self.value(&format!("ablations.{name}.query_logits"), index, found.to_f64(), value)?;
            }
            self.network.freeze_hidden(false);
            std::mem::swap(&mut self.rule, &mut rule);
        }
        Ok(())
    }
}
