//! What `hebbian top` knows, and what keys do: without a terminal, a connection or a clock.

use std::collections::HashMap;
use std::time::Duration;

use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_view::history::History;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// How far a page's key goes.
const PAGE: usize = 10;

/// Which of the lists the keys move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    /// The runs.
    Runs,
    /// The workers.
    Workers,
}

/// What somebody asks of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Hand out nothing more of a run.
    Pause(String),
    /// Go on with a run.
    Resume(String),
    /// End a run for ever.
    Cancel(String),
    /// Let a worker leave.
    Drain(u64),
    /// Send a run's events after a sequence number, and those of no other run.
    Follow { run: String, after: u64 },
}

/// What comes from the coordinator.
#[derive(Debug)]
pub(crate) enum Update {
    /// How all stands.
    Seen(Box<Seen>),
    /// It does not answer, for people.
    Lost(String),
    /// The next event of the run that is followed.
    Event(Box<v1::WatchRunResponse>, String),
    /// There are no more events for the moment.
    Unfollowed(String),
    /// What became of a request, for people.
    Done(Result<String, String>),
}

/// How all stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Since the view began.
    pub(crate) at: Duration,
    /// The coordinator.
    pub(crate) status: v1::CoordinatorStatus,
    /// Its runs.
    pub(crate) runs: Vec<v1::Run>,
    /// Its workers.
    pub(crate) workers: Vec<v1::Worker>,
}

/// What a key leads to beside another picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// The end of the view.
    Quit,
    /// A request.
    Send(Request),
}

/// Events of one run.
#[derive(Debug, Default)]
struct Followed {
    history: History,
    sequence: u64,
    /// Whether somebody sends its events, and whether they have ended since the coordinator was last seen.
    live: bool,
    ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Top {
    /// The coordinator's address.
    pub(crate) url: String,
    /// What it said last; none before it has answered.
    pub(crate) seen: Option<Seen>,
    /// Why it does not answer.
    pub(crate) lost: Option<String>,
    /// Episodes a second since the answer before; none before the second.
    pub(crate) rate: Option<f64>,
    /// The same by worker.
    pub(crate) rates: HashMap<u64, f64>,
    /// Where the keys move.
    pub(crate) panel: Panel,
    /// What is asked before it is done, with its question.
    pub(crate) question: Option<(Request, String)>,
    /// What became of the last request.
    pub(crate) said: Option<Result<String, String>>,
    /// Whether the help is open.
    pub(crate) help: bool,
    run: Option<String>,
    worker: Option<u64>,
    followed: HashMap<String, Followed>,
}

impl Top {
    /// Of a coordinator; `run` is selected at first.
    pub(crate) fn new(url: String, run: Option<String>) -> Self {
        Self {
            url,
            seen: None,
            lost: None,
            rate: None,
            rates: HashMap::new(),
            panel: Panel::Runs,
            question: None,
            said: None,
            help: false,
            run,
            worker: None,
            followed: HashMap::new(),
        }
    }

    /// The runs in the order of the list: those that go on first, then the newest.
    pub(crate) fn runs(&self) -> Vec<&v1::Run> {
        let mut runs: Vec<&v1::Run> = self.seen.iter().flat_map(|seen| &seen.runs).rev().collect();
        runs.sort_by_key(|run| run.is_final());
        runs
    }

    /// The workers.
    pub(crate) fn workers(&self) -> &[v1::Worker] {
        self.seen.as_ref().map_or(&[], |seen| &seen.workers)
    }

    /// Place of the selected run in its list.
    pub(crate) fn selected_run(&self) -> Option<usize> {
        let runs = self.runs();
        let place = runs.iter().position(|run| Some(&run.name) == self.run.as_ref());
        place.or_else(|| (!runs.is_empty()).then_some(0))
    }

    /// Place of the selected worker in its list.
    pub(crate) fn selected_worker(&self) -> Option<usize> {
        let place = self.workers().iter().position(|worker| Some(worker.id) == self.worker);
        place.or_else(|| (!self.workers().is_empty()).then_some(0))
    }

    /// The run that the lower half tells of.
    pub(crate) fn shown(&self) -> Option<&v1::Run> {
        self.selected_run().map(|place| self.runs()[place])
    }

    /// The generations of a run, as far as they are known.
    pub(crate) fn history(&self, run: &str) -> Option<&History> {
        self.followed.get(run).map(|followed| &followed.history)
    }

    /// Takes what the coordinator sent.
    pub(crate) fn take(&mut self, update: Update) {
        match update {
            Update::Seen(seen) => {
                self.lost = None;
                self.measure(&seen);
                self.followed.retain(|name, _| seen.runs.iter().any(|run| run.name == *name));
                // What ends at once is asked for again no more often than all the rest.
                for of in self.followed.values_mut().filter(|of| of.ended) {
                    (of.live, of.ended) = (false, false);
                }
                self.seen = Some(*seen);
            }
            Update::Lost(why) => self.lost = Some(why),
            Update::Event(response, run) => {
                let followed = self.followed.entry(run).or_default();
                if response.sequence > followed.sequence {
                    followed.sequence = response.sequence;
                    response.event.iter().for_each(|event| followed.history.take(event));
                }
            }
            Update::Unfollowed(run) => {
                if let Some(followed) = self.followed.get_mut(&run) {
                    followed.ended = true;
                }
            }
            Update::Done(what) => self.said = Some(what),
        }
    }

    fn measure(&mut self, now: &Seen) {
        let Some(before) = &self.seen else { return };
        let seconds = now.at.saturating_sub(before.at).as_secs_f64();
        // A coordinator that was started anew counts from 0.
        let is_same = before.status.epoch == now.status.epoch;
        if seconds <= 0.0 || !is_same {
            (self.rate, self.rates) = (None, HashMap::new());
            return;
        }
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        self.rate = Some(rate(now.status.settled_episodes, before.status.settled_episodes));
        let of = |worker: &v1::Worker| {
            let earlier = before.workers.iter().find(|earlier| earlier.id == worker.id)?;
            Some((worker.id, rate(worker.settled_episodes, earlier.settled_episodes)))
        };
        self.rates = now.workers.iter().filter_map(of).collect();
    }

    /// What is to be asked for so that the lower half is of now.
    pub(crate) fn wanted(&mut self) -> Option<Request> {
        let (name, sequence) = self.shown().map(|run| (run.name.clone(), run.sequence))?;
        if self.lost.is_some() {
            return None;
        }
        let followed = self.followed.entry(name.clone()).or_default();
        if followed.live || followed.sequence >= sequence {
            return None;
        }
        followed.live = true;
        let after = followed.sequence;
        // Only one is followed at a time.
        self.followed.iter_mut().filter(|(other, _)| **other != name).for_each(|(_, of)| of.live = false);
        Some(Request::Follow { run: name, after })
    }

    /// What a key does.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Effect {
        if key.kind == KeyEventKind::Release {
            return Effect::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Effect::Quit;
        }
        if let Some((request, _)) = self.question.take() {
            if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                return Effect::Send(request);
            }
            self.said = Some(Ok("nothing was done".to_owned()));
            return Effect::Nothing;
        }
        if std::mem::take(&mut self.help) {
            return Effect::Nothing;
        }
        self.said = None;
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Effect::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = true,
            KeyCode::Tab | KeyCode::BackTab => {
                self.panel = if self.panel == Panel::Runs { Panel::Workers } else { Panel::Runs };
            }
            KeyCode::Up | KeyCode::Char('k') => self.go(|place, _| place.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.go(|place, _| place + 1),
            KeyCode::PageUp => self.go(|place, _| place.saturating_sub(PAGE)),
            KeyCode::PageDown => self.go(|place, _| place + PAGE),
            KeyCode::Home => self.go(|_, _| 0),
            KeyCode::End => self.go(|_, last| last),
            KeyCode::Char(letter) => return self.act(letter),
            _ => {}
        }
        Effect::Nothing
    }

    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        match self.panel {
            Panel::Runs => {
                let Some(place) = self.selected_run() else { return };
                let last = self.runs().len() - 1;
                self.run = Some(self.runs()[to(place, last).min(last)].name.clone());
            }
            Panel::Workers => {
                let Some(place) = self.selected_worker() else { return };
                let last = self.workers().len() - 1;
                self.worker = Some(self.workers()[to(place, last).min(last)].id);
            }
        }
    }

    fn act(&mut self, letter: char) -> Effect {
        let refuse = |top: &mut Self, why: &str| {
            top.said = Some(Err(why.to_owned()));
            Effect::Nothing
        };
        match letter {
            'p' | 'r' | 'c' => {
                let Some(run) = self.shown() else { return refuse(self, "there is no run") };
                let (name, called) = (run.name.clone(), run.display_name.clone());
                let (id, state) = (run.id().to_owned(), run.state().cloned());
                match (letter, state) {
                    (_, Some(state)) if state.is_final() => refuse(self, "the run has ended"),
                    ('p', Some(RunState::Paused(_))) => refuse(self, "the run is paused already"),
                    ('p', _) => Effect::Send(Request::Pause(name)),
                    ('r', Some(RunState::Running(_))) => refuse(self, "the run is running already"),
                    ('r', _) => Effect::Send(Request::Resume(name)),
                    _ => {
                        let question = format!("End run {id} ({called}) for ever?");
                        self.question = Some((Request::Cancel(name), question));
                        Effect::Nothing
                    }
                }
            }
            'd' => {
                if self.panel != Panel::Workers {
                    return refuse(self, "Tab goes to the workers, d drains the selected one");
                }
                let Some(place) = self.selected_worker() else {
                    return refuse(self, "no worker is attached");
                };
                let worker = &self.workers()[place];
                if worker.draining {
                    return refuse(self, "the worker is draining already");
                }
                let question = format!("Let worker {} ({}) leave for good?", worker.id, worker.display_name);
                self.question = Some((Request::Drain(worker.id), question));
                Effect::Nothing
            }
            _ => Effect::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
