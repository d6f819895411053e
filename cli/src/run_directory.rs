//! The directory of `hebbian run`: the spec, the journal, and what came of them.
//!
//! `spec.toml` is written first and says whose directory it is; `journal.sqlite` holds the search; `genome.json` is the
//! result, of an external objective `parameters.json`; `report.html` shows it; `report.json` is written last and says that all is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hebbian_shared::limits::SPEC_BYTES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;

use crate::failure::Failure;
use crate::files;

/// A directory that belongs to one spec.
#[derive(Clone, Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    spec: RunSpec,
    is_new: bool,
}

impl RunDirectory {
    /// The directory that the user named, or a new dated one below `runs/`. Writes nothing yet.
    ///
    /// A directory that is already a run's keeps its spec: without `spec` it is the one to go on with, another `spec`
    /// or `seed` is refused. `default` is the spec of a new directory where the user gave none.
    pub(crate) fn choose(
        out: Option<PathBuf>,
        spec: Option<RunSpec>,
        seed: Option<Seed>,
        default: impl FnOnce() -> RunSpec,
    ) -> Result<Self, Failure> {
        let Some(path) = out else {
            let spec = spec.unwrap_or_else(default);
            let path = dated(&spec.name);
            return Ok(Self { path, spec, is_new: true });
        };
        if files::is_standard(&path) {
            return Err(Failure::bad_input("--out: must be a directory, not standard output (`-`)"));
        }
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let spec = spec.unwrap_or_else(default);
                return Ok(Self { path, spec, is_new: true });
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Failure::bad_input(format_args!(
                    "--out: {}: a part of this path is a file; name a directory, new or of an earlier run",
                    path.display()
                )));
            }
            Err(error) => return Err(Failure::file(&path, "--out: cannot be read", &error)),
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Failure::bad_input(format_args!(
                    "--out: {} is a file; name a directory, new or of an earlier run",
                    path.display()
                )));
            }
            Ok(_) => {}
        }
        let kept = path.join("spec.toml");
        if !kept.exists() {
            for name in ["journal.sqlite", "genome.json", "parameters.json", "report.json"] {
                if path.join(name).exists() {
                    return Err(Failure::bad_input(format_args!(
                        "--out: {} has a {name} but no spec.toml, so it is not a directory of `hebbian run`",
                        path.display()
                    )));
                }
            }
            let spec = spec.unwrap_or_else(default);
            return Ok(Self { path, spec, is_new: true });
        }
        let text = files::read_text(&kept, SPEC_BYTES_MAX)?;
        let stored = RunSpec::read(&text)
            .map_err(|error| Failure::bad_input(format_args!("{}: {error}", kept.display())))?;
        let mut wanted = spec.unwrap_or_else(|| stored.clone());
        wanted.seed = seed.unwrap_or(wanted.seed);
        if let Some(difference) = difference(&stored, &wanted) {
            return Err(Failure::bad_input(format_args!(
                "--out: {} belongs to another spec: {difference}",
                path.display()
            ))
            .hint(
                "name another directory, or leave out the spec and the seed to continue the run of this one",
            ));
        }
        Ok(Self { path, spec: stored, is_new: false })
    }

    /// Makes the directory and writes its spec, if it is new.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        if !self.is_new {
            return Ok(());
        }
        fs::create_dir_all(&self.path)
            .map_err(|error| Failure::writing(&self.path, "--out: cannot be created", &error))?;
        files::write(&self.path.join("spec.toml"), self.spec.to_toml())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub(crate) fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// Whether nothing has been written to it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The journal's file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal.sqlite")
    }

    /// The result's file.
    pub(crate) fn result(&self) -> PathBuf {
        self.path.join(if self.spec.problem.external().is_some() { "parameters.json" } else { "genome.json" })
    }

    /// The file of the report's page.
    pub(crate) fn page(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The report's file.
    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }
}

/// `runs/2026-03-01-140509-quickstart`, or with a number behind it if that is taken.
fn dated(name: &str) -> PathBuf {
    let moment = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S");
    let path = Path::new("runs").join(format!("{moment}-{name}"));
    let numbered = (2..).map(|number| path.with_file_name(format!("{moment}-{name}-{number}")));
    std::iter::once(path.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(path)
}

/// The first field in which two specs differ, in words.
pub(crate) fn difference(stored: &RunSpec, wanted: &RunSpec) -> Option<String> {
    if stored == wanted {
        return None;
    }
    let value = |spec: &RunSpec| serde_json::to_value(spec).expect("a spec is plain data");
    let found = first_difference("", &value(stored), &value(wanted));
    let (field, old, new) =
        found.unwrap_or_else(|| ("spec".to_owned(), "another".to_owned(), "this".to_owned()));
    Some(format!("{field} is {old} there and {new} here"))
}

fn first_difference(
    path: &str,
    old: &serde_json::Value,
    new: &serde_json::Value,
) -> Option<(String, String, String)> {
    use serde_json::Value::Object;
    if old == new {
        return None;
    }
    if let (Object(old), Object(new)) = (old, new) {
        let null = serde_json::Value::Null;
        // `name` first: it tells most.
        let mut keys: Vec<&String> =
            old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
        keys.sort_by_key(|key| (*key != "name", key.as_str()));
        return keys.into_iter().find_map(|key| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            first_difference(&path, old.get(key).unwrap_or(&null), new.get(key).unwrap_or(&null))
        });
    }
    let short = |value: &serde_json::Value| match value {
        serde_json::Value::Null => "not set".to_owned(),
        value => {
            let text = value.to_string();
            if text.len() <= 60 { text } else { "another list".to_owned() }
        }
    };
    Some((path.to_owned(), short(old), short(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quickstart() -> RunSpec {
        RunSpec::read(crate::QUICKSTART).unwrap()
    }

    fn other(from: &str, to: &str) -> RunSpec {
        RunSpec::read(&crate::QUICKSTART.replacen(from, to, 1)).unwrap()
    }

    fn check(spec: &RunSpec, expected: &str) {
        assert_eq!(difference(&quickstart(), spec).as_deref(), Some(expected));
    }

    #[test]
    fn what_differs_is_named() {
        assert_eq!(difference(&quickstart(), &quickstart()), None);
        check(
            &other("name = \"quickstart\"", "name = \"mine\""),
            "name is \"quickstart\" there and \"mine\" here",
        );
        check(&other("seed = 1", "seed = 2"), "seed is 1 there and 2 here");
        check(
            &other("population_size = 64", "population_size = 65"),
            "strategy.population_size is 64 there and 65 here",
        );
        check(&other("generations = 265", "evaluations = 9"), "stop.evaluations is not set there and 9 here");
    }

    #[test]
    fn a_directory_keeps_its_spec() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("out");
        let choose = |spec: Option<RunSpec>, seed: Option<u64>| {
            let seed = seed.map(|seed| Seed::new(seed).unwrap());
            RunDirectory::choose(Some(path.clone()), spec, seed, quickstart)
        };
        let new = choose(Some(other("seed = 1", "seed = 2")), None).unwrap();
        assert!(new.is_new() && !path.exists());
        new.prepare().unwrap();
        let again = choose(None, None).unwrap();
        assert!(!again.is_new());
        assert_eq!(again.spec(), new.spec());
        assert!(choose(None, Some(2)).is_ok());
        let refused = choose(None, Some(3)).unwrap_err();
        assert!(refused.message().ends_with("belongs to another spec: seed is 2 there and 3 here"));
        assert!(choose(Some(quickstart()), None).is_err());
    }

    #[test]
    fn what_is_no_directory_of_a_run_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let choose = |path: &Path| RunDirectory::choose(Some(path.to_owned()), None, None, quickstart);
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(choose(&file).unwrap_err().message().contains("is a file; name a directory"));
        assert!(choose(&file.join("below")).is_err());
        assert!(choose(parent.path()).is_ok());
        fs::write(parent.path().join("genome.json"), "{}").unwrap();
        assert!(choose(parent.path()).unwrap_err().message().contains("has a genome.json but no spec.toml"));
    }
}
