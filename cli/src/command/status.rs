//! `hebbian status`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Show how a run stands; without a run, how the coordinator stands.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let Arguments { run, client, json } = arguments;
    block_on(async {
        let client = Client::connect(&client).await?;
        let Some(run) = run else {
            let request = v1::GetCoordinatorStatusRequest {};
            let answer = client.answer(client.cluster().get_coordinator_status(request)).await?;
            let status = client.held("status", answer.status)?;
            return render::out(&if json {
                render::json::pretty(&render::json::of(&status))
            } else {
                render::run::coordinator(&status, client.url(), Paint::stdout())
            });
        };
        let run = client.find(&run).await?;
        render::out(&if json {
            render::json::pretty(&render::json::of(&run))
        } else {
            render::run::details(&run, Paint::stdout())
        })
    })
}
