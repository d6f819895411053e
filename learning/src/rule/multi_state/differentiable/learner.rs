//! A differentiable rule with the networks that it trains.
//!
//! Tasks say classes by targets of 1 and -1; the softmax of an extended rule compares with shares of 1 and 0. Where a task has
//! one output for two classes, an extended rule's networks have two, and the difference of the two is the answer.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::limits::GRADIENT_NUMBERS_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

use super::{AnswerLoss, DifferentiableNetwork, DifferentiableRule};
use crate::rule::Ablation;
use crate::rule::{Differentiable, ExampleBatch, Lesson, Networks, Rule, Shape};

/// A rule with its networks.
pub(in crate::rule::multi_state) struct DifferentiableLearner {
    options: MultiStateSpec,
    layout: GenomeLayout,
    initial_synapses: InitialSynapses,
    ablation: Option<Ablation>,
    genome: Genome,
    rule: DifferentiableRule<f32>,
    networks: Networks<DifferentiableNetwork<f32>>,
    /// Updates that are recorded of the next network.
    recorded: u32,
    /// Outputs of the task.
    outputs: usize,
    shares: Vec<f32>,
    logits: Vec<f32>,
}

impl DifferentiableLearner {
    pub(in crate::rule::multi_state) fn new(
        options: &MultiStateSpec,
        problem: &RuleLearning,
        ablation: Option<Ablation>,
    ) -> Self {
        Self {
            options: options.clone(),
            layout: problem.layout(),
            initial_synapses: problem.network.initial_synapses,
            ablation,
            genome: Genome::default(),
            rule: DifferentiableRule::default(),
            networks: Networks::new(),
            recorded: 0,
            outputs: 0,
            shares: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Whether two neurons answer for one output.
    fn is_pair(&self) -> bool {
        self.options.is_extended() && self.outputs == 1
    }

    /// One update, or the same once more.
    fn learn(&mut self, batch: &ExampleBatch<'_>) {
        let targets = if self.options.is_extended() {
            shares(batch.targets, self.is_pair(), &mut self.shares)
        } else {
            batch.targets
        };
        self.networks.current_mut().update(&self.rule, batch.inputs, targets, batch.examples);
    }
}

/// The shares of classes that targets of 1 and -1 stand for; of one output both classes'.
fn shares<'a>(targets: &[f32], is_pair: bool, out: &'a mut Vec<f32>) -> &'a [f32] {
    out.clear();
    let share = |target: f32| 0.5 * (target + 1.0);
    if is_pair {
        out.extend(targets.iter().flat_map(|&target| [share(target), share(-target)]));
    } else {
        out.extend(targets.iter().map(|&target| share(target)));
    }
    out
}

impl Rule for DifferentiableLearner {
    fn load(&mut self, genome: &Genome) -> bool {
        self.genome.0.clone_from(&genome.0);
        let read = self.rule.read(self.options.backward_update, &self.layout, genome).is_some();
        if read && self.ablation.is_some_and(Ablation::takes_backward_transform) {
            self.rule.without_backward_transform();
        }
        read
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        self.outputs = shape.layers[shape.layers.len() - 1];
        let is_pair = self.is_pair();
        let Self { options, networks, .. } = self;
        let new = || {
            let mut layers = shape.layers.clone();
            if is_pair {
                layers[shape.layers.len() - 1] = 2;
            }
            DifferentiableNetwork::new(options, &layers, shape.batch_max)
        };
        let network = networks.select(shape, new);
        network.freeze_hidden(self.ablation.is_some_and(Ablation::freezes));
        let recorded = (u64::from(self.recorded), GRADIENT_NUMBERS_MAX);
        network.start(&self.rule, &self.initial_synapses, seed, recorded);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        self.learn(batch);
    }

    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]) {
        let is_pair = self.is_pair();
        let temperature = self.rule.parameters().loss_temperature as f32;
        let network = self.networks.current_mut();
        if is_pair {
            self.logits.resize(2 * examples, 0.0);
            network.predict(&self.rule, inputs, examples, &mut self.logits);
            for (prediction, logits) in predictions.iter_mut().zip(self.logits.chunks_exact(2)) {
                *prediction = temperature * (logits[0] - logits[1]);
            }
        } else {
            network.predict(&self.rule, inputs, examples, predictions);
            if temperature != 1.0 {
                for prediction in predictions {
                    *prediction *= temperature;
                }
            }
        }
    }

    fn is_finite(&self) -> bool {
        self.networks.current().is_finite()
    }
}

impl Differentiable for DifferentiableLearner {
    fn record(&mut self, updates: u32) {
        self.recorded = updates;
    }

    fn walk_back(&mut self, lesson: &mut dyn Lesson, gradient: &mut [f64]) -> Option<f64> {
        let is_pair = self.is_pair();
        let loss = match lesson.objective() {
            Objective::SquaredError => AnswerLoss::Squared { outputs: self.outputs },
            Objective::Logistic | Objective::Accuracy => AnswerLoss::CrossEntropy,
        };
        let mut total = 0.0;
        self.networks.current_mut().begin_walk(&self.rule);
        for updates in (0..=self.recorded).rev() {
            if lesson.is_interrupted() {
                return None;
            }
            let weight = lesson.query_weight(updates);
            if weight > 0.0 {
                let query = lesson.query(updates);
                let targets = shares(query.targets, is_pair, &mut self.shares);
                let network = self.networks.current_mut();
                let examples = (query.inputs, targets);
                total += weight * network.measure(&self.rule, examples, query.examples, (loss, weight));
            }
            let Some(update) = updates.checked_sub(1) else { break };
            let (_, again) = self.networks.current().before();
            if !again.is_empty() {
                self.networks.current_mut().restore();
                again.for_each(|update| self.learn(&lesson.support(update as u32)));
            }
            let weight = lesson.support_weight(update);
            let batch = lesson.support(update);
            let targets = shares(batch.targets, is_pair, &mut self.shares);
            let measured = (weight > 0.0).then_some((loss, weight));
            let network = self.networks.current_mut();
            total += weight * network.step_back(&self.rule, targets, batch.examples, measured);
        }
        let genome = (&self.layout, &self.genome);
        let network = self.networks.current_mut();
        network.finish_walk(&self.rule, self.options.backward_update, genome, gradient);
        Some(total)
    }
}
