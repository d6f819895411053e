//! The journal in PostgreSQL: the suite of all journals, and what is special about a server and a connection to it.
//!
//! Where no server is installed these tests say so and check nothing; `tests/slow/run postgres` installs one.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_control::command::coordinator::Status;
use hebbian_control::command::run::{Create, GetResult};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Record, StoredStanding, Write};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::new_run_id;
use hebbian_coordinator::journal::migrate::migrate;
use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_coordinator::journal::{self, Journal, JournalError, Notice};
use hebbian_coordinator::service::{self, TransportSettings, connection};
use hebbian_proto::figures::RunState;
use hebbian_shared::id::RunId;
use hebbian_tests::postgres::Server;
use hebbian_worker::session::Coordinators;
use tokio_util::sync::CancellationToken;

use crate::bench::standing;
use crate::cluster::{self, Worker, closed};
use crate::storage::{RUN, Writer, created, numbers, settled};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(address: &str) -> Result<Box<dyn Journal>, JournalError> {
    journal::open(address)
}

fn refused(address: &str) -> String {
    open(address).map(|journal| journal.epoch()).expect_err(address).to_string()
}

fn verify(address: &str) -> Result<Vec<hebbian_coordinator::journal::reader::RunReport>, JournalError> {
    JournalReader::of_database(address).unwrap().and_then(|reader| reader.verify())
}

/// A journal with a run of some generations.
fn written(address: &str, ended: bool) {
    let mut journal = open(address).unwrap();
    let mut writer = Writer { journal: &mut *journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    for generation in 0..5 {
        writer.write(settled(generation, 0)).unwrap();
        writer.close(generation);
    }
    writer.write(Record::Note { text: "the power failed".into() }).unwrap();
    if ended {
        let (state, elapsed) = (RunState::CANCELLED, Duration::from_secs(9));
        writer.write(Record::StateChanged { state, elapsed, unix_ms: 7 }).unwrap();
    }
}

/// A note as a transaction with a position.
fn note(position: u64) -> Transaction {
    let record = Record::Note { text: format!("note {position}") };
    let write = Write::Record { run: RunId::new(RUN), sequence: 1 + position, record };
    Transaction { position, writes: vec![write], sync: true }
}

/// How many notes a run has that is whole.
fn notes(journal: &mut dyn Journal) -> usize {
    journal.load().unwrap()[0].as_ref().unwrap().records.len()
}

#[test]
fn the_journal_in_a_database_conforms() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    crate::storage::check(open(&address).unwrap(), |journal| {
        drop(journal);
        open(&address).unwrap()
    });
}

#[test]
fn addresses_and_databases_that_are_no_journals_are_refused_and_tell_no_password() {
    let Some(server) = Server::shared() else { return };
    let (address, folder) = (server.database(), server.folder().display());
    let missing = format!("postgresql://hebbian:secret@/missing?host={folder}");
    let told = refused(&missing);
    assert!(
        told.contains("\"missing\" does not exist; make it with `createdb`") && !told.contains("secret"),
        "{told}"
    );
    let told = refused("postgresql://hebbian:secret@/x?host=/nowhere");
    assert!(told.contains("the server cannot be reached") && !told.contains("secret"), "{told}");
    assert!(
        JournalReader::of_database(&address)
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("holds no hebbian journal")
    );
    server.ask(&address, "CREATE SCHEMA hebbian; CREATE TABLE hebbian.photographs (name TEXT)");
    assert!(refused(&address).contains("has a schema `hebbian` that is no journal"));
    let address = server.database();
    server.ask(&address, "CREATE TABLE photographs (name TEXT)");
    written(&address, false);
    assert_eq!(server.ask(&address, "SELECT count(*) FROM photographs"), "0", "others' tables stay");
}

#[test]
fn a_database_that_holds_more_or_other_than_a_journal_is_refused_and_left_alone() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    written(&address, false);
    let trap = "CREATE FUNCTION hebbian.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                CREATE TRIGGER t BEFORE UPDATE ON hebbian.meta FOR EACH ROW EXECUTE FUNCTION hebbian.f()";
    for (sql, undo, expected) in [
        (trap, "DROP FUNCTION hebbian.f() CASCADE", "which is not hebbian's"),
        (
            "CREATE RULE r AS ON INSERT TO hebbian.records DO INSTEAD NOTHING",
            "DROP RULE r ON hebbian.records",
            "it has a rule `r`",
        ),
        ("CREATE VIEW hebbian.v AS SELECT 1", "DROP VIEW hebbian.v", "it has a view `v`"),
        ("CREATE TABLE hebbian.mine (x INT)", "DROP TABLE hebbian.mine", "it has a table `mine`"),
        (
            "ALTER TABLE hebbian.runs ADD COLUMN more INT",
            "ALTER TABLE hebbian.runs DROP COLUMN more",
            "its table `runs` is not as hebbian makes it",
        ),
        (
            "ALTER TABLE hebbian.records ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE hebbian.records DISABLE ROW LEVEL SECURITY",
            "its table `records` is not as hebbian makes it",
        ),
        (
            "DROP INDEX hebbian.settled_by_generation",
            "CREATE INDEX settled_by_generation ON hebbian.records (run, generation) WHERE kind = 'settled'",
            "it lacks `settled_by_generation`",
        ),
        (
            "UPDATE hebbian.meta SET value = 2 WHERE key = 'format'",
            "UPDATE hebbian.meta SET value = 1 WHERE key = 'format'",
            "was written by a newer hebbian (format 2, this one reads up to 1)",
        ),
        (
            "UPDATE hebbian.meta SET value = -1 WHERE key = 'commits'",
            "UPDATE hebbian.meta SET value = 17 WHERE key = 'commits'",
            "its counter `commits` is wrong",
        ),
        (
            "DELETE FROM hebbian.meta WHERE key LIKE 'rows %'",
            "INSERT INTO hebbian.meta SELECT 'rows ' || run, 0 FROM hebbian.runs",
            "1 runs are missing that were acknowledged",
        ),
    ] {
        let epoch = server.ask(&address, "SELECT value FROM hebbian.meta WHERE key = 'epoch'");
        server.ask(&address, sql);
        let told = refused(&address);
        assert!(told.contains(expected) && told.starts_with("postgresql://hebbian@"), "{sql}: {told}");
        assert_eq!(verify(&address).unwrap_err().to_string(), told, "{sql}");
        assert_eq!(
            server.ask(&address, "SELECT value FROM hebbian.meta WHERE key = 'epoch'"),
            epoch,
            "{sql}"
        );
        server.ask(&address, undo);
    }
    open(&address).unwrap();
}

/// Something that may happen to a row: a bit is another one, a number, a text, or it is gone.
fn damage(flip: usize, next: &mut dyn FnMut() -> usize) -> String {
    let some = |table: &str, of: usize| {
        format!(
            "ctid = (SELECT ctid FROM hebbian.{table} ORDER BY ctid LIMIT 1 OFFSET {of} % (SELECT count(*) FROM hebbian.{table}))"
        )
    };
    let bytes = [("records", "record"), ("generations", "record"), ("snapshots", "snapshot")];
    let texts = [("runs", "name"), ("runs", "state"), ("runs", "spec"), ("records", "kind"), ("meta", "key")];
    let numbers = [
        ("records", "sequence"),
        ("records", "checksum"),
        ("generations", "generation"),
        ("generations", "sequence"),
        ("snapshots", "closed"),
        ("runs", "created_unix_ms"),
        ("meta", "value"),
    ];
    let all = [&bytes[..], &numbers[..], &texts[..]].concat();
    match flip % 4 {
        _ if flip == 0 => "DELETE FROM hebbian.meta WHERE key = 'commits'".to_owned(),
        0 => {
            let (table, column) = bytes[next() % bytes.len()];
            let bit = next();
            format!(
                "UPDATE hebbian.{table} SET {column} = set_bit({column}, {bit} % (8 * length({column})), 1 - get_bit({column}, {bit} % (8 * length({column})))) WHERE {}",
                some(table, next())
            )
        }
        1 => {
            let (table, column) = numbers[next() % numbers.len()];
            format!(
                "UPDATE hebbian.{table} SET {column} = {column} # (1::bigint << {}) WHERE {}",
                next() % 40,
                some(table, next())
            )
        }
        2 => {
            let (table, column) = texts[next() % texts.len()];
            format!(
                "UPDATE hebbian.{table} SET {column} = overlay({column} placing '~' from 1 + {} % length({column}) for 1) WHERE {}",
                next(),
                some(table, next())
            )
        }
        _ => {
            let (table, _) = all[next() % all.len()];
            format!("DELETE FROM hebbian.{table} WHERE {}", some(table, next()))
        }
    }
}

/// Rows are damaged as a disk or a hand may do it: start and verification agree, and what is accepted is what was written.
#[test]
fn whatever_is_damaged_of_rows_both_judges_agree_and_nothing_changes_unnoticed() {
    let Some(server) = Server::shared() else { return };
    for ended in [false, true] {
        let address = server.database();
        written(&address, ended);
        let load = || open(&address).map(|mut journal| standing(&mut *journal));
        let original = load().unwrap();
        server.ask(&address, "CREATE SCHEMA kept");
        for table in ["meta", "runs", "records", "generations", "snapshots"] {
            server.ask(&address, &format!("CREATE TABLE kept.{table} AS SELECT * FROM hebbian.{table}"));
        }
        let restore: Vec<String> = ["meta", "runs", "records", "generations", "snapshots"]
            .map(|table| {
                format!("TRUNCATE hebbian.{table}; INSERT INTO hebbian.{table} SELECT * FROM kept.{table};")
            })
            .into();
        let mut any = numbers();
        let mut next = || any() % (1 << 30);
        let (mut refused, mut failed, mut accepted) = (0, 0, 0);
        for flip in 0..24 {
            let damage = damage(flip, &mut next);
            server.ask(&address, &format!("{}{damage}", restore.concat()));
            match (verify(&address), load()) {
                (Err(verified), Err(started)) => {
                    assert_eq!(verified.to_string(), started.to_string(), "{damage}");
                    refused += 1;
                }
                (Ok(reports), Ok(found)) => {
                    assert_eq!(reports.len(), found.len(), "{damage}");
                    for (report, found) in reports.iter().zip(found) {
                        match found {
                            StoredStanding::Loaded(Err(unreadable)) => {
                                assert_eq!(report.problems, [unreadable.problem], "{damage}");
                                failed += 1;
                            }
                            StoredStanding::Loaded(Ok(stored)) => {
                                let [StoredStanding::Loaded(Ok(original))] = &original[..] else {
                                    panic!("{damage}")
                                };
                                // A damaged snapshot is passed over for an older one.
                                assert_eq!(
                                    (stored.created, stored.sequence),
                                    (original.created.clone(), original.sequence),
                                    "{damage}"
                                );
                                assert_eq!(stored.records.last(), original.records.last(), "{damage}");
                                accepted += 1;
                            }
                            StoredStanding::Ended(found) => {
                                assert_eq!([StoredStanding::Ended(found)], original[..], "{damage}");
                                accepted += 1;
                            }
                        }
                    }
                }
                (verified, started) => panic!("{damage}: {verified:?} but {started:?}"),
            }
        }
        println!("{refused} refused, {failed} runs failed, {accepted} without an effect");
        assert!(
            refused > 0 && failed > 0 && accepted > 0,
            "{refused} refused, {failed} failed, {accepted} accepted"
        );
    }
}

#[test]
fn a_second_live_coordinator_is_refused_and_one_that_has_gone_is_followed() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    let mut first = open(&address).unwrap();
    assert!(refused(&address).contains("another hebbian process is using this journal"));
    Writer { journal: &mut *first, sequence: 0 }.write(Record::Created(created())).unwrap();
    let epoch = first.epoch();
    drop(first);
    // In order: nobody waits.
    let began = Instant::now();
    let second = open(&address).unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(second.epoch(), epoch + 1);
    drop(second);
    // Without a word, as if its machine had lost its power: the lease is not given back.
    server.ask(&address, "UPDATE hebbian.leader SET released = false");
    let began = Instant::now();
    assert_eq!(open(&address).unwrap().epoch(), epoch + 2);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// The second one has not seen the first one live for as long as a lease lasts: it was stopped, or cut off.
#[test]
fn a_coordinator_that_was_replaced_writes_nothing_more_and_is_told_though_it_writes_nothing() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    let mut old = open(&address).unwrap();
    Writer { journal: &mut *old, sequence: 0 }.write(Record::Created(created())).unwrap();
    let (told, ended) = mpsc::channel();
    old.attend(Box::new(move |notice| {
        if let Notice::Ended(error) = notice {
            let _ = told.send(error);
        }
    }));
    let raise = "UPDATE hebbian.meta SET value = value + 1 WHERE key = 'epoch'";
    server.ask(&address, raise);
    let error = old.commit(&[note(1)], true).unwrap_err();
    assert!(matches!(error, JournalError::Superseded { ours: 1, found: 2, .. }), "{error}");
    assert!(!error.is_transient());
    // Also over another connection.
    let error = old.commit(&[note(1)], true).unwrap_err();
    assert!(matches!(error, JournalError::Superseded { .. }), "{error}");
    server.ask(&address, "UPDATE hebbian.leader SET epoch = epoch + 1");
    let error = ended.recv_timeout(PATIENCE).unwrap();
    assert!(
        error.to_string().contains("a younger coordinator (epoch 2) has taken this journal over"),
        "{error}"
    );
    drop(old);
    server.ask(&address, "UPDATE hebbian.leader SET released = true");
    assert_eq!(open(&address).unwrap().load().unwrap()[0].as_ref().unwrap().records.len(), 0);
}

#[test]
fn a_connection_that_is_cut_is_passing_trouble() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    let mut journal = open(&address).unwrap();
    Writer { journal: &mut *journal, sequence: 0 }.write(Record::Created(created())).unwrap();
    for position in 1..=5 {
        server.ask(
            &address,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'hebbian coordinator%'",
        );
        // A reader finds another connection; a writer is told, for it does not know what came of its commit.
        if position % 2 == 0 {
            assert_eq!(notes(&mut *journal), position as usize - 1);
        }
        if let Err(error) = journal.commit(&[note(position)], true) {
            assert!(error.is_transient(), "{error}");
            journal.commit(&[note(position)], true).unwrap();
        }
    }
    assert_eq!(notes(&mut *journal), 5);
}

/// What stands between a journal and its server, and cuts the line at a commit: before the server hears of it, or before the journal
/// hears of the server's answer.
struct Scissors {
    folder: tempfile::TempDir,
    /// Which of both; 0 for neither.
    cut: Arc<AtomicUsize>,
}

const BEFORE: usize = 1;
const AFTER: usize = 2;

impl Scissors {
    fn new(server: &Server) -> Self {
        let folder = tempfile::Builder::new().prefix("hebbian-cut").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (cut, goal) = (Arc::new(AtomicUsize::new(0)), server.folder().join(".s.PGSQL.5432"));
        let cutting = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&goal).unwrap());
                let cut_here = Arc::clone(&cutting);
                // Set by what the journal says, for what the server answers.
                let swallow = Arc::new(AtomicUsize::new(0));
                let (from, to, swallowed) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&swallow));
                thread::spawn(move || {
                    carry(from, to, |bytes| {
                        let commits = bytes.windows(6).any(|words| words == b"COMMIT");
                        if commits {
                            let cut = cut_here.swap(0, Ordering::SeqCst);
                            swallow.store(cut, Ordering::SeqCst);
                            return cut != BEFORE;
                        }
                        true
                    });
                });
                thread::spawn(move || carry(server, client, |_| swallowed.load(Ordering::SeqCst) != AFTER));
            }
        });
        Self { folder, cut }
    }

    fn address(&self, of: &str) -> String {
        let (start, _) = of.split_once('?').unwrap();
        format!("{start}?host={}", self.folder.path().display())
    }
}

/// Carries bytes until one end closes or `goes_on` says no.
fn carry(mut from: UnixStream, mut to: UnixStream, goes_on: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        if read == 0 || !goes_on(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            let _ = from.shutdown(std::net::Shutdown::Both);
            let _ = to.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// A commit whose answer does not come may have been written or not; either way it is there once, however much is written with it when
/// it is tried again.
#[test]
fn a_commit_whose_answer_is_lost_is_written_once() {
    let Some(server) = Server::shared() else { return };
    let (address, scissors) = (server.database(), Scissors::new(server));
    let mut journal = open(&scissors.address(&address)).unwrap();
    Writer { journal: &mut *journal, sequence: 0 }.write(Record::Created(created())).unwrap();
    let commits = || {
        server.ask(&address, "SELECT value FROM hebbian.meta WHERE key = 'commits'").parse::<u64>().unwrap()
    };
    let mut position = 0;
    for (round, cut) in [BEFORE, AFTER, AFTER, BEFORE, AFTER].into_iter().enumerate() {
        let before = commits();
        scissors.cut.store(cut, Ordering::SeqCst);
        let error = journal.commit(&[note(position + 1), note(position + 2)], true).unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains("the connection to the server was lost"),
            "{error}"
        );
        assert_eq!(commits() - before, u64::from(cut == AFTER), "the cut was made where it should be");
        if round == 2 {
            // A reader finds out what has become of it, and the writer does all the same.
            assert_eq!(notes(&mut *journal), position as usize + 2);
        }
        let group: Vec<Transaction> = (position + 1..=position + 3).map(note).collect();
        journal.commit(&group, true).unwrap();
        position += 3;
        assert_eq!(commits() - before, 1 + u64::from(cut == AFTER));
        assert_eq!(notes(&mut *journal), position as usize);
    }
    drop(journal);
    assert!(verify(&address).unwrap()[0].problems.is_empty());
    assert_eq!(open(&address).unwrap().load().unwrap()[0].as_ref().unwrap().sequence, 1 + position);
}

#[test]
fn a_server_that_was_set_back_is_noticed() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    let mut journal = open(&address).unwrap();
    let mut writer = Writer { journal: &mut *journal, sequence: 0 };
    writer.write(Record::Created(created())).unwrap();
    server.ask(
        &address,
        "UPDATE hebbian.meta SET value = value - 1 WHERE key = 'commits'; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'hebbian coordinator%'",
    );
    let mut failed = || journal.commit(&[note(1)], true).err();
    let error = failed().filter(|error| !error.is_transient()).or_else(failed).unwrap();
    assert!(error.to_string().contains("it ends with commit 0, but commit 1 was acknowledged"), "{error}");
}

#[test]
fn a_journal_goes_from_a_file_to_a_database_and_back_with_every_row() {
    let Some(server) = Server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [first, last, copy] = ["first.db", "last.db", "copy.db"].map(|name| folder.path().join(name));
    {
        let mut journal = hebbian_coordinator::journal::sqlite::SqliteJournal::open(&first).unwrap();
        let mut writer = Writer { journal: &mut journal, sequence: 0 };
        writer.write(Record::Created(created())).unwrap();
        for generation in 0..300 {
            writer.write(settled(generation, 0)).unwrap();
            writer.close(generation);
        }
    }
    let of = |path: &std::path::Path| format!("sqlite:{}", path.display());
    let address = server.database();
    let there = migrate(&of(&first), &address).unwrap();
    assert!(there.runs == 1 && there.rows > 300, "{there:?}");
    let refuse = |from: &str, to: &str, expected: &str| {
        let error = migrate(from, to).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refuse(&of(&first), &address, "name an empty database");
    let used = server.database();
    let user = open(&used).unwrap();
    refuse(&of(&first), &used, "another hebbian process is using this journal; stop it, or wait for its end");
    refuse(&used, &of(&last), "another hebbian process is using this journal; stop it, or wait for its end");
    drop(user);
    refuse(&address, &of(&first), "there is a file of that name");
    refuse("memory:", &of(&last), "forgets everything");
    refuse(&of(&first), "memory:", "forgets everything");
    refuse(&of(&folder.path().join("missing")), &server.database(), "cannot be read");
    refuse(&server.database(), &of(&last), "holds no hebbian journal");
    refuse("elsewhere", &of(&last), "names no journal");
    assert!(!last.exists());
    let copied =
        |path: &std::path::Path| JournalReader::of_database(&address).unwrap().unwrap().copy_to(path);
    copied(&copy).unwrap();
    // Whoever has made an empty file is given a copy in it, and in no other.
    let given = folder.path().join("given.db");
    std::fs::write(&given, "").unwrap();
    copied(&given).unwrap();
    for taken in [&given, &copy] {
        let before = std::fs::read(taken).unwrap();
        assert!(copied(taken).unwrap_err().to_string().contains("there is a file of that name"));
        assert_eq!(std::fs::read(taken).unwrap(), before);
    }
    let back = migrate(&address, &of(&last)).unwrap();
    assert_eq!((back.runs, back.rows), (there.runs, there.rows));
    let rows = |path: &std::path::Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let of = |table: &str, rest: &str| {
            let mut statement = connection.prepare(&format!("SELECT * FROM {table} {rest}")).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..columns)
                    .map(|place| row.get::<_, rusqlite::types::Value>(place))
                    .collect::<Result<Vec<_>, _>>()
            });
            rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        // Each opening raises the epoch.
        [
            of("meta", "WHERE key <> 'epoch' ORDER BY key"),
            of("runs", "ORDER BY 1"),
            of("records", "ORDER BY 1, 2"),
            of("generations", "ORDER BY 1, 2"),
            of("snapshots", "ORDER BY 1, 2"),
        ]
    };
    let expected = rows(&first);
    assert_eq!(rows(&last), expected);
    // A copy for going on is the same but for its name.
    assert_eq!(rows(&copy)[1..], expected[1..]);
    assert_eq!(rows(&given)[1..], expected[1..]);
    let runs = |url: &str| open(url).unwrap().load().unwrap();
    assert_eq!(runs(&of(&last)), runs(&address));
    // A run to come is the youngest.
    let mut journal = open(&address).unwrap();
    let write = Write::Record { run: RunId::new(1), sequence: 1, record: Record::Created(created()) };
    journal.commit(&[Transaction { position: 1, writes: vec![write], sync: true }], true).unwrap();
    let order: Vec<RunId> = journal.load().unwrap().into_iter().map(|run| run.unwrap().run).collect();
    assert_eq!(order, [RunId::new(RUN), RunId::new(1)]);
}

/// The server ends as in a crash, under load, again and again: runs pause and go on, and the result is the sequential loop's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_changes_no_bit() {
    let Some(mut server) = Server::start() else { return };
    let address = server.database();
    let opened = tokio::task::spawn_blocking(move || open(&address)).await.unwrap().unwrap();
    let (handle, driver) = driver::start(DriverSettings::default(), opened).await.unwrap();
    let (dial, connections) = connection::memory();
    let serving = CancellationToken::new();
    let serve = service::serve(handle.clone(), connections, TransportSettings::default(), serving.clone());
    let service = tokio::spawn(serve);
    let worker = Worker::start(Coordinators::Memory(dial), "one", 1);
    let run = handle.ask(Create::new(new_run_id(), cluster::spec())).await.unwrap().run_id().unwrap();
    let mut writable = handle.writable();
    for generation in [20, 60, 100] {
        closed(&handle, run, generation).await;
        server = tokio::task::spawn_blocking(move || {
            server.crash();
            server
        })
        .await
        .unwrap();
        // It is said that the journal cannot be written, for as long as it cannot.
        tokio::time::timeout(PATIENCE, writable.wait_for(|writable| !writable)).await.unwrap().unwrap();
        server = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        })
        .await
        .unwrap();
        tokio::time::timeout(PATIENCE, writable.wait_for(|writable| *writable)).await.unwrap().unwrap();
    }
    closed(&handle, run, u32::MAX).await;
    cluster::check(&handle.ask(GetResult { run }).await.unwrap());
    worker.leave().await;
    serving.cancel();
    handle.shut_down().await.unwrap();
    driver.await.unwrap();
    service.await.unwrap();
}

/// Nobody writes, and still it is said within seconds: when the server crashes, when it hangs, and when it is back. A connection that is
/// merely cut is no trouble.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_work_says_that_its_database_has_gone_and_that_it_is_back() {
    let Some(mut server) = Server::start() else { return };
    let address = server.database();
    let at = address.clone();
    let opened = tokio::task::spawn_blocking(move || open(&at)).await.unwrap().unwrap();
    let (handle, driver) = driver::start(DriverSettings::default(), opened).await.unwrap();
    let mut writable = handle.writable();
    let told = async |writable: &mut tokio::sync::watch::Receiver<bool>, expected: bool| {
        let begun = Instant::now();
        tokio::time::timeout(PATIENCE, writable.wait_for(|told| *told == expected)).await.unwrap().unwrap();
        begun.elapsed()
    };
    let trouble = async || handle.ask(Status).await.unwrap().journal_trouble;

    let beats = || server.ask(&address, "SELECT beat FROM hebbian.leader").parse::<i64>().unwrap();
    server.ask(
        &address,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hebbian lease'",
    );
    let before = beats();
    let begun = Instant::now();
    while beats() < before + 2 {
        assert!(begun.elapsed() < PATIENCE, "the lease is not renewed over another connection");
    }
    assert!(!writable.has_changed().unwrap() && trouble().await.is_none(), "{:?}", trouble().await);

    for _ in 0..2 {
        server.crash();
        let crash = told(&mut writable, false).await;
        assert!(trouble().await.unwrap().contains("cannot be reached"), "{:?}", trouble().await);
        server.restart();
        let back = told(&mut writable, true).await;
        assert_eq!(trouble().await, None);

        let hanging = server.hang();
        let hang = told(&mut writable, false).await;
        assert!(trouble().await.unwrap().contains("has not answered for 1.5 s"), "{:?}", trouble().await);
        drop(hanging);
        let again = told(&mut writable, true).await;
        println!(
            "a crash was told after {crash:?}, its end after {back:?}; a hang after {hang:?}, its end after {again:?}"
        );
        // 0.6 s and 1.8 s are promised; the machine may be busy.
        assert!(crash < Duration::from_secs(5) && hang < Duration::from_secs(5));
    }
    handle.shut_down().await.unwrap();
    driver.await.unwrap();
}

/// A server of another machine is asked who it is, and asks for a password.
#[test]
fn tls_and_passwords_are_checked_and_told_without_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        (rcgen::Issuer::new(parameters, key), path.display().to_string())
    };
    let (issuer, trusted) = authority("trusted.pem");
    let (_, foreign) = authority("foreign.pem");
    let server = Server::with(port, |folder| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap().pem();
        Server::secret(&folder.join("server.pem"), &certificate);
        Server::secret(&folder.join("key.pem"), &key.serialize_pem());
        Server::secret(
            &folder.join("data/pg_hba.conf"),
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        );
        let folder = folder.display();
        format!(
            "-c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file={folder}/server.pem -c ssl_key_file={folder}/key.pem"
        )
    });
    let Some(server) = server else { return };
    let local = server.database();
    server.ask(&local, "ALTER ROLE hebbian PASSWORD 'open sesame'");
    let of =
        |password: &str, rest: &str| format!("postgresql://hebbian:{password}@127.0.0.1:{port}/d0?{rest}");
    let check = |address: &str, expected: &str| {
        let told = refused(address);
        assert!(told.contains(expected) && !told.contains("sesame"), "{told}");
    };
    let right = "open%20sesame";
    check(&of(right, &format!("sslrootcert={foreign}")), "invalid peer certificate");
    check(&of(right, &format!("sslrootcert={}", local.len())), "cannot be read");
    check(&of(right, &format!("sslrootcert={trusted}")).replace("127.0.0.1", "localhost"), "certificate");
    check(&of(right, "sslmode=disable"), "no pg_hba.conf entry");
    check(&of("close%20sesame", &format!("sslrootcert={trusted}")), "password authentication failed");
    for rest in [format!("sslmode=verify-full&sslrootcert={trusted}"), "sslmode=require".to_owned()] {
        let journal = open(&of(right, &rest)).unwrap();
        let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'hebbian coordinator%' AND ssl";
        assert_eq!(server.ask(&local, encrypted), "1");
        assert!(!journal.store().contains("sesame"), "{}", journal.store());
    }
    let passfile = folder.path().join("pass");
    std::fs::write(&passfile, format!("127.0.0.1:{port}:d0:hebbian:open sesame\n")).unwrap();
    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let address =
        format!("postgresql://hebbian@127.0.0.1:{port}/d0?sslmode=require&passfile={}", passfile.display());
    open(&address).unwrap();
}
