//! Warped gradient descent: layers that stand between those of a perceptron and are held fixed while a task is learned (Flennerhag
//! et al. 2020). Their genome is the warps, the learning rate and, if it is learned, the start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use super::gradient_descent::{HiddenActivation, Loss};
use crate::genome::{GenomeLayout, Transform};
use crate::spec::SpecError;
use crate::spec::idle::Idle;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::range::Range;
use crate::spec::start::LEARNING_RATE;
use crate::spec::strategy::Estimator;
use crate::spec::task::TaskSpec;

/// Options of warped descent. The last layer is linear.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarpedDescentSpec {
    /// Activation of the hidden layers; the warp comes after it.
    pub hidden_activation: HiddenActivation,
    /// What is descended.
    pub loss: Loss,
    /// The form of the warps.
    pub warp: Warp,
    /// Rank of residual warps.
    #[schemars(transform = RANK.schema())]
    pub rank: u32,
    /// Groups of so many neighbouring neurons have one warp in common; 0 for one warp over the whole layer.
    #[schemars(transform = BLOCK.schema())]
    pub block: u32,
    /// Whether all hidden layers have one warp in common.
    pub share_layers: bool,
    /// The learning rate at the search value 0.
    #[schemars(transform = LEARNING_RATE.schema())]
    pub learning_rate: f64,
    /// Whether each layer of weights has a rate of its own.
    pub rates: Rates,
    /// Where the weights of a task start.
    pub start: WeightStart,
    /// What a start is drawn from that is the same for all tasks.
    #[schemars(transform = START_SEED.schema())]
    pub start_seed: u32,
}

impl Default for WarpedDescentSpec {
    fn default() -> Self {
        Self {
            hidden_activation: HiddenActivation::Tanh,
            loss: Loss::Squared,
            warp: Warp::Residual,
            rank: 4,
            block: 0,
            share_layers: false,
            learning_rate: 0.1,
            rates: Rates::One,
            start: WeightStart::Fixed,
            start_seed: 1,
        }
    }
}

/// The form of a warp of h, d numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warp {
    /// h: gradient descent.
    None,
    /// h * scale + shift: 2 d numbers.
    Diagonal,
    /// h + h M + shift: d^2 + d numbers.
    Linear,
    /// h + tanh(h V^T + v) U + shift: 2 r d + r + d numbers.
    Residual,
}

/// How many learning rates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rates {
    /// One for all weights.
    One,
    /// One for each layer of weights.
    PerLayer,
}

/// Where the weights of a task start. Weights are uniform in +-sqrt(6 / (inputs + outputs)), biases 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightStart {
    /// Drawn once, from `start_seed`: the same for all tasks, so that a neuron is the same in all of them and a warp can refer to it.
    Fixed,
    /// Drawn for every task.
    Drawn,
    /// The fixed start, to which the genome adds: with `warp = "none"` this is what MAML learns.
    Learned,
}

const START_SEED: Range<u32> = Range::new(0, u32::MAX);
const RANK: Range<u32> = Range::new(1, 64);
const BLOCK: Range<u32> = Range::new(0, 4096);

impl WarpedDescentSpec {
    /// The name of the family.
    pub const FAMILY: &str = "warped-descent";

    /// Widths of the warps in the genome, for hidden layers of these widths.
    pub fn warps(&self, hidden: &[u32]) -> Vec<u32> {
        if self.warp == Warp::None {
            return Vec::new();
        }
        let width = |&neurons: &u32| if self.block > 0 { self.block } else { neurons };
        hidden.iter().map(width).take(if self.share_layers { 1 } else { usize::MAX }).collect()
    }

    /// The layout of genomes for networks of these layers, from the inputs to the outputs.
    pub fn layout_of(&self, layers: &[u32]) -> GenomeLayout {
        let (depth, rank) = (layers.len() - 1, self.rank);
        let mut layout = GenomeLayout::default();
        for (place, &d) in self.warps(&layers[1..depth]).iter().enumerate() {
            let mut push = |name: &str, shape: &[u32], transform| {
                layout.push(&format!("warp_{name}_{place}"), shape, transform);
            };
            match self.warp {
                Warp::None => {}
                Warp::Diagonal => push("scale", &[d], Transform::Affine { offset: 1.0, scale: 1.0 }),
                Warp::Linear => push("matrix", &[d, d], Transform::IDENTITY),
                Warp::Residual => {
                    push("in", &[rank, d], Transform::IDENTITY);
                    push("bias", &[rank], Transform::IDENTITY);
                    push("out", &[rank, d], Transform::IDENTITY);
                }
            }
            push("shift", &[d], Transform::IDENTITY);
        }
        let rate = Transform::Exp { factor: self.learning_rate, scale: 1.0 };
        match self.rates {
            Rates::One => layout.push("learning_rate", &[], rate),
            Rates::PerLayer => layout.push("learning_rate", &[depth as u32], rate),
        }
        if self.start == WeightStart::Learned {
            for (place, pair) in layers.windows(2).enumerate() {
                layout.push(&format!("start_weights_{place}"), pair, Transform::IDENTITY);
                layout.push(&format!("start_biases_{place}"), &pair[1..], Transform::IDENTITY);
            }
        }
        layout
    }

    /// Whether a width has room for whole blocks.
    fn check_blocks(&self, network: &NetworkSpec) -> Result<(), SpecError> {
        let widths = network.all_shapes().iter().flatten();
        let block = self.block;
        match widths.into_iter().find(|&&neurons| block > 0 && neurons % block != 0) {
            Some(neurons) => Err(SpecError::field(
                "rule.block",
                format!(
                    "must divide the neurons of every hidden layer, but {block} does not divide {neurons}"
                ),
            )),
            None => Ok(()),
        }
    }
}

impl RuleOptions for WarpedDescentSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        RANK.check("rule.rank", self.rank)?;
        BLOCK.check("rule.block", self.block)?;
        START_SEED.check("rule.start_seed", self.start_seed)?;
        LEARNING_RATE.check("rule.learning_rate", self.learning_rate)
    }

    fn idle(&self) -> Option<Idle> {
        let Self { warp, rank, block, share_layers, start, start_seed, .. } = *self;
        let usual = Self::default();
        if rank != usual.rank && warp != Warp::Residual {
            Some(("rule.rank", "residual warps"))
        } else if block != usual.block && warp == Warp::None {
            Some(("rule.block", "warps, and there are none"))
        } else if share_layers && warp == Warp::None {
            Some(("rule.share_layers", "warps, and there are none"))
        } else if start_seed != usual.start_seed && start == WeightStart::Drawn {
            Some(("rule.start_seed", "starts that all tasks have in common"))
        } else {
            None
        }
    }

    fn validate_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> Result<(), SpecError> {
        let refuse = |field: &str, problem: String| Err(SpecError::field(field, problem));
        if network.initial_synapses != InitialSynapses::default() {
            return refuse(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out, and set rule.start".to_owned(),
            );
        }
        if let Some(family) = tasks.families.iter().find(|family| !family.has_classes())
            && self.loss == Loss::Logistic
        {
            return refuse(
                "rule.loss",
                format!("must be squared, not logistic: `{family}` has {} and no classes", family.targets()),
            );
        }
        self.check_blocks(network)?;
        let shapes = network.all_shapes();
        let has_warps = self.warp != Warp::None;
        if has_warps && shapes.iter().any(Vec::is_empty) {
            return refuse(
                "rule.warp",
                format!(
                    "must be \"none\" for a network without hidden layers ({}): warps stand after them",
                    network.field()
                ),
            );
        }
        let widths = shapes.iter().flatten();
        let are_equal = || widths.clone().all(|neurons| Some(neurons) == widths.clone().next());
        if has_warps && self.share_layers && self.block == 0 && !are_equal() {
            return refuse(
                "rule.share_layers",
                "needs hidden layers of one width, or rule.block: groups of neurons that share a warp"
                    .to_owned(),
            );
        }
        let fits_all = !has_warps || self.share_layers;
        let is_one_depth = self.rates == Rates::One || network.synapse_layers().is_some();
        if shapes.len() > 1 && !(fits_all && is_one_depth && self.start != WeightStart::Learned) {
            return refuse(
                "network.shapes",
                "a genome of `warped-descent` is of one shape; set network.hidden, or rule.share_layers with rule.block and one rate"
                    .to_owned(),
            );
        }
        let sizes = |family| (tasks.inputs(family), tasks.outputs(family));
        if self.start == WeightStart::Learned
            && let Some(other) =
                tasks.families.iter().find(|&&family| sizes(family) != sizes(tasks.families[0]))
        {
            return refuse(
                "rule.start",
                format!(
                    "a learned start is of one number of inputs and outputs; `{other}` has others than `{}`",
                    tasks.families[0]
                ),
            );
        }
        Ok(())
    }

    fn notes(&self, _: &TaskSpec) -> Vec<String> {
        let lost = self.start == WeightStart::Drawn && self.warp != Warp::None;
        let note = "warps gain nothing where every task draws its start, as a hidden neuron is another one in each task; \
                    rule.start = \"fixed\" keeps it the same";
        lost.then(|| note.to_owned()).into_iter().collect()
    }

    fn layout(&self, network: &NetworkSpec) -> GenomeLayout {
        let hidden = &network.all_shapes()[0];
        self.layout_of(&[&[1], &hidden[..], &[1]].concat())
    }

    fn layout_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> GenomeLayout {
        let hidden = &network.all_shapes()[0];
        let family = tasks.families[0];
        self.layout_of(&[&[tasks.inputs(family)], &hidden[..], &[tasks.outputs(family)]].concat())
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        // Weights, their start and their gradient; values, what warps are given and keep, and errors.
        3.0 * NetworkSpec::synapses_of(sizes) + batch * (4.0 * neurons + self.kept_numbers(sizes))
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        let hidden: f64 = sizes[1..sizes.len() - 1].iter().map(|&neurons| neurons as f64).sum();
        let widest = sizes[1..sizes.len() - 1].iter().copied().max().unwrap_or(0);
        let width = if self.block > 0 { self.block as usize } else { widest } as f64;
        let of_neuron = match self.warp {
            Warp::None => 0.0,
            Warp::Diagonal => 2.0,
            Warp::Linear => 2.0 * width,
            Warp::Residual => 4.0 * f64::from(self.rank),
        };
        3.0 * NetworkSpec::synapses_of(sizes) + hidden * of_neuron
    }

    fn check_gradient(&self, _: &TaskSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn check_estimator(&self, estimator: Estimator) -> Result<(), SpecError> {
        match estimator {
            Estimator::Unrolled | Estimator::Trajectory | Estimator::TrajectoryFirstOrder => Ok(()),
            Estimator::OneStep | Estimator::Evograd => {
                let problem = format!(
                    "`{}` is of sample-weights; what it is there is \"trajectory\" for `warped-descent`",
                    estimator.name()
                );
                Err(SpecError::field("strategy.estimator", problem))
            }
        }
    }

    fn gradient_numbers(&self, sizes: &[usize], batch: usize, updates: u32) -> [f64; 2] {
        let weights = NetworkSpec::synapses_of(sizes);
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        // Numbers with their slopes are four times as long as those of an episode.
        let once = 8.0 * weights + 4.0 * batch as f64 * (4.0 * neurons + self.kept_numbers(sizes));
        [once, 2.0 * weights * f64::from(updates)]
    }

    fn summary(&self) -> String {
        let descent = match self.warp {
            Warp::None => "gradient descent without warps".to_owned(),
            Warp::Diagonal => "descent through diagonal warps".to_owned(),
            Warp::Linear => "descent through linear warps".to_owned(),
            Warp::Residual => format!("descent through residual warps of rank {}", self.rank),
        };
        let start = match self.start {
            WeightStart::Fixed => "a fixed",
            WeightStart::Drawn => "a drawn",
            WeightStart::Learned => "a learned",
        };
        format!("{descent} from {start} start")
    }
}

impl WarpedDescentSpec {
    /// Numbers that the residual warps of a network keep of an example.
    fn kept_numbers(&self, sizes: &[usize]) -> f64 {
        let groups = |&neurons: &usize| if self.block > 0 { neurons / self.block as usize } else { 1 };
        let groups: usize = sizes[1..sizes.len() - 1].iter().map(groups).sum();
        if self.warp == Warp::Residual { groups as f64 * f64::from(self.rank) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::TaskFamily;

    const SPEC: fn() -> WarpedDescentSpec = WarpedDescentSpec::default;

    fn network(shapes: &[&[u32]]) -> NetworkSpec {
        let mut network = NetworkSpec::default();
        match shapes {
            [one] => network.hidden = one.to_vec(),
            several => {
                network.hidden = Vec::new();
                network.shapes = several.iter().map(|shape| shape.to_vec()).collect();
            }
        }
        network
    }

    #[test]
    fn genomes_are_as_long_as_the_formulas_say() {
        let count = |spec: WarpedDescentSpec| spec.layout_of(&[1, 20, 20, 1]).dimension();
        assert_eq!(count(SPEC()), 2 * (2 * 4 * 20 + 4 + 20) + 1);
        assert_eq!(count(WarpedDescentSpec { warp: Warp::None, ..SPEC() }), 1);
        assert_eq!(count(WarpedDescentSpec { warp: Warp::Diagonal, rates: Rates::PerLayer, ..SPEC() }), 83);
        assert_eq!(count(WarpedDescentSpec { warp: Warp::Linear, share_layers: true, ..SPEC() }), 421);
        assert_eq!(
            count(WarpedDescentSpec { block: 5, share_layers: true, ..SPEC() }),
            2 * 4 * 5 + 4 + 5 + 1
        );
        let learned = WarpedDescentSpec { warp: Warp::None, start: WeightStart::Learned, ..SPEC() };
        assert_eq!(count(learned), 1 + 40 + 420 + 21);
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let check = |spec: WarpedDescentSpec, shapes: &[&[u32]], families: &[TaskFamily]| {
            let tasks = TaskSpec::of(families.to_vec());
            let refused = spec.validate().and_then(|()| spec.validate_for(&network(shapes), &tasks)).err();
            refused.map(|error| error.to_string().split(": ").next().unwrap().to_owned()).unwrap_or_default()
        };
        let plane = &[TaskFamily::Xor][..];
        let blocks = WarpedDescentSpec { block: 5, share_layers: true, ..SPEC() };
        let learned = WarpedDescentSpec { start: WeightStart::Learned, ..SPEC() };
        assert_eq!(check(SPEC(), &[&[20, 10]], plane), "");
        assert_eq!(check(blocks, &[&[20, 10], &[15]], plane), "");
        assert_eq!(check(blocks, &[&[12]], plane), "rule.block");
        assert_eq!(check(SPEC(), &[&[20], &[10]], plane), "network.shapes");
        assert_eq!(
            check(WarpedDescentSpec { rates: Rates::PerLayer, ..blocks }, &[&[20, 10], &[15]], plane),
            "network.shapes"
        );
        assert_eq!(
            check(WarpedDescentSpec { share_layers: true, ..SPEC() }, &[&[20, 10]], plane),
            "rule.share_layers"
        );
        assert_eq!(check(learned, &[&[20]], &[TaskFamily::Xor, TaskFamily::Digits]), "rule.start");
        assert_eq!(check(learned, &[&[20]], &[TaskFamily::Xor, TaskFamily::Circle]), "");
        let logistic = WarpedDescentSpec { loss: Loss::Logistic, ..SPEC() };
        assert_eq!(check(logistic, &[&[20]], &[TaskFamily::RegressWave]), "rule.loss");
        assert_eq!(check(WarpedDescentSpec { rank: 0, ..SPEC() }, &[&[20]], plane), "rule.rank");
        // Warps stand behind hidden layers.
        let none = WarpedDescentSpec { warp: Warp::None, ..SPEC() };
        for warp in [Warp::Diagonal, Warp::Linear, Warp::Residual] {
            assert_eq!(check(WarpedDescentSpec { warp, ..SPEC() }, &[&[]], plane), "rule.warp");
        }
        assert_eq!(check(blocks, &[&[20], &[]], plane), "rule.warp");
        assert_eq!(check(none, &[&[]], plane), "");
        assert_eq!(check(none, &[&[20], &[]], plane), "");
    }

    #[test]
    fn warps_from_starts_that_are_drawn_are_noted() {
        let notes = |spec: WarpedDescentSpec| spec.notes(&TaskSpec::of(vec![TaskFamily::Xor])).len();
        let drawn = WarpedDescentSpec { start: WeightStart::Drawn, ..SPEC() };
        assert_eq!(notes(drawn), 1);
        assert_eq!(notes(WarpedDescentSpec { warp: Warp::Diagonal, ..drawn }), 1);
        assert_eq!(notes(WarpedDescentSpec { warp: Warp::None, ..drawn }), 0);
        assert_eq!(notes(SPEC()), 0);
        assert_eq!(notes(WarpedDescentSpec { start: WeightStart::Learned, ..SPEC() }), 0);
    }

    #[test]
    fn a_rule_without_warps_is_gradient_descent() {
        assert_eq!(SPEC().summary(), "descent through residual warps of rank 4 from a fixed start");
        let none = WarpedDescentSpec { warp: Warp::None, start: WeightStart::Learned, ..SPEC() };
        assert_eq!(none.summary(), "gradient descent without warps from a learned start");
    }
}
