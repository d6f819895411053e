//! `hebbian journal`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_coordinator::journal::repair::{Finding, Mode, repair};
use hebbian_coordinator::journal::{migrate, redacted};

use super::coordinator_backup::is_copy;
use super::{LogArguments, journal_failure};
use crate::failure::Failure;
use crate::render::{self, Paint};
use crate::{copies, files};

/// Check, export, copy, mend or move a journal. Also while a coordinator uses it, but for mending and moving it: nothing is locked, nothing
/// but copies is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian journal verify journal.sqlite                       can a coordinator go on from it?
  hebbian journal export runs/mine > generations.csv          every closed generation, for plots
  hebbian journal export runs/mine --format json-lines --what episodes
  hebbian journal backup journal.sqlite --out backup.sqlite   a copy of this moment; to restore it, stop the
                                                              coordinator and start it on the copy
  hebbian journal verify postgresql://hebbian@db.example/hebbian
  hebbian journal repair journal.sqlite                       what is wrong, and what would be done about it
  hebbian journal repair journal.sqlite --yes                 do it, after a copy was made
  hebbian journal migrate journal.sqlite postgresql://hebbian@db.example/hebbian")]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read every record and take up each run as a coordinator would; exit code 1 if something is wrong.
    Verify(Verify),
    /// Write generations or episodes as a table that other programs read.
    Export(Export),
    /// Copy the journal as it is at this moment, to a file of SQLite.
    Backup(Backup),
    /// Fetch a copy that a coordinator keeps in a bucket (`backup.url`), to start a coordinator on it.
    Fetch(Fetch),
    /// Say what is wrong with a journal that no coordinator uses, and what would be done about it; with --yes, copy the journal and do it.
    Repair(Repair),
    /// Copy a journal that no coordinator uses into another store, row by row. Where it comes from it stays as it is; go on with one of
    /// both.
    Migrate(Migrate),
}

#[derive(Debug, Args)]
struct Verify {
    /// The journal's file, a directory of `hebbian run`, or `postgresql://USER@HOST/DATABASE`.
    journal: PathBuf,
    /// Print what was found as a JSON array, one object per run.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Export {
    /// The journal's file, a directory of `hebbian run`, or `postgresql://USER@HOST/DATABASE`.
    journal: PathBuf,
    /// Only this run: its id, the beginning of its id, or its spec's name.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Which rows. Episodes are those that the journal keeps: the open generation's, and those that measured the result.
    #[arg(long, value_name = "ROWS", default_value = "generations")]
    what: Rows,
    /// How they are written.
    // The id `format` is that of the log's, which every command has.
    #[arg(id = "table_format", long = "format", value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// Where to; without it, or with `-`, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Backup {
    /// The journal's file, a directory of `hebbian run`, or `postgresql://USER@HOST/DATABASE`.
    journal: PathBuf,
    /// The copy, a file that must not exist yet; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Fetch {
    /// The copy, `s3://BUCKET/PREFIX/NAME`, or `s3://BUCKET/PREFIX` for the newest one.
    #[arg(value_name = "URL")]
    url: String,
    /// Where to, a file that must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Repair {
    /// The journal's file, a directory of `hebbian run`, or `postgresql://USER@HOST/DATABASE`.
    journal: PathBuf,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// With --yes: the copy of what is there before, a file that must not exist yet [default: the journal's file with `.before-repair`].
    #[arg(long, value_name = "FILE", requires = "yes")]
    copy: Option<PathBuf>,
    /// Print what was found as a JSON array, one object per finding.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Migrate {
    /// Where it is: the journal's file, a directory of `hebbian run`, or `postgresql://USER@HOST/DATABASE`.
    from: String,
    /// Where it goes: a file that is not there yet, or a database without a journal.
    to: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rows {
    Generations,
    Episodes,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    JsonLines,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    match arguments.what {
        What::Verify(arguments) => verify(&arguments),
        What::Export(arguments) => export(&arguments),
        What::Backup(arguments) => backup(&arguments),
        What::Repair(arguments) => mend(&arguments),
        What::Fetch(Fetch { url, out }) => fetch(&url, &out),
        What::Migrate(Migrate { from, to }) => {
            let (from, to) = (store("FROM", &from)?, store("TO", &to)?);
            let moved = migrate::migrate(&from, &to).map_err(|error| journal_failure(&error))?;
            let (runs, rows) =
                (render::text::plural(moved.runs, "run"), render::text::plural(moved.rows, "row"));
            render::note(&format!(
                "{runs} in {rows}, digest {}, are now in {}",
                moved.digest.short(),
                redacted(&to)
            ));
            Ok(())
        }
    }
}

/// Whether an address is a database's.
fn is_database(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with("postgresql://") || text.starts_with("postgres://"))
}

/// The address of a store that an argument names: a file by itself, as for the other commands, or a database.
fn store(argument: &str, text: &str) -> Result<String, Failure> {
    if is_database(Path::new(text)) {
        return Ok(text.to_owned());
    }
    let path = text.strip_prefix("sqlite:").unwrap_or(text);
    if path.is_empty() || path == "memory:" || path.contains("://") {
        let problem = "is no journal that can be moved: it must be a file, sqlite:PATH or postgresql://USER@HOST/DATABASE";
        return Err(Failure::bad_input(format_args!("{argument}: `{}` {problem}", redacted(text))));
    }
    let path = if Path::new(path).is_dir() { format!("{path}/journal.sqlite") } else { path.to_owned() };
    Ok(format!("sqlite:{path}"))
}

/// The file that a path, a directory or `sqlite:PATH` means.
fn file(path: &Path) -> Result<PathBuf, Failure> {
    let path = path.to_str().and_then(|text| text.strip_prefix("sqlite:")).map_or(path, Path::new);
    let path = if path.is_dir() { path.join("journal.sqlite") } else { path.to_owned() };
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Failure::file(&path, "the journal cannot be read", &error)),
    }
}

fn mend(arguments: &Repair) -> Result<(), Failure> {
    let Repair { journal, yes, copy, json } = arguments;
    let text = |path: &Path| {
        let failure =
            || Failure::bad_input(format_args!("{}: the journal's name is not UTF-8", path.display()));
        path.to_str().map(str::to_owned).ok_or_else(failure)
    };
    let (url, beside) = if is_database(journal) {
        (text(journal)?, None)
    } else {
        let path = file(journal)?;
        let name = text(&path)?;
        (format!("sqlite:{name}"), Some(PathBuf::from(format!("{name}.before-repair"))))
    };
    let copy = copy.clone().or(beside);
    let mode = match (yes, &copy) {
        (false, _) => Mode::Look,
        (true, Some(copy)) => Mode::Mend(copy.clone()),
        (true, None) => {
            return Err(Failure::bad_input("--copy: must name a file for what is in the database before")
                .hint("hebbian journal repair postgresql://... --yes --copy before.sqlite"));
        }
    };
    let findings = repair(&url, &mode).map_err(|error| journal_failure(&error))?;
    render::out(&if *json {
        render::journal::findings_json(&findings)
    } else {
        render::journal::findings(&findings, Paint::stdout())
    })?;
    mended(&findings, &redacted(&url), copy.as_deref().filter(|_| *yes))
}

/// What is left to say; an error where something is wrong, or was left.
fn mended(findings: &[Finding], name: &str, copy: Option<&Path>) -> Result<(), Failure> {
    let name = name.strip_prefix("sqlite:").unwrap_or(name);
    if findings.is_empty() {
        return Ok(());
    }
    let Some(copy) = copy else {
        return Err(Failure::failed(format_args!("{name}: nothing was changed"))
            .hint("the same with --yes does it, after it has copied what is there"));
    };
    render::note(&format!("{name} is mended; what was there before is in {}", copy.display()));
    match findings.iter().filter(|finding| !finding.mended).count() {
        0 => Ok(()),
        left => {
            let left = render::text::plural(left as u64, "run");
            Err(Failure::failed(format_args!("{name}: {left} could not be mended")))
        }
    }
}

/// A journal, and what it is called in messages.
fn open(path: &Path) -> Result<(String, JournalReader), Failure> {
    if let Some(address) = path.to_str()
        && let Some(opened) = JournalReader::of_database(address)
    {
        return Ok((redacted(address), opened.map_err(|error| journal_failure(&error))?));
    }
    let path = file(path)?;
    let reader = JournalReader::open(&path).map_err(|error| journal_failure(&error))?;
    Ok((path.display().to_string(), reader))
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let (path, reader) = open(&arguments.journal)?;
    let reports = reader.verify().map_err(|error| Failure::failed(&error))?;
    render::out(&if arguments.json {
        render::journal::verified_json(&reports)
    } else {
        render::journal::verified(&reports, Paint::stdout())
    })?;
    let damaged = reports.iter().filter(|report| !report.problems.is_empty()).count();
    if damaged == 0 {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "{path}: {damaged} of {} cannot be taken up",
        render::text::plural(reports.len() as u64, "run")
    ))
    .hint("`hebbian journal repair` says what can be mended, or restore the journal from a copy; a coordinator shows such runs as failed"))
}

fn export(arguments: &Export) -> Result<(), Failure> {
    let (path, reader) = open(&arguments.journal)?;
    let read = |error| journal_failure(&error);
    let mut runs = Vec::new();
    for loaded in reader.runs().map_err(read)? {
        match loaded {
            Ok(stored) => runs.push(stored),
            Err(unreadable) => {
                render::note(&format!("run {} is left out: {}", unreadable.run, unreadable.problem));
            }
        }
    }
    if let Some(wanted) = &arguments.run {
        let id = wanted.to_ascii_lowercase();
        runs.retain(|run| run.created.spec.name == *wanted || run.run.to_string().starts_with(&id));
        if runs.is_empty() {
            return Err(Failure::not_found(format_args!("--run: {path} has no run `{wanted}`"))
                .hint("`hebbian journal verify` lists its runs"));
        }
    }
    let mut rows = Vec::new();
    for stored in &runs {
        match arguments.what {
            Rows::Generations => {
                let generations = reader.generations(stored.run).map_err(read)?;
                rows.extend(
                    generations.iter().map(|summary| render::journal::generation(stored.run, summary)),
                );
            }
            Rows::Episodes => {
                let episodes = JournalReader::episodes(stored);
                rows.extend(
                    episodes
                        .iter()
                        .map(|stored_episode| render::journal::episode(stored.run, stored_episode)),
                );
            }
        }
    }
    reader.check_still().map_err(read)?;
    let text = match arguments.format {
        Format::Csv => match arguments.what {
            Rows::Generations => render::journal::csv(&render::journal::generation_columns(), &rows),
            Rows::Episodes => render::journal::csv(render::journal::EPISODE_COLUMNS, &rows),
        },
        Format::JsonLines => rows.iter().map(render::json::line).collect(),
    };
    files::write(arguments.out.as_deref().unwrap_or(Path::new("-")), text)
}

fn backup(arguments: &Backup) -> Result<(), Failure> {
    let Backup { journal, out } = arguments;
    let path = copy(journal, out)?;
    if !files::is_standard(out) {
        render::note(&format!("{path} copied to {}", out.display()));
    }
    Ok(())
}

fn fetch(url: &str, out: &Path) -> Result<(), Failure> {
    let mut fetched = String::new();
    files::create(out, |temporary| {
        fetched = copies::fetch(url, is_copy, temporary)?;
        let copy = JournalReader::open(temporary).map_err(|error| Failure::failed(&error))?;
        copy.runs().map_err(|error| Failure::failed(&error)).map(|_| ())
    })?;
    if !files::is_standard(out) {
        render::note(&format!("{fetched} is in {}; a coordinator can be started on it", out.display()));
    }
    Ok(())
}

/// Copies a journal into a file that is not there yet; what the journal is called.
pub(crate) fn copy(journal: &Path, out: &Path) -> Result<String, Failure> {
    let (path, reader) = open(journal)?;
    files::create(out, |temporary| {
        reader.copy_to(temporary).map_err(|error| Failure::failed(&error))?;
        // A copy that cannot be read is none.
        let copy = JournalReader::open(temporary).map_err(|error| Failure::failed(&error))?;
        copy.runs().map_err(|error| Failure::failed(&error)).map(|_| ())
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_is_named_as_for_the_other_commands() {
        for (text, url) in [
            ("journal.sqlite", "sqlite:journal.sqlite"),
            ("sqlite:a b.sqlite", "sqlite:a b.sqlite"),
            (".", "sqlite:./journal.sqlite"),
            ("postgresql://me@db.example/x", "postgresql://me@db.example/x"),
        ] {
            assert_eq!(store("FROM", text).ok().as_deref(), Some(url));
        }
        for text in ["", "sqlite:", "memory:", "mysql://me:secret@db.example/x"] {
            let failure = store("TO", text).expect_err(text);
            assert!(failure.message().starts_with("TO: `"), "{}", failure.message());
            assert!(failure.message().contains("must be a file, sqlite:PATH or"), "{}", failure.message());
            assert!(!failure.message().contains("secret"), "{}", failure.message());
        }
    }
}
