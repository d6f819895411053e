//! What a gradient costs beside the training that it is of: `cargo bench -p hebbian-tests --bench gradient`.
//!
//! The rule is that of `examples/images.toml` at its start. A training draws the initial synapses and makes 20 updates with batches
//! of 64 and one prediction of a query of 256; with its gradient it also records them and walks back, the loss being that of every
//! batch but the first before its update and of the query at the end. All take turns in short rounds, on one thread and on two, and
//! with them the product of square matrices; a figure is the median of the rounds. *Useful* operations are two for each synapse,
//! state and example of those products whose result something reads.
//!
//! - `--json`: a line of JSON for each network and number of threads; `tests/peers/gradient.py` sets JAX beside it.
//! - `--rounds N`: rounds (7).

use hebbian_learning::rule::multi_state::differentiable::{
    AnswerLoss, DifferentiableNetwork, DifferentiableRule,
};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{ChaCha8Rng, Seed, fill_normal, index_below};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

mod measure;

use measure::{Matrices, SGEMM_FLOP, THREADS, median, rate};

const SPEC: &str = include_str!("../../examples/images.toml");
const NETWORKS: [&[usize]; 4] = [&[64, 32, 10], &[784, 32, 10], &[784, 128, 10], &[784, 256, 128, 10]];
const UPDATES: usize = 20;
const BATCH: usize = 64;
const QUERY: usize = 256;

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
    fn of(sizes: &[usize]) -> Self {
        let spec = RunSpec::read(&spec(sizes)).expect("the example is tested to be valid");
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
            network: DifferentiableNetwork::new(options, sizes, QUERY),
            options: options.clone(),
            gradient: vec![0.0; genome.0.len()],
            predictions: vec![0.0; QUERY * sizes[sizes.len() - 1]],
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
        let loss = (AnswerLoss::CrossEntropy, weight);
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

/// The example with other layers.
fn spec(sizes: &[usize]) -> String {
    let (inputs, hidden) = (&sizes[..sizes.len() - 1], &sizes[1..sizes.len() - 1]);
    let of_layers = |value, last| [vec![value; hidden.len()], vec![last]].concat();
    SPEC.replace("hidden = [32]", &format!("hidden = {hidden:?}"))
        .replace("reference = [64, 32]", &format!("reference = {inputs:?}"))
        .replace("learning_rate = [0.04, 0.05]", &format!("learning_rate = {:?}", of_layers(0.04, 0.05)))
        .replace("initial_scale = [1.0, 0.5]", &format!("initial_scale = {:?}", of_layers(1.0, 0.5)))
}

/// Floating point operations of the products whose result is read, in a training and in its gradient.
fn useful_flop(sizes: &[usize], states: usize) -> [f64; 2] {
    let synapses: Vec<usize> = sizes.windows(2).map(|pair| pair[0] * pair[1]).collect();
    let (first, others) = (synapses[0], synapses[1..].iter().sum::<usize>());
    // Forward, Hebbian sums; and the backward pass where there is one.
    let forward = UPDATES * BATCH * (2 * first + 3 * others) + QUERY * (first + others);
    // Of each of these products, two others are the derivative; only one of those at the input is read.
    let back = UPDATES * BATCH * (2 * first + 6 * others) + QUERY * (first + 2 * others);
    [forward, forward + back].map(|products| (2 * states * products) as f64)
}

/// Normal inputs, and a class for each.
fn examples(rng: &mut ChaCha8Rng, sizes: &[usize], count: usize) -> (Vec<f32>, Vec<f32>) {
    let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
    let mut normal = vec![0.0; inputs * count];
    fill_normal(rng, &mut normal);
    let mut targets = vec![0.0; outputs * count];
    for target in targets.chunks_exact_mut(outputs) {
        target[index_below(rng, outputs as u32) as usize] = 1.0;
    }
    (normal.into_iter().map(|x| x as f32).collect(), targets)
}

/// What is measured.
type Work = fn(&mut Place);

const WORKS: [(&str, Work); 2] = [("training", Place::forward), ("gradient", Place::with_gradient)];

/// Of a network: calls a second by what is done and the number of threads.
type Rates = [[f64; THREADS.len()]; WORKS.len()];

/// The medians of so many rounds, and the machine's floating point operations a second by the number of threads.
fn figures(rounds: usize) -> (Vec<Rates>, [f64; THREADS.len()]) {
    let mut places = NETWORKS.map(|sizes| [Place::of(sizes), Place::of(sizes)]);
    let mut matrices = [Matrices::new(), Matrices::new()];
    let mut rates =
        vec![[(); WORKS.len()].map(|()| [(); THREADS.len()].map(|()| Vec::new())); NETWORKS.len()];
    let mut sgemm = THREADS.map(|_| Vec::new());
    for _ in 0..rounds {
        for (sgemm, threads) in sgemm.iter_mut().zip(THREADS) {
            sgemm.push(rate(&mut matrices[..threads], Matrices::multiply) * SGEMM_FLOP);
        }
        for (places, rates) in places.iter_mut().zip(&mut rates) {
            for (rates, (_, work)) in rates.iter_mut().zip(WORKS) {
                for (rates, threads) in rates.iter_mut().zip(THREADS) {
                    rates.push(rate(&mut places[..threads], work));
                }
            }
        }
    }
    let has_gradient = |place: &Place| {
        place.gradient.iter().any(|&g| g != 0.0) && place.gradient.iter().all(|g| g.is_finite())
    };
    assert!(places.iter().flatten().all(has_gradient));
    (rates.into_iter().map(|of| of.map(|of| of.map(median))).collect(), sgemm.map(median))
}

fn main() -> Result<(), String> {
    let (mut json, mut rounds) = (false, 7);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--json" => json = true,
            "--rounds" => {
                let given = words.next().and_then(|text| text.parse().ok()).filter(|&rounds| rounds > 0);
                rounds = given.ok_or("--rounds: needs a number from 1 on")?;
            }
            _ => return Err(format!("{word}: unknown; --json and --rounds N are known")),
        }
    }
    let (rates, sgemm) = figures(rounds);
    if !json {
        let [one, two] = sgemm.map(|flops| flops / 1e9);
        println!("sgemm {one:.1} GFLOP/s on one thread, {two:.1} on two");
        println!("network         threads  training us  gradient us  ratio   of sgemm        and");
    }
    for (sizes, rates) in NETWORKS.iter().zip(rates) {
        let flop = useful_flop(sizes, 4);
        for (place, threads) in THREADS.into_iter().enumerate() {
            let [training, gradient] = rates.map(|rates| rates[place]);
            let [of_training, of_gradient] =
                [training * flop[0], gradient * flop[1]].map(|flops| flops / sgemm[place]);
            if json {
                let line = serde_json::json!({
                    "network": sizes, "threads": threads, "batch": BATCH, "query": QUERY, "updates": UPDATES,
                    "trainings_per_second": training, "gradients_per_second": gradient, "ratio": training / gradient,
                    "training_of_sgemm": of_training, "gradient_of_sgemm": of_gradient, "sgemm_flops": sgemm[place],
                });
                println!("{line}");
                continue;
            }
            let name = sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
            let [of_training, of_gradient] =
                [of_training, of_gradient].map(|share| format!("{:.1} %", 100.0 * share));
            let [us, gradient_us] = [training, gradient].map(|rate| 1e6 * threads as f64 / rate);
            println!(
                "{name:<15} {threads:>7} {us:>12.0} {gradient_us:>12.0} {:>6.2} {of_training:>10} {of_gradient:>10}",
                training / gradient
            );
        }
    }
    Ok(())
}
