//! Reading with limits, writing all or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The whole text of a file, or of standard input if the path is `-`; refused above `size_max` bytes.
pub(crate) fn read_text(path: &Path, size_max: u64) -> Result<String, Failure> {
    String::from_utf8(read_bytes(path, size_max)?)
        .map_err(|_| Failure::bad_input(format_args!("{}: is not a text file (UTF-8)", path.display())))
}

/// As [`read_text`], for what is no text.
pub(crate) fn read_bytes(path: &Path, size_max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if is_stdin(path) {
        io::stdin().take(size_max + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(size_max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, "cannot be read", &error))?;
    if bytes.len() as u64 > size_max {
        return Err(Failure::bad_input(format_args!(
            "{}: is larger than {size_max} bytes; that cannot be meant",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Whether the path stands for standard input or output.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Writes a file so that, whatever happens, its name holds either the old content or all of the new one.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<(), Failure> {
    write(path, text.as_bytes(), 0o666)
}

/// As [`write_atomically`], for what is no text.
pub(crate) fn write_bytes_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, bytes, 0o666)
}

/// As [`write_atomically`], for the owner's eyes only.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    write(path, text.as_bytes(), 0o600)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::bad_input(format_args!("{}: is a directory; name a file", path.display())));
    }
    check_parent(path)?;
    let temporary = temporary_beside(path);
    let written = write_and_sync(&temporary, bytes, mode).and_then(|()| {
        fs::rename(&temporary, path)?;
        // The rename itself must survive a power loss.
        File::open(parent(path)).and_then(|directory| directory.sync_all())
    });
    written.map_err(|error| {
        // There may be nothing to remove; the first error is the one that matters.
        let _ = fs::remove_file(&temporary);
        Failure::writing(path, "cannot be written", &error)
    })
}

/// Makes a file that is not there yet: `make` writes it under a temporary name beside it. Whatever happens, the name
/// stands for all of it or for nothing.
pub(crate) fn create_atomically(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::bad_input(format_args!(
            "{}: exists already; name another file",
            path.display()
        )));
    }
    check_parent(path)?;
    let temporary = temporary_beside(path);
    let made = make(&temporary).and_then(|()| {
        // A link, unlike a rename, does not replace what somebody else has made in the meantime.
        File::open(&temporary)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::hard_link(&temporary, path))
            .and_then(|()| File::open(parent(path))?.sync_all())
            .map_err(|error| Failure::writing(path, "cannot be written", &error))
    });
    // There may be nothing to remove.
    let _ = fs::remove_file(&temporary);
    made
}

fn write_and_sync(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn check_parent(path: &Path) -> Result<(), Failure> {
    if parent(path).is_dir() {
        return Ok(());
    }
    Err(Failure::bad_input(format_args!(
        "{}: cannot be written: there is no directory {}",
        path.display(),
        parent(path).display()
    )))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        write_atomically(&path, "old").unwrap();
        write_atomically(&path, "new").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_or_read_is_named_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::create_dir(&path).unwrap();
        let failure = write_atomically(&path, "text").unwrap_err();
        assert!(failure.message().contains("a: is a directory; name a file"), "{}", failure.message());
        let failure = write_atomically(&directory.path().join("b/c"), "text").unwrap_err();
        assert!(
            failure.message().contains("b/c: cannot be written: there is no directory"),
            "{}",
            failure.message()
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let long = directory.path().join("long");
        fs::write(&long, "12345").unwrap();
        assert!(read_text(&long, 4).unwrap_err().message().contains("is larger than 4 bytes"));
        fs::write(&long, [0xff, 0xfe]).unwrap();
        assert!(read_text(&long, 4).unwrap_err().message().contains("is not a text file"));
    }
}
