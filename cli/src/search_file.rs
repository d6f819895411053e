//! The file of `hebbian ask-tell --snapshot`: a search between two generations, exact to the last bit.
//!
//! The first line is JSON; all bytes after it are the strategy's state as the journal stores it too:
//!
//! ```json
//! {"format":"hebbian-search-1","settings":{},"generation":7,"evaluations":70,"failed":0,"best":[[0.5],-0.25],"strategy_digest":".."}
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hebbian_search::Envelope;
use hebbian_search::ask_tell::{AskTellSnapshot, Settings, Told};
use hebbian_shared::digest::Digest;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::SEARCH_FILE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files;

/// What the key `format` must say.
const FORMAT: &str = "hebbian-search-1";

/// A search file that no other process uses as long as this is held: `FILE.lock` beside it is locked, and goes with it. The file itself is
/// replaced with every generation, so a lock on it would be lost.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    _file: File,
}

impl Held {
    /// Takes the search file at a path, by whichever link it is reached.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        files::check_parent(path, &real)?;
        let mut lock = real.into_os_string();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let failed = |error: &io::Error| {
            Failure::writing(&lock, &format!("--snapshot: {} cannot be locked", path.display()), error)
        };
        loop {
            let mut options = File::options();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(&lock)
                .map_err(|error| failed(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::bad_input(format_args!(
                        "--snapshot: {} is used by another `hebbian ask-tell`, which has locked {}",
                        path.display(),
                        lock.display()
                    ))
                    .hint("let it end, or name another file: each search needs its own"));
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
            // Whoever held it before may have removed it in between.
            let named = fs::metadata(&lock).ok().map(|there| (there.dev(), there.ino()));
            let held = file.metadata().map_err(|error| failed(&error))?;
            if named == Some((held.dev(), held.ino())) {
                return Ok(Self { path: lock, _file: file });
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Where it is left, it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    settings: Settings,
    generation: u32,
    evaluations: u64,
    #[serde(default)]
    failed: u32,
    best: Option<(Genome, Fitness)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<(u32, Told)>,
    strategy_digest: Digest,
}

/// Refuses what is no file that could be read again.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if files::is_standard(path) {
        return Err(Failure::bad_input("--snapshot: must be a file that can be read again, not `-`"));
    }
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            Err(Failure::bad_input(format_args!("--snapshot: {} is not a regular file", path.display())))
        }
        // Reading or writing it says what is wrong.
        _ => Ok(()),
    }
}

/// Writes a search; whatever happens, the file holds either this one or what it held before.
pub(crate) fn write(path: &Path, search: &AskTellSnapshot) -> Result<(), Failure> {
    files::write(path, to_bytes(search))
}

/// Reads a search; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<AskTellSnapshot>, Failure> {
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let bytes = files::read_bytes(path, SEARCH_FILE_BYTES_MAX)?;
    let search = from_bytes(&bytes).map_err(|problem| {
        Failure::bad_input(format_args!("--snapshot: {}: {problem}", path.display()))
            .hint("name a file that `hebbian ask-tell --snapshot` wrote, or one that does not exist yet")
    })?;
    Ok(Some(search))
}

fn to_bytes(search: &AskTellSnapshot) -> Vec<u8> {
    let AskTellSnapshot { settings, generation, evaluations, failed, best, told, strategy } = search.clone();
    let state = strategy.to_bytes();
    let header = Header {
        format: FORMAT.to_owned(),
        settings,
        generation,
        evaluations,
        failed,
        best,
        told,
        strategy_digest: Digest::of(&state),
    };
    let mut bytes = serde_json::to_vec(&header).expect("plain data");
    bytes.push(b'\n');
    bytes.extend(state);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Result<AskTellSnapshot, String> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (line, state) = bytes.split_at(end);
    match serde_json::from_slice(line) {
        Ok(Format { format }) if format == FORMAT => {}
        Ok(Format { format }) => {
            let format: String = format.chars().take(64).collect();
            return Err(format!("format: `{format}` is not `{FORMAT}`, the one that this program reads"));
        }
        Err(_) => {
            return Err(format!("is not a search file: it does not begin with `format` and `{FORMAT}`"));
        }
    }
    let header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let state = state.get(1..).unwrap_or_default();
    if Digest::of(state) != header.strategy_digest {
        return Err("strategy_digest: the state that follows is another one; the file is damaged".to_owned());
    }
    let strategy = Envelope::from_bytes(state).map_err(|error| error.to_string())?;
    let Header { settings, generation, evaluations, failed, best, told, .. } = header;
    Ok(AskTellSnapshot { settings, generation, evaluations, failed, best, told, strategy })
}

#[cfg(test)]
mod tests {
    use hebbian_search::ask_tell::AskTell;
    use hebbian_shared::fitness::Violation;
    use hebbian_shared::seed::Seed;
    use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling, StrategySpec};

    use super::*;

    fn search() -> AskTellSnapshot {
        let exact = CmaEsSpec { noise: NoiseHandling::None, ..CmaEsSpec::of(4) };
        let strategy = StrategySpec::CmaEs(CmaEsSpec { step_size: 0.1, ..exact });
        let settings =
            Settings { strategy, mean: vec![0.1 + 0.2, -0.0, 1e-300], seed: Seed::new(9).unwrap() };
        let mut search = AskTell::new(settings).unwrap();
        let fitness = |value: f64| Fitness::new(value).ok();
        search.tell(&[fitness(1.0), None, fitness(0.1 + 0.2), fitness(-1e-320)]).unwrap();
        let infeasible = Told::from(Violation::new(0.1 + 0.2).unwrap());
        search.tell_some(&[(2, fitness(0.1).into()), (1, Told::Fitness(None)), (0, infeasible)]).unwrap();
        search.snapshot()
    }

    #[test]
    fn a_search_survives_being_written_and_read_to_the_last_bit() {
        let search = search();
        let bytes = to_bytes(&search);
        let back = from_bytes(&bytes).unwrap();
        assert_eq!(back, search);
        assert_eq!(to_bytes(&back), bytes);
    }

    #[test]
    fn damage_is_told_and_survived() {
        let bytes = to_bytes(&search());
        for end in 0..bytes.len() {
            assert!(from_bytes(&bytes[..end]).is_err(), "{end} bytes");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            // A changed digit of a number is another search; nothing else is one.
            let changed = from_bytes(&damaged);
            assert!(changed.is_err() || place < bytes.iter().position(|&b| b == b'\n').unwrap());
        }
        let problem = from_bytes(b"{\"format\":\"hebbian-search-9\"}\n").unwrap_err();
        assert!(problem.contains("`hebbian-search-9` is not `hebbian-search-1`"), "{problem}");
        let problem = from_bytes(b"precious text").unwrap_err();
        assert!(problem.contains("is not a search file"), "{problem}");
    }

    /// See `tests/tests/fuzz.rs`.
    #[test]
    fn bytes_that_nobody_wrote_are_read_or_refused() {
        hebbian_tests::fuzz::fuzz("search file", &[to_bytes(&search())], |bytes| {
            from_bytes(bytes).is_ok_and(|search| AskTell::restore(search).is_ok())
        });
    }
}
