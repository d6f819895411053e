//! `hebbian drain`

use std::sync::LazyLock;
use std::time::Duration;

use clap::Args;
use hebbian_proto::{convert, v1};
use hebbian_shared::limits::{DRAIN_WITHIN, WAIT_MAX};

use super::{LogArguments, ask};
use crate::client::{Again, Client, ClientArguments};
use crate::failure::Failure;
use crate::render;
use crate::time;

/// How often `--wait` looks whether the worker is still there.
const POLL: Duration = Duration::from_millis(200);

/// The time that workers have, as it is written in arguments.
static WITHIN: LazyLock<String> = LazyLock::new(|| humantime::format_duration(DRAIN_WITHIN).to_string());

/// Ask workers to leave for good: they finish what they have begun, report it, give the rest back and end.
///
/// For machines that are about to vanish or to be updated. Nothing is lost and nothing is computed twice, except what takes
/// longer than `--within`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian drain node-7                      by name
  hebbian drain 12 13 --within 2min         by id, as `hebbian workers` shows it
  hebbian drain node-7 --wait               returns when it has left")]
pub(super) struct Arguments {
    /// The workers: each by its id or, where only one worker has it, by its name.
    #[arg(required = true, value_name = "WORKER")]
    workers: Vec<String>,
    /// The time they have; what is not finished by then is given to others.
    #[arg(long, value_name = "TIME", default_value = WITHIN.as_str(), value_parser = parse_within)]
    within: Duration,
    /// Wait until they have left.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON list of the workers.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { workers: names, within, wait, client, json } = arguments;
    ask(log, &client, Again::Undone, async |client| {
        let attached = client.workers().await?;
        let chosen = names.iter().map(|name| choose(name, &attached)).collect::<Result<Vec<_>, _>>()?;
        let mut drained: Vec<v1::Worker> = Vec::new();
        for worker in chosen {
            let within = Some(convert::from_duration(within));
            let request = v1::DrainWorkerRequest { worker, within };
            let answer = client.answer(client.cluster().drain_worker(request)).await?;
            drained.push(client.held("worker", answer.worker)?);
        }
        if wait {
            wait_until_gone(&client, &drained).await?;
        }
        render::json::or_all(json, &drained, |drained, paint| render::worker::drained(drained, wait, paint))
    })
}

/// The coordinator detaches those that do not leave in time, so this ends.
async fn wait_until_gone(client: &Client, drained: &[v1::Worker]) -> Result<(), Failure> {
    loop {
        let attached = client.workers().await?;
        let there = |gone: &v1::Worker| attached.iter().any(|worker| worker.id == gone.id);
        if !drained.iter().any(there) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn parse_within(text: &str) -> Result<Duration, String> {
    let within = time::parse(text)?;
    if within.is_zero() || within > WAIT_MAX {
        return Err("must be above 0 and at most an hour".to_owned());
    }
    Ok(within)
}

/// Picks the worker that `name` means: that of this id, else the only one of this name.
fn choose(name: &str, attached: &[v1::Worker]) -> Result<u64, Failure> {
    let by_id = attached.iter().find(|worker| worker.id.to_string() == name);
    let mut found: Vec<&v1::Worker> = match by_id {
        Some(worker) => vec![worker],
        None => attached.iter().filter(|worker| worker.display_name == name).collect(),
    };
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().take(10).map(|worker| worker.id.to_string()).collect();
        let message = format!("`{name}` may mean any of {} workers: {}", found.len(), ids.join(", "));
        return Err(Failure::bad_input(message).hint("name them by their ids"));
    }
    let missing = || {
        Failure::not_found(format_args!("no worker `{name}` is attached"))
            .hint("`hebbian workers` shows all workers")
    };
    found.pop().map(|worker| worker.id).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: u64, name: &str) -> v1::Worker {
        v1::Worker { id, display_name: name.to_owned(), ..Default::default() }
    }

    #[test]
    fn a_worker_is_named_by_id_or_unique_name() {
        let workers = [worker(1, "a"), worker(2, "b"), worker(3, "b"), worker(4, "1")];
        assert_eq!(choose("1", &workers).ok(), Some(1), "an id goes before a name");
        assert_eq!(choose("a", &workers).ok(), Some(1));
        assert!(choose("b", &workers).unwrap_err().message().contains("may mean any of 2 workers"));
        assert!(choose("c", &workers).unwrap_err().message().contains("no worker `c` is attached"));
    }

    #[test]
    fn times_are_checked() {
        assert_eq!(parse_within("2min"), Ok(Duration::from_secs(120)));
        for text in ["0s", "2h", "soon", "10"] {
            assert!(parse_within(text).is_err(), "{text}");
        }
    }
}
