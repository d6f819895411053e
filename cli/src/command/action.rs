//! `hebbian pause`, `hebbian resume`, `hebbian cancel`

use clap::Args;

use super::{LogArguments, block_on};
use crate::client::{Action, Client, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// What pause, resume and cancel want to know.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the run afterwards as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, action: Action, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { run, client, json } = arguments;
    block_on(async {
        let client = Client::connect(&client).await?;
        let run = client.find(&run).await?;
        let run = client.act(run.run, action).await?;
        render::out(&if json {
            render::json::pretty(&render::json::run(&run))
        } else {
            render::run::acted(&run, Paint::stdout())
        })
    })
}
