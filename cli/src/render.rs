//! The only place that prints. Results go to standard output, everything about the way to them to standard error.

pub(crate) mod ask_tell;
pub(crate) mod comparison;
pub(crate) mod cost;
pub(crate) mod data;
pub(crate) mod genome;
pub(crate) mod journal;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sweep;
pub(crate) mod text;
pub(crate) mod validation;
pub(crate) mod worker;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::failure::Failure;

/// The progress line that is on the terminal at the moment; other lines are written above it.
static LIVE_LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

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

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self { enabled: colour_allowed() && io::stderr().is_terminal() }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.enabled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Good news.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What asks for attention.
    pub(crate) fn warning(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Bad news.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What can be typed.
    pub(crate) fn command(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// Prints to standard output. A reader that has gone (`hebbian list | head -1`) ends the program quietly.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::failed(format_args!("standard output cannot be written: {error}"))),
    }
}

/// Prints a line to standard error, above the progress line if there is one.
pub(crate) fn note(line: &str) {
    // Nobody is left to be told that standard error cannot be written.
    let _ = writeln!(LogWriter, "{line}");
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
    note(&format!("hebbian: {} {}", painted(paint, label), failure.message()));
    if let Some(hint) = failure.advice() {
        note(&format!("hebbian: {} {hint}", paint.dim("hint:")));
    }
}

/// Makes the progress line give way to other lines, until it is taken away again.
fn set_live_line(bar: Option<ProgressBar>) {
    *LIVE_LINE.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Where log lines go: standard error, above the progress line.
pub(crate) fn log_writer() -> LogWriter {
    LogWriter
}

/// Writes to standard error, above the progress line. Each write is one line.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bar = LIVE_LINE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write_all(bytes)),
            None => io::stderr().write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }

    fn write_fmt(&mut self, arguments: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(arguments.to_string().as_bytes())
    }
}
