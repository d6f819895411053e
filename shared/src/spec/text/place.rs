//! Where a field stands in a text: its line, by its path.

use std::str::FromStr;

use serde::de::{DeserializeOwned, IgnoredAny};
use toml::de::{DeTable, DeValue};

/// A step of a path like `tasks.data_sets[0].name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spec) enum Step<'a> {
    /// To a field of an object.
    Field(&'a str),
    /// To an item of a list.
    Item(usize),
}

/// The steps of a path.
pub(in crate::spec) fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split('.').flat_map(|part| {
        let (name, items) = part.split_once('[').unwrap_or((part, ""));
        let items = items.split('[').filter_map(|item| usize::from_str(item.strip_suffix(']')?).ok());
        Some(name).filter(|name| !name.is_empty()).map(Step::Field).into_iter().chain(items.map(Step::Item))
    })
}

/// The line of the field at `path`, counted from 1. Of a field that is not written, that of the innermost section around it that is;
/// `None` if there is no such section, or the text is one line.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    if !text.contains('\n') {
        return None;
    }
    let start = if super::is_json(text) { in_json(text, path) } else { in_toml(text, path) }?;
    Some(line_at(text, start))
}

/// The line of a byte, counted from 1.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

fn in_toml(text: &str, path: &str) -> Option<usize> {
    let mut value = DeValue::Table(DeTable::parse(text).ok()?.into_inner());
    let mut found = None;
    for step in steps(path) {
        let (start, below) = match (value, step) {
            (DeValue::Table(table), Step::Field(name)) => {
                let Some((key, below)) = table.into_iter().find(|(key, _)| key.get_ref() == name) else {
                    break;
                };
                (key.span().start, below)
            }
            (DeValue::Array(items), Step::Item(place)) => {
                let Some(below) = items.get(place).cloned() else { break };
                (below.span().start, below)
            }
            _ => break,
        };
        found = Some(start);
        value = below.into_inner();
    }
    found
}

fn in_json(text: &str, path: &str) -> Option<usize> {
    let (mut found, mut value) = (None, 0);
    for step in steps(path) {
        let Some((start, below)) = (Cursor { text, at: value }).find(step) else { break };
        (found, value) = (Some(start), below);
    }
    found
}

/// A place in a text of JSON.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    /// In the object or list that begins here: where the entry of a step and its value begin.
    fn find(mut self, step: Step<'_>) -> Option<(usize, usize)> {
        let opening = if matches!(step, Step::Field(_)) { '{' } else { '[' };
        self.skip(opening).then_some(())?;
        for place in 0.. {
            let start = self.start();
            let is_it = match step {
                Step::Item(wanted) => place == wanted,
                Step::Field(wanted) => {
                    let name: String = self.read()?;
                    self.skip(':').then_some(())?;
                    name == wanted
                }
            };
            if is_it {
                return Some((start, self.start()));
            }
            self.read::<IgnoredAny>()?;
            self.skip(',').then_some(())?;
        }
        None
    }

    /// Where the next token begins.
    fn start(&mut self) -> usize {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    fn skip(&mut self, token: char) -> bool {
        let start = self.start();
        let is_here = self.text[start..].starts_with(token);
        self.at += if is_here { token.len_utf8() } else { 0 };
        is_here
    }

    fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        let found: Vec<_> = steps("a.b_c[2][0].d").collect();
        let expected = [Step::Field("a"), Step::Field("b_c"), Step::Item(2), Step::Item(0), Step::Field("d")];
        assert_eq!(found, expected);
        assert_eq!(steps("").count(), 0);
    }

    #[test]
    fn a_field_has_its_line_in_both_languages() {
        let toml = "name = \"[x]\"\n\n[rule]\nstates = 2\noja = { scale = 1 }\n\n[[list]]\na = 1\n\n[[list]]\nb = [\n  1,\n  2,\n]\n";
        let json = "{\"name\": \"}\\\"\",\n\n\"rule\": {\n\"states\": 2,\n\"oja\": {\"scale\": 1}},\n\n\"list\": [\n{\"a\": 1},\n\n{\n\"b\": [\n  1,\n  2]}]}";
        for (path, in_toml, in_json) in [
            ("name", 1, 1),
            ("rule", 3, 3),
            ("rule.states", 4, 4),
            ("rule.oja.scale", 5, 5),
            ("rule.oja.other", 5, 5),
            ("rule.other", 3, 3),
            ("list[0].a", 8, 8),
            ("list[1].b", 11, 11),
            ("list[1].b[1]", 13, 13),
            ("list[1].b[7]", 11, 11),
        ] {
            assert_eq!(line_of(toml, path), Some(in_toml), "{path} in TOML");
            assert_eq!(line_of(json, path), Some(in_json), "{path} in JSON");
        }
        for text in [toml, json] {
            assert_eq!(line_of(text, "stop.generations"), None);
            assert_eq!(line_of(text, ""), None);
            assert_eq!(line_of(&text.replace('\n', " "), "rule.states"), None, "one line needs no number");
        }
        assert_eq!(line_of("{\"rule\": {\n\"states\":", "rule.states"), Some(2), "a text that breaks off");
    }
}
