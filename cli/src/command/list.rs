//! `hebbian list`, `hebbian workers`

use clap::Args;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// What a coordinator has several of.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Runs, in order of creation.
    Runs,
    /// Attached workers, in order of their ids.
    Workers,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, what: What, log: &LogArguments) -> Result<(), Failure> {
    ask(log, &arguments.client, Again::Always, async |client| match what {
        What::Runs => {
            render::json::or_all(arguments.json, &client.list().await?, |runs, _| render::run::list(runs))
        }
        What::Workers => render::json::or_all(arguments.json, &client.workers().await?, render::worker::list),
    })
}
