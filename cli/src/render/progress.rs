//! A run's progress while it is watched: a live line on a terminal, a line now and then anywhere else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use hebbian_proto::figures::RunState;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_proto::v1::{GenerationSummary, RunEvent, ValidationSummary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Paint, colour_allowed, note, run, set_live_line, text, validation};
use crate::forecast::{Forecast, Pace};

/// Where there is no terminal, a line is printed for every tenth of the run, and at least this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// Positions of the bar.
const BAR_LENGTH: u64 = 1000;

/// Shows how a run goes. Dropping it takes the live line away.
pub(crate) struct Progress {
    pace: Pace,
    bar: Option<ProgressBar>,
    last: Option<GenerationSummary>,
    validation: Option<ValidationSummary>,
    /// Names of the failures that were shown and have not gone away since.
    warned: BTreeSet<String>,
    tenth: u32,
    printed: Option<Instant>,
    paused: bool,
    /// What held the run up when somebody last asked, and whether that was said.
    held_up: Option<String>,
    told: bool,
}

impl Progress {
    /// The progress of a run of which nothing has been seen yet.
    pub(crate) fn new(forecast: Forecast) -> Self {
        let terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = terminal.then(|| live_bar(&forecast));
        set_live_line(bar.clone());
        Self {
            pace: Pace::new(forecast),
            bar,
            last: None,
            validation: None,
            warned: BTreeSet::new(),
            tenth: 0,
            printed: None,
            paused: false,
            held_up: None,
            told: false,
        }
    }

    /// Shows an event. Those of the past (`live` is false) only count for the pace.
    pub(crate) fn event(&mut self, event: &RunEvent, live: bool) {
        match &event.kind {
            Some(Event::Generation(summary)) => {
                self.pace.closed(summary);
                self.last = Some(summary.clone());
                if live {
                    self.show(0.0);
                }
            }
            Some(Event::State(state)) if live => self.state(state.kind.as_ref()),
            Some(Event::Note(text)) if live => note(&format!("{} {text}", Paint::stderr().warning("note:"))),
            Some(Event::Validation(summary)) => {
                if live {
                    self.warn(summary);
                }
                self.validation = Some(summary.clone());
            }
            // The figures of the result are shown by whoever shows the result.
            Some(Event::State(_) | Event::Note(_) | Event::Remeasurement(_)) | None => {}
        }
    }

    /// Shows the warnings that are new.
    fn warn(&mut self, summary: &ValidationSummary) {
        for warning in &summary.warnings {
            if !self.warned.contains(&warning.failure) {
                note(&validation::warning(warning, Paint::stderr()));
            }
        }
        self.warned = summary.warnings.iter().map(|warning| warning.failure.clone()).collect();
    }

    /// The accuracy of the last validation, where there was one.
    fn validated(&self) -> String {
        let accuracy = self.validation.as_ref().and_then(|summary| summary.accuracy);
        accuracy.map_or_else(String::new, |accuracy| format!("  validation {:.3}", accuracy.mean))
    }

    fn state(&mut self, state: Option<&RunState>) {
        let was_paused = std::mem::replace(&mut self.paused, matches!(state, Some(RunState::Paused(_))));
        if self.paused || (was_paused && state == Some(&RunState::RUNNING)) {
            note(&run::state(state, Paint::stderr()));
        }
    }

    /// Says what keeps the run from going on and is no event, such as a full disk or the want of workers. It is said
    /// when it was found twice in a row: a worker may be about to come, and the event of a pause on its way.
    pub(crate) fn held_up(&mut self, why: Option<String>) {
        if self.paused {
            return;
        }
        let same = why == self.held_up;
        if self.told && !same {
            self.told = false;
            if why.is_none() {
                note("going on");
            }
        }
        if let Some(why) = &why
            && same
            && !self.told
        {
            note(&format!("{} {why}", Paint::stderr().warning("waiting:")));
            self.told = true;
        }
        self.held_up = why;
    }

    /// Shows how much of the open generation is settled, from 0 to 1.
    pub(crate) fn show(&mut self, settled: f64) {
        let done = self.pace.done(settled);
        let Some(bar) = &self.bar else { return self.show_plain(done.unwrap_or(0.0)) };
        bar.set_position((done.unwrap_or(0.0) * BAR_LENGTH as f64) as u64);
        let Some(last) = &self.last else { return };
        let of = self.pace.forecast().generations().map_or_else(String::new, |all| format!("/{all}"));
        bar.set_prefix(format!("{}{of}", last.generation + 1));
        let mut message = format!(
            "best {}  median {}  step size {}",
            text::fitness(last.best_fitness),
            text::fitness(last.median_fitness),
            text::significant(last.search.as_ref().map_or(0.0, |search| search.step_size))
        );
        if last.diverged > 0 {
            let _ = write!(message, "  diverged {}", last.diverged);
        }
        message.push_str(&self.validated());
        if let Some(rate) = self.pace.episodes_per_second() {
            let _ = write!(message, "  {} episodes/s", text::count(rate));
        }
        if let Some(left) = self.pace.left() {
            let _ = write!(message, "  {} left", text::duration(Duration::from_secs(left.as_secs())));
        }
        bar.set_message(message);
    }

    fn show_plain(&mut self, done: f64) {
        let tenth = (done * 10.0 + 1e-9) as u32;
        let due = self.printed.is_none_or(|printed| printed.elapsed() >= PLAIN_INTERVAL);
        let Some(last) = &self.last else { return };
        if tenth <= self.tenth && !due {
            return;
        }
        self.tenth = self.tenth.max(tenth);
        self.printed = Some(Instant::now());
        let mut line =
            run::generation_line(last, self.pace.forecast().generations(), self.pace.episodes_per_second());
        line.push_str(&self.validated());
        if let Some(left) = self.pace.left().filter(|left| left.as_secs() > 0) {
            let _ = write!(line, "  {} left", text::duration(Duration::from_secs(left.as_secs())));
        }
        note(&line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        set_live_line(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn live_bar(forecast: &Forecast) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), ProgressDrawTarget::stderr_with_hz(10));
    let known = forecast.generations().is_some();
    let gauge = match (known, colour_allowed()) {
        (true, true) => "{bar:16.cyan/dim}",
        (true, false) => "{bar:16}",
        (false, _) => "{spinner}",
    };
    let style = ProgressStyle::with_template(&format!("{{prefix}} {gauge} {{wide_msg}}"));
    bar.set_style(style.expect("the template is constant").progress_chars("━╸─"));
    let of = forecast.generations().map_or_else(String::new, |all| format!("/{all}"));
    bar.set_prefix(format!("0{of}"));
    bar.set_message("waiting for the first generation");
    bar
}

/// A live line for work that is no run, such as a comparison.
pub(crate) struct Activity {
    bar: Option<ProgressBar>,
}

impl Activity {
    /// Says what is done from now on.
    pub(crate) fn new(what: &str) -> Self {
        let terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        if !terminal {
            note(what);
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), ProgressDrawTarget::stderr_with_hz(10));
        let gauge = if colour_allowed() { "{bar:16.cyan/dim}" } else { "{bar:16}" };
        let style = ProgressStyle::with_template(&format!("{{msg}} {gauge} {{percent}} %"));
        bar.set_style(style.expect("the template is constant").progress_chars("━╸─"));
        bar.set_message(what.to_owned());
        set_live_line(Some(bar.clone()));
        Self { bar: Some(bar) }
    }

    /// Shows the part that is done, from 0 to 1.
    pub(crate) fn show(&self, done: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position((done.clamp(0.0, 1.0) * BAR_LENGTH as f64) as u64);
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        set_live_line(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
