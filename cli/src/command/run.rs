//! `hebbian run`: coordinator, worker and client in one process, over the same engine and the same wire, without ports.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hebbian_control::command::Refusal;
use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Act, Create, Get, GetResult, List, RunAction};
use hebbian_coordinator::access::Access;
use hebbian_coordinator::driver::reading::{Generations, Watch};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Handle, new_run_id};
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::web::Acts;
use hebbian_learning::comparison::Comparison;
use hebbian_learning::interrupt::Interrupt;
use hebbian_proto::convert::ConvertError;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_shared::dispatch::ALL_PROBLEMS;
use hebbian_shared::id::RunId;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use hebbian_worker::data_store::DataStore;
use hebbian_worker::evaluator::ExecEvaluator;
use tokio_util::sync::CancellationToken;

use super::{
    LogArguments, Preset, all_cores, block_on_until_signal, journal_failure, parse_seed, parse_threads,
    read_spec,
};
use crate::client::pages;
use crate::data::{DataArguments, complete};
use crate::external_result::ExternalResult;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::forecast::Forecast;
use crate::genome_file::GenomeFile;
use crate::judging::{closer_look, compare_finished};
use crate::local_cluster::{Computing, LocalWorker};
use crate::render::progress::Progress;
use crate::render::{self, Paint};
use crate::report::Report;
use crate::run_directory::{self, RunDirectory};
use crate::run_view::{self, RunView};
use crate::web::{DEFAULT_ADDRESS, Wanted, Web};

/// How often the open generation is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Generations of one answer of the journal.
const GENERATIONS_PAGE: u32 = 500;

/// Search for a rule in this process, then compare it with tuned SGD, momentum and Adam on tasks it has never seen.
///
/// Without a spec it is the built-in `plane`, half a minute of two cores. Ctrl-C stops cleanly; the same --out goes
/// on from there. The result is the same for any number of workers, to the last bit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian run                              the built-in `plane`, by gradients, into a new directory below runs/
  hebbian run my.toml --out runs/mine      a spec of your own; the same command again resumes it
  hebbian run --preset quickstart          a rule for the same tasks, evolved from zeros
  hebbian run --preset images              a rule for images, by gradients
  hebbian run --out runs/mine              goes on with what is in runs/mine, or prints its report again
  hebbian run --seed 2 --workers 1         another seed, on one core
  hebbian run my.toml --web                with a live page for a browser
  hebbian run mine.toml --exec 'python3 objective.py' --workers 8     an external objective, by a program of your own

The directory receives spec.toml, journal.sqlite, genome.json (the rule; of an external objective
parameters.json), report.json and report.html, which shows it.")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input [default: the built-in `plane`].
    spec: Option<PathBuf>,
    /// A built-in spec.
    #[arg(long, value_name = "NAME", conflicts_with = "spec")]
    preset: Option<Preset>,
    /// Compute threads; they change only the time it takes [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    workers: Option<u32>,
    /// The program that evaluates the external objective of the spec, as a command of the shell: a process for each of --workers.
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    exec: Option<String>,
    /// Another seed than the spec's.
    #[arg(long, value_name = "S", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Option<Seed>,
    /// The directory for all files; one of an earlier run resumes it [default: a new one below runs/].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// Serve a live page of the run, and say where [default: 127.0.0.1:7421, and another port if that one is in use]. A run that is
    /// paused there waits to be resumed.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_ADDRESS)]
    web: Option<String>,
    /// Print the report as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { spec, preset, workers, exec, seed, out, data, web, json } = arguments;
    let data = log.data_store(&data)?;
    let mut spec = match (spec, preset) {
        (Some(path), _) => Some(read_spec(&path, seed)?),
        (None, preset) => preset.map(|preset| preset.spec(seed)),
    };
    if let Some(spec) = &mut spec {
        complete(spec, &data)?;
    }
    let directory = RunDirectory::choose(out, spec, seed, || Preset::default().spec(seed))?;
    if let Some(report) = Report::read(&directory.report(), directory.spec())? {
        render::note(&format!("{} is finished; this is its report", directory.path().display()));
        return show_report(&report, &directory, json);
    }
    let machine = Machine { threads: workers.unwrap_or_else(all_cores), workers, exec, data };
    machine.check(&directory)?;
    block_on_until_signal(|shutdown| async move {
        directory.prepare()?;
        let report = evolve(&directory, &machine, web.as_deref(), &shutdown).await?;
        show_report(&report, &directory, json)
    })
}

/// What computes.
struct Machine {
    threads: u32,
    /// As the user said it.
    workers: Option<u32>,
    /// The program that evaluates an external objective.
    exec: Option<String>,
    data: Arc<DataStore>,
}

impl Machine {
    /// Refuses a program where there is nothing for it, and an external objective without one.
    fn check(&self, directory: &RunDirectory) -> Result<(), Failure> {
        match (directory.spec().problem.external(), &self.exec) {
            (Some(problem), None) => Err(Failure::bad_input(format_args!(
                "--exec: is missing: the objective `{}` is evaluated by a program",
                problem.name
            ))
            .hint("for example --exec 'python3 objective.py'")),
            (None, Some(_)) => Err(Failure::bad_input(
                "--exec: is of specs with an external problem, and this one evolves a rule",
            )
            .hint("[problem] kind = \"external\" makes it one; `hebbian spec --preset cart-pole` prints an example")),
            _ => Ok(()),
        }
    }

    fn computing(&self) -> Computing {
        match &self.exec {
            Some(command) => {
                Computing::Program(ExecEvaluator::new(command.clone(), vec![ALL_PROBLEMS.to_owned()]))
            }
            None => Computing::Rules(Arc::clone(&self.data)),
        }
    }
}

/// Runs the search to its end, or to an interrupt, and writes what came of it.
async fn evolve(
    directory: &RunDirectory,
    machine: &Machine,
    web: Option<&str>,
    shutdown: &CancellationToken,
) -> Result<Report, Failure> {
    let journal = SqliteJournal::open(&directory.journal()).map_err(|error| journal_failure(&error))?;
    let (handle, driver) =
        driver::start(DriverSettings::in_one_process(), Box::new(journal)).await.map_err(Failure::failed)?;
    let web = web.map(|address| {
        let wanted = Wanted { address, setting: "--web", insecure: false };
        Web::start(wanted, &handle, (Acts::OfOneRun, Access::open()))
    });
    let web = match web.transpose() {
        Ok(web) => web.flatten(),
        Err(failure) => {
            let _ = handle.shut_down().await;
            return Err(failure);
        }
    };
    if let Some(web) = &web {
        render::note(&format!("watch it at {}", web.address()));
    }
    let found = search(&handle, directory, machine, (web.is_some(), shutdown)).await;
    let compared = match web {
        Some(web) => compare_watched(&found, web, (directory, machine), shutdown).await,
        None => None,
    };
    let closed = handle.shut_down().await;
    // The driver has answered; what is left of it is its thread's end.
    let _ = driver.await;
    let resume = resume_command(directory.path(), machine);
    let (run, generations, validations) = match found? {
        Found::Finished { run, generations, validations } => (run, generations, validations),
        Found::Interrupted { generations } => {
            let place = directory.path().display();
            let stopped = match closed {
                Ok(()) => format!("stopped after {generations} generations; everything is saved in {place}"),
                Err(error) => {
                    format!("stopped, but {error}; the next start computes again what {place} lacks")
                }
            };
            return Err(Failure::interrupted(stopped).hint(format_args!("go on with `{resume}`")));
        }
    };
    closed.map_err(failed)?;
    let Some(RunState::Finished(reason)) = run.state.clone().and_then(|state| state.kind) else {
        let name = render::run::state_name(run.state.as_ref());
        return Err(Failure::failed(format_args!("the run has no result: it was {name}")));
    };
    let compared = match compared {
        Some(compared) => compared,
        None => compare(&run, machine, shutdown).await,
    };
    let comparison = compared.map_err(|failure| match failure.kind() {
        FailureKind::Interrupted => Failure::interrupted(format_args!(
            "the search is finished and saved in {}, but not compared with baselines",
            directory.path().display()
        ))
        .hint(format_args!("`{resume}` compares it")),
        _ => failure,
    })?;
    let report = Report::new(&run, reason, generations, validations, comparison)?;
    write_page(directory, report.comparison.as_ref());
    files::write(&directory.report(), report.to_json())?;
    Ok(report)
}

/// Compares the rule of a search that has ended while whoever watches can look at the run, and shows them what comes of it.
async fn compare_watched(
    found: &Result<Found, Failure>,
    web: Web,
    (directory, machine): (&RunDirectory, &Machine),
    shutdown: &CancellationToken,
) -> Option<Result<Option<Comparison>, Failure>> {
    let compared = match found {
        Ok(Found::Finished { run, .. }) => {
            if directory.spec().problem.rule_learning().is_some() {
                web.comparing();
            }
            Some(compare(run, machine, shutdown).await)
        }
        _ => None,
    };
    let shown = compared.as_ref().and_then(|compared| compared.as_ref().ok()?.as_ref());
    web.end(shown.map(run_view::groups).unwrap_or_default()).await;
    compared
}

/// Writes the page that shows the report. It is beside the point: where it cannot be written, the report is there all the same.
fn write_page(directory: &RunDirectory, comparison: Option<&Comparison>) {
    let written = RunView::of_journal(&directory.journal(), None)
        .map(|view| comparison.into_iter().fold(view, RunView::compared))
        .and_then(|view| files::write(&directory.page(), view.report()));
    if let Err(failure) = written {
        render::note(&format!("the report has no page: {}", failure.message()));
    }
}

/// How the search ended.
enum Found {
    /// By a criterion.
    Finished {
        run: Box<v1::RunResult>,
        generations: Vec<v1::GenerationSummary>,
        validations: Vec<v1::ValidationSummary>,
    },
    /// By the user.
    Interrupted { generations: u32 },
}

/// Creates or finds the run, computes on it until it ends, and writes its genome.
async fn search(
    handle: &Handle,
    directory: &RunDirectory,
    machine: &Machine,
    (is_watched, shutdown): (bool, &CancellationToken),
) -> Result<Found, Failure> {
    let run = open_run(handle, directory).await?;
    let id = id_of(&run)?;
    announce(directory, &run, machine.threads);
    let mut worker = LocalWorker::start(handle.clone(), machine.threads, machine.computing());
    let mut validations = Vec::new();
    let followed = tokio::select! {
        followed = follow(handle, (directory.spec(), is_watched), &run, &mut validations, shutdown) => followed,
        failure = worker.failed() => Err(failure),
    };
    worker.stop().await;
    let interrupted = followed?;
    let result = match handle.ask(GetResult { run: id }).await {
        // While the disk is full nothing can be promised; whoever stops must not have to wait for room on it.
        Err(Refusal::Journal(_)) if interrupted => {
            let generations = handle.ask(Get { run: id }).await.map_err(failed)?.generation;
            return Ok(Found::Interrupted { generations });
        }
        result => result.map_err(failed)?,
    };
    if result.generations > 0 {
        let text = match ExternalResult::of_result(&result)? {
            Some(found) => render::json::pretty(&found),
            None => GenomeFile::of_result(&result)?.to_json(),
        };
        files::write(&directory.result(), text)?;
    }
    if interrupted {
        return Ok(Found::Interrupted { generations: result.generations });
    }
    let generations = pages(async |token| {
        let page = PageRequest { size: GENERATIONS_PAGE, token };
        let page = handle.ask(Generations { run: id, page }).await.map_err(failed)?;
        Ok((page.items, page.next_token))
    });
    let generations = generations.await?;
    Ok(Found::Finished { run: Box::new(result), generations, validations })
}

/// The directory's only run, created if there is none.
async fn open_run(handle: &Handle, directory: &RunDirectory) -> Result<v1::Run, Failure> {
    let spec = directory.spec();
    let runs = handle.ask(List::default()).await.map_err(failed)?.items;
    let Some(run) = runs.first() else {
        return handle.create(Create::new(new_run_id(), spec.clone())).await.map_err(failed);
    };
    let journal = directory.journal();
    if runs.len() > 1 {
        return Err(Failure::bad_input(format_args!(
            "{}: holds several runs: it is a coordinator's journal, not one of `hebbian run`",
            journal.display()
        )));
    }
    if let Some(RunState::Failed(failed)) = run.state() {
        return Err(Failure::failed(format_args!("{}: {}", journal.display(), failed.reason))
            .hint("restore the journal from a copy"));
    }
    let id = id_of(run)?;
    if run.spec_digest != spec.digest().0 {
        let (stored, _) = handle.ask(GetResult { run: id }).await.map_err(failed)?.read().map_err(unread)?;
        let difference = run_directory::difference(&stored, spec).unwrap_or_default();
        return Err(Failure::bad_input(format_args!(
            "{}: the journal belongs to another spec: {difference}",
            journal.display()
        )));
    }
    match run.state() {
        // Whatever paused it may be gone by now; if not, it pauses again and says so.
        Some(RunState::Paused(_)) => {
            let resume = Act { run: id, action: RunAction::Resume, by: String::new() };
            handle.ask(resume).await.map_err(failed)
        }
        _ => Ok(run.clone()),
    }
}

/// Says what will be done.
fn announce(directory: &RunDirectory, run: &v1::Run, threads: u32) {
    let paint = Paint::stderr();
    let spec = directory.spec();
    let verb = match (run.state(), directory.is_new()) {
        (Some(RunState::Finished(_)), _) => "finished before:",
        (_, true) => "starting",
        (_, false) => "going on with",
    };
    let threads = render::text::plural(u64::from(threads), "thread");
    render::note(&format!(
        "{verb} `{}` in {} on {threads}",
        paint.bold(&spec.name),
        directory.path().display()
    ));
    render::note(render::run::spec(spec, paint).trim_end());
    for text in spec.notes() {
        render::note(&format!("{} {text}", paint.warning("note:")));
    }
}

/// Shows the run's events until it ends, and keeps its validations; whether the user interrupted it.
async fn follow(
    handle: &Handle,
    (spec, is_watched): (&RunSpec, bool),
    run: &v1::Run,
    validations: &mut Vec<v1::ValidationSummary>,
    shutdown: &CancellationToken,
) -> Result<bool, Failure> {
    let id = id_of(run)?;
    let mut progress = Progress::new(Forecast::of(spec));
    let mut sequence = 0;
    let mut poll = tokio::time::interval(POLL_INTERVAL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut events =
            handle.ask(Watch { run: id, after: sequence, owner: String::new() }).await.map_err(failed)?;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = poll.tick() => {
                    let now = handle.ask(Get { run: id }).await.map_err(failed)?;
                    progress.show(now.settled());
                    // Whoever has the page can resume it.
                    if matches!(now.state(), Some(RunState::Paused(_))) && !is_watched {
                        give_up_if_nothing_helps(handle, id).await?;
                    }
                    continue;
                }
                () = shutdown.cancelled() => return Ok(true),
            };
            let Some(v1::WatchRunResponse { sequence: number, event: Some(event) }) = event else { break };
            sequence = number;
            progress.event(&event, sequence > run.sequence);
            if event.state().is_some_and(RunState::is_final) {
                return Ok(false);
            }
            if let Some(Event::Validation(summary)) = event.kind {
                validations.push(summary);
            }
        }
        // The stream ends after the final state, or because this watcher was too slow.
        if handle.ask(Get { run: id }).await.map_err(failed)?.is_final() {
            return Ok(false);
        }
    }
}

/// A pause for want of room on the disk ends by itself; any other needs somebody, and here is nobody.
async fn give_up_if_nothing_helps(handle: &Handle, run: RunId) -> Result<(), Failure> {
    if handle.ask(Status).await.map_err(failed)?.journal_trouble.is_some() {
        return Ok(());
    }
    // There may have been room again between the pause and the question: only a pause that is still there counts.
    match handle.ask(Get { run }).await.map_err(failed)?.state() {
        Some(RunState::Paused(paused)) => {
            Err(Failure::failed(format_args!("the run is paused: {}", paused.reason))
                .hint("the same command goes on when the cause is gone"))
        }
        _ => Ok(()),
    }
}

async fn compare(
    run: &v1::RunResult,
    machine: &Machine,
    shutdown: &CancellationToken,
) -> Result<Option<Comparison>, Failure> {
    let (spec, genome) = run.read().map_err(unread)?;
    let seed = spec.seed;
    // Only rules are compared with baselines.
    let Some(problem) = spec.problem.rule_learning().cloned() else { return Ok(None) };
    let threads = machine.threads;
    let interrupt = Arc::new(Interrupt::new());
    let raised = Arc::clone(&interrupt);
    let data = Arc::clone(&machine.data);
    let mut computing = tokio::task::spawn_blocking(move || {
        compare_finished(&problem, &genome, seed, threads, &data, &interrupt)
    });
    let ended = tokio::select! {
        ended = &mut computing => ended,
        () = shutdown.cancelled() => {
            raised.raise();
            computing.await
        }
    };
    ended.map_err(|error| Failure::failed(format_args!("the comparison failed: {error}")))?.map(Some)
}

fn id_of(run: &v1::Run) -> Result<RunId, Failure> {
    run.run_id().map_err(unread)
}

/// This program wrote what it reads here.
fn unread(error: ConvertError) -> Failure {
    Failure::failed(error)
}

fn failed(error: Refusal) -> Failure {
    match error {
        Refusal::Spec(error) => Failure::bad_input(error),
        error => Failure::failed(error),
    }
}

/// What to type to go on.
fn resume_command(directory: &Path, machine: &Machine) -> String {
    let workers = machine.workers.map_or_else(String::new, |workers| format!(" --workers {workers}"));
    let exec = machine
        .exec
        .as_ref()
        .map_or_else(String::new, |exec| format!(" --exec {}", render::text::shell_word(exec)));
    format!("hebbian run --out {}{workers}{exec}", render::text::shell_word(&directory.display().to_string()))
}

fn show_report(report: &Report, directory: &RunDirectory, json: bool) -> Result<(), Failure> {
    if json {
        return render::out(&report.to_json());
    }
    let text = render::report::text(report, Paint::stdout());
    let next = closer_look(directory.spec(), &directory.result());
    render::out(&(text + &render::report::files(directory, next.as_deref(), Paint::stdout())))
}
