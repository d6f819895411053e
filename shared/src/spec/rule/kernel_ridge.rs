//! Kernel ridge regression on all examples that were seen. It trains no network: it says what can be known of a task after so many
//! examples, and so it is the ceiling of comparisons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use crate::genome::{GenomeLayout, Transform};
use crate::limits::KERNEL_EXAMPLES_MAX;
use crate::spec::SpecError;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::task::TaskSpec;

/// Kernel ridge regression has no options. Evolves `width` and `ridge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KernelRidgeSpec {}

/// The logarithm to the base 10 is what is evolved.
const POSITIVE: Transform = Transform::Exp { factor: 1.0, scale: std::f64::consts::LN_10 };

impl KernelRidgeSpec {
    /// The name of the family.
    pub const FAMILY: &str = "kernel-ridge";
}

impl RuleOptions for KernelRidgeSpec {
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
                "belongs to multi-state rules; leave it out: kernel ridge regression has no synapses",
            ));
        }
        Ok(())
    }

    fn layout(&self, _: &NetworkSpec) -> GenomeLayout {
        let mut layout = GenomeLayout::default();
        for (name, start) in [("width", 1.0), ("ridge", 0.1)] {
            layout.push(name, &[], POSITIVE);
            layout.start_at(POSITIVE.invert(start));
        }
        layout
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let (inputs, outputs) = (sizes[0] as f64, sizes[sizes.len() - 1] as f64);
        let examples = KERNEL_EXAMPLES_MAX as f64;
        // A triangle, what is solved of the targets and the weights, all of two numbers' size; examples; a query's kernel.
        examples * (examples + 1.0) + examples * (4.0 * outputs + inputs + 3.0) + 2.0 * batch
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        // The triangle of the most examples, shared among them.
        let examples = KERNEL_EXAMPLES_MAX as f64;
        examples * examples / 6.0 + examples * sizes[0] as f64
    }

    fn summary(&self) -> String {
        "kernel ridge regression on all examples seen".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::TaskFamily;

    #[test]
    fn a_search_starts_at_what_suits_standardised_inputs() {
        let layout = KernelRidgeSpec {}.layout(&NetworkSpec::default());
        let start = layout.initial_mean();
        assert_eq!(layout.dimension(), 2);
        for (name, expected) in [("width", 1.0), ("ridge", 0.1)] {
            let found = layout.parameter(name, &start).unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found}");
        }
        let initial_synapses = InitialSynapses { scale: 1.0, ..InitialSynapses::default() };
        let network = NetworkSpec { initial_synapses, ..NetworkSpec::default() };
        let error = KernelRidgeSpec {}.validate_for(&network, &TaskSpec::of(vec![TaskFamily::Xor]));
        assert!(error.unwrap_err().to_string().starts_with("network.initial_synapses: "));
    }
}
