//! A data set on its way into the directory: written beside it, checked, and only then moved to its place.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hebbian_shared::digest::Digest;
use hebbian_shared::spec::data_set::DataSetName;

use super::{DIGEST_FILE, FILES, read, refused};
use hebbian_learning::task::data_set::{Arriving, DataSetError};

/// Tells apart the sets that arrive in one process at a time.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Makes room for a data set that is known by its digest.
pub(super) fn begin(
    directory: &Path,
    name: DataSetName,
    digest: Digest,
) -> Result<Box<dyn Arriving>, DataSetError> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Hidden, so that nobody takes it for a data set before it is whole.
    let temporary = directory.join(format!(".{}.{}.{number}.tmp", digest.short(), std::process::id()));
    let place = directory.join(digest.to_string());
    let arriving = FromElsewhere { name, digest, place, temporary, files: Vec::new() };
    fs::create_dir_all(&arriving.temporary).map_err(|error| arriving.unwritable(&error))?;
    Ok(Box::new(arriving))
}

struct FromElsewhere {
    name: DataSetName,
    digest: Digest,
    place: PathBuf,
    temporary: PathBuf,
    /// Those that have begun, with their paths.
    files: Vec<(PathBuf, File)>,
}

impl FromElsewhere {
    fn unwritable(&self, error: &std::io::Error) -> DataSetError {
        refused(&self.place, &format!("cannot be written: {error}"))
    }

    fn broken(&self, problem: &str) -> DataSetError {
        DataSetError::Unfit { name: self.name.to_string(), problem: format!("what arrived {problem}") }
    }
}

impl Arriving for FromElsewhere {
    fn write(&mut self, file: usize, bytes: &[u8]) -> Result<(), DataSetError> {
        if file == self.files.len() && file < FILES.len() {
            let ending = if bytes.first() == Some(&0) { "" } else { ".gz" };
            let path = self.temporary.join(format!("{}{ending}", FILES[file]));
            let created = File::create_new(&path).map_err(|error| self.unwritable(&error))?;
            self.files.push((path, created));
        } else if file + 1 != self.files.len() {
            return Err(self.broken("is not four files, one after the other"));
        }
        let (_, open) = self.files.last_mut().expect("one has begun");
        open.write_all(bytes).map_err(|error| self.unwritable(&error))
    }

    fn finish(self: Box<Self>) -> Result<(), DataSetError> {
        let paths: Vec<PathBuf> = self.files.iter().map(|(path, _)| path.clone()).collect();
        let paths: [PathBuf; 4] = paths.try_into().map_err(|_| self.broken("ended before its end"))?;
        let found = read(&paths)?.digest();
        if found != self.digest {
            let (found, wanted) = (found.short(), self.digest.short());
            return Err(self.broken(&format!("has other content (digest {found}) than is wanted ({wanted})")));
        }
        let settle = || {
            for (_, file) in &self.files {
                file.sync_all()?;
            }
            let mut file = File::create_new(self.temporary.join(DIGEST_FILE))?;
            writeln!(file, "{}", self.digest)?;
            file.sync_all()?;
            // What is there has been found wanting, or another process was faster with the same.
            if self.place.exists() {
                fs::remove_dir_all(&self.place)?;
            }
            fs::rename(&self.temporary, &self.place)?;
            self.place.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        };
        settle().map_err(|error| self.unwritable(&error))
    }
}

impl Drop for FromElsewhere {
    fn drop(&mut self) {
        // After the end there is nothing to remove.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_store::DataStore;
    use hebbian_learning::task::data_set::{DataSets as _, small, small_files};

    /// Pieces of files, each with its file's place.
    type Pieces = Vec<(usize, Vec<u8>)>;

    /// Sends a small set piece by piece, with its files changed, under the digest of the unchanged one.
    fn send(store: &DataStore, change: impl Fn(&mut Pieces)) -> Result<Digest, DataSetError> {
        let digest = small([6, 3], (2, 2), &[1, 2]).digest();
        let mut arriving = store.receive("a".parse().unwrap(), digest)?;
        let files = small_files([6, 3], (2, 2), &[1, 2]).into_iter().enumerate();
        let mut pieces: Pieces = files
            .flat_map(|(place, (_, bytes))| {
                bytes.chunks(7).map(|piece| (place, piece.to_vec())).collect::<Vec<_>>()
            })
            .collect();
        change(&mut pieces);
        for (file, bytes) in pieces {
            arriving.write(file, &bytes)?;
        }
        arriving.finish().map(|()| digest)
    }

    #[test]
    fn what_arrives_whole_is_found_by_its_digest_and_all_else_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = DataStore::new(directory.path().join("data"));
        let refuse = |change: &dyn Fn(&mut Pieces), expected: &str| {
            let error = send(&store, change).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read_dir(store.directory()).unwrap().count(), 0, "{expected}: something is left");
        };
        refuse(&|pieces| pieces[2].1[6] ^= 1, "has other content");
        refuse(&|pieces| drop(pieces.pop()), "ends within its header");
        refuse(&|pieces| pieces.retain(|(file, _)| *file < 3), "ended before its end");
        refuse(&|pieces| pieces.retain(|(file, _)| *file != 1), "is not four files, one after the other");
        refuse(&|pieces| pieces.rotate_left(1), "");
        refuse(&|pieces| pieces.push((4, vec![0])), "is not four files");
        refuse(&|pieces| pieces.push((0, vec![0])), "is not four files");

        let digest = send(&store, |_| {}).unwrap();
        assert_eq!(store.find("any".parse().unwrap(), Some(digest)).unwrap().digest(), digest);
        assert_eq!(send(&store, |_| {}), Ok(digest), "once more is no trouble");
        assert_eq!(fs::read_dir(store.directory()).unwrap().count(), 1);
        assert_eq!(store.files(digest).unwrap().map(|file| file.exists()), [true; 4]);
        assert_eq!(store.files(Digest::of(b"other")), None);
    }

    #[test]
    fn files_are_found_by_digest_whatever_they_are_called() {
        let directory = tempfile::tempdir().unwrap();
        let store = DataStore::new(directory.path().join("data"));
        let source = directory.path().join("source");
        fs::create_dir_all(&source).unwrap();
        for (name, bytes) in small_files([6, 3], (2, 2), &[1, 2]) {
            fs::write(source.join(name), bytes).unwrap();
        }
        let (set, _) = store.add("a".parse().unwrap(), std::slice::from_ref(&source)).unwrap();
        let digest = set.digest();
        let files = store.files(digest).unwrap();
        assert!(files.iter().all(|file| file.starts_with(store.place("a".parse().unwrap()))), "{files:?}");
        // Put there by other means, it has no record of its digest.
        fs::remove_file(store.place("a".parse().unwrap()).join(DIGEST_FILE)).unwrap();
        assert_eq!(store.files(digest), Some(files.clone()));
        // It is not read again for each question, unless a file has changed.
        let other = small_files([6, 3], (2, 2), &[2, 1]);
        drop(set);
        let before = fs::metadata(&files[1]).unwrap().modified().unwrap();
        fs::write(&files[1], &other[1].1).unwrap();
        let labels = File::options().append(true).open(&files[1]).unwrap();
        labels.set_modified(before).unwrap();
        assert_eq!(store.files(digest), Some(files.clone()), "nothing shows that it has changed");
        labels.set_modified(before + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(store.files(digest), None);
    }
}
