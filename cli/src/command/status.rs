//! `hebbian status`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;

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
    let Arguments { run, client, json } = arguments;
    ask(log, &client, Again::Always, async |client| {
        let Some(run) = &run else {
            let request = v1::GetCoordinatorStatusRequest {};
            let answer = client.answer(client.cluster().get_coordinator_status(request)).await?;
            let status = client.held("status", answer.status)?;
            return render::json::or(json, &status, |status, paint| {
                render::run::coordinator(status, client.url(), paint)
            });
        };
        render::json::or(json, &client.find(run).await?, render::run::details)
    })
}
