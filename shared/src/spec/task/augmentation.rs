//! What tasks do to the images of their data set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a task over images differs from the data set as it is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageAugmentation {
    /// Whether each task permutes the classes.
    pub permute_labels: bool,
    /// What is done to the inputs; of several, each task draws one.
    #[schemars(length(min = 1))]
    pub inputs: Vec<InputAugmentation>,
}

impl Default for ImageAugmentation {
    fn default() -> Self {
        Self { permute_labels: true, inputs: vec![InputAugmentation::Projected, InputAugmentation::Permuted] }
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
}
