//! `hebbian workers`

use clap::Args;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// List the workers that are attached to a coordinator: their load, their speed, and what they may not work on.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    block_on(async {
        let workers = Client::connect(&arguments.client).await?.workers().await?;
        render::out(&if arguments.json {
            render::json::pretty(&workers.iter().map(render::json::of).collect::<Vec<_>>())
        } else {
            render::worker::list(&workers, Paint::stdout())
        })
    })
}
