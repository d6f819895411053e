//! One conformance suite for every journal, and what is special about the file.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hebbian_control::command::run::{Act, Create, GetResult, List, RunAction};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{
    Closed, Contributions, Created, LoadedRun, Record, Settled, Snapshot, Write,
};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{self, Journal, JournalError};
use hebbian_proto::convert::from_duration;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::RunSpec;
use hebbian_tests::memory_journal::MemoryJournal;
use rusqlite::Connection;

const RUN: u64 = 77;

fn created() -> Created {
    let spec = RunSpec::read(include_str!("../../examples/quickstart.toml")).unwrap();
    Created {
        spec: Arc::new(spec.into()),
        request_id: "request".into(),
        created_unix_ms: 5,
        group: String::new(),
        origin: None,
        weight: 1.0,
    }
}

fn settled(generation: u32, candidate: u32) -> Record {
    let settlement = Settlement {
        candidate: CandidateIndex(candidate),
        task: TaskIndex(0),
        outcome: Outcome::Evaluated(Evaluation::of(Fitness::new(0.25).unwrap())),
        compute_time: Duration::from_millis(1),
    };
    Record::Settled(Settled {
        generation: GenerationIndex(generation),
        purpose: EpisodePurpose::Search,
        settlements: vec![settlement],
        contributions: Contributions::from([("host".to_owned(), 1)]),
    })
}

fn summary(generation: u32) -> v1::GenerationSummary {
    v1::GenerationSummary {
        generation,
        updates: 10,
        best_fitness: Some(0.5),
        evaluations: 64,
        episodes: 64,
        elapsed: Some(from_duration(Duration::from_secs(1))),
        state_digest: Digest::of(&state(generation)).0.to_vec(),
        ..Default::default()
    }
}

/// Bytes that stand for a strategy's state after a generation.
fn state(generation: u32) -> Vec<u8> {
    vec![generation as u8; 100]
}

fn closed(generation: u32) -> Record {
    let contributions = Contributions::from([("host".to_owned(), 1)]);
    Record::GenerationClosed(Box::new(Closed {
        summary: summary(generation),
        told: Vec::new(),
        contributions,
    }))
}

/// Writes records as transactions of their own.
struct Writer<'a> {
    journal: &'a mut dyn Journal,
    sequence: u64,
}

impl Writer<'_> {
    fn write(&mut self, record: Record) -> Result<(), JournalError> {
        let write = Write::Record { run: RunId::new(RUN), sequence: self.sequence + 1, record };
        self.journal.commit(&[Transaction { position: 1, writes: vec![write], sync: true }], true)?;
        self.sequence += 1;
        Ok(())
    }

    fn close(&mut self, generation: u32) {
        self.write(closed(generation)).unwrap();
        let strategy = state(generation);
        let (closed, digest) = (GenerationIndex(generation + 1), Digest::of(&strategy));
        let snapshot = Snapshot { closed, strategy, digest, best: None };
        let write = Write::Snapshot { run: RunId::new(RUN), snapshot };
        self.journal.commit(&[Transaction { position: 1, writes: vec![write], sync: false }], false).unwrap();
    }
}

/// What every journal must do.
fn check(mut journal: Box<dyn Journal>, reopen: impl Fn(Box<dyn Journal>) -> Box<dyn Journal>) {
    let run = RunId::new(RUN);
    assert_eq!(journal.load().unwrap(), []);
    let epoch = journal.epoch();
    let mut writer = Writer { journal: &mut *journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    for generation in 0..3 {
        writer.write(settled(generation, 0)).unwrap();
        writer.close(generation);
    }
    writer.write(settled(3, 0)).unwrap();
    let paused = RunState::paused("why");
    let elapsed = Duration::from_secs(2);
    writer.write(Record::StateChanged { state: paused.clone(), elapsed, unix_ms: 1 }).unwrap();
    let sequence = writer.sequence;

    let mut journal = reopen(journal);
    assert!(journal.epoch() > epoch, "each opening raises the epoch");
    let stored = journal.load().unwrap();
    assert_eq!(stored.len(), 1);
    let stored = stored[0].as_ref().unwrap();
    assert_eq!((stored.run, &stored.created, stored.sequence), (run, &created(), sequence));
    assert_eq!(stored.snapshot.as_ref().map(|snapshot| snapshot.closed.0), Some(3));
    let changed = Record::StateChanged { state: paused.clone(), elapsed, unix_ms: 1 };
    let expected = [closed(2), settled(3, 0), changed];
    assert_eq!(stored.records, expected, "what the last snapshot closed, and what is behind it");
    assert_eq!(journal.snapshots(run).unwrap().iter().map(|closed| closed.0).collect::<Vec<_>>(), [2, 3]);

    let from = GenerationIndex(1);
    assert_eq!(journal.generations(run, from, 1).unwrap(), [summary(1)]);
    assert_eq!(journal.generations(run, from, 9).unwrap(), [summary(1), summary(2)]);
    let events = journal.events(run, 0, u64::MAX, 100).unwrap();
    let expected = [
        Event::State(RunState::RUNNING.into()),
        Event::Generation(summary(0)),
        Event::Generation(summary(1)),
        Event::Generation(summary(2)),
        Event::State(paused.into()),
    ]
    .map(v1::RunEvent::of);
    assert_eq!(events.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), expected);
    assert!(events.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(journal.events(run, events[1].0, events[3].0, 100).unwrap(), events[2..4]);
    assert_eq!(journal.events(run, 0, u64::MAX, 2).unwrap(), events[..2]);

    let delete = Transaction { position: 1, writes: vec![Write::Delete { run }], sync: true };
    journal.commit(&[delete], true).unwrap();
    assert_eq!(reopen(journal).load().unwrap(), []);
}

#[test]
fn the_journal_in_memory_conforms() {
    let journal = MemoryJournal::default();
    // The trait object hides its contents: the copy on the disk is one that the same writes made.
    let shared = std::sync::Arc::new(std::sync::Mutex::new(journal));
    check(Box::new(Shared(Arc::clone(&shared), 0)), |_| {
        let mut journal = shared.lock().unwrap();
        *journal = journal.reopen();
        Box::new(Shared(Arc::clone(&shared), journal.epoch()))
    });
}

/// A journal in memory that outlives its opening.
struct Shared(Arc<std::sync::Mutex<MemoryJournal>>, u64);

impl Journal for Shared {
    fn store(&self) -> &'static str {
        "memory:"
    }

    fn epoch(&self) -> u64 {
        self.1
    }

    fn load(&mut self) -> Result<Vec<LoadedRun>, JournalError> {
        self.0.lock().unwrap().load()
    }

    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError> {
        self.0.lock().unwrap().commit(transactions, sync)
    }

    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<v1::GenerationSummary>, JournalError> {
        self.0.lock().unwrap().generations(run, from, limit)
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        self.0.lock().unwrap().snapshots(run)
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        self.0.lock().unwrap().snapshot(run, closed)
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<journal::StoredEvent>, JournalError> {
        self.0.lock().unwrap().events(run, after, up_to, limit)
    }
}

#[test]
fn the_journal_in_a_file_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    check(Box::new(SqliteJournal::open(&path).unwrap()), |journal| {
        drop(journal);
        Box::new(SqliteJournal::open(&path).unwrap())
    });
}

/// The message is one line that names the file and says what is wrong with it.
fn check_message(error: &str, path: &Path, expected: &str) {
    assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    assert!(error.contains(&path.display().to_string()), "names the file: {error}");
}

/// The file cannot be opened as a journal, or not be read, and is left alone.
fn check_refused(path: &Path, expected: &str) {
    let before = fs::read(path).ok();
    let error = SqliteJournal::open(path).and_then(|mut journal| journal.load()).expect_err(expected);
    check_message(&error.to_string(), path, expected);
    assert_eq!(fs::read(path).ok(), before, "a refused file is left alone");
}

/// A journal in a file with a run of some generations.
fn written(path: &Path) {
    let mut journal = SqliteJournal::open(path).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    for generation in 0..200 {
        writer.write(settled(generation, 0)).unwrap();
        writer.close(generation);
    }
}

#[test]
fn files_that_are_no_journals_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, "not a database, but long enough to have a header of a hundred bytes ".repeat(20))
        .unwrap();
    check_refused(&path, "is not a hebbian journal");
    check_refused(folder.path(), "is a directory");
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photographs (name TEXT)").unwrap();
    check_refused(&path, "not a hebbian journal");
    check_refused(&folder.path().join("missing").join("journal.db"), "missing does not exist; make it first");
    assert!(journal::open("postgres:there").err().unwrap().to_string().contains("sqlite:PATH"));
    assert!(journal::open("memory:").is_ok());
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    check_refused(&path, "was written by a newer hebbian (format 2, this one reads up to 1)");
}

/// What is wrong with the only run of a journal whose file was changed by `sql`.
fn problem_after(path: &Path, sql: &str) -> String {
    assert!(Connection::open(path).unwrap().execute(sql, []).unwrap() > 0);
    let mut runs = SqliteJournal::open(path).unwrap().load().unwrap();
    let unreadable = runs.remove(0).unwrap_err();
    assert_eq!((unreadable.run, unreadable.name.as_str()), (RunId::new(RUN), created().spec.name.as_str()));
    unreadable.problem
}

#[test]
fn records_that_cannot_be_read_end_their_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (sql, expected) in [
        ("UPDATE generations SET record = x'fa0100'", "a record of a kind that this program does not know"),
        ("UPDATE records SET record = x'ff' WHERE kind = 'created'", "decode"),
        ("DELETE FROM records WHERE kind = 'created'", "does not begin with its creation"),
    ] {
        let path = folder.path().join("journal.db");
        written(&path);
        let problem = problem_after(&path, sql);
        assert!(problem.contains(expected), "{sql}: {problem}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_damaged_journal_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    let whole = fs::read(&path).unwrap();
    for kept in [whole.len() / 2, whole.len() - 4096, 5000, 50] {
        fs::write(&path, &whole[..kept]).unwrap();
        check_refused(&path, "damaged");
    }
    let mut overwritten = whole.clone();
    overwritten[whole.len() / 2..].fill(0xab);
    fs::write(&path, &overwritten).unwrap();
    check_refused(&path, "damaged");
    fs::write(&path, &whole).unwrap();
    assert_eq!(SqliteJournal::open(&path).unwrap().load().unwrap().len(), 1, "the whole file is a journal");
}

#[test]
fn a_read_only_journal_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    // The header's version for writers is one to come: SQLite then reads only, also for root, whom permissions do not
    // stop. (File format, section 1.3.3.)
    let mut bytes = fs::read(&path).unwrap();
    bytes[18] = 3;
    fs::write(&path, bytes).unwrap();
    check_refused(&path, "the file is read-only");
}

#[test]
fn a_journal_that_another_program_writes_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    check_refused(&path, "another program has locked the file");
    other.execute_batch("ROLLBACK").unwrap();
    SqliteJournal::open(&path).unwrap();
}

#[tokio::test]
async fn a_run_that_cannot_be_taken_up_ends_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    // Its records tell a search of no candidates.
    written(&path);
    Connection::open(&path).unwrap().execute("DELETE FROM snapshots", []).unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    let (handle, _) = driver::start(DriverSettings::default(), Box::new(journal)).await.unwrap();
    let run = RunId::new(RUN);
    let other = handle.create(Create::new(RunId::new(5), RunSpec::clone(&created().spec))).await.unwrap();
    let listed = handle.ask(List::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(v1::Run::id).collect::<Vec<_>>(), [run.to_string().as_str(), other.id()]);
    let Some(RunState::Failed(v1::run_state::Failed { reason })) = listed[0].state() else {
        panic!("{listed:?}")
    };
    assert!(reason.contains("generation 0 cannot be computed again"), "{reason}");
    assert_eq!(other.state(), Some(&RunState::RUNNING));
    let refused = handle.ask(GetResult { run }).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be taken up: generation 0"), "{refused}");
    let refused = handle.ask(Act { run, action: RunAction::Resume }).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be taken up: generation 0"), "{refused}");
    handle.ask(Act { run, action: RunAction::Delete }).await.unwrap();
    assert_eq!(handle.ask(List::default()).await.unwrap().items.len(), 1);
    handle.shut_down().await.unwrap();
}

#[test]
fn a_second_live_coordinator_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let first = SqliteJournal::open(&path).unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    check_message(&error.to_string(), &path, "another hebbian process is using this journal");
    drop(first);
    SqliteJournal::open(&path).unwrap();
}

/// A link to the journal once had a lock of its own, and the second coordinator put an end to the first.
#[cfg(unix)]
#[test]
fn a_link_to_a_journal_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let first = SqliteJournal::open(&path).unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = SqliteJournal::open(&link).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    drop(first);
    SqliteJournal::open(&link).unwrap();
}

#[test]
fn an_older_epoch_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut old = SqliteJournal::open(&path).unwrap();
    // As if the lock were lost, for example on a network file system.
    fs::remove_file(folder.path().join("journal.db.lock")).unwrap();
    let _new = SqliteJournal::open(&path).unwrap();
    let error = Writer { journal: &mut old, sequence: 0 }.write(Record::Created(created())).unwrap_err();
    assert!(matches!(error, JournalError::Superseded { .. }), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_full_disk_is_passing_trouble_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    Writer { journal: &mut journal, sequence: 0 }.write(Record::Created(created())).unwrap();
    journal.limit_size(0).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 1 };
    let mut written = 0;
    let error = loop {
        match writer.write(Record::Note { text: format!("{written} {}", "x".repeat(1000)) }) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_transient() && error.to_string().contains("no space left"), "{error}");
    journal.limit_size(u64::MAX).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 1 + written };
    writer.write(Record::Note { text: "there is room again".into() }).unwrap();
    assert_eq!(journal.load().unwrap()[0].as_ref().unwrap().records.len() as u64, written + 1);
}
