//! Room that is kept for what makes room: on a full disk a run can still be cancelled and deleted.
//!
//! The lock file beside a journal is longer than what it says, and gives the rest back when it is needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use hebbian_shared::limits::WITNESS_BYTES_MAX;

/// The length of the file with the room: enough for the records of cancellations and for the pages that deletions touch.
const BYTES: u64 = 1 << 20;

/// Takes the room, if there is any and it is not held yet. Zeros are written: a hole would hold nothing.
pub(super) fn take(file: &File) -> io::Result<()> {
    if file.metadata()?.len() >= BYTES {
        return Ok(());
    }
    let zeros = vec![0; (BYTES - WITNESS_BYTES_MAX) as usize];
    file.write_all_at(&zeros, WITNESS_BYTES_MAX).inspect_err(|_| {
        // What was written of it is given back.
        let _ = release(file);
    })
}

/// Gives the room back.
pub(super) fn release(file: &File) -> io::Result<()> {
    if file.metadata()?.len() > WITNESS_BYTES_MAX { file.set_len(WITNESS_BYTES_MAX) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_taken_has_blocks_and_is_given_back() {
        let file = tempfile::tempfile().unwrap();
        release(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0, "it does not grow where there is nothing to give");
        file.write_all_at(b"what the file says", 0).unwrap();
        take(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), BYTES);
        assert!(file.metadata().unwrap().blocks() * 512 >= BYTES / 2, "a hole holds nothing");
        release(&file).unwrap();
        let mut said = [0; 18];
        file.read_exact_at(&mut said, 0).unwrap();
        assert_eq!((&said, file.metadata().unwrap().len()), (b"what the file says", WITNESS_BYTES_MAX));
    }
}
