//! `hebbian extend`

use std::time::Duration;

use clap::Args;
use hebbian_proto::v1;
use hebbian_shared::spec::stop::StopSpec;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render;
use crate::time;

/// Raise limits of a run. A finished one goes on from where it was, to the bits that it would have come to with these
/// limits from its start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian extend quickstart --generations 500
  hebbian extend 3fa9 --generations 500 --time-limit 2h

Limits count from the run's start, as in its spec; only those that the run has can be raised. A search that ended by a
criterion of its own (`tolx`, for example) does not go on: fork it.")]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// Generations in all.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    generations: Option<u32>,
    /// Candidate evaluations in all.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    evaluations: Option<u64>,
    /// The best fitness that is good enough.
    #[arg(long, value_name = "FITNESS", allow_negative_numbers = true)]
    target_fitness: Option<f64>,
    /// Time of running in all, in whole seconds: `90min`, `2h`.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    time_limit: Option<u64>,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the run afterwards as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, generations, evaluations, target_fitness, time_limit, client, json } = arguments;
    let limits = StopSpec { generations, evaluations, target_fitness, time_limit_s: time_limit };
    if limits == StopSpec::default() {
        return Err(Failure::bad_input("name a limit to raise")
            .hint("--generations N, --evaluations N, --target-fitness FITNESS or --time-limit TIME"));
    }
    ask(log, &client, Again::Undone, async |client| {
        let run = client.find(&run).await?;
        let request = v1::ExtendRunRequest {
            name: run.name,
            limits: serde_json::to_string(&limits).expect("limits are plain data"),
        };
        let run = client.held("run", client.answer(client.runs().extend_run(request)).await?.run)?;
        render::json::or(json, &run, render::run::acted)
    })
}

/// A time limit as a spec has it.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let time: Duration = time::parse(text)?;
    if time.subsec_nanos() > 0 {
        return Err("a time limit is of whole seconds".to_owned());
    }
    Ok(time.as_secs())
}
