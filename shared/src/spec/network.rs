//! The networks that the rule trains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::range::Range;
use crate::limits::{HIDDEN_LAYERS_MAX, HIDDEN_NEURONS_MAX, SHAPES_MAX, SYNAPSES_MAX};
use crate::seed::{Purpose, Seed, index_below};

/// Shapes and initial synapses of the networks.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(from = "WrittenNetwork", into = "WrittenNetwork")]
pub struct NetworkSpec {
    /// Neurons of each hidden layer, from the input on; inputs and outputs are the task's. Empty where `shapes` is not.
    pub hidden: Vec<u32>,
    /// Hidden layers as in `hidden`, of which every task draws one; none where all tasks have `hidden`.
    pub shapes: Vec<Vec<u32>>,
    /// How synapses are drawn before the first update.
    pub initial_synapses: InitialSynapses,
}

/// The section as it is written: either `hidden` or `shapes`.
#[derive(Clone, Debug, Default, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenNetwork {
    /// Neurons of each hidden layer, from the input on; inputs and outputs are the task's. Default: one layer of 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hidden>")]
    hidden: Option<Vec<u32>>,
    /// In place of `hidden`: several shapes, of which every task draws one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Hidden>", length(max = SHAPES_MAX))]
    shapes: Vec<Vec<u32>>,
    /// How synapses are drawn before the first update.
    initial_synapses: InitialSynapses,
}

/// Neurons of each hidden layer, from the input on.
#[derive(JsonSchema)]
#[schemars(inline, transform = NEURONS.of_items(), extend("maxItems" = HIDDEN_LAYERS_MAX))]
#[expect(dead_code, reason = "it is there for its schema")]
struct Hidden(Vec<u32>);

const NEURONS: Range<u32> = Range::new(1, HIDDEN_NEURONS_MAX);
const SCALE: Range<f64> = Range::above(0.0, 100.0);

impl From<WrittenNetwork> for NetworkSpec {
    fn from(written: WrittenNetwork) -> Self {
        let WrittenNetwork { hidden, shapes, initial_synapses } = written;
        Self { hidden: hidden.unwrap_or_else(|| default_hidden(&shapes)), shapes, initial_synapses }
    }
}

impl From<NetworkSpec> for WrittenNetwork {
    fn from(spec: NetworkSpec) -> Self {
        let NetworkSpec { hidden, shapes, initial_synapses } = spec;
        let written = shapes.is_empty() || !hidden.is_empty();
        Self { hidden: written.then_some(hidden), shapes, initial_synapses }
    }
}

/// The hidden layers of a spec that has none in `hidden`.
pub fn default_hidden(shapes: &[Vec<u32>]) -> Vec<u32> {
    if shapes.is_empty() { vec![20] } else { Vec::new() }
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self::from(WrittenNetwork::default())
    }
}

/// Distribution of initial synapses: every state, direction and bias independently.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InitialSynapses {
    /// The distribution's form.
    pub distribution: SynapseDistribution,
    /// Its scale.
    #[schemars(transform = SCALE.schema())]
    pub scale: f64,
}

impl Default for InitialSynapses {
    fn default() -> Self {
        Self { distribution: SynapseDistribution::Uniform, scale: 0.5 }
    }
}

/// Form of the initial distribution; `scale` is its parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
    /// Whether any of the networks has hidden layers.
    pub fn has_hidden_layers(&self) -> bool {
        self.all_shapes().iter().any(|shape| !shape.is_empty())
    }

    /// Refuses what would cost unbounded time or memory, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.shapes.len() > SHAPES_MAX {
            return Err(SpecError::field(
                "network.shapes",
                format!("must be at most {SHAPES_MAX}, not {}", self.shapes.len()),
            ));
        }
        if !self.shapes.is_empty() && !self.hidden.is_empty() {
            return Err(SpecError::field(
                "network.shapes",
                "stand in place of network.hidden: leave one of them out",
            ));
        }
        for (place, shape) in self.all_shapes().iter().enumerate() {
            let field = if self.shapes.is_empty() {
                "network.hidden".to_owned()
            } else {
                format!("network.shapes[{place}]")
            };
            if shape.len() > HIDDEN_LAYERS_MAX {
                return Err(SpecError::field(
                    field,
                    format!("must have at most {HIDDEN_LAYERS_MAX} layers, not {}", shape.len()),
                ));
            }
            for (layer, &neurons) in shape.iter().enumerate() {
                NEURONS.check(&format!("{field}[{layer}]"), neurons)?;
            }
        }
        SCALE.check("network.initial_synapses.scale", self.initial_synapses.scale)?;
        let synapses =
            (0..self.all_shapes().len()).map(|shape| Self::synapses_of(&self.layer_sizes(shape, 1, 1)));
        if synapses.sum::<f64>() > SYNAPSES_MAX {
            return Err(SpecError::field(
                self.field(),
                format!("makes more than {SYNAPSES_MAX:.0e} synapses"),
            ));
        }
        Ok(())
    }

    /// The field that says the shapes, as it is written.
    pub(super) fn field(&self) -> &'static str {
        if self.shapes.is_empty() { "network.hidden" } else { "network.shapes" }
    }

    /// The hidden layers of all shapes; one if they are not mixed.
    pub fn all_shapes(&self) -> &[Vec<u32>] {
        if self.shapes.is_empty() { std::slice::from_ref(&self.hidden) } else { &self.shapes }
    }

    /// The place among [`NetworkSpec::all_shapes`] of the shape that the task of a seed has.
    pub fn shape(&self, task: Seed) -> usize {
        match self.all_shapes().len() as u32 {
            1 => 0,
            shapes => index_below(&mut task.derive(Purpose::Shape, 0).rng(), shapes) as usize,
        }
    }

    /// Neurons of every layer of a network of a shape between `inputs` and `outputs`.
    pub fn layer_sizes(&self, shape: usize, inputs: u32, outputs: u32) -> Vec<usize> {
        let hidden = self.all_shapes()[shape].iter().copied();
        std::iter::once(inputs).chain(hidden).chain([outputs]).map(|neurons| neurons as usize).collect()
    }

    /// Layers of synapses, if all networks have as many.
    pub fn synapse_layers(&self) -> Option<usize> {
        let shapes = self.all_shapes();
        let depth = shapes[0].len();
        shapes.iter().all(|shape| shape.len() == depth).then_some(depth + 1)
    }

    /// Synapses of one state and one direction of a network with these layers, bias included.
    pub fn synapses_of(layer_sizes: &[usize]) -> f64 {
        layer_sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0) * pair[1] as f64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_drawn_and_a_single_one_is_not() {
        let mixed = NetworkSpec {
            hidden: Vec::new(),
            shapes: vec![vec![6], vec![20], vec![10, 10]],
            ..NetworkSpec::default()
        };
        let mut counts = [0; 3];
        for task in 0..3000 {
            counts[mixed.shape(Seed::new(task).unwrap())] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!((mixed.layer_sizes(2, 2, 1), mixed.synapse_layers()), (vec![2, 10, 10, 1], None));
        let single = NetworkSpec::default();
        assert_eq!(single.synapse_layers(), Some(2));
        assert_eq!((single.shape(Seed::new(1).unwrap()), single.layer_sizes(0, 2, 1)), (0, vec![2, 20, 1]));
    }
}
