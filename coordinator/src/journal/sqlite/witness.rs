//! A witness of what was acknowledged: the last commit that was synced, beside the journal and its log.
//!
//! SQLite takes a log that was lost, shortened or damaged for one that ends there, and goes back without a word. So each
//! commit has a position, and `FILE.lock` holds the position of the last one that somebody was told of. It is not synced
//! itself: it may be behind the journal, and is never ahead of what was on the disk.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_shared::digest::Digest;
use hebbian_shared::limits::WITNESS_BYTES_MAX;

use super::beside;
use crate::journal::JournalError;
use crate::journal::sql::counters::Position;

/// What the file begins with.
const FORMAT: &str = "hebbian-witness-1";

/// What was acknowledged last, and when, by a clock that was plausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) position: Position,
    pub(super) unix_s: u64,
}

impl Witness {
    /// What the file beside a journal says; none if there is none, or it is not whole.
    pub(super) fn beside(journal: &Path) -> Option<Self> {
        let mut text = String::new();
        let path = beside(journal, ".lock");
        // Opening a pipe would wait for a writer.
        path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        File::open(path).ok()?.take(WITNESS_BYTES_MAX).read_to_string(&mut text).ok()?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        // What follows its line keeps room, see `reserve`.
        let (said, digest) = text.lines().next()?.rsplit_once(' ')?;
        if Digest::of(said.as_bytes()).short() != digest {
            return None;
        }
        let mut words = said.split(' ');
        let mut next = || words.next();
        if next()? != FORMAT {
            return None;
        }
        let journal = i64::from_str_radix(next()?, 16).ok()?;
        let (commits, unix_s) = (next()?.parse().ok()?, next()?.parse().ok()?);
        Some(Self { position: Position { journal, commits }, unix_s })
    }

    /// All texts have one length, so that a new one is written over the old one.
    fn text(&self) -> String {
        let Position { journal, commits } = self.position;
        let said = format!("{FORMAT} {journal:016x} {commits:020} {:020}", self.unix_s);
        format!("{said} {}\n", Digest::of(said.as_bytes()).short())
    }

    /// Writes it into the file that is held open.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        file.write_all_at(self.text().as_bytes(), 0)
    }

    /// When it was.
    pub(super) fn moment(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.unix_s)
    }

    /// Refuses a journal that lacks something that was acknowledged.
    pub(super) fn check(&self, found: Position, path: &Path, store: &str) -> Result<(), JournalError> {
        let Position { journal, commits } = self.position;
        if journal != found.journal || commits <= found.commits {
            return Ok(());
        }
        Err(JournalError::Corrupt {
            store: store.to_owned(),
            problem: format!(
                "it ends with commit {}, but commit {commits} was acknowledged: the last {} are lost, with its log {} or \
                 because an older copy was put in its place; `hebbian journal repair` lets it go on from there all the same (or remove {})",
                found.commits,
                commits - found.commits,
                beside(path, "-wal").display(),
                beside(path, ".lock").display()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_read_as_it_was_written_or_not_at_all() {
        let witness = Witness { position: Position { journal: 7, commits: 229 }, unix_s: 1_795_000_000 };
        let text = witness.text();
        assert_eq!(Witness::parse(&text), Some(witness));
        assert_eq!(text.len(), Witness { unix_s: 1, ..witness }.text().len());
        for place in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert_eq!(Witness::parse(&String::from_utf8(bytes).unwrap()), None, "{place}");
        }
        assert_eq!(Witness::parse(""), None);
    }
}
