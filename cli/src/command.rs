//! The command tree: what can be written after `hebbian`, and which file does it.

mod action;
mod ask_tell;
mod certs;
mod check;
mod completions;
mod conformance;
mod coordinator;
mod coordinator_access;
mod coordinator_backup;
mod coordinator_standby;
mod create;
mod data;
mod drain;
mod evaluate;
mod export;
mod extend;
mod fork;
mod genome;
mod health;
mod home;
pub(crate) mod journal;
mod list;
mod man;
mod note;
mod plot;
mod report;
mod result;
mod rules;
mod run;
mod slurm;
mod spec;
mod status;
mod step_down;
mod sweep;
mod token;
mod top;
mod watch;
mod worker;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::process::configuration::{Layers, is_blank};
use crate::process::logging::{self, LogSettings};
use crate::process::signals::{self, Notices};
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use hebbian_coordinator::journal::JournalError;
use hebbian_coordinator::runtime;
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::limits::{REQUEST_ID_BYTES_MAX, SPEC_BYTES_MAX, THREADS_MAX};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use hebbian_worker::data_store::DataStore;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Again, Client, ClientArguments};
use crate::configuration::Configuration;
use crate::data::{DataArguments, MissingDirectory};
use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::{files, render};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Start here:
  hebbian run                              learn a rule for small tasks in this process (seconds)
  hebbian run --preset quickstart          evolve one for the same tasks, from zeros (about a minute)
  hebbian spec > my.toml                   a commented run spec to change
  hebbian check my.toml                    is it valid, and what will it cost here?
  hebbian run my.toml --out runs/mine      run it; Ctrl-C and the same command again resume it
  hebbian evaluate runs/mine/genome.json   compare the learned rule with SGD, momentum and Adam
  hebbian genome show runs/mine/genome.json   its matrices and gates by name
  hebbian evaluate rule:images --tasks fashion   a rule that is part of the program; `hebbian rules list`
  hebbian report runs/mine                 a page of pictures, also while it runs

On a cluster:
  hebbian coordinator                                          once
  hebbian worker --coordinator http://HOST:7420                on as many machines as you like
  hebbian create my.toml && hebbian watch my-spec-name         from anywhere
  hebbian top                                                  runs and workers on a terminal

Exit codes:
  0 done   1 failed   2 wrong arguments or input   3 not found   4 coordinator unreachable   130 interrupted";

/// What was built, and of what.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\ncommit: {}\nfeatures: {}\ntarget: {}, {}\nepisode semantics: {EPISODE_SEMANTICS}",
        env!("CARGO_PKG_VERSION"),
        env!("HEBBIAN_COMMIT"),
        env!("HEBBIAN_FEATURES"),
        env!("HEBBIAN_TARGET"),
        env!("HEBBIAN_PROFILE"),
    )
});

/// Searches for learning rules of multi-state networks, by evolution or along the rule's own gradient, in one process or on a cluster.
///
/// The same run spec and seed give the same result to the last bit, however many workers there are and whatever
/// happens to them.
#[derive(Debug, Parser)]
#[command(name = "hebbian", version, long_version = LONG_VERSION.as_str(), styles = STYLES, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Program {
    #[command(flatten)]
    log: LogArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Evaluate(evaluate::Arguments),
    Genome(genome::Arguments),
    Rules(rules::Arguments),
    AskTell(ask_tell::Arguments),
    Spec(spec::Arguments),
    Check(check::Arguments),
    Coordinator(coordinator::Arguments),
    Worker(worker::Arguments),
    Create(create::Arguments),
    /// List all runs of a coordinator, in order of creation.
    List(list::Arguments),
    Sweep(sweep::Arguments),
    Status(status::Arguments),
    Watch(watch::Arguments),
    Top(top::Arguments),
    /// Pause a run: nothing more of it is handed out until it is resumed.
    Pause(action::Arguments),
    /// Resume a paused run. Forgets the failed attempts that may have paused it.
    Resume(action::Arguments),
    /// End a run for ever. What it has found can still be read with `hebbian result`.
    Cancel(action::Arguments),
    Extend(extend::Arguments),
    Note(note::Arguments),
    Fork(fork::Arguments),
    /// Remove a run that has finished or was cancelled, with all that it found.
    Delete(action::Arguments),
    Result(result::Arguments),
    Report(report::Arguments),
    Plot(plot::Arguments),
    Export(export::Arguments),
    /// List the workers that are attached to a coordinator: their load, their speed, and what they may not work on.
    Workers(list::Arguments),
    Drain(drain::Arguments),
    StepDown(step_down::Arguments),
    Health(health::Arguments),
    Conformance(conformance::Arguments),
    Journal(journal::Arguments),
    Certs(certs::Arguments),
    Token(token::Arguments),
    Data(data::Arguments),
    Slurm(slurm::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Flags about log lines, for every command.
#[derive(Clone, Debug, Args)]
struct LogArguments {
    /// What to log on standard error, as `RUST_LOG`: `info`, `debug`, `warn,hebbian_coordinator=debug`.
    #[arg(long = "log", value_name = "FILTER", global = true, help_heading = "Logging")]
    filter: Option<String>,
    /// How to write log lines.
    #[arg(long = "log-format", value_name = "FORMAT", global = true, help_heading = "Logging")]
    format: Option<WrittenLogFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WrittenLogFormat {
    Text,
    Json,
}

impl LogArguments {
    /// The configuration of a process: all layers, these flags and those of `flags` on top.
    fn configuration(
        &self,
        file: Option<&Path>,
        flags: impl FnOnce(Layers) -> Layers,
    ) -> Result<Configuration, Failure> {
        Configuration::load(file, |layers| {
            let format = self.format.map(|format| match format {
                WrittenLogFormat::Text => "text",
                WrittenLogFormat::Json => "json",
            });
            flags(layers.flag("log.filter", self.filter.clone()).flag("log.format", format))
        })
    }

    /// Logs from now on, for commands that have no other configuration than where data sets are.
    fn data_store(&self, data: &DataArguments) -> Result<Arc<DataStore>, Failure> {
        self.data_store_or(data, MissingDirectory::Refused)
    }

    /// As [`LogArguments::data_store`], for a command that may do without the directory.
    fn data_store_or(
        &self,
        data: &DataArguments,
        missing: MissingDirectory,
    ) -> Result<Arc<DataStore>, Failure> {
        let directory = data.directory.as_ref().map(|path| path.to_string_lossy().into_owned());
        let configuration = self.configuration(None, |layers| layers.flag("worker.data", directory))?;
        set_up_logging(&configuration.log, "warn")?;
        crate::data::store("worker.data", configuration.worker.data, missing)
    }

    /// Logs from now on, for commands that have no other configuration.
    fn set_up(&self) -> Result<(), Failure> {
        set_up_logging(&self.configuration(None, |layers| layers)?.log, "warn")
    }
}

/// Logs from now on; `default` is the filter where nobody gave one.
fn set_up_logging(settings: &LogSettings, default: &str) -> Result<(), Failure> {
    logging::set_up(settings, default, render::log_writer).map_err(Failure::bad_input)
}

/// The program's arguments, in which a blank variable is none.
fn without_blank_variables(command: clap::Command) -> clap::Command {
    let is_blank = |argument: &clap::Arg| {
        argument.get_env().and_then(std::env::var_os).is_some_and(|value| is_blank(&value))
    };
    command
        .mut_args(|argument| if is_blank(&argument) { argument.env(None::<&'static str>) } else { argument })
        .mut_subcommands(without_blank_variables)
}

impl Program {
    /// Reads the arguments; prints help and version where they are asked for.
    pub(crate) fn parse_arguments() -> Result<Self, Failure> {
        let command = without_blank_variables(Self::command());
        let parsed = command.clone().try_get_matches();
        if let Ok(matches) = &parsed {
            home::check(&command, matches)?;
        }
        let parsed = parsed.and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        parsed.map_err(|error| match error.kind() {
            // Somebody who wrote `hebbian` alone wants to know what there is.
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ if error.use_stderr() => usage_failure(&error, std::env::args().nth(1).as_deref()),
            // Whoever redirects the help must learn that it was not written.
            _ => match render::styled(&error.render()) {
                Ok(()) => std::process::exit(0),
                Err(failure) => failure,
            },
        })
    }

    /// Does what the arguments say.
    pub(crate) fn execute(self) -> Result<(), Failure> {
        let log = self.log;
        match self.command {
            Command::Run(arguments) => run::execute(arguments, &log),
            Command::Evaluate(arguments) => evaluate::execute(&arguments, &log),
            Command::Genome(arguments) => genome::execute(&arguments, &log),
            Command::Rules(arguments) => rules::execute(&arguments, &log),
            Command::AskTell(arguments) => ask_tell::execute(&arguments, &log),
            Command::Spec(arguments) => spec::execute(&arguments),
            Command::Check(arguments) => check::execute(&arguments, &log),
            Command::Coordinator(arguments) => coordinator::execute(arguments, &log),
            Command::Worker(arguments) => worker::execute(arguments, &log),
            Command::Create(arguments) => create::execute(arguments, &log),
            Command::Sweep(arguments) => sweep::execute(arguments, &log),
            Command::List(arguments) => list::execute(&arguments, list::What::Runs, &log),
            Command::Status(arguments) => status::execute(arguments, &log),
            Command::Watch(arguments) => watch::execute(arguments, &log),
            Command::Top(arguments) => top::execute(arguments, &log),
            Command::Pause(arguments) => action::execute(&arguments, action::Action::Pause, &log),
            Command::Resume(arguments) => action::execute(&arguments, action::Action::Resume, &log),
            Command::Cancel(arguments) => action::execute(&arguments, action::Action::Cancel, &log),
            Command::Extend(arguments) => extend::execute(arguments, &log),
            Command::Note(arguments) => note::execute(arguments, &log),
            Command::Fork(arguments) => fork::execute(arguments, &log),
            Command::Delete(arguments) => action::execute(&arguments, action::Action::Delete, &log),
            Command::Result(arguments) => result::execute(arguments, &log),
            Command::Report(arguments) => report::execute(arguments, &log),
            Command::Plot(arguments) => plot::execute(arguments, &log),
            Command::Export(arguments) => export::execute(arguments, &log),
            Command::Workers(arguments) => list::execute(&arguments, list::What::Workers, &log),
            Command::Drain(arguments) => drain::execute(arguments, &log),
            Command::StepDown(arguments) => step_down::execute(arguments, &log),
            Command::Health(arguments) => health::execute(arguments, &log),
            Command::Conformance(arguments) => conformance::execute(arguments, &log),
            Command::Journal(arguments) => journal::execute(arguments, &log),
            Command::Certs(arguments) => certs::execute(&arguments, &log),
            Command::Token(arguments) => token::execute(arguments, &log),
            Command::Data(arguments) => data::execute(arguments, &log),
            Command::Slurm(arguments) => slurm::execute(arguments, &log),
            Command::Completions(arguments) => completions::execute(&arguments),
            Command::Man(arguments) => man::execute(&arguments),
        }
    }
}

/// clap's error as one line; its tip, or else the usage, or else the command's help becomes the hint. `first` is the
/// program's first argument: nearly always a command.
fn usage_failure(error: &clap::Error, first: Option<&str>) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = in_plain_words(&paragraphs.next().unwrap_or_default());
    let failure = Failure::bad_input(message.strip_prefix("error: ").unwrap_or(&message));
    let rest: Vec<String> = paragraphs.collect();
    let marked = |mark: &str| rest.iter().find_map(|part| part.strip_prefix(mark)).map(str::to_owned);
    match marked("tip: ").or_else(|| marked("Usage: ").map(|usage| format!("usage: {usage}"))) {
        Some(hint) => failure.hint(hint),
        None => match first.filter(|name| Program::command().find_subcommand(name).is_some()) {
            Some(command) => failure.hint(format_args!("`hebbian {command} --help` explains the arguments")),
            None => failure.hint("`hebbian --help` lists the commands"),
        },
    }
}

/// A message that ends with what the standard library says of a number, with what would be right.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 7] = [
        ("invalid digit found in string", "must be a whole number"),
        ("cannot parse integer from empty string", "must be a whole number"),
        ("number too large to fit in target type", "is too large"),
        ("number too small to fit in target type", "is too small"),
        ("number would be zero for non-zero type", "must be at least 1"),
        ("invalid float literal", "must be a number"),
        ("cannot parse float from empty string", "must be a number"),
    ];
    let said = WORDS.iter().find_map(|(of_library, ours)| Some((message.strip_suffix(of_library)?, ours)));
    said.map_or_else(|| message.to_owned(), |(start, ours)| format!("{start}{ours}"))
}

/// Logs, connects to the coordinator that leads, and does `work` there; `again` says what is done at its successor if it goes away.
fn ask(
    log: &LogArguments,
    client: &ClientArguments,
    again: Again,
    work: impl AsyncFn(Client) -> Result<(), Failure>,
) -> Result<(), Failure> {
    log.set_up()?;
    block_on(client::ask(client, again, work))
}

/// Runs `work` on an asynchronous runtime. Signals end the process, as they do by default.
pub(crate) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    started(runtime::of_threads(2, |_| {}))?.block_on(work)
}

/// A runtime, or why there is none.
pub(crate) fn started(runtime: io::Result<Runtime>) -> Result<Runtime, Failure> {
    runtime.map_err(|error| {
        Failure::failed(format_args!("cannot start the runtime: {error}"))
            .hint("is there a limit on open files (`ulimit -n`) or on processes (`ulimit -u`)?")
    })
}

/// Runs `work` with a token that the first SIGINT or SIGTERM cancels; the second one ends the process.
fn block_on_until_signal<F>(work: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    block_on(until_signal(Notices::End, work))
}

/// As [`block_on_until_signal`], on this thread alone, so that messages save the way to another one: a worker has one stream
/// and a few messages a second, a coordinator other threads for a crowd of workers.
fn block_on_one_thread_until_signal<F>(
    notices: Notices,
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    // Whoever serves others does not wait for whoever reads the log.
    render::line_writer::write_aside();
    started(runtime::on_this_thread())?.block_on(until_signal(notices, work))
}

async fn until_signal<F>(notices: Notices, work: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let shutdown = signals::on_signal(notices)
        .map_err(|error| Failure::failed(format_args!("cannot listen for signals: {error}")))?;
    work(shutdown).await
}

/// A journal that cannot be opened: a wrong file is wrong input, a full disk or a busy file is not.
fn journal_failure(error: &JournalError) -> Failure {
    match error {
        JournalError::Url { .. } | JournalError::Newer { .. } | JournalError::Corrupt { .. } => {
            Failure::bad_input(error)
        }
        _ => Failure::failed(error),
    }
}

/// Reads a run spec (`-`: from standard input), with another seed if one is given.
fn read_spec(path: &Path, seed: Option<Seed>) -> Result<RunSpec, Failure> {
    let text = files::read_text(path, SPEC_BYTES_MAX)?;
    let name = if files::is_standard(path) { PathBuf::from("standard input") } else { path.to_owned() };
    let mut spec = RunSpec::read(&text).map_err(|error| {
        let preset = if error.field.starts_with("problem") { " --preset cart-pole" } else { "" };
        Failure::bad_input(format_args!("{}: {error}", name.display()))
            .hint(format_args!("`hebbian spec{preset}` prints a commented example"))
    })?;
    spec.seed = seed.unwrap_or(spec.seed);
    GenomeFile::embed(&mut spec, path.parent().unwrap_or(Path::new("")))?;
    Ok(spec)
}

/// A built-in spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// A rule for two-dimensional tasks, evolved from zeros.
    Quickstart,
    /// A rule for the same tasks, by gradients from backpropagation: the better one, for less.
    #[default]
    Plane,
    /// A rule for images, by gradients from backpropagation.
    Images,
    /// An external objective: a controller that balances a pole, by a program.
    CartPole,
}

impl Preset {
    /// Its text, a commented TOML.
    fn text(self) -> &'static str {
        match self {
            Self::Quickstart => crate::QUICKSTART,
            Self::Plane => crate::PLANE,
            Self::Images => crate::IMAGES,
            Self::CartPole => crate::CART_POLE,
        }
    }

    /// The program that evaluates its objective, in Python; `None` of rules.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::CartPole => Some(crate::CART_POLE_PROGRAM),
            Self::Quickstart | Self::Plane | Self::Images => None,
        }
    }

    /// The spec, with another seed if one is given.
    fn spec(self, seed: Option<Seed>) -> RunSpec {
        let mut spec = RunSpec::read(self.text()).expect("the built-in specs are tested to be valid");
        spec.seed = seed.unwrap_or(spec.seed);
        spec
    }
}

/// A seed as it is written in arguments.
fn parse_seed(text: &str) -> Result<Seed, String> {
    let range = || "a seed is a whole number from 0 to 2^63 - 1".to_owned();
    text.parse::<u64>().ok().and_then(|number| Seed::new(number).ok()).ok_or_else(range)
}

/// The name of a creation as the coordinator takes it.
fn parse_request_id(text: &str) -> Result<String, String> {
    match text.len() {
        1..=REQUEST_ID_BYTES_MAX => Ok(text.to_owned()),
        length => Err(format!("the name of a creation has 1 to {REQUEST_ID_BYTES_MAX} bytes, not {length}")),
    }
}

/// A name that no other creation has: process and moment.
fn fresh_request_id() -> String {
    let moment = jiff::Timestamp::now().as_nanosecond();
    let host = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Digest::of(format!("{host} {} {moment}", std::process::id()).as_bytes()).short()
}

/// A number of compute threads as it is written in arguments.
fn parse_threads(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(threads @ 1..=THREADS_MAX) => Ok(threads),
        _ => Err(format!("a number of threads is from 1 to {THREADS_MAX}")),
    }
}

/// As many compute threads as this machine has cores for us.
fn all_cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

#[cfg(test)]
mod tests;
