//! The ABCD rule: local plasticity without anything that runs back (Najarro and Risi 2020). Its genome says, for each layer of
//! weights, how much they learn from both neurons, from either and from none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use crate::genome::{GenomeLayout, Transform};
use crate::spec::SpecError;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::task::TaskSpec;

/// Options of the ABCD rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbcdSpec {
    /// What stands for the last layer's neurons when its weights learn.
    pub teaching: Teaching,
}

/// What stands for the last layer's neurons when its weights learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teaching {
    /// Target minus prediction: with `correlation` alone, the delta rule.
    #[default]
    Error,
    /// The target: nothing in the network sees what it predicted.
    Target,
}

/// The segments of a genome, one number for each layer of weights: name, transform, and the parameter where a search starts.
const SEGMENTS: [(&str, Transform, f64); 6] = [
    ("learning_rate", Transform::Exp { factor: 1.0, scale: std::f64::consts::LN_10 }, 0.1),
    ("correlation", Transform::IDENTITY, 1.0),
    ("presynaptic", Transform::IDENTITY, 0.0),
    ("postsynaptic", Transform::IDENTITY, 0.0),
    ("constant", Transform::IDENTITY, 0.0),
    ("initial_scale", Transform::Exp { factor: 1.0, scale: 0.5 }, 1.0),
];

impl AbcdSpec {
    /// The name of the family.
    pub const FAMILY: &str = "abcd";
}

impl RuleOptions for AbcdSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        Ok(())
    }

    fn validate_for(&self, network: &NetworkSpec, _: &TaskSpec) -> Result<(), SpecError> {
        if network.initial_synapses != InitialSynapses::default() {
            return Err(SpecError::field(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out: the genome has the scale of initial weights",
            ));
        }
        match network.synapse_layers() {
            Some(_) => Ok(()),
            None => Err(SpecError::field(
                "rule.family",
                "`abcd` needs networks of one depth, but network.shapes mixes several",
            )),
        }
    }

    fn layout(&self, network: &NetworkSpec) -> GenomeLayout {
        let layers = network.synapse_layers().expect("networks have one depth") as u32;
        let mut layout = GenomeLayout::default();
        for (name, transform, start) in SEGMENTS {
            layout.push(name, &[layers], transform);
            layout.start_at(transform.invert(start));
        }
        layout
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        // Weights and their change; values.
        2.0 * NetworkSpec::synapses_of(sizes) + batch * neurons
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        2.0 * NetworkSpec::synapses_of(sizes)
    }

    fn summary(&self) -> String {
        "ABCD rule".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::TaskFamily;

    #[test]
    fn a_search_starts_at_the_delta_rule() {
        let layout = AbcdSpec::default().layout(&NetworkSpec::default());
        assert_eq!(layout.dimension(), 12, "one hidden layer: two layers of weights");
        for (name, _, start) in SEGMENTS {
            let found = layout.parameters(name, &layout.initial_mean()).unwrap();
            assert!(found.len() == 2 && found.iter().all(|value| (value - start).abs() < 1e-12), "{name}");
        }
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let check = |network: &NetworkSpec, field: &str| {
            let error = AbcdSpec::default().validate_for(network, &TaskSpec::of(vec![TaskFamily::Xor]));
            assert!(error.unwrap_err().to_string().starts_with(field));
        };
        let initial_synapses = InitialSynapses { scale: 1.0, ..InitialSynapses::default() };
        check(&NetworkSpec { initial_synapses, ..NetworkSpec::default() }, "network.initial_synapses: ");
        let shapes = vec![vec![4], vec![4, 4]];
        check(&NetworkSpec { hidden: Vec::new(), shapes, ..NetworkSpec::default() }, "rule.family: ");
    }
}
