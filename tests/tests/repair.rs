//! Journals that are damaged in several ways are mended, in both kinds of store, and both judges agree afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Closed, Contributions, Record, Snapshot, Write};
use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_coordinator::journal::repair::{Finding, Mode, repair};
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{self, Journal, JournalError, KeptSnapshots, Leader};
use hebbian_proto::convert::from_duration;
use hebbian_proto::v1;
use hebbian_search::Measured;
use hebbian_shared::digest::Digest;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_tests::postgres::Server;
use rusqlite::Connection;

use crate::cluster;
use crate::storage::{RUN, Writer, created, settled};

/// So many generations have closed.
const CLOSED: u32 = 6;

/// A run with a real search: six generations, a note, and settlements of the seventh.
fn write(journal: &mut dyn Journal) {
    let spec = cluster::spec();
    let mut strategy = hebbian_control::run::strategy::build(&spec);
    let mut created = created();
    created.spec = std::sync::Arc::new(spec.into());
    let mut writer = Writer { journal, sequence: 0 };
    writer.write(Record::Created(created)).unwrap();
    let mut best: Option<(hebbian_shared::genome::Genome, Fitness)> = None;
    for generation in 0..CLOSED {
        writer.write(settled(generation, 0)).unwrap();
        let mut told = Vec::new();
        for candidate in strategy.ask() {
            let fitness =
                Fitness::new(-candidate.genome.0.iter().map(|value| value * value).sum::<f64>()).unwrap();
            told.push(Measured { verdict: Verdict::Fit(fitness), gradient: None });
            if best.as_ref().is_none_or(|(_, best)| fitness > *best) {
                best = Some((candidate.genome, fitness));
            }
        }
        strategy.tell(&told).unwrap();
        let state = strategy.state().to_bytes();
        let digest = Digest::of(&state);
        let summary = v1::GenerationSummary {
            generation,
            evaluations: 8,
            episodes: 32,
            elapsed: Some(from_duration(Duration::from_secs(1))),
            state_digest: digest.0.to_vec(),
            ..Default::default()
        };
        let contributions = Contributions::from([("host".to_owned(), 1)]);
        let closed = Closed { summary, told, contributions, turn: None };
        writer.write(Record::GenerationClosed(Box::new(closed))).unwrap();
        let snapshot =
            Snapshot { closed: GenerationIndex(generation + 1), strategy: state, digest, best: best.clone() };
        let write = Write::Snapshot { run: RunId::new(RUN), snapshot };
        writer.journal.commit(&[Transaction { position: 1, writes: vec![write], sync: true }], true).unwrap();
    }
    writer.write(Record::Note { text: "the power failed".into() }).unwrap();
    writer.write(settled(CLOSED, 0)).unwrap();
    writer.write(settled(CLOSED, 1)).unwrap();
}

/// What becomes of a journal that nobody uses: a program that another test has just started holds all of this one's files for a moment.
fn free<T>(take: impl Fn() -> Result<T, JournalError>) -> Result<T, JournalError> {
    let begun = Instant::now();
    loop {
        match take() {
            Err(JournalError::Locked { .. }) if begun.elapsed() < Duration::from_secs(10) => {
                std::thread::yield_now();
            }
            taken => return taken,
        }
    }
}

/// A place for journals.
enum Place {
    File(tempfile::TempDir),
    Database(&'static Server, tempfile::TempDir),
}

/// A journal.
struct Store<'a> {
    place: &'a Place,
    url: String,
    copy: PathBuf,
}

impl Place {
    fn both() -> Vec<Self> {
        let folder = || tempfile::tempdir().unwrap();
        let database = Server::shared().map(|server| Self::Database(server, folder()));
        std::iter::once(Self::File(folder())).chain(database).collect()
    }

    fn journal(&self, name: &str) -> Store<'_> {
        let (url, folder) = match self {
            Self::File(folder) => (format!("sqlite:{}", folder.path().join(name).display()), folder),
            Self::Database(server, folder) => (server.database(), folder),
        };
        let copy = folder.path().join(format!("{name}.copy"));
        let store = Store { place: self, url, copy };
        write(&mut *store.open().unwrap());
        store
    }
}

impl Store<'_> {
    fn open(&self) -> Result<Box<dyn Journal>, JournalError> {
        free(|| journal::open_keeping(&self.url, KeptSnapshots { every: 2 }, &Leader::default()))
    }

    fn path(&self) -> &Path {
        Path::new(self.url.strip_prefix("sqlite:").unwrap())
    }

    fn ask(&self, sql: &str) {
        match self.place {
            Place::File(_) => Connection::open(self.path()).unwrap().execute_batch(sql).unwrap(),
            Place::Database(server, _) => {
                server.ask(&self.url, &format!("SET search_path TO hebbian; {sql}"));
            }
        }
    }

    /// All that a table holds.
    fn rows(&self, table: &str, columns: &str, order: &str) -> String {
        match self.place {
            Place::File(_) => {
                let connection = Connection::open(self.path()).unwrap();
                let quoted: Vec<String> =
                    columns.split(", ").map(|column| format!("quote({column})")).collect();
                let sql = format!("SELECT {} FROM {table} ORDER BY {order}", quoted.join(" || '|' || "));
                let mut statement = connection.prepare(&sql).unwrap();
                let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
                rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
            }
            Place::Database(server, _) => {
                server.ask(&self.url, &format!("SELECT {columns} FROM hebbian.{table} ORDER BY {order}"))
            }
        }
    }

    /// All that makes the run what it is.
    fn contents(&self) -> [String; 5] {
        [
            ("meta", "key, value", "key"),
            ("runs", "number, run, name, state, spec, request_id, created_unix_ms, checksum", "number"),
            ("records", "run, sequence, kind, generation, record, checksum", "sequence"),
            ("generations", "run, generation, sequence, record, checksum", "generation"),
            ("snapshots", "run, closed, snapshot, checksum", "closed"),
        ]
        .map(|(table, columns, order)| self.rows(table, columns, order))
    }

    fn verify(&self) -> Result<Vec<String>, JournalError> {
        let reader = match self.place {
            Place::File(_) => JournalReader::open(self.path()),
            Place::Database(..) => JournalReader::of_database(&self.url).unwrap(),
        }?;
        Ok(reader.verify()?.into_iter().flat_map(|report| report.problems).collect())
    }

    /// Mends it, after a look that must tell the same and change nothing. Both judges must agree afterwards.
    fn mend(&self) -> Vec<Finding> {
        let before = self.contents();
        let mend = |mode: Mode| free(|| repair(&self.url, &mode)).unwrap();
        let looked = mend(Mode::Look);
        assert_eq!(self.contents(), before, "a look changes nothing");
        assert!(!self.copy.exists());
        let found = mend(Mode::Mend(self.copy.clone()));
        assert_eq!(found, looked, "what is told is what is done");
        assert_eq!(self.copy.exists(), !found.is_empty(), "there is a copy of what was changed");
        if found.iter().all(|finding| finding.mended) {
            assert!(self.verify().unwrap().is_empty(), "{found:?}");
            assert_eq!(mend(Mode::Look), [], "what is mended stays so");
        }
        let loaded = self.open().unwrap().load().unwrap();
        assert_eq!(
            loaded.iter().filter(|run| run.is_err()).count(),
            found.iter().filter(|finding| !finding.mended).count(),
            "{loaded:?}"
        );
        found
    }

    /// Damages it and mends it; everything that must be told is told.
    fn check(&self, damage: &str, expected: &[&str]) {
        self.ask(damage);
        let found = self.mend();
        assert_eq!(found.len(), expected.len(), "{damage}: {found:?}");
        for (finding, expected) in found.iter().zip(expected) {
            let told = format!("{} -> {}", finding.problem, finding.remedy);
            assert!(expected.split(" .. ").all(|part| told.contains(part)), "{damage}: {told}");
        }
    }

    /// The state of the only run, with its reason, and how many generations it has.
    fn state(&self) -> (String, u32) {
        let mut stored = self.open().unwrap().load().unwrap();
        let stored = stored.remove(0).unwrap();
        let run = JournalReader::take_up(stored).unwrap().progress();
        (format!("{:?}", run.state()), run.generation)
    }
}

#[test]
fn what_is_sound_is_left_alone() {
    for place in Place::both() {
        let store = place.journal("sound");
        assert_eq!(store.mend(), []);
    }
}

/// Whatever follows from something else comes back bit for bit.
#[test]
fn what_can_be_computed_again_is() {
    for place in Place::both() {
        for (name, damage, expected) in [
            (
                "snapshots",
                "UPDATE snapshots SET snapshot = substr(snapshot, 2) WHERE closed = 4; DELETE FROM snapshots WHERE closed = 6",
                &["a snapshot is damaged, the last snapshot is missing -> computed again"][..],
            ),
            ("first", "UPDATE snapshots SET checksum = 0", &["4 snapshots are damaged -> computed again"]),
            (
                "checksums",
                "UPDATE generations SET checksum = checksum + 1 WHERE generation IN (1, 2); \
                 UPDATE records SET checksum = 0 WHERE kind = 'created'; UPDATE runs SET checksum = 5",
                &["4 checksums are damaged .. computed again"],
            ),
            (
                "listed",
                "UPDATE runs SET name = 'other', spec = ''",
                &["its row of `runs` is damaged -> it is written again"],
            ),
            (
                "sum",
                "DELETE FROM meta WHERE substr(key, 1, 5) = 'rows '",
                &["its sum .. is gone -> it is computed again"],
            ),
            (
                "count",
                "UPDATE meta SET value = 3 WHERE key = 'runs'",
                &["2 runs are missing .. -> the count is 1 from now on"],
            ),
        ] {
            let store = place.journal(name);
            let whole = store.contents();
            store.check(damage, expected);
            let [meta, tables @ ..] = store.contents();
            assert_eq!(tables, whole[1..], "{name}");
            let sums = |meta: &str| {
                let lines = meta.lines().filter(|line| line.contains("rows ") || line.contains("runs"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(sums(&meta), sums(&whole[0]), "{name}");
        }
    }
}

#[test]
fn counters_go_on_from_what_is_known() {
    for place in Place::both() {
        let store = place.journal("counters");
        let epoch = store.open().unwrap().epoch();
        store.check(
            "DELETE FROM meta WHERE key IN ('epoch', 'journal'); UPDATE meta SET value = -1 WHERE key = 'commits'",
            &["`epoch` is missing", "`journal` is missing", "`commits` is missing"],
        );
        assert!(store.open().unwrap().epoch() > epoch);
    }
}

/// What cannot be had again goes back as far as is needed, and says so.
#[test]
fn what_is_lost_is_told_and_repeated() {
    let paused =
        |reason: &str| (format!("Some(Paused(Paused {{ reason: \"its journal was repaired: {reason}"), 3_u32);
    for place in Place::both() {
        let store = place.journal("settled");
        store.check(
            "UPDATE records SET record = substr(record, 2) WHERE kind = 'settled' AND sequence = 15",
            &["a record of settled episodes is damaged -> they are removed; the episodes of the open generation among them are repeated"],
        );
        assert_eq!(store.state(), ("Some(Running(Running))".to_owned(), CLOSED));

        for (name, damage, told) in [
            (
                "damaged",
                "UPDATE generations SET record = substr(record, 2) WHERE generation = 3",
                "a row of `generations` is damaged",
            ),
            ("missing", "DELETE FROM generations WHERE generation = 3", "generation 3 is missing"),
        ] {
            let store = place.journal(name);
            let back =
                format!("{told} -> it goes back to generation 3, which repeats 3 generations, and is paused");
            store.check(damage, &[&back, "the last snapshot is missing -> computed again"]);
            let (state, generation) = store.state();
            let expected = paused(told);
            assert!(state.starts_with(&expected.0), "{state}");
            assert_eq!(generation, expected.1);
            assert!(
                store.rows("records", "record", "sequence").lines().count() >= 3,
                "its creation, its note, its pause"
            );
        }

        let store = place.journal("gone");
        store.check(
            "DELETE FROM records WHERE sequence = 14",
            &["rows of it that were acknowledged are missing, among them records 14 to 14 -> .. paused until `hebbian resume`"],
        );
        let (state, generation) = store.state();
        assert!(state.contains("rows of it that were acknowledged are missing"), "{state}");
        assert_eq!(generation, CLOSED);
    }
}

#[test]
fn a_run_that_cannot_be_read_ends_with_its_reason_and_others_stay() {
    for place in Place::both() {
        let store = place.journal("created");
        store.check(
            "UPDATE records SET record = substr(record, 3) WHERE kind = 'created'",
            &["a row of `records` is damaged -> it ends as failed, with its spec and that reason"],
        );
        let (state, generation) = store.state();
        assert!(state.contains("Failed") && state.contains("a row of `records` is damaged"), "{state}");
        assert_eq!(generation, 0);

        let store = place.journal("nothing");
        store.check(
            "UPDATE records SET record = substr(record, 3) WHERE kind = 'created'; UPDATE runs SET spec = ''",
            &["and nothing says what it was -> it is removed; the copy has what is left of it"],
        );
        assert_eq!(store.open().unwrap().load().unwrap(), []);
    }
}

#[test]
fn a_journal_in_use_is_refused() {
    for place in Place::both() {
        let store = place.journal("used");
        let held = store.open().unwrap();
        for mode in [Mode::Look, Mode::Mend(store.copy.clone())] {
            let told = repair(&store.url, &mode).unwrap_err().to_string();
            assert!(told.contains("another hebbian process is using this journal"), "{told}");
        }
        assert!(!store.copy.exists());
        drop(held);
        assert_eq!(store.mend(), []);
    }
}

#[test]
fn a_copy_takes_nobodys_place() {
    for place in Place::both() {
        let store = place.journal("copy");
        store.ask("UPDATE snapshots SET checksum = 0");
        fs::write(&store.copy, "a photograph").unwrap();
        let told = free(|| repair(&store.url, &Mode::Mend(store.copy.clone()))).unwrap_err().to_string();
        assert!(told.contains("there is a file of that name"), "{told}");
        assert_eq!(fs::read_to_string(&store.copy).unwrap(), "a photograph");
    }
}

/// What was acknowledged and is gone with the log is counted, and the journal goes on without it.
#[test]
fn a_lost_log_is_told_and_the_journal_goes_on_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    write(&mut journal);
    drop(journal);
    let mut journal = SqliteJournal::open(&path).unwrap();
    let mut writer = Writer { journal: &mut journal, sequence: 16 };
    for note in 0..3 {
        writer.write(Record::Note { text: format!("note {note}") }).unwrap();
    }
    // As a kill leaves it, without its log.
    let kept: Vec<(PathBuf, Vec<u8>)> = [path.clone(), folder.path().join("journal.db.lock")]
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .into();
    drop(journal);
    for file in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(folder.path().join(file));
    }
    for (file, bytes) in kept {
        fs::write(file, bytes).unwrap();
    }
    let refused = free(|| SqliteJournal::open(&path)).unwrap_err().to_string();
    assert!(refused.contains("`hebbian journal repair`"), "{refused}");
    let url = format!("sqlite:{}", path.display());
    let copy = folder.path().join("copy");
    let found = free(|| repair(&url, &Mode::Mend(copy.clone()))).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].problem.contains("were acknowledged (until 20") && found[0].mended, "{found:?}");
    assert!(found[0].remedy.contains("nothing of them can be got back"), "{found:?}");
    assert!(copy.exists() && folder.path().join("copy.lock").exists());
    let reports = JournalReader::open(&path).unwrap().verify().unwrap();
    assert!(reports[0].problems.is_empty(), "{reports:?}");
    let loaded = free(|| SqliteJournal::open(&path)).unwrap().load().unwrap();
    assert_eq!(loaded[0].as_ref().unwrap().sequence, 16);
}
