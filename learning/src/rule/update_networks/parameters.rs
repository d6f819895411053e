//! The parameters of the two shared functions.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::update_networks::UpdateNetworksSpec;

use super::form::Sizes;
use crate::rule::Ablation;
use crate::rule::multi_state::Real;

/// What a genome stands for. Matrices are row-major; B, S, E, W, V, F and R are as in `docs/FAMILIES.md`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters<T> {
    /// `[types, E]`
    pub(super) embedding: Vec<T>,
    /// `[S, R]`: what a neuron sends through a state of its synapses.
    pub(super) axon: Vec<T>,
    /// `[V, F]`
    pub(super) body_features: Vec<T>,
    /// `[B, F + V]`: new content.
    pub(super) body_candidate: Vec<T>,
    /// `[B, F + V]`: how much of it.
    pub(super) body_gate: Vec<T>,
    /// `[B]`: share of the old state.
    pub(super) body_keep: Vec<T>,
    /// `[W, R]`: the source as the synapse sees it.
    pub(super) synapse_pre: Vec<T>,
    /// `[W, R]`: the destination as the synapse sees it.
    pub(super) synapse_post: Vec<T>,
    /// `[W, S]`: its own state.
    pub(super) synapse_self: Vec<T>,
    /// `[S, W]`: from features to the change.
    pub(super) synapse_out: Vec<T>,
    /// `[S]`
    pub(super) synapse_keep: Vec<T>,
    /// `[S]`
    pub(super) synapse_update: Vec<T>,
}

impl<T: Real> Parameters<T> {
    /// Reads a genome, and takes from it what an ablation says. Whether the genome has the layout's dimension.
    #[must_use]
    pub fn read(
        &mut self,
        options: &UpdateNetworksSpec,
        layout: &GenomeLayout,
        genome: &Genome,
        ablation: Option<Ablation>,
    ) -> bool {
        if genome.0.len() != layout.dimension() {
            return false;
        }
        for segment in layout.segments() {
            let into = self.part(&segment.name);
            into.clear();
            let values = genome.0[segment.range()].iter();
            into.extend(values.map(|&value| T::from_f64(segment.transform.apply(value))));
        }
        if let Some(ablation) = ablation {
            self.ablate(&Sizes::of(options), options.feedback, ablation);
        }
        true
    }

    /// The part that a segment of a genome stands for.
    pub(super) fn part(&mut self, segment: &str) -> &mut Vec<T> {
        match segment {
            "embedding" => &mut self.embedding,
            "axon" => &mut self.axon,
            "body_features" => &mut self.body_features,
            "body_candidate" => &mut self.body_candidate,
            "body_gate" => &mut self.body_gate,
            "body_keep" => &mut self.body_keep,
            "synapse_pre" => &mut self.synapse_pre,
            "synapse_post" => &mut self.synapse_post,
            "synapse_self" => &mut self.synapse_self,
            "synapse_out" => &mut self.synapse_out,
            "synapse_keep" => &mut self.synapse_keep,
            "synapse_update" => &mut self.synapse_update,
            other => unreachable!("update networks have no segment {other}"),
        }
    }

    fn ablate(&mut self, sizes: &Sizes, feedback: bool, ablation: Ablation) {
        let seen = sizes.body_inputs + sizes.body_features;
        match ablation {
            Ablation::NoEmbedding => self.average_types(sizes.embedding),
            Ablation::OneBodyState => self.body_candidate[seen..].fill(T::ZERO),
            Ablation::OneSynapseState => self.synapse_out[sizes.features..].fill(T::ZERO),
            Ablation::NoFeedback if feedback => {
                let above = sizes.body + sizes.synapse..sizes.body + 2 * sizes.synapse;
                for (matrix, width) in [
                    (&mut self.body_features, sizes.body_inputs),
                    (&mut self.body_candidate, seen),
                    (&mut self.body_gate, seen),
                ] {
                    matrix.chunks_exact_mut(width).for_each(|row| row[above.clone()].fill(T::ZERO));
                }
            }
            _ => {}
        }
    }

    /// Gives all neurons the mean of the types.
    fn average_types(&mut self, width: usize) {
        if width == 0 {
            return;
        }
        let types = self.embedding.len() / width;
        for place in 0..width {
            let column = || (0..types).map(|row| row * width + place);
            let sum = column().fold(T::ZERO, |sum, at| sum + self.embedding[at]);
            let mean = sum / T::from_f64(types as f64);
            column().for_each(|at| self.embedding[at] = mean);
        }
    }

    /// The embedding of a type, E numbers.
    pub(super) fn embedding_of(&self, neuron_type: usize, width: usize) -> &[T] {
        &self.embedding[neuron_type * width..][..width]
    }

    /// The same, to be set.
    pub(super) fn embedding_of_mut(&mut self, neuron_type: usize, width: usize) -> &mut [T] {
        &mut self.embedding[neuron_type * width..][..width]
    }
}
