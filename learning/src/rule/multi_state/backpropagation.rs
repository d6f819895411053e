//! Backpropagation as an update rule: the theory's fixed point.
//!
//! With two states, state 0 of a neuron is its value f(z) and state 1 its derivative f'(z), which waits there for the
//! backward pass to multiply it by the error that arrives (the multiplicative update leaves state 0 as it is). A synapse
//! then learns from the value below and the error above, the same in both directions and both states. So the rule
//! computes stochastic gradient descent on half of the squared error, up to rounding.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, Feedback, MultiStateSpec, StateActivations,
};

use hebbian_shared::spec::rule::gradient_descent::HiddenActivation;

/// The search value at which the decay of synapses vanishes: `exp(-0.05 exp(-51))` is 1 in every precision.
const KEEP_ALL: f64 = -50.0;

/// The options under which [`genome`] is gradient descent on networks with these hidden layers and a linear output.
pub fn options(activation: HiddenActivation) -> MultiStateSpec {
    let (value, derivative) = match activation {
        HiddenActivation::Tanh => (Activation::Tanh, Activation::DTanh),
        HiddenActivation::Relu => (Activation::Relu, Activation::DRelu),
    };
    MultiStateSpec {
        states: 2,
        forward_activation: StateActivations::PerState(vec![value, derivative]),
        backward_activation: Activation::Identity.into(),
        last_layer_activation: Activation::Identity.into(),
        backward_update: BackwardUpdate::MultiplicativeSecondState,
        feedback: Feedback::Difference,
        symmetric_synapses: true,
        symmetric_states: true,
        ..MultiStateSpec::default()
    }
}

/// The genome that descends with this learning rate, above 0, the mean over the batch of half of the squared
/// differences. It is laid out by the rule of [`options`].
pub fn genome(learning_rate: f64) -> Genome {
    let rule = options(HiddenActivation::Tanh);
    let layout = GenomeLayout::of_rule(&rule, &NetworkSpec::default());
    let mut genome = layout.initial_mean();
    let mut set = |name: &str, values: &[f64]| {
        let segment = layout.segment(name).expect("every layout has these segments");
        genome.0[segment.range()].copy_from_slice(values);
    };
    // The value alone enters the next layer, in both of its states.
    set("forward_transform", &[1.0, 1.0, 0.0, 0.0]);
    set("backward_transform", &[1.0, 0.0, 0.0, 1.0]);
    set("hebbian_pre", &[1.0, 0.0, 0.0, 1.0]);
    // The update gate is positive, so the sign of a descent stands here.
    set("hebbian_post", &[0.0, -1.0, -1.0, 0.0]);
    set("synapse_keep", &[KEEP_ALL]);
    set("synapse_update", &[libm::log(learning_rate / 0.1)]);
    genome
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::RuleOptions;

    use super::*;
    use crate::rule::multi_state::UpdateRule;

    #[test]
    fn the_parameters_are_those_of_gradient_descent() {
        for rate in [1e-4, 0.1, 0.37, 20.0] {
            let rule = options(HiddenActivation::Relu);
            assert_eq!(rule.validate(), Ok(()));
            let layout = GenomeLayout::of_rule(&rule, &NetworkSpec::default());
            let rule = UpdateRule::<f64>::from_genome(&layout, &genome(rate)).unwrap();
            assert_eq!(rule.forward_transform, [1.0, 1.0, 0.0, 0.0]);
            assert_eq!(rule.synapse.keep, [1.0; 2]);
            assert_eq!((&rule.neuron_keep[..], &rule.neuron_update[..]), (&[1.0; 2][..], &[1.0; 2][..]));
            assert!((rule.synapse.update[0] / rate - 1.0).abs() < 1e-14);
        }
    }
}
