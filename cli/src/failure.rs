//! How a command fails: in one line, with an exit code that means something.

use std::fmt;
use std::process::ExitCode;

/// What kind of failure it was; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The work itself failed, or the state of things does not allow it.
    Failed,
    /// Wrong arguments or wrong input; nothing was written.
    BadInput,
    /// There is no such run or file.
    NotFound,
    /// The coordinator did not answer in time.
    Unreachable,
    /// Ctrl-C or SIGTERM, after saving.
    Interrupted,
}

impl FailureKind {
    /// The exit code, as the program's help documents it.
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed: a line for people that names the culprit, and what would be right.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
    /// Whether certainly nothing was done.
    undone: bool,
}

impl Failure {
    fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        // One line, whatever a library wrote.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, message, hint: None, undone: false }
    }

    /// The work failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// Wrong arguments or input.
    pub(crate) fn bad_input(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::BadInput, message)
    }

    /// No such thing.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// Nobody answers.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Unreachable, message)
    }

    /// Stopped by the user.
    pub(crate) fn interrupted(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Interrupted, message)
    }

    /// A file that cannot be read or written: bad input if it is not there, failed otherwise.
    pub(crate) fn file(path: &std::path::Path, what: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::NotFound => FailureKind::NotFound,
            ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                FailureKind::BadInput
            }
            _ => FailureKind::Failed,
        };
        let text = error.to_string();
        let problem = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        Self::new(kind, format_args!("{}: {what}: {problem}", path.display()))
    }

    /// A file or directory that cannot be written: the work failed, whatever is missing.
    pub(crate) fn writing(path: &std::path::Path, what: &str, error: &std::io::Error) -> Self {
        Self { kind: FailureKind::Failed, ..Self::file(path, what, error) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same of something that certainly has not been done, and can be asked for again.
    #[must_use]
    pub(crate) fn undone(mut self) -> Self {
        self.undone = true;
        self
    }

    /// Whether certainly nothing was done.
    pub(crate) fn is_undone(&self) -> bool {
        self.undone
    }

    /// The same about a field of a spec.
    #[must_use]
    pub(crate) fn of(mut self, field: &str) -> Self {
        self.message = format!("{field}: {}", self.message);
        self
    }

    /// The same with what came of it.
    #[must_use]
    pub(crate) fn and(mut self, what: &str) -> Self {
        self.message = format!("{}; {what}", self.message);
        self
    }

    /// The line that names the culprit.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What the process returns.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}
