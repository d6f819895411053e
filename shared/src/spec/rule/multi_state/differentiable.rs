//! Rules that know the gradient of their genome, and the options that only they have.
//!
//! A differentiable rule starts every pass from empty neurons and has the same synapses in both directions. Each of its
//! options serves evolution as well. Those that only a differentiable rule can have are its *extension*; a rule without any
//! of them is the one that it was before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, MultiStateSpec, StateActivations};
use crate::genome::{GenomeLayout, Transform};
use crate::limits::{FAN_IN_MAX, GRADIENT_NUMBERS_MAX};
use crate::spec::SpecError;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::range::Range;
use crate::spec::task::TaskSpec;

/// Initial synapses on scales that are evolved: `scale * shared draw + own scale * own draw`, divided by the root of the number
/// of neurons that a layer comes from; biases are 0. Draws are standard normal.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialScale {
    /// For each state the number of its shared draw, from 0 without gaps: states of one number start tied.
    pub tied_draws: Vec<u8>,
}

impl InitialScale {
    /// Draws that states share.
    pub fn groups(&self) -> usize {
        self.tied_draws.iter().max().map_or(0, |&last| usize::from(last) + 1)
    }
}

/// A factor of the steps of each layer of synapses: `(reference / neurons that it comes from) ^ exponent`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanIn {
    /// For each layer of synapses the number of neurons at which the factor is 1, usually that of the networks that the rule
    /// was trained with.
    #[schemars(transform = REFERENCE.of_items())]
    pub reference: Vec<u32>,
    /// The exponent.
    #[serde(default = "one")]
    #[schemars(transform = EXPONENT.schema())]
    pub exponent: f64,
}

const REFERENCE: Range<u32> = Range::new(1, FAN_IN_MAX);
const EXPONENT: Range<f64> = Range::new(-4.0, 4.0);

fn one() -> f64 {
    1.0
}

/// Gates and scales that are 1 at 0.
const ONE_AT_ZERO: Transform = Transform::Exp { factor: 1.0, scale: 1.0 };

/// Refuses the first field that is not as it must be.
fn check_needs(wanted: &str, needs: &[(bool, &str, &str)]) -> Result<(), SpecError> {
    match needs.iter().find(|(holds, ..)| !holds) {
        None => Ok(()),
        Some((_, field, need)) => {
            Err(SpecError::field(format!("rule.{field}"), format!("must {need} together with {wanted}")))
        }
    }
}

impl MultiStateSpec {
    /// The first option that only differentiable rules have, as it is written; `None` if no such option is on.
    fn extension(&self) -> Option<&'static str> {
        let options = [
            (self.backward_update == BackwardUpdate::Gated, "rule.backward_update = \"gated\""),
            (self.synapse_mixing, "rule.synapse_mixing"),
            (self.update_normalisation, "rule.update_normalisation"),
            (self.update_schedule, "rule.update_schedule"),
            (self.initial_scale.is_some(), "rule.initial_scale"),
            (self.readout, "rule.readout"),
            (self.loss_temperature, "rule.loss_temperature"),
            (self.fan_in.is_some(), "rule.fan_in"),
        ];
        options.into_iter().find_map(|(is_on, name)| is_on.then_some(name))
    }

    /// Whether an option is on that only differentiable rules have.
    pub fn is_extended(&self) -> bool {
        self.extension().is_some()
    }

    /// Refuses a rule whose genome has no gradient, naming the field. `wanted` is what asks for one.
    pub fn check_differentiable(&self, wanted: &str) -> Result<(), SpecError> {
        self.check_plain(wanted)?;
        let needs = [
            (self.states >= 2, "states", "be at least 2"),
            (!self.symmetric_states, "symmetric_states", "be false"),
            (self.feedback == Feedback::SoftmaxDifference, "feedback", "be \"softmax-difference\""),
        ];
        check_needs(wanted, &needs)
    }

    /// Refuses a rule that does more than two plain passes and one update of the same synapses in both directions.
    pub(super) fn check_plain(&self, wanted: &str) -> Result<(), SpecError> {
        let is_identity = |activations: &StateActivations| match activations {
            StateActivations::All(activation) => *activation == Activation::Identity,
            StateActivations::PerState(all) => all.iter().all(|&one| one == Activation::Identity),
        };
        let hidden = self.updatable.iter().flat_map(|flags| flags.iter().skip(1));
        let needs = [
            (self.zero_out_neurons, "zero_out_neurons", "be true"),
            (self.symmetric_synapses, "symmetric_synapses", "be true"),
            (is_identity(&self.last_layer_activation), "last_layer_activation", "be \"identity\""),
            (is_identity(&self.synapse_activation), "synapse_activation", "be \"identity\""),
            (self.supervised_every == 1, "supervised_every", "be 1"),
            (self.normalisation.is_none(), "normalisation", "be left out"),
            (self.oja.is_none(), "oja", "be left out"),
            (self.saturation.is_none(), "saturation", "be left out"),
            (
                self.forward_synapse_update == ForwardSynapseUpdate::Off,
                "forward_synapse_update",
                "be \"off\"",
            ),
            (
                !self.forward_activations_in_synapse_update,
                "forward_activations_in_synapse_update",
                "be false",
            ),
            (!self.evolve_initial_scale, "evolve_initial_scale", "be false"),
            (hidden.copied().all(|flag| flag), "updatable", "be true for all layers but the input"),
        ];
        check_needs(wanted, &needs)
    }

    pub(super) fn validate_extension(&self) -> Result<(), SpecError> {
        let Some(option) = self.extension() else { return Ok(()) };
        self.check_differentiable(option)?;
        if let Some(InitialScale { tied_draws }) = &self.initial_scale {
            let field = "rule.initial_scale.tied_draws";
            if tied_draws.len() != usize::from(self.states) {
                let problem =
                    format!("must have {} numbers (rule.states), not {}", self.states, tied_draws.len());
                return Err(SpecError::field(field, problem));
            }
            let mut seen = 0;
            for &number in tied_draws {
                if number > seen {
                    let problem = format!("must count from 0 without gaps, but {number} comes before {seen}");
                    return Err(SpecError::field(field, problem));
                }
                seen += u8::from(number == seen);
            }
        }
        if let Some(FanIn { reference, exponent }) = &self.fan_in {
            EXPONENT.check("rule.fan_in.exponent", *exponent)?;
            for (place, &neurons) in reference.iter().enumerate() {
                REFERENCE.check(&format!("rule.fan_in.reference[{place}]"), neurons)?;
            }
        }
        Ok(())
    }

    pub(super) fn validate_extension_for(
        &self,
        network: &NetworkSpec,
        tasks: &TaskSpec,
    ) -> Result<(), SpecError> {
        let Some(option) = self.extension() else { return Ok(()) };
        let depth = network.synapse_layers();
        for (is_on, field) in
            [(self.initial_scale.is_some(), "rule.initial_scale"), (self.fan_in.is_some(), "rule.fan_in")]
        {
            if is_on && depth.is_none() {
                let problem = "needs networks of one depth, but network.shapes mixes several";
                return Err(SpecError::field(field, problem));
            }
        }
        if let (Some(fan_in), Some(depth)) = (&self.fan_in, depth)
            && fan_in.reference.len() != depth
        {
            let found = fan_in.reference.len();
            let problem = format!("must have {depth} numbers, one for each layer of synapses, not {found}");
            return Err(SpecError::field("rule.fan_in.reference", problem));
        }
        if self.initial_scale.is_some() && network.initial_synapses != InitialSynapses::default() {
            let problem = "are drawn as rule.initial_scale says; leave this out";
            return Err(SpecError::field("network.initial_synapses", problem));
        }
        self.check_classes(option, tasks)
    }

    /// Refuses tasks that a differentiable rule's feedback is not made for.
    pub(super) fn check_classes(&self, option: &str, tasks: &TaskSpec) -> Result<(), SpecError> {
        let refuse = |problem| Err(SpecError::field("tasks.families", problem));
        if let Some(family) = tasks.families.iter().find(|family| !family.has_classes()) {
            return refuse(format!(
                "must be classes together with {option}; `{family}` has {}",
                family.targets()
            ));
        }
        // Only an extended rule tells two classes apart by two neurons.
        match tasks.families.iter().find(|&&family| tasks.outputs(family) == 1) {
            Some(family) if !self.is_extended() => refuse(format!(
                "must have several outputs together with {option}, unless an option such as rule.readout is on; `{family}` has one"
            )),
            _ => Ok(()),
        }
    }

    /// Appends the extension's segments. `gate` is the shape of a gate; initial scales have one number for each layer and state
    /// whatever the genome's scope, readout and temperature are the network's.
    pub(super) fn push_extension(&self, layout: &mut GenomeLayout, gate: &[u32], network: &NetworkSpec) {
        let k = u32::from(self.states);
        if self.backward_update == BackwardUpdate::Gated {
            layout.push("backward_gate", gate, Transform::IDENTITY);
            layout.push("backward_input", gate, Transform::IDENTITY);
        }
        if self.update_normalisation {
            layout.push("normalisation_exponent", gate, Transform::IDENTITY);
        }
        if self.update_schedule {
            layout.push("schedule_early", gate, Transform::IDENTITY);
            layout.push("schedule_power", gate, Transform::IDENTITY);
        }
        if self.initial_scale.is_some() {
            let layers = network.synapse_layers().expect("initial scales are for one depth") as u32;
            layout.push("initial_scale", &[layers, k], ONE_AT_ZERO);
            layout.push("initial_own_scale", &[layers, k], Transform::IDENTITY);
        }
        if self.readout {
            layout.push("readout", &[k], Transform::IDENTITY);
        }
        if self.loss_temperature {
            layout.push("loss_temperature", &[], ONE_AT_ZERO);
        }
    }

    /// As [`super::RuleOptions::network_numbers`]; tasks of one output have networks of two.
    pub(super) fn differentiable_network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let k = f64::from(self.states);
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum::<f64>() + 1.0;
        let widest = sizes.iter().max().map_or(0.0, |&neurons| neurons as f64) + 1.0;
        let synapses =
            NetworkSpec::synapses_of(sizes) + sizes.iter().rev().nth(1).map_or(0.0, |&n| n as f64 + 1.0);
        // Synapses and their sums, before and after an update; the draws of initial synapses; scratch of products.
        let draws = if self.initial_scale.is_some() { 2.0 * k } else { 0.0 };
        let of_synapses = (4.0 * k + draws + 2.0) * synapses;
        // Neurons before and after an update in four forms, and those of an answer.
        of_synapses + batch * (9.0 * k * neurons + 4.0 * k * widest)
    }

    /// As [`super::RuleOptions::gradient_numbers`]: records of updates, and synapses at the start of those parts of an unroll
    /// that are computed again.
    pub(super) fn differentiable_gradient_numbers(
        &self,
        sizes: &[usize],
        batch: usize,
        updates: u32,
    ) -> [f64; 2] {
        let k = f64::from(self.states);
        let synapses = k * NetworkSpec::synapses_of(sizes);
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        let record = 2.0 * synapses + 4.0 * k * batch as f64 * neurons;
        let recorded = f64::from(updates).min((GRADIENT_NUMBERS_MAX as f64 / record).floor().max(2.0));
        let kept = (f64::from(updates) / recorded).ceil() * synapses;
        // Derivatives of everything in an update.
        [(recorded + 2.0) * record + 4.0 * synapses + kept, kept]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    const EXAMPLE: &str = include_str!("../../../../../examples/differentiable.toml");

    /// What the example is refused with after a change.
    fn refused(from: &str, to: &str) -> String {
        assert!(EXAMPLE.contains(from), "the example has no `{from}`");
        let error = RunSpec::read(&EXAMPLE.replacen(from, to, 1)).expect_err(to);
        SpecError { line: None, ..error }.to_string()
    }

    #[test]
    fn segments_come_in_the_order_of_the_definition() {
        let layout = RunSpec::read(EXAMPLE).unwrap().layout();
        let segments: Vec<(&str, &[u32])> =
            layout.segments().iter().map(|segment| (&segment.name[..], &segment.shape[..])).collect();
        let (matrix, gate): (&[u32], &[u32]) = (&[2, 4, 4], &[2, 4]);
        assert_eq!(
            segments,
            [
                ("forward_transform", matrix),
                ("backward_transform", matrix),
                ("hebbian_pre", matrix),
                ("hebbian_post", matrix),
                ("neuron_keep", gate),
                ("neuron_update", gate),
                ("synapse_mixing", matrix),
                ("synapse_update", gate),
                ("backward_gate", gate),
                ("backward_input", gate),
                ("normalisation_exponent", gate),
                ("schedule_early", gate),
                ("schedule_power", gate),
                ("initial_scale", gate),
                ("initial_own_scale", gate),
                ("readout", &[4]),
                ("loss_temperature", &[]),
            ]
        );
        assert_eq!(layout.dimension(), 245);
        let shared = EXAMPLE.replacen("\"per-layer\"", "\"shared\"", 1);
        let layout = RunSpec::read(&shared).unwrap().layout();
        assert_eq!(layout.segment("initial_scale").unwrap().shape, [2, 4]);
        assert_eq!(layout.segment("schedule_power").unwrap().shape, [4]);
    }

    #[test]
    fn every_option_needs_the_others_to_be_differentiable() {
        let option = "together with rule.backward_update = \"gated\"";
        for (from, to, field) in [
            ("symmetric_synapses = true", "", "rule.symmetric_synapses: must be true"),
            ("feedback = \"softmax-difference\"", "", "rule.feedback: must be \"softmax-difference\""),
            ("last_layer_activation = \"identity\"", "", "rule.last_layer_activation: must be \"identity\""),
            ("feedback", "synapse_activation = \"tanh\"\nfeedback", "rule.synapse_activation: must be"),
            ("feedback", "symmetric_states = true\nfeedback", "rule.symmetric_states: must be false"),
            ("feedback", "zero_out_neurons = false\nfeedback", "rule.zero_out_neurons: must be true"),
            ("feedback", "supervised_every = 2\nfeedback", "rule.supervised_every: must be 1"),
            (
                "feedback",
                "normalisation = { stored = true }\nfeedback",
                "rule.normalisation: must be left out",
            ),
            ("feedback", "oja = {}\nfeedback", "rule.oja: must be left out"),
            ("feedback", "saturation = {}\nfeedback", "rule.saturation: must be left out"),
            (
                "feedback",
                "forward_synapse_update = \"own-genome\"\nfeedback",
                "rule.forward_synapse_update: must be \"off\"",
            ),
            (
                "feedback",
                "forward_activations_in_synapse_update = true\nfeedback",
                "rule.forward_activations_in_synapse_update: must be false",
            ),
            ("feedback", "evolve_initial_scale = true\nfeedback", "rule.evolve_initial_scale: must be false"),
            ("feedback", "updatable = [true, false, true]\nfeedback", "rule.updatable: must be true for all"),
            ("states = 4", "states = 1", "rule.feedback: writes into state 1"),
        ] {
            let error = refused(from, to);
            assert!(error.starts_with(field), "{to}: {error}");
            assert!(to == "states = 1" || error.ends_with(option), "{error}");
        }
        let names = [
            "backward_update",
            "synapse_mixing",
            "update_normalisation",
            "update_schedule",
            "initial_scale",
            "readout",
            "loss_temperature",
            "fan_in",
        ];
        for kept in names {
            // One option alone asks for as much.
            let is_other = |line: &&str| !names.iter().any(|name| line.starts_with(name) && *name != kept);
            let text = EXAMPLE.lines().filter(is_other).collect::<Vec<_>>().join("\n");
            assert!(RunSpec::read(&text).is_ok(), "{kept}");
            let error = RunSpec::read(&text.replacen("symmetric_synapses = true", "", 1)).unwrap_err();
            assert!(error.to_string().contains(&format!("together with rule.{kept}")), "{kept}: {error}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        for (from, to, expected) in [
            (
                "[0, 0, 1, 1]",
                "[0, 0, 1]",
                "rule.initial_scale.tied_draws: must have 4 numbers (rule.states), not 3",
            ),
            ("[0, 0, 1, 1]", "[0, 2, 1, 1]", "rule.initial_scale.tied_draws: must count from 0 without gaps"),
            ("[2, 20]", "[2]", "rule.fan_in.reference: must have 2 numbers"),
            ("[2, 20]", "[2, 0]", "rule.fan_in.reference[1]: must be from 1 to 1000000, not 0"),
            ("exponent = 1.0", "exponent = 9.0", "rule.fan_in.exponent: must be from -4 to 4, not 9"),
            (
                "hidden = [20]",
                "shapes = [[20], [9, 9]]",
                "rule.genome: `per-layer` needs networks of one depth",
            ),
            (
                "hidden = [20]",
                "hidden = [20]\ninitial_synapses = { scale = 1.0 }",
                "network.initial_synapses: are drawn as rule.initial_scale says",
            ),
            ("\"circle\"", "\"regress-wave\"", "tasks.families: must be classes together with rule.backward"),
        ] {
            let error = refused(from, to);
            assert!(error.starts_with(expected), "{to}: {error}");
        }
        let shared = EXAMPLE.replacen("\"per-layer\"", "\"shared\"", 1);
        let mixed = shared.replacen("hidden = [20]", "shapes = [[20], [9, 9]]", 1);
        let error = RunSpec::read(&mixed).unwrap_err().to_string();
        assert!(error.contains(": rule.initial_scale: needs networks of one depth"), "{error}");
    }

    #[test]
    fn a_rule_without_an_extension_is_written_as_before() {
        let text = serde_json::to_string(&MultiStateSpec::default()).unwrap();
        for name in
            ["mixing", "update_normalisation", "schedule", "initial_scale\"", "readout", "temperature", "fan"]
        {
            assert!(!text.contains(name), "{text}");
        }
    }
}
