//! The evolved numbers of an update rule.

use hebbian_shared::genome::{Genome, GenomeLayout, Segment};
use hebbian_shared::spec::network::InitialSynapses;

use super::real::Real;

/// The parameters of an update rule for networks with k states.
///
/// In the paper's symbols: forward `a_j^c <- sigma(f a_j^c + eta sum_{i,d} w_ij^c nu^{dc} a_i^d)`, backward the same
/// with exchanged roles and mu, synapses `w_ij^c <- f~ w_ij^c + eta~ sum_{e,d} a_i^e nu~^{ec} mu~^{cd} a_j^d`.
///
/// All of a network's layers share the parameters (`layers` is 1), or layer i of synapses, with the neurons on both of
/// its sides, takes the i-th of `layers` sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateRule<T> {
    /// States of each neuron and synapse (k).
    pub states: usize,
    /// Sets of parameters: 1, or one for each layer of synapses.
    pub layers: usize,
    /// nu: `[layers, k, k]`; from a state of the previous layer (row) to a state that arrives (column).
    pub forward_transform: Vec<T>,
    /// mu: `[layers, k, k]`; from a state of the next layer (row) to a state that arrives (column).
    pub backward_transform: Vec<T>,
    /// f: what a neuron keeps of its states, `[layers, k]`.
    pub neuron_keep: Vec<T>,
    /// eta: the weight of what arrives at a neuron, `[layers, k]`.
    pub neuron_update: Vec<T>,
    /// The synapse update at an update's end.
    pub synapse: SynapseRule<T>,
    /// The synapse update after the forward pass, if it is not by the parameters of the other one.
    pub forward_synapse: Option<SynapseRule<T>>,
    /// The norm that normalisation gives to synapses, `[k]`; 1 without rescaling.
    pub rescale_to: Vec<T>,
    /// Multiplies the scale of the initial synapses.
    pub initial_synapse_scale: f64,
}

/// The parameters of a synapse update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SynapseRule<T> {
    /// nu~: `[layers, k, k]`; from a state of a synapse's source neuron (row) to a synapse state (column).
    pub hebbian_pre: Vec<T>,
    /// mu~: `[layers, k, k]`; from a synapse state (row) to a state of its destination neuron (column).
    pub hebbian_post: Vec<T>,
    /// f~: what a synapse keeps of its states, `[layers, k]`.
    pub keep: Vec<T>,
    /// eta~: the weight of the Hebbian sum, `[layers, k]`; negative values descend if the sum is a gradient.
    pub update: Vec<T>,
    /// The evolved factor of Oja's term, of which the sign does not matter, `[layers, k]`; 1 if it is not evolved.
    pub oja_multiplier: Vec<T>,
    /// How soon synapses saturate; the sign does not matter, `[layers, k]`.
    pub saturation: Vec<T>,
}

/// What neurons of one layer use: slices of an [`UpdateRule`].
#[derive(Clone, Copy)]
pub(super) struct NeuronParameters<'a, T> {
    pub(super) forward_transform: &'a [T],
    pub(super) backward_transform: &'a [T],
    pub(super) neuron_keep: &'a [T],
    pub(super) neuron_update: &'a [T],
}

/// What synapses of one layer use: slices of a [`SynapseRule`].
#[derive(Clone, Copy)]
pub(super) struct SynapseParameters<'a, T> {
    pub(super) states: usize,
    pub(super) hebbian_pre: &'a [T],
    pub(super) hebbian_post: &'a [T],
    pub(super) keep: &'a [T],
    pub(super) update: &'a [T],
    pub(super) oja_multiplier: &'a [T],
    pub(super) saturation: &'a [T],
}

impl<T: Real> UpdateRule<T> {
    /// The rule that `genome` stands for; see [`UpdateRule::read`].
    pub fn from_genome(layout: &GenomeLayout, genome: &Genome) -> Option<Self> {
        let mut rule = Self::default();
        rule.read(layout, genome).map(|()| rule)
    }

    /// Becomes the rule that `genome` stands for: the layout's transforms in f64, then rounded; scalar gates serve all
    /// states, parameters that the layout lacks because an option is off are 1. Where the rule was of this layout before,
    /// nothing is allocated.
    ///
    /// `None`, and no rule, if the layout lacks a segment that every rule has, a segment has an unexpected shape, or the
    /// genome has another dimension than the layout. Parameters that overflow become infinite; their networks then diverge.
    #[must_use]
    pub fn read(&mut self, layout: &GenomeLayout, genome: &Genome) -> Option<()> {
        let reader = Reader::new(layout, genome)?;
        (self.states, self.layers) = (reader.states, reader.layers.unwrap_or(1));
        reader.matrix("forward_transform", &mut self.forward_transform)?;
        reader.matrix("backward_transform", &mut self.backward_transform)?;
        reader.gate("neuron_keep", &mut self.neuron_keep)?;
        reader.gate("neuron_update", &mut self.neuron_update)?;
        self.synapse.read(reader, OF_SYNAPSES)?;
        if layout.segment("forward_synapse_update").is_some() {
            self.forward_synapse.get_or_insert_default().read(reader, OF_FORWARD_SYNAPSES)?;
        } else {
            self.forward_synapse = None;
        }
        Reader { layers: None, ..reader }.optional_gate("rescale_to", &mut self.rescale_to)?;
        self.initial_synapse_scale = match layout.segment("initial_synapse_scale") {
            None => 1.0,
            Some(segment) => reader.values(segment).next()?,
        };
        Some(())
    }

    /// How synapses are drawn: as the spec says, on the scale that the rule gives them.
    pub fn initial_synapses(&self, spec: InitialSynapses) -> InitialSynapses {
        InitialSynapses { scale: spec.scale * self.initial_synapse_scale, ..spec }
    }

    /// Whether all parts have the lengths that `states` and `layers` ask for.
    pub fn is_well_formed(&self) -> bool {
        let square = self.layers * self.states * self.states;
        let gate = self.layers * self.states;
        let synapses = |rule: &SynapseRule<T>| {
            [&rule.hebbian_pre, &rule.hebbian_post].iter().all(|matrix| matrix.len() == square)
                && [&rule.keep, &rule.update, &rule.oja_multiplier, &rule.saturation]
                    .iter()
                    .all(|values| values.len() == gate)
        };
        self.layers > 0
            && [&self.forward_transform, &self.backward_transform].iter().all(|matrix| matrix.len() == square)
            && [&self.neuron_keep, &self.neuron_update].iter().all(|values| values.len() == gate)
            && synapses(&self.synapse)
            && self.forward_synapse.as_ref().is_none_or(synapses)
            && self.rescale_to.len() == self.states
    }

    /// What the neurons on both sides of synapse layer `layer` use.
    pub(super) fn neurons(&self, layer: usize) -> NeuronParameters<'_, T> {
        let (states, set) = (self.states, if self.layers == 1 { 0 } else { layer });
        NeuronParameters {
            forward_transform: slice(&self.forward_transform, set, states * states),
            backward_transform: slice(&self.backward_transform, set, states * states),
            neuron_keep: slice(&self.neuron_keep, set, states),
            neuron_update: slice(&self.neuron_update, set, states),
        }
    }
}

/// Segments of a synapse rule: pre, post, keep, update, Oja's multiplier, saturation.
type SynapseSegments = [&'static str; 6];

const OF_SYNAPSES: SynapseSegments =
    ["hebbian_pre", "hebbian_post", "synapse_keep", "synapse_update", "oja_multiplier", "saturation"];

const OF_FORWARD_SYNAPSES: SynapseSegments = [
    "forward_synapse_hebbian_pre",
    "forward_synapse_hebbian_post",
    "forward_synapse_keep",
    "forward_synapse_update",
    "forward_synapse_oja_multiplier",
    "forward_synapse_saturation",
];

impl<T: Real> SynapseRule<T> {
    fn read(
        &mut self,
        reader: Reader<'_>,
        [pre, post, keep, update, oja, saturation]: SynapseSegments,
    ) -> Option<()> {
        reader.matrix(pre, &mut self.hebbian_pre)?;
        reader.matrix(post, &mut self.hebbian_post)?;
        reader.gate(keep, &mut self.keep)?;
        reader.gate(update, &mut self.update)?;
        reader.optional_gate(oja, &mut self.oja_multiplier)?;
        reader.optional_gate(saturation, &mut self.saturation)
    }

    /// What the synapses of layer `layer` use; `states` and `layers` are those of the [`UpdateRule`].
    pub(super) fn of_layer(&self, states: usize, layers: usize, layer: usize) -> SynapseParameters<'_, T> {
        let set = if layers == 1 { 0 } else { layer };
        SynapseParameters {
            states,
            hebbian_pre: slice(&self.hebbian_pre, set, states * states),
            hebbian_post: slice(&self.hebbian_post, set, states * states),
            keep: slice(&self.keep, set, states),
            update: slice(&self.update, set, states),
            oja_multiplier: slice(&self.oja_multiplier, set, states),
            saturation: slice(&self.saturation, set, states),
        }
    }
}

fn slice<T>(values: &[T], set: usize, length: usize) -> &[T] {
    &values[set * length..][..length]
}

/// Reads segments of a genome.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    layout: &'a GenomeLayout,
    genome: &'a Genome,
    /// Sets of parameters in a genome per layer.
    pub(super) layers: Option<usize>,
    pub(super) states: usize,
}

impl<'a> Reader<'a> {
    /// Of a genome of a layout; `None` if the genome has another dimension or the layout is that of no update rule.
    pub(super) fn new(layout: &'a GenomeLayout, genome: &'a Genome) -> Option<Self> {
        let (layers, states) = match layout.segment("forward_transform")?.shape[..] {
            [rows, columns] if rows == columns && rows > 0 => (None, rows as usize),
            [layers, rows, columns] if rows == columns && rows > 0 && layers > 0 => {
                (Some(layers as usize), rows as usize)
            }
            _ => return None,
        };
        (genome.0.len() == layout.dimension()).then_some(Self { layout, genome, layers, states })
    }

    /// The parameters of a segment.
    pub(super) fn values(self, segment: &'a Segment) -> impl Iterator<Item = f64> + 'a {
        self.genome.0[segment.range()].iter().map(|&x| segment.transform.apply(x))
    }

    /// Reads a segment's parameters as `[layers, k, k]`.
    pub(super) fn matrix<T: Real>(self, name: &str, into: &mut Vec<T>) -> Option<()> {
        let segment = self.layout.segment(name)?;
        into.clear();
        into.extend(self.values(segment).map(T::from_f64));
        (into.len() == self.layers.unwrap_or(1) * self.states * self.states).then_some(())
    }

    /// Reads a segment's parameters as `[layers, k]`: given whole, one for each layer, one for each state or one for all.
    pub(super) fn gate<T: Real>(self, name: &str, into: &mut Vec<T>) -> Option<()> {
        let segment = self.layout.segment(name)?;
        let (states, layers) = (self.states, self.layers.unwrap_or(1));
        let repeat = match (&segment.shape[..], self.layers) {
            (&[], _) => layers * states,
            (&[length], Some(layers)) if length as usize == layers => states,
            (&[length], None) if length as usize == states => 1,
            (&[first, length], Some(layers)) if first as usize == layers && length as usize == states => 1,
            _ => return None,
        };
        into.clear();
        into.extend(self.values(segment).flat_map(|value| std::iter::repeat_n(T::from_f64(value), repeat)));
        Some(())
    }

    /// As [`Reader::gate`]; 1 where there is no such segment.
    fn optional_gate<T: Real>(self, name: &str, into: &mut Vec<T>) -> Option<()> {
        if self.layout.segment(name).is_some() {
            return self.gate(name, into);
        }
        into.clear();
        into.resize(self.layers.unwrap_or(1) * self.states, T::ONE);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::network::NetworkSpec;
    use hebbian_shared::spec::rule::multi_state::{
        ForwardSynapseUpdate, Gates, GenomeScope, MultiStateSpec, Normalisation, Oja, Saturation,
    };

    use super::*;

    fn layout(options: &MultiStateSpec) -> GenomeLayout {
        GenomeLayout::of_rule(options, &NetworkSpec { hidden: vec![3, 4], ..NetworkSpec::default() })
    }

    #[test]
    fn a_genome_becomes_parameters_in_the_order_of_its_layout() {
        let layout = layout(&MultiStateSpec { states: 2, ..MultiStateSpec::default() });
        let genome = Genome((0..20).map(f64::from).map(|x| x / 8.0).collect());
        let rule = UpdateRule::<f64>::from_genome(&layout, &genome).unwrap();
        assert!(rule.is_well_formed());
        assert_eq!(rule.forward_transform, [0.0, 0.125, 0.25, 0.375]);
        assert_eq!(rule.synapse.hebbian_post, [1.5, 1.625, 1.75, 1.875]);
        assert_eq!(rule.neuron_keep, [3.0; 2]);
        assert_eq!(rule.neuron_update, [libm::exp(17.0 / 16.0); 2]);
        assert_eq!(rule.synapse.keep, [libm::exp(-0.05 * libm::exp(18.0 / 8.0 - 1.0)); 2]);
        assert_eq!(rule.synapse.update, [0.1 * libm::exp(19.0 / 8.0); 2]);
        let single = UpdateRule::<f32>::from_genome(&layout, &genome).unwrap();
        assert_eq!(single.neuron_update, [rule.neuron_update[0] as f32; 2]);
    }

    #[test]
    fn gates_per_state_keep_their_order() {
        let layout =
            layout(&MultiStateSpec { states: 2, gates: Gates::PerState, ..MultiStateSpec::default() });
        let genome = Genome((0..24).map(f64::from).collect());
        let rule = UpdateRule::<f64>::from_genome(&layout, &genome).unwrap();
        assert_eq!(rule.neuron_keep, [17.0, 18.0]);
        assert!(rule.is_well_formed());
    }

    #[test]
    fn a_genome_of_another_dimension_is_refused() {
        let layout = layout(&MultiStateSpec::default());
        assert_eq!(UpdateRule::<f32>::from_genome(&layout, &Genome(vec![0.0; 67])), None);
    }

    #[test]
    fn a_genome_per_layer_gives_each_layer_its_slice() {
        for gates in [Gates::Scalar, Gates::PerState] {
            let options = MultiStateSpec {
                states: 2,
                gates,
                genome: GenomeScope::PerLayer,
                ..MultiStateSpec::default()
            };
            let layout = layout(&options);
            let genome = Genome((0..layout.dimension()).map(|x| x as f64 / 64.0).collect());
            let rule = UpdateRule::<f64>::from_genome(&layout, &genome).unwrap();
            assert!(rule.is_well_formed());
            assert_eq!(rule.layers, 3);
            assert_eq!(rule.neurons(1).forward_transform, [4.0, 5.0, 6.0, 7.0].map(|x| x / 64.0));
            assert_eq!(rule.neurons(2).backward_transform, [20.0, 21.0, 22.0, 23.0].map(|x| x / 64.0));
            let synapse = rule.synapse.of_layer(2, 3, 1);
            assert_eq!(synapse.hebbian_pre, [28.0, 29.0, 30.0, 31.0].map(|x| x / 64.0));
            let keep = match gates {
                Gates::Scalar => [49.0, 49.0],
                Gates::PerState => [50.0, 51.0],
            };
            assert_eq!(rule.neurons(1).neuron_keep, keep.map(|x| 1.0 + x / 64.0));
        }
    }

    #[test]
    fn optional_segments_reach_their_parameters_and_are_1_where_they_are_absent() {
        let options = MultiStateSpec {
            states: 2,
            normalisation: Some(Normalisation { stored: true, rescale: true, ..Normalisation::default() }),
            oja: Some(Oja { multiplier: true, ..Oja::default() }),
            saturation: Some(Saturation::default()),
            forward_synapse_update: ForwardSynapseUpdate::OwnGenome,
            evolve_initial_scale: true,
            ..MultiStateSpec::default()
        };
        let with = layout(&options);
        let mut genome = Genome(vec![0.0; with.dimension()]);
        for (place, name) in
            ["oja_multiplier", "saturation", "rescale_to", "forward_synapse_update"].iter().enumerate()
        {
            genome.0[with.segment(name).unwrap().range()].fill(1.0 + place as f64);
        }
        let rule = UpdateRule::<f64>::from_genome(&with, &genome).unwrap();
        assert_eq!(rule.synapse.oja_multiplier, [libm::exp(1.0); 2]);
        assert_eq!(rule.synapse.saturation, [libm::exp(2.0); 2]);
        assert_eq!(rule.rescale_to, [libm::exp(1.5); 2]);
        assert_eq!(rule.initial_synapse_scale, 1.0);
        let own = rule.forward_synapse.unwrap();
        assert_eq!((own.update[0], own.keep[0]), (0.1 * libm::exp(4.0), rule.synapse.keep[0]));
        let without = layout(&MultiStateSpec { states: 2, ..MultiStateSpec::default() });
        let rule = UpdateRule::<f64>::from_genome(&without, &Genome(vec![0.0; 20])).unwrap();
        assert_eq!((&rule.rescale_to[..], rule.initial_synapse_scale), (&[1.0, 1.0][..], 1.0));
        assert_eq!((rule.forward_synapse, rule.synapse.saturation), (None, vec![1.0; 2]));
    }
}
