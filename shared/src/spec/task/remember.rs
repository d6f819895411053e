//! The tasks of remembering: pairs of cue and target, each seen once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::SpecError;
use crate::spec::range::Range;

/// What is to be remembered, in the families `remember-*`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RememberSpec {
    /// Bits of a cue of `remember-bits`.
    #[schemars(transform = BITS.schema())]
    pub cue: u32,
    /// Bits of a target of `remember-bits`.
    #[schemars(transform = BITS.schema())]
    pub target: u32,
    /// Share of the cue's bits that are flipped when a target is asked for.
    #[schemars(transform = NOISE.schema())]
    pub noise: f64,
}

impl Default for RememberSpec {
    fn default() -> Self {
        Self { cue: 16, target: 16, noise: 0.0 }
    }
}

const BITS: Range<u32> = Range::new(1, 256);
const NOISE: Range<f64> = Range::new(0.0, 0.5);

impl RememberSpec {
    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        BITS.check("tasks.remember.cue", self.cue)?;
        BITS.check("tasks.remember.target", self.target)?;
        NOISE.check("tasks.remember.noise", self.noise)
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::task::{SupportDraw, TaskFamily, TaskSpec};

    #[test]
    fn a_support_that_is_always_the_same_is_refused() {
        let refused = |families: &[TaskFamily], support| {
            let spec = TaskSpec { support, ..TaskSpec::of(families.to_vec()) };
            spec.validate().err().map(|error| error.field)
        };
        for family in [TaskFamily::RememberBits, TaskFamily::RememberImages, TaskFamily::RememberLabels] {
            assert_eq!(refused(&[family], SupportDraw::Fixed).as_deref(), Some("tasks.support"), "{family}");
            assert_eq!(refused(&[family], SupportDraw::Fresh), None, "{family}");
        }
        let mixed = [TaskFamily::Digits, TaskFamily::RememberLabels];
        assert_eq!(refused(&mixed, SupportDraw::Fixed).as_deref(), Some("tasks.support"));
        assert_eq!(refused(&[TaskFamily::Digits], SupportDraw::Fixed), None);
    }
}
