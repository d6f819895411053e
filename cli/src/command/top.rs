//! `hebbian top`

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use clap::Args;
use hebbian_proto::v1;
use ratatui::crossterm::event::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{LogArguments, block_on_until_signal};
use crate::client::{Client, ClientArguments};
use crate::failure::Failure;
use crate::render::top::terminal::{self, Screen};
use crate::top::{Effect, Request, Seen, Top, Update};

/// How often the coordinator is asked how all stands.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Watch runs and workers on a terminal, and pause, resume, cancel and drain them with keys.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian top                 all runs and workers of the coordinator
  hebbian top quickstart      begins at this run

`?` shows the keys. It fits into 80 x 24, and NO_COLOR=1 takes the colours away.")]
pub(super) struct Arguments {
    /// The run that is selected at first: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    // Log lines would be written over the picture.
    if !io::stderr().is_terminal() {
        log.set_up()?;
    }
    block_on_until_signal(|interrupted| async move {
        let client = Client::connect(&arguments.client).await?;
        let run = match &arguments.run {
            Some(name) => Some(client.find(name).await?.name),
            None => None,
        };
        let top = Top::new(client.url().to_owned(), run);
        let (requests, asked) = unbounded_channel();
        let (told, updates) = unbounded_channel();
        let link = Link { client: Some(client), arguments: arguments.client, told, follower: None };
        let mut screen = Screen::open()?;
        let keys = terminal::events()?;
        tokio::select! {
            end = show(top, &mut screen, keys, &requests, updates, &interrupted) => end,
            () = link.serve(asked) => Err(Failure::failed("nobody asks the coordinator any more")),
        }
    })
}

/// Draws until somebody has had enough.
async fn show(
    mut top: Top,
    screen: &mut Screen,
    mut keys: UnboundedReceiver<Event>,
    requests: &UnboundedSender<Request>,
    mut updates: UnboundedReceiver<Update>,
    interrupted: &CancellationToken,
) -> Result<(), Failure> {
    // The other side says so if it ends.
    let send = |request| drop(requests.send(request));
    loop {
        if let Some(request) = top.wanted() {
            send(request);
        }
        screen.show(&top)?;
        let mut update = tokio::select! {
            () = interrupted.cancelled() => {
                return Err(Failure::interrupted("the view was ended by a signal; runs go on"));
            }
            event = keys.recv() => {
                match event {
                    Some(Event::Key(key)) => match top.key(key) {
                        Effect::Quit => return Ok(()),
                        Effect::Send(request) => send(request),
                        Effect::Nothing => {}
                    },
                    // A new size is found by drawing.
                    Some(_) => {}
                    None => return Err(Failure::failed("the terminal gives no more keys")),
                }
                continue;
            }
            update = updates.recv() => update,
        };
        // All that is there already, for one picture.
        loop {
            match update {
                Some(update) => top.take(update),
                None => return Err(Failure::failed("the connection's task has ended")),
            }
            match updates.try_recv() {
                Ok(next) => update = Some(next),
                Err(_) => break,
            }
        }
    }
}

/// The connection to the coordinator.
struct Link {
    client: Option<Client>,
    arguments: ClientArguments,
    told: UnboundedSender<Update>,
    /// Who sends the events of a run.
    follower: Option<AbortHandle>,
}

impl Link {
    /// Asks how all stands, and does what is requested, until nobody listens.
    async fn serve(mut self, mut requests: UnboundedReceiver<Request>) {
        let begin = Instant::now();
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let request = tokio::select! {
                _ = poll.tick() => None,
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
            };
            let follow_only = matches!(request, Some(Request::Follow { .. }));
            if let Some(update) = self.act(request).await
                && self.told.send(update).is_err()
            {
                return;
            }
            if follow_only {
                continue;
            }
            let update = match self.look(begin).await {
                Ok(seen) => Update::Seen(Box::new(seen)),
                Err(failure) => {
                    self.client = None;
                    Update::Lost(failure.message().to_owned())
                }
            };
            if self.told.send(update).is_err() {
                return;
            }
        }
    }

    async fn connected(&mut self) -> Result<Client, Failure> {
        match &self.client {
            Some(client) => Ok(client.clone()),
            None => Ok(self.client.insert(Client::connect(&self.arguments).await?).clone()),
        }
    }

    async fn look(&mut self, begin: Instant) -> Result<Seen, Failure> {
        let client = self.connected().await?;
        let request = v1::GetCoordinatorStatusRequest {};
        let answer = client.answer(client.cluster().get_coordinator_status(request)).await?;
        let status = client.held("status", answer.status)?;
        let (runs, workers) = (client.list().await?, client.workers().await?);
        Ok(Seen { at: begin.elapsed(), status, runs, workers })
    }

    /// Does what is requested; what is to be said of it.
    async fn act(&mut self, request: Option<Request>) -> Option<Update> {
        let request = request?;
        let client = match self.connected().await {
            Ok(client) => client,
            Err(failure) => return Some(Update::Done(Err(failure.message().to_owned()))),
        };
        let mut runs = client.runs();
        let done = match request {
            Request::Follow { run, after } => {
                self.follow(client, run, after);
                return None;
            }
            Request::Pause(name) => {
                let answer = client.answer(runs.pause_run(v1::PauseRunRequest { name })).await;
                answer.map(|_| "the run is paused".to_owned())
            }
            Request::Resume(name) => {
                let answer = client.answer(runs.resume_run(v1::ResumeRunRequest { name })).await;
                answer.map(|_| "the run goes on".to_owned())
            }
            Request::Cancel(name) => {
                let answer = client.answer(runs.cancel_run(v1::CancelRunRequest { name })).await;
                answer.map(|_| "the run has ended".to_owned())
            }
            Request::Drain(worker) => {
                let request = v1::DrainWorkerRequest { worker, within: None };
                let answer = client.answer(client.cluster().drain_worker(request)).await;
                answer.map(|_| "the worker finishes what it has begun, and leaves".to_owned())
            }
        };
        Some(Update::Done(done.map_err(|failure| failure.message().to_owned())))
    }

    /// Lets the events of a run be sent, and those of no other one.
    fn follow(&mut self, client: Client, run: String, after: u64) {
        if let Some(before) = self.follower.take() {
            before.abort();
        }
        let told = self.told.clone();
        let follower = tokio::spawn(async move {
            if let Ok(mut events) = client.watch(run.clone(), after).await {
                while let Ok(Some(response)) = events.message().await {
                    if told.send(Update::Event(Box::new(response), run.clone())).is_err() {
                        return;
                    }
                }
            }
            // Whoever does not listen any more needs not know.
            let _ = told.send(Update::Unfollowed(run));
        });
        self.follower = Some(follower.abort_handle());
    }
}
