//! `hebbian fork`

use clap::Args;
use hebbian_proto::v1;
use hebbian_shared::spec::{ResolvedSpec, RunSpec, SpecError};

use super::{LogArguments, ask, fresh_request_id, parse_request_id};
use crate::client::{Again, ClientArguments};
use crate::failure::Failure;
use crate::render::{self, Paint};

/// Create a run that begins where another one was, with the same spec or a changed one. Prints the new run's id.
///
/// It begins with the search's whole state after some generation: with an unchanged spec it does what its parent did. It
/// can begin after the parent's last two generations, and after those whose snapshots the coordinator keeps
/// (`retention.snapshots_every` in its configuration).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian fork quickstart --set stop.generations=500                another end
  hebbian fork quickstart --generation 100 --set seed=2             other tasks from generation 100 on
  hebbian fork quickstart --set name=easier --set 'tasks.families=[\"and\", \"or\"]' --set stop.generations=500

Keys and values are written as in a spec; a value that is not TOML is taken as a text. What belongs to the state that
the fork begins with cannot be changed: the kind of strategy, the layout of the genome.")]
pub(super) struct Arguments {
    /// The run to fork: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// After how many of its generations to begin [default: the last one].
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    generation: Option<u32>,
    /// Changes a key of the spec; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// A name for this creation: the same name and spec again give the run that was created before.
    #[arg(long, value_name = "NAME", value_parser = parse_request_id)]
    request_id: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
    /// Print the new run as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, generation, set, request_id, client, json } = arguments;
    let request_id = request_id.unwrap_or_else(fresh_request_id);
    ask(log, &client, Again::Always, async |client| {
        let parent = client.find(&run).await?;
        let spec = changed(&*client.spec(parent.name.clone()).await?, &set)?;
        let (name, spec) = (parent.name.clone(), ResolvedSpec::from(spec).json().to_owned());
        let request =
            v1::ForkRunRequest { name, generations: generation, spec, request_id: request_id.clone() };
        let run = client.held("run", client.answer(client.runs().fork_run(request)).await?.run)?;
        if json {
            return render::out(&render::json::pretty(&render::json::of(&run)));
        }
        let watch = Paint::stderr().command(&format!("hebbian watch {}", run.id()));
        render::note(&format!(
            "forked run {} from {} after {} generations; follow it with {watch}",
            run.id(),
            parent.id(),
            run.generation
        ));
        render::out(&format!("{}\n", run.id()))
    })
}

pub(super) fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("a setting is written KEY=VALUE, for example stop.generations=500".to_owned()),
    }
}

/// A spec with some keys set to other values.
fn changed(spec: &RunSpec, settings: &[(String, String)]) -> Result<RunSpec, Failure> {
    if settings.is_empty() {
        return Ok(spec.clone());
    }
    let mut table: toml::Table = toml::from_str(&spec.to_toml()).expect("a spec is a TOML table");
    for (place, (key, written)) in settings.iter().enumerate() {
        let refuse = |problem: &str| Failure::bad_input(format_args!("--set {key}: {problem}"));
        if settings[..place].iter().any(|(before, _)| before == key) {
            return Err(refuse("is given twice; write it once"));
        }
        let parsed = toml::from_str::<toml::Table>(&format!("value = {written}"));
        let value = parsed.ok().and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| toml::Value::String(written.clone()));
        let mut place = &mut table;
        let (sections, last) = key.rsplit_once('.').map_or((None, key.as_str()), |(s, last)| (Some(s), last));
        for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
            let entry = place.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            place = entry.as_table_mut().ok_or_else(|| refuse(&format!("`{section}` is not a section")))?;
        }
        place.insert(last.to_owned(), value);
    }
    // Nobody sees the text, nor its lines.
    RunSpec::read(&table.to_string()).map_err(|error| {
        let error = SpecError { line: None, ..error };
        Failure::bad_input(format_args!("the spec with its changes: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[&str], expected: Result<fn(&RunSpec) -> bool, &str>) {
        let spec = RunSpec::read(crate::QUICKSTART).unwrap();
        let settings: Vec<_> = settings.iter().map(|text| parse_setting(text).unwrap()).collect();
        match (changed(&spec, &settings), expected) {
            (Ok(spec), Ok(holds)) => assert!(holds(&spec), "{settings:?}: {spec:?}"),
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("{settings:?} gave {found:?}"),
        }
    }

    #[test]
    fn a_key_is_set_once() {
        check(&["seed=2", "seed=3"], Err("--set seed: is given twice"));
    }

    #[test]
    fn keys_are_set_as_in_a_spec() {
        check(&["stop.generations=500"], Ok(|spec| spec.stop.generations == Some(500)));
        check(&["seed=9", "name=other"], Ok(|spec| spec.seed.get() == 9 && spec.name == "other"));
        check(&["name=\"other\""], Ok(|spec| spec.name == "other"));
        check(&["stop.evaluations = 7"], Ok(|spec| spec.stop.evaluations == Some(7)));
        check(&["stop.generation=500"], Err("generation"));
        check(&["seed.x=500"], Err("--set seed.x: `seed` is not a section"));
        check(&["stop.generations=0"], Err("stop.generations"));
        assert!(parse_setting("stop.generations").is_err());
    }
}
