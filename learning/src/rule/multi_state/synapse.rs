//! How the synapses between two layers learn.

use hebbian_shared::spec::rule::multi_state::{Activation, Oja, Saturation};
use pulp::Arch;

use super::activation::activate;
use super::buffer::Buffer;
use super::contraction::{CorrelationScratch, Operand, blend, correlate, sum_over_batch};
use super::oja;
use super::plan::BackwardBlock;
use super::real::Real;
use super::saturation::saturating_blend;
use super::synapses::Synapses;
use super::transpose::transpose;
use super::update_rule::SynapseParameters;

/// Both adjacent layers, transformed for the Hebbian sum.
pub(super) struct HebbianOperands<'a, T> {
    /// Layer i under the pre transform.
    pub(super) source: Operand<'a, T>,
    /// Layer i + 1 under the post transform.
    pub(super) destination: Operand<'a, T>,
    /// Layer i + 1 under the pre transform, where it is wanted: see [`SynapseUpdate::wants_exchanged_source`].
    pub(super) exchanged_source: Option<Operand<'a, T>>,
    /// Layer i under the post transform, where it is wanted: see [`SynapseUpdate::wants_exchanged_destination`].
    pub(super) exchanged_destination: Option<Operand<'a, T>>,
    /// The largest magnitude of layer i and of layer i + 1; none if they are not finite.
    pub(super) largest: Option<[f64; 2]>,
    /// Examples in the batch.
    pub(super) batch: usize,
}

/// Memory of a synapse update that holds nothing between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct SynapseScratch<T> {
    /// One state's sums of the forward block.
    sums: Buffer<T>,
    /// One state's sums of the backward block.
    transposed: Buffer<T>,
    /// One state's sums of a block within a layer.
    within: Buffer<T>,
    /// What each column of a block keeps.
    keeps: Buffer<T>,
    /// Of its products.
    operand: CorrelationScratch<T>,
}

/// How a synapse update treats its sums.
pub(super) struct SynapseUpdate<'a> {
    pub(super) arch: Arch,
    pub(super) symmetric_synapses: bool,
    pub(super) symmetric_states: bool,
    /// 1 for the sum over the batch, 1 / batch for the mean.
    pub(super) batch_weight: f64,
    pub(super) oja: Option<Oja>,
    pub(super) saturation: Option<Saturation>,
    /// Activation of each state.
    pub(super) activations: &'a [Activation],
}

impl SynapseUpdate<'_> {
    /// Whether the transformed states above 0 are read: tied states receive the sums of state 0, but Oja's term is not
    /// tied.
    pub(super) fn reads_all_states(&self) -> bool {
        !self.symmetric_states || self.squares_activations()
    }

    /// Whether the update of `synapses` reads layer i + 1 under the pre transform.
    pub(super) fn wants_exchanged_source<T: Real>(&self, synapses: &Synapses<T>) -> bool {
        !self.symmetric_synapses
            && (synapses.backward_block != BackwardBlock::Absent || !synapses.within_outputs.is_empty())
    }

    /// Whether the update of `synapses` reads layer i under the post transform.
    pub(super) fn wants_exchanged_destination<T: Real>(&self, synapses: &Synapses<T>) -> bool {
        synapses.backward_block != BackwardBlock::Absent
            && (!self.symmetric_synapses || self.squares_activations())
    }

    fn squares_activations(&self) -> bool {
        self.oja.is_some_and(|oja| !oja.synapse_weights)
    }

    /// One synapse update of both directions: `W <- activation(keep W + update d)`, where
    /// `dF[i,j,o] = sum_b (pre transform of layer i)[b,i,o] (post transform of layer i + 1)[b,j,o]` with bias neurons
    /// that are 1 in every state, and dB is the same with source and destination exchanged. Oja's term changes what a
    /// synapse keeps, saturation how much of the change takes place.
    pub(super) fn apply<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        synapses: &mut Synapses<T>,
        scratch: &mut SynapseScratch<T>,
    ) {
        // Where nothing ties or reads the sums, they are added to the synapses as they are computed.
        let is_plain = self.oja.is_none() && self.saturation.is_none();
        if is_plain && !self.symmetric_synapses && !self.symmetric_states {
            self.learn_at_once(rule, operands, synapses, scratch);
            synapses.bound = self.bound_after(rule, operands, synapses.bound);
            return;
        }
        synapses.bound = None;
        let SynapseScratch { sums, transposed, within, keeps, operand } = scratch;
        let stride = synapses.stride();
        let (sums, transposed) = (sums.take(stride), transposed.take(stride));
        let (inputs, outputs) = (synapses.inputs, synapses.outputs);
        for state in 0..rule.states {
            let of_its_own = state == 0 || !self.symmetric_states;
            let here = state * stride..(state + 1) * stride;
            if of_its_own {
                self.forward_sums(rule, operands, state, outputs, sums, operand);
            }
            let keeps_of_outputs = self.keeps(
                rule,
                state,
                operands.destination.of_state(if self.reads_all_states() { state } else { 0 }).0,
                operands.batch,
                (&synapses.forward[here.clone()], outputs),
                of_state(&synapses.within_outputs, state, outputs * outputs),
                keeps.take(outputs),
            );
            self.learn(rule, state, sums, &mut synapses.forward[here.clone()], outputs, keeps_of_outputs);
            if !synapses.within_outputs.is_empty() {
                let sums = within.take(outputs * outputs);
                self.sums_within_outputs(operands, state, sums, operand);
                let block = &mut synapses.within_outputs[state * sums.len()..][..sums.len()];
                self.learn(rule, state, sums, block, outputs, keeps_of_outputs);
            }
            if synapses.backward_block == BackwardBlock::Absent {
                continue;
            }
            if of_its_own {
                self.backward_sums(rule, operands, state, synapses, sums, transposed, operand);
            }
            let used = if synapses.backward_block == BackwardBlock::Whole { inputs + 1 } else { inputs };
            let destination = operands
                .exchanged_destination
                .map(|operand| operand.of_state(if self.reads_all_states() { state } else { 0 }).0);
            let keeps_of_inputs = self.keeps(
                rule,
                state,
                destination.unwrap_or_default(),
                operands.batch,
                (&synapses.backward[here.clone()], inputs + 1),
                of_state(&synapses.within_inputs, state, (inputs + 1) * (inputs + 1)),
                keeps.take(used),
            );
            self.learn(rule, state, transposed, &mut synapses.backward[here], inputs + 1, keeps_of_inputs);
            if !synapses.within_inputs.is_empty() {
                let sums = within.take((inputs + 1) * (inputs + 1));
                self.sums_within_inputs(rule, operands, state, inputs, sums, operand);
                let block = &mut synapses.within_inputs[state * sums.len()..][..sums.len()];
                self.learn(rule, state, sums, block, inputs + 1, keeps_of_inputs);
            }
        }
    }

    /// The update of synapses whose sums serve nothing else: a product of its own for each state and direction, which
    /// scales what stands there and adds to it.
    fn learn_at_once<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        synapses: &mut Synapses<T>,
        scratch: &mut SynapseScratch<T>,
    ) {
        let (stride, batch) = (synapses.stride(), operands.batch);
        let Synapses { inputs, outputs, backward_block, .. } = *synapses;
        for state in 0..rule.states {
            let (keep, gain) = (rule.keep[state], self.gain(rule, state));
            let bias = scratch.sums.take(outputs);
            let forward = &mut synapses.forward[state * stride..(state + 1) * stride];
            let ((source, factor), (destination, one)) =
                (operands.source.of_state(state), operands.destination.of_state(state));
            debug_assert!(one == T::ONE, "only sources are scaled");
            let source = (source, factor * gain);
            correlate(
                self.arch,
                source,
                destination,
                Some(keep),
                forward,
                outputs,
                batch,
                &mut scratch.operand,
            );
            sum_over_batch(self.arch, destination, bias_of_source(rule, state), bias, 1, batch);
            blend(self.arch, &mut forward[inputs * outputs..], keep, gain, bias);
            activate(self.arch, self.activations[state], forward);
            if backward_block == BackwardBlock::Absent {
                continue;
            }
            let backward = &mut synapses.backward[state * stride..(state + 1) * stride];
            let ((source, factor), (destination, one)) = operands.exchanged(state);
            debug_assert!(one == T::ONE, "only sources are scaled");
            let scaled = (source, factor * gain);
            let columns = inputs + 1;
            correlate(
                self.arch,
                scaled,
                destination,
                Some(keep),
                backward,
                columns,
                batch,
                &mut scratch.operand,
            );
            if backward_block == BackwardBlock::Whole {
                let factor = factor * bias_of_destination(rule, state);
                sum_over_batch(self.arch, source, factor, bias, 1, batch);
                let column = backward[inputs..].iter_mut().step_by(columns);
                column.zip(&*bias).for_each(|(synapse, &sum)| *synapse = keep * *synapse + gain * sum);
            }
            activate(self.arch, self.activations[state], backward);
        }
    }

    /// A bound of all synapses' magnitudes after an update, from that before it and the largest neurons: what lets
    /// [`Synapses::is_finite`] do without a look at each of them. None if there was none, or some number on the way might
    /// have overflowed.
    fn bound_after<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        bound: Option<f64>,
    ) -> Option<f64> {
        /// Far below the largest `f32`, so that no rounding matters.
        const SAFE: f64 = 1e30;
        let (before, k) = (bound?, rule.states);
        let [below, above] = operands.largest?;
        // Bias neurons are 1.
        let neurons = below.max(above).max(1.0);
        let mut after = 1.0_f64;
        for state in 0..k {
            let magnitude = |x: T| x.to_f64().abs();
            let pre: f64 = (0..k).map(|from| magnitude(rule.hebbian_pre[from * k + state])).sum();
            let post: f64 = rule.hebbian_post[state * k..(state + 1) * k].iter().map(|&x| magnitude(x)).sum();
            let (keep, gain) = (magnitude(rule.keep[state]), magnitude(self.gain(rule, state)));
            // No factor below 1 hides an intermediate result that is larger than the last one.
            let (pre, post) = (pre.max(1.0), post.max(1.0));
            let sum = operands.batch as f64 * (neurons * pre) * (neurons * post);
            // Not beyond it: NaN neither.
            let is_safe = keep * before.max(1.0) + gain.max(1.0) * sum <= SAFE && keep <= SAFE;
            if !is_safe {
                return None;
            }
            // Generous for the rounding of sums. No activation exceeds both 1 and its argument.
            after = after.max(1.01 * (keep * before + gain * sum));
        }
        Some(after)
    }

    /// The weight of the Hebbian sum.
    fn gain<T: Real>(&self, rule: SynapseParameters<'_, T>, state: usize) -> T {
        rule.update[state] * T::from_f64(self.batch_weight)
    }

    /// dF of one state, `[n + 1, m]`.
    fn forward_sums<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        state: usize,
        outputs: usize,
        out: &mut [T],
        scratch: &mut CorrelationScratch<T>,
    ) {
        let (destination, factor) = operands.destination.of_state(state);
        debug_assert!(factor == T::ONE, "only sources are scaled");
        let source = operands.source.of_state(state);
        correlate(self.arch, source, destination, None, out, outputs, operands.batch, scratch);
        let row = out.len() - outputs;
        let bias = bias_of_source(rule, state);
        sum_over_batch(self.arch, destination, bias, &mut out[row..], 1, operands.batch);
    }

    /// dB of one state, `[m, n + 1]`, which is the transpose of dF where synapses are tied; the bias column means
    /// something only where the block is whole.
    #[allow(clippy::too_many_arguments)]
    fn backward_sums<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        state: usize,
        synapses: &Synapses<T>,
        forward: &[T],
        out: &mut [T],
        scratch: &mut CorrelationScratch<T>,
    ) {
        let Synapses { inputs, outputs, .. } = *synapses;
        if self.symmetric_synapses {
            transpose(self.arch, forward, outputs, out, inputs + 1);
            return;
        }
        let (source, (destination, factor)) = operands.exchanged(state);
        debug_assert!(factor == T::ONE, "only sources are scaled");
        let (stride, batch) = (inputs + 1, operands.batch);
        correlate(self.arch, source, destination, None, out, stride, batch, scratch);
        let column = &mut out[inputs..];
        if synapses.backward_block == BackwardBlock::Whole {
            let bias = bias_of_destination(rule, state);
            sum_over_batch(self.arch, source.0, source.1 * bias, column, stride, batch);
        } else {
            // What stands there is another layer's, perhaps of another episode.
            column.iter_mut().step_by(stride).for_each(|sum| *sum = T::ZERO);
        }
    }

    /// The sums of one state among the outputs, `[m, m]`: zero where synapses are tied.
    fn sums_within_outputs<T: Real>(
        &self,
        operands: &HebbianOperands<'_, T>,
        state: usize,
        out: &mut [T],
        scratch: &mut CorrelationScratch<T>,
    ) {
        let state = if self.symmetric_states { 0 } else { state };
        match operands.exchanged_source {
            Some(source) if !self.symmetric_synapses => {
                let (destination, _) = operands.destination.of_state(state);
                let outputs = destination.len() / operands.batch;
                let source = source.of_state(state);
                correlate(self.arch, source, destination, None, out, outputs, operands.batch, scratch);
            }
            _ => out.fill(T::ZERO),
        }
    }

    /// The sums of one state among the inputs and their bias, `[n + 1, n + 1]`: zero where synapses are tied.
    fn sums_within_inputs<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        operands: &HebbianOperands<'_, T>,
        state: usize,
        inputs: usize,
        out: &mut [T],
        scratch: &mut CorrelationScratch<T>,
    ) {
        let state = if self.symmetric_states { 0 } else { state };
        let Some(destination) = operands.exchanged_destination.filter(|_| !self.symmetric_synapses) else {
            out.fill(T::ZERO);
            return;
        };
        let (stride, batch) = (inputs + 1, operands.batch);
        let (source, (destination, _)) = (operands.source.of_state(state), destination.of_state(state));
        let biases = (bias_of_source(rule, state), bias_of_destination(rule, state));
        correlate(self.arch, source, destination, None, out, stride, batch, scratch);
        sum_over_batch(self.arch, destination, biases.0, &mut out[inputs * stride..], 1, batch);
        sum_over_batch(self.arch, source.0, source.1 * biases.1, &mut out[inputs..], stride, batch);
        out[stride * stride - 1] = T::from_f64(batch as f64) * biases.0 * biases.1;
    }

    /// What each column of a block keeps, if that is not the same number for all: `neurons` are the columns' transformed
    /// states, `synapses` those that arrive at them, without and with those from the columns' own layer. Columns beyond
    /// `neurons` (the bias) are not excited.
    #[allow(clippy::too_many_arguments)]
    fn keeps<'k, T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        state: usize,
        neurons: &[T],
        batch: usize,
        (synapses, columns): (&[T], usize),
        within: &[T],
        keeps: &'k mut [T],
    ) -> Option<&'k [T]> {
        if self.oja.is_none() && self.saturation.is_none() {
            return None;
        }
        keeps.fill(rule.keep[state]);
        let Some(oja) = self.oja else { return Some(keeps) };
        let strength = oja::strength(oja, rule.update[state], rule.oja_multiplier[state]);
        if oja.synapse_weights {
            oja::subtract_synapses(self.arch, keeps, strength, synapses, columns);
            oja::subtract_synapses(self.arch, keeps, strength, within, columns);
        } else {
            let excited = &mut keeps[..neurons.len() / batch];
            let strength = strength * T::from_f64(self.batch_weight);
            oja::subtract_activations(self.arch, excited, strength, neurons, batch);
        }
        Some(keeps)
    }

    /// One state's synapses of one block, `[source, destination]` with `columns` destinations, learn from their sums.
    fn learn<T: Real>(
        &self,
        rule: SynapseParameters<'_, T>,
        state: usize,
        sums: &[T],
        synapses: &mut [T],
        columns: usize,
        keeps: Option<&[T]>,
    ) {
        let update = self.gain(rule, state);
        match (keeps, self.saturation) {
            (None, _) => blend(self.arch, synapses, rule.keep[state], update, sums),
            (Some(keeps), None) => oja::blend_columns(self.arch, synapses, keeps, update, sums, columns),
            (Some(keeps), Some(Saturation { epsilon })) => {
                let rate = T::from_f64(epsilon) + oja::absolute(rule.saturation[state]);
                saturating_blend(self.arch, synapses, keeps, update, sums, rate, columns);
            }
        }
        activate(self.arch, self.activations[state], synapses);
    }
}

/// One state of a layer with its factor.
type Side<'a, T> = (&'a [T], T);

impl<'a, T: Real> HebbianOperands<'a, T> {
    /// One state of both layers with their roles exchanged.
    fn exchanged(&self, state: usize) -> (Side<'a, T>, Side<'a, T>) {
        let operand = |operand: Option<Operand<'a, T>>| {
            operand.expect("an update of its own has been asked what it wants").of_state(state)
        };
        (operand(self.exchanged_source), operand(self.exchanged_destination))
    }
}

/// What the pre transform makes of a bias neuron.
fn bias_of_source<T: Real>(rule: SynapseParameters<'_, T>, state: usize) -> T {
    let column = rule.hebbian_pre.iter().skip(state).step_by(rule.states);
    column.fold(T::ZERO, |sum, &factor| sum + factor)
}

/// What the post transform makes of a bias neuron.
fn bias_of_destination<T: Real>(rule: SynapseParameters<'_, T>, state: usize) -> T {
    let row = &rule.hebbian_post[state * rule.states..(state + 1) * rule.states];
    row.iter().fold(T::ZERO, |sum, &factor| sum + factor)
}

/// One state of a block, or nothing of an absent one.
fn of_state<T>(block: &[T], state: usize, length: usize) -> &[T] {
    if block.is_empty() { block } else { &block[state * length..][..length] }
}
