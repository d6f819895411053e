//! What tasks do to the images of their data set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::range::Range;
use crate::spec::{SpecError, is_default};

/// How a task over images differs from the data set as it is.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageAugmentation {
    /// Whether each task permutes the classes.
    pub permute_labels: bool,
    /// What is done to the inputs; of several, each task draws one.
    #[schemars(length(min = 1))]
    pub inputs: Vec<InputAugmentation>,
    /// Share of each class's training images, the last ones, that are never trained on: rules are judged on them while their spec
    /// is still being made, so that the test images stay unseen.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(transform = HELD_BACK.schema(), !skip_serializing_if)]
    pub held_back: f64,
}

const HELD_BACK: Range<f64> = Range::new(0.0, 0.5);

impl Default for ImageAugmentation {
    fn default() -> Self {
        Self { permute_labels: true, inputs: Self::JUDGED.to_vec(), held_back: 0.0 }
    }
}

impl ImageAugmentation {
    /// What rules are judged by whose spec names nothing else.
    const JUDGED: [InputAugmentation; 2] = [InputAugmentation::Projected, InputAugmentation::Permuted];

    /// What is done to the inputs where rules are judged and baselines are tuned: all but what distorts.
    pub fn judged_inputs(&self) -> Vec<InputAugmentation> {
        let honest: Vec<_> = self.inputs.iter().copied().filter(|inputs| !inputs.distorts()).collect();
        if honest.is_empty() { Self::JUDGED.to_vec() } else { honest }
    }

    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        if self.inputs.is_empty() {
            return Err(SpecError::field(
                "tasks.images.inputs",
                "must name at least one of original, permuted, projected, spectrum, principal",
            ));
        }
        HELD_BACK.check("tasks.images.held_back", self.held_back)
    }
}

/// What a task does to the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputAugmentation {
    /// Nothing.
    Original,
    /// A random permutation of the pixels.
    Permuted,
    /// A random linear projection that keeps their number and, on average, their variance.
    Projected,
    /// A random rotation, then a factor for each input: log-normal, with the mean square 1, times a scale e^(0.25 N) that all share.
    /// A distortion: only for training.
    Spectrum,
    /// The one to five leading principal components of the training images, each times e^U(0, 1.2); then a projection. A
    /// distortion: only for training.
    Principal,
}

impl InputAugmentation {
    /// Whether it changes which directions of the data are strong, so that tasks become others than the data set's.
    pub fn distorts(self) -> bool {
        matches!(self, Self::Spectrum | Self::Principal)
    }

    /// Whether inputs are pixels times a matrix.
    pub fn projects(self) -> bool {
        !matches!(self, Self::Original | Self::Permuted)
    }
}
