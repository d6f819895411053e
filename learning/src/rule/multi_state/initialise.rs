//! Initial synapses.

use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::network::{InitialSynapses, SynapseDistribution};
use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::real::Real;
use super::synapses::Synapses;
use super::transpose::transpose;

/// From here on the streams' indices are those of synapses within a layer.
const WITHIN: u64 = 1 << 32;

/// Draws the synapses of layer `layer`: every state and both directions independently, bias included.
///
/// Each direction of each layer has a stream of its own below `seed` (index 2 layer for forward, 2 layer + 1 for
/// backward; the same from 2^32 on for synapses among the inputs and among the outputs), so that what a plan leaves out
/// changes nothing else. Within a stream the order is that of storage: `[state, source, destination]`. Ties: with
/// `symmetric_synapses` the backward synapses are the transpose of the forward ones and those within a layer are zero,
/// with `symmetric_states` all states equal state 0.
pub(super) fn initialise<T: Real>(
    arch: Arch,
    synapses: &mut Synapses<T>,
    spec: &InitialSynapses,
    seed: Seed,
    layer: usize,
    symmetric_synapses: bool,
    symmetric_states: bool,
) {
    let stride = synapses.stride();
    let stream = |direction: u64| seed.derive(Purpose::Synapses, 2 * layer as u64 + direction);
    let neurons = synapses.inputs + synapses.outputs;
    draw(arch, &mut synapses.forward, spec, neurons, stream(0), stride, symmetric_states);
    if !symmetric_synapses {
        draw(arch, &mut synapses.backward, spec, neurons, stream(1), stride, symmetric_states);
        let (inputs, outputs) = ((synapses.inputs + 1).pow(2), synapses.outputs.pow(2));
        draw(arch, &mut synapses.within_inputs, spec, neurons, stream(WITHIN), inputs, symmetric_states);
        draw(
            arch,
            &mut synapses.within_outputs,
            spec,
            neurons,
            stream(WITHIN + 1),
            outputs,
            symmetric_states,
        );
        return;
    }
    synapses.within_inputs.fill(T::ZERO);
    synapses.within_outputs.fill(T::ZERO);
    let (rows, columns) = (synapses.inputs + 1, synapses.outputs);
    let Synapses { forward, backward, .. } = synapses;
    for (forward, backward) in forward.chunks_exact(stride).zip(backward.chunks_exact_mut(stride)) {
        transpose(arch, forward, columns, backward, rows);
    }
}

/// As [`initialise`], for the forward synapses of layer `layer` between so many inputs and outputs, if they are all that
/// there is: no ties.
pub(super) fn draw_forward<T: Real>(
    arch: Arch,
    values: &mut [T],
    spec: &InitialSynapses,
    seed: Seed,
    layer: usize,
    (inputs, outputs): (usize, usize),
) {
    let stream = seed.derive(Purpose::Synapses, 2 * layer as u64);
    draw(arch, values, spec, inputs + outputs, stream, (inputs + 1) * outputs, false);
}

/// Fills the draws of synapses on evolved scales: those that states share are of the stream of the forward synapses of layer
/// `layer`, those of each state of the stream of the backward synapses, which are no others.
pub(super) fn draw_normal<T: Real>(values: &mut [T], seed: Seed, layer: usize, are_shared: bool) {
    let stream = seed.derive(Purpose::Synapses, 2 * layer as u64 + u64::from(!are_shared));
    fill_scaled_normal(stream, 1.0, values);
}

fn draw<T: Real>(
    arch: Arch,
    values: &mut [T],
    spec: &InitialSynapses,
    neurons: usize,
    seed: Seed,
    stride: usize,
    symmetric_states: bool,
) {
    if values.is_empty() {
        return;
    }
    let drawn = if symmetric_states { stride } else { values.len() };
    let (first, rest) = values.split_at_mut(drawn);
    match spec.distribution {
        SynapseDistribution::Uniform | SynapseDistribution::Xavier => {
            let bound = match spec.distribution {
                SynapseDistribution::Xavier => spec.scale * libm::sqrt(6.0 / neurons as f64),
                _ => spec.scale,
            };
            fill_uniform(arch, seed, bound, first);
        }
        SynapseDistribution::Normal => fill_scaled_normal(seed, spec.scale, first),
    }
    rest.chunks_exact_mut(stride).for_each(|state| state.copy_from_slice(first));
}

fn fill_scaled_normal<T: Real>(seed: Seed, scale: f64, values: &mut [T]) {
    let mut rng = seed.rng();
    // An even length, so that the chunks continue one sequence of pairs.
    let mut normal = [0.0; 64];
    for chunk in values.chunks_mut(normal.len()) {
        let normal = &mut normal[..chunk.len()];
        fill_normal(&mut rng, normal);
        for (value, draw) in chunk.iter_mut().zip(normal) {
            *value = T::from_f64(scale * *draw);
        }
    }
}

/// Fills `values` with the centres of 2^24 equal parts of -bound .. bound, two from each word of the seed's stream: as
/// fine as `f32` is, and never 0 or the bound itself.
fn fill_uniform<T: Real>(arch: Arch, seed: Seed, bound: f64, values: &mut [T]) {
    let scale = T::from_f64(bound / f64::from(1 << 24));
    dispatch!(arch, 'a, uniform => (seed: Seed, scale: T, values: &'a mut [T]) -> ());
}

#[inline(always)]
fn uniform<T: Real, S: Simd>(_: S, seed: Seed, scale: T, values: &mut [T]) {
    /// Words whose numbers are computed side by side.
    const WORDS: usize = 16;
    let mut index = 0;
    while 2 * index < values.len() {
        let mut words = [0; WORDS];
        for n in 0..WORDS {
            words[n] = seed.word((index + n) as u64);
        }
        let mut numbers = [T::ZERO; 2 * WORDS];
        for n in 0..WORDS {
            numbers[2 * n] = centre(words[n] as u32, scale);
            numbers[2 * n + 1] = centre((words[n] >> 32) as u32, scale);
        }
        let place = &mut values[2 * index..];
        if place.len() >= 2 * WORDS {
            place[..2 * WORDS].copy_from_slice(&numbers);
        } else {
            place.copy_from_slice(&numbers[..place.len()]);
        }
        index += WORDS;
    }
}

/// One of the odd numbers between -2^24 and 2^24, scaled.
#[inline(always)]
fn centre<T: Real>(bits: u32, scale: T) -> T {
    T::from_f64(f64::from((bits >> 8) as i32 * 2 + 1 - (1 << 24))) * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::multi_state::plan::{BackwardBlock, WithinBlocks};

    fn drawn(distribution: SynapseDistribution, tied: (bool, bool), shape: (usize, usize)) -> Synapses<f64> {
        let mut synapses = Synapses::new(shape.0, shape.1, 3, BackwardBlock::Whole, WithinBlocks::default());
        let spec = InitialSynapses { distribution, scale: 0.5 };
        initialise(Arch::new(), &mut synapses, &spec, Seed::new(1).unwrap(), 0, tied.0, tied.1);
        synapses
    }

    /// Mean, variance and the largest magnitude of a large draw.
    fn check(distribution: SynapseDistribution, variance: f64, bound: f64) {
        let synapses = drawn(distribution, (false, false), (199, 100));
        for values in [&synapses.forward, &synapses.backward] {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let second = values.iter().map(|x| x * x).sum::<f64>() / count;
            assert!(mean.abs() < 5.0 * (variance / count).sqrt(), "mean {mean}");
            assert!((second / variance - 1.0).abs() < 0.03, "variance {second}, not {variance}");
            assert!(values.iter().all(|x| x.abs() <= bound));
        }
        assert_ne!(*synapses.forward, *synapses.backward);
        assert_ne!(synapses.forward[..20_000], synapses.forward[20_000..40_000]);
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        check(SynapseDistribution::Uniform, 0.25 / 3.0, 0.5);
        check(SynapseDistribution::Normal, 0.25, 3.5);
        check(SynapseDistribution::Xavier, 0.25 * 6.0 / 299.0 / 3.0, 0.5 * (6.0_f64 / 299.0).sqrt());
    }

    #[test]
    fn ties_hold_where_flags_ask_for_them() {
        let uniform = SynapseDistribution::Uniform;
        let both = drawn(uniform, (true, true), (4, 3));
        let mut transposed = vec![0.0; 15];
        transpose(Arch::new(), &both.forward[..15], 3, &mut transposed, 5);
        assert!(both.backward.chunks_exact(15).all(|state| state == transposed));
        assert!(both.forward.chunks_exact(15).all(|state| *state == both.forward[..15]));
        let states = drawn(uniform, (false, true), (4, 3));
        assert_eq!(states.backward[..15], states.backward[15..30]);
        assert_ne!(states.backward[..15], transposed);
        let directions = drawn(uniform, (true, false), (4, 3));
        transpose(Arch::new(), &directions.forward[15..30], 3, &mut transposed, 5);
        assert_eq!(directions.backward[15..30], transposed);
        assert_ne!(directions.forward[..15], directions.forward[15..30]);
    }

    /// These draws are part of every result.
    #[test]
    fn first_draws_are_pinned() {
        let bits = |distribution| {
            let synapses = drawn(distribution, (false, false), (2, 2));
            [synapses.forward[0], synapses.forward[1], synapses.backward[0]].map(f64::to_bits)
        };
        assert_eq!(bits(SynapseDistribution::Uniform), PINNED_UNIFORM);
        assert_eq!(bits(SynapseDistribution::Normal), PINNED_NORMAL);
    }

    const PINNED_UNIFORM: [u64; 3] =
        [4_575_712_042_370_990_080, 13_825_743_572_055_359_488, 4_599_533_899_700_240_384];
    const PINNED_NORMAL: [u64; 3] =
        [13_810_619_520_649_854_202, 4_597_253_172_981_403_578, 13_818_787_916_813_215_984];
}
