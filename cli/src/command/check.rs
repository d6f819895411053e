//! `hebbian check`

use std::path::PathBuf;

use clap::Args;
use hebbian_shared::spec::strategy::ORDER_COUNTS;

use super::{LogArguments, all_cores, parse_threads, read_spec};
use crate::cost::Cost;
use crate::data::{DataArguments, complete};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Validate a run spec and estimate its cost on this machine. Runs nothing and writes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian check my.toml
  hebbian spec | hebbian check -        from standard input
  hebbian check my.toml --threads 64    what would a larger machine of this kind take?

Exit code 0 if the spec is valid, 2 if it is not; the message names the field.")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input.
    spec: PathBuf,
    /// Estimate for so many compute threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    threads: Option<u32>,
    #[command(flatten)]
    data: DataArguments,
    /// Print the estimate as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    let data = log.data_store(&arguments.data)?;
    let mut spec = read_spec(&arguments.spec, None)?;
    complete(&mut spec, &data)?;
    let cost = Cost::measure(&spec, arguments.threads.unwrap_or_else(all_cores), &*data)?;
    if arguments.json {
        return render::out(&render::json::pretty(&serde_json::json!({
            "spec": spec.name,
            "digest": spec.digest(),
            "cost": cost,
            "notes": spec.notes(),
        })));
    }
    let paint = Paint::stdout();
    let verdict = format!("`{}` is valid (digest {})", spec.name, spec.digest().short());
    let order = if spec.strategy.is_asynchronous() { format!("{ORDER_COUNTS}\n") } else { String::new() };
    render::out(&(paint.good(&verdict) + "\n" + &order + &render::cost::lines(&spec, &cost, paint)))
}
