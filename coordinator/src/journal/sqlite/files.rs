//! What the files of a journal must be before SQLite sees them: start and verification ask here, so that they agree.

use std::fs::{self, File};
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::Path;

use super::beside;
use crate::journal::JournalError;

/// What may stand beside a journal and belongs to it, with what it is called.
const PARTS: [(&str, &str); 4] =
    [(".lock", "lock file"), ("-wal", "log"), ("-shm", "log's index"), ("-journal", "rollback journal")];

/// What an SQLite file begins with.
pub const BEGINNING: &[u8; 16] = b"SQLite format 3\0";
/// Where the header of an SQLite file has its versions: for writing, for reading. In a file with a higher one SQLite reads only,
/// or nothing (<https://sqlite.org/fileformat.html>, 1.3.3).
const VERSIONS: [usize; 2] = [18, 19];
/// The versions that there are.
const KNOWN: RangeInclusive<u8> = 1..=2;

/// Refuses what belongs to a journal and is a pipe, a device, a directory or a link that leads nowhere: nothing that is written into it
/// can be read again, and opening it may never end.
pub(super) fn check_parts(journal: &Path, store: &str) -> Result<(), JournalError> {
    for (ending, name) in PARTS {
        let path = beside(journal, ending);
        let problem = match fs::metadata(&path) {
            Ok(part) if part.is_file() => continue,
            Ok(_) => "is no regular file",
            Err(_) if path.is_symlink() => "is a link to a file that cannot be reached",
            Err(_) => continue,
        };
        let problem = format!("its {name} {} {problem}; remove that", path.display());
        return Err(JournalError::Corrupt { store: store.to_owned(), problem });
    }
    Ok(())
}

/// Refuses a header that SQLite would take for another program's: start could not write there, and reading would not notice. Nobody
/// of this process may use the file.
pub(super) fn check_header(journal: &Path, store: &str) -> Result<(), JournalError> {
    let mut header = [0; 20];
    let read = File::open(journal).and_then(|mut file| file.read_exact(&mut header));
    // What cannot be read, or is no database at all, is told by SQLite.
    let is_database = read.is_ok() && header.starts_with(&BEGINNING[..]);
    match VERSIONS.iter().find(|&&place| !KNOWN.contains(&header[place])) {
        Some(place) if is_database => Err(JournalError::Corrupt {
            store: store.to_owned(),
            problem: format!(
                "the journal is damaged (byte {place} of its header is {}, and is 1 or 2 in a journal); restore it from a copy",
                header[*place]
            ),
        }),
        _ => Ok(()),
    }
}
