//! `hebbian slurm tend`

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;

use super::{Workers, slurm};
use crate::client::{Client, ClientArguments};
use crate::command::{LogArguments, block_on, set_up_logging};
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::genome_file::GenomeFile;

/// How often the run is asked for.
const INTERVAL: Duration = Duration::from_secs(2);
/// The queue is as long as it was at its longest in this time: at the end of a generation it is empty for a moment.
const WINDOW: Duration = Duration::from_secs(60);
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
    #[command(flatten)]
    client: ClientArguments,
}

fn parse_job(text: &str) -> Result<String, String> {
    let is_number = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(text.to_owned()) } else { Err("the number of a job, as sbatch printed it".to_owned()) }
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, array, workers, out, client } = arguments;
    let workers = workers.check()?;
    if let Some(out) = &out {
        files::check(out)?;
    }
    set_up_logging(&log.configuration(None, |layers| layers)?.log, "info")?;
    block_on(async {
        let run = Client::connect_when_led(&client).await?.find(&run).await?;
        check_array(&array, run.is_final()).await?;
        until_the_end(&client, run.name, &array, workers, out).await
    })
}

/// Refuses what is no array, because it is cancelled at the end, and one that is over before its run. Where Slurm does not answer, it may be
/// right.
async fn check_array(array: &str, may_be_over: bool) -> Result<(), Failure> {
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
    .hint("`hebbian slurm submit` prints its number as the second line"))
}

/// Tends a run until it ends. The array is given back then, and also when the coordinator stays away.
pub(super) async fn until_the_end(
    arguments: &ClientArguments,
    name: String,
    array: &str,
    workers: Workers,
    out: Option<PathBuf>,
) -> Result<(), Failure> {
    let ended = follow(arguments, &name, array, workers).await;
    let given_back = match ask("scancel", &[array]).await {
        Err(failure) if !failure.message().contains(UNKNOWN) => Err(failure),
        _ => Ok(()),
    };
    let (client, run) = ended?;
    if let Some(path) = out {
        files::write(&path, GenomeFile::of_result(&client.result(name).await?)?.to_json())?;
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
    arguments: &ClientArguments,
    name: &str,
    array: &str,
    workers: Workers,
) -> Result<(Client, v1::Run), Failure> {
    let mut client = Some(Client::connect(arguments).await?);
    let mut lost: Option<Instant> = None;
    let mut queue = Queue::new(Instant::now());
    // Whoever tended it before may have left any number.
    let mut allowed = None;
    loop {
        let answer = match client.take() {
            Some(connected) => connected.get(name.to_owned()).await.map(|run| (connected, run)),
            None => match Client::connect(arguments).await {
                Ok(connected) => connected.get(name.to_owned()).await.map(|run| (connected, run)),
                Err(failure) => Err(failure),
            },
        };
        match answer {
            Ok((connected, run)) if run.is_final() => return Ok((connected, run)),
            Ok((connected, run)) => {
                lost = None;
                let peak = queue.peak(Instant::now(), unsettled(&run));
                let wanted = wanted(peak, workers);
                if allowed != Some(wanted) && allow(array, wanted).await {
                    tracing::info!("workers: up to {wanted}");
                    allowed = Some(wanted);
                }
                client = Some(connected);
            }
            Err(failure) if failure.kind() == FailureKind::Unreachable => {
                if lost.get_or_insert_with(Instant::now).elapsed() > arguments.timeout.max(WINDOW) {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(failure),
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
