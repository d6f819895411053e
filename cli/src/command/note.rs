//! `hebbian note`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// Write something into a run's notes, where `status` and `watch` show it: what was changed on the cluster, what the run is
/// for. It changes no result.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian note quickstart rack 4 is new from here on
  hebbian note mine/3 \"the seed of the talk's figure\"")]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// The words: one line.
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the run afterwards as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, text, client, json } = arguments;
    ask(log, &client, Again::Always, async |client| {
        let run = client.find(&run).await?;
        let request = v1::AddRunNoteRequest { name: run.name, text: text.join(" ") };
        let run = client.held("run", client.answer(client.runs().add_run_note(request)).await?.run)?;
        render::json::or(json, &run, render::run::acted)
    })
}
