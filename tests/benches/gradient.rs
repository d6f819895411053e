//! What a gradient costs beside the training that it is of: `cargo bench -p hebbian-tests --bench gradient [-- ROUNDS]`.
//!
//! The rule is that of `examples/images.toml` at its start. A training draws the initial synapses and makes 20 updates with batches
//! of 64 and one prediction of a query of 256; with its gradient it also records them and walks back, the loss being that of every
//! batch but the first before its update and of the query at the end. Both take turns in short rounds on one thread; a figure is
//! the median of the rounds.

use std::time::{Duration, Instant};

use hebbian_learning::rule::multi_state::differentiable::{DifferentiableNetwork, DifferentiableRule, Loss};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{ChaCha8Rng, Seed, fill_normal, index_below};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

const SPEC: &str = include_str!("../../examples/images.toml");
const SIZES: [[usize; 3]; 3] = [[64, 32, 10], [784, 32, 10], [784, 128, 10]];
const UPDATES: usize = 20;
const BATCH: usize = 64;
const QUERY: usize = 256;
/// How long a round does either.
const ROUND: Duration = Duration::from_millis(300);

/// A network with what it learns.
struct Place {
    options: MultiStateSpec,
    layout: GenomeLayout,
    genome: Genome,
    rule: DifferentiableRule<f32>,
    network: DifferentiableNetwork<f32>,
    batches: Vec<(Vec<f32>, Vec<f32>)>,
    query: (Vec<f32>, Vec<f32>),
    predictions: Vec<f32>,
    gradient: Vec<f64>,
}

impl Place {
    fn of(sizes: [usize; 3]) -> Self {
        let spec = RunSpec::read(SPEC).expect("the example is tested to be valid");
        let (layout, genome) = (spec.layout(), spec.initial_mean());
        let Some(RuleSpec::MultiState(options)) = spec.problem.rule_learning().map(|problem| &problem.rule)
        else {
            panic!("the example is of a multi-state rule");
        };
        let mut rule = DifferentiableRule::default();
        rule.read(options.backward_update, &layout, &genome).expect("the spec's own genome");
        let mut rng = Seed::new(3).expect("a seed").rng();
        let batches = (0..UPDATES).map(|_| examples(&mut rng, sizes, BATCH)).collect();
        let query = examples(&mut rng, sizes, QUERY);
        Self {
            network: DifferentiableNetwork::new(options, &sizes, QUERY),
            options: options.clone(),
            gradient: vec![0.0; genome.0.len()],
            predictions: vec![0.0; QUERY * sizes[2]],
            layout,
            genome,
            rule,
            batches,
            query,
        }
    }

    fn train(&mut self, recorded: u64) {
        let seed = Seed::new(5).expect("a seed");
        self.network.start(&self.rule, &InitialSynapses::default(), seed, (recorded, usize::MAX));
        for (inputs, targets) in &self.batches {
            self.network.update(&self.rule, inputs, targets, BATCH);
        }
    }

    fn forward(&mut self) {
        self.train(0);
        self.network.predict(&self.rule, &self.query.0, QUERY, &mut self.predictions);
    }

    fn with_gradient(&mut self) {
        self.train(UPDATES as u64);
        let weight = 1.0 / UPDATES as f64;
        let loss = (Loss::CrossEntropy, weight);
        self.network.begin_walk(&self.rule);
        self.network.measure(&self.rule, (&self.query.0, &self.query.1), QUERY, loss);
        for (update, (_, targets)) in self.batches.iter().enumerate().rev() {
            self.network.step_back(&self.rule, targets, BATCH, Some(loss).filter(|_| update > 0));
        }
        self.gradient.fill(0.0);
        let genome = (&self.layout, &self.genome);
        self.network.finish_walk(&self.rule, self.options.backward_update, genome, &mut self.gradient);
    }
}

/// Normal inputs, and a class for each.
fn examples(rng: &mut ChaCha8Rng, [inputs, _, outputs]: [usize; 3], count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut normal = vec![0.0; inputs * count];
    fill_normal(rng, &mut normal);
    let mut targets = vec![0.0; outputs * count];
    for target in targets.chunks_exact_mut(outputs) {
        target[index_below(rng, outputs as u32) as usize] = 1.0;
    }
    (normal.into_iter().map(|x| x as f32).collect(), targets)
}

/// Microseconds of one piece of work.
fn microseconds(work: &mut dyn FnMut()) -> f64 {
    let (start, mut times) = (Instant::now(), 0_u32);
    while times == 0 || start.elapsed() < ROUND {
        work();
        times += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(7);
    println!("{:<12} {:>12} {:>12} {:>6}", "network", "training us", "gradient us", "ratio");
    for sizes in SIZES {
        let mut place = Place::of(sizes);
        let (mut forward, mut gradient, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            forward.push(microseconds(&mut || place.forward()));
            gradient.push(microseconds(&mut || place.with_gradient()));
            ratio.push(gradient[gradient.len() - 1] / forward[forward.len() - 1]);
        }
        assert!(place.gradient.iter().any(|&g| g != 0.0) && place.gradient.iter().all(|g| g.is_finite()));
        let [inputs, hidden, outputs] = sizes;
        let name = format!("{inputs}-{hidden}-{outputs}");
        let [forward, gradient, ratio] = [forward, gradient, ratio].map(median);
        println!("{name:<12} {forward:>12.0} {gradient:>12.0} {ratio:>6.2}");
    }
}
