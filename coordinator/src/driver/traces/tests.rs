use std::sync::{Arc, Mutex};
use std::time::Duration;

use hebbian_control::run::record::Closed;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{BatchGenome, BlockEpisodes, Report, Settlement};
use hebbian_shared::episode::{Outcome, Wants};
use hebbian_shared::genome::Genome;
use hebbian_trace::{EndedSpan, Value};

use super::*;

fn the_run() -> RunId {
    RunId::new(1)
}

const HOUR: Duration = Duration::from_secs(3600);

/// Traces, and what has ended of them.
struct Bench {
    traces: Traces,
    ended: Arc<Mutex<Vec<EndedSpan>>>,
}

impl Bench {
    fn new(every: Duration) -> Self {
        let ended = Arc::<Mutex<Vec<EndedSpan>>>::default();
        let kept = Arc::clone(&ended);
        let tracer = Tracer::recording(every, move |span| kept.lock().unwrap().push(span));
        Self { traces: Traces::new(tracer), ended }
    }

    fn batch(&mut self, worker: u64, generation: u32, tasks: std::ops::Range<u32>) -> Option<TraceContext> {
        let assignments =
            tasks.map(|task| Assignment { genome: 0, task: TaskIndex(task), seed: 0 }).collect();
        let genome = Arc::new(Genome(vec![0.0]));
        let batch = Batch {
            run: the_run(),
            layout: Digest([0; 32]),
            generation: GenerationIndex(generation),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            wants: Wants::default(),
            genomes: vec![BatchGenome { candidate: CandidateIndex(4), genome, parameters: Vec::new() }],
            assignments,
        };
        self.traces.sends(WorkerId(worker), &ToWorker::Batch(batch))
    }

    fn report(&mut self, worker: u64, generation: u32, tasks: std::ops::Range<u32>) {
        let settlement = |task| Settlement {
            candidate: CandidateIndex(4),
            task: TaskIndex(task),
            outcome: Outcome::Diverged,
            compute_time: Duration::ZERO,
        };
        let report = Report {
            sequence: 1,
            run: the_run(),
            generation: GenerationIndex(generation),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            settlements: tasks.map(settlement).collect(),
        };
        self.traces.hears(WorkerId(worker), &FromWorker::Report(report));
    }

    fn write(&mut self, position: u64, record: Record) {
        let writes = vec![Write::Record { run: the_run(), sequence: position, record }];
        self.traces.commits(&Transaction { position, writes, sync: true });
    }

    fn close(&mut self, position: u64, generation: u32) {
        let place = (the_run(), GenerationIndex(generation));
        self.traces.advances(place);
        self.traces.advanced(place);
        let summary = v1::GenerationSummary { generation, ..Default::default() };
        let (told, contributions) = (Vec::new(), BTreeMap::new());
        self.write(
            position,
            Record::GenerationClosed(Box::new(Closed { summary, told, contributions, turn: None })),
        );
    }

    /// What has ended since the last time, by name, with what went wrong.
    fn ended(&self) -> Vec<(String, Option<String>)> {
        let spans = std::mem::take(&mut *self.ended.lock().unwrap());
        spans.into_iter().map(|span| (span.name.into_owned(), span.problem)).collect()
    }

    fn check(&self, expected: &[&str]) {
        let ended = self.ended();
        let names: Vec<&str> = ended.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
        assert!(ended.iter().all(|(_, problem)| problem.is_none()), "{ended:?}");
    }
}

#[test]
fn a_generation_is_traced_from_its_first_batch_to_its_close_on_the_disk() {
    let mut bench = Bench::new(Duration::ZERO);
    let first = bench.batch(1, 0, 0..3).unwrap();
    let second = bench.batch(1, 0, 3..5).unwrap();
    assert_eq!(first.trace_id(), second.trace_id());
    bench.report(1, 0, 0..2);
    bench.report(2, 0, 2..3);
    bench.check(&[]);
    bench.report(1, 0, 2..4);
    bench.check(&["batch"]);
    let episodes = vec![(CandidateIndex(4), TaskIndex(4))];
    let given = BlockEpisodes {
        run: the_run(),
        generation: GenerationIndex(0),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        episodes,
    };
    bench.traces.hears(WorkerId(1), &FromWorker::GiveBack(given));
    bench.check(&["batch"]);
    bench.close(7, 0);
    bench.check(&["search"]);
    bench.traces.synced(6);
    bench.check(&[]);
    let next = bench.batch(1, 1, 0..1).unwrap();
    assert_ne!(next.trace_id(), first.trace_id(), "each generation is a trace of its own");
    bench.traces.synced(8);
    bench.check(&["commit", "generation"]);
    bench.close(9, 1);
    bench.check(&["search", "batch"]);
    bench.traces.synced(9);
    let spans = bench.ended.lock().unwrap();
    assert_eq!(spans[0].parent, Some(spans[1].context));
    assert_eq!(spans[1].attributes[1], ("hebbian.generation", Value::Number(1)));
}

#[test]
fn of_many_generations_and_many_batches_some_are_traced() {
    let mut bench = Bench::new(HOUR);
    assert!(bench.batch(1, 0, 0..1).is_some());
    bench.close(1, 0);
    for generation in 1..100 {
        assert_eq!(bench.batch(1, generation, 0..1), None);
        bench.close(1 + u64::from(generation), generation);
    }
    let mut bench = Bench::new(Duration::ZERO);
    let traced = (0..1000).filter(|worker| bench.batch(*worker, 0, 0..1).is_some()).count();
    assert_eq!(traced, BATCHES_MAX);
    let mut bench = Bench::new(Duration::ZERO);
    let traced = (0..10).filter(|worker| bench.batch(*worker, 0, 0..5000).is_some()).count();
    assert_eq!(traced, 2, "a few large ones are enough");
}

#[test]
fn candidates_of_an_asynchronous_run_stand_in_the_generation_that_is_open() {
    let mut bench = Bench::new(Duration::ZERO);
    let first = bench.batch(1, 0, 0..1).unwrap();
    bench.close(1, 0);
    let born_before = bench.batch(1, 0, 1..2).unwrap();
    assert_ne!(born_before.trace_id(), first.trace_id());
    assert_eq!(bench.batch(1, 1, 0..1).unwrap().trace_id(), born_before.trace_id());
}

#[test]
fn what_ends_otherwise_says_why_and_nothing_stays() {
    let mut bench = Bench::new(Duration::ZERO);
    bench.batch(1, 0, 0..1);
    bench.batch(2, 0, 1..2);
    bench.traces.gone(WorkerId(1));
    assert_eq!(bench.ended(), [("batch".to_owned(), Some("the worker is gone".to_owned()))]);
    bench.batch(3, 0, 2..3);
    bench.traces.hears(WorkerId(3), &FromWorker::Reject { run: the_run(), reason: String::new() });
    assert_eq!(bench.ended()[0].1.as_deref(), Some("the worker cannot work on the run"));
    let state = RunState::CANCELLED;
    bench.write(1, Record::StateChanged { state, elapsed: Duration::ZERO, unix_ms: 0 });
    let ended = bench.ended();
    assert_eq!(ended[1], ("generation".to_owned(), Some("the run stopped".to_owned())), "{ended:?}");
    let Traces { runs, open, batches, closing, .. } = &bench.traces;
    assert!(
        runs.is_empty() && open.is_empty() && batches.is_empty() && closing.is_empty(),
        "{:?}",
        bench.traces
    );
    // An evaluation is no run, and ends with its client.
    bench.traces.sends(WorkerId(2), &ToWorker::Evaluation { evaluation: the_run(), request: "{}".into() });
    bench.batch(2, 0, 0..1);
    bench.traces.evaluated(the_run(), Some("its client has gone"));
    let ended = bench.ended();
    assert_eq!(ended[1], ("evaluation".to_owned(), Some("its client has gone".to_owned())));
    assert!(bench.traces.open.is_empty() && bench.traces.runs.is_empty());
}

#[test]
fn nothing_is_kept_where_nobody_wants_traces() {
    let mut bench = Bench::new(HOUR);
    bench.traces = Traces::default();
    assert_eq!(bench.batch(1, 0, 0..1), None);
    bench.close(1, 0);
    assert!(bench.traces.runs.is_empty() && bench.traces.open.is_empty());
}
