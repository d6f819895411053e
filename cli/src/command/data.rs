//! `hebbian data`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::data_set::DataSetName;
use hebbian_worker::data_store::{Added, DataStore};

use super::{LogArguments, parse_seed};
use crate::data::{Content, DataArguments, MissingDirectory, Row, failure};
use crate::failure::Failure;
use crate::own_data;
use crate::render::{self, Paint};

/// Keep the data sets of this machine: labelled images and tables, for the task families `idx:NAME`.
///
/// A data set comes from a directory with four files in MNIST's IDX format: training images, training labels, test images and
/// test labels, plain or compressed with gzip. MNIST, Fashion-MNIST, KMNIST and EMNIST come like that. Or it is made of your own
/// data: of a table or of arrays.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apt install dataset-fashion-mnist
  hebbian data add fashion-mnist /usr/share/datasets/fashion-mnist
  hebbian data add emnist-letters gzip/          of several sets in a directory, that whose files begin so
  hebbian data add wine wine.csv                 a header; numbers, and the label in the last column
  hebbian data add wine train.csv test.csv       the same, without a split of 80 to 20 by --split-seed
  hebbian data add mine mine.npz                 arrays x_train, y_train and, for the test part, x_test, y_test
  hebbian data list
  hebbian data verify")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy a data set into the data directory.
    Add(AddArguments),
    /// Show the data sets with their sizes and digests.
    List(ListArguments),
    /// Read data sets and compare their digests with those that they had when they were added.
    ///
    /// Exit code 1 if one is damaged or has changed.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    /// Its name from now on: 1 to 32 of a-z, 0-9, `-`, `_` and `.`.
    name: DataSetName,
    /// A directory with its files, the four files, a table (FILE.csv; or one to train and one to test) or arrays (FILE.npz).
    #[arg(required = true, num_args = 1..=4, value_name = "PATH")]
    sources: Vec<PathBuf>,
    /// Chooses, of data without a test part, one of five examples of each class for it.
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_seed, allow_negative_numbers = true)]
    split_seed: Seed,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    data: DataArguments,
    /// Print a JSON object for each data set, one a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// Data sets [default: all].
    names: Vec<DataSetName>,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Add(AddArguments { name, sources, split_seed, data }) => {
            add(name, &sources, split_seed, &*log.data_store_or(&data, MissingDirectory::Made)?)
        }
        Command::List(ListArguments { data, json }) => list(&*log.data_store(&data)?, json),
        Command::Verify(VerifyArguments { names, data }) => verify(names, &*log.data_store(&data)?),
    }
}

fn add(name: DataSetName, sources: &[PathBuf], split_seed: Seed, store: &DataStore) -> Result<(), Failure> {
    if let Some(missing) = sources.iter().find(|source| !source.exists()) {
        return Err(Failure::not_found(format_args!(
            "{}: there is no such file or directory",
            missing.display()
        )));
    }
    let (set, added) = match own_data::make(sources, split_seed) {
        None => store.add(name, sources),
        Some(made) => store.add_made(name, &made?),
    }
    .map_err(failure)?;
    let verb = match added {
        Added::New => "added",
        Added::Before => "was there already:",
    };
    render::note(&format!("{verb} {}", store.place(name).display()));
    render::out(&render::data::table(&[Row::of(name, store, &set)], Paint::stdout()))
}

fn list(store: &DataStore, json: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for name in store.names().map_err(failure)? {
        rows.push(match store.load(name) {
            Ok(set) => Row::of(name, store, &set),
            Err(error) => {
                let content = Content::Broken { error: error.to_string() };
                Row { name, family: format!("idx:{name}"), directory: store.place(name), content }
            }
        });
    }
    if json {
        return render::out(&rows.iter().map(render::json::line).collect::<String>());
    }
    if rows.is_empty() {
        render::note(&format!(
            "no data sets in {}; `hebbian data add --help` says how",
            store.directory().display()
        ));
        return Ok(());
    }
    render::out(&render::data::table(&rows, Paint::stdout()))
}

fn verify(names: Vec<DataSetName>, store: &DataStore) -> Result<(), Failure> {
    let names = if names.is_empty() { store.names().map_err(failure)? } else { names };
    if names.is_empty() {
        render::note(&format!("no data sets in {}", store.directory().display()));
        return Ok(());
    }
    let mut bad = 0;
    for name in names {
        let verdict = match (store.load(name), store.recorded_digest(name)) {
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
            (Ok(set), Ok(Some(recorded))) if set.digest() != recorded => {
                Err(format!("has digest {} and had {recorded} when it was added", set.digest()))
            }
            (Ok(set), Ok(Some(_))) => Ok(format!("{}  as when it was added", set.digest())),
            (Ok(set), Ok(None)) => Ok(format!("{}  (was not added by `hebbian data add`)", set.digest())),
        };
        bad += u32::from(verdict.is_err());
        render::out(&render::data::verdict(name, &verdict, Paint::stdout()))?;
    }
    if bad > 0 {
        return Err(Failure::failed(format_args!(
            "{} cannot be used as {}",
            render::text::plural(u64::from(bad), "data set"),
            if bad == 1 { "it is" } else { "they are" }
        )));
    }
    Ok(())
}
