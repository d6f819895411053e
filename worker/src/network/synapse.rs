//! The synapses between two layers and how they learn.

use hebbian_shared::spec::rule::Activation;
use pulp::Arch;

use super::activation::activate;
use super::contraction::{Operand, Weights, blend, correlate, sum_over_batch};
use super::plan::BackwardBlock;
use super::real::Real;
use super::update_rule::UpdateRule;

/// The synapses between layer i (n inputs) and layer i + 1 (m outputs), both directions, all states.
#[derive(Clone, Debug)]
pub(super) struct Synapses<T> {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[state, n + 1, m]`, the bias row last.
    pub(super) forward: Vec<T>,
    /// `[state, m, n + 1]`, the bias column last; empty if absent.
    pub(super) backward: Vec<T>,
    pub(super) backward_block: BackwardBlock,
}

impl<T: Real> Synapses<T> {
    /// Synapses that are all zero.
    pub(super) fn new(inputs: usize, outputs: usize, states: usize, backward_block: BackwardBlock) -> Self {
        let length = (inputs + 1) * outputs * states;
        let backward = if backward_block == BackwardBlock::Absent { 0 } else { length };
        Self {
            inputs,
            outputs,
            forward: vec![T::ZERO; length],
            backward: vec![T::ZERO; backward],
            backward_block,
        }
    }

    /// Synapses of one state and one direction, bias included.
    pub(super) fn stride(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    /// A state's forward synapses without the bias row, and the bias row.
    pub(super) fn forward_weights(&self, state: usize) -> (Weights<'_, T>, &[T]) {
        let block = &self.forward[state * self.stride()..(state + 1) * self.stride()];
        let (values, bias) = block.split_at(self.inputs * self.outputs);
        let weights =
            Weights { values, stride: self.outputs, sources: self.inputs, destinations: self.outputs };
        (weights, bias)
    }

    /// A state's backward synapses; the bias column lies between the rows.
    pub(super) fn backward_weights(&self, state: usize) -> Weights<'_, T> {
        let values = &self.backward[state * self.stride()..(state + 1) * self.stride()];
        Weights { values, stride: self.inputs + 1, sources: self.outputs, destinations: self.inputs }
    }
}

/// Both adjacent layers, transformed for the Hebbian sum.
pub(super) struct HebbianOperands<'a, T> {
    /// Layer i under the pre transform.
    pub(super) source: Operand<'a, T>,
    /// Layer i + 1 under the post transform.
    pub(super) destination: Operand<'a, T>,
    /// The roles exchanged: layer i + 1 under the pre transform and layer i under the post transform. None where the
    /// backward update is not a sum of its own.
    pub(super) exchanged: Option<(Operand<'a, T>, Operand<'a, T>)>,
    /// Examples in the batch.
    pub(super) batch: usize,
}

/// How a synapse update treats its sums.
pub(super) struct SynapseUpdate<'a> {
    pub(super) arch: Arch,
    pub(super) symmetric_synapses: bool,
    pub(super) symmetric_states: bool,
    /// 1 for the sum over the batch, 1 / batch for the mean.
    pub(super) batch_weight: f64,
    /// Activation of each state.
    pub(super) activations: &'a [Activation],
}

impl SynapseUpdate<'_> {
    /// One synapse update of both directions: `W <- activation(keep W + update d)`, where
    /// `dF[i,j,o] = sum_b (pre transform of layer i)[b,i,o] (post transform of layer i + 1)[b,j,o]` with bias neurons
    /// that are 1 in every state, and dB is the same with source and destination exchanged.
    ///
    /// `sums` and `transposed` are scratch for one state's synapses of one direction.
    pub(super) fn apply<T: Real>(
        &self,
        rule: &UpdateRule<T>,
        operands: &HebbianOperands<'_, T>,
        synapses: &mut Synapses<T>,
        sums: &mut [T],
        transposed: &mut [T],
    ) {
        let stride = synapses.stride();
        let (sums, transposed) = (&mut sums[..stride], &mut transposed[..stride]);
        let backward = synapses.backward_block;
        for state in 0..rule.states {
            let of_its_own = state == 0 || !self.symmetric_states;
            if of_its_own {
                self.forward_sums(rule, operands, state, synapses.outputs, sums);
            }
            let here = state * stride..(state + 1) * stride;
            self.learn(rule, state, sums, &mut synapses.forward[here.clone()]);
            if backward == BackwardBlock::Absent {
                continue;
            }
            if of_its_own {
                match operands.exchanged {
                    Some(exchanged) => {
                        self.backward_sums(rule, exchanged, operands.batch, state, synapses, transposed);
                    }
                    None => super::neuron::transpose(sums, synapses.outputs, transposed, synapses.inputs + 1),
                }
            }
            self.learn(rule, state, transposed, &mut synapses.backward[here]);
        }
    }

    /// dF of one state, `[n + 1, m]`.
    fn forward_sums<T: Real>(
        &self,
        rule: &UpdateRule<T>,
        operands: &HebbianOperands<'_, T>,
        state: usize,
        outputs: usize,
        out: &mut [T],
    ) {
        let (destination, factor) = operands.destination.of_state(state);
        debug_assert!(factor == T::ONE, "only sources are scaled");
        let source = operands.source.of_state(state);
        correlate(self.arch, source, destination, out, outputs, operands.batch);
        let bias = (0..rule.states).map(|k| rule.hebbian_pre[k * rule.states + state]);
        let bias = bias.fold(T::ZERO, |sum, factor| sum + factor);
        let row = out.len() - outputs;
        sum_over_batch(self.arch, destination, bias, &mut out[row..], 1, operands.batch);
    }

    /// dB of one state, `[m, n + 1]`; the bias column only where the block is whole.
    fn backward_sums<T: Real>(
        &self,
        rule: &UpdateRule<T>,
        (source, destination): (Operand<'_, T>, Operand<'_, T>),
        batch: usize,
        state: usize,
        synapses: &Synapses<T>,
        out: &mut [T],
    ) {
        let source = source.of_state(state);
        let (destination, factor) = destination.of_state(state);
        debug_assert!(factor == T::ONE, "only sources are scaled");
        let stride = synapses.inputs + 1;
        correlate(self.arch, source, destination, out, stride, batch);
        if synapses.backward_block == BackwardBlock::Whole {
            let row = &rule.hebbian_post[state * rule.states..(state + 1) * rule.states];
            let bias = row.iter().fold(T::ZERO, |sum, &factor| sum + factor);
            let column = &mut out[synapses.inputs..];
            sum_over_batch(self.arch, source.0, source.1 * bias, column, stride, batch);
        }
    }

    fn learn<T: Real>(&self, rule: &UpdateRule<T>, state: usize, sums: &[T], synapses: &mut [T]) {
        let keep = rule.synapse_keep[state];
        let update = rule.synapse_update[state] * T::from_f64(self.batch_weight);
        blend(self.arch, synapses, keep, update, sums);
        activate(self.arch, self.activations[state], synapses);
    }
}
