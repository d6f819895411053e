//! `hebbian conformance`

mod check;
mod checks;
mod played;
mod problem;
mod program;
#[cfg(test)]
mod tests;
mod tried;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hebbian_shared::spec::external::is_plain_name;
use tokio::sync::oneshot;

use super::{LogArguments, block_on_until_signal};
use crate::failure::Failure;
use crate::render::conformance::{self as shown, Finding};
use check::{Bench, Check, CheckOutcome, Subject};
use played::Played;
use program::{ADDRESS, Foreign, Living, Program};

/// How long a worker's process has for its end after a check that ends it.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The check without which no other one can be made.
const SERVES: &str = "serves";

/// Try a worker in any language: plays a coordinator, and says of each thing that the protocol asks whether the worker does it.
///
/// The worker evaluates the objective `conformance`, which docs/WORKERS.md defines in a few lines. Each check has a line: `ok`, or `FAILED`
/// with what was seen and what would be right. Fails if one of them does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian conformance --exec './my-worker --coordinator {address}'        starts the worker, and again where a check ends it
  hebbian conformance --listen 127.0.0.1:7420                             waits for one that you start; some checks are skipped
  hebbian conformance --exec './my-worker {address}' --only heartbeats,drains
  hebbian conformance --exec \"hebbian worker --coordinator {address} --exec 'python3 examples/conformance.py' --slots 2\"")]
pub(super) struct Arguments {
    /// Where to listen for the worker; port 0: any that is free [default: 127.0.0.1:0].
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", hide_default_value = true)]
    listen: SocketAddr,
    /// The name of the problem that the worker serves, which stands for the objective `conformance`.
    #[arg(long, value_name = "NAME", default_value = problem::NAME, value_parser = parse_name)]
    serves: String,
    /// A command of the shell that starts the worker; `{address}` in it becomes the coordinator's address.
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    exec: Option<String>,
    /// Make these checks only.
    #[arg(long, value_name = "CHECK[,CHECK]", value_delimiter = ',', value_parser = parse_check)]
    only: Vec<String>,
    /// How long to wait for what must happen.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = crate::time::parse)]
    patience: Duration,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_name(text: &str) -> Result<String, String> {
    let right =
        || "a name of a problem has a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit".to_owned();
    if is_plain_name(text) { Ok(text.to_owned()) } else { Err(right()) }
}

fn parse_command(text: &str) -> Result<String, String> {
    if text.contains(ADDRESS) {
        return Ok(text.to_owned());
    }
    Err(format!("a command has `{ADDRESS}` where the worker is told its coordinator's address"))
}

fn parse_check(text: &str) -> Result<String, String> {
    let names: Vec<&str> = checks::ALL.iter().map(|check| check.name).collect();
    if names.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("the checks are {}", names.join(", ")))
    }
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { listen, serves, exec, only, patience, json } = arguments;
    played::can_listen(listen).map_err(|error| {
        Failure::failed(format_args!("--listen: {listen} cannot be listened at: {error}"))
    })?;
    let wanted: Vec<&Check> = checks::ALL
        .iter()
        .filter(|check| only.is_empty() || only.iter().any(|name| name == check.name))
        .collect();
    let living = Living::default();
    let ended = living.clone();
    block_on_until_signal(|interrupted| async move {
        let (tell, told) = oneshot::channel();
        // The checks wait; so they have a thread of their own, which nobody waits for when the command is interrupted.
        thread::spawn(move || {
            let mut subject: Box<dyn Subject> = match exec {
                Some(command) => Box::new(Program::new(command, living)),
                None => Box::new(Foreign),
            };
            let found = Played::start(listen)
                .map_err(|error| Failure::failed(format_args!("--listen: {listen}: {error}")))
                .and_then(|played| {
                    if !subject.is_ours() {
                        shown::waits(&format!("http://{}", played.address()), &serves);
                    }
                    let mut bench = Bench::new(played, &mut *subject, serves, patience);
                    all(&mut bench, &wanted, |finding| if json { Ok(()) } else { shown::line(finding) })
                });
            drop(subject);
            let _ = tell.send(found);
        });
        let found = tokio::select! {
            found = told => found.map_err(|_| Failure::failed("the checks broke; this is a bug"))??,
            () = interrupted.cancelled() => {
                ended.kill();
                return Err(Failure::interrupted("not all checks were made"));
            }
        };
        shown::all(&found, json)?;
        let failed: Vec<&str> =
            found.iter().filter(|found| found.is_failed()).map(|found| found.check).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let message =
            format!("the worker fails {} of {} checks: {}", failed.len(), found.len(), failed.join(", "));
        Err(Failure::failed(message).hint("docs/WORKERS.md and docs/PROTOCOL.md say what a worker does"))
    })
}

/// Makes checks, and tells of each.
fn all(
    bench: &mut Bench<'_>,
    wanted: &[&Check],
    mut tell: impl FnMut(&Finding) -> Result<(), Failure>,
) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::with_capacity(wanted.len());
    let mut cannot = None;
    for check in wanted {
        let start = Instant::now();
        let verdict =
            cannot.map_or_else(|| (check.run)(bench), |why: &str| CheckOutcome::Skipped(why.to_owned()));
        let is_ours = bench.subject.is_ours();
        let is_failed = matches!(verdict, CheckOutcome::Failed(_));
        if is_failed && check.name == SERVES {
            cannot = Some("it does not serve the problem");
        } else if check.ends && !is_ours {
            cannot = Some("the worker was ended by a check before; with `--exec` it is started again");
        }
        // What went wrong shall be no trouble of the next check: that has another process, and nothing of this one comes to it.
        if is_ours && (check.ends || is_failed) {
            if check.ends {
                bench.subject.ended(END_TIMEOUT);
            }
            bench.subject.kill();
            bench
                .played
                .forget()
                .map_err(|error| Failure::failed(format_args!("cannot listen any more: {error}")))?;
        }
        let finding = finding(check.name, verdict, start.elapsed());
        tell(&finding)?;
        found.push(finding);
    }
    Ok(found)
}

/// What a check found, for people.
fn finding(check: &'static str, verdict: CheckOutcome, took: Duration) -> Finding {
    let (result, seen, right) = match verdict {
        CheckOutcome::Ok => ("ok", None, None),
        CheckOutcome::Failed(fault) => ("failed", Some(fault.seen), Some(fault.right)),
        CheckOutcome::Skipped(why) => ("skipped", Some(why), None),
    };
    Finding { check, result, seen, right, seconds: shown::seconds(took) }
}
