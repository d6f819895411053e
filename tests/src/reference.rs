//! The multi-state network as its definition has it, in f64, line by line and without a thought for speed: every option,
//! every block of the full synapse matrix, no kernel. What the worker's network is checked against.

#![allow(
    clippy::needless_range_loop,
    clippy::match_same_arms,
    clippy::comparison_chain,
    reason = "as the definition"
)]

use hebbian_learning::rule::multi_state::{Network, Real, SynapseRule, UpdateRule};
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, Hebbian, MultiStateSpec,
};

/// A `[row, column]` matrix.
type Matrix = Vec<Vec<f64>>;

/// A network of the definition.
pub struct Reference {
    options: MultiStateSpec,
    sizes: Vec<usize>,
    updatable: Vec<bool>,
    /// `[layer][state][source][destination]` over the inputs, their bias and the outputs of a layer of synapses.
    full: Vec<Vec<Matrix>>,
    /// `[layer][state][neuron][example]`
    neurons: Vec<Vec<Matrix>>,
    updates: u64,
}

/// An elementwise function by its definition.
pub fn activation(activation: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Identity => x,
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::ReluTanh => x.tanh().max(0.0),
        Activation::Sigmoid => sigmoid,
        Activation::DIdentity => 1.0,
        Activation::DTanh => 1.0 - x.tanh() * x.tanh(),
        Activation::DRelu => f64::from(u8::from(x > 0.0)),
        Activation::DSigmoid => sigmoid * (1.0 - sigmoid),
    }
}

/// One state's matrix of a row-major block.
fn rows<T: Real>(block: &[T], columns: usize) -> Matrix {
    block.chunks_exact(columns).map(|row| row.iter().map(|x| x.to_f64()).collect()).collect()
}

impl Reference {
    /// A copy of `network`'s synapses, which must have whole backward blocks, with neurons that are zero.
    pub fn of<T: Real>(network: &Network<T>, options: &MultiStateSpec, batch: usize) -> Self {
        let (sizes, k) = (network.layer_sizes(), network.states());
        let mut full = Vec::new();
        for (layer, pair) in sizes.windows(2).enumerate() {
            let (n, side) = (pair[0] + 1, pair[0] + 1 + pair[1]);
            let mut states = Vec::new();
            for state in 0..k {
                let mut whole = vec![vec![0.0; side]; side];
                let mut place = |(top, left): (usize, usize), block: Matrix| {
                    for (i, row) in block.into_iter().enumerate() {
                        whole[top + i][left..left + row.len()].copy_from_slice(&row);
                    }
                };
                place((0, n), rows(network.forward_synapses(layer, state), pair[1]));
                let backward = network.backward_synapses(layer, state).expect("a full plan");
                place((n, 0), rows(backward, n));
                if let Some(within) = network.synapses_within_inputs(layer, state) {
                    place((0, 0), rows(within, n));
                }
                if let Some(within) = network.synapses_within_outputs(layer, state) {
                    place((n, n), rows(within, pair[1]));
                }
                states.push(whole);
            }
            full.push(states);
        }
        let neurons = sizes.iter().map(|&n| vec![vec![vec![0.0; batch]; n]; k]).collect();
        let updatable = options.updatable(sizes.len());
        Self { options: options.clone(), sizes, updatable, full, neurons, updates: 0 }
    }

    /// One update; `input` and `target` are `[example, neuron]`.
    pub fn update(&mut self, rule: &UpdateRule<f64>, input: &[f64], target: &[f64], batch: usize) {
        self.forward(rule, input, batch);
        let forward_states = self.neurons.clone();
        if self.options.forward_synapse_update != ForwardSynapseUpdate::Off {
            let own = rule.forward_synapse.as_ref().unwrap_or(&rule.synapse);
            self.update_synapses(own, rule, &forward_states, batch);
        }
        if self.updates.is_multiple_of(u64::from(self.options.supervised_every)) {
            self.feedback(target, batch);
            self.backward(rule, batch);
            let lower = if self.options.forward_activations_in_synapse_update {
                forward_states
            } else {
                self.neurons.clone()
            };
            self.update_synapses(&rule.synapse, rule, &lower, batch);
        }
        self.updates += 1;
    }

    /// State 0 of the last layer of a fresh copy after a forward pass, `[example, neuron]`.
    pub fn predict(&self, rule: &UpdateRule<f64>, input: &[f64], batch: usize) -> Vec<f64> {
        let mut copy = Self {
            options: self.options.clone(),
            sizes: self.sizes.clone(),
            updatable: self.updatable.clone(),
            full: self.full.clone(),
            neurons: self.sizes.iter().map(|&n| vec![vec![vec![0.0; batch]; n]; rule.states]).collect(),
            updates: 0,
        };
        copy.forward(rule, input, batch);
        let last = &copy.neurons[self.sizes.len() - 1][0];
        (0..batch).flat_map(|b| last.iter().map(move |neuron| neuron[b])).collect()
    }

    /// One state of a layer, `[neuron, example]`.
    pub fn neurons(&self, layer: usize, state: usize) -> impl Iterator<Item = f64> {
        self.neurons[layer][state].iter().flatten().copied()
    }

    /// One state of the forward synapses, `[n + 1, m]`.
    pub fn forward_synapses(&self, layer: usize, state: usize) -> impl Iterator<Item = f64> {
        let n = self.sizes[layer] + 1;
        self.full[layer][state][..n].iter().flat_map(move |row| row[n..].iter().copied())
    }

    /// One state of the backward synapses, `[m, n + 1]`.
    pub fn backward_synapses(&self, layer: usize, state: usize) -> impl Iterator<Item = f64> {
        let n = self.sizes[layer] + 1;
        self.full[layer][state][n..].iter().flat_map(move |row| row[..n].iter().copied())
    }

    /// The definition's 5.1 and 5.2: reset, input, normalisation, forward pass.
    fn forward(&mut self, rule: &UpdateRule<f64>, input: &[f64], batch: usize) {
        let (k, last) = (rule.states, self.sizes.len() - 1);
        for layer in &mut self.neurons {
            if self.options.zero_out_neurons {
                layer.iter_mut().flatten().flatten().for_each(|x| *x = 0.0);
            }
        }
        for o in 0..k {
            for i in 0..self.sizes[0] {
                for b in 0..batch {
                    self.neurons[0][o][i][b] = if o == 0 { input[b * self.sizes[0] + i] } else { 0.0 };
                }
            }
        }
        if self.options.normalisation.is_some_and(|normalisation| normalisation.stored) {
            self.full = self.normalised(rule);
        }
        let weights = self.weights_in_passes(rule);
        for layer in 0..last {
            if !self.updatable[layer + 1] {
                continue;
            }
            let set = set_of(rule, layer);
            let activations = if layer + 1 == last {
                &self.options.last_layer_activation
            } else {
                &self.options.forward_activation
            };
            let n = self.sizes[layer] + 1;
            for b in 0..batch {
                for l in 0..k {
                    for j in 0..self.sizes[layer + 1] {
                        let mut u = 0.0;
                        for i in 0..n {
                            for d in 0..k {
                                u += self.with_bias(layer, d, i, b)
                                    * rule.forward_transform[(set * k + d) * k + l]
                                    * weights[layer][l][i][n + j];
                            }
                        }
                        let x = &mut self.neurons[layer + 1][l][j][b];
                        let v = *x * rule.neuron_keep[set * k + l] + u * rule.neuron_update[set * k + l];
                        *x = activation(activations.of_state(l), v);
                    }
                }
            }
        }
    }

    fn with_bias(&self, layer: usize, state: usize, neuron: usize, example: usize) -> f64 {
        if neuron == self.sizes[layer] { 1.0 } else { self.neurons[layer][state][neuron][example] }
    }

    /// The synapses as passes use them.
    fn weights_in_passes(&self, rule: &UpdateRule<f64>) -> Vec<Vec<Matrix>> {
        if self.options.normalisation.is_some_and(|normalisation| normalisation.in_activations) {
            self.normalised(rule)
        } else {
            self.full.clone()
        }
    }

    /// N of the definition: each column of both blocks gets its norm, the diagonal blocks become zero.
    fn normalised(&self, rule: &UpdateRule<f64>) -> Vec<Vec<Matrix>> {
        let mut full = self.full.clone();
        for (layer, states) in full.iter_mut().enumerate() {
            let n = self.sizes[layer] + 1;
            for (state, whole) in states.iter_mut().enumerate() {
                let side = whole.len();
                for column in 0..side {
                    let sources = if column < n { n..side } else { 0..n };
                    let squares: f64 = sources.clone().map(|row| whole[row][column].powi(2)).sum();
                    for row in 0..side {
                        whole[row][column] = if sources.contains(&row) {
                            whole[row][column] / (squares + 1e-9).sqrt() * rule.rescale_to[state]
                        } else {
                            0.0
                        };
                    }
                }
            }
        }
        full
    }

    /// The definition's 5.4.1.
    fn feedback(&mut self, target: &[f64], batch: usize) {
        let last = self.sizes.len() - 1;
        let outputs = self.sizes[last];
        let states = &mut self.neurons[last];
        for b in 0..batch {
            let logits: Vec<f64> = (0..outputs).map(|j| states[0][j][b]).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|y| (y - largest).exp()).sum();
            for j in 0..outputs {
                let (y, t) = (logits[j], target[b * outputs + j]);
                match self.options.feedback {
                    Feedback::ReplaceState0 => {
                        states[0][j][b] = t;
                        continue;
                    }
                    Feedback::ConcatGroundTruth => states[1][j][b] = t,
                    Feedback::Difference => states[1][j][b] = y - t,
                    Feedback::DifferenceTimesSecondState => states[1][j][b] *= y - t,
                    Feedback::SoftmaxDifference => states[1][j][b] = (y - largest).exp() / sum - t,
                }
                states[2..].iter_mut().for_each(|state| state[j][b] = 0.0);
            }
        }
    }

    /// The definition's 5.4.2.
    fn backward(&mut self, rule: &UpdateRule<f64>, batch: usize) {
        let k = rule.states;
        let weights = self.weights_in_passes(rule);
        for layer in (0..self.sizes.len() - 1).rev() {
            if !self.updatable[layer] {
                continue;
            }
            let (set, n) = (set_of(rule, layer), self.sizes[layer] + 1);
            for b in 0..batch {
                for l in 0..k {
                    for i in 0..self.sizes[layer] {
                        let mut u = 0.0;
                        for j in 0..self.sizes[layer + 1] {
                            for d in 0..k {
                                u += self.neurons[layer + 1][d][j][b]
                                    * rule.backward_transform[(set * k + d) * k + l]
                                    * weights[layer][l][n + j][i];
                            }
                        }
                        let (keep, update) = (rule.neuron_keep[set * k + l], rule.neuron_update[set * k + l]);
                        let x = &mut self.neurons[layer][l][i][b];
                        let v = match self.options.backward_update {
                            BackwardUpdate::Additive => *x * keep + u * update,
                            BackwardUpdate::Multiplicative => *x * u * keep,
                            BackwardUpdate::MultiplicativeSecondState if l == 0 => *x * keep,
                            BackwardUpdate::MultiplicativeSecondState => *x * u * keep,
                            BackwardUpdate::None => u,
                            BackwardUpdate::Gated => panic!("the reference has no extension"),
                        };
                        *x = activation(self.options.backward_activation.of_state(l), v);
                    }
                }
            }
        }
    }

    /// The definition's 6 over the full matrix. `lower` are the states of all layers in the role of the lower one.
    fn update_synapses(
        &mut self,
        genome: &SynapseRule<f64>,
        rule: &UpdateRule<f64>,
        lower: &[Vec<Matrix>],
        batch: usize,
    ) {
        let k = rule.states;
        let weight = if self.options.hebbian == Hebbian::Mean { 1.0 / batch as f64 } else { 1.0 };
        for layer in 0..self.sizes.len() - 1 {
            let (set, n) = (set_of(rule, layer), self.sizes[layer] + 1);
            let side = n + self.sizes[layer + 1];
            // The states of inputs, bias and outputs together; the bias is 1, or 0 where Oja's term squares.
            let state_of = |d: usize, r: usize, b: usize, bias: f64| {
                if r < n - 1 {
                    lower[layer][d][r][b]
                } else if r == n - 1 {
                    bias
                } else {
                    self.neurons[layer + 1][d][r - n][b]
                }
            };
            let pre = |o: usize, r: usize, b: usize| -> f64 {
                (0..k).map(|d| state_of(d, r, b, 1.0) * genome.hebbian_pre[(set * k + d) * k + o]).sum()
            };
            let post = |o: usize, c: usize, b: usize, bias: f64| -> f64 {
                (0..k).map(|d| state_of(d, c, b, bias) * genome.hebbian_post[(set * k + o) * k + d]).sum()
            };
            let mut sums: Vec<Matrix> = Vec::new();
            for o in 0..k {
                let (mut d, mut sources, mut destinations) =
                    (vec![vec![0.0; side]; side], vec![vec![0.0; batch]; side], vec![vec![0.0; batch]; side]);
                for r in 0..side {
                    for b in 0..batch {
                        sources[r][b] = pre(o, r, b);
                        destinations[r][b] = post(o, r, b, 1.0);
                    }
                }
                for r in 0..side {
                    for c in 0..side {
                        d[r][c] =
                            (0..batch).map(|b| sources[r][b] * destinations[c][b]).sum::<f64>() * weight;
                    }
                }
                if self.options.symmetric_synapses {
                    for r in 0..side {
                        for c in 0..side {
                            d[r][c] = match (r < n, c < n) {
                                (true, false) => d[r][c],
                                (false, true) => d[c][r],
                                _ => 0.0,
                            };
                        }
                    }
                }
                sums.push(d);
            }
            if self.options.symmetric_states {
                let first = sums[0].clone();
                for d in &mut sums {
                    d.clone_from(&first);
                }
            }
            let mut updated = self.full[layer].clone();
            for o in 0..k {
                let whole = &self.full[layer][o];
                let (keep, update) = (genome.keep[set * k + o], genome.update[set * k + o]);
                for c in 0..side {
                    let decay = self.options.oja.map_or(0.0, |oja| {
                        let squares: f64 = if oja.synapse_weights {
                            whole.iter().map(|row| row[c].powi(2)).sum()
                        } else {
                            (0..batch).map(|b| post(o, c, b, 0.0).powi(2)).sum::<f64>() * weight
                        };
                        let sign = if update == 0.0 { 0.0 } else { update.signum() };
                        let multiplier = genome.oja_multiplier[set * k + o].abs();
                        oja.scale * sign * multiplier * squares
                    });
                    for r in 0..side {
                        let w = whole[r][c];
                        let d = sums[o][r][c] - decay * w;
                        let new = match self.options.saturation {
                            None => keep * w + update * d,
                            Some(saturation) => {
                                let rate = saturation.epsilon + genome.saturation[set * k + o].abs();
                                w + ((keep - 1.0) * w + update * d) * (-w.abs() * rate).exp()
                            }
                        };
                        updated[o][r][c] = activation(self.options.synapse_activation.of_state(o), new);
                    }
                }
            }
            self.full[layer] = updated;
        }
    }
}

/// Which set of parameters a layer takes.
fn set_of(rule: &UpdateRule<f64>, layer: usize) -> usize {
    if rule.layers == 1 { 0 } else { layer }
}
