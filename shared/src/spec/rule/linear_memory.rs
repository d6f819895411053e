//! Linear memories: a matrix that maps cues to targets, by the outer product, the delta rule or least squares. They train no network:
//! they say what a memory of pairs can be without anything learned, and so they stand beside update networks in comparisons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use crate::genome::{GenomeLayout, Transform};
use crate::limits::KERNEL_EXAMPLES_MAX;
use crate::spec::SpecError;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::range::Range;
use crate::spec::task::TaskSpec;

/// Options of linear memories. The prediction is `w x / n` for n inputs.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearMemorySpec {
    /// How the matrix comes from the examples that were seen.
    pub method: MemoryMethod,
    /// How often all examples are gone through, in the order in which they were seen; 1 for least squares.
    #[schemars(transform = PASSES.schema())]
    pub passes: u32,
}

/// How a matrix comes from examples x, y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryMethod {
    /// `w += rate y x`. Evolves `learning_rate`.
    OuterProduct,
    /// `w += rate (y - w x / n) x`. Evolves `learning_rate`.
    DeltaRule,
    /// The matrix of the least squared error over all examples, and of those the smallest. Evolves `ridge`, which is added to the
    /// diagonal.
    LeastSquares,
}

impl Default for LinearMemorySpec {
    fn default() -> Self {
        Self { method: MemoryMethod::DeltaRule, passes: 1 }
    }
}

const PASSES: Range<u32> = Range::new(1, 1000);
/// The logarithm to the base 10 is what is evolved.
const POSITIVE: Transform = Transform::Exp { factor: 1.0, scale: std::f64::consts::LN_10 };

impl LinearMemorySpec {
    /// The name of the family.
    pub const FAMILY: &str = "linear-memory";

    /// The only number that it evolves, and where a search starts.
    fn parameter(self) -> (&'static str, f64) {
        match self.method {
            MemoryMethod::OuterProduct => ("learning_rate", 1.0),
            MemoryMethod::DeltaRule => ("learning_rate", 0.4),
            MemoryMethod::LeastSquares => ("ridge", 1e-6),
        }
    }
}

impl RuleOptions for LinearMemorySpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        PASSES.check("rule.passes", self.passes)?;
        if self.method == MemoryMethod::LeastSquares && self.passes != 1 {
            let problem = format!("must be 1 for least squares, not {}", self.passes);
            return Err(SpecError::field("rule.passes", problem));
        }
        Ok(())
    }

    fn validate_for(&self, network: &NetworkSpec, _: &TaskSpec) -> Result<(), SpecError> {
        if network.initial_synapses != InitialSynapses::default() {
            return Err(SpecError::field(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out: a linear memory starts at 0",
            ));
        }
        Ok(())
    }

    fn layout(&self, _: &NetworkSpec) -> GenomeLayout {
        let mut layout = GenomeLayout::default();
        let (name, start) = self.parameter();
        layout.push(name, &[], POSITIVE);
        layout.start_at(POSITIVE.invert(start));
        layout
    }

    fn network_numbers(&self, sizes: &[usize], _: f64) -> f64 {
        let (inputs, outputs) = (sizes[0] as f64, sizes[sizes.len() - 1] as f64);
        let examples = KERNEL_EXAMPLES_MAX as f64;
        // Examples, the matrix, and the square that least squares solves, of two numbers' size.
        let square = inputs.min(examples);
        examples * (inputs + outputs) + 2.0 * (inputs * outputs + square * (square + outputs))
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        let (inputs, outputs) = (sizes[0] as f64, sizes[sizes.len() - 1] as f64);
        let square = inputs.min(KERNEL_EXAMPLES_MAX as f64);
        match self.method {
            MemoryMethod::LeastSquares => square * square + inputs * outputs,
            _ => 2.0 * f64::from(self.passes) * inputs * outputs,
        }
    }

    fn summary(&self) -> String {
        match self.method {
            MemoryMethod::OuterProduct => "linear memory by the outer product".to_owned(),
            MemoryMethod::DeltaRule => format!("linear memory by the delta rule, passes: {}", self.passes),
            MemoryMethod::LeastSquares => "linear memory by least squares".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::TaskFamily;

    #[test]
    fn a_memory_evolves_one_number() {
        for (method, name, start) in [
            (MemoryMethod::OuterProduct, "learning_rate", 1.0),
            (MemoryMethod::DeltaRule, "learning_rate", 0.4),
            (MemoryMethod::LeastSquares, "ridge", 1e-6),
        ] {
            let layout = LinearMemorySpec { method, passes: 1 }.layout(&NetworkSpec::default());
            assert_eq!(layout.dimension(), 1);
            let found = layout.parameter(name, &layout.initial_mean()).unwrap();
            assert!((found - start).abs() < 1e-12, "{name}: {found}");
        }
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let refused = |spec: LinearMemorySpec| spec.validate().unwrap_err().to_string();
        let spec = LinearMemorySpec::default();
        assert_eq!(spec.validate(), Ok(()));
        assert!(refused(LinearMemorySpec { passes: 0, ..spec }).starts_with("rule.passes: "));
        let twice = LinearMemorySpec { passes: 2, method: MemoryMethod::LeastSquares };
        assert_eq!(refused(twice), "rule.passes: must be 1 for least squares, not 2");
        let initial_synapses = InitialSynapses { scale: 1.0, ..InitialSynapses::default() };
        let network = NetworkSpec { initial_synapses, ..NetworkSpec::default() };
        let error = spec.validate_for(&network, &TaskSpec::of(vec![TaskFamily::RememberBits]));
        assert!(error.unwrap_err().to_string().starts_with("network.initial_synapses: "));
    }
}
