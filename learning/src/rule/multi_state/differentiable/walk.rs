//! The way back through an unroll, update by update, and its end at the genome.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::multi_state::BackwardUpdate;

use super::adjoint::Adjoint;
use super::loss::AnswerLoss;
use super::parameters::DifferentiableRule;
use super::{Answer, DifferentiableNetwork, Draws};
use crate::rule::multi_state::Real;
use crate::rule::multi_state::contraction::inner_product;
use crate::rule::multi_state::forward::PREDICTION_TILE;
use crate::rule::multi_state::transpose::transpose;

impl<T: Real> DifferentiableNetwork<T> {
    /// Begins the way back from the last of the recorded updates.
    pub fn begin_walk(&mut self, rule: &DifferentiableRule<T>) {
        let Self { form, adjoint, .. } = self;
        adjoint.gradient.clear_like(&rule.parameters);
        adjoint.matrix.resize(form.states * form.states, 0.0);
        for blocks in &mut adjoint.synapses {
            for (layer, block) in blocks.iter_mut().enumerate() {
                block.take(form.states * form.stride(layer)).fill(T::ZERO);
            }
        }
    }

    /// Updates that lie before the place of the walk, and those of them that must be computed again before the next step back
    /// (with the same batches, by [`DifferentiableNetwork::update`], after [`DifferentiableNetwork::restore`]).
    pub fn before(&self) -> (u64, std::ops::Range<u64>) {
        let first =
            if self.records.count() > 0 { self.updates } else { self.updates.saturating_sub(self.recorded) };
        (self.updates, first..self.updates)
    }

    /// Goes back to the start of the part of the unroll that [`DifferentiableNetwork::before`] names.
    pub fn restore(&mut self) {
        let Self { form, records, checkpoints, recorded, updates, .. } = self;
        *updates -= *recorded;
        records.restore(form, &checkpoints[(*updates / *recorded) as usize]);
    }

    /// Measures a query at the place of the walk, and adds the derivative of `weight` times its loss, which is returned.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn measure(
        &mut self,
        rule: &DifferentiableRule<T>,
        (input, target): (&[T], &[T]),
        examples: usize,
        (loss, weight): (AnswerLoss, f64),
    ) -> f64 {
        let Self { form, records, answer: Answer { layers, output }, adjoint, scratch, .. } = self;
        let (inputs, outputs) = (form.sizes[0], form.sizes[form.layers()]);
        assert!(input.len() == examples * inputs && target.len() == examples * outputs, "another shape");
        let tiles = input.chunks(PREDICTION_TILE * inputs).zip(target.chunks(PREDICTION_TILE * outputs));
        let mut total = 0.0;
        for (input, target) in tiles {
            let batch = input.len() / inputs;
            transpose(form.arch, input, inputs, layers[0].forward.take(inputs * batch), batch);
            form.forward_pass(rule, records.synapses(), layers, output, batch, true, scratch);
            let transposed = self.target.take(target.len());
            transpose(form.arch, target, outputs, transposed, batch);
            let share = batch as f64 / examples as f64;
            let by_output = adjoint.output.take(output.len());
            by_output.fill(T::ZERO);
            let (found, by_temperature) = loss.measure(
                form.arch,
                output,
                transposed,
                rule.parameters.loss_temperature,
                weight * share,
                by_output,
                batch,
                &mut adjoint.loss,
            );
            total += share * found;
            adjoint.gradient.loss_temperature += by_temperature;
            // What is after the update that comes next on the way is where the walk is.
            form.forward_adjoint(rule, records.synapses(), layers, (adjoint, 0), None, batch, scratch);
        }
        total
    }

    /// Walks back through one update, and adds the derivative of a weight times the loss of the update's own forward pass on
    /// `targets`, `[batch, neurons of the last layer]`, if it is measured; returns the loss, or 0.
    ///
    /// # Panics
    /// If there is no record of an update before, or a length does not match.
    pub fn step_back(
        &mut self,
        rule: &DifferentiableRule<T>,
        target: &[T],
        batch: usize,
        measured: Option<(AnswerLoss, f64)>,
    ) -> f64 {
        let Self { form, records, adjoint, scratch, .. } = self;
        self.updates -= 1;
        records.go_back();
        let record = records.current();
        let (arch, outputs) = (form.arch, form.sizes[form.layers()]);
        assert!(target.len() == batch * outputs && record.output.len() == target.len(), "another shape");
        for layer in 0..form.layers() {
            form.synapse_adjoint(rule, record, layer, self.updates, batch, adjoint);
            form.hebbian_adjoint(rule, record, layer, batch, adjoint, scratch);
        }
        for layer in form.first_updated()..form.layers() {
            form.backward_adjoint(rule, record, layer, batch, adjoint, scratch);
        }
        form.feedback_adjoint(record, batch, adjoint, scratch);
        let mut found = 0.0;
        if let Some((loss, weight)) = measured {
            let transposed = self.target.take(target.len());
            transpose(arch, target, outputs, transposed, batch);
            let temperature = rule.parameters.loss_temperature;
            let Adjoint { output, gradient, loss: scratch, .. } = &mut *adjoint;
            let measured =
                loss.measure(arch, &record.output, transposed, temperature, weight, output, batch, scratch);
            found = measured.0;
            gradient.loss_temperature += measured.1;
        }
        let first = Some(form.first_updated().max(1));
        form.forward_adjoint(rule, &record.blocks, &record.layers, (adjoint, 1), first, batch, scratch);
        adjoint.synapses.swap(0, 1);
        found
    }

    /// Ends the way back at the initial synapses: adds the gradient of the genome of a layout to `out`.
    pub fn finish_walk(
        &mut self,
        rule: &DifferentiableRule<T>,
        backward: BackwardUpdate,
        (layout, genome): (&GenomeLayout, &Genome),
        out: &mut [f64],
    ) {
        let Self {
            form, adjoint: Adjoint { synapses: [synapses, _], gradient, .. }, tied_draws, draws, ..
        } = self;
        let k = form.states;
        for (layer, (block, Draws { shared, own })) in synapses.iter().zip(draws).enumerate() {
            let (inputs, outputs) = form.shape(layer);
            let length = inputs * outputs;
            let root = libm::sqrt(inputs as f64);
            for (state, &group) in tied_draws.iter().enumerate() {
                let rows = &block[state * form.stride(layer)..][..length];
                let shared = &shared[usize::from(group) * length..][..length];
                let own = &own[state * length..][..length];
                gradient.initial_scale[layer * k + state] += inner_product(form.arch, rows, shared) / root;
                gradient.initial_own_scale[layer * k + state] += inner_product(form.arch, rows, own) / root;
            }
        }
        if rule.lacks_backward_transform {
            gradient.backward_transform.fill(0.0);
        }
        gradient.pull_back(backward, &rule.parameters, (layout, genome), out);
    }

    /// The derivative by the synapses at the place of the walk, as [`DifferentiableNetwork::synapses`].
    pub fn synapse_gradient(&self, layer: usize, state: usize) -> &[T] {
        let stride = self.form.stride(layer);
        &self.adjoint.synapses[0][layer][state * stride..(state + 1) * stride]
    }
}
