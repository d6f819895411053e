//! Golden vectors of the multi-state network: the files' format, and how a network runs them.
//!
//! The format (`blur-golden-1`) holds the options, the raw parameters of an update rule, initial synapses, some steps
//! and, after each, everything that the definition says. Layers are `[example, neuron, state]`, forward synapses
//! `[n + 1, m, state]`, backward synapses `[m, n + 1, state]`.

use std::collections::BTreeMap;

use hebbian_shared::spec::rule::{
    Activation, BackwardUpdate, Feedback, Gates, Hebbian, RuleSpec, StateActivations,
};
use hebbian_worker::network::{BackwardBlock, BackwardPass, Network, Plan, Real, UpdateRule};
use serde::Deserialize;
use serde_json::Value;

/// A row-major tensor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    format: String,
    id: String,
    #[serde(rename = "group")]
    _group: String,
    #[serde(rename = "description")]
    _description: String,
    expected_dtype: String,
    spec: BTreeMap<String, Value>,
    layer_sizes: Vec<usize>,
    num_states: usize,
    batch_size: usize,
    updatable: Vec<bool>,
    needs_full_synapse_matrix: bool,
    genome: BTreeMap<String, Tensor>,
    initial_synapses: InitialSynapses,
    steps: Vec<Step>,
    validation: Step,
    sgd: Option<Sgd>,
    #[serde(rename = "float32_reference_max_abs_error")]
    _float32_reference_max_abs_error: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InitialSynapses {
    forward: Vec<Tensor>,
    backward: Vec<Tensor>,
    #[serde(rename = "full")]
    _full: Vec<Tensor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    input: Tensor,
    target: Tensor,
    #[serde(rename = "step")]
    _index: Option<u64>,
    backward_pass_neurons: bool,
    backward_pass_synapses: bool,
    expected: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    layers_after_forward: Vec<Tensor>,
    layers: Vec<Tensor>,
    forward_synapses: Vec<Tensor>,
    backward_synapses: Vec<Tensor>,
    prediction: Option<Tensor>,
    l2_score: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sgd {
    #[serde(rename = "hidden_activation")]
    _hidden_activation: Value,
    #[serde(rename = "last_activation")]
    _last_activation: Value,
    loss: String,
    learning_rate: f64,
    steps: Vec<SgdStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SgdStep {
    loss_before: f64,
    gradients: Vec<Tensor>,
    weights_after: Vec<Tensor>,
}

/// Whether everything is computed and compared, or only what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Everything.
    Full,
    /// What is read.
    Lean,
}

/// Runs the vector in `text` in the number type `T` and compares within `tolerance * (1 + |expected|)`, with
/// `relative` false within `tolerance`. The error says what differs or why the vector cannot be run.
pub fn run<T: Real>(text: &str, coverage: Coverage, tolerance: Tolerance) -> Result<(), String> {
    let vector: Vector = serde_json::from_str(text).map_err(|error| format!("is not a vector: {error}"))?;
    vector.validate()?;
    let options = rule_spec(&vector)?;
    let rule = update_rule::<T>(&vector)?;
    let plan = match coverage {
        Coverage::Full => Plan::full(&vector.updatable),
        Coverage::Lean => Plan::lean(&vector.updatable),
    };
    let mut runner = Runner {
        network: Network::with_plan(&options, &vector.layer_sizes, vector.batch_size, plan),
        vector: &vector,
        rule,
        tolerance,
    };
    runner.load_synapses()?;
    for (index, step) in vector.steps.iter().enumerate() {
        runner.step(step).map_err(|problem| format!("step {index}: {problem}"))?;
        if let Some(sgd) = &vector.sgd {
            runner.compare_sgd(sgd, index).map_err(|problem| format!("sgd step {index}: {problem}"))?;
        }
    }
    runner.validate_prediction().map_err(|problem| format!("validation: {problem}"))
}

/// How far a computed value may be from the expected one.
#[derive(Clone, Copy, Debug)]
pub enum Tolerance {
    /// That far.
    Absolute(f64),
    /// That times 1 + |expected|.
    Relative(f64),
}

impl Tolerance {
    fn check(self, what: &str, index: usize, found: f64, expected: f64) -> Result<(), String> {
        let allowed = match self {
            Self::Absolute(bound) => bound,
            Self::Relative(factor) => factor * (1.0 + expected.abs()),
        };
        let difference = (found - expected).abs();
        if difference <= allowed {
            return Ok(());
        }
        Err(format!("{what}[{index}] is {found:e}, not {expected:e} (they differ by {difference:.1e})"))
    }
}

impl Vector {
    /// Checks the shapes that the file claims, so that nothing panics on a malformed one.
    fn validate(&self) -> Result<(), String> {
        let require =
            |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{}: {what}", self.id)) };
        require(self.format == "blur-golden-1", "format is not blur-golden-1")?;
        require(self.expected_dtype == "float64", "expected_dtype is not float64")?;
        require(!self.needs_full_synapse_matrix, "full synapse matrices are not supported")?;
        require((1..=16).contains(&self.num_states), "num_states must be 1 to 16")?;
        require(
            self.layer_sizes.len() >= 2 && !self.layer_sizes.contains(&0),
            "layer_sizes must name layers",
        )?;
        require(self.batch_size > 0, "batch_size must be positive")?;
        require(self.updatable.len() == self.layer_sizes.len(), "updatable has another length")?;
        require(!self.steps.is_empty(), "steps is empty")?;
        let (k, b) = (self.num_states, self.batch_size);
        let layers = |tensors: &[Tensor]| {
            tensors.len() == self.layer_sizes.len()
                && tensors.iter().zip(&self.layer_sizes).all(|(tensor, &n)| tensor.is(&[b, n, k]))
        };
        let forward = |tensors: &[Tensor]| {
            tensors.len() + 1 == self.layer_sizes.len()
                && tensors
                    .iter()
                    .zip(self.layer_sizes.windows(2))
                    .all(|(tensor, pair)| tensor.is(&[pair[0] + 1, pair[1], k]))
        };
        let backward = |tensors: &[Tensor]| {
            tensors.len() + 1 == self.layer_sizes.len()
                && tensors
                    .iter()
                    .zip(self.layer_sizes.windows(2))
                    .all(|(tensor, pair)| tensor.is(&[pair[1], pair[0] + 1, k]))
        };
        let (first, last) = (self.layer_sizes[0], self.layer_sizes[self.layer_sizes.len() - 1]);
        require(forward(&self.initial_synapses.forward), "initial_synapses.forward has another shape")?;
        require(backward(&self.initial_synapses.backward), "initial_synapses.backward has another shape")?;
        for step in self.steps.iter().chain([&self.validation]) {
            let expected = &step.expected;
            require(step.input.is(&[b, first]) && step.target.is(&[b, last]), "a batch has another shape")?;
            require(
                layers(&expected.layers) && layers(&expected.layers_after_forward),
                "expected layers have another shape",
            )?;
            require(
                forward(&expected.forward_synapses) && backward(&expected.backward_synapses),
                "expected synapses have another shape",
            )?;
        }
        let validation = &self.validation;
        require(
            !validation.backward_pass_neurons && !validation.backward_pass_synapses,
            "the validation step has a backward pass",
        )?;
        require(
            validation.expected.prediction.as_ref().is_some_and(|tensor| tensor.is(&[b, last])),
            "validation.expected.prediction is missing or has another shape",
        )?;
        require(validation.expected.l2_score.is_some(), "validation.expected.l2_score is missing")?;
        if let Some(sgd) = &self.sgd {
            require(k == 2, "sgd needs two states")?;
            require(sgd.steps.len() == self.steps.len(), "sgd.steps has another length")?;
            let weights = |tensors: &[Tensor]| {
                tensors.len() + 1 == self.layer_sizes.len()
                    && tensors
                        .iter()
                        .zip(self.layer_sizes.windows(2))
                        .all(|(tensor, pair)| tensor.is(&[pair[0] + 1, pair[1]]))
            };
            for step in &sgd.steps {
                require(weights(&step.gradients) && weights(&step.weights_after), "sgd has another shape")?;
            }
        }
        Ok(())
    }
}

impl Tensor {
    fn is(&self, shape: &[usize]) -> bool {
        self.shape == shape && self.data.len() == shape.iter().product::<usize>()
    }

    fn to<T: Real>(&self) -> Vec<T> {
        self.data.iter().map(|&value| T::from_f64(value)).collect()
    }
}

/// The options of a vector; whatever is not known or not built is refused.
fn rule_spec(vector: &Vector) -> Result<RuleSpec, String> {
    const OFF: [&str; 7] = [
        "synapse_normalization",
        "oja",
        "saturation_type",
        "per_layer_genome",
        "forward_synapse_update",
        "use_forward_activations_for_synapse_update",
        "supervised_every",
    ];
    let mut spec = RuleSpec {
        states: vector.num_states as u8,
        gates: Gates::PerState,
        hebbian: Hebbian::Sum,
        ..RuleSpec::default()
    };
    let required = [
        "forward_activation",
        "backward_activation",
        "last_layer_activation",
        "synapse_activation",
        "backward_update",
        "zero_out_neurons",
        "symmetric_in_out_synapses",
        "symmetric_states_synapses",
        "feedback",
    ];
    if let Some(missing) = required.iter().find(|name| !vector.spec.contains_key(**name)) {
        return Err(format!("spec.{missing} is missing"));
    }
    for (name, value) in &vector.spec {
        let refuse = || format!("spec.{name} = {value} is not supported");
        match name.as_str() {
            "forward_activation" => spec.forward_activation = activations(value).ok_or_else(refuse)?,
            "backward_activation" => spec.backward_activation = activations(value).ok_or_else(refuse)?,
            "last_layer_activation" => spec.last_layer_activation = activations(value).ok_or_else(refuse)?,
            "synapse_activation" => spec.synapse_activation = activations(value).ok_or_else(refuse)?,
            "backward_update" => {
                spec.backward_update = match value.as_str() {
                    Some("additive") => BackwardUpdate::Additive,
                    Some("multiplicative_second_state") => BackwardUpdate::MultiplicativeSecondState,
                    _ => return Err(refuse()),
                }
            }
            "feedback" => {
                spec.feedback = match value.as_str() {
                    Some("concat_groundtruth") => Feedback::ConcatGroundTruth,
                    Some("replace_state0") => Feedback::ReplaceState0,
                    Some("difference") => Feedback::Difference,
                    Some("difference_times_second_state") => Feedback::DifferenceTimesSecondState,
                    Some("softmax_difference") => Feedback::SoftmaxDifference,
                    _ => return Err(refuse()),
                }
            }
            "zero_out_neurons" => spec.zero_out_neurons = value.as_bool().ok_or_else(refuse)?,
            "symmetric_in_out_synapses" => spec.symmetric_synapses = value.as_bool().ok_or_else(refuse)?,
            "symmetric_states_synapses" => spec.symmetric_states = value.as_bool().ok_or_else(refuse)?,
            // Only a saturation that is refused below would use it.
            "saturation_eps" if value.is_null() || value.is_number() => {}
            // These two words mean what null means: no saturation.
            "saturation_type" if matches!(value.as_str(), Some("disabled" | "normalization")) => {}
            name if OFF.contains(&name) && (value.is_null() || value == &Value::Bool(false)) => {}
            _ => return Err(refuse()),
        }
    }
    spec.validate().map_err(|error| error.to_string())?;
    Ok(spec)
}

fn activations(value: &Value) -> Option<StateActivations> {
    match value {
        Value::Null => Some(Activation::Identity.into()),
        Value::String(_) => serde_json::from_value(value.clone()).ok().map(StateActivations::All),
        Value::Object(entries) if entries.len() == 1 => {
            serde_json::from_value(entries.get("per_state")?.clone()).ok().map(StateActivations::PerState)
        }
        _ => None,
    }
}

fn update_rule<T: Real>(vector: &Vector) -> Result<UpdateRule<T>, String> {
    const NAMES: [&str; 10] = [
        "neuron/transform",
        "neuron/keep",
        "neuron/update",
        "synapse/transform/pre",
        "synapse/transform/post",
        "synapse/keep",
        "synapse/update",
        // Without Oja's term, saturation and normalisation, the definition does not use these.
        "synapse/transform/ojas_multiplier",
        "synapse/saturation",
        "synapse/rescale_to",
    ];
    let k = vector.num_states;
    if let Some(name) = vector.genome.keys().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(format!("genome.{name} is not supported"));
    }
    let tensor = |name: &str| vector.genome.get(name).ok_or_else(|| format!("genome.{name} is missing"));
    let matrix = |name: &str, side: usize| -> Result<Vec<T>, String> {
        let tensor = tensor(name)?;
        if tensor.is(&[side, side]) {
            Ok(tensor.to())
        } else {
            Err(format!("genome.{name} has another shape"))
        }
    };
    let gate = |name: &str| -> Result<Vec<T>, String> {
        let tensor = tensor(name)?;
        if tensor.is(&[]) {
            Ok(vec![T::from_f64(tensor.data[0]); k])
        } else if tensor.is(&[k]) {
            Ok(tensor.to())
        } else {
            Err(format!("genome.{name} has another shape"))
        }
    };
    let both = matrix("neuron/transform", 2 * k)?;
    let block = |row: usize, column: usize| -> Vec<T> {
        (0..k * k).map(|index| both[(row + index / k) * 2 * k + column + index % k]).collect()
    };
    Ok(UpdateRule {
        states: k,
        forward_transform: block(0, k),
        backward_transform: block(k, 0),
        hebbian_pre: matrix("synapse/transform/pre", k)?,
        hebbian_post: matrix("synapse/transform/post", k)?,
        neuron_keep: gate("neuron/keep")?,
        neuron_update: gate("neuron/update")?,
        synapse_keep: gate("synapse/keep")?,
        synapse_update: gate("synapse/update")?,
    })
}

/// A network on its way through a vector.
struct Runner<'a, T> {
    vector: &'a Vector,
    rule: UpdateRule<T>,
    network: Network<T>,
    tolerance: Tolerance,
}

impl<T: Real> Runner<'_, T> {
    fn load_synapses(&mut self) -> Result<(), String> {
        let (initial, k) = (&self.vector.initial_synapses, self.vector.num_states);
        for layer in 0..initial.forward.len() {
            for state in 0..k {
                let state_of = |tensor: &Tensor| -> Vec<T> {
                    tensor.data[state..].iter().step_by(k).map(|&value| T::from_f64(value)).collect()
                };
                let forward = self.network.forward_synapses_mut(layer, state);
                forward.copy_from_slice(&state_of(&initial.forward[layer]));
                if let Some(backward) = self.network.backward_synapses_mut(layer, state) {
                    backward.copy_from_slice(&state_of(&initial.backward[layer]));
                }
            }
        }
        if self.network.is_finite() { Ok(()) } else { Err("initial synapses are not finite".to_owned()) }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.network.forward(&self.rule, &step.input.to::<T>(), self.vector.batch_size);
        self.compare_layers("layers_after_forward", &step.expected.layers_after_forward)?;
        let pass =
            BackwardPass { neurons: step.backward_pass_neurons, synapses: step.backward_pass_synapses };
        self.network.backward(&self.rule, &step.target.to::<T>(), pass);
        self.compare_layers("layers", &step.expected.layers)?;
        self.compare_synapses(&step.expected)
    }

    fn compare_layers(&self, what: &str, expected: &[Tensor]) -> Result<(), String> {
        let (k, batch) = (self.vector.num_states, self.vector.batch_size);
        for (layer, tensor) in expected.iter().enumerate() {
            let what = format!("{what}[{layer}]");
            for (index, &value) in tensor.data.iter().enumerate() {
                let (state, cell) = (index % k, index / k);
                let (example, neuron) =
                    (cell / self.vector.layer_sizes[layer], cell % self.vector.layer_sizes[layer]);
                let found = self.network.neurons(layer, state)[neuron * batch + example];
                self.tolerance.check(&what, index, found.to_f64(), value)?;
            }
        }
        Ok(())
    }

    fn compare_synapses(&self, expected: &Expected) -> Result<(), String> {
        let k = self.vector.num_states;
        for (layer, tensor) in expected.forward_synapses.iter().enumerate() {
            let what = format!("forward_synapses[{layer}]");
            for (index, &value) in tensor.data.iter().enumerate() {
                let found = self.network.forward_synapses(layer, index % k)[index / k];
                self.tolerance.check(&what, index, found.to_f64(), value)?;
            }
        }
        for (layer, tensor) in expected.backward_synapses.iter().enumerate() {
            let what = format!("backward_synapses[{layer}]");
            let block = self.network.plan().backward_block(layer);
            let columns = self.vector.layer_sizes[layer] + 1;
            for (index, &value) in tensor.data.iter().enumerate() {
                let is_bias = (index / k) % columns == columns - 1;
                if block == BackwardBlock::Absent || (block == BackwardBlock::WithoutBias && is_bias) {
                    continue;
                }
                let found = self
                    .network
                    .backward_synapses(layer, index % k)
                    .ok_or_else(|| format!("{what} is absent although the plan keeps it"))?[index / k];
                self.tolerance.check(&what, index, found.to_f64(), value)?;
            }
        }
        Ok(())
    }

    /// The vector's claim that this genome is gradient descent, against the trace of automatic differentiation: the
    /// weights, the loss before the step, and the gradient as the change of the weights.
    fn compare_sgd(&self, sgd: &Sgd, index: usize) -> Result<(), String> {
        let step = &sgd.steps[index];
        for (layer, weights) in step.weights_after.iter().enumerate() {
            let outputs = self.vector.layer_sizes[layer + 1];
            for state in 0..2 {
                let forward = self.network.forward_synapses(layer, state);
                for (place, (&found, &value)) in forward.iter().zip(&weights.data).enumerate() {
                    self.tolerance.check(&format!("weights_after[{layer}]"), place, found.to_f64(), value)?;
                }
                let Some(backward) = self.network.backward_synapses(layer, state) else { continue };
                let inputs = self.vector.layer_sizes[layer];
                let kept = match self.network.plan().backward_block(layer) {
                    BackwardBlock::Whole => inputs + 1,
                    _ => inputs,
                };
                for i in 0..kept {
                    for j in 0..outputs {
                        let (found, value) = (backward[j * (inputs + 1) + i], weights.data[i * outputs + j]);
                        self.tolerance.check(
                            "transposed weights_after",
                            i * outputs + j,
                            found.to_f64(),
                            value,
                        )?;
                    }
                }
            }
            let before = match index {
                0 => &self.vector.initial_synapses.forward[layer].data,
                _ => &self.vector.steps[index - 1].expected.forward_synapses[layer].data,
            };
            for (place, &gradient) in step.gradients[layer].data.iter().enumerate() {
                let after = self.network.forward_synapses(layer, 0)[place].to_f64();
                let step_taken = before[2 * place] - after;
                let expected = sgd.learning_rate * gradient;
                self.tolerance.check(
                    &format!("step along gradients[{layer}]"),
                    place,
                    step_taken,
                    expected,
                )?;
            }
        }
        let loss = self.loss(sgd, index)?;
        let allowed = match self.tolerance {
            Tolerance::Absolute(bound) => Tolerance::Relative(bound),
            relative @ Tolerance::Relative(_) => relative,
        };
        allowed.check("loss_before", 0, loss, step.loss_before)
    }

    /// The loss of state 0 of the last layer, which the backward pass of these genomes leaves as it was.
    fn loss(&self, sgd: &Sgd, index: usize) -> Result<f64, String> {
        let last = self.vector.layer_sizes.len() - 1;
        let (outputs, batch) = (self.vector.layer_sizes[last], self.vector.batch_size);
        let predicted = self.network.neurons(last, 0);
        let target = &self.vector.steps[index].target.data;
        let mut loss = 0.0;
        for b in 0..batch {
            let y: Vec<f64> = (0..outputs).map(|j| predicted[j * batch + b].to_f64()).collect();
            let t = &target[b * outputs..(b + 1) * outputs];
            loss += match sgd.loss.as_str() {
                "half_sum_squared" => y.iter().zip(t).map(|(y, t)| 0.5 * (y - t).powi(2)).sum::<f64>(),
                "sum_softmax_cross_entropy" => {
                    let log_sum = y.iter().map(|y| y.exp()).sum::<f64>().ln();
                    y.iter().zip(t).map(|(y, t)| t * (log_sum - y)).sum::<f64>()
                }
                other => return Err(format!("sgd.loss = {other} is not supported")),
            };
        }
        Ok(loss)
    }

    /// The validation step, and the prediction of a network whose neurons start from zero.
    fn validate_prediction(&mut self) -> Result<(), String> {
        let step = &self.vector.validation;
        let expected = &step.expected;
        let (Some(prediction), Some(score)) = (&expected.prediction, expected.l2_score) else {
            return Err("prediction and l2_score are missing".to_owned());
        };
        let mut fresh = vec![T::ZERO; prediction.data.len()];
        self.network.predict(&self.rule, &step.input.to::<T>(), self.vector.batch_size, &mut fresh);
        self.step(step)?;
        let last = self.vector.layer_sizes.len() - 1;
        let outputs = self.vector.layer_sizes[last];
        let state = self.network.neurons(last, 0);
        let carried: Vec<T> = (0..fresh.len())
            .map(|index| state[index % outputs * self.vector.batch_size + index / outputs])
            .collect();
        let zeroed = self.vector.spec.get("zero_out_neurons") == Some(&Value::Bool(true));
        let mut error = 0.0;
        for (index, &value) in prediction.data.iter().enumerate() {
            self.tolerance.check("prediction", index, carried[index].to_f64(), value)?;
            if zeroed {
                self.tolerance.check("predict()", index, fresh[index].to_f64(), value)?;
            }
            error += (carried[index].to_f64() - step.target.data[index]).powi(2);
        }
        self.tolerance.check("l2_score", 0, -error / prediction.data.len() as f64, score)
    }
}
