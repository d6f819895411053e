//! Files that an operator names: certificates, keys, tokens.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a regular file. To open a pipe would wait for a writer, at a SIGHUP as well, and a device has no end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::other("it is a device, a pipe or a directory; it must be a regular file"))
    }
}
