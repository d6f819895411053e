//! `hebbian resume`

use clap::Args;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Resume a paused run. Forgets the failed attempts that may have paused it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, or its spec's name.
    run: String,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the run afterwards as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { run, client, json } = arguments;
    block_on(async {
        let client = Client::connect(&client).await?;
        let run = client.find(&run).await?;
        let run = client.resume(run.run).await?;
        render::out(&if json {
            render::json::pretty(&render::json::run(&run))
        } else {
            render::run::acted(&run, Paint::stdout())
        })
    })
}
