//! The directory of a run whose coordinator is a job.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use hebbian_shared::spec::RunSpec;

use super::{options, slurm};
use crate::command::{certs, read_spec};
use crate::failure::Failure;
use crate::files;
use crate::tls::ClientTls;

/// Makes a directory for its owner's eyes: others use the nodes as well, and Slurm lets them read the logs in it. One that is there stays as it
/// is.
fn create_own(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// A directory on a disk that all nodes share.
#[derive(Debug)]
pub(super) struct Place {
    text: String,
}

impl Place {
    /// The directory that the user names, or the customary one of the spec.
    pub(super) fn new(named: Option<&Path>, spec: &RunSpec) -> Result<Self, Failure> {
        let customary = || PathBuf::from(format!("hebbian-{}", spec.name.replace('/', "-")));
        let text = options::absolute("--directory", &named.map_or_else(customary, Path::to_owned))?;
        // A comma separates the addresses of coordinators, and Slurm reads a backslash in its own way.
        if let Some(c) = text.chars().find(|c| ",\\".contains(*c)) {
            return Err(Failure::bad_input(format_args!(
                "--directory: must have no {c:?} in its path, not {text}"
            )));
        }
        Ok(Self { text })
    }

    /// Its path.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The path of a file in it.
    pub(super) fn at(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// The path of a log in it: Slurm replaces what stands behind a percent sign.
    pub(super) fn log(&self, name: &str) -> String {
        format!("{}/{name}", self.text.replace('%', "%%"))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.text).join(name)
    }

    /// The certificate and the key that the run's clients show, and its authority.
    pub(super) fn tls(&self) -> ClientTls {
        ClientTls {
            ca: Some(self.path("certs/ca.pem")),
            certificate: Some(self.path("certs/client.pem")),
            key: Some(self.path("certs/client-key.pem")),
        }
    }

    /// Refuses a directory in which the run cannot be. Without Slurm its queue says nothing, unless it `must_answer`.
    pub(super) fn check(&self, spec: &RunSpec, must_answer: bool) -> Result<(), Failure> {
        self.check_directory()?;
        self.check_certificates()?;
        self.check_spec(spec)?;
        self.check_jobs(must_answer)
    }

    fn check_directory(&self) -> Result<(), Failure> {
        for directory in Path::new(&self.text).ancestors() {
            match fs::metadata(directory) {
                Ok(there) if there.is_dir() => {
                    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                    return rustix::fs::access(directory, may).map_err(|error| {
                        Failure::writing(directory, "--directory: cannot be written", &error.into())
                    });
                }
                Ok(_) => {
                    return Err(Failure::bad_input(format_args!(
                        "--directory: {} is not a directory",
                        directory.display()
                    )));
                }
                // Its parent may be there, or may be no directory.
                Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {}
                Err(error) => return Err(Failure::file(directory, "--directory: cannot be used", &error)),
            }
        }
        Ok(())
    }

    /// Refuses certificates that are not whole: new ones are made where there are none.
    fn check_certificates(&self) -> Result<(), Failure> {
        let has_client = self.path("certs/client.pem").exists();
        let needed = ["certs/ca.pem", "certs/ca-key.pem", "certs/client-key.pem"];
        let needed = if has_client { &needed[..] } else { &needed[..2] };
        let missing: Vec<&str> = needed.iter().copied().filter(|name| !self.path(name).exists()).collect();
        match missing.first() {
            None if has_client => {
                self.tls().config_named(|failure, _, _| failure.of("--directory")).map(drop)
            }
            Some(missing)
                if has_client
                    || self.path("certs/ca.pem").exists()
                    || self.path("certs/ca-key.pem").exists() =>
            {
                let failure = Failure::bad_input(format_args!(
                    "--directory: {} is missing beside the other certificates",
                    self.at(missing)
                ));
                Err(failure.hint(format_args!("remove {}, and new ones are made", self.at("certs"))))
            }
            _ => Ok(()),
        }
    }

    /// Refuses another run than the one whose journal is there.
    fn check_spec(&self, spec: &RunSpec) -> Result<(), Failure> {
        let (journal, there) = (self.path("journal.sqlite"), self.path("spec.toml"));
        if !journal.exists() || !there.exists() || read_spec(&there, None)? == *spec {
            return Ok(());
        }
        Err(Failure::bad_input(format_args!("--directory: {} has the journal of another spec", self.text))
            .hint("name another directory, or the spec.toml that is there, which goes on with its run"))
    }

    /// Refuses a directory whose jobs Slurm still has.
    fn check_jobs(&self, must_answer: bool) -> Result<(), Failure> {
        let Ok(here) = fs::canonicalize(&self.text) else { return Ok(()) };
        let queue = match slurm("squeue", &["--me", "--noheader", "--format=%i %Z"], "") {
            Ok(queue) => queue,
            Err(failure) if must_answer => return Err(failure),
            Err(_) => return Ok(()),
        };
        let mut jobs: Vec<&str> = queue
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .filter(|(_, place)| fs::canonicalize(place.trim()).is_ok_and(|place| place == here))
            .map(|(job, _)| job.split('_').next().unwrap_or(job))
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        jobs.sort_unstable();
        jobs.dedup();
        let jobs = jobs.join(" ");
        Err(Failure::bad_input(format_args!(
            "--directory: {} has a run that goes on: Slurm has its jobs {jobs}",
            self.text
        ))
        .hint(format_args!("name another directory, or end them with scancel {jobs}")))
    }

    /// Writes what the jobs find there, and removes what those of a former submission have left.
    pub(super) fn prepare(&self, spec: &RunSpec) -> Result<(), Failure> {
        create_own(Path::new(&self.text)).map_err(|error| {
            Failure::writing(Path::new(&self.text), "--directory: cannot be created", &error)
        })?;
        for stale in ["workers", "coordinator"] {
            match fs::remove_file(self.path(stale)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Failure::writing(&self.path(stale), "cannot be removed", &error));
                }
                _ => {}
            }
        }
        files::write(&self.path("spec.toml"), spec.to_toml())?;
        if !self.path("certs/client.pem").exists() {
            certs::make(&self.path("certs"), &[], certs::Present::Kept)?;
        }
        Ok(())
    }

    /// Tells the coordinator the number of its workers' array, for which it waits.
    pub(super) fn name_workers(&self, array: &str) -> Result<(), Failure> {
        files::write(&self.path("workers"), format!("{array}\n"))
    }
}
