//! `hebbian step-down`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// Have the leader give way to its standby, for an upgrade of its program or its machine: it commits what it has, and ends; the standby
/// leads within half a second.
///
/// Workers and clients that have both addresses follow. Without a standby that waits it is refused, and the leader goes on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian step-down                         then upgrade the former leader, and start it with --standby")]
pub(super) struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { client, json } = arguments;
    ask(log, &client, Again::Undone, async |client| {
        let answer = client.answer(client.cluster().step_down(v1::StepDownRequest {})).await?;
        render::json::or(json, &answer, |answer, _| render::run::stepped_down(answer, client.url()))
    })
}
