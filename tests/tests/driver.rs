//! The driver with real channels, a real clock and a real file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hebbian_control::command::Refusal;
use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Act, Create, Extend, Get, GetResult, List, RunAction};
use hebbian_control::command::worker;
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Snapshot};
use hebbian_coordinator::driver::reading::{Generations, RunEvents, Watch};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Asker, Handle, new_run_id};
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{self, Journal, JournalError, KeptSnapshots, StoredEvent};
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use tokio::sync::mpsc;

fn spec(generations: u32) -> RunSpec {
    let text = format!(
        "name = \"bowl\"\n[strategy]\nkind = \"cma-es\"\npopulation_size = 8\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 4\n\
         [stop]\ngenerations = {generations}\n"
    );
    RunSpec::read(&text).unwrap()
}

fn fitness(genome: &Genome) -> Fitness {
    Fitness::new(-genome.0.iter().map(|x| (x - 0.3) * (x - 0.3)).sum::<f64>()).unwrap()
}

/// A worker that answers at once; ends with its stream.
async fn work(handle: Handle) {
    work_slowly(handle, Duration::ZERO).await;
}

/// A worker that answers after a while.
async fn work_slowly(handle: Handle, delay: Duration) {
    let (outbox, mut inbox) = mpsc::channel(1024);
    let hello = Hello {
        name: "test".into(),
        threads: 2,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: Digest::of(b"test"),
        version: "test".into(),
        serves: Vec::new(),
    };
    let worker = handle.attach(hello, "here".into(), outbox).await.unwrap().worker;
    let mut sequence = 0;
    let mut heartbeat = tokio::time::interval(Duration::from_millis(500));
    loop {
        let message = tokio::select! {
            message = inbox.recv() => message,
            _ = heartbeat.tick() => {
                if handle.from_worker(worker, FromWorker::Heartbeat).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(message) = message else { return };
        let ToWorker::Batch(batch) = &message.message else { continue };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let settlements = batch.assignments.iter().map(|assignment| {
            let genome = &batch.genomes[assignment.genome as usize];
            Settlement {
                candidate: genome.candidate,
                task: assignment.task,
                outcome: Outcome::Evaluated(Evaluation::of(fitness(&genome.genome))),
                compute_time: Duration::from_micros(10),
            }
        });
        sequence += 1;
        let report = Report {
            sequence,
            run: batch.run,
            generation: batch.generation,
            purpose: batch.purpose,
            block: batch.block,
            settlements: settlements.collect(),
        };
        if handle.from_worker(worker, FromWorker::Report(report)).await.is_err() {
            return;
        }
    }
}

/// All closed generations, page by page.
async fn all_generations(handle: &Handle, run: RunId, size: u32) -> Vec<v1::GenerationSummary> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = handle.ask(Generations { run, page: PageRequest { size, token } }).await.unwrap();
        assert!(page.items.len() <= size as usize);
        all.extend(page.items);
        token = page.next_token;
        if token.is_empty() {
            return all;
        }
    }
}

async fn start(url: &str) -> Handle {
    driver::start(DriverSettings::default(), journal::open(url).unwrap()).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_created_watched_finished_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("journal.db").display());
    let handle = start(&url).await;
    let worker = tokio::spawn(work(handle.clone()));
    let once =
        |generations| Create { request_id: "once".into(), ..Create::new(new_run_id(), spec(generations)) };
    let created = handle.ask(once(30)).await.unwrap();
    let id = created.run_id().unwrap();
    let again = handle.ask(once(30)).await.unwrap();
    assert_eq!((again.run.name, again.again, created.again), (created.run.name.clone(), true, false));
    let reused = handle.ask(once(31)).await.unwrap_err();
    assert!(matches!(reused, Refusal::RequestIdReused(_)), "{reused}");

    let mut watch = handle.ask(Watch { run: id, after: 0, owner: String::new() }).await.unwrap();
    let (mut generations, mut last, mut state) = (0, 0, RunState::RUNNING);
    while let Some(event) = next(&mut watch).await {
        assert!(event.sequence > last);
        last = event.sequence;
        match event.event.and_then(|event| event.kind).unwrap() {
            Event::Generation(summary) => {
                assert_eq!(summary.generation, generations, "without a gap");
                generations += 1;
            }
            Event::State(changed) => state = changed.kind.unwrap(),
            Event::Note(_) | Event::Validation(_) | Event::Remeasurement(_) => {}
        }
    }
    assert_eq!(generations, 30);
    assert!(matches!(state, RunState::Finished(_)), "{state:?}");
    let result = handle.ask(GetResult { run: id }).await.unwrap();
    assert!(result.best.as_ref().unwrap().fitness > -0.1, "{:?}", result.best);
    assert_eq!(handle.ask(Status).await.unwrap().workers, 1);
    handle.shut_down().await.unwrap();
    worker.await.unwrap();

    let handle = start(&url).await;
    assert_eq!(handle.ask(GetResult { run: id }).await.unwrap(), result);
    assert_eq!(all_generations(&handle, id, 7).await.len(), 30);
    assert!(
        handle
            .ask(Watch { run: id, after: last, owner: String::new() })
            .await
            .unwrap()
            .recv()
            .await
            .is_none(),
        "nothing more will come"
    );
    assert!(
        handle
            .ask(Watch { run: id, after: last - 1, owner: String::new() })
            .await
            .unwrap()
            .recv()
            .await
            .is_some()
    );
    let act = |action| Act { run: id, action, by: String::new() };
    let refused = handle.ask(act(RunAction::Pause)).await.unwrap_err().to_string();
    assert!(refused.ends_with("has finished"), "{refused}");
    handle.ask(act(RunAction::Delete)).await.unwrap();
    assert_eq!(handle.ask(Get { run: id }).await.unwrap_err(), Refusal::NoSuchRun(id));
    handle.shut_down().await.unwrap();
    assert_eq!(handle.ask(List::default()).await.unwrap_err(), Refusal::ShuttingDown);
}

/// A coordinator once deleted all runs that had ended because its clock was 400 days ahead.
#[tokio::test]
async fn a_clock_far_from_the_journals_last_change_deletes_nothing_until_it_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let open = async |clock_confirmed: bool| {
        let mut settings = DriverSettings { clock_confirmed, ..DriverSettings::default() };
        settings.engine.retention.keep_for = Some(Duration::ZERO);
        driver::start(settings, Box::new(SqliteJournal::open(&path).unwrap())).await.unwrap().0
    };
    let handle = start(&format!("sqlite:{}", path.display())).await;
    let created = handle.create(Create::new(new_run_id(), spec(5))).await.unwrap();
    let run = created.run_id().unwrap();
    handle.ask(Act { run, action: RunAction::Cancel, by: String::new() }).await.unwrap();
    handle.shut_down().await.unwrap();
    // As if it had been written long ago.
    std::fs::remove_file(folder.path().join("journal.db.lock")).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(400 * 86_400);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    // Nor does it help to start again, or to write something.
    for _ in 0..2 {
        let handle = open(false).await;
        let other = handle.create(Create::new(new_run_id(), spec(5))).await.unwrap();
        assert!(
            handle.ask(List::default()).await.unwrap().items.iter().any(|listed| listed.run_id() == Ok(run))
        );
        handle
            .ask(Act { run: other.run_id().unwrap(), action: RunAction::Pause, by: String::new() })
            .await
            .unwrap();
        handle.shut_down().await.unwrap();
    }
    for confirmed in [true, false] {
        let handle = open(confirmed).await;
        let listed = handle.ask(List::default()).await.unwrap().items;
        assert!(!listed.iter().any(|listed| listed.run_id() == Ok(run)), "it is deleted at once");
        handle.create(Create::new(new_run_id(), spec(5))).await.unwrap();
        handle.shut_down().await.unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_detached() {
    let handle = start("memory:").await;
    let (outbox, _unread) = mpsc::channel(1);
    let hello = Hello {
        name: "deaf".into(),
        threads: 4,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: Digest::of(b"test"),
        version: "test".into(),
        serves: Vec::new(),
    };
    handle.attach(hello, "here".into(), outbox).await.unwrap();
    assert_eq!(handle.ask(worker::List::default()).await.unwrap().items.len(), 1);
    handle.ask(Create::new(new_run_id(), spec(2))).await.unwrap();
    assert_eq!(handle.ask(worker::List::default()).await.unwrap().items.len(), 0);
    handle.shut_down().await.unwrap();
}

/// A journal in a file whose disk has no room while the switch says so.
struct Filling {
    file: SqliteJournal,
    full: Arc<AtomicBool>,
}

impl Journal for Filling {
    fn store(&self) -> &str {
        self.file.store()
    }

    fn kept(&self) -> KeptSnapshots {
        self.file.kept()
    }

    fn epoch(&self) -> u64 {
        self.file.epoch()
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        self.file.load_each(take)
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        self.file.run(run)
    }

    fn give_room(&mut self) {
        self.file.give_room();
    }

    fn keep_room(&mut self) -> bool {
        self.file.keep_room()
    }

    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError> {
        self.file.limit_size(if self.full.load(Ordering::SeqCst) { 0 } else { u64::MAX })?;
        self.file.commit(transactions, sync)
    }

    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<v1::GenerationSummary>, JournalError> {
        self.file.generations(run, from, limit)
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        self.file.snapshots(run)
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        self.file.snapshot(run, closed)
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.file.events(run, after, up_to, limit)
    }
}

async fn start_filling(path: &Path, full: &Arc<AtomicBool>) -> Handle {
    let file = SqliteJournal::open(path).unwrap();
    let journal = Filling { file, full: Arc::clone(full) };
    driver::start(DriverSettings::default(), Box::new(journal)).await.unwrap().0
}

/// Asks until the run is as wanted.
async fn until(handle: &Handle, run: RunId, wanted: impl Fn(&v1::Run) -> bool) -> v1::Run {
    let begun = Instant::now();
    loop {
        let progress = handle.ask(Get { run }).await.unwrap();
        if wanted(&progress) {
            return progress;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{progress:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs whose candidates have so many numbers that their searches advance in the driver, and on another thread.
#[tokio::test]
async fn short_searches_advance_in_place_and_others_beside_the_driver() {
    for (states, population_size) in [(1, 8), (8, 64)] {
        let text = format!(
            "name = \"bowl\"\n[strategy]\nkind = \"random-search\"\npopulation_size = {population_size}\n[rule]\nstates = {states}\nfeedback = \"replace-state0\"\n\
             [evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 1\n[stop]\ngenerations = 3\n"
        );
        let handle = start("memory:").await;
        tokio::spawn(work(handle.clone()));
        let spec = RunSpec::read(&text).unwrap();
        let run = handle.ask(Create::new(new_run_id(), spec)).await.unwrap().run_id().unwrap();
        let ended = until(&handle, run, v1::Run::is_final).await;
        assert_eq!(ended.generation, 3, "{ended:?}");
        let last = ended.last_generation.unwrap();
        assert_eq!(last.evaluations, 3 * population_size, "{last:?}");
    }
}

/// The next event; the test fails if the watch hangs.
async fn next(watch: &mut RunEvents) -> Option<v1::WatchRunResponse> {
    tokio::time::timeout(Duration::from_secs(60), watch.recv()).await.expect("in time")
}

const FULL_DISK_GENERATIONS: u32 = 60;

/// Fills the disk in the midst of a run, frees it (with a new coordinator, if `restart`), and compares the result with
/// an undisturbed run's.
async fn check_full_disk(restart: bool) {
    let undisturbed = start("memory:").await;
    let run = undisturbed
        .ask(Create::new(new_run_id(), spec(FULL_DISK_GENERATIONS)))
        .await
        .unwrap()
        .run_id()
        .unwrap();
    let _worker = tokio::spawn(work(undisturbed.clone()));
    until(&undisturbed, run, v1::Run::is_final).await;
    let expected = undisturbed.ask(GetResult { run }).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let full = Arc::new(AtomicBool::new(false));
    let mut handle = start_filling(&path, &full).await;
    let run =
        handle.ask(Create::new(new_run_id(), spec(FULL_DISK_GENERATIONS))).await.unwrap().run_id().unwrap();
    full.store(true, Ordering::SeqCst);
    // Work goes ahead of the disk: at full speed the run might end before the journal's thread meets the full disk.
    let worker = tokio::spawn(work_slowly(handle.clone(), Duration::from_millis(5)));
    let paused = until(&handle, run, |progress| matches!(progress.state(), Some(RunState::Paused(_)))).await;
    let Some(RunState::Paused(v1::run_state::Paused { reason })) = paused.state() else {
        unreachable!("waited for")
    };
    assert!(reason.contains("the journal cannot be written"), "{reason}");
    assert!(reason.contains("no space left on the disk"), "{reason}");
    assert!(reason.contains(&path.display().to_string()), "{reason}");
    let trouble = handle.ask(Status).await.unwrap().journal_trouble;
    assert!(trouble.as_ref().is_some_and(|trouble| trouble.contains("no space left")), "{trouble:?}");
    let refused = handle.ask(Create::new(new_run_id(), spec(1))).await.unwrap_err();
    assert!(matches!(refused, Refusal::Journal(_)), "{refused}");

    // It stands still, what watchers see is what is on the disk, and reading goes on.
    let waits = |run: &v1::Run| run.leased_episodes == 0 && run.settled_episodes < run.generation_episodes;
    let paused = until(&handle, run, waits).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let still = handle.ask(Get { run }).await.unwrap();
    assert_eq!((still.generation, still.settled_episodes), (paused.generation, paused.settled_episodes));
    assert!(still.generation < FULL_DISK_GENERATIONS);
    let durable = all_generations(&handle, run, 500).await;
    assert!(durable.len() <= still.generation as usize);

    if restart {
        let lost = handle.shut_down().await.unwrap_err().to_string();
        assert!(lost.contains("could not be written"), "{lost}");
        worker.await.unwrap();
        full.store(false, Ordering::SeqCst);
        handle = start_filling(&path, &full).await;
        assert_eq!(handle.ask(Get { run }).await.unwrap().state(), Some(&RunState::RUNNING));
        tokio::spawn(work(handle.clone()));
    } else {
        full.store(false, Ordering::SeqCst);
        // Readers may ask all the time: the next attempt does not wait for their silence.
        let asking = handle.clone();
        let first = move || Generations { run, page: PageRequest { size: 1, token: String::new() } };
        tokio::spawn(async move { while asking.ask(first()).await.is_ok() {} });
    }
    until(&handle, run, v1::Run::is_final).await;
    assert_eq!(handle.ask(Status).await.unwrap().journal_trouble, None);
    let result = handle.ask(GetResult { run }).await.unwrap();
    assert_eq!(
        (result.generations, result.mean, result.best),
        (expected.generations, expected.mean, expected.best)
    );
    let mut watch = handle.ask(Watch { run, after: 0, owner: String::new() }).await.unwrap();
    let mut generations = 0;
    while let Some(event) = next(&mut watch).await {
        if let Some(Event::Generation(summary)) = event.event.and_then(|event| event.kind) {
            assert_eq!(summary.generation, generations, "without a gap");
            generations += 1;
        }
    }
    assert_eq!(generations, result.generations);
    handle.shut_down().await.unwrap();
}

/// What frees room needs none; all else waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_runs_are_cancelled_and_deleted_and_others_go_on_in_their_room() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let handle = start_filling(&folder.path().join("journal.db"), &full).await;
    let _worker = tokio::spawn(work_slowly(handle.clone(), Duration::from_millis(1)));
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(handle.ask(Create::new(new_run_id(), spec(100_000))).await.unwrap().run_id().unwrap());
    }
    until(&handle, runs[0], |run| run.generation >= 20).await;
    full.store(true, Ordering::SeqCst);
    let is_paused = |run: &v1::Run| matches!(run.state(), Some(RunState::Paused(_)));
    until(&handle, runs[0], is_paused).await;
    let act = |run, action| handle.ask(Act { run, action, by: String::new() });
    let refused = act(runs[0], RunAction::Pause).await.unwrap_err().to_string();
    assert!(refused.contains("no space left on the disk"), "{refused}");
    assert!(handle.ask(Create::new(new_run_id(), spec(2))).await.is_err());
    // The cancellation may have to wait for the room that the deletion makes.
    let (cancelled, deleted) = tokio::join!(act(runs[0], RunAction::Cancel), act(runs[0], RunAction::Delete));
    assert!(matches!(cancelled.unwrap().state(), Some(RunState::Cancelled(_))));
    deleted.unwrap();
    let before = until(&handle, runs[1], |run| !is_paused(run)).await.generation;
    until(&handle, runs[1], |run| run.generation > before).await;
    full.store(false, Ordering::SeqCst);
    handle.shut_down().await.unwrap();
    let mut journal = SqliteJournal::open(&folder.path().join("journal.db")).unwrap();
    let left: Vec<RunId> = journal.load().unwrap().into_iter().map(|run| run.unwrap().run).collect();
    assert_eq!(left, [runs[1]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_pauses_the_run_until_there_is_room() {
    check_full_disk(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_on_a_full_disk_goes_on_after_a_restart() {
    check_full_disk(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_with_extended_and_forked_runs_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("journal.sqlite").display());
    let handle = start(&url).await;
    let worker = tokio::spawn(work(handle.clone()));
    let extended = handle.ask(Create::new(new_run_id(), spec(3))).await.unwrap().run_id().unwrap();
    until(&handle, extended, v1::Run::is_final).await;
    worker.abort();
    let limits = StopSpec { generations: Some(6), ..StopSpec::default() };
    handle.ask(Extend { run: extended, limits, by: String::new() }).await.unwrap();
    handle
        .fork((extended, Some(GenerationIndex(2))), spec(6), String::new(), Asker::default())
        .await
        .unwrap();
    let of_group = Create { group: "seeds".to_owned(), ..Create::new(new_run_id(), spec(2)) };
    handle.ask(of_group).await.unwrap();
    // A part of a generation.
    let worker = tokio::spawn(work_slowly(handle.clone(), Duration::from_millis(200)));
    until(&handle, extended, |run| run.generation >= 3 && run.settled_episodes > 0).await;
    worker.abort();
    handle.shut_down().await.unwrap();

    let handle = start(&url).await;
    let found = handle.ask(List::default()).await.unwrap().items;
    let [extended, forked, of_group] = &found[..] else { panic!("{found:?}") };
    assert_eq!((extended.generations_limit, extended.is_final()), (Some(6), false));
    assert!(extended.generation >= 3 && extended.notes.iter().any(|note| note.starts_with("extended")));
    let parent = forked.parent.as_ref().expect("it was forked");
    assert_eq!((&parent.run, parent.generations), (&extended.name, 2));
    assert_eq!(of_group.group, "seeds");
    let worker = tokio::spawn(work(handle.clone()));
    let mut means = Vec::new();
    for run in [extended, forked, of_group] {
        let ended = until(&handle, run.run_id().unwrap(), v1::Run::is_final).await;
        assert!(matches!(ended.state(), Some(RunState::Finished(_))), "{ended:?}");
        assert!(ended.end_time.is_some());
        means.push(handle.ask(GetResult { run: run.run_id().unwrap() }).await.unwrap().mean);
    }
    assert_eq!(means[0], means[1], "the fork did what its parent did");
    handle.shut_down().await.unwrap();
    worker.await.unwrap();
}
