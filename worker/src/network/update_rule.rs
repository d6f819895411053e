//! The evolved numbers of an update rule.

use hebbian_shared::genome::{Genome, GenomeLayout};

use super::real::Real;

/// The parameters of an update rule that all neurons and synapses of a network share; k states.
///
/// In the paper's symbols: forward `a_j^c <- sigma(f a_j^c + eta sum_{i,d} w_ij^c nu^{dc} a_i^d)`, backward the same
/// with exchanged roles and mu, synapses `w_ij^c <- f~ w_ij^c + eta~ sum_{e,d} a_i^e nu~^{ec} mu~^{cd} a_j^d`.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRule<T> {
    /// States of each neuron and synapse (k).
    pub states: usize,
    /// nu: k x k row-major; from a state of the previous layer (row) to a state that arrives (column).
    pub forward_transform: Vec<T>,
    /// mu: k x k row-major; from a state of the next layer (row) to a state that arrives (column).
    pub backward_transform: Vec<T>,
    /// nu~: k x k row-major; from a state of a synapse's source neuron (row) to a synapse state (column).
    pub hebbian_pre: Vec<T>,
    /// mu~: k x k row-major; from a synapse state (row) to a state of its destination neuron (column).
    pub hebbian_post: Vec<T>,
    /// f: what a neuron keeps of each of its k states.
    pub neuron_keep: Vec<T>,
    /// eta: the weight of what arrives at a neuron, per state.
    pub neuron_update: Vec<T>,
    /// f~: what a synapse keeps of each of its k states.
    pub synapse_keep: Vec<T>,
    /// eta~: the weight of the Hebbian sum, per state; negative values descend if the sum is a gradient.
    pub synapse_update: Vec<T>,
}

impl<T: Real> UpdateRule<T> {
    /// The rule that `genome` stands for: the layout's transforms in f64, then rounded; scalar gates serve all states.
    ///
    /// `None` if the layout lacks a segment, a segment has another shape than k x k, k or one, or the genome has
    /// another dimension than the layout. Parameters that overflow become infinite; their networks then diverge.
    pub fn from_genome(layout: &GenomeLayout, genome: &Genome) -> Option<Self> {
        let states = match layout.segment("forward_transform")?.shape[..] {
            [rows, columns] if rows == columns && rows > 0 => rows as usize,
            _ => return None,
        };
        let parameters = |name: &str, length: usize| -> Option<Vec<T>> {
            let values = layout.parameters(name, genome)?;
            match values.len() {
                1 => Some(vec![T::from_f64(values[0]); length]),
                found if found == length => Some(values.into_iter().map(T::from_f64).collect()),
                _ => None,
            }
        };
        let square = states * states;
        Some(Self {
            states,
            forward_transform: parameters("forward_transform", square)?,
            backward_transform: parameters("backward_transform", square)?,
            hebbian_pre: parameters("hebbian_pre", square)?,
            hebbian_post: parameters("hebbian_post", square)?,
            neuron_keep: parameters("neuron_keep", states)?,
            neuron_update: parameters("neuron_update", states)?,
            synapse_keep: parameters("synapse_keep", states)?,
            synapse_update: parameters("synapse_update", states)?,
        })
    }

    /// Whether all parts have the lengths that `states` asks for.
    pub fn is_well_formed(&self) -> bool {
        let square = self.states * self.states;
        let matrices =
            [&self.forward_transform, &self.backward_transform, &self.hebbian_pre, &self.hebbian_post];
        let gates = [&self.neuron_keep, &self.neuron_update, &self.synapse_keep, &self.synapse_update];
        matrices.iter().all(|matrix| matrix.len() == square)
            && gates.iter().all(|gate| gate.len() == self.states)
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::{Gates, RuleSpec};

    use super::*;

    #[test]
    fn a_genome_becomes_parameters_in_the_order_of_its_layout() {
        let layout = GenomeLayout::of_rule(&RuleSpec { states: 2, ..RuleSpec::default() });
        let genome = Genome((0..20).map(f64::from).map(|x| x / 8.0).collect());
        let rule = UpdateRule::<f64>::from_genome(&layout, &genome).unwrap();
        assert!(rule.is_well_formed());
        assert_eq!(rule.forward_transform, [0.0, 0.125, 0.25, 0.375]);
        assert_eq!(rule.hebbian_post, [1.5, 1.625, 1.75, 1.875]);
        assert_eq!(rule.neuron_keep, [3.0; 2]);
        assert_eq!(rule.neuron_update, [libm::exp(17.0 / 16.0); 2]);
        assert_eq!(rule.synapse_keep, [libm::exp(-0.05 * libm::exp(18.0 / 8.0 - 1.0)); 2]);
        assert_eq!(rule.synapse_update, [0.1 * libm::exp(19.0 / 8.0); 2]);
        let single = UpdateRule::<f32>::from_genome(&layout, &genome).unwrap();
        assert_eq!(single.neuron_update, [rule.neuron_update[0] as f32; 2]);
    }

    #[test]
    fn gates_per_state_keep_their_order() {
        let layout =
            GenomeLayout::of_rule(&RuleSpec { states: 2, gates: Gates::PerState, ..RuleSpec::default() });
        let genome = Genome((0..24).map(f64::from).collect());
        let rule = UpdateRule::<f64>::from_genome(&layout, &genome).unwrap();
        assert_eq!(rule.neuron_keep, [17.0, 18.0]);
        assert!(rule.is_well_formed());
    }

    #[test]
    fn a_genome_of_another_dimension_is_refused() {
        let layout = GenomeLayout::of_rule(&RuleSpec::default());
        assert_eq!(UpdateRule::<f32>::from_genome(&layout, &Genome(vec![0.0; 67])), None);
    }
}
