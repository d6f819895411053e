//! The ABCD rule (Najarro and Risi 2020): every weight learns from the two neurons that it joins, and from nothing else.
//!
//! ```text
//! w_ij <- w_ij + eta ( A x_i y_j + B x_i + C y_j + D )        a mean over the batch
//! ```
//! x are the neurons before the weight (the bias is one of them, always 1), y those behind it; for the last layer y is what
//! [`Teaching`] says. Hidden neurons are tanh, the last layer is linear. So a search over it shows what can be learned without
//! a backward pass. The bits do not depend on the kind of CPU.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::abcd::{AbcdSpec, Teaching};

use super::number::all_finite;
use super::{Ablation, ExampleBatch, Networks, Rule, RuleFamily, Shape};

impl RuleFamily for AbcdSpec {
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation> {
        problem.network.has_hidden_layers().then_some(Ablation::HiddenSynapsesFrozen).into_iter().collect()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[include_str!("abcd/canonical/error.toml"), include_str!("abcd/canonical/target.toml")]
    }

    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Learner {
            teaching: self.teaching,
            freezes_hidden: ablation == Some(Ablation::HiddenSynapsesFrozen),
            layout: problem.layout(),
            plasticity: Vec::new(),
            networks: Networks::new(),
        })
    }
}

/// How one layer's weights learn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Plasticity {
    rate: f32,
    correlation: f32,
    presynaptic: f32,
    postsynaptic: f32,
    constant: f32,
    initial_scale: f32,
}

impl Plasticity {
    /// The number that a segment stands for.
    fn number(&mut self, segment: &str) -> Option<&mut f32> {
        Some(match segment {
            "learning_rate" => &mut self.rate,
            "correlation" => &mut self.correlation,
            "presynaptic" => &mut self.presynaptic,
            "postsynaptic" => &mut self.postsynaptic,
            "constant" => &mut self.constant,
            "initial_scale" => &mut self.initial_scale,
            _ => return None,
        })
    }

    /// Reads a genome into the plasticity of each layer. Says whether the genome has the layout's dimension.
    fn read(layout: &GenomeLayout, genome: &Genome, plasticity: &mut Vec<Self>) -> bool {
        if genome.0.len() != layout.dimension() {
            return false;
        }
        for segment in layout.segments() {
            plasticity.resize(segment.len(), Self::default());
            for (layer, &value) in plasticity.iter_mut().zip(&genome.0[segment.range()]) {
                *layer.number(&segment.name).expect("the layout has no other segments") =
                    segment.transform.apply(value) as f32;
            }
        }
        true
    }
}

/// A genome's plasticity with the networks that learn by it.
struct Learner {
    teaching: Teaching,
    freezes_hidden: bool,
    layout: GenomeLayout,
    /// Of each layer of weights.
    plasticity: Vec<Plasticity>,
    networks: Networks<Vec<Layer>>,
}

/// A layer of weights and the neurons behind it.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// `[inputs + 1, outputs]`, the bias last.
    weights: Vec<f32>,
    /// `[inputs + 1, outputs]`: room for what an update adds.
    change: Vec<f32>,
    /// `[examples, outputs]`
    values: Vec<f32>,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, batch_max: usize) -> Self {
        let weights = vec![0.0; (inputs + 1) * outputs];
        Self { inputs, outputs, change: weights.clone(), weights, values: vec![0.0; batch_max * outputs] }
    }

    /// Draws the weights: normal with variance scale^2 / inputs, biases 0.
    fn initialise(&mut self, scale: f32, seed: Seed) {
        let (bias, scale) = (self.inputs * self.outputs, f64::from(scale) / (self.inputs as f64).sqrt());
        let mut rng = seed.rng();
        let mut drawn = [0.0; 64];
        for weights in self.weights[..bias].chunks_mut(drawn.len()) {
            fill_normal(&mut rng, &mut drawn);
            for (weight, drawn) in weights.iter_mut().zip(drawn) {
                *weight = (scale * drawn) as f32;
            }
        }
        self.weights[bias..].fill(0.0);
    }

    /// The weighted sums of `inputs`, `[examples, inputs]`.
    #[inline(always)]
    fn forward(&mut self, inputs: &[f32], examples: usize) {
        let (bias, width) = (self.inputs * self.outputs, self.outputs);
        self.values.resize(examples * width, 0.0);
        for (value, input) in self.values.chunks_exact_mut(width).zip(inputs.chunks_exact(self.inputs)) {
            value.copy_from_slice(&self.weights[bias..]);
            for (&x, weights) in input.iter().zip(self.weights.chunks_exact(width)) {
                add(value, x, weights);
            }
        }
    }

    /// Learns from `inputs` and from the values, which are the neurons behind the weights.
    #[inline(always)]
    fn learn(&mut self, of: &Plasticity, inputs: &[f32], examples: usize) {
        let width = self.outputs;
        self.change.fill(0.0);
        for (y, input) in self.values.chunks_exact(width).zip(inputs.chunks_exact(self.inputs)) {
            for (&x, change) in input.iter().chain([&1.0]).zip(self.change.chunks_exact_mut(width)) {
                let (factor, rest) = (of.correlation * x + of.postsynaptic, of.presynaptic * x + of.constant);
                for (change, y) in change.iter_mut().zip(y) {
                    *change += factor * y + rest;
                }
            }
        }
        add(&mut self.weights, of.rate / examples as f32, &self.change);
    }
}

/// `sum += factor * values`
#[inline(always)]
fn add(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// Computes the values of all neurons.
#[inline(always)]
fn forward(network: &mut [Layer], inputs: &[f32], examples: usize) {
    let last = network.len() - 1;
    for place in 0..=last {
        let (before, rest) = network.split_at_mut(place);
        rest[0].forward(before.last().map_or(inputs, |before| &before.values), examples);
        if place < last {
            for value in &mut rest[0].values {
                *value = libm::tanhf(*value);
            }
        }
    }
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        Plasticity::read(&self.layout, genome, &mut self.plasticity)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let new =
            || shape.layers.windows(2).map(|pair| Layer::new(pair[0], pair[1], shape.batch_max)).collect();
        let network = self.networks.select(shape, new);
        for (place, (layer, of)) in network.iter_mut().zip(&self.plasticity).enumerate() {
            layer.initialise(of.initial_scale, seed.derive(Purpose::Synapses, place as u64));
        }
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let network = self.networks.current_mut();
        let last = network.len() - 1;
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                forward(network, batch.inputs, batch.examples);
                for (value, target) in network[last].values.iter_mut().zip(batch.targets) {
                    *value = match self.teaching {
                        Teaching::Error => target - *value,
                        Teaching::Target => *target,
                    };
                }
                for place in if self.freezes_hidden { last } else { 0 }..=last {
                    let (before, rest) = network.split_at_mut(place);
                    let inputs = before.last().map_or(batch.inputs, |before| &before.values);
                    rest[0].learn(&self.plasticity[place], inputs, batch.examples);
                }
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]) {
        let network = self.networks.current_mut();
        crate::vectors::with_vectors(
            #[inline(always)]
            || forward(network, inputs, examples),
        );
        predictions.copy_from_slice(&network[network.len() - 1].values);
    }

    fn is_finite(&self) -> bool {
        self.networks.current().iter().all(|layer| all_finite(&layer.weights))
    }
}

#[cfg(test)]
mod tests;
