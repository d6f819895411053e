//! `hebbian create`

use std::path::PathBuf;

use clap::Args;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{WEIGHT_DEFAULT, check_weight};
use hebbian_shared::seed::Seed;

use super::{LogArguments, block_on, parse_seed, read_spec};
use crate::client::{Client, ClientArguments};
use crate::data::{DataArguments, complete};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// The longest name of a creation, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Create a run on a coordinator; its workers start on it at once. Prints the run's id.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian create my.toml                     prints the new run's id
  hebbian spec | hebbian create -            the quickstart, on the cluster
  hebbian create my.toml --weight 3          with three times the share of the cluster of other runs
  hebbian watch $(hebbian create my.toml)    creates a run and follows it")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input.
    spec: PathBuf,
    /// Another seed than the spec's.
    #[arg(long, value_name = "S", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Option<Seed>,
    /// A name for this creation: the same name and spec again give the run that was created before.
    #[arg(long, value_name = "NAME", value_parser = parse_request_id)]
    request_id: Option<String>,
    /// The run's share of the cluster beside that of other runs, in worker time: from 0.001 to 1000. It changes no result.
    #[arg(long, value_name = "W", default_value_t = WEIGHT_DEFAULT, value_parser = parse_weight, allow_negative_numbers = true)]
    weight: f64,
    #[command(flatten)]
    client: ClientArguments,
    #[command(flatten)]
    data: DataArguments,
    /// Print the run as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { spec, seed, request_id, weight, client, data, json } = arguments;
    let data = log.data_store(&data)?;
    let mut spec = read_spec(&spec, seed)?;
    // Workers know by the digest whether they have the same data.
    complete(&mut spec, &data)?;
    let request_id = request_id.unwrap_or_else(fresh_request_id);
    block_on(async {
        let client = Client::connect(&client).await?;
        let run = client.create(&spec, request_id, weight).await?;
        if json {
            return render::out(&render::json::pretty(&render::json::run(&run)));
        }
        let watch = Paint::stderr().command(&format!("hebbian watch {}", run.run));
        render::note(&format!("created run {} of `{}`; follow it with {watch}", run.run, run.name));
        render::out(&format!("{}\n", run.run))
    })
}

/// The name of a creation as the coordinator takes it.
fn parse_request_id(text: &str) -> Result<String, String> {
    match text.len() {
        1..=REQUEST_ID_BYTES_MAX => Ok(text.to_owned()),
        length => Err(format!("the name of a creation has 1 to {REQUEST_ID_BYTES_MAX} bytes, not {length}")),
    }
}

/// A share of the cluster.
fn parse_weight(text: &str) -> Result<f64, String> {
    let weight = text.parse().map_err(|_| "must be a number, for example 3 or 0.5".to_owned())?;
    check_weight(weight).map(|()| weight)
}

/// A name that no other creation has: process and moment.
fn fresh_request_id() -> String {
    let moment = jiff::Timestamp::now().as_nanosecond();
    let host = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Digest::of(format!("{host} {} {moment}", std::process::id()).as_bytes()).short()
}
