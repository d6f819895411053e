//! Reading with limits, writing all or nothing.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use hebbian_coordinator::access::tokens;
use hebbian_coordinator::journal::sqlite::{BEGINNING, COMPANIONS as JOURNAL_COMPANIONS};
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::render;

/// The whole text of a file, or of standard input if the path is `-`; refused above `size_max` bytes.
pub(crate) fn read_text(path: &Path, size_max: u64) -> Result<String, Failure> {
    let text = String::from_utf8(read_bytes(path, size_max)?)
        .map_err(|_| Failure::bad_input(format_args!("{}: is not a text file (UTF-8)", path.display())))?;
    // Some editors begin a text with a mark of the order of its bytes.
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// As [`read_text`], for what is no text.
pub(crate) fn read_bytes(path: &Path, size_max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if is_standard(path) {
        io::stdin().take(size_max + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(size_max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, "cannot be read", &error))?;
    if bytes.len() as u64 > size_max {
        return Err(Failure::bad_input(format_args!(
            "{}: is larger than the limit of {size_max} bytes; is it the right file?",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Whether the path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Endings by which people and programs tell pictures and pages.
const FORMATS: [&str; 14] =
    ["bmp", "eps", "gif", "htm", "html", "jpeg", "jpg", "pdf", "png", "ps", "svg", "tif", "tiff", "webp"];

/// Refuses an output whose name promises another format than those that are `written`.
pub(crate) fn check_format(path: &Path, written: &[&str]) -> Result<(), Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.filter(|ending| FORMATS.contains(&&**ending) && !written.contains(&&**ending)) {
        None => Ok(()),
        Some(ending) => {
            let failure =
                Failure::bad_input(format_args!("--out: {}: no {ending} is written", path.display()));
            Err(failure.hint(format_args!("name a file that ends in .{}", written.join(" or ."))))
        }
    }
}

/// Writes an output, wherever it goes: the only function that does.
///
/// `-`, and whatever else is standard output, is written to. Links are followed. A device or a pipe is written into. A
/// regular file is replaced: whatever happens, its name holds either the old content or all of the new one; it keeps its
/// mode and its owner.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    write_to(path, content.as_ref(), 0o666)
}

/// Refuses an output that could not be written.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    Destination::of(path).map(drop)
}

/// As [`write()`], for the owner's eyes only.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    write_to(path, text.as_bytes(), 0o600)
}

/// Makes a file that is not there yet: `make` writes it under a temporary name beside it. Whatever happens, the name
/// stands for all of it or for nothing. Into standard output, a device or a pipe it is copied.
pub(crate) fn create(path: &Path, make: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::writing(path, "cannot be written", &error);
    match Destination::of(path)? {
        Destination::Replaced { .. } => {
            Err(Failure::bad_input(format_args!("{}: exists already; name another file", path.display())))
        }
        Destination::New { file } => {
            let temporary = temporary(parent(&file), 0o666).map_err(failed)?;
            make(temporary.path())?;
            // Unlike a rename, this does not replace what somebody else has made in the meantime.
            let kept = temporary.as_file().sync_all().and_then(|()| {
                temporary.persist_noclobber(&file).map_err(|error| error.error)?;
                sync_directory(&file)
            });
            kept.map_err(failed)
        }
        stream @ (Destination::StandardOutput | Destination::Stream) => {
            let aside = std::env::temp_dir();
            let temporary = temporary(&aside, 0o600).map_err(|error| {
                let what = format!(
                    "cannot be written: no temporary file can be made in {} (TMPDIR)",
                    aside.display()
                );
                Failure::writing(path, &what, &error)
            })?;
            make(temporary.path())?;
            let mut made = File::open(temporary.path()).map_err(failed)?;
            let mut out: Box<dyn io::Write> = match stream {
                Destination::Stream => Box::new(open_stream(path).map_err(failed)?),
                _ => Box::new(io::stdout().lock()),
            };
            // What is still buffered would fail unheard.
            io::copy(&mut made, &mut out).and_then(|_| out.flush()).map_err(failed)
        }
    }
}

/// What a path for an output stands for.
enum Destination {
    /// Standard output, by whichever name.
    StandardOutput,
    /// A device or a pipe.
    Stream,
    /// A regular file, with what is known of it; links have been followed.
    Replaced { file: PathBuf, there: fs::Metadata },
    /// Nothing yet; links have been followed.
    New { file: PathBuf },
}

impl Destination {
    fn of(path: &Path) -> Result<Self, Failure> {
        if is_standard(path) {
            return Ok(Self::StandardOutput);
        }
        let failed = |error: io::Error| Failure::writing(path, "cannot be written", &error);
        match fs::metadata(path) {
            Ok(there) if is_standard_output(&there) => Ok(Self::StandardOutput),
            Ok(there) if there.is_dir() => {
                Err(Failure::bad_input(format_args!("{}: is a directory; name a file", path.display())))
            }
            Ok(there) if there.is_file() => {
                // What is protected is not replaced either.
                OpenOptions::new().write(true).open(path).map_err(failed)?;
                let file = fs::canonicalize(path).map_err(failed)?;
                check_no_journal(path, &file)?;
                Ok(Self::Replaced { file, there })
            }
            Ok(_) => Ok(Self::Stream),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = target(path).map_err(failed)?;
                check_parent(path, &file)?;
                check_no_journal(path, &file)?;
                Ok(Self::New { file })
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn write_to(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let written = match Destination::of(path)? {
        Destination::StandardOutput => return render::out_bytes(bytes),
        Destination::Stream => open_stream(path).and_then(|mut stream| stream.write_all(bytes)),
        Destination::New { file } => {
            temporary(parent(&file), mode).and_then(|temporary| fill(temporary, bytes, &file))
        }
        Destination::Replaced { file, there } => temporary(parent(&file), 0o600).and_then(|temporary| {
            take_after(&there, temporary.as_file(), mode)?;
            fill(temporary, bytes, &file)
        }),
    };
    written.map_err(|error| Failure::writing(path, "cannot be written", &error))
}

/// Writes a temporary file to the disk and gives it its name.
fn fill(mut temporary: NamedTempFile, bytes: &[u8], file: &Path) -> io::Result<()> {
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    sync_directory(file)
}

/// Gives a file the owner and the mode of the one that it will replace; nobody may read or write it that might not with the
/// mode `new`.
fn take_after(there: &fs::Metadata, file: &File, new: u32) -> io::Result<()> {
    // Only the superuser can give files away.
    let _ = fchown(file, Some(there.uid()), Some(there.gid()));
    file.set_permissions(fs::Permissions::from_mode(there.mode() & (new | !0o666) & 0o7777))
}

/// Refuses what would take the place of a journal, of a file that belongs to one, or of a coordinator's tokens: what is lost with it is more
/// than an output.
fn check_no_journal(path: &Path, file: &Path) -> Result<(), Failure> {
    let refuse = |what: &str| {
        Err(Failure::bad_input(format_args!("{}: is {what}; name another file", path.display())))
    };
    if is_journal(file) {
        return refuse("an SQLite database, perhaps a journal");
    }
    if tokens::is_kept_in(file) {
        return refuse("a coordinator's file of tokens");
    }
    let name = file.file_name().unwrap_or_default().as_bytes();
    let journal = JOURNAL_COMPANIONS.iter().find_map(|ending| name.strip_suffix(ending.as_bytes()));
    match journal.filter(|journal| is_journal(&file.with_file_name(OsStr::from_bytes(journal)))) {
        Some(journal) => refuse(&format!("a file of the journal {}", String::from_utf8_lossy(journal))),
        None => Ok(()),
    }
}

/// Whether a file begins as journals do.
fn is_journal(file: &Path) -> bool {
    let mut found = [0; BEGINNING.len()];
    file.is_file()
        && File::open(file)
            .and_then(|mut file| file.read_exact(&mut found))
            .is_ok_and(|()| found == *BEGINNING)
}

/// Waits for the reader of a pipe.
fn open_stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Whether a file is the one that is this process's standard output.
fn is_standard_output(file: &fs::Metadata) -> bool {
    let standard = io::stdout().as_fd().try_clone_to_owned().and_then(|output| File::from(output).metadata());
    standard.is_ok_and(|output| (output.dev(), output.ino()) == (file.dev(), file.ino()))
}

/// Where a link leads that leads to nothing yet; a path that is no link leads to itself.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const LINKS_MAX: usize = 40;
    let mut file = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&file) {
            Ok(next) => file = parent(&file).join(next),
            Err(_) => return Ok(file),
        }
    }
    Err(io::Error::other("too many links"))
}

/// The rename itself must survive a power loss.
fn sync_directory(file: &Path) -> io::Result<()> {
    match File::open(parent(file)) {
        Ok(directory) => directory.sync_all(),
        // A directory may be written but not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn check_parent(path: &Path, file: &Path) -> Result<(), Failure> {
    if parent(file).is_dir() {
        return Ok(());
    }
    Err(Failure::bad_input(format_args!(
        "{}: cannot be written: there is no directory {}",
        path.display(),
        parent(file).display()
    )))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file of a fresh name, which is removed unless it gets another one. Its name does not depend on the other one: that may
/// be as long as names can be.
fn temporary(directory: &Path, mode: u32) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".hebbian-")
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_journal_and_what_belongs_to_it_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.sqlite");
        let content = b"SQLite format 3\0 and so on";
        fs::write(&journal, content).unwrap();
        std::os::unix::fs::symlink(&journal, folder.path().join("link")).unwrap();
        for (name, expected) in [
            ("j.sqlite", "is an SQLite database, perhaps a journal"),
            ("link", "is an SQLite database, perhaps a journal"),
            ("j.sqlite-wal", "is a file of the journal j.sqlite"),
            ("j.sqlite.lock", "is a file of the journal j.sqlite"),
        ] {
            let failure = write(&folder.path().join(name), "text").unwrap_err();
            assert!(failure.message().contains(expected), "{name}: {}", failure.message());
        }
        assert_eq!(fs::read(&journal).unwrap(), content);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        write(&folder.path().join("other.lock"), "text").unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_replaced_keeps_its_mode_and_what_is_secret_is_never_widened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        for kept in [0o600, 0o640, 0o777] {
            write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
            write(&path, "new").unwrap();
            assert_eq!(mode(&path), kept);
        }
        write_secret(&path, "key").unwrap();
        assert_eq!(mode(&path), 0o711, "others can no longer read it");
        let new = directory.path().join("b");
        write_secret(&new, "key").unwrap();
        assert_eq!(mode(&new), 0o600);
    }

    #[test]
    fn links_are_followed_also_to_what_is_not_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("below")).unwrap();
        fs::write(path("below/file"), "old").unwrap();
        symlink("below/file", path("link")).unwrap();
        symlink("link", path("second")).unwrap();
        symlink("below/later", path("dangling")).unwrap();
        write(&path("second"), "new").unwrap();
        write(&path("dangling"), "first").unwrap();
        assert_eq!(fs::read_to_string(path("below/file")).unwrap(), "new");
        assert_eq!(fs::read_to_string(path("below/later")).unwrap(), "first");
        assert!(path("link").is_symlink() && path("second").is_symlink() && path("dangling").is_symlink());
        symlink("round", path("round")).unwrap();
        assert!(write(&path("round"), "").is_err());
        // Also where a file must not be there yet.
        symlink("below/made", path("to-make")).unwrap();
        let make = |temporary: &Path| {
            fs::write(temporary, "made").unwrap();
            Ok(())
        };
        create(&path("to-make"), make).unwrap();
        assert_eq!(fs::read_to_string(path("below/made")).unwrap(), "made");
        assert!(create(&path("to-make"), make).unwrap_err().message().contains("exists already"));
    }

    #[test]
    fn a_pipe_is_written_into_and_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let make = |temporary: &Path| {
            fs::write(temporary, "made").unwrap();
            Ok(())
        };
        for (write, expected) in [
            (Box::new(|path: &Path| write(path, "text")) as Box<dyn Fn(&Path) -> _>, "text"),
            (Box::new(|path: &Path| create(path, make)), "made"),
        ] {
            let reader = std::thread::spawn({
                let path = path.clone();
                move || fs::read_to_string(path).unwrap()
            });
            write(&path).unwrap();
            assert_eq!(reader.join().unwrap(), expected);
            assert!(!fs::metadata(&path).unwrap().is_file());
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_may_be_as_long_as_names_can_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n".repeat(255));
        write(&path, "text").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "text");
        let failure = write(&directory.path().join("n".repeat(256)), "text").unwrap_err();
        assert!(failure.message().contains("name too long"), "{}", failure.message());
    }

    #[test]
    fn what_cannot_be_written_or_read_is_named_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::create_dir(&path).unwrap();
        let failure = write(&path, "text").unwrap_err();
        assert!(failure.message().contains("a: is a directory; name a file"), "{}", failure.message());
        let failure = write(&directory.path().join("b/c"), "text").unwrap_err();
        assert!(
            failure.message().contains("b/c: cannot be written: there is no directory"),
            "{}",
            failure.message()
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let long = directory.path().join("long");
        fs::write(&long, "12345").unwrap();
        assert!(read_text(&long, 4).unwrap_err().message().contains("is larger than the limit of 4 bytes"));
        fs::write(&long, "\u{feff}ab").unwrap();
        assert_eq!(read_text(&long, 5).unwrap(), "ab");
        fs::write(&long, [0xff, 0xfe]).unwrap();
        assert!(read_text(&long, 4).unwrap_err().message().contains("is not a text file"));
    }
}
