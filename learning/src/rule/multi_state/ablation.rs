//! What is left of a rule without some of its parts: whether it learns more than a readout of random neurons.

pub(super) use hebbian_shared::spec::rule::ablation::Ablation;

use super::{Network, UpdateRule};

/// Leaves of a rule what is left.
pub(super) fn apply(ablation: Ablation, rule: &mut UpdateRule<f32>) {
    if ablation.takes_backward_transform() {
        rule.backward_transform.fill(0.0);
    }
}

/// The synapses of a network but those into its last layer, at some moment.
#[derive(Default)]
pub(super) struct FrozenSynapses(Vec<f32>);

impl FrozenSynapses {
    /// Takes the synapses as they are.
    pub(super) fn take(&mut self, network: &mut Network<f32>) {
        self.0.clear();
        each(network, |synapses| self.0.extend_from_slice(synapses));
    }

    /// Takes back what they have learned since.
    pub(super) fn restore(&self, network: &mut Network<f32>) {
        let mut rest = &self.0[..];
        each(network, |synapses| {
            let (then, later) = rest.split_at(synapses.len());
            synapses.copy_from_slice(then);
            rest = later;
        });
    }
}

/// Calls for the forward and backward synapses of each state below the last layer, always in the same order.
fn each(network: &mut Network<f32>, mut call: impl FnMut(&mut [f32])) {
    for layer in 0..network.plan().layers() - 2 {
        for state in 0..network.states() {
            call(network.forward_synapses_mut(layer, state));
            if let Some(backward) = network.backward_synapses_mut(layer, state) {
                call(backward);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::genome::{Genome, GenomeLayout};
    use hebbian_shared::seed::{Seed, fill_normal};
    use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
    use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

    use super::*;

    fn rule() -> UpdateRule<f32> {
        let layout = GenomeLayout::of_rule(&MultiStateSpec::default(), &NetworkSpec::default());
        let mut values = vec![0.0; layout.dimension()];
        fill_normal(&mut Seed::new(3).unwrap().rng(), &mut values);
        UpdateRule::from_genome(&layout, &Genome(values)).unwrap()
    }

    /// Trains a network of two hidden layers; its synapses before and after, layer by layer.
    fn learned(ablation: Ablation) -> Vec<bool> {
        let mut network = Network::new(&MultiStateSpec::default(), &[2, 3, 3, 1], 4);
        network.initialise_synapses(&InitialSynapses::default(), Seed::new(1).unwrap());
        let mut rule = rule();
        apply(ablation, &mut rule);
        let mut frozen = FrozenSynapses::default();
        frozen.take(&mut network);
        let synapses = |network: &Network<f32>| -> Vec<Vec<f32>> {
            let of_layer = |layer| {
                let of_state = |state| {
                    let backward = network.backward_synapses(layer, state).unwrap_or_default();
                    [network.forward_synapses(layer, state), backward].concat()
                };
                (0..4).flat_map(of_state).collect()
            };
            (0..3).map(of_layer).collect()
        };
        let before = synapses(&network);
        for _ in 0..2 {
            network.update(&rule, &[0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, -0.5], &[1.0, -1.0, -1.0, 1.0], 4);
            if ablation.freezes() {
                frozen.restore(&mut network);
            }
        }
        before.iter().zip(synapses(&network)).map(|(before, after)| *before != after).collect()
    }

    #[test]
    fn hidden_synapses_are_frozen_where_they_shall_be() {
        assert_eq!(learned(Ablation::NoBackwardTransform), [true, true, true]);
        assert_eq!(learned(Ablation::HiddenSynapsesFrozen), [false, false, true]);
        assert_eq!(learned(Ablation::ReadoutOnly), [false, false, true]);
    }

    #[test]
    fn only_the_backward_transform_is_taken_away() {
        let whole = rule();
        for ablation in Ablation::OF_MULTI_STATE {
            let mut left = rule();
            apply(*ablation, &mut left);
            if *ablation != Ablation::HiddenSynapsesFrozen {
                assert!(left.backward_transform.iter().all(|&factor| factor == 0.0));
                left.backward_transform.clone_from(&whole.backward_transform);
            }
            assert_eq!(left, whole, "{ablation}");
        }
    }
}
