//! What serde says is wrong, in the words of people who write specs.

use std::borrow::Cow;

use crate::spec::range::SpecNumber as _;

/// The examples that show what the section at a path may hold.
fn examples(path: &str) -> &'static str {
    if path.starts_with("tasks.classes") {
        "examples/meta-augmentation.toml shows them"
    } else if path.starts_with("tasks.data_sets") {
        "examples/own-data.toml shows them"
    } else {
        "examples/quickstart.toml and examples/cart-pole.toml show them"
    }
}

/// What was written at a path instead of what was expected: `must be ..., not ...`. Numbers and names are `within` a range, where it is
/// known.
pub(super) fn in_plain_words(path: &str, message: &str, within: impl FnOnce() -> Option<String>) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        let examples = examples(path);
        return format!("the field `{field}` is missing; docs/spec.schema.json has every field, {examples}");
    }
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    // What was written may say `, expected ` itself.
    let Some((found, expected)) = wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => {
            within().unwrap_or_else(|| "a whole number from 0 on".to_owned())
        }
        "i8" | "i16" | "i32" | "i64" | "isize" => within().unwrap_or_else(|| "a whole number".to_owned()),
        "f32" | "f64" => within().unwrap_or_else(|| "a number".to_owned()),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        // One of several names.
        "string only" => within().unwrap_or_else(|| "a name in quotes".to_owned()),
        "a sequence" => "a list".to_owned(),
        "a map" => "a section".to_owned(),
        other if other.starts_with("struct ") => "a section".to_owned(),
        other => other.to_owned(),
    };
    match found {
        // What serde makes of it on the way.
        "unit variant" => format!("must be {expected}"),
        found => format!("must be {expected}, not {}", written(found)),
    }
}

/// What serde found, as it was written.
fn written(found: &str) -> Cow<'_, str> {
    let found = found.strip_suffix(" as i128").or_else(|| found.strip_suffix(" as u128")).unwrap_or(found);
    let number =
        ["integer `", "floating point `", "boolean `"].iter().find_map(|kind| found.strip_prefix(kind));
    let number = number.map(|number| number.strip_suffix('`').unwrap_or(number));
    // Of 1e308 serde says 309 digits.
    if let Some(Ok(number)) = number.filter(|number| number.contains('.')).map(str::parse::<f64>) {
        return number.shown().into();
    }
    let written = match (number, found) {
        (Some(number), _) => number,
        (None, "sequence") => "a list",
        (None, "map") => "a section",
        (None, "null" | "unit value") => "null",
        (None, other) => other.strip_prefix("string ").unwrap_or(other),
    };
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrong_and_what_would_be_right_are_said() {
        let states = || Some("a whole number from 1 to 16".to_owned());
        for (message, expected) in [
            ("invalid value: integer `-8`, expected u32", "must be a whole number from 1 to 16, not -8"),
            (
                "invalid value: integer `99999999999999999999` as i128, expected u64",
                "must be a whole number from 1 to 16, not 99999999999999999999",
            ),
            ("invalid type: string \"two\", expected u8", "must be a whole number from 1 to 16, not \"two\""),
            (
                "invalid type: floating point `1.5`, expected u8",
                "must be a whole number from 1 to 16, not 1.5",
            ),
            (
                &format!("invalid type: floating point `{}.0`, expected u8", f64::MAX),
                "must be a whole number from 1 to 16, not 1.7976931348623157e308",
            ),
            ("invalid type: integer `1`, expected a string", "must be a text in quotes, not 1"),
            ("invalid type: string \"yes\", expected a boolean", "must be true or false, not \"yes\""),
            ("invalid type: boolean `true`, expected a sequence", "must be a list, not true"),
            ("invalid type: sequence, expected struct NetworkSpec", "must be a section, not a list"),
            (
                "invalid type: string \", expected u8\", expected a boolean",
                "must be true or false, not \", expected u8\"",
            ),
            ("unknown field `a`, expected `b`", "unknown field `a`, expected `b`"),
        ] {
            assert_eq!(in_plain_words("", message, states), expected);
        }
        let gates = || Some("one of `scalar`, `per-state`".to_owned());
        let no_name = "invalid type: unit variant, expected string only";
        assert_eq!(in_plain_words("", no_name, gates), "must be one of `scalar`, `per-state`");
        let nowhere = || None;
        assert_eq!(in_plain_words("", no_name, nowhere), "must be a name in quotes");
        assert_eq!(
            in_plain_words("", "invalid value: integer `-1`, expected u32", nowhere),
            "must be a whole number from 0 on, not -1"
        );
        assert_eq!(
            in_plain_words("", "invalid type: string \"x\", expected f64", nowhere),
            "must be a number, not \"x\""
        );
    }

    #[test]
    fn a_missing_field_is_shown_by_an_example_that_has_it() {
        for (path, field, example) in [
            ("", "strategy", "examples/quickstart.toml"),
            ("tasks.classes", "train", "examples/meta-augmentation.toml"),
            ("tasks.classes", "way", "examples/meta-augmentation.toml"),
            ("tasks.data_sets[0]", "name", "examples/own-data.toml"),
        ] {
            let problem = in_plain_words(path, &format!("missing field `{field}`"), || None);
            assert!(problem.contains(&format!("`{field}` is missing")), "{problem}");
            assert!(problem.contains(&format!("every field, {example}")), "{problem}");
        }
    }
}
