//! `hebbian pause`, `hebbian resume`, `hebbian cancel`

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, block_on};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// What an operator does to a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Hand out nothing more.
    Pause,
    /// Go on.
    Resume,
    /// End for ever.
    Cancel,
}

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
        let (name, mut runs) = (run.name, client.runs());
        let run = match action {
            Action::Pause => client.answer(runs.pause_run(v1::PauseRunRequest { name })).await?.run,
            Action::Resume => client.answer(runs.resume_run(v1::ResumeRunRequest { name })).await?.run,
            Action::Cancel => client.answer(runs.cancel_run(v1::CancelRunRequest { name })).await?.run,
        };
        let run = client.held("run", run)?;
        render::out(&if json {
            render::json::pretty(&render::json::of(&run))
        } else {
            render::run::acted(&run, Paint::stdout())
        })
    })
}
