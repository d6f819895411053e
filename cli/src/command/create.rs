//! `hebbian create`

use std::cell::Cell;
use std::path::PathBuf;

use clap::Args;
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{WEIGHT_DEFAULT, check_weight};
use hebbian_shared::limits::SWEEP_RUNS_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;

use super::{LogArguments, block_on, fresh_request_id, parse_request_id, parse_seed, read_spec};
use crate::client::{self, Again, Client, ClientArguments};
use crate::data::{DataArguments, complete};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Create a run on a coordinator; its workers start on it at once. Prints the run's id.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian create my.toml                     prints the new run's id
  hebbian spec | hebbian create -            the quickstart, on the cluster
  hebbian create my.toml --weight 3          with three times the share of the cluster of other runs
  hebbian watch $(hebbian create my.toml)    creates a run and follows it
  hebbian create my.toml --seeds 1..5        five runs, one for each seed; `hebbian sweep GROUP` sums them up")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input.
    spec: PathBuf,
    /// Another seed than the spec's.
    #[arg(long, value_name = "S", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Option<Seed>,
    /// A run for each of these seeds, from the first to the last (`1..5` is five), or a list: `1,2,7`.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, conflicts_with = "seed")]
    seeds: Option<Seeds>,
    /// A name for the runs of `--seeds` together [default: the spec's name and four digits].
    #[arg(long, value_name = "NAME", requires = "seeds")]
    group: Option<String>,
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
    let Arguments { spec, seed, seeds, group, request_id, weight, client, data, json } = arguments;
    let data = log.data_store(&data)?;
    let mut spec = read_spec(&spec, seed)?;
    // Workers know by the digest whether they have the same data.
    complete(&mut spec, &data)?;
    let repeated = request_id.is_some();
    let request_id = request_id.unwrap_or_else(fresh_request_id);
    // What has been created of a sweep is no reason to refuse the rest when it is asked for again.
    let checked = Cell::new(repeated);
    // Repeating it is safe: it has the same name.
    let created = client::ask(&client, Again::Always, async |client| {
        if let Some(Seeds(seeds)) = &seeds {
            if let Some(group) = group.as_ref().filter(|_| !checked.get()) {
                check_new(&client, group, seeds).await?;
                checked.set(true);
            }
            let group = Group { name: group.clone(), weight };
            return sweep(&client, &spec, seeds, group, &request_id, json).await;
        }
        let run = client.create(spec.clone(), request_id.clone(), String::new(), weight).await?;
        if json {
            return render::out(&render::json::pretty(&render::json::of(&run)));
        }
        let watch = Paint::stderr().command(&format!("hebbian watch {}", run.id()));
        render::note(&format!("created run {} of `{}`; follow it with {watch}", run.id(), run.display_name));
        render::out(&format!("{}\n", run.id()))
    });
    block_on(created)
}

/// Refuses seeds that a group has already: they would count twice in its statistics, and `GROUP/SEED` would name two runs.
async fn check_new(client: &Client, group: &str, seeds: &[Seed]) -> Result<(), Failure> {
    let runs = client.list().await?;
    match runs.iter().find(|run| run.group == group && seeds.iter().any(|seed| seed.get() == run.seed)) {
        None => Ok(()),
        Some(run) => Err(Failure::bad_input(format_args!(
            "--group: `{group}` has a run of seed {} already: {}",
            run.seed,
            run.id()
        ))
        .hint("name another group or other seeds; --request-id makes a creation that can be repeated")),
    }
}

/// What the runs of a sweep have in common beside the spec.
struct Group {
    name: Option<String>,
    weight: f64,
}

/// Creates a run for each seed.
async fn sweep(
    client: &Client,
    spec: &RunSpec,
    seeds: &[Seed],
    Group { name, weight }: Group,
    request_id: &str,
    json: bool,
) -> Result<(), Failure> {
    // The same when the creation is repeated.
    let digits = Digest::of(request_id.as_bytes()).to_string();
    let group = name.unwrap_or_else(|| format!("{}-{}", spec.name.replace('/', "-"), &digits[..4]));
    let mut runs = Vec::new();
    for &seed in seeds {
        let spec = RunSpec { seed, ..spec.clone() };
        // Short enough for the coordinator, whatever the user's name for it is.
        let request_id = Digest::of(format!("{request_id} {seed}").as_bytes()).to_string();
        runs.push(client.create(spec, request_id, group.clone(), weight).await?);
    }
    if json {
        return render::out(&render::json::pretty(&runs.iter().map(render::json::of).collect::<Vec<_>>()));
    }
    let show = Paint::stderr().command(&format!("hebbian sweep {}", render::text::shell_word(&group)));
    render::note(&format!(
        "created {} of `{}` as group `{group}`; see how they stand with {show}",
        render::text::plural(runs.len() as u64, "run"),
        spec.name
    ));
    let ids: Vec<&str> = runs.iter().map(v1::Run::id).collect();
    render::out(&(ids.join("\n") + "\n"))
}

/// A share of the cluster.
fn parse_weight(text: &str) -> Result<f64, String> {
    let weight = text.parse().map_err(|_| "must be a number, for example 3 or 0.5".to_owned())?;
    check_weight(weight).map(|()| weight)
}

/// Seeds as they are written in arguments.
#[derive(Clone, Debug, PartialEq)]
struct Seeds(Vec<Seed>);

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let seeds = match text.split_once("..") {
        Some((first, last)) => {
            let (first, last) = (parse_seed(first.trim())?.get(), parse_seed(last.trim())?.get());
            if first > last {
                return Err(format!(
                    "the first seed must not be above the last, but {first} is above {last}"
                ));
            }
            if last - first >= SWEEP_RUNS_MAX {
                return Err(format!("at most {SWEEP_RUNS_MAX} seeds"));
            }
            (first..=last).filter_map(|number| Seed::new(number).ok()).collect()
        }
        None => text.split(',').map(|part| parse_seed(part.trim())).collect::<Result<Vec<_>, _>>()?,
    };
    if seeds.len() as u64 > SWEEP_RUNS_MAX {
        return Err(format!("at most {SWEEP_RUNS_MAX} seeds"));
    }
    if let Some((place, twice)) =
        seeds.iter().enumerate().find(|(place, seed)| seeds[..*place].contains(seed))
    {
        return Err(format!("seed {twice} is listed twice, the second time at place {}", place + 1));
    }
    Ok(Seeds(seeds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[u64], &str>) {
        match (parse_seeds(text), expected) {
            (Ok(Seeds(seeds)), Ok(numbers)) => {
                assert_eq!(seeds.iter().map(|seed| seed.get()).collect::<Vec<_>>(), numbers);
            }
            (Err(problem), Err(message)) => assert!(problem.contains(message), "{problem}"),
            (found, _) => panic!("`{text}` gave {found:?}"),
        }
    }

    #[test]
    fn seeds_are_a_range_or_a_list() {
        check("1..5", Ok(&[1, 2, 3, 4, 5]));
        check("7..7", Ok(&[7]));
        check("3, 1,9", Ok(&[3, 1, 9]));
        check("5..1", Err("5 is above 1"));
        check("1..2000", Err("at most 1000 seeds"));
        check("1,2,1", Err("seed 1 is listed twice"));
        check("1..x", Err("a seed is a whole number"));
        check("", Err("a seed is a whole number"));
    }
}
