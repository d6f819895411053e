//! Golden vectors of the multi-state network: the files' format, and how a network runs them.
//!
//! The format (`blur-golden-1`) holds the options, the raw parameters of an update rule, initial synapses, some steps
//! and, after each, everything that the definition says. Layers are `[example, neuron, state]`, forward synapses
//! `[n + 1, m, state]`, backward synapses `[m, n + 1, state]`, full matrices `[n + 1 + m, n + 1 + m, state]`.

use std::collections::BTreeMap;
use std::ops::Range;

use hebbian_learning::rule::multi_state::{
    BackwardBlock, BackwardPass, Network, Plan, Real, SynapseRule, UpdateRule, WithinBlocks,
};
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, Gates, GenomeScope, Hebbian, MultiStateSpec,
    Normalisation, Oja, Saturation, StateActivations,
};
use serde::Deserialize;
use serde_json::Value;

/// A row-major tensor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
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
    full: Vec<Tensor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    input: Tensor,
    target: Tensor,
    #[serde(rename = "step")]
    index: Option<u64>,
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
    full_synapses: Option<Vec<Tensor>>,
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
    let rule = update_rule::<T>(&vector, &options)?;
    let plan = match coverage {
        Coverage::Full => Plan::full(&options, vector.layer_sizes.len()),
        Coverage::Lean => Plan::lean(&options, vector.layer_sizes.len()),
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
    pub(crate) fn check(self, what: &str, index: usize, found: f64, expected: f64) -> Result<(), String> {
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
        let full = |tensors: &[Tensor]| {
            tensors.len() + 1 == self.layer_sizes.len()
                && tensors.iter().zip(self.layer_sizes.windows(2)).all(|(tensor, pair)| {
                    let side = pair[0] + 1 + pair[1];
                    tensor.is(&[side, side, k])
                })
        };
        let (first, last) = (self.layer_sizes[0], self.layer_sizes[self.layer_sizes.len() - 1]);
        require(forward(&self.initial_synapses.forward), "initial_synapses.forward has another shape")?;
        require(backward(&self.initial_synapses.backward), "initial_synapses.backward has another shape")?;
        require(full(&self.initial_synapses.full), "initial_synapses.full has another shape")?;
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
            require(
                expected.full_synapses.as_deref().is_none_or(full),
                "expected.full_synapses has another shape",
            )?;
        }
        require(
            !self.needs_full_synapse_matrix
                || self.steps.iter().all(|step| step.expected.full_synapses.is_some()),
            "expected.full_synapses is missing",
        )?;
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
    pub(crate) fn is(&self, shape: &[usize]) -> bool {
        self.shape == shape && self.data.len() == shape.iter().product::<usize>()
    }

    pub(crate) fn to<T: Real>(&self) -> Vec<T> {
        self.data.iter().map(|&value| T::from_f64(value)).collect()
    }
}

/// The options of a vector; whatever is not known is refused.
fn rule_spec(vector: &Vector) -> Result<MultiStateSpec, String> {
    let has_own = vector.genome.keys().any(|name| name.starts_with("forward_synapse/"));
    let mut spec = MultiStateSpec {
        states: vector.num_states as u8,
        gates: Gates::PerState,
        hebbian: Hebbian::Sum,
        updatable: Some(vector.updatable.clone()),
        ..MultiStateSpec::default()
    };
    let epsilon = vector.spec.get("saturation_eps").and_then(Value::as_f64);
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
                    Some("multiplicative") => BackwardUpdate::Multiplicative,
                    Some("none") => BackwardUpdate::None,
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
            "synapse_normalization" => spec.normalisation = normalisation(value).ok_or_else(refuse)?,
            "oja" => spec.oja = oja(value).ok_or_else(refuse)?,
            "saturation_type" => {
                spec.saturation = match value.as_str() {
                    Some("exp_update") => {
                        Some(Saturation { epsilon: epsilon.ok_or("spec.saturation_eps must be a number")? })
                    }
                    // These two words mean what null means: no saturation.
                    Some("disabled" | "normalization") => None,
                    _ if value.is_null() => None,
                    _ => return Err(refuse()),
                }
            }
            // Read with the type.
            "saturation_eps" if value.is_null() || value.is_number() => {}
            "per_layer_genome" => {
                if value.as_bool().ok_or_else(refuse)? {
                    spec.genome = GenomeScope::PerLayer;
                }
            }
            "forward_synapse_update" => {
                spec.forward_synapse_update = match (value.as_bool().ok_or_else(refuse)?, has_own) {
                    (false, _) => ForwardSynapseUpdate::Off,
                    (true, false) => ForwardSynapseUpdate::SharedGenome,
                    (true, true) => ForwardSynapseUpdate::OwnGenome,
                }
            }
            "use_forward_activations_for_synapse_update" => {
                spec.forward_activations_in_synapse_update = value.as_bool().ok_or_else(refuse)?;
            }
            "supervised_every" if value.is_null() => {}
            "supervised_every" => {
                let every = value.as_u64().and_then(|every| u32::try_from(every).ok());
                spec.supervised_every = every.ok_or_else(refuse)?;
            }
            _ => return Err(refuse()),
        }
    }
    spec.validate().map_err(|error| error.to_string())?;
    Ok(spec)
}

/// The flag of that name of an object.
fn flag(value: &Value, name: &str) -> Option<bool> {
    value.get(name)?.as_bool()
}

/// `None` if the value is none of the format; normalisation that normalises nothing is none.
#[allow(clippy::option_option, reason = "a value may be wrong, or say that there is none")]
fn normalisation(value: &Value) -> Option<Option<Normalisation>> {
    if value.is_null() {
        return Some(None);
    }
    let normalisation = Normalisation {
        stored: flag(value, "normalize_synapses")?,
        in_activations: flag(value, "normalize_in_activations")?,
        rescale: flag(value, "rescale")?,
    };
    let known = value.as_object()?.len() == 3;
    known.then_some((normalisation.stored || normalisation.in_activations).then_some(normalisation))
}

/// `None` if the value is none of the format. The term is there wherever the object is, whatever `use_ojas_rule` says.
#[allow(clippy::option_option, reason = "a value may be wrong, or say that there is none")]
fn oja(value: &Value) -> Option<Option<Oja>> {
    if value.is_null() {
        return Some(None);
    }
    flag(value, "use_ojas_rule")?;
    let oja = Oja {
        scale: value.get("extra_multiplier")?.as_f64()?,
        multiplier: flag(value, "use_multiplier")?,
        synapse_weights: flag(value, "use_synapse_weights")?,
    };
    (value.as_object()?.len() == 4).then_some(Some(oja))
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

fn update_rule<T: Real>(vector: &Vector, options: &MultiStateSpec) -> Result<UpdateRule<T>, String> {
    let names = |part: &str, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("{part}/{name}")).collect()
    };
    let of_synapses = [
        "transform/pre",
        "transform/post",
        "transform/ojas_multiplier",
        "keep",
        "update",
        "saturation",
        "rescale_to",
    ];
    let mut known = names("neuron", &["transform", "keep", "update"]);
    known.extend(names("synapse", &of_synapses));
    known.extend(names("forward_synapse", &of_synapses));
    if let Some(name) = vector.genome.keys().find(|name| !known.contains(name)) {
        return Err(format!("genome.{name} is not supported"));
    }
    let layers = match options.genome {
        GenomeScope::Shared => None,
        GenomeScope::PerLayer => Some(vector.layer_sizes.len() - 1),
    };
    let genome = Genome { vector, layers, states: vector.num_states };
    let k = vector.num_states;
    let sets = layers.unwrap_or(1);
    let both: Vec<T> = genome.matrix("neuron/transform", 2 * k)?;
    let block = |row: usize, column: usize| -> Vec<T> {
        (0..sets * k * k)
            .map(|index| {
                let (set, index) = (index / (k * k), index % (k * k));
                both[set * 4 * k * k + (row + index / k) * 2 * k + column + index % k]
            })
            .collect()
    };
    let synapse = |part: &str, oja: Option<Oja>| -> Result<SynapseRule<T>, String> {
        let of = |name: &str| genome.gate(&format!("{part}/{name}"), layers);
        let ones = || vec![T::ONE; sets * k];
        Ok(SynapseRule {
            hebbian_pre: genome.matrix(&format!("{part}/transform/pre"), k)?,
            hebbian_post: genome.matrix(&format!("{part}/transform/post"), k)?,
            keep: of("keep")?,
            update: of("update")?,
            oja_multiplier: if oja.is_some_and(|oja| oja.multiplier) {
                of("transform/ojas_multiplier")?
            } else {
                ones()
            },
            saturation: if options.saturation.is_some() { of("saturation")? } else { ones() },
        })
    };
    Ok(UpdateRule {
        states: k,
        layers: sets,
        forward_transform: block(0, k),
        backward_transform: block(k, 0),
        neuron_keep: genome.gate("neuron/keep", layers)?,
        neuron_update: genome.gate("neuron/update", layers)?,
        synapse: synapse("synapse", options.oja)?,
        forward_synapse: match options.forward_synapse_update {
            ForwardSynapseUpdate::OwnGenome => Some(synapse("forward_synapse", options.oja)?),
            ForwardSynapseUpdate::Off | ForwardSynapseUpdate::SharedGenome => None,
        },
        rescale_to: if options.normalisation.is_some_and(|normalisation| normalisation.rescale) {
            genome.gate("synapse/rescale_to", None)?
        } else {
            vec![T::ONE; k]
        },
        initial_synapse_scale: 1.0,
    })
}

/// The tensors of a genome, shared or with an axis of layers.
struct Genome<'a> {
    vector: &'a Vector,
    layers: Option<usize>,
    states: usize,
}

impl Genome<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor, String> {
        self.vector.genome.get(name).ok_or_else(|| format!("genome.{name} is missing"))
    }

    /// `[layers, side, side]`
    fn matrix<T: Real>(&self, name: &str, side: usize) -> Result<Vec<T>, String> {
        let tensor = self.tensor(name)?;
        let shape: Vec<usize> = self.layers.into_iter().chain([side, side]).collect();
        if tensor.is(&shape) { Ok(tensor.to()) } else { Err(format!("genome.{name} has another shape")) }
    }

    /// `[layers, k]`, from one number, or one for each of `layers` or states, or for both.
    fn gate<T: Real>(&self, name: &str, layers: Option<usize>) -> Result<Vec<T>, String> {
        let (tensor, k) = (self.tensor(name)?, self.states);
        let sets = layers.unwrap_or(1);
        let whole: Vec<usize> = layers.into_iter().chain([k]).collect();
        let repeat = if tensor.is(&[]) {
            sets * k
        } else if tensor.is(&whole) {
            1
        } else if layers.is_some() && tensor.is(&[sets]) {
            k
        } else {
            return Err(format!("genome.{name} has another shape"));
        };
        let values = tensor.to::<T>().into_iter();
        Ok(values.flat_map(|value| std::iter::repeat_n(value, repeat)).collect())
    }
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
                let (inputs, outputs) = self.diagonal_blocks(layer);
                let block = |within: &Range<usize>| -> Vec<T> {
                    let full = state_of(&initial.full[layer]);
                    let cells =
                        within.clone().flat_map(|row| within.clone().map(move |column| (row, column)));
                    cells.map(|(row, column)| full[row * outputs.end + column]).collect()
                };
                if let Some(within) = self.network.synapses_within_inputs_mut(layer, state) {
                    within.copy_from_slice(&block(&inputs));
                }
                if let Some(within) = self.network.synapses_within_outputs_mut(layer, state) {
                    within.copy_from_slice(&block(&outputs));
                }
            }
        }
        if self.network.is_finite() { Ok(()) } else { Err("initial synapses are not finite".to_owned()) }
    }

    /// Where the inputs with their bias, and the outputs, stand in a layer's full matrix.
    fn diagonal_blocks(&self, layer: usize) -> (Range<usize>, Range<usize>) {
        let inputs = self.vector.layer_sizes[layer] + 1;
        (0..inputs, inputs..inputs + self.vector.layer_sizes[layer + 1])
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.network.forward(&self.rule, &step.input.to::<T>(), self.vector.batch_size);
        self.compare_layers("layers_after_forward", &step.expected.layers_after_forward)?;
        let pass =
            BackwardPass { neurons: step.backward_pass_neurons, synapses: step.backward_pass_synapses };
        if step.index.is_none_or(|index| self.network.is_supervised(index)) {
            self.network.backward(&self.rule, &step.target.to::<T>(), pass);
        }
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
        for (layer, tensor) in expected.full_synapses.iter().flatten().enumerate() {
            self.compare_within(layer, tensor)?;
        }
        Ok(())
    }

    /// The diagonal blocks of a layer's full matrix, as far as the plan keeps them.
    fn compare_within(&self, layer: usize, full: &Tensor) -> Result<(), String> {
        let (k, (inputs, outputs)) = (self.vector.num_states, self.diagonal_blocks(layer));
        let WithinBlocks { inputs: has_inputs, outputs: has_outputs } =
            self.network.plan().within_blocks(layer);
        let has_bias = self.network.plan().backward_block(layer) == BackwardBlock::Whole;
        for (index, &value) in full.data.iter().enumerate() {
            let (state, cell) = (index % k, index / k);
            let (row, column) = (cell / outputs.end, cell % outputs.end);
            let (block, start, side) = if has_inputs
                && inputs.contains(&row)
                && inputs.contains(&column)
                && (has_bias || column + 1 < inputs.end)
            {
                (self.network.synapses_within_inputs(layer, state), 0, inputs.len())
            } else if has_outputs && outputs.contains(&row) && outputs.contains(&column) {
                (self.network.synapses_within_outputs(layer, state), outputs.start, outputs.len())
            } else {
                continue;
            };
            let what = format!("full_synapses[{layer}]");
            let found = block.ok_or_else(|| format!("{what} is absent although the plan keeps it"))?
                [(row - start) * side + column - start];
            self.tolerance.check(&what, index, found.to_f64(), value)?;
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
