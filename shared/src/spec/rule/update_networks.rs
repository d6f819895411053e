//! Update networks: neurons and synapses hold small vectors that two small shared functions change, tick by tick (after Gregor
//! 2020). Their genome is the parameters of both functions; `docs/FAMILIES.md` says what of it is the paper's.

mod associator;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RuleOptions, SpecialGenome};
use crate::genome::{Genome, GenomeLayout, Transform};
use crate::spec::SpecError;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::range::Range;
use crate::spec::task::TaskSpec;

pub use associator::{Associator, associator};

/// Options of update networks.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateNetworksSpec {
    /// Numbers that a neuron's body holds (B). State 0 of the last layer's bodies is the prediction.
    #[schemars(transform = STATES.schema())]
    pub body_states: u32,
    /// Numbers that a synapse holds (S).
    #[schemars(transform = STATES.schema())]
    pub synapse_states: u32,
    /// Numbers of a neuron type's embedding (E); 0 for none.
    #[schemars(transform = EMBEDDING.schema())]
    pub embedding: u32,
    /// Which layers have a type in common.
    pub types: LayerTypes,
    /// Width of the synapse function's hidden layer (W).
    #[schemars(transform = FEATURES.schema())]
    pub features: u32,
    /// Width of the body function's hidden layer (V); 0 for none.
    #[schemars(transform = BODY_FEATURES.schema())]
    pub body_features: u32,
    /// How the neurons at both ends of a synapse meet in its function.
    pub interaction: Interaction,
    /// Activation of the bodies' new content.
    pub body_activation: UpdateActivation,
    /// Activation of the synapse function's hidden layer.
    pub synapse_activation: UpdateActivation,
    /// Whether synapses also lead from every layer to the hidden layer below it.
    pub feedback: bool,
    /// Ticks in which an example is shown with its target.
    #[schemars(transform = TICKS.schema())]
    pub present_ticks: u32,
    /// Ticks from an example's inputs to the prediction.
    #[schemars(transform = TICKS.schema())]
    pub recall_ticks: u32,
    /// What a network does while it is asked.
    pub recall: Recall,
    /// Initial synapses of networks with hidden layers are uniform in plus or minus this; without hidden layers they are 0.
    #[schemars(transform = SCALE.schema())]
    pub initial_scale: f64,
}

impl Default for UpdateNetworksSpec {
    fn default() -> Self {
        Self {
            body_states: 3,
            synapse_states: 2,
            embedding: 2,
            types: LayerTypes::ByRole,
            features: 4,
            body_features: 0,
            interaction: Interaction::Product,
            body_activation: UpdateActivation::Tanh,
            synapse_activation: UpdateActivation::Tanh,
            feedback: false,
            present_ticks: 1,
            recall_ticks: 1,
            recall: Recall::Frozen,
            initial_scale: 0.5,
        }
    }
}

/// Which layers have a type in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerTypes {
    /// The inputs are of one type, the outputs of another, hidden layers of a third.
    ByRole,
    /// All neurons are of one type.
    One,
}

/// How the neurons at both ends of a synapse meet in its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    /// Their features are multiplied, as in Hebbian learning.
    Product,
    /// Their features are added: the function is a perceptron with one hidden layer.
    Sum,
}

/// An activation of the two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateActivation {
    /// tanh x
    Tanh,
    /// x
    Identity,
}

/// What a network does while it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recall {
    /// Bodies start at zero for every question, and synapses are only read.
    Frozen,
    /// It goes on as it is and learns from the questions, too. What it learned after the last of a batch of questions is forgotten.
    Plastic,
}

const STATES: Range<u32> = Range::new(1, 16);
const EMBEDDING: Range<u32> = Range::new(0, 16);
const FEATURES: Range<u32> = Range::new(1, 64);
const BODY_FEATURES: Range<u32> = Range::new(0, 64);
const TICKS: Range<u32> = Range::new(1, 16);
const SCALE: Range<f64> = Range::above(0.0, 100.0);

/// Ticks of plastic recall that a gradient keeps the states of.
const ASKED_TICKS_MAX: u32 = 4096;

/// Multiplications that a tanh costs, roughly.
const OF_ACTIVATION: f64 = 10.0;

impl UpdateNetworksSpec {
    /// The name of the family.
    pub const FAMILY: &str = "update-networks";

    /// Numbers that the body function sees of a neuron (F): bodies, messages, value, flag, embedding and one.
    pub fn body_inputs(&self) -> u32 {
        let messages = if self.feedback { 2 } else { 1 } * self.synapse_states;
        self.body_states + messages + 2 + self.embedding + 1
    }

    /// Numbers that synapses see of a neuron (R): bodies, embedding and one.
    pub fn ends(&self) -> u32 {
        self.body_states + self.embedding + 1
    }

    /// The type of a layer of a network with `layers` layers of neurons.
    pub fn layer_type(&self, layer: usize, layers: usize) -> usize {
        match self.types {
            LayerTypes::One => 0,
            LayerTypes::ByRole if layer == 0 => 0,
            LayerTypes::ByRole if layer + 1 == layers => 1,
            LayerTypes::ByRole => 2,
        }
    }

    /// The layout of genomes for so many types of neurons.
    pub fn layout_of(&self, types: u32) -> GenomeLayout {
        let [b, s, e, w, v] =
            [self.body_states, self.synapse_states, self.embedding, self.features, self.body_features];
        let (seen, ends) = (self.body_inputs(), self.ends());
        let mut layout = GenomeLayout::default();
        let mut push = |name, shape: &[u32], transform| layout.push(name, shape, transform);
        if e > 0 {
            push("embedding", &[types, e], Transform::IDENTITY);
        }
        push("axon", &[s, ends], Transform::IDENTITY);
        if v > 0 {
            push("body_features", &[v, seen], Transform::IDENTITY);
        }
        push("body_candidate", &[b, seen + v], Transform::IDENTITY);
        push("body_gate", &[b, seen + v], Transform::IDENTITY);
        push("body_keep", &[b], Transform::Bounded { low: 0.0, high: 1.0 });
        push("synapse_pre", &[w, ends], Transform::IDENTITY);
        push("synapse_post", &[w, ends], Transform::IDENTITY);
        push("synapse_self", &[w, s], Transform::IDENTITY);
        push("synapse_out", &[s, w], Transform::IDENTITY);
        push("synapse_keep", &[s], Transform::Decay { rate: 0.05, shift: 1.0 });
        push("synapse_update", &[s], Transform::Exp { factor: UPDATE, scale: 1.0 });
        layout
    }
}

/// What a synapse takes over of what is written, at the search value 0.
const UPDATE: f64 = 0.1;

impl RuleOptions for UpdateNetworksSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        for (name, range, value) in [
            ("body_states", STATES, self.body_states),
            ("synapse_states", STATES, self.synapse_states),
            ("embedding", EMBEDDING, self.embedding),
            ("features", FEATURES, self.features),
            ("body_features", BODY_FEATURES, self.body_features),
            ("present_ticks", TICKS, self.present_ticks),
            ("recall_ticks", TICKS, self.recall_ticks),
        ] {
            range.check(&format!("rule.{name}"), value)?;
        }
        SCALE.check("rule.initial_scale", self.initial_scale)
    }

    fn validate_for(&self, network: &NetworkSpec, _: &TaskSpec) -> Result<(), SpecError> {
        if network.initial_synapses != InitialSynapses::default() {
            return Err(SpecError::field(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out, and set rule.initial_scale",
            ));
        }
        if self.feedback && network.all_shapes().iter().any(Vec::is_empty) {
            return Err(SpecError::field(
                "rule.feedback",
                "leads to hidden layers: set it to false, or give all networks one",
            ));
        }
        Ok(())
    }

    fn layout(&self, network: &NetworkSpec) -> GenomeLayout {
        self.layout_of(match self.types {
            LayerTypes::One => 1,
            LayerTypes::ByRole => 2 + u32::from(network.has_hidden_layers()),
        })
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        // Synapses of both directions, and as they are before a batch of questions; what the functions see and find.
        let synapses = 4.0 * f64::from(self.synapse_states) * NetworkSpec::synapses_of(sizes);
        let of_neuron = 3 * self.body_states
            + self.body_inputs()
            + self.body_features
            + 3 * self.features
            + self.synapse_states;
        synapses + f64::from(of_neuron) * neurons + batch
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        let [s, w] = [self.synapse_states, self.features].map(f64::from);
        let directions = if self.feedback { 2.0 } else { 1.0 };
        let of_synapse = 2.0 * w * s + (1.0 + OF_ACTIVATION) * w + 2.0 * s;
        f64::from(self.present_ticks) * directions * of_synapse * NetworkSpec::synapses_of(sizes)
    }

    fn check_gradient(&self, tasks: &TaskSpec) -> Result<(), SpecError> {
        let ticks = tasks.query_size.saturating_mul(self.recall_ticks);
        if self.recall == Recall::Plastic && ticks > ASKED_TICKS_MAX {
            let problem = format!(
                "must be \"frozen\" for a gradient through {ticks} ticks of recall (tasks.query_size x rule.recall_ticks), whose states \
                 would all be kept; at most {ASKED_TICKS_MAX} can be plastic"
            );
            return Err(SpecError::field("rule.recall", problem));
        }
        Ok(())
    }

    fn check_gradient_at(&self, layout: &GenomeLayout, genome: &Genome) -> Result<(), SpecError> {
        let is_zero = |name: &str| {
            let values = layout.each_parameter(name, genome).into_iter().flatten();
            values.into_iter().all(|value| value == 0.0)
        };
        let [pre, post] = ["synapse_pre", "synapse_post"].map(is_zero);
        let ends_are_silent = match self.interaction {
            Interaction::Product => pre || post,
            Interaction::Sum => pre && post,
        };
        // The slope by `synapse_out` has the features as a factor, and that of all that makes features has `synapse_out`.
        if ends_are_silent && is_zero("synapse_self") && is_zero("synapse_out") {
            return Err(SpecError::field(
                "start.genome",
                "must not be zeros here: synapses that neither see nor change have no gradient, so nothing would ever be remembered; \
                 set start.segments, give numbers, or name the genome file of an evolved run",
            ));
        }
        Ok(())
    }

    fn gradient_numbers(&self, sizes: &[usize], batch: usize, updates: u32) -> [f64; 2] {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        let directions = if self.feedback { 2.0 } else { 1.0 };
        let synapses = directions * f64::from(self.synapse_states) * NetworkSpec::synapses_of(sizes);
        let state = f64::from(self.body_states) * neurons + synapses;
        // Each state is kept before an update, and before each tick of one update or of its questions.
        let shown = batch as f64 * f64::from(self.present_ticks);
        let asked = match self.recall {
            Recall::Frozen => f64::from(self.recall_ticks),
            Recall::Plastic => f64::from(ASKED_TICKS_MAX),
        };
        let kept = state * (f64::from(updates) + 1.0 + shown.max(asked));
        let of_neuron = 2 * self.body_inputs() + 4 * self.features + 2 * self.body_states;
        // The adjoint twice, and sums for each destination.
        let sums = f64::from(self.synapse_states * (2 * self.features + 1)) * neurons;
        [kept + 2.0 * state + f64::from(of_neuron) * neurons + sums, kept]
    }

    fn special_genomes(&self) -> &'static [SpecialGenome] {
        associator::SPECIAL
    }

    fn summary(&self) -> String {
        let Self { body_states, synapse_states, features, .. } = self;
        format!(
            "update networks with {body_states} states of bodies, {synapse_states} of synapses and {features} features"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::TaskFamily;

    fn network(hidden: &[u32]) -> NetworkSpec {
        NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() }
    }

    #[test]
    fn genomes_are_as_long_as_the_formula_says() {
        let spec = UpdateNetworksSpec::default();
        assert_eq!(spec.layout(&network(&[])).dimension(), 147);
        assert_eq!(spec.layout(&network(&[8])).dimension(), 149, "hidden neurons are a type");
        let other = UpdateNetworksSpec { body_features: 5, feedback: true, embedding: 0, ..spec };
        let [t, e, b, s, w, v] = [3, 0, 3, 2, 4, 5];
        let (f, r) = (b + 2 * s + 2 + e + 1, b + e + 1);
        let expected = t * e + s * r + v * f + 2 * b * (f + v) + b + 2 * w * r + 2 * w * s + 2 * s;
        assert_eq!(other.layout(&network(&[8])).dimension(), expected);
        assert_eq!(UpdateNetworksSpec::of_associator().layout(&network(&[])), layout_of_associator());
    }

    fn layout_of_associator() -> GenomeLayout {
        UpdateNetworksSpec::of_associator().layout_of(2)
    }

    #[test]
    fn a_gradient_needs_synapses_that_see_or_change() {
        let mut tasks = TaskSpec::of(vec![TaskFamily::RememberBits]);
        let spec = UpdateNetworksSpec::default();
        let layout = spec.layout(&network(&[]));
        let refused = |spec: UpdateNetworksSpec, names: &[&str]| {
            let mut genome = layout.initial_mean();
            for name in names {
                genome.0[layout.segment(name).unwrap().range()].fill(0.3);
            }
            spec.check_gradient_at(&layout, &genome).is_err()
        };
        let sum = UpdateNetworksSpec { interaction: Interaction::Sum, ..spec };
        assert!(refused(spec, &["axon", "body_candidate"]) && refused(sum, &["axon", "body_gate"]));
        assert!(refused(spec, &["synapse_pre"]) && !refused(sum, &["synapse_pre"]));
        for names in [&["synapse_pre", "synapse_post"][..], &["synapse_self"], &["synapse_out"]] {
            assert!(!refused(spec, names), "{names:?}");
        }
        let plastic = UpdateNetworksSpec { recall: Recall::Plastic, recall_ticks: 16, ..spec };
        tasks.query_size = 256;
        assert_eq!(plastic.check_gradient(&tasks), Ok(()));
        tasks.query_size = 257;
        assert_eq!(spec.check_gradient(&tasks), Ok(()));
        assert_eq!(plastic.check_gradient(&tasks).unwrap_err().field, "rule.recall");
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let tasks = TaskSpec::of(vec![TaskFamily::Xor]);
        let check = |spec: UpdateNetworksSpec, network: &NetworkSpec, field: &str| {
            let error = spec.validate().and_then(|()| spec.validate_for(network, &tasks)).unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
        };
        let spec = UpdateNetworksSpec::default();
        assert_eq!(spec.validate_for(&network(&[]), &tasks), Ok(()));
        check(UpdateNetworksSpec { feedback: true, ..spec }, &network(&[]), "rule.feedback: ");
        check(UpdateNetworksSpec { features: 0, ..spec }, &network(&[]), "rule.features: ");
        check(UpdateNetworksSpec { initial_scale: 0.0, ..spec }, &network(&[]), "rule.initial_scale: ");
        let initial_synapses = InitialSynapses { scale: 1.0, ..InitialSynapses::default() };
        check(spec, &NetworkSpec { initial_synapses, ..network(&[]) }, "network.initial_synapses: ");
    }
}
