//! The only place that prints. Results go to standard output, everything about the way to them to standard error.

pub(crate) mod ask_tell;
pub(crate) mod comparison;
pub(crate) mod conformance;
pub(crate) mod cost;
pub(crate) mod data;
pub(crate) mod escape;
pub(crate) mod genome;
pub(crate) mod journal;
pub(crate) mod json;
pub(crate) mod line_writer;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod shipped;
pub(crate) mod sweep;
pub(crate) mod text;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod validation;
pub(crate) mod worker;

use std::io::{self, IsTerminal as _, Write};

use crate::failure::Failure;
use escape::STYLES;
use line_writer::LineWriter;

/// Whether colour is wanted at all; terminals are asked separately.
fn colour_allowed() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Colours for standard output or standard error, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self { enabled: colour_allowed() && io::stdout().is_terminal() }
    }

    /// For what is coloured otherwise.
    pub(crate) fn none() -> Self {
        Self { enabled: false }
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self { enabled: colour_allowed() && io::stderr().is_terminal() }
    }

    fn wrap(self, style: usize, text: &str) -> String {
        let text = escape::lines(text);
        if self.enabled { format!("{}{text}{}", STYLES[style].0, STYLES[0].0) } else { text.into_owned() }
    }

    /// Headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap(1, text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap(2, text)
    }

    /// Good news.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap(3, text)
    }

    /// What asks for attention.
    pub(crate) fn warning(self, text: &str) -> String {
        self.wrap(4, text)
    }

    /// Bad news.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap(5, text)
    }

    /// What can be typed.
    pub(crate) fn command(self, text: &str) -> String {
        self.wrap(6, text)
    }
}

/// Prints to standard output. A reader that has gone (`hebbian list | head -1`) ends the program quietly.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    out_bytes(escape::printed(text, Paint::stdout().enabled).as_bytes())
}

/// Prints a text of the argument parser's, in its colours where there are any.
pub(crate) fn styled(text: &clap::builder::StyledStr) -> Result<(), Failure> {
    let coloured = colour_allowed() && io::stdout().is_terminal();
    let text = if coloured { text.ansi().to_string() } else { text.to_string() };
    out_bytes(text.as_bytes())
}

/// As [`out`], for what need not be text.
pub(crate) fn out_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::failed(format_args!("standard output cannot be written: {error}"))),
    }
}

/// Prints a line to standard error, above the progress line if there is one.
pub(crate) fn note(line: &str) {
    // It never fails.
    let _ = LineWriter.write_all(format!("{}\n", escape::printed(line, Paint::stderr().enabled)).as_bytes());
}

/// Prints why a command failed.
pub(crate) fn failure(failure: &Failure) {
    let paint = Paint::stderr();
    let (label, painted) = match failure.kind() {
        crate::failure::FailureKind::Interrupted => {
            ("interrupted:", Paint::warning as fn(Paint, &str) -> String)
        }
        _ => ("error:", Paint::bad as fn(Paint, &str) -> String),
    };
    note(&format!("hebbian: {} {}", painted(paint, label), escape::line(failure.message())));
    if let Some(hint) = failure.advice() {
        note(&format!("hebbian: {} {}", paint.dim("hint:"), escape::line(hint)));
    }
}

/// Prints that the program has met a case that it was not made for, or that the system refuses it something that it cannot
/// do without.
pub(crate) fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let problem = text.unwrap_or("for an unknown reason");
    let paint = Paint::stderr();
    // So say those who start threads for us.
    if problem.contains("spawn") && problem.contains("thread") {
        note(&format!("hebbian: {} a thread cannot be started: {problem}", paint.bad("error:")));
        note(&format!("hebbian: {} is there a limit on processes (`ulimit -u`)?", paint.dim("hint:")));
        return;
    }
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    note(&format!("hebbian: {} internal error at {place}: {}", paint.bad("error:"), escape::line(problem)));
}

/// Where log lines go: standard error, above the progress line.
pub(crate) fn log_writer() -> LineWriter {
    LineWriter
}
