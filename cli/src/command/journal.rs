//! `hebbian journal`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hebbian_coordinator::journal::sqlite::JournalReader;

use super::{LogArguments, journal_failure};
use crate::failure::Failure;
use crate::files;
use crate::render::{self, Paint};

/// Check, export or copy a journal. Also while a coordinator uses it: nothing is locked, nothing but copies is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian journal verify journal.sqlite                       can a coordinator go on from it?
  hebbian journal export runs/mine > generations.csv          every closed generation, for plots
  hebbian journal export runs/mine --format json-lines --what episodes
  hebbian journal backup journal.sqlite --out backup.sqlite   a copy of this moment; to restore it, stop the
                                                              coordinator and start it on the copy")]
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
    /// Copy the journal as it is at this moment.
    Backup(Backup),
}

#[derive(Debug, Args)]
struct Verify {
    /// The journal's file, or a directory of `hebbian run`.
    journal: PathBuf,
    /// Print what was found as a JSON array, one object per run.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Export {
    /// The journal's file, or a directory of `hebbian run`.
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
    /// The journal's file, or a directory of `hebbian run`.
    journal: PathBuf,
    /// The copy, a file that must not exist yet; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
    }
}

fn open(path: &Path) -> Result<(PathBuf, JournalReader), Failure> {
    let path = if path.is_dir() { path.join("journal.sqlite") } else { path.to_owned() };
    if let Err(error) = std::fs::metadata(&path) {
        return Err(Failure::file(&path, "the journal cannot be read", &error));
    }
    let reader = JournalReader::open(&path).map_err(|error| journal_failure(&error))?;
    Ok((path, reader))
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
        "{}: {damaged} of {} cannot be taken up",
        path.display(),
        render::text::plural(reports.len() as u64, "run")
    ))
    .hint("restore the journal from a copy; a coordinator shows such runs as failed"))
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
            return Err(Failure::not_found(format_args!("--run: {} has no run `{wanted}`", path.display()))
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
        render::note(&format!("{} copied to {}", path.display(), out.display()));
    }
    Ok(())
}

/// Copies a journal into a file that is not there yet; where the journal is.
pub(super) fn copy(journal: &Path, out: &Path) -> Result<PathBuf, Failure> {
    let (path, reader) = open(journal)?;
    files::create(out, |temporary| {
        reader.copy_to(temporary).map_err(|error| Failure::failed(&error))?;
        // A copy that cannot be read is none.
        let copy = JournalReader::open(temporary).map_err(|error| Failure::failed(&error))?;
        copy.runs().map_err(|error| Failure::failed(&error)).map(|_| ())
    })?;
    Ok(path)
}
