//! The genomes that are linear associators: the outer product and the delta rule.

use super::{UPDATE, UpdateActivation, UpdateNetworksSpec};
use crate::genome::Genome;
use crate::spec::rule::SpecialGenome;

/// Those that `hebbian genome` writes.
pub(super) const SPECIAL: &[SpecialGenome] = &[
    SpecialGenome {
        command: "remember-outer",
        name: "outer-product",
        summary: "Write the update network that is the outer product, `w += rate y x`",
        details: DETAILS,
        spec: SPEC,
        genome: |rate| associator(Associator::OuterProduct, rate),
    },
    SpecialGenome {
        command: "remember-delta",
        name: "delta-rule",
        summary: "Write the update network that is the delta rule, `w += rate (y - w x / n) x`",
        details: DETAILS,
        spec: SPEC,
        genome: |rate| associator(Associator::DeltaRule, rate),
    },
];

const DETAILS: &str = "It is a linear associator, for networks without hidden layers that remember pairs shown once; with n inputs it predicts w x / n. \
                       The delta rule is gradient descent on the squared error.";

/// Their rule, with tasks that suit them.
const SPEC: &str = r#"
[strategy]
kind = "cma-es"
population_size = 16
[rule]
family = "update-networks"
body_states = 2
synapse_states = 1
features = 1
body_activation = "identity"
synapse_activation = "identity"
[network]
hidden = []
[tasks]
families = ["remember-bits"]
batch_size = 1
query_size = 64
[evaluation]
objective = "squared-error"
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 1, updates = 8 }]
[stop]
generations = 1
"#;

impl UpdateNetworksSpec {
    /// The options under which a genome can be a linear associator, whose own is [`associator`].
    pub fn of_associator() -> Self {
        Self {
            body_states: 2,
            synapse_states: 1,
            features: 1,
            body_activation: UpdateActivation::Identity,
            synapse_activation: UpdateActivation::Identity,
            ..Self::default()
        }
    }
}

/// A linear associator with weights w and prediction w x / n for n inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Associator {
    /// `w += rate y x^T`
    OuterProduct,
    /// `w += rate (y - w x / n) x^T`: gradient descent on the squared error, one example at a time.
    DeltaRule,
}

/// The genome under [`UpdateNetworksSpec::of_associator`] that is a linear associator, up to rounding, in networks without hidden layers.
///
/// State 1 of an input holds its value, state 1 of an output what is written; state 0 of an output is its sum.
pub fn associator(kind: Associator, rate: f64) -> Genome {
    /// A gate that is open, or a share that is lost, up to rounding.
    const OPEN: f64 = 40.0;
    let layout = UpdateNetworksSpec::of_associator().layout_of(2);
    let mut genome = Genome(vec![0.0; layout.dimension()]);
    let mut set = |name: &str, places: &[(usize, f64)]| {
        let start = layout.segment(name).expect("the layout has it").start as usize;
        for &(place, value) in places {
            genome.0[start + place] = value;
        }
    };
    // What the body function sees, 8 numbers: bodies 0 and 1, message, value, flag, two of the embedding, one.
    let error = if kind == Associator::DeltaRule { -1.0 } else { 0.0 };
    set("embedding", &[(0, 1.0), (3, 1.0)]);
    set("body_candidate", &[(2, 1.0), (8 + 2, error), (8 + 3, 1.0)]);
    set("body_gate", &[(7, OPEN), (8 + 4, 2.0 * OPEN), (8 + 7, -OPEN)]);
    set("body_keep", &[(0, -60.0), (1, -60.0)]);
    for ends in ["axon", "synapse_pre", "synapse_post"] {
        set(ends, &[(1, 1.0)]);
    }
    set("synapse_out", &[(0, 1.0)]);
    set("synapse_keep", &[(0, -OPEN)]);
    set("synapse_update", &[(0, libm::log(rate / UPDATE))]);
    genome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;
    use crate::spec::rule::RuleSpec;

    #[test]
    fn their_spec_has_their_options() {
        let spec = RunSpec::read(&format!("name = \"associator\"\n{SPEC}")).unwrap();
        let rule = &spec.problem.rule_learning().unwrap().rule;
        assert_eq!(*rule, RuleSpec::UpdateNetworks(UpdateNetworksSpec::of_associator()));
        for special in SPECIAL {
            assert_eq!((special.genome)(0.4).0.len(), spec.layout().dimension());
        }
    }
}
