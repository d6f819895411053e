//! `hebbian sweep`

use clap::Args;

use super::{LogArguments, ask};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Sum up the runs of a group, such as `hebbian create SPEC --seeds 1..5` makes: how each stands, and what they have
/// found together.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian create my.toml --seeds 1..5 --group mine
  hebbian sweep mine
  hebbian watch mine/3                       the run of seed 3")]
pub(super) struct Arguments {
    /// The group; without it, all groups are listed.
    group: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { group, client, json } = arguments;
    ask(log, &client, Again::Always, async |client| {
        let runs = client.list().await?;
        let Some(group) = group.clone() else {
            return render::out(&if json {
                render::json::pretty(&render::sweep::groups(&runs))
            } else {
                render::sweep::list(&runs)
            });
        };
        let runs: Vec<_> = runs.into_iter().filter(|run| run.group == group).collect();
        if runs.is_empty() {
            return Err(Failure::not_found(format_args!("there is no group `{group}`"))
                .hint("`hebbian sweep` lists all groups"));
        }
        render::out(&if json {
            render::json::pretty(&render::sweep::json(&group, &runs))
        } else {
            render::sweep::table(&runs, Paint::stdout())
        })
    })
}
