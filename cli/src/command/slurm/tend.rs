//! `hebbian slurm tend`

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;

use super::{Workers, patience, slurm};
use crate::client::{Client, ClientArguments};
use crate::command::{LogArguments, block_on, set_up_logging};
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::genome_file::GenomeFile;
use crate::render::text::shell_word;

/// How often the run is asked for.
const INTERVAL: Duration = Duration::from_secs(2);
/// The queue is as long as it was at its longest in this time: at the end of a generation it is empty for a moment.
const WINDOW: Duration = Duration::from_secs(60);
/// How often it is looked whether there are workers, or will be.
const ARRAY_INTERVAL: Duration = Duration::from_secs(15);
/// Episodes of a generation for each thread: with fewer, workers wait for each other more than they compute.
const EPISODES_PER_THREAD: u64 = 4;
/// What Slurm's programs say of a job that has been over for a while.
const UNKNOWN: &str = "Invalid job id";

/// Keep as many workers as a run has work for, until it ends, and give the nodes back then.
///
/// `hebbian slurm submit` does this by itself. Workers beyond what the queue needs finish what they have begun and wait in Slurm's queue.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hebbian slurm tend my-spec-name --array 4711 --min 1 --max 8 --coordinator https://login1:7420")]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// The number of the workers' array.
    #[arg(long, value_name = "JOB", value_parser = parse_job)]
    array: String,
    #[command(flatten)]
    workers: Workers,
    /// Write the genome that the run has found to this file, at its end.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The directory of a run whose coordinator is a job: where the workers' logs are.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

/// Workers of a run, as they are tended.
#[derive(Debug)]
pub(super) struct Tended<'a> {
    pub(super) client: &'a ClientArguments,
    /// The run.
    pub(super) run: v1::Run,
    /// The number of the workers' array.
    pub(super) array: String,
    pub(super) workers: Workers,
    /// For how long the coordinator may be away.
    pub(super) patience: Duration,
    /// Where the workers' logs are.
    pub(super) logs: String,
    /// How the run gets workers again.
    pub(super) again: String,
}

/// How a run that is there already gets workers again.
pub(super) fn again(client: &ClientArguments, run: &v1::Run) -> String {
    format!(
        "`hebbian slurm submit --run {} --coordinator {}`, with the same options, gives the run workers again",
        run.id(),
        shell_word(&client.coordinator)
    )
}

/// Where the logs of an array's workers are, if no option of `sbatch` has named another place.
pub(super) fn customary_logs(array: &str, place: &str) -> String {
    format!("slurm-{array}_*.out in {place}")
}

/// The same of a run whose coordinator is a job, and how that gets workers again.
fn of_directory(directory: &Path) -> (String, String) {
    let named = |name: &str| directory.join(name).display().to_string();
    let is_log = |name: &str| {
        name.starts_with("worker-") && Path::new(name).extension().is_some_and(|ending| ending == "log")
    };
    let found = fs::read_dir(directory)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_log)));
    let logs = if found { named("worker-*.log") } else { "where --output of sbatch has them".to_owned() };
    let again = format!(
        "`hebbian slurm submit {} --directory {}`, with the same options, goes on with the run",
        shell_word(&named("spec.toml")),
        shell_word(&directory.display().to_string())
    );
    (logs, again)
}

fn parse_job(text: &str) -> Result<String, String> {
    let is_number = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(text.to_owned()) } else { Err("the number of a job, as sbatch printed it".to_owned()) }
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, array, workers, out, directory, client } = arguments;
    let workers = workers.check()?;
    let patience = patience()?;
    if let Some(out) = &out {
        files::check(out)?;
    }
    set_up_logging(&log.configuration(None, |layers| layers)?.log, "info")?;
    block_on(async {
        let run = Client::connect_when_led(&client).await?.find(&run).await?;
        let (logs, again) = match &directory {
            Some(directory) => of_directory(directory),
            None => (customary_logs(&array, "the directory in which it was submitted"), again(&client, &run)),
        };
        check_array(&array, run.is_final(), &again).await?;
        until_the_end(&Tended { client: &client, run, array, workers, patience, logs, again }, out).await
    })
}

/// Refuses what is no array, because it is cancelled at the end, and one that is over before its run. Where Slurm does not answer, it may be
/// right.
async fn check_array(array: &str, may_be_over: bool, again: &str) -> Result<(), Failure> {
    let problem = match ask("squeue", &["--noheader", "--jobs", array, "--format", "%K"]).await {
        Ok(said) if said.trim().is_empty() && !may_be_over => "is over",
        Ok(said) if said.lines().any(|line| line.trim() == "N/A") => "is no array",
        Err(failure) if failure.message().contains(UNKNOWN) && !may_be_over => "is not known to Slurm",
        Err(failure) if failure.kind() == FailureKind::NotFound => return Err(failure),
        _ => return Ok(()),
    };
    Err(Failure::bad_input(format_args!(
        "--array: job {array} {problem}; it must be the array of the run's workers"
    ))
    .hint(format_args!("`hebbian slurm submit` prints its number as the second line; {again}")))
}

/// Whether Slurm says that an array is over. Where it does not answer, that is no evidence.
async fn is_over(array: &str) -> bool {
    match ask("squeue", &["--noheader", "--jobs", array, "--format", "%K"]).await {
        Ok(said) => said.trim().is_empty(),
        Err(failure) => failure.message().contains(UNKNOWN),
    }
}

/// When it is looked whether an array is over.
#[derive(Debug)]
struct Looks {
    next: Instant,
    was_over: bool,
}

impl Looks {
    fn new(now: Instant) -> Self {
        Self { next: now, was_over: false }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Takes what was seen. That an array is over is believed when it was seen twice: the run may have come to its end between the question
    /// for it and the first look, and its workers with it.
    fn believes(&mut self, now: Instant, over: bool) -> bool {
        let believed = over && self.was_over;
        (self.was_over, self.next) = (over, if over { now } else { now + ARRAY_INTERVAL });
        believed
    }
}

/// Why a run is tended no more before its end.
#[derive(Debug)]
enum Trouble {
    /// Its array is over.
    Gone,
    /// There is no coordinator, or it refuses.
    Refused(Failure),
}

impl Tended<'_> {
    /// What is told of trouble, after the array was given back.
    fn failure(&self, trouble: Trouble, given_back: Result<(), Failure>) -> Failure {
        let Self { run, array, logs, again, .. } = self;
        match trouble {
            Trouble::Gone => Failure::failed(format_args!(
                "array {array} is over, and run {} is not: nobody is left of its workers, whose logs are {logs}",
                run.id()
            ))
            .hint(again),
            // There is nothing to go on with.
            Trouble::Refused(failure) if failure.kind() == FailureKind::NotFound => failure,
            Trouble::Refused(failure) => {
                let what = match given_back {
                    Ok(()) => format!("array {array} was cancelled"),
                    Err(failure) => format!("array {array} may go on: {}", failure.message()),
                };
                failure.and(&what).hint(again)
            }
        }
    }
}

/// Tends a run until it ends. The array is given back then, and also when the coordinator stays away.
pub(super) async fn until_the_end(tended: &Tended<'_>, out: Option<PathBuf>) -> Result<(), Failure> {
    let ended = follow(tended).await;
    let given_back = match ask("scancel", &[tended.array.as_str()]).await {
        Err(failure) if !failure.message().contains(UNKNOWN) => Err(failure),
        _ => Ok(()),
    };
    let (client, run) = match ended {
        Ok(ended) => ended,
        Err(trouble) => return Err(tended.failure(trouble, given_back)),
    };
    if let Some(path) = out {
        let result = client.result(run.name.clone()).await?;
        files::write(&path, GenomeFile::of_result(&result)?.to_json())?;
    }
    given_back?;
    match run.state() {
        Some(RunState::Cancelled(_)) => Err(Failure::failed(format_args!("run {} was cancelled", run.id()))),
        Some(RunState::Failed(v1::run_state::Failed { reason })) => {
            Err(Failure::failed(format_args!("run {} has failed: {reason}", run.id())))
        }
        _ => {
            tracing::info!("run {} has ended; the workers go", run.id());
            Ok(())
        }
    }
}

/// Asks for the run and acts on the answers, until it has ended.
async fn follow(
    Tended { client: arguments, run, array, workers, patience, .. }: &Tended<'_>,
) -> Result<(Client, v1::Run), Trouble> {
    let patience = arguments.timeout.max(*patience);
    let mut client = None::<Client>;
    let mut lost: Option<Instant> = None;
    let mut queue = Queue::new(Instant::now());
    let mut looks = Looks::new(Instant::now());
    // Whoever tended it before may have left any number.
    let mut allowed = None;
    loop {
        let connected = match client.take() {
            Some(connected) => Ok(connected),
            // It was there a moment ago: whatever keeps it from being reached may pass, such as certificates that are being replaced.
            None => Client::connect(arguments).await.map_err(|failure| (failure, true)),
        };
        let answer = match connected {
            Ok(connected) => match connected.get(run.name.clone()).await {
                Ok(run) => Ok((connected, run)),
                Err(failure) => {
                    let may_pass = failure.kind() == FailureKind::Unreachable;
                    Err((failure, may_pass))
                }
            },
            Err(failed) => Err(failed),
        };
        match answer {
            Ok((connected, run)) if run.is_final() => return Ok((connected, run)),
            Ok((connected, run)) => {
                lost = None;
                if looks.is_due(Instant::now()) && looks.believes(Instant::now(), is_over(array).await) {
                    return Err(Trouble::Gone);
                }
                let peak = queue.peak(Instant::now(), unsettled(&run));
                let wanted = wanted(peak, *workers);
                if allowed != Some(wanted) && allow(array, wanted).await {
                    tracing::info!("workers: up to {wanted}");
                    allowed = Some(wanted);
                }
                client = Some(connected);
            }
            Err((failure, true)) => {
                let since = *lost.get_or_insert_with(|| {
                    let patience = humantime::format_duration(patience);
                    tracing::warn!("{}; the run is tended for {patience} without", failure.message());
                    Instant::now()
                });
                if since.elapsed() > patience {
                    return Err(Trouble::Refused(failure));
                }
            }
            Err((failure, false)) => return Err(Trouble::Refused(failure)),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Episodes of a run that somebody could compute now.
fn unsettled(run: &v1::Run) -> u64 {
    match run.state() {
        Some(RunState::Running(_)) => u64::from(run.generation_episodes.saturating_sub(run.settled_episodes)),
        _ => 0,
    }
}

/// How long the queue was, lately.
#[derive(Debug)]
struct Queue(VecDeque<(Instant, u64)>);

impl Queue {
    /// Before it has been watched for a window it may have been as long as can be.
    fn new(now: Instant) -> Self {
        Self([(now, u64::MAX)].into())
    }

    /// Adds what is in it, and returns the most that was in it within the window.
    fn peak(&mut self, now: Instant, length: u64) -> u64 {
        self.0.push_back((now, length));
        while self.0.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, length)| *length).max().unwrap_or(0)
    }
}

/// Workers for so many episodes.
fn wanted(peak: u64, Workers { min, max, threads }: Workers) -> u32 {
    let each = u64::from(threads) * EPISODES_PER_THREAD;
    u32::try_from(peak.div_ceil(each)).unwrap_or(u32::MAX).clamp(min, max)
}

/// Lets so many tasks of an array run: lets more in, or has the last ones finish what they do. Whether Slurm has done so.
async fn allow(array: &str, wanted: u32) -> bool {
    let job = format!("JobId={array}");
    let throttle = format!("ArrayTaskThrottle={wanted}");
    let done = async {
        ask("scontrol", &["update", &job, &throttle]).await?;
        let running = ask(
            "squeue",
            &["--noheader", "--array", "--jobs", array, "--states", "running", "--format", "%i"],
        )
        .await?;
        for task in running.split_whitespace().skip(wanted as usize) {
            // As at the end of its time: it goes into the queue again.
            ask("scancel", &["--batch", "--signal=USR1", task]).await?;
        }
        Ok::<_, Failure>(())
    };
    match done.await {
        Ok(()) => true,
        Err(failure) => {
            tracing::warn!("the number of workers stays as it is: {}", failure.message());
            false
        }
    }
}

/// What one of Slurm's programs printed.
async fn ask(program: &'static str, arguments: &[&str]) -> Result<String, Failure> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let asked = move || slurm(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
    tokio::task::spawn_blocking(asked).await.map_err(Failure::failed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_follow_the_peak_of_the_queue_between_their_limits() {
        let workers = Workers { min: 2, max: 10, threads: 4 };
        for (peak, expected) in [(0, 2), (32, 2), (33, 3), (64, 4), (160, 10), (161, 10), (u64::MAX, 10)] {
            assert_eq!(wanted(peak, workers), expected, "{peak} episodes");
        }
    }

    #[test]
    fn the_queue_is_as_long_as_it_was_lately() {
        let start = Instant::now();
        let mut queue = Queue::new(start);
        let lengths = [
            (0, 64, u64::MAX),
            (30, 2, u64::MAX),
            (60, 64, u64::MAX),
            (61, 0, 64),
            (70, 3, 64),
            (120, 0, 64),
            (121, 5, 5),
            (140, 0, 5),
            (182, 0, 0),
        ];
        for (second, length, expected) in lengths {
            assert_eq!(queue.peak(start + Duration::from_secs(second), length), expected, "after {second} s");
        }
    }

    #[test]
    fn an_array_is_over_when_it_was_seen_twice() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut looks = Looks::new(start);
        assert!(looks.is_due(start) && !looks.believes(start, false));
        assert!(!looks.is_due(at(14)) && looks.is_due(at(15)));
        assert!(!looks.believes(at(15), true) && looks.is_due(at(15)), "it is looked again at once");
        assert!(!looks.believes(at(17), false) && !looks.is_due(at(31)));
        assert!(!looks.believes(at(32), true));
        assert!(looks.believes(at(34), true));
    }

    #[test]
    fn what_is_paused_needs_nobody() {
        use v1::run_state::{Kind, Paused, Running};
        let run = |kind| v1::Run {
            state: Some(v1::RunState { kind: Some(kind) }),
            generation_episodes: 64,
            settled_episodes: 4,
            ..Default::default()
        };
        assert_eq!(unsettled(&run(Kind::Running(Running::default()))), 60);
        assert_eq!(unsettled(&run(Kind::Paused(Paused::default()))), 0);
    }

    #[test]
    fn a_job_is_a_number() {
        assert_eq!(parse_job("4711").as_deref(), Ok("4711"));
        for text in ["", "4711_2", "-1", "12345678901", "x"] {
            assert!(parse_job(text).is_err(), "{text}");
        }
    }
}
