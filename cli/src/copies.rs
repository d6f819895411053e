//! Where copies of journals are kept: a directory, or a bucket of an object store.

#[cfg(feature = "object-store")]
mod bucket;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::command::journal::copy as copy_journal;
use crate::failure::Failure;
#[cfg(feature = "object-store")]
use bucket::Bucket;

/// See the module.
#[derive(Debug)]
pub(crate) enum Copies {
    /// Files of a directory.
    Directory(PathBuf),
    /// Objects behind a prefix.
    #[cfg(feature = "object-store")]
    Bucket(Bucket),
}

/// A copy that is there.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Its name, which sorts by age.
    pub(crate) name: String,
    /// When it was made, by the clock of whoever keeps it.
    pub(crate) made: Option<SystemTime>,
}

impl Copies {
    /// A directory, which is made if it is not there.
    pub(crate) fn directory(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path)
            .map_err(|error| Failure::writing(path, "backup.directory: cannot be created", &error))?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// A bucket at `s3://BUCKET/PREFIX`; `field` names it in messages.
    #[cfg(feature = "object-store")]
    pub(crate) fn bucket(field: &str, url: &str) -> Result<Self, Failure> {
        Bucket::open(field, url).map(Self::Bucket)
    }

    /// A bucket, for a program that knows none.
    #[cfg(not(feature = "object-store"))]
    pub(crate) fn bucket(field: &str, _url: &str) -> Result<Self, Failure> {
        Err(Failure::bad_input(format_args!(
            "{field}: this program was built without the feature `object-store`"
        ))
        .hint("name a directory, or build it with `--features object-store`"))
    }

    /// The copies whose names are `wanted`, oldest first.
    pub(crate) fn list(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Kept>, Failure> {
        let mut found = match self {
            Self::Directory(path) => files(path).map_err(|error| {
                Failure::writing(path, "the copies that are there cannot be listed", &error)
            })?,
            #[cfg(feature = "object-store")]
            Self::Bucket(bucket) => bucket.list()?,
        };
        found.retain(|kept| wanted(&kept.name));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Whether a copy on its way must be given up in an orderly way, because what was sent of it would stay there.
    pub(crate) fn leave_parts(&self) -> bool {
        match self {
            Self::Directory(_) => false,
            #[cfg(feature = "object-store")]
            Self::Bucket(_) => true,
        }
    }

    /// Copies a journal under a name; where it is then. A copy that is on its way to a bucket is given up when `ended` says so.
    #[cfg_attr(not(feature = "object-store"), expect(unused_variables, reason = "only a bucket takes long"))]
    pub(crate) fn add(
        &self,
        journal: &Path,
        name: &str,
        ended: &CancellationToken,
    ) -> Result<String, Failure> {
        match self {
            Self::Directory(path) => {
                let path = path.join(name);
                copy_journal(journal, &path)?;
                Ok(path.display().to_string())
            }
            #[cfg(feature = "object-store")]
            Self::Bucket(bucket) => {
                // Made here as any other, and read, before it is sent.
                let folder = tempfile::tempdir().map_err(|error| {
                    Failure::failed(format_args!("a temporary directory cannot be made: {error}"))
                })?;
                let local = folder.path().join(name);
                copy_journal(journal, &local)?;
                bucket.put(&local, name, ended)
            }
        }
    }

    /// Removes a copy.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Directory(path) => fs::remove_file(path.join(name))
                .map_err(|error| Failure::writing(path, "old copies cannot be removed", &error)),
            #[cfg(feature = "object-store")]
            Self::Bucket(bucket) => bucket.remove(name),
        }
    }
}

/// Writes a copy that is kept in a bucket, or the newest one behind a prefix, to a file; which one it was.
#[cfg(feature = "object-store")]
pub(crate) fn fetch(url: &str, is_copy: impl Fn(&str) -> bool, to: &Path) -> Result<String, Failure> {
    let (prefix, name) = match url.rsplit_once('/') {
        Some((prefix, name)) if is_copy(name) => (prefix, Some(name.to_owned())),
        _ => (url.trim_end_matches('/'), None),
    };
    let bucket = Bucket::open("JOURNAL", prefix)?;
    let name = if let Some(name) = name {
        name
    } else {
        let newest = bucket.list()?.into_iter().map(|kept| kept.name).filter(|name| is_copy(name)).max();
        newest.ok_or_else(|| Failure::not_found(format_args!("{prefix}: holds no copies of a journal")))?
    };
    bucket.get(&name, to)?;
    Ok(format!("{prefix}/{name}"))
}

/// The same for a program that knows no buckets.
#[cfg(not(feature = "object-store"))]
pub(crate) fn fetch(url: &str, _is_copy: impl Fn(&str) -> bool, _to: &Path) -> Result<String, Failure> {
    Copies::bucket("JOURNAL", url).map(|_| String::new())
}

fn files(directory: &Path) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str() {
            let made = entry.metadata().and_then(|there| there.modified()).ok();
            found.push(Kept { name: name.to_owned(), made });
        }
    }
    Ok(found)
}
