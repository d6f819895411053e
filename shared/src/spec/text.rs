//! Specs as text: TOML or JSON as people and programs write them, and the JSON that stands for a spec for ever.

pub(super) mod place;
mod wording;

use std::ops::Deref;

use serde::Deserializer;
use serde::de::DeserializeOwned;

use super::{RunSpec, SpecError, schema};
use crate::digest::Digest;
use crate::limits::SPEC_BYTES_MAX;

/// A run spec with the text that stands for it: JSON, all defaults written out.
///
/// The coordinator writes the text once, when it creates the run. Whoever receives the text reads it and takes the digest
/// of its bytes; nobody writes it again. So two programs agree on the digest although one of them knows more fields.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedSpec {
    spec: RunSpec,
    json: String,
    digest: Digest,
}

impl ResolvedSpec {
    /// Reads and validates the text that another program wrote.
    pub fn from_json(json: String) -> Result<Self, SpecError> {
        let spec: RunSpec = read_json(&json, no_range)?;
        spec.validate()?;
        let digest = Digest::of(json.as_bytes());
        Ok(Self { spec, json, digest })
    }

    /// The text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The digest of the text's bytes: equal digests, equal results.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl From<RunSpec> for ResolvedSpec {
    /// Writes the text.
    fn from(spec: RunSpec) -> Self {
        let json = serde_json::to_string(&spec).expect("a spec is plain data");
        let digest = Digest::of(json.as_bytes());
        Self { spec, json, digest }
    }
}

impl From<ResolvedSpec> for RunSpec {
    fn from(resolved: ResolvedSpec) -> Self {
        resolved.spec
    }
}

impl Deref for ResolvedSpec {
    type Target = RunSpec;

    fn deref(&self) -> &RunSpec {
        &self.spec
    }
}

/// The range of the number at a path of a text, in words.
type RangeOf = fn(path: &str, text: &str) -> Option<String>;

fn no_range(_: &str, _: &str) -> Option<String> {
    None
}

/// Reads TOML or JSON: text whose first character is `{` is JSON. An error names the field by its path, and its line.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    read_within(text, no_range)
}

/// Reads a whole spec: of numbers errors name the range, too.
pub(super) fn read_spec(text: &str) -> Result<RunSpec, SpecError> {
    read_within(text, |path, text| schema::range_of(path, &tree(text)?))
}

fn read_within<T: DeserializeOwned>(text: &str, range_of: RangeOf) -> Result<T, SpecError> {
    if text.len() as u64 > SPEC_BYTES_MAX {
        let problem = format!("must have at most {SPEC_BYTES_MAX} bytes, not {}", text.len());
        return Err(SpecError::field("", problem));
    }
    if is_json(text) { read_json(text, range_of) } else { read_toml_within(text, range_of) }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads TOML. An error names the field by its path, and its line.
pub fn read_toml<T: DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    read_toml_within(text, no_range)
}

fn read_toml_within<T: DeserializeOwned>(text: &str, range_of: RangeOf) -> Result<T, SpecError> {
    let wrong = |path: String, error: &toml::de::Error| {
        let range = |path: &str| range_of(path, text);
        let line = error.span().map(|span| place::line_at(text, span.start));
        SpecError { line, ..SpecError::of_reading(path, error.message(), range) }.located(text)
    };
    let deserializer = toml::Deserializer::parse(text).map_err(|error| wrong(String::new(), &error))?;
    with_path(deserializer, wrong)
}

fn read_json<T: DeserializeOwned>(text: &str, range_of: RangeOf) -> Result<T, SpecError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let wrong = |path: String, error: &serde_json::Error| {
        let range = |path: &str| range_of(path, text);
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        // JSON that programs write is one line: there the column of what is no JSON says more, and a field is named by its path.
        let is_one_line = !text.contains('\n');
        let is_no_json = error.is_syntax() || error.is_eof();
        if is_one_line && is_no_json {
            let message = format!("column {}: {}", error.column(), as_json(message));
            return SpecError::of_reading(path, &message, range);
        }
        let line = (!is_one_line).then_some(error.line());
        let wrong = SpecError { line, ..SpecError::of_reading(path, as_json(message), range) };
        // Where the text stops being JSON is known exactly.
        if is_no_json { wrong } else { wrong.located(text) }
    };
    let value = with_path(&mut deserializer, wrong)?;
    deserializer.end().map_err(|error| wrong(String::new(), &error))?;
    Ok(value)
}

fn with_path<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
    wrong: impl Fn(String, &D::Error) -> SpecError,
) -> Result<T, SpecError> {
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        // `?` is a key that was not read to its end: a text that breaks off.
        wrong(if matches!(path.as_str(), "." | "?") { String::new() } else { path }, error.inner())
    })
}

/// Sections that a spec of an external problem must not have.
const SECTIONS_OF_RULES: [&str; 5] = ["rule", "network", "tasks", "evaluation", "validation"];

impl SpecError {
    /// An error that arose while the field at `path` was read.
    fn of_reading(path: String, message: &str, range: impl FnOnce(&str) -> Option<String>) -> Self {
        let message = message.replace('\n', " ");
        let (path, message) = match message.split_once(": ") {
            // The check of a section as a whole names the field itself.
            Some((field, problem)) if !path.is_empty() && field.starts_with(&format!("{path}.")) => {
                (field.to_owned(), problem)
            }
            // So does that of the whole.
            Some((field, problem)) if path.is_empty() && SECTIONS_OF_RULES.contains(&field) => {
                (field.to_owned(), problem)
            }
            _ => (path, &*message),
        };
        let problem = wording::in_plain_words(&path, message, || range(&path));
        Self::field(path, problem)
    }

    /// The same error with the line of its field, if the text has the field.
    pub(super) fn located(self, text: &str) -> Self {
        Self { line: place::line_of(text, &self.field).or(self.line), ..self }
    }
}

/// All that a text says, as values.
fn tree(text: &str) -> Option<serde_json::Value> {
    if is_json(text) {
        return serde_json::from_str(text).ok();
    }
    serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()
}

/// What JSON's parser says of a text that is no JSON, with what would be right.
fn as_json(message: &str) -> &str {
    match message {
        "EOF while parsing an object" => "the text ends within an object; a `}` is missing",
        "EOF while parsing a list" => "the text ends within a list; a `]` is missing",
        "EOF while parsing a string" => "the text ends within a string; a `\"` is missing",
        "EOF while parsing a value" => "the text ends where a value must be",
        "trailing characters" => "the text must end after its object; remove what follows",
        "recursion limit exceeded" => {
            "lists and objects stand in each other too deeply; no field of a spec needs more than a few"
        }
        "trailing comma" => "no comma may stand before a closing bracket; remove it",
        "key must be a string" => "a key must be a string in double quotes",
        other => other,
    }
}

#[cfg(test)]
mod tests;
