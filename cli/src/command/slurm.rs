//! `hebbian slurm`

mod options;
mod place;
mod script;
mod submit;
mod tend;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand};
use hebbian_shared::limits::{SLURM_WORKERS_MAX, THREADS_MAX};

use super::LogArguments;
use crate::failure::Failure;

/// Run on a Slurm cluster: a coordinator as a job, and workers as an array that outlives its walltime.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: SlurmCommand,
}

#[derive(Debug, Subcommand)]
enum SlurmCommand {
    Submit(submit::Arguments),
    Tend(tend::Arguments),
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    match arguments.command {
        SlurmCommand::Submit(arguments) => submit::execute(arguments, log),
        SlurmCommand::Tend(arguments) => tend::execute(arguments, log),
    }
}

/// How many workers there may be, and what each is.
#[derive(Clone, Copy, Debug, Args)]
struct Workers {
    /// Fewest workers that are kept while the run has little to do.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=SLURM_WORKERS_MAX as i64))]
    min: u32,
    /// Most workers.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=SLURM_WORKERS_MAX as i64))]
    max: u32,
    /// Compute threads of each worker.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    threads: u32,
}

impl Workers {
    fn check(self) -> Result<Self, Failure> {
        if self.min <= self.max {
            return Ok(self);
        }
        Err(Failure::bad_input(format_args!("--min: must be at most --max ({}), not {}", self.max, self.min)))
    }
}

/// For so many seconds workers do without their coordinator, and so does whoever tends their run, unless the variable says otherwise. It is the
/// number of the scripts of `deploy/slurm/`.
const PATIENCE_S: u64 = 300;
/// The variable, of the scripts as well.
const PATIENCE: &str = "HEBBIAN_PATIENCE";

/// For how long a coordinator may be away.
fn patience() -> Result<Duration, Failure> {
    patience_of(std::env::var(PATIENCE).ok().as_deref())
}

fn patience_of(text: Option<&str>) -> Result<Duration, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(Duration::from_secs(PATIENCE_S));
    };
    // As the scripts take it.
    let digits = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Duration::from_secs).ok_or_else(|| {
        Failure::bad_input(format_args!("{PATIENCE}: must be a number of seconds, not `{text}`"))
    })
}

/// What one of Slurm's programs printed. `input` is its standard input.
fn slurm(program: &str, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::file(Path::new(program), "cannot be started", &error).hint(
            "this needs a machine from which jobs are submitted; `hebbian slurm submit --print` needs none",
        )
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    // Whoever does not read it says why.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().strip_prefix(&format!("{program}: ")).unwrap_or(said.trim());
    Err(Failure::failed(format_args!(
        "{program}: {}",
        if said.is_empty() { "has failed without a word" } else { said }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_tends_a_run_waits_as_long_as_its_workers() {
        let own = format!("${{{PATIENCE}:-{PATIENCE_S}}}");
        for script in [script::COORDINATOR, script::WORKER] {
            assert!(script.contains(&own), "no {own}");
            assert_eq!(script.matches(PATIENCE).count(), script.matches(&own).count() + mentions(script));
        }
        assert_eq!(patience_of(None).unwrap(), Duration::from_secs(PATIENCE_S));
        assert_eq!(patience_of(Some("")).unwrap(), Duration::from_secs(PATIENCE_S));
        assert_eq!(patience_of(Some("20")).unwrap(), Duration::from_secs(20));
        for text in ["5min", "-1", "1.5", "9999999999"] {
            let failure = patience_of(Some(text)).unwrap_err();
            assert!(failure.message().starts_with("HEBBIAN_PATIENCE: must be a number"), "{text}");
        }
    }

    /// Where comments name the variable.
    fn mentions(script: &str) -> usize {
        script.lines().filter(|line| line.starts_with('#')).map(|line| line.matches(PATIENCE).count()).sum()
    }
}
