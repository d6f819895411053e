//! Data of one's own: the tables and arrays of which `hebbian data add` makes a data set.

use std::path::{Path, PathBuf};

use hebbian_learning::task::data_set::make::{Examples, Made};
use hebbian_shared::limits::TABLE_FILE_BYTES_MAX;
use hebbian_shared::seed::Seed;

use crate::failure::Failure;

mod archive;
mod array;
mod table;

/// The data set of a table (`.csv`), of one for training and one for the test, or of arrays (`.npz`); none if the files are no such
/// thing. Where there is no test part, the seed chooses it.
pub(crate) fn make(sources: &[PathBuf], seed: Seed) -> Option<Result<Made, Failure>> {
    let is =
        |path: &Path, ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
    let examples = match sources {
        [path] if path.is_dir() => return None,
        [path] if is(path, "npz") => archive::read(path),
        [path] if is(path, "csv") => table::read(path, None),
        [train, test] if is(train, "csv") && is(test, "csv") => table::read(train, Some(test)),
        [path] => Err(Failure::bad_input(format_args!("{}: is no data that can be added", path.display())).hint(
            "there are FILE.csv (a header, the last column the label), FILE.npz (x_train, y_train) and directories of IDX files",
        )),
        several if several.iter().any(|path| is(path, "csv") || is(path, "npz")) => {
            let count = several.len();
            Err(Failure::bad_input(format_args!("{}: is one of {count} files of which no set can be made", several[0].display()))
                .hint("there may be one table, two tables (for training and for the test), or one archive of arrays"))
        }
        _ => return None,
    };
    let make = |examples: Examples| {
        let problem = |problem| Failure::bad_input(format_args!("{}: {problem}", sources[0].display()));
        examples.make(seed).map_err(problem)
    };
    Some(examples.and_then(make))
}

/// Refuses a file that is larger than what is read.
fn check_size(path: &Path, bytes: u64) -> Result<(), Failure> {
    if bytes > TABLE_FILE_BYTES_MAX {
        let limit = format!("is larger than the limit of {TABLE_FILE_BYTES_MAX} bytes");
        return Err(Failure::bad_input(format_args!("{}: {limit}", path.display())));
    }
    Ok(())
}

/// A text of somebody's as a message shows it.
fn shown(text: &str) -> String {
    const LENGTH: usize = 40;
    let start: String = text.chars().take(LENGTH).collect();
    let more = if text.chars().count() > LENGTH { "..." } else { "" };
    format!("`{}{more}`", start.escape_debug())
}

#[cfg(test)]
mod tests;
