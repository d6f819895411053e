//! How many evaluations of a genome a second the inner loop does, and how close that comes to the machine's own rate of
//! multiplying matrices: `cargo bench -p hebbian-tests --bench inner_loop`.
//!
//! An evaluation draws the initial synapses, makes T updates, each checked for numbers that are not finite, and one
//! prediction of a validation batch. Networks and inputs exist before it, as they do in a worker. All cases take turns in
//! short rounds, so that other load on the machine meets them alike; a figure is the median of the rounds.
//!
//! - `--json`: a line of JSON per measurement instead of the table.
//! - `--rounds N`: rounds (7).
//! - `--case NAME`: one configuration alone (small, mid, large, large-k4).
//! - `--only NAME`: evaluates one configuration and measures nothing, for a profiler; `tests/instructions` counts what
//!   happens below [`one_evaluation`].
//! - `--times N`: evaluations of `--only` (2).

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::rule::multi_state::{Network, UpdateRule};
use hebbian_learning::training::Workspace;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{Seed, fill_normal, uniform_between};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

mod measure;

use measure::{Matrices, SGEMM_FLOP, SGEMM_SIDE, THREADS, median, rate};

/// What is evaluated.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    layers: &'static [usize],
    states: u8,
    batch: usize,
    updates: usize,
}

const CASES: [Case; 4] = [
    Case { name: "small", layers: &[2, 20, 1], states: 2, batch: 512, updates: 10 },
    Case { name: "mid", layers: &[64, 64, 10], states: 2, batch: 128, updates: 20 },
    Case { name: "large", layers: &[784, 256, 128, 10], states: 2, batch: 128, updates: 20 },
    Case { name: "large-k4", layers: &[784, 256, 128, 10], states: 4, batch: 128, updates: 20 },
];

impl Case {
    /// Floating point operations of the products whose result is read: two for each synapse (without bias), state and
    /// example.
    fn useful_flop(&self) -> f64 {
        let (k, last) = (self.states as usize, self.layers.len() - 2);
        let mut products = 0;
        for (layer, pair) in self.layers.windows(2).enumerate() {
            let synapses = pair[0] * pair[1];
            // Forward; feedback overwrites the last layer's states above 0, and a prediction has none.
            let forward = if layer == last { 1 } else { k };
            products += synapses * forward * (self.updates + 1);
            // The Hebbian product of forward synapses.
            products += synapses * k * self.updates;
            if layer > 0 {
                // Backward neurons, and backward synapses but for those that the last update leaves behind.
                products += synapses * k * (2 * self.updates - 1);
            }
        }
        2.0 * (products * self.batch) as f64
    }
}

/// A genome of normal values.
fn genome(dimension: usize, scale: f64, seed: Seed) -> Genome {
    let mut values = vec![0.0; dimension];
    fill_normal(&mut seed.rng(), &mut values);
    Genome(values.into_iter().map(|value| scale * value).collect())
}

fn seed(number: u64) -> Seed {
    Seed::new(number).expect("small numbers are seeds")
}

/// What the evaluations of a case share.
struct Inputs {
    rule: UpdateRule<f32>,
    /// Inputs and targets of each update.
    support: Vec<(Vec<f32>, Vec<f32>)>,
    query: Vec<f32>,
}

impl Inputs {
    fn of(case: &Case) -> Self {
        let rule = MultiStateSpec { states: case.states, ..MultiStateSpec::default() };
        let layout = GenomeLayout::of_rule(&rule, &NetworkSpec::default());
        let rule = UpdateRule::from_genome(&layout, &genome(layout.dimension(), 0.2, seed(1)))
            .expect("a genome of the layout");
        let mut rng = seed(2).rng();
        let mut uniform = |length: usize| -> Vec<f32> {
            (0..length).map(|_| uniform_between(&mut rng, -1.0, 1.0) as f32).collect()
        };
        let (inputs, outputs) = (case.layers[0], case.layers[case.layers.len() - 1]);
        let support = (0..case.updates)
            .map(|_| (uniform(case.batch * inputs), uniform(case.batch * outputs)))
            .collect();
        Self { rule, support, query: uniform(case.batch * inputs) }
    }
}

/// A thread's own memory for a case.
struct Place {
    network: Network<f32>,
    prediction: Vec<f32>,
    evaluations: u64,
}

impl Place {
    fn of(case: &Case) -> Self {
        let options = MultiStateSpec { states: case.states, ..MultiStateSpec::default() };
        let outputs = case.layers[case.layers.len() - 1];
        Self {
            network: Network::new(&options, case.layers, case.batch),
            prediction: vec![0.0; case.batch * outputs],
            evaluations: 0,
        }
    }
}

#[inline(never)]
fn one_evaluation(place: &mut Place, inputs: &Inputs, case: &Case) {
    let Place { network, prediction, evaluations } = place;
    network.reset();
    network.initialise_synapses(&InitialSynapses::default(), seed(100 + *evaluations % 64));
    for (input, target) in &inputs.support {
        network.update(black_box(&inputs.rule), input, target, case.batch);
        assert!(network.is_finite(), "the genome of the benchmark diverges");
    }
    network.predict(&inputs.rule, &inputs.query, case.batch, prediction);
    black_box(prediction);
    *evaluations += 1;
}

/// NumPy's GFLOP/s for the same product on so many threads; none where python3 or NumPy is missing.
fn numpy_gflops(threads: usize) -> Option<f64> {
    let program = format!(
        "import numpy, time\n\
         a = numpy.full(({SGEMM_SIDE}, {SGEMM_SIDE}), 0.5, numpy.float32)\n\
         a @ a\n\
         best = 0.0\n\
         end = time.perf_counter() + 0.5\n\
         while time.perf_counter() < end:\n\
         \x20   start = time.perf_counter()\n\
         \x20   for _ in range(10): a @ a\n\
         \x20   best = max(best, 10 / (time.perf_counter() - start))\n\
         print(best * {SGEMM_FLOP} / 1e9)"
    );
    let output = Command::new("python3")
        .args(["-c", &program])
        .envs(
            ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]
                .map(|name| (name, threads.to_string())),
        )
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Episodes of the quickstart a second, of 10 updates each: 64 candidates meet the 24 tasks of a generation, then come the next tasks.
/// The fastest of the rounds.
fn quickstart_rates(rounds: usize) -> [f64; THREADS.len()] {
    let spec = RunSpec::read(include_str!("../../examples/quickstart.toml")).expect("a valid spec");
    let dimension = spec.layout().dimension();
    let runner = EpisodeRunner::new(Arc::new(spec)).expect("the quickstart needs nothing special");
    let (candidates, tasks) = (64, 24);
    let genomes: Vec<Genome> = (0..candidates).map(|number| genome(dimension, 0.3, seed(number))).collect();
    let mut places = [(); 2].map(|()| (Workspace::new(), Interrupt::new(), 0_usize));
    let work = |(workspace, interrupt, candidate): &mut (Workspace, Interrupt, usize)| {
        let place = *candidate % genomes.len();
        for task in 0..tasks {
            let key = EpisodeKey {
                run: RunId::new(1),
                generation: GenerationIndex((*candidate / genomes.len() % 200) as u32),
                purpose: EpisodePurpose::Search,
                block: BlockIndex(0),
                candidate: CandidateIndex(place as u32),
                task: TaskIndex(task),
            };
            black_box(runner.run(workspace, &genomes[place], &key, interrupt));
        }
        *candidate += 1;
    };
    THREADS.map(|threads| {
        let fastest = (0..rounds).map(|_| rate(&mut places[..threads], work)).fold(0.0, f64::max);
        fastest * f64::from(tasks)
    })
}

/// What the command line asks for.
struct Arguments {
    json: bool,
    rounds: usize,
    case: Option<String>,
    only: Option<String>,
    times: usize,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let mut read = Self { json: false, rounds: 7, case: None, only: None, times: 2 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word}: needs a value"));
            match word.as_str() {
                // What `cargo bench` adds.
                "--bench" => {}
                "--json" => read.json = true,
                "--rounds" | "--times" => {
                    let given = value()?;
                    let count: usize = given
                        .parse()
                        .ok()
                        .filter(|count| *count > 0)
                        .ok_or_else(|| format!("{word}: must be a number from 1 on, not {given:?}"))?;
                    *(if word == "--rounds" { &mut read.rounds } else { &mut read.times }) = count;
                }
                "--case" => read.case = Some(value()?),
                "--only" => read.only = Some(value()?),
                _ => {
                    return Err(format!(
                        "{word}: unknown; --json, --rounds N, --case NAME, --only NAME and --times N are known"
                    ));
                }
            }
        }
        for name in [&read.case, &read.only].into_iter().flatten() {
            if !CASES.iter().any(|case| case.name == name) {
                let names = CASES.map(|case| case.name).join(", ");
                return Err(format!("no case is called {name:?}; there are {names}"));
            }
        }
        Ok(read)
    }
}

/// The medians of a run: one figure for each number of threads.
struct Figures {
    /// Evaluations a second of each case.
    cases: Vec<(Case, [f64; 2])>,
    /// GFLOP/s of each matrix kernel that was tried.
    sgemm: Vec<(&'static str, [f64; 2])>,
    /// Episodes of the quickstart a second.
    quickstart: [f64; 2],
}

fn measure(arguments: &Arguments) -> Figures {
    let chosen = |case: &&Case| arguments.case.as_ref().is_none_or(|name| name == case.name);
    let mut subjects: Vec<_> = CASES
        .iter()
        .filter(chosen)
        .map(|case| {
            (*case, Inputs::of(case), THREADS.map(|n| (0..n).map(|_| Place::of(case)).collect::<Vec<_>>()))
        })
        .collect();
    let mut matrices = THREADS.map(|n| (0..n).map(|_| Matrices::new()).collect::<Vec<_>>());
    let mut rates: Vec<[Vec<f64>; 2]> = subjects.iter().map(|_| Default::default()).collect();
    let mut sgemm: [Vec<f64>; 2] = Default::default();
    for _ in 0..arguments.rounds {
        for (place, matrices) in matrices.iter_mut().enumerate() {
            sgemm[place].push(rate(matrices, Matrices::multiply) * SGEMM_FLOP / 1e9);
        }
        for ((case, inputs, places), rates) in subjects.iter_mut().zip(&mut rates) {
            for (places, rates) in places.iter_mut().zip(rates) {
                rates.push(rate(places, |place| one_evaluation(place, inputs, case)));
            }
        }
    }
    let mut kernels = vec![("gemm", sgemm.map(median))];
    if let [Some(one), Some(two)] = THREADS.map(numpy_gflops) {
        kernels.push(("numpy", [one, two]));
    }
    Figures {
        cases: subjects.iter().zip(rates).map(|((case, ..), rates)| (*case, rates.map(median))).collect(),
        sgemm: kernels,
        quickstart: quickstart_rates(arguments.rounds),
    }
}

fn print_json(figures: &Figures, best: [f64; 2]) {
    for (kernel, rates) in &figures.sgemm {
        for (threads, gflops) in THREADS.iter().zip(rates) {
            println!(
                "{}",
                serde_json::json!({ "sgemm": kernel, "side": SGEMM_SIDE, "threads": threads, "gflops": gflops })
            );
        }
    }
    for (case, rates) in &figures.cases {
        for (place, rate) in rates.iter().enumerate() {
            let gflops = rate * case.useful_flop() / 1e9;
            println!(
                "{}",
                serde_json::json!({
                    "case": case.name,
                    "layers": case.layers,
                    "states": case.states,
                    "batch": case.batch,
                    "updates": case.updates,
                    "threads": THREADS[place],
                    "evaluations_per_second": rate,
                    "useful_gflops": gflops,
                    "sgemm_gflops": best[place],
                    "ratio": gflops / best[place],
                })
            );
        }
    }
    for (threads, rate) in THREADS.into_iter().zip(figures.quickstart) {
        println!(
            "{}",
            serde_json::json!({
                "case": "quickstart",
                "threads": threads,
                "evaluations_per_second": rate,
                "episode_us": threads as f64 * 1e6 / rate,
            })
        );
    }
}

fn print_table(figures: &Figures, best: [f64; 2]) {
    for (kernel, [one, two]) in &figures.sgemm {
        println!(
            "sgemm {SGEMM_SIDE} by {kernel}: {one:.1} GFLOP/s on one thread, {two:.1} on two (x {:.3})",
            two / one
        );
    }
    println!(
        "{:9} {:>16} {:>2} {:>5} {:>3} {:>7} {:>14} {:>13} {:>9} {:>8}",
        "case",
        "layers",
        "k",
        "batch",
        "T",
        "threads",
        "evaluations/s",
        "useful GFLOP/s",
        "of sgemm",
        "speed-up"
    );
    for (case, rates) in &figures.cases {
        let layers: Vec<String> = case.layers.iter().map(ToString::to_string).collect();
        for (place, rate) in rates.iter().enumerate() {
            let gflops = rate * case.useful_flop() / 1e9;
            println!(
                "{:9} {:>16} {:>2} {:>5} {:>3} {:>7} {rate:>14.1} {gflops:>14.1} {:>7.1} % {:>8.3}",
                case.name,
                layers.join("-"),
                case.states,
                case.batch,
                case.updates,
                THREADS[place],
                100.0 * gflops / best[place],
                rate / rates[0],
            );
        }
    }
    let [one, two] = figures.quickstart;
    println!(
        "an episode of the quickstart: {:.1} us on one thread; {one:.0} a second, {two:.0} on two threads",
        1e6 / one
    );
}

fn main() -> Result<(), String> {
    let arguments = Arguments::read()?;
    if let Some(name) = &arguments.only {
        let case = CASES.iter().find(|case| case.name == name).expect("the name was checked");
        let (inputs, mut place) = (Inputs::of(case), Place::of(case));
        for _ in 0..arguments.times {
            one_evaluation(&mut place, &inputs, case);
        }
        return Ok(());
    }
    let figures = measure(&arguments);
    let best = [0, 1].map(|place| figures.sgemm.iter().map(|(_, rates)| rates[place]).fold(0.0, f64::max));
    if arguments.json {
        print_json(&figures, best);
    } else {
        print_table(&figures, best);
    }
    Ok(())
}
