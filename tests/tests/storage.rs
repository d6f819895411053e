//! One conformance suite for every journal, and what is special about the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bench::standing;
use hebbian_control::command::run::{Act, Create, GetResult, List, RunAction};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{
    Closed, Contributions, Created, LoadedRun, Maker, Record, Settled, Snapshot, StoredRun, StoredStanding,
    Write,
};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{self, Journal, JournalError, KeptSnapshots};
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
use rusqlite::Connection;

pub(crate) const RUN: u64 = 77;

pub(crate) fn created() -> Created {
    let spec = RunSpec::read(include_str!("../../examples/quickstart.toml")).unwrap();
    Created {
        spec: Arc::new(spec.into()),
        request_id: "request".into(),
        created_unix_ms: 5,
        group: String::new(),
        origin: None,
        weight: 1.0,
        owner: String::new(),
    }
}

pub(crate) fn settled(generation: u32, candidate: u32) -> Record {
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
        makers: vec![Maker { worker: "host".to_owned(), session: 0, episodes: 1 }],
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
        turn: None,
    }))
}

/// Writes records as transactions of their own.
pub(crate) struct Writer<'a> {
    pub(crate) journal: &'a mut dyn Journal,
    pub(crate) sequence: u64,
}

impl Writer<'_> {
    pub(crate) fn write(&mut self, record: Record) -> Result<(), JournalError> {
        let write = Write::Record { run: RunId::new(RUN), sequence: self.sequence + 1, record };
        self.journal.commit(&[Transaction { position: 1, writes: vec![write], sync: true }], true)?;
        self.sequence += 1;
        Ok(())
    }

    pub(crate) fn close(&mut self, generation: u32) {
        self.write(closed(generation)).unwrap();
        let strategy = state(generation);
        let (closed, digest) = (GenerationIndex(generation + 1), Digest::of(&strategy));
        let snapshot = Snapshot { closed, strategy, digest, best: None };
        let write = Write::Snapshot { run: RunId::new(RUN), snapshot };
        self.journal.commit(&[Transaction { position: 1, writes: vec![write], sync: false }], false).unwrap();
    }
}

/// What every journal must do.
pub(crate) fn check(mut journal: Box<dyn Journal>, reopen: impl Fn(Box<dyn Journal>) -> Box<dyn Journal>) {
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

    let goes_on = |standing: &StoredStanding| matches!(standing, StoredStanding::Loaded(Ok(loaded)) if loaded == stored);
    assert!(matches!(&standing(&mut *journal)[..], [only] if goes_on(only)));

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

    fn kept(&self) -> KeptSnapshots {
        self.0.lock().unwrap().kept()
    }

    fn epoch(&self) -> u64 {
        self.1
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        self.0.lock().unwrap().load_each(take)
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        self.0.lock().unwrap().run(run)
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
    let path = folder.path().join("empty");
    fs::write(&path, "").unwrap();
    check_refused(&path, "is an empty file, not a hebbian journal; remove it");
    check_refused(Path::new("/dev/null"), "is a device or a pipe; a journal is a regular file");
    let path = folder.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    check_refused(&path, "is a link to a file that is not there");
    assert!(!names(folder.path()).iter().any(|name| name.contains(".lock")), "nothing is left");
    assert!(!Path::new("/dev/null.lock").exists());
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photographs (name TEXT)").unwrap();
    check_refused(&path, "not a hebbian journal");
    check_refused(&folder.path().join("missing").join("journal.db"), "missing does not exist; make it first");
    assert!(journal::open("postgres:there").err().unwrap().to_string().contains("sqlite:PATH"));
    assert!(journal::open("memory:").is_ok());
}

/// Code in a file is not run: a trigger once wrote as much as the disk held when the epoch was raised.
#[test]
fn a_journal_that_holds_more_or_other_than_its_tables_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    let whole = fs::read(&path).unwrap();
    for (sql, expected) in [
        (
            "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN INSERT INTO runs VALUES (9, 'x', 'x', 'x', 'x', 'x', 1); END",
            "it has a trigger `t`, which is not hebbian's",
        ),
        ("CREATE VIEW v AS SELECT * FROM runs", "it has a view `v`"),
        ("CREATE TABLE mine (x)", "it has a table `mine`"),
        ("CREATE INDEX i ON runs (name)", "it has a index `i`"),
        ("DROP INDEX settled_by_generation", "it lacks `settled_by_generation`"),
        (
            "DROP TABLE meta; CREATE VIEW meta AS SELECT 'epoch' AS key, 1 AS value",
            "its view `meta` is not as hebbian",
        ),
        ("ALTER TABLE runs ADD COLUMN more", "its table `runs` is not as hebbian makes it"),
        (
            "UPDATE runs SET number = 9223372036854775807",
            "has the number 9223372036854775807, which none can have",
        ),
        ("UPDATE runs SET number = -number", "has the number -1, which none can have"),
    ] {
        fs::write(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        check_refused(&path, expected);
        let read = JournalReader::open(&path).expect_err(expected);
        check_message(&read.to_string(), &path, expected);
    }
    fs::write(&path, &whole).unwrap();
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    SqliteJournal::open(&path).unwrap();
}

/// The number of the next run is in no checksum. Whatever stands there, the next one can be created.
#[test]
fn a_damaged_counter_of_runs_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    written(&path);
    let whole = fs::read(&path).unwrap();
    for seq in ["9223372036854775807", "-5", "0", "'abc'", "NULL", "1.5"] {
        // Beside it nobody remembers another copy.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        fs::write(&path, &whole).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute(&format!("UPDATE sqlite_sequence SET seq = {seq}"), [])
            .unwrap();
        assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap().len(), 1, "{seq}");
        drop(SqliteJournal::open(&path).unwrap());
        let counted = "SELECT typeof(seq) || ((SELECT max(number) FROM runs) - seq) FROM sqlite_sequence";
        let counted: String =
            Connection::open(&path).unwrap().query_row(counted, [], |row| row.get(0)).unwrap();
        assert_eq!(counted, "integer0", "{seq}");
    }
}

/// All names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn reading_writes_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal ? %.db");
    written(&path);
    let before = names(folder.path());
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(names(folder.path()), before, "also while it reads");
    assert_eq!(reader.verify().unwrap().len(), 1);
    // A coordinator that begins meanwhile is noticed.
    let journal = SqliteJournal::open(&path).unwrap();
    assert!(reader.verify().unwrap_err().to_string().contains("a coordinator has begun to use it"));
    let beside = JournalReader::open(&path).unwrap();
    assert_eq!(beside.verify().unwrap().len(), 1);
    let log = fs::read(folder.path().join("journal ? %.db-wal")).unwrap();
    drop(beside);
    let main = fs::read(&path).unwrap();
    drop(journal);
    // As if it had been killed and the machine restarted: the log is there, its index is not.
    fs::write(&path, main).unwrap();
    fs::write(folder.path().join("journal ? %.db-wal"), log).unwrap();
    let before = names(folder.path());
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap().len(), 1);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn nothing_is_acknowledged_that_is_written_to_a_file_without_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let away = folder.path().join("away");
    let mut journal = SqliteJournal::open(&path).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    let note = |text: &str| Record::Note { text: text.to_owned() };
    for name in ["journal.db", "journal.db-wal"] {
        let named = folder.path().join(name);
        let refused = |writer: &mut Writer<'_>, expected: &str| {
            let error = writer.write(note("lost")).unwrap_err();
            assert!(error.is_transient() && error.to_string().contains(expected), "{error}");
        };
        fs::rename(&named, &away).unwrap();
        refused(&mut writer, "has been removed or moved while it is in use");
        fs::copy(&away, &named).unwrap();
        refused(&mut writer, "has been replaced while it is in use");
        fs::rename(&away, &named).unwrap();
        writer.write(note("it is back")).unwrap();
    }
    assert_eq!(journal.load().unwrap()[0].as_ref().unwrap().records.len(), 2);
}

/// A journal with some acknowledged commits, as it is on the disk while it is in use: most of it is in the log.
fn in_use(folder: &Path) -> SqliteJournal {
    let mut journal = SqliteJournal::open(&folder.join("journal.db")).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    for generation in 0..20 {
        writer.write(settled(generation, 0)).unwrap();
        writer.close(generation);
    }
    journal
}

/// Whatever has the name of a journal's part and can keep nothing: both judges refuse it, with the same words, and touch nothing.
#[test]
fn parts_of_a_journal_that_keep_nothing_are_refused_by_both_judges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(in_use(folder.path()));
    let link = |to: &str, part: &Path| std::os::unix::fs::symlink(to, part).unwrap();
    for ending in [".lock", "-wal", "-shm", "-journal"] {
        let part = folder.path().join(format!("journal.db{ending}"));
        for kind in ["directory", "pipe", "device", "link"] {
            let _ = fs::remove_file(&part);
            match kind {
                "directory" => fs::create_dir(&part).unwrap(),
                "pipe" => {
                    assert!(std::process::Command::new("mkfifo").arg(&part).status().unwrap().success());
                }
                "device" => link("/dev/null", &part),
                _ => link("nowhere", &part),
            }
            let started = SqliteJournal::open(&path).unwrap_err().to_string();
            let fault =
                if kind == "link" { "is a link to a file that" } else { "is no regular file; remove that" };
            check_message(&started, &part, fault);
            assert_eq!(JournalReader::open(&path).unwrap_err().to_string(), started);
            assert!(part.is_symlink() || part.exists(), "{kind} is left alone");
            assert!(!folder.path().join("nowhere").exists(), "nothing is made at the other end of a link");
            if kind == "directory" { fs::remove_dir(&part) } else { fs::remove_file(&part) }.unwrap();
        }
    }
    // An empty log is what a coordinator leaves that was killed after it had moved all into the file.
    fs::write(folder.path().join("journal.db-wal"), "").unwrap();
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap().len(), 1);
    assert_eq!(SqliteJournal::open(&path).unwrap().load().unwrap().len(), 1);
}

/// Who tidies up behind a coordinator takes no evidence away.
#[test]
fn a_witness_that_is_removed_or_replaced_bears_witness_again() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = in_use(folder.path());
        let lock = folder.path().join("journal.db.lock");
        fs::remove_file(&lock).unwrap();
        if replaced {
            fs::write(&lock, "").unwrap();
        }
        let mut writer = Writer { journal: &mut journal, sequence: 100 };
        writer.write(Record::Note { text: "after that".into() }).unwrap();
        let second = SqliteJournal::open(&folder.path().join("journal.db")).unwrap_err().to_string();
        assert!(second.contains("another hebbian process is using this journal"), "{second}");
        let elsewhere = tempfile::tempdir().unwrap();
        // Without its log.
        for name in ["journal.db", "journal.db.lock"] {
            fs::copy(folder.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        let lost = SqliteJournal::open(&elsewhere.path().join("journal.db")).unwrap_err().to_string();
        assert!(lost.contains("was acknowledged"), "{lost}");
    }
}

/// SQLite takes a log that was lost, shortened or damaged for a shorter one, and says nothing.
#[test]
fn what_was_acknowledged_and_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let _journal = in_use(folder.path());
    let log = fs::read(folder.path().join("journal.db-wal")).unwrap();
    let crash = |change: &dyn Fn(&Path)| {
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["journal.db", "journal.db-wal", "journal.db.lock"] {
            fs::copy(folder.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        change(elsewhere.path());
        elsewhere
    };
    let untouched = crash(&|_| {});
    assert_eq!(SqliteJournal::open(&untouched.path().join("journal.db")).unwrap().load().unwrap().len(), 1);
    let mut flipped = log.clone();
    flipped[log.len() / 2] ^= 4;
    let change = |what: &str, log_path: &Path| match what {
        "removed" => fs::remove_file(log_path).unwrap(),
        "shortened" => fs::write(log_path, &log[..log.len() / 2]).unwrap(),
        _ => fs::write(log_path, &flipped).unwrap(),
    };
    for what in ["removed", "shortened", "flipped"] {
        let place = crash(&|folder| change(what, &folder.join("journal.db-wal")));
        let path = place.path().join("journal.db");
        let verified =
            JournalReader::open(&path).and_then(|reader| reader.verify()).expect_err(what).to_string();
        let started = SqliteJournal::open(&path).expect_err(what).to_string();
        assert_eq!(started, verified);
        // 41 records and 20 snapshots, of which the snapshots were not waited for.
        assert!(
            started.contains("but commit 60 was acknowledged") && started.contains("are lost"),
            "{started}"
        );
        // Whoever wants to go on from there says so.
        fs::remove_file(place.path().join("journal.db.lock")).unwrap();
        open_alone(&path).unwrap();
    }
}

#[test]
fn a_copy_that_was_made_for_going_on_is_no_loss_and_an_older_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(in_use(folder.path()));
    let (older, copy) = (folder.path().join("older.db"), folder.path().join("copy.db"));
    fs::copy(&path, &older).unwrap();
    JournalReader::open(&path).unwrap().copy_to(&copy).unwrap();
    let mut journal = SqliteJournal::open(&path).unwrap();
    Writer { journal: &mut journal, sequence: 100 }.write(Record::Note { text: "later".into() }).unwrap();
    drop(journal);
    fs::copy(&older, &path).unwrap();
    check_refused(&path, "an older copy was put in its place");
    fs::copy(&copy, &path).unwrap();
    SqliteJournal::open(&path).unwrap();
}

#[test]
fn counters_that_are_missing_or_beyond_counting_are_refused_by_both_judges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    for sql in [
        "DELETE FROM meta",
        "DELETE FROM meta WHERE key = 'epoch'",
        "UPDATE meta SET value = 9223372036854775807 WHERE key = 'epoch'",
        "UPDATE meta SET value = -1 WHERE key = 'commits'",
        "UPDATE meta SET value = 'x' WHERE key = 'journal'",
    ] {
        written(&path);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        check_refused(&path, "its counter `");
        let verified = JournalReader::open(&path).unwrap().verify().unwrap_err();
        check_message(&verified.to_string(), &path, "its counter `");
        fs::remove_file(&path).unwrap();
    }
}

/// Opens a journal that no other test uses: a process that one of them starts at this moment has the locks of this one for an instant.
fn open_alone(path: &Path) -> Result<SqliteJournal, JournalError> {
    loop {
        match SqliteJournal::open(path) {
            Err(JournalError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// How often something is damaged.
fn flips() -> usize {
    std::env::var("HEBBIAN_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(300)
}

/// Numbers that are the same each time.
pub(crate) fn numbers() -> impl FnMut() -> usize {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    }
}

/// The same of a journal that was in use when its process was killed: most of it is in its log.
#[test]
fn whatever_is_damaged_of_a_log_both_judges_agree_and_nothing_is_lost_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let files: Vec<(PathBuf, Vec<u8>)> = {
        let _journal = in_use(folder.path());
        let names = ["journal.db", "journal.db-wal", "journal.db.lock"].map(|name| folder.path().join(name));
        names.into_iter().map(|name| (name.clone(), fs::read(name).unwrap())).collect()
    };
    let restore = |damaged: Option<(usize, &[u8])>| {
        // The log's index is gone with the process.
        let _ = fs::remove_file(folder.path().join("journal.db-shm"));
        for (place, (name, whole)) in files.iter().enumerate() {
            let bytes = damaged.filter(|(of, _)| *of == place).map_or(&whole[..], |(_, bytes)| bytes);
            fs::write(name, bytes).unwrap();
        }
    };
    restore(None);
    let load = || open_alone(&path).and_then(|mut journal| journal.load());
    let original = load().unwrap().remove(0).unwrap();
    let mut next = numbers();
    let (mut refused, mut failed, mut accepted) = (0, 0, 0);
    for flip in 0..flips() {
        // The log for the most part, and what is not in it.
        let of = usize::from(flip % 8 != 0);
        let mut damaged = files[of].1.clone();
        let place = next() % damaged.len();
        if flip % 10 == 0 {
            damaged.truncate(place);
        } else {
            damaged[place] ^= 1 << (next() % 8);
        }
        restore(Some((of, &damaged)));
        let verified = JournalReader::open(&path).and_then(|reader| reader.verify());
        restore(Some((of, &damaged)));
        match (verified, load()) {
            (Err(_), Err(_)) => refused += 1,
            (Ok(reports), Ok(runs)) => {
                assert_eq!(reports.len(), runs.len(), "flip {flip} of file {of} at {place}");
                for (report, loaded) in reports.iter().zip(runs) {
                    match loaded {
                        Err(unreadable) => {
                            let problem = [unreadable.problem];
                            assert_eq!(report.problems, problem, "flip {flip} of file {of} at {place}");
                            failed += 1;
                        }
                        Ok(stored) => {
                            // A damaged snapshot is passed over for an older one; nothing else may be another.
                            assert_eq!(
                                stored.created, original.created,
                                "flip {flip} of file {of} at {place}"
                            );
                            assert_eq!(
                                stored.sequence, original.sequence,
                                "flip {flip} of file {of} at {place}"
                            );
                            accepted += 1;
                        }
                    }
                }
            }
            (verified, started) => {
                panic!("flip {flip} of file {of} at {place}: {verified:?} but {started:?}")
            }
        }
    }
    println!("{refused} refused, {failed} runs failed, {accepted} without an effect");
    assert!(refused > 0 && accepted > 0, "{refused} refused, {failed} failed, {accepted} accepted");
}

/// Each bit of the header in turn: it says what SQLite may do with the file at all.
#[test]
fn whichever_bit_of_the_header_is_damaged_both_judges_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(in_use(folder.path()));
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for bit in 0..800 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        let verified = JournalReader::open(&path).and_then(|reader| reader.verify());
        let started = open_alone(&path).and_then(|mut journal| journal.load());
        match (verified, started) {
            (Err(_), Err(_)) => refused += 1,
            (Ok(reports), Ok(runs)) => {
                assert_eq!(reports.len(), runs.len(), "bit {bit}");
                for (report, loaded) in reports.iter().zip(runs) {
                    let problem = loaded.err().map(|unreadable| unreadable.problem);
                    assert!(
                        problem.is_none_or(|problem| report.problems == [problem]),
                        "bit {bit}: {report:?}"
                    );
                }
            }
            (verified, started) => panic!("bit {bit}: {verified:?} but {started:?}"),
        }
    }
    assert!(refused > 0);
    let mut newer = whole.clone();
    newer[18] = 3;
    fs::write(&path, &newer).unwrap();
    check_refused(&path, "byte 18 of its header is 3");
}

/// Bytes are flipped and ends cut off: start and verification agree, nothing panics, and what is accepted is what was
/// written. `HEBBIAN_FLIPS` says how often.
#[test]
fn whatever_is_damaged_both_judges_agree_and_nothing_changes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(in_use(folder.path()));
    let whole = fs::read(&path).unwrap();
    let load = || open_alone(&path).and_then(|mut journal| journal.load());
    let original = load().unwrap().remove(0).unwrap();
    let flips = flips();
    let mut next = numbers();
    let (mut refused, mut failed) = (0, 0);
    for flip in 0..flips {
        let mut damaged = whole.clone();
        let place = next() % whole.len();
        if flip % 10 == 0 {
            damaged.truncate(place);
        } else {
            damaged[place] ^= 1 << (next() % 8);
        }
        fs::write(&path, &damaged).unwrap();
        let verified = JournalReader::open(&path).and_then(|reader| reader.verify());
        let started = load();
        match (verified, started) {
            (Err(_), Err(_)) => refused += 1,
            (Ok(reports), Ok(runs)) => {
                assert_eq!(reports.len(), runs.len(), "flip {flip} at {place}");
                for (report, loaded) in reports.iter().zip(runs) {
                    match loaded {
                        Err(unreadable) => {
                            assert_eq!(report.problems, [unreadable.problem], "flip {flip} at {place}");
                            failed += 1;
                        }
                        Ok(stored) => {
                            assert_eq!(stored.created, original.created, "flip {flip} at {place}");
                            assert_eq!(stored.sequence, original.sequence, "flip {flip} at {place}");
                            // A damaged snapshot is passed over for an older one.
                            let last = |stored: &StoredRun| stored.records.last().cloned();
                            assert_eq!(last(&stored), last(&original), "flip {flip} at {place}");
                        }
                    }
                }
            }
            (verified, started) => panic!("flip {flip} at {place}: {verified:?} but {started:?}"),
        }
    }
    assert!(refused > 0 && failed > 0, "{refused} refused, {failed} failed");
}

/// The same of what a start reads of a run that has ended, and of one that goes on: what is accepted is shown as it was, and a run that
/// cannot be read has the problem that `verify` tells.
#[test]
fn whatever_is_damaged_a_start_reads_of_ended_runs_what_verify_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = in_use(folder.path());
    let mut writer = Writer { journal: &mut journal, sequence: 100 };
    let elapsed = Duration::from_secs(9);
    writer.write(Record::StateChanged { state: RunState::CANCELLED, elapsed, unix_ms: 7 }).unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let start = || open_alone(&path).map(|mut journal| standing(&mut journal));
    let original = start().unwrap();
    assert!(matches!(&original[..], [StoredStanding::Ended(_)]), "{original:?}");
    let mut next = numbers();
    let (mut refused, mut failed, mut accepted) = (0, 0, 0);
    for flip in 0..flips() {
        let mut damaged = whole.clone();
        let place = next() % whole.len();
        if flip % 10 == 0 {
            damaged.truncate(place);
        } else {
            damaged[place] ^= 1 << (next() % 8);
        }
        fs::write(&path, &damaged).unwrap();
        let verified = JournalReader::open(&path).and_then(|reader| reader.verify());
        match (verified, start()) {
            (Err(_), Err(_)) => refused += 1,
            (Ok(reports), Ok(found)) => {
                // A flip in the key of a sum makes it another run's, of which there is nothing else.
                assert_eq!(reports.len(), found.len(), "flip {flip} at {place}");
                for (report, found) in reports.iter().zip(found) {
                    match found {
                        StoredStanding::Loaded(Err(unreadable)) => {
                            assert_eq!(report.problems, [unreadable.problem], "flip {flip} at {place}");
                            failed += 1;
                        }
                        found => {
                            assert_eq!(found, original[0], "flip {flip} at {place}");
                            accepted += 1;
                        }
                    }
                }
            }
            (verified, started) => panic!("flip {flip} at {place}: {verified:?} but {started:?}"),
        }
    }
    println!("{refused} refused, {failed} runs failed, {accepted} without an effect");
    assert!(
        refused > 0 && failed > 0 && accepted > 0,
        "{refused} refused, {failed} failed, {accepted} accepted"
    );
}

#[test]
fn a_log_without_its_journal_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let log = folder.path().join("journal.db-wal");
    fs::write(&log, "what was committed last").unwrap();
    check_refused(&path, "is missing, but its log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "what was committed last");
    assert_eq!(names(folder.path()), ["journal.db-wal"]);
    fs::write(&log, "").unwrap();
    SqliteJournal::open(&path).unwrap();
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
    assert_eq!(unreadable.run, RunId::new(RUN));
    // Who reads says the same as who starts.
    let reports = JournalReader::open(path).unwrap().verify().unwrap();
    assert_eq!(reports[0].problems, std::slice::from_ref(&unreadable.problem));
    unreadable.problem
}

#[test]
fn records_that_cannot_be_read_end_their_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (sql, expected) in [
        ("UPDATE generations SET record = x'fa0100'", "a row of `generations` is damaged"),
        ("UPDATE generations SET generation = 300 WHERE generation = 3", "a row of `generations` is damaged"),
        (
            "UPDATE generations SET sequence = sequence + 1000 WHERE generation = 199",
            "a row of `generations` is damaged",
        ),
        ("UPDATE records SET record = x'ff' WHERE kind = 'created'", "a row of `records` is damaged"),
        ("UPDATE records SET sequence = 9 WHERE kind = 'created'", "a row of `records` is damaged"),
        ("UPDATE runs SET name = '' || name || '', spec = '{}'", "a row of `runs` is damaged"),
        ("DELETE FROM runs", "its row of `runs` is missing"),
        ("DELETE FROM records WHERE kind = 'created'", "does not begin with its creation"),
        ("DELETE FROM generations WHERE generation = 100", "generation 100 is missing"),
        ("DELETE FROM generations WHERE generation = 0", "generation 0 is missing"),
    ] {
        let path = folder.path().join("journal.db");
        written(&path);
        let problem = problem_after(&path, sql);
        assert!(problem.contains(expected), "{sql}: {problem}");
        fs::remove_file(&path).unwrap();
    }
}

/// A checksum says nothing of rows that are gone.
#[test]
fn rows_that_were_acknowledged_and_are_gone_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let make = || {
        written(&path);
        let mut journal = SqliteJournal::open(&path).unwrap();
        let mut writer = Writer { journal: &mut journal, sequence: 1000 };
        writer.write(Record::Note { text: "the power failed".into() }).unwrap();
        for state in [RunState::paused("lunch"), RunState::RUNNING] {
            let elapsed = Duration::from_secs(9);
            writer.write(Record::StateChanged { state, elapsed, unix_ms: 7 }).unwrap();
        }
        drop(journal);
        assert_eq!(SqliteJournal::open(&path).unwrap().load().unwrap()[0].as_ref().unwrap().sequence, 1003);
    };
    for which in ["kind = 'note'", "kind = 'state_changed'", "sequence = 1003"] {
        make();
        let problem = problem_after(&path, &format!("DELETE FROM records WHERE {which}"));
        assert_eq!(problem, "rows of it that were acknowledged are missing", "{which}");
        fs::remove_file(&path).unwrap();
    }
    // All of a run.
    let tables = "DELETE FROM records; DELETE FROM generations; DELETE FROM snapshots; DELETE FROM runs;";
    make();
    Connection::open(&path).unwrap().execute_batch(tables).unwrap();
    let lost = SqliteJournal::open(&path).unwrap().load().unwrap().remove(0).unwrap_err().problem;
    assert_eq!(lost, "its row of `runs` is missing");
    let sums = "DELETE FROM meta WHERE key GLOB 'rows *'";
    Connection::open(&path).unwrap().execute_batch(sums).unwrap();
    check_refused(&path, "1 runs are missing that were acknowledged");
    let verified = JournalReader::open(&path).unwrap().verify().unwrap_err();
    check_message(&verified.to_string(), &path, "1 runs are missing that were acknowledged");
    // What an operator deletes is not missing.
    fs::remove_file(&path).unwrap();
    make();
    let mut journal = SqliteJournal::open(&path).unwrap();
    let writes = vec![Write::Delete { run: RunId::new(RUN) }];
    journal.commit(&[Transaction { position: 1, writes, sync: true }], true).unwrap();
    drop(journal);
    assert_eq!(SqliteJournal::open(&path).unwrap().load().unwrap(), []);
    assert_eq!(JournalReader::open(&path).unwrap().verify().unwrap(), []);
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
    let refused =
        handle.ask(Act { run, action: RunAction::Resume, by: String::new() }).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be taken up: generation 0"), "{refused}");
    handle.ask(Act { run, action: RunAction::Delete, by: String::new() }).await.unwrap();
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

/// With a lock by name alone, the second coordinator wrote to another log of the same file.
#[cfg(unix)]
#[test]
fn another_name_of_a_journal_in_use_is_refused_and_so_is_another_file_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let first = SqliteJournal::open(&path).unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    for name in ["other.db", "below/journal.db"] {
        let alias = folder.path().join(name);
        fs::hard_link(&path, &alias).unwrap();
        let error = SqliteJournal::open(&alias).unwrap_err();
        assert!(matches!(error, JournalError::Locked { .. }), "{error}");
        fs::remove_file(&alias).unwrap();
    }
    // As if a copy had been put in its place.
    fs::rename(&path, folder.path().join("away.db")).unwrap();
    fs::copy(folder.path().join("away.db"), &path).unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    fs::rename(folder.path().join("away.db"), &path).unwrap();
    drop(first);
    SqliteJournal::open(&path).unwrap();
}

#[test]
fn an_older_epoch_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut old = SqliteJournal::open(&path).unwrap();
    // As if the locks were lost, for example on a network file system, and another coordinator had opened it.
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'", [])
        .unwrap();
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
