//! Backpropagation as an update rule: the theory's fixed point, and a place to start a search from.
//!
//! States come in pairs. The first of a pair is a neuron's value f(z), the second its derivative f'(z), which waits there for the
//! backward pass to multiply it by the error that arrives. A synapse then learns from the value below and the error above, the
//! same in both directions and both states of the pair. So the rule computes stochastic gradient descent up to rounding,
//! provided that both states of a pair start equal: of one perceptron, or of one for each pair, whose outputs the readout adds up.
//!
//! With another backward activation than the identity, or with normalised steps, it is a rule near descent.

use super::{
    Activation, BackwardUpdate, Feedback, Gates, GenomeScope, InitialScale, MultiStateSpec, StateActivations,
};
use crate::genome::{Genome, GenomeLayout};
use crate::spec::SpecError;
use crate::spec::network::NetworkSpec;
use crate::spec::rule::RuleOptions as _;
use crate::spec::rule::gradient_descent::HiddenActivation;
use crate::spec::start::{PerLayer, StartSpec};

/// What asks for the genome.
const WANTED: &str = "the genome of backpropagation";

/// A hidden activation with its derivative.
fn pair_of(activation: HiddenActivation) -> [Activation; 2] {
    match activation {
        HiddenActivation::Tanh => [Activation::Tanh, Activation::DTanh],
        HiddenActivation::Relu => [Activation::Relu, Activation::DRelu],
    }
}

impl MultiStateSpec {
    /// The options under which the genome of backpropagation is descent of half of the squared error, averaged over the batch,
    /// of networks with linear outputs.
    pub fn backpropagation(activation: HiddenActivation) -> Self {
        Self {
            states: 2,
            forward_activation: StateActivations::PerState(pair_of(activation).to_vec()),
            backward_activation: Activation::Identity.into(),
            last_layer_activation: Activation::Identity.into(),
            backward_update: BackwardUpdate::MultiplicativeSecondState,
            feedback: Feedback::Difference,
            symmetric_synapses: true,
            symmetric_states: true,
            ..Self::default()
        }
    }

    /// The options under which it is descent of the cross-entropy, averaged over the batch, of as many perceptrons as there are
    /// pairs, whose outputs add up.
    pub fn backpropagation_in_pairs(pairs: u8, activation: HiddenActivation) -> Self {
        Self {
            states: 2 * pairs,
            gates: Gates::PerState,
            genome: GenomeScope::PerLayer,
            forward_activation: StateActivations::PerState(pair_of(activation).repeat(usize::from(pairs))),
            backward_activation: Activation::Identity.into(),
            last_layer_activation: Activation::Identity.into(),
            backward_update: BackwardUpdate::Gated,
            feedback: Feedback::SoftmaxDifference,
            symmetric_synapses: true,
            initial_scale: Some(InitialScale { tied_draws: (0..2 * pairs).map(|state| state / 2).collect() }),
            readout: true,
            ..Self::default()
        }
    }

    /// The genome of backpropagation for these options, at the numbers of `start`; refuses options that have none, naming the
    /// field.
    pub fn backpropagation_genome(
        &self,
        network: &NetworkSpec,
        start: &StartSpec,
    ) -> Result<Genome, SpecError> {
        self.check_backpropagation()?;
        let layout = self.layout(network);
        let k = usize::from(self.states);
        let layers = match self.genome {
            GenomeScope::Shared => None,
            GenomeScope::PerLayer => network.synapse_layers(),
        };
        let is_last = |layer: usize| layer + 1 == layers.unwrap_or(1);
        let even = |state: usize| state - state % 2;
        let mut values = Values { layout: &layout, genome: layout.initial_mean() };
        let mut matrix = |name: &str, entry: &dyn Fn(usize, usize, usize) -> f64| {
            values.fill(name, |place| entry(place / (k * k), place / k % k, place % k));
        };
        let one_if = |holds: bool| f64::from(u8::from(holds));
        // The value alone enters the next layer, in both states of the pair; the input has one value only.
        let value_below = |layer, from, to| one_if(from == if layer == 0 { 0 } else { even(to) });
        matrix("forward_transform", &value_below);
        matrix("hebbian_pre", &value_below);
        // The gate of the update is positive, so the sign of a descent stands here. The last layer's error is in state 1.
        matrix("hebbian_post", &|layer, to, from| {
            -one_if(from == if is_last(layer) { 1 } else { even(to) + 1 })
        });
        matrix("backward_transform", &|layer, from, to| {
            one_if(to % 2 == 1 && from == if is_last(layer) { 1 } else { to })
        });
        if self.backward_update == BackwardUpdate::Gated {
            values.fill("neuron_keep", |place| one_if(place % 2 == 0));
            values.fill("backward_gate", |place| one_if(place % 2 == 1));
        }
        if self.synapse_mixing {
            values.fill("synapse_mixing", |place| one_if(place / k % k == place % k));
        } else {
            values.fill("synapse_keep", |_| 1.0);
        }
        if self.readout {
            values.fill("readout", |place| one_if(place % 2 == 0));
        }
        let of_layers = |name| if name == "initial_scale" { network.synapse_layers() } else { layers };
        for (field, name, numbers, needs) in [
            ("learning_rate", "synapse_update", &start.learning_rate, ""),
            (
                "normalisation_exponent",
                "normalisation_exponent",
                &start.normalisation_exponent,
                "rule.update_normalisation",
            ),
            ("schedule_power", "schedule_power", &start.schedule_power, "rule.update_schedule"),
            ("initial_scale", "initial_scale", &start.initial_scale, "rule.initial_scale"),
        ] {
            if let Some(numbers) = numbers {
                let refuse = |problem| SpecError::field(format!("start.{field}"), problem);
                values.set(name, numbers, of_layers(name), needs).map_err(refuse)?;
            }
        }
        Ok(values.genome)
    }

    /// Refuses options that no genome makes descent, or nearly so.
    fn check_backpropagation(&self) -> Result<(), SpecError> {
        let refuse = |field: &str, need: &str| {
            Err(SpecError::field(format!("rule.{field}"), format!("must {need} for {WANTED}")))
        };
        if !self.states.is_multiple_of(2) {
            return refuse("states", "be even: a value and a derivative make a pair");
        }
        self.check_plain(WANTED)?;
        match self.backward_update {
            BackwardUpdate::Gated if self.gates == Gates::PerState => {}
            BackwardUpdate::Gated => return refuse("gates", "be \"per-state\""),
            BackwardUpdate::MultiplicativeSecondState if self.states == 2 => {}
            _ => {
                return refuse(
                    "backward_update",
                    "be \"gated\", or \"multiplicative-second-state\" with two states,",
                );
            }
        }
        if self.states > 2 && self.genome == GenomeScope::Shared {
            return refuse("genome", "be \"per-layer\", with more than two states,");
        }
        match self.feedback {
            Feedback::SoftmaxDifference if !self.symmetric_states => {}
            Feedback::Difference if self.symmetric_states && self.states == 2 => {}
            _ => {
                return refuse(
                    "feedback",
                    "be \"softmax-difference\", or \"difference\" with two symmetric states,",
                );
            }
        }
        let is_pair = |pair: &[Activation]| match pair {
            [value, derivative] => value.derivative() == Some(*derivative),
            _ => false,
        };
        match &self.forward_activation {
            StateActivations::PerState(words) if words.chunks(2).all(is_pair) => Ok(()),
            _ => refuse(
                "forward_activation",
                "list an activation and its derivative for each pair of states, as [\"tanh\", \"d_tanh\", ..],",
            ),
        }
    }
}

/// A genome that is being written, by its parameters.
struct Values<'a> {
    layout: &'a GenomeLayout,
    genome: Genome,
}

impl Values<'_> {
    /// Sets a segment's parameters, each by its place.
    fn fill(&mut self, name: &str, parameter: impl Fn(usize) -> f64) {
        let segment = self.layout.segment(name).expect("the options have the segment");
        for (place, value) in self.genome.0[segment.range()].iter_mut().enumerate() {
            *value = segment.transform.invert(parameter(place));
        }
    }

    /// Sets a segment's parameters to one number, or to one for each of its layers. `needs` is the option that has the segment.
    fn set(
        &mut self,
        name: &str,
        numbers: &PerLayer,
        layers: Option<usize>,
        needs: &str,
    ) -> Result<(), String> {
        let Some(segment) = self.layout.segment(name) else { return Err(format!("needs {needs}")) };
        match (numbers, layers) {
            (PerLayer::All(number), _) => self.fill(name, |_| *number),
            (PerLayer::Each(list), Some(layers)) if list.len() == layers => {
                let of_layer = segment.len() / layers;
                self.fill(name, |place| list[place / of_layer]);
            }
            (PerLayer::Each(list), Some(layers)) => {
                return Err(format!(
                    "must be one number or {layers}, one for each layer, not {}",
                    list.len()
                ));
            }
            (PerLayer::Each(_), None) => {
                return Err("must be one number: all layers share the genome".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(learning_rate: f64) -> StartSpec {
        StartSpec { learning_rate: Some(PerLayer::All(learning_rate)), ..StartSpec::default() }
    }

    #[test]
    fn the_parameters_are_those_of_gradient_descent() {
        let network = NetworkSpec::default();
        for rate in [1e-4, 0.1, 0.37, 20.0] {
            let rule = MultiStateSpec::backpropagation(HiddenActivation::Relu);
            assert_eq!(rule.validate(), Ok(()));
            let genome = rule.backpropagation_genome(&network, &start(rate)).unwrap();
            let layout = rule.layout(&network);
            let of = |name| layout.parameters(name, &genome).unwrap();
            assert_eq!(of("forward_transform"), [1.0, 1.0, 0.0, 0.0]);
            assert_eq!(
                (of("synapse_keep"), of("neuron_keep"), of("neuron_update")),
                (vec![1.0], vec![1.0], vec![1.0])
            );
            assert!((of("synapse_update")[0] / rate - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn options_that_are_no_descent_are_refused_by_name() {
        let network = NetworkSpec::default();
        let refused = |change: &dyn Fn(&mut MultiStateSpec), expected: &str| {
            let mut rule = MultiStateSpec::backpropagation_in_pairs(2, HiddenActivation::Tanh);
            assert_eq!(rule.validate(), Ok(()));
            change(&mut rule);
            let error = rule.backpropagation_genome(&network, &start(0.1)).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        refused(&|rule| rule.states = 3, "rule.states: must be even");
        refused(&|rule| rule.gates = Gates::Scalar, "rule.gates: must be \"per-state\" for the genome of");
        refused(&|rule| rule.genome = GenomeScope::Shared, "rule.genome: must be \"per-layer\"");
        refused(
            &|rule| rule.symmetric_synapses = false,
            "rule.symmetric_synapses: must be true together with",
        );
        refused(
            &|rule| rule.feedback = Feedback::Difference,
            "rule.feedback: must be \"softmax-difference\"",
        );
        refused(&|rule| rule.backward_update = BackwardUpdate::Additive, "rule.backward_update: must be");
        refused(
            &|rule| rule.forward_activation = Activation::Tanh.into(),
            "rule.forward_activation: must list an activation and its derivative",
        );
        let rule = MultiStateSpec::backpropagation_in_pairs(2, HiddenActivation::Tanh);
        let refused = |start: StartSpec, expected: &str| {
            let error = rule.backpropagation_genome(&network, &start).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        let each = |numbers: &[f64]| Some(PerLayer::Each(numbers.to_vec()));
        refused(
            StartSpec { learning_rate: each(&[0.1]), ..StartSpec::default() },
            "start.learning_rate: must be one number or 2, one for each layer, not 1",
        );
        refused(
            StartSpec { schedule_power: each(&[0.1, 0.1]), ..StartSpec::default() },
            "start.schedule_power: needs rule.update_schedule",
        );
    }
}
