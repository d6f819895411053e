//! Update networks: what they remember is in vectors that two shared functions change, tick by tick (after Gregor 2020).
//!
//! An update presents the examples of its batch one after the other, each once; a prediction is what the network recalls when it
//! is shown the inputs alone. The bits do not depend on the kind of CPU.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{Purpose, Seed, uniform_between};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::update_networks::{LayerTypes, UpdateNetworksSpec};
use hebbian_shared::spec::strategy::Estimation;

use super::multi_state::Real;
use super::{Ablation, Companion, Differentiable, ExampleBatch, Meaning, Networks, Rule, RuleFamily, Shape};
use course::Course;
pub use form::Form;
pub use network::Network;
pub use parameters::Parameters;

mod adjoint;
mod companions;
mod course;
mod form;
mod network;
mod parameters;

impl RuleFamily for UpdateNetworksSpec {
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation> {
        let has_hidden = problem.network.has_hidden_layers();
        let all = [
            // The mean of one type is that type.
            (Ablation::NoEmbedding, self.embedding > 0 && self.types != LayerTypes::One),
            (Ablation::OneBodyState, self.body_states > 1),
            (Ablation::OneSynapseState, self.synapse_states > 1),
            (Ablation::NoFeedback, self.feedback && has_hidden),
            (Ablation::HiddenSynapsesFrozen, has_hidden),
        ];
        all.into_iter().filter(|&(_, can)| can).map(|(ablation, _)| ablation).collect()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[
            include_str!("update_networks/canonical/remember.toml"),
            include_str!("update_networks/canonical/deep.toml"),
        ]
    }

    fn meaning(&self, problem: &RuleLearning, genome: &Genome) -> Vec<Meaning> {
        let layout = problem.layout();
        let rows = |name: &str| -> Vec<Vec<f64>> {
            let width = layout.segment(name).and_then(|segment| segment.shape.last().copied()).unwrap_or(1);
            let values: Vec<f64> = layout.each_parameter(name, genome).into_iter().flatten().collect();
            values.chunks(width.max(1) as usize).map(<[f64]>::to_vec).collect()
        };
        let table = |title, corner, columns: &str, rows: Vec<(String, Vec<f64>)>| {
            let width = rows.first().map_or(0, |(_, values)| values.len());
            let columns = (0..width).map(|column| format!("{columns} {column}")).collect();
            Meaning { title, corner, columns, rows }
        };
        let numbered = |rows: Vec<Vec<f64>>| -> Vec<(String, Vec<f64>)> {
            rows.into_iter().enumerate().map(|(row, values)| (row.to_string(), values)).collect()
        };
        let types = numbered(rows("embedding"));
        let kept = |name: &str| rows(name).concat();
        let mut tables = vec![
            table(
                "share of a body's state that a tick keeps",
                "",
                "state",
                vec![("kept".to_owned(), kept("body_keep"))],
            ),
            table(
                "a synapse's states: what a tick keeps, and the size of its change",
                "",
                "state",
                vec![
                    ("kept".to_owned(), kept("synapse_keep")),
                    ("change".to_owned(), kept("synapse_update")),
                ],
            ),
        ];
        if !types.is_empty() {
            tables.insert(0, table("embeddings of the neuron types", "type", "number", types));
        }
        tables
    }

    fn companions(&self, problem: &RuleLearning) -> Vec<Companion> {
        companions::of(problem)
    }

    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Learner {
            options: *self,
            ablation,
            layout: problem.layout(),
            parameters: Parameters::default(),
            networks: Networks::new(),
            seen: Vec::new(),
        })
    }

    fn differentiable(&self, problem: &RuleLearning, _: Estimation) -> Option<Box<dyn Differentiable>> {
        Some(Box::new(Course::<f32>::new(*self, problem.layout())))
    }
}

/// A genome's parameters with the networks that change by them.
struct Learner {
    options: UpdateNetworksSpec,
    ablation: Option<Ablation>,
    layout: GenomeLayout,
    parameters: Parameters<f32>,
    networks: Networks<Network<f32>>,
    /// The state before a batch of questions.
    seen: Vec<f32>,
}

/// Draws the initial synapses of networks with hidden layers; those without start at 0, since nothing has to be told apart there.
fn initialise<T: Real>(network: &mut Network<T>, scale: f64, seed: Seed) {
    if network.form().layers.len() == 2 {
        return;
    }
    for place in 0..network.synapse_layers() {
        let mut rng = seed.derive(Purpose::Synapses, place as u64).rng();
        for synapse in network.synapses_mut(place) {
            *synapse = T::from_f64(uniform_between(&mut rng, -scale, scale));
        }
    }
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        self.parameters.read(&self.options, &self.layout, genome, self.ablation)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let network = self.networks.select(shape, || Network::new(Form::new(options, &shape.layers)));
        network.reset();
        initialise(network, options.initial_scale, seed);
        network.ablate(self.ablation);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (network, parameters) = (self.networks.current_mut(), &self.parameters);
        let [inputs, outputs] = [batch.inputs, batch.targets].map(|values| values.len() / batch.examples);
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                let examples = batch.inputs.chunks_exact(inputs).zip(batch.targets.chunks_exact(outputs));
                for (cue, target) in examples {
                    network.present(parameters, cue, target);
                }
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        let (network, parameters) = (self.networks.current_mut(), &self.parameters);
        network.save(&mut self.seen);
        crate::vectors::with_vectors(
            #[inline(always)]
            || network.recall(parameters, inputs, predictions),
        );
        network.restore(&self.seen);
    }

    fn is_finite(&self) -> bool {
        self.networks.current().is_finite()
    }
}

#[cfg(test)]
mod tests;
