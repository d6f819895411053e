//! What is left of a rule without some of its parts: whether it learns more than a readout of random neurons.

use serde::{Deserialize, Serialize};

use crate::rule::multi_state::{Network, UpdateRule};

/// What is taken from a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ablation {
    /// The backward transform (mu) is zero: nothing runs back from the last layer to the hidden ones.
    NoBackwardTransform,
    /// The synapses below the last layer, of both directions, stay as they were initialised.
    HiddenSynapsesFrozen,
    /// Both: only the synapses of the last layer learn, from random neurons and their own feedback.
    ReadoutOnly,
}

impl Ablation {
    /// All of them.
    pub const ALL: &[Self] = &[Self::NoBackwardTransform, Self::HiddenSynapsesFrozen, Self::ReadoutOnly];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoBackwardTransform => "no backward",
            Self::HiddenSynapsesFrozen => "hidden frozen",
            Self::ReadoutOnly => "readout only",
        }
    }

    /// What is left of a rule.
    pub(super) fn apply(self, rule: &UpdateRule<f32>) -> UpdateRule<f32> {
        let mut rule = rule.clone();
        if matches!(self, Self::NoBackwardTransform | Self::ReadoutOnly) {
            rule.backward_transform.fill(0.0);
        }
        rule
    }

    /// The synapses that must not learn, as they are now.
    pub(super) fn freeze(self, network: &Network<f32>) -> Option<FrozenSynapses> {
        matches!(self, Self::HiddenSynapsesFrozen | Self::ReadoutOnly).then(|| FrozenSynapses::of(network))
    }
}

impl std::fmt::Display for Ablation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Forward synapses of a layer and a state, and backward ones where the network has them.
type FrozenState = (Vec<f32>, Option<Vec<f32>>);

/// The synapses of a network but those into its last layer, at some moment.
pub(super) struct FrozenSynapses {
    /// `[layer][state]`.
    layers: Vec<Vec<FrozenState>>,
}

impl FrozenSynapses {
    fn of(network: &Network<f32>) -> Self {
        let of_state = |layer: usize, state: usize| {
            let backward = network.backward_synapses(layer, state).map(<[f32]>::to_vec);
            (network.forward_synapses(layer, state).to_vec(), backward)
        };
        let hidden = network.layer_sizes().len() - 2;
        let of_layer = |layer| (0..network.states()).map(|state| of_state(layer, state)).collect();
        Self { layers: (0..hidden).map(of_layer).collect() }
    }

    /// Takes back what they have learned since.
    pub(super) fn restore(&self, network: &mut Network<f32>) {
        for (layer, states) in self.layers.iter().enumerate() {
            for (state, (forward, backward)) in states.iter().enumerate() {
                network.forward_synapses_mut(layer, state).copy_from_slice(forward);
                if let (Some(now), Some(then)) = (network.backward_synapses_mut(layer, state), backward) {
                    now.copy_from_slice(then);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::genome::{Genome, GenomeLayout};
    use hebbian_shared::seed::{Seed, fill_normal};
    use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
    use hebbian_shared::spec::rule::RuleSpec;

    use super::*;

    fn rule() -> UpdateRule<f32> {
        let layout = GenomeLayout::of_rule(&RuleSpec::default(), &NetworkSpec::default());
        let mut values = vec![0.0; layout.dimension()];
        fill_normal(&mut Seed::new(3).unwrap().rng(), &mut values);
        UpdateRule::from_genome(&layout, &Genome(values)).unwrap()
    }

    /// Trains a network of two hidden layers; its synapses before and after, layer by layer.
    fn learned(ablation: Ablation) -> Vec<bool> {
        let mut network = Network::new(&RuleSpec::default(), &[2, 3, 3, 1], 4);
        network.initialise_synapses(&InitialSynapses::default(), Seed::new(1).unwrap());
        let rule = ablation.apply(&rule());
        let frozen = ablation.freeze(&network);
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
            if let Some(frozen) = &frozen {
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
        assert_eq!(Ablation::HiddenSynapsesFrozen.apply(&whole), whole);
        for ablation in [Ablation::NoBackwardTransform, Ablation::ReadoutOnly] {
            let left = ablation.apply(&whole);
            assert!(left.backward_transform.iter().all(|&factor| factor == 0.0));
            assert_eq!(UpdateRule { backward_transform: whole.backward_transform.clone(), ..left }, whole);
        }
    }
}
