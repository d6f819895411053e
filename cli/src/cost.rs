//! What a run spec will cost on this machine, from timing a few of its episodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::task::data_set::DataSets;
use hebbian_learning::task::entropy::{self, Unknown};
use hebbian_learning::training::Workspace;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Wants};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{self, Purpose};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::start::StartSpec;
use hebbian_shared::spec::task::TaskFamily;
use serde::Serialize;

use crate::failure::Failure;
use crate::forecast::Forecast;

/// Time that timing may take, over all phases.
const BUDGET: Duration = Duration::from_secs(3);
/// The most episodes that are timed of one family in one phase.
const EPISODES_MAX: u32 = 50;

/// The cost of the generations with one unroll length.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PhaseCost {
    /// Generations of the phase that will be run; `None` where the spec does not limit them.
    pub(crate) generations: Option<u32>,
    /// Updates per episode.
    pub(crate) updates: u32,
    /// Seconds of one thread for one episode, on average over the families.
    pub(crate) episode_s: f64,
}

/// The cost of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    /// Numbers to evolve.
    pub(crate) dimension: usize,
    /// Generations, where the spec limits them.
    pub(crate) generations: Option<u32>,
    /// Episodes of each generation.
    pub(crate) episodes_per_generation: u64,
    /// By unroll length.
    pub(crate) phases: Vec<PhaseCost>,
    /// Seconds of one thread, where the spec limits generations or evaluations.
    pub(crate) compute_s: Option<f64>,
    /// Threads of this machine.
    pub(crate) threads: u32,
    /// Seconds on this machine: the compute time over its threads with the search's time, or the spec's limit of time.
    pub(crate) elapsed_s: Option<f64>,
    /// What the search costs the coordinator.
    pub(crate) search: SearchCost,
    /// What is unknown of labels without the task, of families whose tables are finite.
    pub(crate) unknown: BTreeMap<String, Unknown>,
}

/// What a search costs beside its episodes, roughly.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SearchCost {
    /// Seconds from one generation to the next, on average; nothing is computed of the run meanwhile.
    pub(crate) generation_s: f64,
    /// Bytes of memory.
    pub(crate) memory_bytes: f64,
    /// Bytes by which the journal grows with each generation.
    pub(crate) journal_generation_bytes: f64,
    /// Bytes of a snapshot in the journal, which keeps the last two and those that forks may begin with.
    pub(crate) snapshot_bytes: f64,
}

/// Multiplications a second of a search's thread: measured on matrices of some hundred rows, by a processor of 2021.
const SEARCH_RATE: f64 = 2e9;
/// Bytes of a closed generation in the journal, of what its search was told of each candidate, and of each number of a genome: its
/// mean, its deviation and an axis.
const GENERATION_BYTES: (f64, f64, f64) = (700.0, 13.0, 12.0);
/// From so many numbers on a generation has quantiles in their place.
const NUMBERS_MAX: usize = 256;

impl SearchCost {
    fn of(spec: &RunSpec) -> Self {
        let dimension = spec.layout().dimension();
        let cost = hebbian_search::cost::cost(&spec.strategy, dimension);
        let (generation, candidate, number) = GENERATION_BYTES;
        let numbers = if dimension <= NUMBERS_MAX { dimension as f64 } else { 7.0 };
        Self {
            generation_s: cost.multiplications / SEARCH_RATE,
            memory_bytes: cost.memory_bytes,
            journal_generation_bytes: generation
                + candidate * f64::from(spec.strategy.candidates_max())
                + number * numbers,
            snapshot_bytes: cost.state_bytes,
        }
    }
}

impl Cost {
    /// Times a few episodes of every phase and family.
    pub(crate) fn measure(spec: &RunSpec, threads: u32, data: &dyn DataSets) -> Result<Self, Failure> {
        let forecast = Forecast::of(spec);
        let phases = match spec.problem.external() {
            // Only its program knows how long an evaluation takes.
            Some(_) => Vec::new(),
            None => measure_phases(spec, &forecast, data)?,
        };
        let episodes = forecast.episodes_per_generation();
        let compute_s = phases
            .iter()
            .map(|phase| phase.generations.map(|n| f64::from(n) * episodes as f64 * phase.episode_s))
            .sum::<Option<f64>>()
            .filter(|_| !phases.is_empty())
            .map(|seconds| seconds + beside_the_search(spec, &phases));
        let search = SearchCost::of(spec);
        let searching = forecast.generations().map_or(0.0, |all| f64::from(all) * search.generation_s);
        let by_work = compute_s.map(|seconds| seconds / f64::from(threads) + searching);
        let by_time = spec.stop.time_limit_s.map(|limit| limit as f64);
        Ok(Self {
            dimension: spec.layout().dimension(),
            generations: forecast.generations(),
            episodes_per_generation: episodes,
            phases,
            compute_s,
            threads,
            elapsed_s: [by_work, by_time].into_iter().flatten().reduce(f64::min),
            search,
            unknown: unknown(spec),
        })
    }
}

/// Of each family whose tables are finite.
fn unknown(spec: &RunSpec) -> BTreeMap<String, Unknown> {
    let Some(problem) = spec.problem.rule_learning() else { return BTreeMap::new() };
    let families = problem.tasks.distinct_families().into_iter();
    let of = |family| Some((TaskFamily::to_string(&family), entropy::of_family(family, &problem.tasks)?));
    families.filter_map(of).collect()
}

/// Times a few episodes of every phase and family.
fn measure_phases(
    spec: &RunSpec,
    forecast: &Forecast,
    data: &dyn DataSets,
) -> Result<Vec<PhaseCost>, Failure> {
    let runner = EpisodeRunner::with_data(Arc::new(spec.clone()), data).map_err(Failure::failed)?;
    let mut workspace = Workspace::default();
    let genome = typical_genome(spec);
    let mut phases = Vec::new();
    let mut begin = 0u32;
    let unroll = &spec.evaluation.unroll;
    for (place, phase) in unroll.iter().enumerate() {
        let end = if place + 1 == unroll.len() { u32::MAX } else { begin.saturating_add(phase.generations) };
        let generations = forecast.generations().map(|all| end.min(all).saturating_sub(begin));
        if generations == Some(0) {
            break;
        }
        let budget = BUDGET / unroll.len() as u32;
        let episode_s = time_episodes(&runner, &mut workspace, &genome, spec, begin, budget);
        phases.push(PhaseCost { generations, updates: phase.updates, episode_s });
        begin = end;
    }
    Ok(phases)
}

/// Seconds of one thread for validations and for the measurement of the result, where the spec limits generations.
fn beside_the_search(spec: &RunSpec, phases: &[PhaseCost]) -> f64 {
    let (mut seconds, mut begin) = (0.0, 0);
    for phase in phases {
        let end = begin + phase.generations.unwrap_or(0);
        if let Some(validation) = &spec.validation {
            let validations = (begin..end).filter(|&generation| validation.is_due(generation)).count();
            let episodes = f64::from(validation.tasks()) * f64::from(validation.unroll_factor);
            seconds += validations as f64 * episodes * phase.episode_s;
        }
        begin = end;
    }
    let validated =
        spec.validation.as_ref().map_or(0.0, |v| f64::from(v.tasks()) * f64::from(v.unroll_factor));
    let last = 2.0 * f64::from(spec.remeasured_tasks()) + validated;
    seconds + phases.last().map_or(0.0, |phase| last * phase.episode_s)
}

/// A genome near the start of the search: zeros are too regular to be typical, a genome far away may diverge at once.
fn typical_genome(spec: &RunSpec) -> Genome {
    let mean = spec.initial_mean();
    if spec.start != StartSpec::default() {
        return mean;
    }
    let mut values = vec![0.0; mean.0.len()];
    seed::fill_normal(&mut spec.seed.derive(Purpose::Fingerprint, 0).rng(), &mut values);
    Genome(mean.0.into_iter().zip(values).map(|(mean, value)| mean + 0.1 * value).collect())
}

/// Seconds of one episode in a generation, on average over the families in their shares.
fn time_episodes(
    runner: &EpisodeRunner,
    workspace: &mut Workspace,
    genome: &Genome,
    spec: &RunSpec,
    generation: u32,
    budget: Duration,
) -> f64 {
    let families = spec.problem.families().len() as u32;
    let interrupt = Interrupt::new();
    let population = spec.strategy.population_size();
    let wants = Wants { gradient: spec.strategy.wants_gradient() };
    let mut seconds = 0.0;
    for task in 0..families {
        let mut time = |candidate| {
            let key = EpisodeKey {
                run: RunId::new(0),
                generation: GenerationIndex(generation),
                purpose: EpisodePurpose::Search,
                block: BlockIndex(0),
                candidate: CandidateIndex(candidate),
                task: TaskIndex(task),
            };
            let start = Instant::now();
            runner.run_for(workspace, genome, &key, wants, &interrupt);
            start.elapsed()
        };
        // The first candidate of a task pays for drawing it, on every thread.
        let first = time(0);
        let (mut rest, mut count) = (Duration::ZERO, 0);
        while count < EPISODES_MAX && (count == 0 || rest + first < budget / families) {
            rest += time(1 + count);
            count += 1;
        }
        let later = rest.as_secs_f64() / f64::from(count);
        let draw = (first.as_secs_f64() - later).max(0.0);
        seconds += later + draw / f64::from(population);
    }
    seconds / f64::from(families)
}
