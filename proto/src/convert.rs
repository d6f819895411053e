//! Conversions between the wire and the domain.
//!
//! From the domain to the wire nothing can fail. From the wire everything is checked, and an error names the path of the
//! field at fault within the message, what is wrong with it and what would be right.

mod dispatch;
mod episode;
mod genome;

pub use dispatch::up_to_an_hour;

use std::time::Duration;

use hebbian_shared::digest::Digest;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::RunId;
use hebbian_shared::spec::SpecError;

/// The largest duration of the protobuf format: about ten thousand years.
const DURATION_S_MAX: u64 = 315_576_000_000;

/// A message that does not stand for anything of the domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConvertError {
    /// Path of the field within the message, for example `cma_es.population_size` or `families[2]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ConvertError {
    /// An error of one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// An error of a spec in the field `spec`.
    pub fn of_spec(error: &SpecError) -> Self {
        Self::of_text("spec", error)
    }

    /// An error of a text in `field` that is written as a spec, or as a part of one.
    pub fn of_text(field: &str, SpecError { line, field: path, problem }: &SpecError) -> Self {
        let field = if path.is_empty() { field.to_owned() } else { format!("{field}.{path}") };
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Self { field, problem: line + problem }
    }

    /// The same error seen from the message that holds this one in `field`.
    #[must_use]
    pub fn within(self, field: &str) -> Self {
        Self { field: format!("{field}.{}", self.field), ..self }
    }
}

/// The resource name of a run: `runs/{run}`.
pub fn run_name(run: RunId) -> String {
    format!("runs/{run}")
}

/// The run of a resource name that was given in `field`.
pub fn parse_run_name(field: &str, name: &str) -> Result<RunId, ConvertError> {
    let Some(id) = name.strip_prefix("runs/") else {
        let shown: String = name.chars().take(64).collect();
        return Err(ConvertError::new(field, format!("must be `runs/` and a run id, not `{shown}`")));
    };
    id.parse().map_err(|error| ConvertError::new(field, format!("{error}")))
}

/// A sub-message that must be there.
fn required<T>(field: &str, value: Option<T>) -> Result<T, ConvertError> {
    value.ok_or_else(|| ConvertError::new(field, "must be set (to something that this program knows)"))
}

/// A list within its limit.
fn check_length<T>(field: &str, list: &[T], most: usize) -> Result<(), ConvertError> {
    if list.len() > most {
        return Err(ConvertError::new(
            field,
            format!("must have at most {most} elements, not {}", list.len()),
        ));
    }
    Ok(())
}

/// A text for people within its limit.
fn check_text(field: &str, text: &str, most: usize) -> Result<(), ConvertError> {
    if text.len() > most {
        return Err(ConvertError::new(field, format!("must have at most {most} bytes, not {}", text.len())));
    }
    Ok(())
}

/// A text for people, cut at a character's border.
fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text[..end].to_owned()
}

fn to_digest(field: &str, bytes: &[u8]) -> Result<Digest, ConvertError> {
    Digest::try_from(bytes)
        .map_err(|_| ConvertError::new(field, format!("must have 32 bytes, not {}", bytes.len())))
}

fn to_fitness(field: &str, value: f64) -> Result<Fitness, ConvertError> {
    Fitness::new(value).map_err(|error| ConvertError::new(field, error.to_string()))
}

/// The wire's duration; what exceeds the format's ten thousand years is cut.
pub fn from_duration(duration: Duration) -> prost_types::Duration {
    let duration = duration.min(Duration::from_secs(DURATION_S_MAX));
    prost_types::Duration { seconds: duration.as_secs() as i64, nanos: duration.subsec_nanos() as i32 }
}

fn to_duration(field: &str, duration: Option<prost_types::Duration>) -> Result<Duration, ConvertError> {
    let prost_types::Duration { seconds, nanos } = required(field, duration)?;
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds @ ..=DURATION_S_MAX), Ok(nanos @ ..1_000_000_000)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(ConvertError::new(
            field,
            format!("must be a duration from 0 to {DURATION_S_MAX} s, not {seconds} s {nanos} ns"),
        )),
    }
}

/// A domain enumeration with its numbers on the wire.
pub trait WireEnum: Sized {
    /// Its number.
    fn to_wire(self) -> i32;
    /// What a number in `field` stands for.
    fn from_wire(field: &str, number: i32) -> Result<Self, ConvertError>;
}

/// `Domain <=> Wire { Variant, DomainVariant = WireVariant, ... }`
macro_rules! wire_enum {
    ($domain:ty, $wire:ty { $($variant:ident),+ $(,)? }) => {
        impl $crate::convert::WireEnum for $domain {
            fn to_wire(self) -> i32 {
                match self { $(Self::$variant => <$wire>::$variant as i32),+ }
            }

            fn from_wire(field: &str, number: i32) -> Result<Self, $crate::convert::ConvertError> {
                match <$wire>::try_from(number) {
                    $(Ok(<$wire>::$variant) => Ok(Self::$variant),)+
                    _ => {
                        let known = [$(<$wire>::$variant.as_str_name()),+].join(", ");
                        let problem = format!("must be one of {known}, not number {number}");
                        Err($crate::convert::ConvertError::new(field, problem))
                    }
                }
            }
        }
    };
}
use wire_enum;

#[cfg(test)]
mod tests;
