//! `hebbian pause`, `hebbian resume`, `hebbian cancel`, `hebbian delete`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;

/// What an operator does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Hand out nothing more.
    Pause,
    /// Go on.
    Resume,
    /// End for ever.
    Cancel,
    /// Forget what has ended.
    Delete,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the run afterwards, or what was deleted, as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, action: Action, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, client, json } = arguments;
    ask(log, client, if action == Action::Delete { Again::Undone } else { Again::Always }, async |client| {
        let run = client.find(run).await?;
        let (name, mut runs) = (run.name.clone(), client.runs());
        let run = match action {
            Action::Pause => client.answer(runs.pause_run(v1::PauseRunRequest { name })).await?.run,
            Action::Resume => client.answer(runs.resume_run(v1::ResumeRunRequest { name })).await?.run,
            Action::Cancel => client.answer(runs.cancel_run(v1::CancelRunRequest { name })).await?.run,
            Action::Delete => {
                client.answer(runs.delete_run(v1::DeleteRunRequest { name })).await?;
                return render::out(&if *json {
                    render::json::pretty(&serde_json::json!({ "name": run.name, "deleted": true }))
                } else {
                    format!("{}  {}  deleted\n", run.id(), run.display_name)
                });
            }
        };
        render::json::or(*json, &client.held("run", run)?, render::run::acted)
    })
}
