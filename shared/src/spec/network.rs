//! The networks that the rule trains.

use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// The most hidden layers.
pub const HIDDEN_LAYERS_MAX: usize = 16;
/// The most neurons of a hidden layer.
pub const HIDDEN_NEURONS_MAX: u32 = 4096;
/// The most synapses of a network, per state and direction.
pub const SYNAPSES_MAX: f64 = 16e6;

/// Shape and initial synapses of the networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSpec {
    /// Neurons of each hidden layer, from the input on; inputs and outputs are the task's.
    pub hidden: Vec<u32>,
    /// How synapses are drawn before the first update.
    pub initial_synapses: InitialSynapses,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self { hidden: vec![20], initial_synapses: InitialSynapses::default() }
    }
}

/// Distribution of initial synapses: every state, direction and bias independently.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InitialSynapses {
    /// The distribution's form.
    pub distribution: SynapseDistribution,
    /// Its scale, in (0, 100].
    pub scale: f64,
}

impl Default for InitialSynapses {
    fn default() -> Self {
        Self { distribution: SynapseDistribution::Uniform, scale: 0.5 }
    }
}

/// Form of the initial distribution; `scale` is its parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SynapseDistribution {
    /// Uniform in -scale .. scale.
    #[default]
    Uniform,
    /// Normal with standard deviation `scale`.
    Normal,
    /// Uniform in +-scale * sqrt(6 / (inputs + outputs)) of the layer (Glorot and Bengio 2010).
    Xavier,
}

impl NetworkSpec {
    /// Refuses what would cost unbounded time or memory, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.hidden.len() > HIDDEN_LAYERS_MAX {
            return Err(SpecError::field(
                "network.hidden",
                format!("must have at most {HIDDEN_LAYERS_MAX} layers, not {}", self.hidden.len()),
            ));
        }
        for (layer, &neurons) in self.hidden.iter().enumerate() {
            check_range(&format!("network.hidden[{layer}]"), neurons, 1, HIDDEN_NEURONS_MAX)?;
        }
        let scale = self.initial_synapses.scale;
        if !(scale > 0.0 && scale <= 100.0) {
            return Err(SpecError::field(
                "network.initial_synapses.scale",
                format!("must be above 0 and at most 100, not {scale}"),
            ));
        }
        if self.synapses(1, 1) > SYNAPSES_MAX {
            return Err(SpecError::field(
                "network.hidden",
                format!("makes more than {SYNAPSES_MAX:.0e} synapses"),
            ));
        }
        Ok(())
    }

    /// Layers of synapses, if all networks have as many.
    pub fn synapse_layers(&self) -> Option<usize> {
        Some(self.hidden.len() + 1)
    }

    /// Neurons of every layer of a network between `inputs` and `outputs`.
    pub fn layer_sizes(&self, inputs: u32, outputs: u32) -> Vec<usize> {
        let hidden = self.hidden.iter().copied();
        std::iter::once(inputs).chain(hidden).chain([outputs]).map(|neurons| neurons as usize).collect()
    }

    /// Synapses of one state and one direction, bias included.
    pub fn synapses(&self, inputs: u32, outputs: u32) -> f64 {
        Self::synapses_of(&self.layer_sizes(inputs, outputs))
    }

    /// Synapses of one state and one direction of a network with these layers, bias included.
    pub fn synapses_of(layer_sizes: &[usize]) -> f64 {
        layer_sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0) * pair[1] as f64).sum()
    }
}
