//! A run's progress while it is watched: a live line on a terminal, a line now and then anywhere else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hebbian_proto::figures::RunState;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_proto::v1::{GenerationSummary, RunEvent, ValidationSummary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::line_writer::set_live_line;
use super::{Paint, colour_allowed, escape, note, out, run, text, validation};
use crate::forecast::{Forecast, Pace};

/// Where there is no terminal, a line is printed for every tenth of the run, and at least this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// Positions of the bar.
const BAR_LENGTH: u64 = 1000;

/// The live line, where standard error is a terminal. Dropping it takes it away.
struct LiveLine(Option<ProgressBar>);

impl LiveLine {
    /// A line of which nothing but `message` is known yet, and whose gauge shows something if `known`.
    fn new(known: bool, template: &str, message: &str) -> Self {
        let terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), ProgressDrawTarget::stderr_with_hz(10));
            let gauge = match (known, colour_allowed()) {
                (true, true) => "{bar:16.cyan/dim}",
                (true, false) => "{bar:16}",
                (false, _) => "{spinner}",
            };
            let style = ProgressStyle::with_template(&template.replace("{gauge}", gauge));
            bar.set_style(style.expect("the template is constant").progress_chars("━╸─"));
            bar.set_message(message.to_owned());
            bar
        });
        set_live_line(bar.clone());
        Self(bar)
    }

    /// The line with the part that is done, from 0 to 1; `None` without a terminal.
    fn at(&self, done: f64) -> Option<&ProgressBar> {
        let bar = self.0.as_ref()?;
        bar.set_position((done.clamp(0.0, 1.0) * BAR_LENGTH as f64) as u64);
        Some(bar)
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        set_live_line(None);
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Shows how a run goes. Dropping it takes the live line away.
pub(crate) struct Progress {
    pace: Pace,
    line: LiveLine,
    last: Option<GenerationSummary>,
    validation: Option<ValidationSummary>,
    /// Names of the failures that were shown and have not gone away since.
    warned: BTreeSet<String>,
    tenth: u32,
    printed: Option<Instant>,
    paused: bool,
    /// Whether lines of generations are the result, and not the way to it.
    is_result: bool,
    /// What held the run up when somebody last asked, and whether that was said.
    held_up: Option<String>,
    told: bool,
}

impl Progress {
    /// The progress of a run of which nothing has been seen yet.
    pub(crate) fn new(forecast: Forecast) -> Self {
        let known = forecast.generations().is_some();
        let line = LiveLine::new(known, "{prefix} {gauge} {wide_msg}", "waiting for the first generation");
        if let Some(bar) = &line.0 {
            bar.set_prefix(format!("0{}", of_all(&forecast)));
        }
        Self {
            pace: Pace::new(forecast),
            line,
            last: None,
            validation: None,
            warned: BTreeSet::new(),
            tenth: 0,
            printed: None,
            paused: false,
            is_result: false,
            held_up: None,
            told: false,
        }
    }

    /// The same where there is no other result than these lines: without a terminal they go to standard output.
    pub(crate) fn into_result(mut self) -> Self {
        self.is_result = true;
        self
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
            Some(Event::Note(text)) if live => {
                note(&format!("{} {}", Paint::stderr().warning("note:"), escape::line(text)));
            }
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
        let Some(bar) = self.line.at(done.unwrap_or(0.0)) else {
            return self.show_plain(done.unwrap_or(0.0));
        };
        let Some(last) = &self.last else { return };
        bar.set_prefix(format!("{}{}", last.generation + 1, of_all(self.pace.forecast())));
        let mut message = run::generation_figures(last, self.pace.episodes_per_second());
        message.push_str(&self.validated());
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
        let figures = run::generation_figures(last, self.pace.episodes_per_second());
        let of = of_all(self.pace.forecast());
        let mut line = format!("generation {}{of}  {figures}", last.generation + 1);
        line.push_str(&self.validated());
        if let Some(left) = self.pace.left().filter(|left| left.as_secs() > 0) {
            let _ = write!(line, "  {} left", text::duration(Duration::from_secs(left.as_secs())));
        }
        if self.is_result {
            // If it cannot be written, neither can the end of it, and that is told.
            let _ = out(&(line + "\n"));
        } else {
            note(&line);
        }
    }
}

/// Of how many generations, as far as that is known.
fn of_all(forecast: &Forecast) -> String {
    forecast.generations().map_or_else(String::new, |all| format!("/{all}"))
}

/// A live line for work that is no run, such as a comparison; without a terminal a line now and then.
pub(crate) struct Activity {
    what: String,
    line: LiveLine,
    printed: Mutex<Instant>,
}

impl Activity {
    /// Says what is done from now on.
    pub(crate) fn new(what: &str) -> Self {
        let line = LiveLine::new(true, "{msg} {gauge} {percent} %", what);
        if line.0.is_none() {
            note(what);
        }
        Self { what: what.to_owned(), line, printed: Mutex::new(Instant::now()) }
    }

    /// Shows the part that is done, from 0 to 1.
    pub(crate) fn show(&self, done: f64) {
        if self.line.at(done).is_none() {
            self.print(done, Instant::now());
        }
    }

    /// Prints it if the last line is long ago; whether that was so.
    fn print(&self, done: f64, now: Instant) -> bool {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now.saturating_duration_since(*printed) >= PLAIN_INTERVAL;
        if is_due {
            *printed = now;
            note(&format!("{}: {:.0} %", self.what, 100.0 * done.clamp(0.0, 1.0)));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_lasts_is_told_of_now_and_then_without_a_terminal() {
        let begun = Instant::now();
        let activity = Activity::new("comparing");
        for (seconds, expected) in [(0, false), (29, false), (31, true), (32, false), (62, true)] {
            assert_eq!(activity.print(0.5, begun + Duration::from_secs(seconds)), expected, "{seconds} s");
        }
    }
}
