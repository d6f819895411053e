//! `hebbian delete`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// Remove a run that has finished or was cancelled, with all that it found.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    #[command(flatten)]
    client: ClientArguments,
    /// Print what was deleted as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { run, client, json } = arguments;
    block_on(async {
        let client = Client::connect(&client).await?;
        let run = client.find(&run).await?;
        let request = v1::DeleteRunRequest { name: run.name.clone() };
        client.answer(client.runs().delete_run(request)).await?;
        render::out(&if json {
            render::json::pretty(&serde_json::json!({ "name": run.name, "deleted": true }))
        } else {
            format!("{}  {}  deleted\n", run.id(), run.display_name)
        })
    })
}
