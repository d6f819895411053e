//! Log lines on standard error, as text for people or as JSON for collectors.

mod log_lines;

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, format};

use log_lines::{LogLines, write_field};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "String")]
pub(crate) enum LogFormat {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("must be `text` or `json`, not `{text}`")),
        }
    }
}

/// The section `log` of every process's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// How lines are written.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, for example `info` or `warn,hebbian_coordinator=debug`.
    /// Without it, `RUST_LOG` decides; without that, the process's default.
    pub filter: Option<String>,
}

/// Why logging could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    /// A filter that cannot be read.
    #[error(
        "{origin}: `{filter}` is not a log filter ({problem}); write for example `info` or `warn,hebbian_coordinator=debug`"
    )]
    Filter {
        /// Where it was written.
        origin: &'static str,
        /// The filter.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Logging was set up before.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Whether coloured text may be written to standard error.
pub(crate) fn colour_on_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes the process's log lines to `writer` (normally `std::io::stderr`) from now on; `default` is the filter where
/// nobody gave one.
pub(crate) fn set_up<W>(settings: &LogSettings, default: &str, writer: W) -> Result<(), LogError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = match (&settings.filter, std::env::var("RUST_LOG")) {
        (Some(filter), _) => parse("log.filter", filter)?,
        (None, Ok(filter)) if !filter.is_empty() => parse("RUST_LOG", &filter)?,
        (None, _) => parse("the default", default)?,
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let set = match settings.format {
        LogFormat::Text => subscriber
            .with_target(false)
            .with_ansi(colour_on_stderr())
            .fmt_fields(format::debug_fn(write_field))
            .map_event_format(|format| LogLines::new(format, false))
            .try_init(),
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true);
            subscriber.map_event_format(|format| LogLines::new(format, true)).try_init()
        }
    };
    set.map_err(|_| LogError::AlreadySet)
}

fn parse(origin: &'static str, filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|error| LogError::Filter {
        origin,
        filter: filter.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        assert!(parse("log.filter", "warn,hebbian_coordinator=debug").is_ok());
        let error = parse("log.filter", "hebbian=loud").unwrap_err().to_string();
        assert!(error.starts_with("log.filter: `hebbian=loud` is not a log filter"), "{error}");
    }
}
