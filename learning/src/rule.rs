//! Rules: how a fresh network learns a task from its batches.
//!
//! [`family`] finds what the family of a run's rule adds to its options; that is the only place that tells families
//! apart. A rule is called once for a batch, so its kernels know what they compute.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::strategy::Estimation;

pub mod abcd;
pub mod evograd;
pub mod gradient_descent;
pub mod kernel_ridge;
pub mod linear_memory;
pub mod loss;
pub mod multi_state;
pub mod number;
pub mod sample_weights;
pub mod update_networks;
pub mod warped_descent;

pub use hebbian_shared::spec::rule::ablation::Ablation;

/// Examples that a network learns from together.
#[derive(Clone, Copy, Debug)]
pub struct ExampleBatch<'a> {
    /// `[examples, inputs]`, row-major.
    pub inputs: &'a [f32],
    /// `[examples, outputs]`, row-major.
    pub targets: &'a [f32],
    /// Their number.
    pub examples: usize,
}

/// What a network needs room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Neurons of each layer, from the inputs to the outputs.
    pub layers: Vec<usize>,
    /// Examples of the largest batch.
    pub batch_max: usize,
}

/// One thread's rule with a network that it trains. Once it has seen its shapes, nothing is allocated any more.
pub trait Rule: Send {
    /// Learns by the parameters of this genome from the next start on. Says whether the genome has the layout's dimension.
    #[must_use]
    fn load(&mut self, genome: &Genome) -> bool;

    /// Starts with a fresh network. Its initial synapses come from streams below `seed`.
    fn start(&mut self, shape: &Shape, seed: Seed);

    /// Is shown examples whose labels are known to be right, after a start, on tasks that have such. Only rules that learn from them
    /// within a task want to know.
    fn show_clean_set(&mut self, _clean: &ExampleBatch<'_>) {}

    /// One update of the network.
    fn update(&mut self, batch: &ExampleBatch<'_>);

    /// Writes what the network answers to `inputs`, `[examples, inputs]`: `[examples, outputs]`. What it learns later does
    /// not depend on it, nor does an answer on the other examples.
    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]);

    /// Whether all numbers of the network are finite.
    fn is_finite(&self) -> bool;
}

/// A rule that knows the gradient of its genome through a training.
pub trait Differentiable: Rule {
    /// Records `updates` updates for their way back, from the next start on; none if that is 0.
    fn record(&mut self, updates: u32);

    /// Walks back through all that was recorded. Adds the gradient of the lesson's loss with respect to the genome to
    /// `gradient`, and returns the loss; `None` if the lesson was interrupted.
    fn walk_back(&mut self, lesson: &mut dyn Lesson, gradient: &mut [f64]) -> Option<f64>;
}

/// What a network was trained on, and what counts of it.
pub trait Lesson {
    /// The batch of an update, from 0.
    fn support(&mut self, update: u32) -> ExampleBatch<'_>;

    /// What is asked of the query after so many updates.
    fn query(&mut self, updates: u32) -> ExampleBatch<'_>;

    /// The weight of the loss of an update's batch, measured before the network learned from it.
    fn support_weight(&self, update: u32) -> f64;

    /// The weight of the loss of the query after so many updates.
    fn query_weight(&self, updates: u32) -> f64;

    /// The objective, of which the loss is the negative: one that has a gradient.
    fn objective(&self) -> Objective;

    /// Whether nobody wants the gradient any more.
    fn is_interrupted(&self) -> bool;
}

/// What a family of rules adds to its options.
pub trait RuleFamily {
    /// What can be taken from a rule of these options in the problem's networks to see what it is worth; nothing that it does not have.
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation>;

    /// Features of an ordinary neuron that a hidden neuron of its networks has, at least 1.
    fn features(&self) -> u32 {
        1
    }

    /// Whether its networks tell two classes apart by two neurons, one for each, where a task has one output.
    fn answers_in_pairs(&self) -> bool {
        false
    }

    /// Specs of small runs whose episodes take every way through the family's arithmetic: all machines must agree on their
    /// bits. To change one is to change every worker's fingerprint.
    fn canonical(&self) -> &'static [&'static str];

    /// A rule of these options for the problem's networks, without an ablation's part. It has no genome yet.
    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule>;

    /// What a genome means, in tables for people; none where its parameters say it themselves. The genome has the layout's dimension.
    fn meaning(&self, _problem: &RuleLearning, _genome: &Genome) -> Vec<Meaning> {
        Vec::new()
    }

    /// Rules that stand beside its own in comparisons on the problem's tasks.
    fn companions(&self, _problem: &RuleLearning) -> Vec<Companion> {
        Vec::new()
    }

    /// A rule that knows its gradient, or an estimate of it; `None` if these options have none. Its losses are those of
    /// [`RuleFamily::compile`]'s rule up to rounding.
    fn differentiable(
        &self,
        _problem: &RuleLearning,
        _estimation: Estimation,
    ) -> Option<Box<dyn Differentiable>> {
        None
    }
}

/// Another rule beside one that is compared with baselines.
#[derive(Clone, Debug, PartialEq)]
pub struct Companion {
    /// What tables call it.
    pub name: String,
    /// What it is.
    pub meaning: String,
    /// Its rule, networks and tasks.
    pub problem: RuleLearning,
    /// Its genomes with what they are called: of several, comparisons take the best for each number of updates.
    pub settings: Vec<(String, Genome)>,
    /// Places of those settings beyond which there are others that nobody tries: where one of them is the best, there may be a better one.
    pub ends: Vec<usize>,
    /// Whether every task counts with the best that it shows along the way, as if somebody who knows the query had ended its training there.
    pub stops_at_best: bool,
}

impl Companion {
    /// One of these settings, as far as its training goes.
    pub fn new(
        (name, meaning): (impl Into<String>, impl Into<String>),
        problem: RuleLearning,
        settings: Vec<(String, Genome)>,
    ) -> Self {
        let (name, meaning) = (name.into(), meaning.into());
        Self { name, meaning, problem, settings, ends: Vec::new(), stops_at_best: false }
    }
}

/// A table of numbers that a genome means.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// What is shown.
    pub title: &'static str,
    /// What stands before the names of rows.
    pub corner: &'static str,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows with their names, each with a number for every column.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// The family of a rule.
pub fn family(rule: &RuleSpec) -> &dyn RuleFamily {
    match rule {
        RuleSpec::MultiState(options) => options,
        RuleSpec::GradientDescent(options) => options,
        RuleSpec::Abcd(options) => options,
        RuleSpec::KernelRidge(options) => options,
        RuleSpec::UpdateNetworks(options) => options,
        RuleSpec::WarpedDescent(options) => options,
        RuleSpec::SampleWeights(options) => options,
        RuleSpec::LinearMemory(options) => options,
    }
}

#[cfg(test)]
mod lesson;

/// Networks of the shapes that a rule has met.
#[derive(Debug)]
struct Networks<N> {
    known: Vec<(Shape, N)>,
    current: usize,
}

impl<N> Networks<N> {
    const fn new() -> Self {
        Self { known: Vec::new(), current: 0 }
    }

    /// Makes the network of a shape the current one; a new one where there is none.
    fn select(&mut self, shape: &Shape, new: impl FnOnce() -> N) -> &mut N {
        let found = self.known.iter().position(|(known, _)| known == shape);
        self.current = found.unwrap_or_else(|| {
            self.known.push((shape.clone(), new()));
            self.known.len() - 1
        });
        self.current_mut()
    }

    fn current(&self) -> &N {
        &self.known[self.current].1
    }

    fn current_mut(&mut self) -> &mut N {
        &mut self.known[self.current].1
    }
}
