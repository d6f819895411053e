//! A run as its pictures need it: from a directory of `hebbian run`, from a journal, or from a coordinator.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_learning::comparison::{BaselineSettings, Comparison, shown_adam};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;
use hebbian_shared::genome::GenomeLayout;
use hebbian_shared::id::RunId;
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_view::comparison::{Curve, Group};
use hebbian_view::document::RunPage;
use hebbian_view::history::History;
use hebbian_view::learned::Learned;
use hebbian_view::picture::Picture;
use serde::Serialize;

use crate::client::{Client, ClientArguments};
use crate::demonstrated;
use crate::failure::Failure;
use crate::report::Report;

/// A coordinator that has sent the generations that have closed sends what belongs to the last one within this time.
const LAST_EVENTS: Duration = Duration::from_millis(300);

/// See the module.
pub(crate) struct RunView {
    run: v1::Run,
    result: v1::RunResult,
    history: History,
    layout: GenomeLayout,
    objective: String,
    comparison: Vec<Group>,
    /// A baseline that is shown beside the rule, with its name.
    baseline: Option<(String, BaselineSettings)>,
}

/// Where a run is looked for.
pub(crate) enum Source<'a> {
    /// In a journal, or in the directory of `hebbian run`.
    Journal { path: PathBuf, run: Option<&'a str> },
    /// At a coordinator.
    Coordinator { run: &'a str },
}

impl<'a> Source<'a> {
    /// What the user means: a path, with the name of one of its runs behind `#` if it has several, or a coordinator's run. What is there
    /// is a path, and what no run can be called is meant to be one.
    pub(crate) fn of(named: &'a str) -> Self {
        let journal = |path, run| Self::Journal { path: PathBuf::from(path), run };
        match named.rsplit_once('#') {
            _ if is_there(named) => journal(named, None),
            Some((path, run)) if is_there(path) => journal(path, Some(run)),
            _ if may_be_a_run(named) => Self::Coordinator { run: named },
            Some((path, run)) => journal(path, Some(run)),
            None => journal(named, None),
        }
    }
}

/// Whether there is something of that name, or somebody forbids to look.
fn is_there(path: &str) -> bool {
    match Path::new(path).symlink_metadata() {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
        ),
    }
}

/// Whether a coordinator's run may be named so: by its id, as `--json` prints it or in part, its spec's name, or its group and seed.
fn may_be_a_run(named: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match named.rsplit_once('/') {
        None => is_name(named) || named.is_empty(),
        Some(("runs", id)) => id.to_ascii_lowercase().parse::<RunId>().is_ok() || id.parse::<u64>().is_ok(),
        Some((group, seed)) => {
            !group.is_empty()
                && !group.starts_with('.')
                && !group.contains('/')
                && seed.parse::<u64>().is_ok()
        }
    }
}

/// A run that was found, and whose events were given to whoever asked.
pub(crate) struct Found {
    /// How it stands.
    pub(crate) run: v1::Run,
    /// What it has found.
    pub(crate) result: v1::RunResult,
}

/// Finds the run of a source and gives its events, in order, to `take`.
pub(crate) async fn read(
    source: &Source<'_>,
    client: &ClientArguments,
    take: &mut dyn FnMut(&v1::RunEvent),
) -> Result<Found, Failure> {
    if matches!(source, Source::Journal { .. }) {
        client.credentials.check_unused("on a directory or a journal")?;
    }
    match source {
        Source::Coordinator { run } => {
            let found = async { read_coordinator(&Client::connect_when_led(client).await?, run, take).await };
            // Who mistyped a path has not asked for a coordinator.
            let said = format!("`{run}` is no directory or journal here, and as a run of a coordinator");
            found.await.map_err(|failure| failure.of(&said))
        }
        Source::Journal { path, run: _ } if !is_there(&path.to_string_lossy()) => {
            Err(Failure::not_found(format_args!("{}: there is no such directory or journal", path.display())).hint(
                "name a directory of `hebbian run`, a journal, or a run of a coordinator by its id, GROUP/SEED or name",
            ))
        }
        Source::Journal { path, run } if path.is_dir() => {
            if !path.join("journal.sqlite").exists() {
                let message = format!("{}: has no journal.sqlite, so it is no directory of `hebbian run`", path.display());
                return Err(Failure::not_found(message));
            }
            read_journal(&path.join("journal.sqlite"), *run, take)
        }
        Source::Journal { path, run } => read_journal(path, *run, take),
    }
}

/// The only run of a journal, or the one of that name or beginning of an id.
fn read_journal(
    path: &Path,
    wanted: Option<&str>,
    take: impl FnMut(&v1::RunEvent),
) -> Result<Found, Failure> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(Failure::file(path, "the journal cannot be read", &error));
    }
    let refused = |error: &dyn std::fmt::Display| Failure::failed(format_args!("{error}"));
    let reader = JournalReader::open(path).map_err(|error| refused(&error))?;
    let runs = reader.runs().map_err(|error| refused(&error))?;
    let mut found = Vec::new();
    for loaded in runs {
        let stored = loaded.map_err(|unreadable| {
            Failure::failed(format_args!(
                "{}: run {}: {}",
                path.display(),
                unreadable.run,
                unreadable.problem
            ))
        });
        let fits =
            |name: &str, id: String| wanted.is_none_or(|wanted| name == wanted || id.starts_with(wanted));
        match stored {
            Ok(stored) if fits(&stored.created.spec.name, stored.run.to_string()) => found.push(stored),
            Err(failure) if wanted.is_none() => return Err(failure),
            Ok(_) | Err(_) => {}
        }
    }
    let several = found.len() > 1;
    let Some(stored) = found.pop().filter(|_| !several) else {
        let message = if several { "has several runs that may be meant" } else { "has no such run" };
        return Err(Failure::not_found(format_args!("{}: {message}", path.display()))
            .hint(format_args!("name one as {}#RUN; `hebbian journal verify` lists them", path.display())));
    };
    reader.events(stored.run, take).map_err(|error| refused(&error))?;
    let run = JournalReader::take_up(stored).map_err(|error| refused(&error))?;
    reader.check_still().map_err(|error| refused(&error))?;
    Ok(Found { run: run.progress(), result: run.result() })
}

async fn read_coordinator(
    client: &Client,
    name: &str,
    take: &mut dyn FnMut(&v1::RunEvent),
) -> Result<Found, Failure> {
    let run = client.find(name).await?;
    let mut events = client.watch(run.name.clone(), 0).await?;
    let mut closed = 0;
    loop {
        let has_all = closed >= run.generation;
        let next = events.message();
        let event = if has_all {
            // A run that goes on sends nothing for a while, one that has ended ends its stream.
            match tokio::time::timeout(LAST_EVENTS, next).await {
                Ok(event) => event,
                Err(_) => break,
            }
        } else {
            next.await
        };
        let Some(v1::WatchRunResponse { event, sequence }) =
            event.map_err(|status| client.broken(&status))?
        else {
            break;
        };
        if let Some(event) = event {
            if let Some(Kind::Generation(summary)) = &event.kind {
                closed = summary.generation + 1;
            }
            take(&event);
        }
        // One that goes on fast has no such while.
        if sequence >= run.sequence {
            break;
        }
    }
    let result = client.result(run.name.clone()).await?;
    Ok(Found { run, result })
}

impl RunView {
    /// The run of a source.
    pub(crate) async fn of(source: &Source<'_>, client: &ClientArguments) -> Result<Self, Failure> {
        let mut history = History::default();
        let found = read(source, client, &mut |event| history.take(event)).await?;
        let view = Self::new(found, history)?;
        let Source::Journal { path, .. } = source else { return Ok(view) };
        if !path.is_dir() {
            return Ok(view);
        }
        let (spec, _) = view.result.read().map_err(Failure::failed)?;
        match Report::read(&path.join("report.json"), &spec)? {
            Some(report) => Ok(report.comparison.iter().fold(view, Self::compared)),
            None => Ok(view),
        }
    }

    /// The only run of a journal, or the one of that name or beginning of an id.
    pub(crate) fn of_journal(path: &Path, wanted: Option<&str>) -> Result<Self, Failure> {
        let mut history = History::default();
        let found = read_journal(path, wanted, |event| history.take(event))?;
        Self::new(found, history)
    }

    fn new(found: Found, history: History) -> Result<Self, Failure> {
        let Found { run, result } = found;
        let spec = ResolvedSpec::from_json(result.spec.clone()).map_err(Failure::failed)?;
        let (layout, objective) = (spec.layout(), spec.objective_name().to_owned());
        Ok(Self { run, result, history, layout, objective, comparison: Vec::new(), baseline: None })
    }

    /// The same beside baselines.
    pub(crate) fn compared(self, comparison: &Comparison) -> Self {
        let baseline = shown_adam(&comparison.baselines).map(|of| (of.name.clone(), of.configuration));
        Self { comparison: groups(comparison), baseline, ..self }
    }

    fn learned(&self) -> Option<Learned> {
        demonstrated::learned(&self.result, self.baseline.as_ref())
    }

    fn page<'a>(&'a self, learned: Option<&'a Learned>) -> RunPage<'a> {
        RunPage {
            run: &self.run,
            history: &self.history,
            result: Some(&self.result),
            layout: &self.layout,
            objective: &self.objective,
            comparison: &self.comparison,
            learned,
        }
    }

    /// All of it as one page.
    pub(crate) fn report(&self) -> String {
        self.page(self.learned().as_ref()).report(concat!("hebbian ", env!("CARGO_PKG_VERSION")))
    }

    /// All of its pictures.
    pub(crate) fn pictures(&self) -> Vec<Picture> {
        self.page(self.learned().as_ref()).pictures()
    }
}

/// The word that a spec or a report has for a value.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A comparison as its pictures need it.
pub(crate) fn groups(comparison: &Comparison) -> Vec<Group> {
    let group = |of: &hebbian_learning::comparison::GroupComparison| {
        let rule = Curve {
            name: "learned rule".to_owned(),
            scores: of.columns.iter().map(|column| column.rule).collect(),
        };
        let baselines = comparison.baselines.iter().enumerate().map(|(place, baseline)| Curve {
            name: baseline.name.clone(),
            scores: of
                .columns
                .iter()
                .filter_map(|column| Some(column.baselines.get(place)?.accuracy))
                .collect(),
        });
        let families: Vec<&str> = of.families.iter().map(TaskFamily::name).collect();
        Group {
            name: families.join(", "),
            score: word(&of.score),
            updates: of.columns.iter().map(|column| column.updates).collect(),
            curves: std::iter::once(rule).chain(baselines).collect(),
        }
    };
    comparison.groups.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_a_journal_and_so_is_what_no_run_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        assert!(matches!(Source::of(&path), Source::Journal { run: None, .. }));
        let named = format!("{path}#mine");
        assert!(matches!(Source::of(&named), Source::Journal { run: Some("mine"), .. }));
        for run in [
            "quickstart",
            "0123abcd",
            "RUNS",
            "v1.2_x-y",
            "runs/0123ABCD",
            "mine/3",
            "my group/3",
            "runs/7",
            "",
        ] {
            assert!(matches!(Source::of(run), Source::Coordinator { run: named } if named == run), "{run}");
        }
        for gone in
            ["/no/such", "no/such/", "./x", "../x", "~/x", "runs/mine", "a/b/3", "./3", "-x", "my run", "x/"]
        {
            let of = |named: &str| match Source::of(named) {
                Source::Journal { path, run } => Some((path, run.map(str::to_owned))),
                Source::Coordinator { .. } => None,
            };
            assert_eq!(of(gone), Some((PathBuf::from(gone), None)));
            assert_eq!(of(&format!("{gone}#b")), Some((PathBuf::from(gone), Some("b".to_owned()))));
        }
    }
}
