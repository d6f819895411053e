//! CPU time of one update, of 256 predictions and of one draw of synapses, and of the quickstart's episodes, one thread:
//! `cargo bench -p hebbian-worker --bench inner_loop`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{Seed, fill_normal, uniform_between};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_worker::episode::{EpisodeRunner, Workspace};
use hebbian_worker::interrupt::Interrupt;
use hebbian_worker::network::{Network, UpdateRule};

/// CPU time that each figure is measured for.
const MEASURE_FOR: Duration = Duration::from_millis(800);
/// CPU time of one sample; a figure is the fastest, since other load on the machine only ever slows down.
const SAMPLE: Duration = Duration::from_millis(5);

/// Layer sizes, states, batch.
const SHAPES: [(&[usize], u8, usize); 6] = [
    (&[2, 20, 1], 4, 64),
    (&[2, 20, 1], 2, 64),
    (&[2, 20, 1], 2, 512),
    (&[64, 32, 10], 4, 64),
    (&[64, 64, 10], 2, 128),
    (&[784, 256, 128, 10], 2, 128),
];

/// CPU time that this thread has used, where the system tells (Linux), otherwise the time of day: other load on the
/// machine then does not show.
fn cpu_time(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The time of `f`, in microseconds.
fn fastest_us(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let first = cpu_time(start);
    let (mut calls, mut fastest) = (1_u32, f64::INFINITY);
    loop {
        let before = cpu_time(start);
        for _ in 0..calls {
            f();
        }
        let after = cpu_time(start);
        let used = after.saturating_sub(before);
        if used < SAMPLE {
            calls *= 2;
        } else {
            fastest = fastest.min(used.as_secs_f64() * 1e6 / f64::from(calls));
        }
        if after.saturating_sub(first) > MEASURE_FOR {
            return fastest;
        }
    }
}

/// A genome of normal values.
fn genome(dimension: usize, scale: f64, seed: Seed) -> Genome {
    let mut values = vec![0.0; dimension];
    fill_normal(&mut seed.rng(), &mut values);
    for x in &mut values {
        *x *= scale;
    }
    Genome(values)
}

/// The time of an episode of the quickstart: 64 candidates meet the 24 tasks of a generation, then come the next tasks.
fn episode_us() -> f64 {
    let spec = RunSpec::from_toml(include_str!("../../examples/quickstart.toml")).expect("a valid spec");
    let dimension = spec.layout().dimension();
    let runner = EpisodeRunner::new(Arc::new(spec)).expect("the quickstart needs nothing special");
    let (mut workspace, interrupt) = (Workspace::new(), Interrupt::new());
    let (candidates, tasks) = (64, 24);
    let genomes: Vec<Genome> = (0..candidates)
        .map(|number| genome(dimension, 0.3, Seed::new(number).expect("small numbers are seeds")))
        .collect();
    let mut candidate = 0;
    let generations = 200;
    let us = fastest_us(|| {
        let place = candidate % genomes.len();
        let generation = GenerationIndex((candidate / genomes.len() % generations) as u32);
        for task in 0..tasks {
            let key = EpisodeKey {
                run: RunId::new(1),
                generation,
                purpose: EpisodePurpose::Search,
                block: BlockIndex(0),
                candidate: CandidateIndex(place as u32),
                task: TaskIndex(task),
            };
            black_box(runner.run(&mut workspace, &genomes[place], &key, &interrupt));
        }
        candidate += 1;
    });
    us / f64::from(tasks)
}

fn main() {
    println!(
        "{:24} {:>2} {:>5} {:>12} {:>12} {:>12}",
        "layers", "k", "batch", "us/update", "us/256 preds", "us/draw"
    );
    for (layers, states, batch) in SHAPES {
        let options = RuleSpec { states, ..RuleSpec::default() };
        let layout = GenomeLayout::of_rule(&options);
        let seed = Seed::new(1).expect("1 is a seed");
        let mut rng = seed.rng();
        let rule = UpdateRule::<f32>::from_genome(&layout, &genome(layout.dimension(), 0.2, seed))
            .expect("a genome of the layout");
        let mut uniform = |length: usize| -> Vec<f32> {
            (0..length).map(|_| uniform_between(&mut rng, -1.0, 1.0) as f32).collect()
        };
        let (inputs, outputs) = (layers[0], layers[layers.len() - 1]);
        let (input, target) = (uniform(batch * inputs), uniform(batch * outputs));
        let query = uniform(256 * inputs);
        let mut prediction = vec![0.0; 256 * outputs];
        let mut network = Network::<f32>::new(&options, layers, batch);
        let initial = InitialSynapses::default();
        network.initialise_synapses(&initial, seed);
        let mut updates = 0;
        let update = fastest_us(|| {
            network.update(black_box(&rule), &input, &target, batch);
            updates += 1;
            if updates % 10 == 0 {
                network.reset();
                network.initialise_synapses(&initial, seed);
            }
        });
        let predict = fastest_us(|| network.predict(black_box(&rule), &query, 256, &mut prediction));
        let draw = fastest_us(|| network.initialise_synapses(&initial, black_box(seed)));
        assert!(network.is_finite());
        println!(
            "{:24} {states:>2} {batch:>5} {:>12.2} {predict:>12.2} {draw:>12.2}",
            format!("{layers:?}"),
            update - draw / 10.0
        );
    }
    println!("episode of the quickstart: {:.1} us", episode_us());
}
