//! The multi-state network as a family of rules.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;
use hebbian_shared::spec::strategy::Estimation;

use super::ablation::{self, Ablation, FrozenSynapses};
use super::differentiable::DifferentiableLearner;
use super::{Network, UpdateRule};
use crate::rule::{Differentiable, ExampleBatch, Networks, Rule, RuleFamily, Shape};

impl RuleFamily for MultiStateSpec {
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation> {
        if !problem.network.has_hidden_layers() {
            return Vec::new();
        }
        // Of what a rule lacks by its options nothing is left to take; what is left, with it, is a readout.
        let is_there = |&ablation: &Ablation| match self.ablation {
            None => true,
            Some(Ablation::ReadoutOnly) => false,
            Some(always) => ablation != always && ablation != Ablation::ReadoutOnly,
        };
        Ablation::OF_MULTI_STATE.iter().copied().filter(is_there).collect()
    }

    fn features(&self) -> u32 {
        (u32::from(self.states) / 2).max(1)
    }

    fn answers_in_pairs(&self) -> bool {
        self.is_extended()
    }

    fn canonical(&self) -> &'static [&'static str] {
        // Small and large matrices, all activations, feedbacks and backward updates, options with arithmetic of their own.
        &[
            include_str!("canonical/plane.toml"),
            include_str!("canonical/digits.toml"),
            include_str!("canonical/wide.toml"),
            include_str!("canonical/activations.toml"),
            include_str!("canonical/derivatives.toml"),
            include_str!("canonical/options.toml"),
            include_str!("canonical/extended.toml"),
        ]
    }

    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule> {
        // What the rule lacks by its options, it lacks in any case.
        let ablation = match (self.ablation, ablation) {
            (Some(always), Some(now)) => Some(always.and(now)),
            (always, now) => always.or(now),
        };
        if self.is_extended() {
            return Box::new(DifferentiableLearner::new(self, problem, ablation));
        }
        Box::new(Learner {
            options: self.clone(),
            layout: problem.layout(),
            initial_synapses: problem.network.initial_synapses,
            ablation,
            rule: UpdateRule::default(),
            networks: Networks::new(),
            frozen: FrozenSynapses::default(),
        })
    }

    fn differentiable(&self, problem: &RuleLearning, _: Estimation) -> Option<Box<dyn Differentiable>> {
        self.check_differentiable("a gradient").ok()?;
        Some(Box::new(DifferentiableLearner::new(self, problem, self.ablation)))
    }
}

/// An update rule with the networks that it trains.
struct Learner {
    options: MultiStateSpec,
    layout: GenomeLayout,
    initial_synapses: InitialSynapses,
    ablation: Option<Ablation>,
    rule: UpdateRule<f32>,
    networks: Networks<Network<f32>>,
    /// What an ablation keeps from learning.
    frozen: FrozenSynapses,
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        let read = self.rule.read(&self.layout, genome).is_some();
        if let Some(ablation) = self.ablation {
            ablation::apply(ablation, &mut self.rule);
        }
        read
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let new = || Network::new(&self.options, &shape.layers, shape.batch_max);
        let network = self.networks.select(shape, new);
        network.reset();
        network.initialise_synapses(&self.rule.initial_synapses(self.initial_synapses), seed);
        if self.ablation.is_some_and(Ablation::freezes) {
            self.frozen.take(network);
        }
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let network = self.networks.current_mut();
        network.update(&self.rule, batch.inputs, batch.targets, batch.examples);
        if self.ablation.is_some_and(Ablation::freezes) {
            self.frozen.restore(network);
        }
    }

    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]) {
        self.networks.current_mut().predict(&self.rule, inputs, examples, predictions);
    }

    fn is_finite(&self) -> bool {
        self.networks.current().is_finite()
    }
}
