//! `hebbian watch`

use std::time::{Duration, Instant};

use clap::Args;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use tokio_util::sync::CancellationToken;

use super::{LogArguments, block_on_until_signal};
use crate::client::{Client, ClientArguments};
use crate::failure::{Failure, FailureKind};
use crate::forecast::Forecast;
use crate::render::progress::Progress;
use crate::render::{self, Paint};

/// How often a lost coordinator is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How often the open generation is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Follow a run until it ends. A broken connection is resumed where it broke; nothing is shown twice or left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian watch quickstart           a live line on a terminal, lines in a pipe
  hebbian watch quickstart --json    one JSON object per committed event, from the first on

Generations are counted from 1: a generation's number is how many are closed with it, as `status` has it.

Exit code 0 if the run has finished, 1 if it was cancelled; 4 if the coordinator stays away for --timeout.")]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// Start after this sequence number instead of at the first event.
    #[arg(
        long,
        value_name = "SEQUENCE",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    after: u64,
    #[command(flatten)]
    client: ClientArguments,
    /// Print one JSON object per event.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    block_on_until_signal(|interrupted| async move {
        let client = Client::connect_when_led(&arguments.client).await?;
        let run = client.find(&arguments.run).await?;
        let mut watcher = Watcher::new(&run, &arguments);
        let result = watcher.follow(client, &arguments.client, &interrupted).await;
        drop(watcher);
        if !arguments.json && result.is_ok() {
            let client = Client::connect_when_led(&arguments.client).await?;
            let run = client.get(run.name).await?;
            render::out(&render::run::details(&run, Paint::stdout()))?;
            let result = Paint::stderr().command(&format!("hebbian result {} --out genome.json", run.id()));
            render::note(&format!("fetch what it found with {result}"));
        }
        result
    })
}

/// What has been seen of the run, across connections.
struct Watcher {
    /// The run's resource name, and its id.
    name: String,
    id: String,
    /// The last sequence number that was shown.
    sequence: u64,
    /// Events up to this one had happened before the watch began.
    past: u64,
    /// Whether events are printed as JSON; otherwise `progress` shows them.
    json: bool,
    /// From the first answer of the coordinator on.
    progress: Option<Progress>,
    /// Since when the coordinator has not answered.
    lost: Option<Instant>,
}

/// Why one connection's events ended.
enum End {
    /// With the run's last state; `None` if this program does not know it.
    Run(Option<RunState>),
    Connection(Failure),
    Interrupt,
}

impl Watcher {
    fn new(run: &v1::Run, arguments: &Arguments) -> Self {
        let (sequence, json) = (arguments.after, arguments.json);
        let (name, id) = (run.name.clone(), run.id().to_owned());
        Self { name, id, sequence, past: run.sequence, json, progress: None, lost: None }
    }

    /// Follows the run over as many connections as it takes.
    async fn follow(
        &mut self,
        client: Client,
        arguments: &ClientArguments,
        interrupted: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut client = Some(client);
        loop {
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => Client::connect(arguments).await,
            };
            let end = match connected {
                Ok(client) => self.events(&client, interrupted).await?,
                Err(failure) => End::Connection(failure),
            };
            let failure = match end {
                End::Run(Some(RunState::Cancelled(_))) => {
                    return Err(Failure::failed(format_args!("run {} was cancelled", self.id)));
                }
                End::Run(Some(RunState::Failed(v1::run_state::Failed { reason }))) => {
                    return Err(Failure::failed(format_args!("run {} has failed: {reason}", self.id)));
                }
                End::Run(_) => return Ok(()),
                End::Interrupt => return Err(self.interrupted()),
                End::Connection(failure) => failure,
            };
            if self.lost.is_none() {
                let timeout = humantime::format_duration(arguments.timeout);
                render::note(&format!("{}; trying again for {timeout}", failure.message()));
            }
            if self.lost.get_or_insert_with(Instant::now).elapsed() >= arguments.timeout {
                return Err(failure);
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                () = interrupted.cancelled() => return Err(self.interrupted()),
            }
        }
    }

    fn interrupted(&self) -> Failure {
        Failure::interrupted(format_args!("run {} goes on without being watched", self.id))
            .hint(format_args!("hebbian watch {}", self.id))
    }

    /// Shows the events of one connection. Errors are those that no other connection would mend.
    async fn events(&mut self, client: &Client, interrupted: &CancellationToken) -> Result<End, Failure> {
        let lost_or_failed = |failure: Failure| match failure.kind() {
            FailureKind::Unreachable => Ok(End::Connection(failure)),
            _ => Err(failure),
        };
        if !self.json && self.progress.is_none() {
            self.progress = match client.spec(self.name.clone()).await {
                Ok(spec) => Some(Progress::new(Forecast::of(&spec)).into_result()),
                Err(failure) => return lost_or_failed(failure),
            };
        }
        let mut stream = match client.watch(self.name.clone(), self.sequence).await {
            Ok(stream) => stream,
            Err(failure) => return lost_or_failed(failure),
        };
        if self.lost.take().is_some() {
            render::note("the coordinator answers again");
        }
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                _ = poll.tick(), if self.progress.is_some() => {
                    // Only the stream decides whether the connection is lost.
                    if let Ok(run) = client.get(self.name.clone()).await
                        && let Some(progress) = &mut self.progress
                    {
                        progress.show(run.settled());
                        progress.held_up(held_up(&run));
                    }
                    continue;
                }
                () = interrupted.cancelled() => return Ok(End::Interrupt),
            };
            let response = match message {
                Ok(Some(response)) => response,
                Ok(None) => {
                    // The stream's regular end comes after the final state.
                    let run = match client.get(self.name.clone()).await {
                        Ok(run) => run,
                        Err(failure) => return lost_or_failed(failure),
                    };
                    return Ok(if run.is_final() && self.sequence >= run.sequence {
                        End::Run(run.state().cloned())
                    } else {
                        End::Connection(Failure::unreachable(format_args!(
                            "{}: the stream of events ended early",
                            client.url()
                        )))
                    });
                }
                Err(status) => return lost_or_failed(client.broken(&status)),
            };
            self.sequence = response.sequence;
            let is_new = response.sequence > self.past;
            match (&mut self.progress, &response.event) {
                (Some(progress), Some(event)) => progress.event(event, is_new),
                (Some(_), None) => {}
                (None, _) => render::out(&render::json::line(&render::json::of(&response)))?,
            }
            // A run that was extended has ended before in its past.
            let state = response.event.as_ref().and_then(v1::RunEvent::state);
            if let Some(state) = state.filter(|state| state.is_final() && response.sequence >= self.past) {
                return Ok(End::Run(Some(state.clone())));
            }
        }
    }
}

/// What keeps a run from going on, whether or not an event tells of it.
fn held_up(run: &v1::Run) -> Option<String> {
    match run.state()? {
        RunState::Paused(paused) => Some(format!("paused: {}", paused.reason)),
        RunState::Running(_) if run.eligible_workers == 0 => {
            Some("no worker is attached that may work on this run; `hebbian workers` shows all".to_owned())
        }
        _ => None,
    }
}
