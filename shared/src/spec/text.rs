//! Specs as text: TOML or JSON as people and programs write them, and the JSON that stands for a spec for ever.

use std::ops::Deref;

use serde::Deserializer;
use serde::de::DeserializeOwned;

use super::{RunSpec, SpecError};
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
        let spec: RunSpec = read_json(&json)?;
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

/// Reads TOML or JSON: text whose first character is `{` is JSON. An error names the field by its path.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    if text.len() as u64 > SPEC_BYTES_MAX {
        let problem = format!("must have at most {SPEC_BYTES_MAX} bytes, not {}", text.len());
        return Err(SpecError::field("", problem));
    }
    if text.trim_start().starts_with('{') { read_json(text) } else { read_toml(text) }
}

/// Reads TOML. An error names the line, and the field by its path.
pub fn read_toml<T: DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    let wrong = |path: String, error: &toml::de::Error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        SpecError { line, ..SpecError::of_reading(path, error.message()) }
    };
    let deserializer = toml::Deserializer::parse(text).map_err(|error| wrong(String::new(), &error))?;
    with_path(deserializer, wrong)
}

fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, SpecError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let wrong = |path: String, error: &serde_json::Error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        // JSON that programs write is one line: there the column of what is no JSON says more, and a field is named by its path.
        let is_one_line = !text.contains('\n');
        if is_one_line && (error.is_syntax() || error.is_eof()) {
            return SpecError::of_reading(path, &format!("column {}: {}", error.column(), as_json(message)));
        }
        let line = (!is_one_line).then_some(error.line());
        SpecError { line, ..SpecError::of_reading(path, as_json(message)) }
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
    fn of_reading(path: String, message: &str) -> Self {
        let message = in_plain_words(&message.replace('\n', " "));
        // The check of a section as a whole names the field itself.
        match message.split_once(": ") {
            Some((field, problem)) if !path.is_empty() && field.starts_with(&format!("{path}.")) => {
                Self::field(field, problem)
            }
            // So does that of the whole.
            Some((field, problem)) if path.is_empty() && SECTIONS_OF_RULES.contains(&field) => {
                Self::field(field, problem)
            }
            _ => Self::field(path, message),
        }
    }
}

/// What JSON's parser says of a text that is no JSON, with what would be right.
fn as_json(message: &str) -> &str {
    match message {
        "EOF while parsing an object" => "the text ends within an object; a `}` is missing",
        "EOF while parsing a list" => "the text ends within a list; a `]` is missing",
        "EOF while parsing a string" => "the text ends within a string; a `\"` is missing",
        "EOF while parsing a value" => "the text ends where a value must be",
        "trailing characters" => "the text must end after its object; remove what follows",
        "trailing comma" => "no comma may stand before a closing bracket; remove it",
        "key must be a string" => "a key must be a string in double quotes",
        other => other,
    }
}

/// The numbers of Rust's types in words, and what is missing with where to find it.
fn in_plain_words(message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        return format!(
            "the field `{field}` is missing; docs/spec.schema.json and examples/quickstart.toml have every field"
        );
    }
    let mut message = message.replace(" as i128", "");
    for unsigned in ["u8", "u16", "u32", "u64"] {
        message = message.replace(&format!("expected {unsigned}"), "expected a whole number from 0 on");
    }
    message.replace("expected f64", "expected a number")
}
