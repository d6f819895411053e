//! One run: the first of the remedies that fits, and none where it is sound.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_control::run::record::{Created, Record};
use hebbian_proto::figures::RunState;
use hebbian_shared::id::RunId;

use super::seen::{Rows, Seen};
use super::{Finding, known_sum, problem, snapshots};
use crate::journal::JournalError;
use crate::journal::codec::encode_record;
use crate::journal::sql::rows::{RECORDS, RUNS, of_creation};
use crate::journal::sql::sums::Changes;
use crate::journal::sql::tables::Tables;
use crate::journal::sql::{Sql, sums};

/// Kinds of records that change nothing of a run's result: what is lost of them is lost without harm.
const BESIDE: [&str; 2] = ["note", "contributor"];
/// Kinds of records that stay in a run that begins again behind an earlier generation.
const KEPT: [&str; 5] = ["created", "fingerprint_taken", "fingerprint_released", "extended", "note"];

/// A run that is mended.
struct Mending<'a> {
    sql: &'a dyn Sql,
    run: RunId,
    /// Its id as text.
    id: String,
    name: String,
    findings: &'a mut Vec<Finding>,
}

/// Mends a run.
pub(super) fn mend(
    tables: Tables<'_>,
    run: RunId,
    name: String,
    findings: &mut Vec<Finding>,
) -> Result<(), JournalError> {
    let mut mending = Mending { sql: tables.sql, run, id: run.to_string(), name, findings };
    mending.sum()?;
    if let Some(wrong) = problem(tables, run)? {
        let before = mending.findings.len();
        mending.sql.execute("SAVEPOINT run", &[])?;
        mending.rows(&wrong)?;
        match problem(tables, run)? {
            None => mending.sql.execute("RELEASE SAVEPOINT run", &[])?,
            Some(left) => {
                // Whatever was tried of it is undone: what is there may be worth something to another program.
                mending.sql.execute("ROLLBACK TO SAVEPOINT run", &[])?;
                mending.sql.execute("RELEASE SAVEPOINT run", &[])?;
                mending.findings.truncate(before);
                mending.leave(&left);
                return Ok(());
            }
        }
    }
    snapshots::mend(tables, run, &mending.name, mending.findings)
}

/// How many of something are damaged.
fn damaged(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("a {one} is damaged") } else { format!("{count} {many} are damaged") }
}

impl Mending<'_> {
    fn tell(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        let name = self.name.clone();
        self.findings.push(Finding { run: Some(self.run), name, problem, remedy, mended: true });
    }

    fn leave(&mut self, problem: &str) {
        self.tell(problem, "it stays as it is, and a coordinator shows it as failed: what is there is sound, and nothing else gives it");
        if let Some(last) = self.findings.last_mut() {
            last.mended = false;
        }
    }

    /// A run whose sum is gone gets it again, if all that is there is whole. A journal of an earlier program, without a count, has none.
    fn sum(&mut self) -> Result<(), JournalError> {
        if known_sum(self.sql, &self.id)?.is_some() || sums::missing_runs(self.sql)? <= 0 {
            return Ok(());
        }
        let rows = Rows::read(self.sql, &self.id)?;
        if rows.all.is_empty() {
            return Ok(());
        }
        self.store_sum(&rows)?;
        self.tell(
            "its sum, which tells whether rows are missing, is gone",
            "it is computed again from the rows that are there; whether some are missing cannot be told",
        );
        Ok(())
    }

    /// Writes the sum of what the rows say they come to.
    fn store_sum(&self, rows: &Rows) -> Result<(), JournalError> {
        let sum = rows.all.iter().fold(0_i64, |sum, seen| sum.wrapping_add(seen.stored.unwrap_or(0)));
        sums::store(self.sql, &sums::key(&self.id), sum)
    }

    fn rows(&mut self, wrong: &str) -> Result<(), JournalError> {
        let rows = Rows::read(self.sql, &self.id)?;
        let count = rows.damaged().count();
        if count > 0 && known_sum(self.sql, &self.id)? == Some(rows.computed()) {
            for seen in rows.damaged() {
                seen.seal(self.sql, &self.id)?;
            }
            self.tell(
                format!(
                    "{}, and not what they stand beside: that comes to the sum that was written with it",
                    damaged(count, "checksum", "checksums")
                ),
                "the checksums are computed again",
            );
            return Ok(());
        }
        let Some(created) = rows.created.clone() else { return self.end(&rows, wrong) };
        self.relist(&rows, &created)?;
        self.drop_harmless(&rows)?;
        let left = Rows::read(self.sql, &self.id)?;
        let unbroken = left.unbroken();
        let broken = left.of("generations").count() > unbroken.len();
        if broken || left.damaged().next().is_some() {
            self.go_back(&left, &unbroken)?;
        } else if rows.damaged().next().is_none() && known_sum(self.sql, &self.id)? != Some(left.computed()) {
            self.miss(&left)?;
        }
        let now = Rows::read(self.sql, &self.id)?;
        self.store_sum(&now)
    }

    /// Writes the row of `runs` again from the record of the creation.
    fn relist(&mut self, rows: &Rows, created: &Created) -> Result<(), JournalError> {
        let listed = rows.of("runs").next();
        if listed.is_some_and(Seen::is_whole) {
            return Ok(());
        }
        let state = rows.state.as_ref().map_or("running", RunState::name);
        let number = self.number()?;
        self.sql.execute("DELETE FROM runs WHERE run = ?1", &[self.id.clone().into()])?;
        RUNS.insert(self.sql, of_creation(&self.id, created, state))?;
        self.renumber(number)?;
        self.name.clone_from(&created.spec.name);
        let what = if listed.is_some() { "damaged" } else { "missing" };
        self.tell(
            format!("its row of `runs` is {what}"),
            "it is written again from the record of the run's creation",
        );
        Ok(())
    }

    /// Its place among the runs.
    fn number(&self) -> Result<Option<i64>, JournalError> {
        let read = "SELECT number FROM runs WHERE run = ?1";
        Ok(self.sql.first(read, &[self.id.clone().into()], |row| Ok(row[0].as_i64().ok()))?.flatten())
    }

    fn renumber(&self, number: Option<i64>) -> Result<(), JournalError> {
        let Some(number) = number else { return Ok(()) };
        self.sql
            .execute("UPDATE runs SET number = ?2 WHERE run = ?1", &[self.id.clone().into(), number.into()])
    }

    /// Removes damaged records without which the run comes to the same: its episodes are repeated, and notes are words.
    fn drop_harmless(&mut self, rows: &Rows) -> Result<(), JournalError> {
        let of = |kinds: &'static [&'static str]| {
            rows.damaged()
                .filter(move |seen| seen.table.name() == "records" && kinds.contains(&seen.kind.as_str()))
        };
        for seen in of(&["settled"]).chain(of(&BESIDE)) {
            seen.remove(self.sql, &self.id)?;
        }
        let settled = of(&["settled"]).count();
        if settled > 0 {
            self.tell(
                damaged(settled, "record of settled episodes", "records of settled episodes"),
                "they are removed; the episodes of the open generation among them are repeated",
            );
        }
        let beside = of(&BESIDE).count();
        if beside > 0 {
            self.tell(
                damaged(beside, "note or name of a worker", "notes or names of workers"),
                "they are removed; the run's result does not depend on them",
            );
        }
        Ok(())
    }

    /// Sets the run back to what is sound before the first damage. What follows is computed again, to the same bits where the search is
    /// not asynchronous.
    fn go_back(&mut self, rows: &Rows, unbroken: &[(u32, i64)]) -> Result<(), JournalError> {
        let harm = rows.damaged().map(|seen| seen.sequence.unwrap_or(0)).min().unwrap_or(i64::MAX);
        let last = unbroken.iter().rev().find(|(_, sequence)| *sequence < harm).copied();
        let from = last.map_or(0, |(generation, _)| generation + 1);
        let behind =
            |seen: &&Seen| last.is_none_or(|(_, sequence)| seen.sequence.is_none_or(|of| of > sequence));
        // Whoever begins at the beginning takes the numerics anew.
        let stays = |seen: &&Seen| {
            let fits = last.is_some() || !seen.kind.starts_with("fingerprint");
            seen.is_whole() && fits && KEPT.contains(&seen.kind.as_str())
        };
        for seen in rows.all.iter().filter(|seen| seen.table.name() != "runs").filter(behind) {
            if !stays(&seen) {
                seen.remove(self.sql, &self.id)?;
            }
        }
        let first = if last.is_none() { rows.first() } else { from };
        let keep = [self.id.clone().into(), first.into()];
        self.sql.execute("DELETE FROM snapshots WHERE run = ?1 AND closed > ?2", &keep)?;
        let closed =
            rows.of("generations").filter_map(|seen| seen.generation).max().map_or(first, |last| last + 1);
        let damage = Self::damage(rows);
        let reason = format!(
            "its journal was repaired: {damage}, so it goes on from generation {first}; `hebbian resume` computes what followed again"
        );
        self.append(rows.last() + 1, &RunState::paused(reason))?;
        let lost = closed.saturating_sub(first);
        self.tell(
            damage,
            format!(
                "it goes back to generation {first}, which repeats {}, and is paused until `hebbian resume`",
                plural(lost)
            ),
        );
        Ok(())
    }

    /// What is damaged or missing, in words.
    fn damage(rows: &Rows) -> String {
        let mut said = Vec::new();
        for table in ["records", "generations"] {
            let count = rows.of(table).filter(|seen| !seen.is_whole()).count();
            if count > 0 {
                said.push(damaged(count, &format!("row of `{table}`"), &format!("rows of `{table}`")));
            }
        }
        if said.is_empty() {
            let next = rows.unbroken().last().map_or(rows.first(), |(generation, _)| generation + 1);
            said.push(format!("generation {next} is missing"));
        }
        said.join(", ")
    }

    /// Rows are missing, and nobody knows which: whoever runs it decides.
    fn miss(&mut self, rows: &Rows) -> Result<(), JournalError> {
        let gaps = rows.gaps().map_or(String::new(), |gaps| format!(", among them records {gaps}"));
        let missing = format!("rows of it that were acknowledged are missing{gaps}");
        if rows.state.as_ref().is_some_and(RunState::is_final) {
            let text = format!("its journal was repaired: {missing}");
            self.write(rows.last() + 1, "note", &Record::Note { text })?;
            self.tell(
                missing,
                "what is there is sound by itself, and is all that it has from now on; a note says so",
            );
            return Ok(());
        }
        let reason =
            format!("its journal was repaired: {missing}; `hebbian resume` goes on with what is there");
        self.append(rows.last() + 1, &RunState::paused(reason))?;
        self.tell(
            missing,
            "what is there is sound by itself; it is paused until `hebbian resume` goes on with that",
        );
        Ok(())
    }

    /// Ends a run of which not even its creation can be read: with its reason, where its spec is known, else altogether.
    fn end(&mut self, rows: &Rows, wrong: &str) -> Result<(), JournalError> {
        let number = self.number()?;
        for table in ["records", "generations", "snapshots", "runs"] {
            self.sql.execute(&format!("DELETE FROM {table} WHERE run = ?1"), &[self.id.clone().into()])?;
        }
        let Some(created) = &rows.listed else {
            Changes::default().forget(self.sql, &self.id)?;
            self.tell(
                format!("{wrong}, and nothing says what it was"),
                "it is removed; the copy has what is left of it",
            );
            return Ok(());
        };
        RUNS.insert(self.sql, of_creation(&self.id, created, "running"))?;
        self.renumber(number)?;
        self.write(1, "created", &Record::Created(created.clone()))?;
        let reason = format!("its journal was damaged: {wrong}");
        self.append(rows.last().max(1) + 1, &RunState::failed(reason))?;
        self.tell(wrong, "it ends as failed, with its spec and that reason; the copy has what is left of it");
        let now = Rows::read(self.sql, &self.id)?;
        self.store_sum(&now)
    }

    /// Changes its state.
    fn append(&self, sequence: i64, state: &RunState) -> Result<(), JournalError> {
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        // Running time is counted up to the last generation.
        let record = Record::StateChanged { state: state.clone(), elapsed: Duration::ZERO, unix_ms };
        self.write(sequence, "state_changed", &record)?;
        let rows = Rows::read(self.sql, &self.id)?;
        let Some(created) = rows.created else { return Ok(()) };
        let number = self.number()?;
        self.sql.execute("DELETE FROM runs WHERE run = ?1", &[self.id.clone().into()])?;
        RUNS.insert(self.sql, of_creation(&self.id, &created, state.name()))?;
        self.renumber(number)
    }

    fn write(&self, sequence: i64, kind: &str, record: &Record) -> Result<(), JournalError> {
        let (id, kind) = (self.id.clone().into(), kind.to_owned().into());
        let values =
            vec![id, sequence.into(), kind, rusqlite::types::Value::Null, encode_record(record).into()];
        RECORDS.insert(self.sql, values).map(drop)
    }
}

fn plural(generations: u32) -> String {
    if generations == 1 { "1 generation".to_owned() } else { format!("{generations} generations") }
}
