//! `hebbian list`

use clap::Args;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// List all runs of a coordinator, in order of creation.
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
        let runs = Client::connect(&arguments.client).await?.list().await?;
        if arguments.json {
            render::out(&render::json::pretty(&runs.iter().map(render::json::of).collect::<Vec<_>>()))
        } else {
            render::out(&render::run::list(&runs))
        }
    })
}
