//! Log lines: what others named in them is escaped, and no place in the program fills the log.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hebbian_shared::limits::{LOG_LINE_RATE_MAX, LOG_LINES_AT_ONCE_MAX};
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::render::escape;

/// The target of lines that say who did what; each of them is the deed of a peer whose rate is limited.
const AUDIT: &str = "hebbian::audit";

/// How the names begin of what libraries say of the place in their source where a line was written. It names folders of the machine that has
/// built the program, and is left out.
const SOURCE: &str = "log.";

/// Writes a field of a line of text, the message first.
pub(super) fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = escape::line(&value);
    match field.name() {
        "message" => write!(writer, "{value}"),
        name if name.starts_with(SOURCE) => Ok(()),
        name if writer.has_ansi_escapes() => write!(writer, " \x1b[2m{name}=\x1b[0m{value}"),
        name => write!(writer, " {name}={value}"),
    }
}

/// A line of JSON without such fields.
fn without_source(line: String) -> String {
    if !line.contains("\"log.") {
        return line;
    }
    let Ok(mut object) = serde_json::from_str::<serde_json::Map<_, _>>(&line) else { return line };
    object.retain(|name, _: &mut serde_json::Value| !name.starts_with(SOURCE));
    serde_json::Value::Object(object).to_string() + "\n"
}

/// Lines of another format, fewer and escaped.
pub(super) struct LogLines<F> {
    format: F,
    /// Whether it writes JSON, and not text by [`write_field`].
    json: bool,
    repeats: Mutex<Repeats>,
}

impl<F> LogLines<F> {
    pub(super) fn new(format: F, json: bool) -> Self {
        Self { format, json, repeats: Mutex::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for LogLines<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, place) = (*event.metadata().level(), (event.metadata().file(), event.metadata().line()));
        // Who asks for details gets them, and what was done is never left out.
        let withheld = if level >= Level::DEBUG || event.metadata().target() == AUDIT {
            0
        } else {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(withheld) = repeats.admit(place, Instant::now()) else { return Ok(()) };
            withheld
        };
        if withheld > 0 {
            let text = format!("{withheld} lines like the next one were left out");
            if self.json {
                let now = jiff::Timestamp::now();
                writeln!(writer, r#"{{"timestamp":"{now}","level":"{level}","message":"{text}"}}"#)?;
            } else {
                writeln!(writer, "{text}:")?;
            }
        }
        if !self.json {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&escape::json(without_source(line)))
    }
}

/// A place in the program.
type Place = (Option<&'static str>, Option<u32>);

/// How many lines each place in the program may still write.
#[derive(Default)]
struct Repeats(BTreeMap<Place, Allowance>);

struct Allowance {
    lines: f64,
    at: Instant,
    withheld: u64,
}

impl Repeats {
    /// Whether a place may write a line now, and how many of its lines were withheld before.
    fn admit(&mut self, place: Place, now: Instant) -> Option<u64> {
        let most = f64::from(LOG_LINES_AT_ONCE_MAX);
        let allowance = self.0.entry(place).or_insert(Allowance { lines: most, at: now, withheld: 0 });
        let passed = now.saturating_duration_since(allowance.at).as_secs_f64();
        allowance.lines = (allowance.lines + passed * LOG_LINE_RATE_MAX).min(most);
        allowance.at = now;
        if allowance.lines < 1.0 {
            allowance.withheld += 1;
            return None;
        }
        allowance.lines -= 1.0;
        Some(std::mem::take(&mut allowance.withheld))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    use tracing_subscriber::fmt::format;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged in both formats.
    fn logged(json: bool, log: impl Fn()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        if json {
            let subscriber = subscriber.json().flatten_event(true);
            let subscriber = subscriber.map_event_format(|format| LogLines::new(format, true)).finish();
            tracing::subscriber::with_default(subscriber, log);
        } else {
            let subscriber = subscriber
                .fmt_fields(format::debug_fn(write_field))
                .map_event_format(|format| LogLines::new(format, false))
                .finish();
            tracing::subscriber::with_default(subscriber, log);
        }
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_others_named_is_one_line_without_effects() {
        let hostile = "a\x1b[2Jb\rc\u{202e}d\ne\u{9b}f";
        for json in [false, true] {
            let text = logged(json, || tracing::info!(name = hostile, error = %hostile, "message {hostile}"));
            assert_eq!(text.lines().count(), 1, "{text:?}");
            let line = text.trim_end_matches('\n');
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
            if json {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(object["name"], hostile);
                assert_eq!(object["message"], format!("message {hostile}"));
            } else {
                let shown = "a\\u{1b}[2Jb\\rc\\u{202e}d\\ne\\u{9b}f";
                assert!(line.contains(&format!("message {shown} name=\"{shown}\" error={shown}")), "{line}");
            }
        }
    }

    #[test]
    fn no_line_names_folders_of_the_machine_that_has_built_the_program() {
        for json in [false, true] {
            let text = logged(json, || {
                tracing::info!("log.file" = "/build/postgres.rs", "log.line" = 7, other = "kept", "a notice");
                tracing::info!(first = 1, second = "two", "another");
            });
            assert!(!text.contains("/build") && !text.contains("log."), "{text}");
            assert!(text.contains("a notice") && text.contains("kept"), "{text}");
            if json {
                let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                let lines: Vec<_> = lines.collect();
                assert_eq!((&lines[0]["other"], &lines[1]["second"]), (&"kept".into(), &"two".into()));
            } else {
                assert!(text.contains("a notice other=\"kept\"\n"), "{text}");
                assert!(text.contains("another first=1 second=\"two\"\n"), "{text}");
            }
        }
    }

    #[test]
    fn a_place_that_fills_the_log_is_cut_short_and_others_are_not() {
        let many = LOG_LINES_AT_ONCE_MAX + 50;
        for json in [false, true] {
            let text = logged(json, || {
                for number in 0..many {
                    tracing::warn!(number, "again");
                }
                tracing::warn!("another");
            });
            assert_eq!(text.lines().filter(|line| line.contains("again")).count(), 100);
            assert_eq!(text.lines().filter(|line| line.contains("another")).count(), 1);
        }
    }

    #[test]
    fn later_it_is_told_how_many_were_left_out() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let place = (Some("file"), Some(1));
        let admitted = (0..130).filter(|_| repeats.admit(place, start).is_some()).count();
        assert_eq!(admitted, LOG_LINES_AT_ONCE_MAX as usize);
        assert_eq!(repeats.admit((Some("file"), Some(2)), start), Some(0));
        let later = start + Duration::from_secs_f64(1.0 / LOG_LINE_RATE_MAX);
        assert_eq!(repeats.admit(place, later), Some(30));
        assert_eq!(repeats.admit(place, later), None);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(repeats.admit(place, much_later), Some(1));
        assert_eq!(repeats.admit(place, much_later), Some(0));
    }
}
