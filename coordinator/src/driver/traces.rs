//! What the driver's traces tell: a generation from its first batch to its close on the disk, with its batches, its search and its commit.
//!
//! The driver says what passes through it; nothing is decided here but what is traced. Of each run one generation is, then none for a
//! while, and of that one the first batches: a cluster's episodes cost nothing however many they are.

use std::collections::BTreeMap;
use std::time::Instant;

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Record, Write};
use hebbian_proto::convert::run_name;
use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_shared::dispatch::{Assignment, Batch, FromWorker, ToWorker};
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_trace::{Kind, Span, TraceContext, Tracer};

/// The most batches of a generation that are traced, and the episodes from which on no further batch is.
const BATCHES_MAX: usize = 64;
const EPISODES_MAX: usize = 8192;

/// Why a batch ends that its worker did not report to the end.
const SETTLED_BY_OTHERS: &str = "settled by others";

type Place = (RunId, GenerationIndex);
/// What episodes of a report have in common.
type Block = (RunId, GenerationIndex, EpisodePurpose, BlockIndex);
type Episode = (CandidateIndex, TaskIndex);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Traces {
    tracer: Tracer,
    runs: BTreeMap<RunId, Run>,
    /// The generations that are traced.
    open: BTreeMap<Place, Generation>,
    batches: BTreeMap<WorkerId, Vec<OpenBatch>>,
    /// Closes on their way to the disk, by their transactions.
    closing: BTreeMap<u64, Vec<(Generation, Span)>>,
}

/// What is remembered of a run from one generation to the next.
#[derive(Debug)]
struct Run {
    /// What its traces are called.
    name: &'static str,
    /// The generation that is open, as far as its batches and its closes tell.
    generation: GenerationIndex,
    /// Whether it was decided whether that one is traced.
    decided: bool,
    /// When the last one that is traced began.
    traced: Option<Instant>,
}

impl Run {
    fn at(generation: GenerationIndex) -> Self {
        Self { name: "generation", generation, decided: false, traced: None }
    }
}

#[derive(Debug)]
struct Generation {
    span: Span,
    search: Option<Span>,
    batches: usize,
    episodes: usize,
}

/// A batch that a worker has.
#[derive(Debug)]
struct OpenBatch {
    span: Span,
    of: Place,
    block: Block,
    /// Its episodes in order, and how many are not settled.
    episodes: Vec<Episode>,
    open: usize,
}

impl Traces {
    pub(super) fn new(tracer: Tracer) -> Self {
        Self { tracer, ..Self::default() }
    }

    /// A worker is sent something; where it stands, if it is traced.
    pub(super) fn sends(&mut self, worker: WorkerId, message: &ToWorker) -> Option<TraceContext> {
        if !self.tracer.is_on() {
            return None;
        }
        let batch = match message {
            ToWorker::Batch(batch) => batch,
            ToWorker::Evaluation { evaluation, .. } => {
                self.runs
                    .entry(*evaluation)
                    .or_insert(Run { name: "evaluation", ..Run::at(GenerationIndex(0)) });
                return None;
            }
            _ => return None,
        };
        let of = (batch.run, self.open_generation(batch));
        let generation = self.open.get_mut(&of)?;
        if generation.batches >= BATCHES_MAX || generation.episodes >= EPISODES_MAX {
            return None;
        }
        generation.batches += 1;
        generation.episodes += batch.assignments.len();
        let mut span = self.tracer.begin_below(generation.span.context(), "batch", Kind::Client)?;
        span.set("hebbian.worker", worker.0);
        span.set("hebbian.purpose", format!("{:?}", batch.purpose).to_lowercase());
        span.set("hebbian.block", batch.block.0);
        span.set("hebbian.genomes", batch.genomes.len() as u64);
        span.set("hebbian.episodes", batch.assignments.len() as u64);
        let context = span.context();
        let episode =
            |assignment: &Assignment| (batch.genomes[assignment.genome as usize].candidate, assignment.task);
        let mut episodes: Vec<Episode> = batch.assignments.iter().map(episode).collect();
        episodes.sort_unstable();
        let block = (batch.run, batch.generation, batch.purpose, batch.block);
        let open = episodes.len();
        self.batches.entry(worker).or_default().push(OpenBatch { span, of, block, episodes, open });
        Some(context)
    }

    /// The open generation of a batch's run; decides whether it is traced when its first batch is sent.
    fn open_generation(&mut self, batch: &Batch) -> GenerationIndex {
        let run = self.runs.entry(batch.run).or_insert_with(|| Run::at(batch.generation));
        // A candidate of an asynchronous run is computed in the name of the generation that it was born in.
        if batch.generation > run.generation {
            (run.generation, run.decided) = (batch.generation, false);
        }
        if !run.decided {
            run.decided = true;
            if run.traced.is_none_or(|traced| traced.elapsed() >= self.tracer.every())
                && let Some(mut span) = self.tracer.begin(run.name, Kind::Internal)
            {
                run.traced = Some(Instant::now());
                span.set("hebbian.run", run_name(batch.run));
                span.set("hebbian.generation", run.generation.0);
                let generation = Generation { span, search: None, batches: 0, episodes: 0 };
                self.open.insert((batch.run, run.generation), generation);
            }
        }
        run.generation
    }

    /// A worker has said something.
    pub(super) fn hears(&mut self, worker: WorkerId, message: &FromWorker) {
        let Some(batches) = self.batches.get_mut(&worker) else { return };
        let (block, episodes): (Block, Vec<Episode>) = match message {
            FromWorker::Report(report) => {
                let settled = report.settlements.iter().map(|settled| (settled.candidate, settled.task));
                ((report.run, report.generation, report.purpose, report.block), settled.collect())
            }
            FromWorker::GiveBack(given) => {
                ((given.run, given.generation, given.purpose, given.block), given.episodes.clone())
            }
            FromWorker::Reject { run, .. } => {
                for batch in batches.extract_if(.., |batch| batch.of.0 == *run) {
                    batch.span.fail("the worker cannot work on the run");
                }
                return;
            }
            FromWorker::Heartbeat | FromWorker::Leaving => return,
        };
        for batch in batches.iter_mut().filter(|batch| batch.block == block) {
            let is_of = |episode: &&Episode| batch.episodes.binary_search(episode).is_ok();
            batch.open = batch.open.saturating_sub(episodes.iter().filter(is_of).count());
        }
        batches.retain(|batch| batch.open > 0);
        if batches.is_empty() {
            self.batches.remove(&worker);
        }
    }

    /// A worker is gone.
    pub(super) fn gone(&mut self, worker: WorkerId) {
        for batch in self.batches.remove(&worker).into_iter().flatten() {
            batch.span.fail("the worker is gone");
        }
    }

    /// A search begins to advance.
    pub(super) fn advances(&mut self, of: Place) {
        if let Some(generation) = self.open.get_mut(&of) {
            let whole = generation.span.context();
            generation.search = self.tracer.begin_below(whole, "search", Kind::Internal);
        }
    }

    /// A search has advanced.
    pub(super) fn advanced(&mut self, of: Place) {
        if let Some(generation) = self.open.get_mut(&of) {
            generation.search = None;
        }
    }

    /// Something is given to the journal.
    pub(super) fn commits(&mut self, transaction: &Transaction) {
        if !self.tracer.is_on() {
            return;
        }
        for write in &transaction.writes {
            match write {
                Write::Record { run, record: Record::GenerationClosed(closed), .. } => {
                    self.closes(*run, &closed.summary, transaction.position);
                }
                Write::Record { run, record: Record::StateChanged { state, .. }, .. }
                    if *state != RunState::RUNNING =>
                {
                    self.stops(*run);
                }
                Write::Delete { run } => self.stops(*run),
                Write::Record { .. } | Write::Snapshot { .. } => {}
            }
        }
    }

    fn closes(&mut self, run: RunId, summary: &v1::GenerationSummary, position: u64) {
        let of = (run, GenerationIndex(summary.generation));
        if let Some(run) = self.runs.get_mut(&of.0) {
            (run.generation, run.decided) =
                (of.1.next().max(run.generation), run.decided && run.generation > of.1);
        }
        let Some(mut generation) = self.open.remove(&of) else { return };
        generation.search = None;
        let compute_time = duration(summary.compute_time).as_secs_f64();
        generation.span.set("hebbian.compute_time_s", compute_time);
        generation.span.set("hebbian.workers", summary.workers);
        // What others have settled meanwhile is not waited for.
        self.abandon(|batch| batch.of == of, SETTLED_BY_OTHERS);
        let whole = generation.span.context();
        if let Some(commit) = self.tracer.begin_below(whole, "commit", Kind::Internal) {
            self.closing.entry(position).or_default().push((generation, commit));
        }
    }

    /// A run does not go on for now.
    fn stops(&mut self, run: RunId) {
        self.runs.remove(&run);
        self.abandon(|batch| batch.of.0 == run, "the run stopped");
        for generation in self.taken(run) {
            generation.span.fail("the run stopped");
        }
    }

    /// An evaluation has ended; a problem says why not all of it was computed.
    pub(super) fn evaluated(&mut self, evaluation: RunId, problem: Option<&str>) {
        self.runs.remove(&evaluation);
        self.abandon(|batch| batch.of.0 == evaluation, SETTLED_BY_OTHERS);
        for generation in self.taken(evaluation) {
            match problem {
                None => generation.span.end(),
                Some(problem) => generation.span.fail(problem),
            }
        }
    }

    /// What is open of a run, taken out.
    fn taken(&mut self, run: RunId) -> Vec<Generation> {
        let all = (run, GenerationIndex(0))..=(run, GenerationIndex(u32::MAX));
        let places: Vec<Place> = self.open.range(all).map(|(place, _)| *place).collect();
        places.into_iter().filter_map(|place| self.open.remove(&place)).collect()
    }

    fn abandon(&mut self, which: impl Fn(&OpenBatch) -> bool, outcome: &'static str) {
        for batches in self.batches.values_mut() {
            for mut batch in batches.extract_if(.., |batch| which(batch)) {
                batch.span.set("hebbian.outcome", outcome);
            }
        }
        self.batches.retain(|_, batches| !batches.is_empty());
    }

    /// Transactions up to this position survive a loss of power.
    pub(super) fn synced(&mut self, position: u64) {
        while let Some(first) = self.closing.first_entry().filter(|first| *first.key() <= position) {
            for (generation, commit) in first.remove() {
                commit.end();
                generation.span.end();
            }
        }
    }
}

#[cfg(test)]
mod tests;
