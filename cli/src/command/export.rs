//! `hebbian export`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{LogArguments, block_on};
use crate::client::ClientArguments;
use crate::export::table::Table;
use crate::export::{self, parquet, tensorboard};
use crate::failure::Failure;
use crate::files;
use crate::run_view::{Source, read};

/// Write every generation's figures of a run for other programs. Works while the run is still running.
///
/// A row is a generation, a column a figure with the name that it has in `--json`: `search.step_size`, `elapsed_s`,
/// `validation.accuracy.mean`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian export runs/mine --out mine.csv
  hebbian export quickstart --format parquet --out quickstart.parquet   a run of a coordinator
  hebbian export runs/mine --format tensorboard --out logs/mine         then: tensorboard --logdir logs
  hebbian export runs/mine --format jsonl | jq -c 'select(.kind == \"validation\")'")]
pub(super) struct Arguments {
    /// A directory of `hebbian run`, a journal (with #RUN behind it if it holds several runs), or a run of a coordinator.
    run: String,
    /// How they are written.
    // The id `format` is that of the log's, which every command has.
    #[arg(id = "table_format", long = "format", value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// Where to: a file, for `tensorboard` a directory, `-` for standard output. Text goes there without it.
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table with a heading.
    Csv,
    /// Every event of the run as a message `RunEvent`, one a line.
    Jsonl,
    /// A table with types.
    Parquet,
    /// An event file for `tensorboard`, in the directory of `--out`.
    Tensorboard,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { run, format, out, client } = arguments;
    let out = match (out, format) {
        (Some(out), _) => out,
        (None, Format::Csv | Format::Jsonl) => PathBuf::from("-"),
        (None, Format::Parquet) => {
            return Err(Failure::bad_input("--out: a Parquet file is no text for standard output")
                .hint("name a file: --out run.parquet; `-` writes to standard output all the same"));
        }
        (None, Format::Tensorboard) => {
            return Err(Failure::bad_input("--out: TensorBoard reads directories")
                .hint("name one: --out logs/mine; `-` writes the event file to standard output"));
        }
    };
    block_on(async {
        let source = Source::of(&run);
        let (mut table, mut lines) = (Table::default(), String::new());
        let found = read(&source, &client, &mut |event| match format {
            Format::Jsonl => lines.push_str(&export::json_line(event)),
            Format::Csv | Format::Parquet | Format::Tensorboard => table.take(event),
        })
        .await?;
        let table = table.of_run(&found.run);
        match format {
            Format::Csv => files::write(&out, export::csv(&table)),
            Format::Jsonl => files::write(&out, lines),
            Format::Parquet => files::write(&out, parquet::file(&table, &found.run)?),
            Format::Tensorboard => {
                let file = if files::is_standard(&out) {
                    out
                } else {
                    directory(&out)?.join(tensorboard::name(&found.run))
                };
                files::write(&file, tensorboard::file(&table, &found.run))
            }
        }
    })
}

/// The directory, which is made if it is not there.
fn directory(path: &Path) -> Result<&Path, Failure> {
    if path.exists() && !path.is_dir() {
        return Err(Failure::bad_input(format_args!(
            "--out: {}: is a file; TensorBoard reads directories",
            path.display()
        ))
        .hint("name a directory"));
    }
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::writing(path, "the directory cannot be made", &error))?;
    Ok(path)
}
