//! Text that others wrote, as it can be shown: what moves a cursor, hides or reorders other text becomes visible.
//!
//! Names, reasons, errors, files: whoever wrote them may have meant the terminal. [`lines`] is applied to all that is
//! printed, [`line()`] to what stands within a line, [`json`] to JSON, where the same characters have a spelling of their own.

use std::borrow::Cow;
use std::fmt::Write as _;

use hebbian_view::escape::is_hostile;

/// Characters of ours that stand for colours until they are printed; no text has them by right (Unicode calls them
/// noncharacters). Whoever writes one all the same colours text on a terminal; elsewhere it is spelled out.
pub(super) const STYLES: [(char, &str); 7] = [
    ('\u{fdd0}', "\x1b[0m"),
    ('\u{fdd1}', "\x1b[1m"),
    ('\u{fdd2}', "\x1b[2m"),
    ('\u{fdd3}', "\x1b[32m"),
    ('\u{fdd4}', "\x1b[33m"),
    ('\u{fdd5}', "\x1b[1;31m"),
    ('\u{fdd6}', "\x1b[36m"),
];

fn escaped(text: &str, passes: impl Fn(char) -> bool, spell: impl Fn(&mut String, char)) -> Cow<'_, str> {
    spelled(text, |c| is_hostile(c) && !passes(c), spell)
}

/// A text in which some characters are spelled otherwise.
fn spelled(text: &str, is_escaped: impl Fn(char) -> bool, spell: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { spell(&mut shown, c) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn spell(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        // Memory can be written.
        c => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
    }
}

/// Within a line: of one field, of one cell, of one message.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, spell)
}

/// Whole lines.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t', spell)
}

/// The text of a JSON value: the same value, spelled otherwise. (Hostile characters stand in its texts only.)
pub(crate) fn json(text: String) -> String {
    let spell = |shown: &mut String, c: char| {
        for half in c.encode_utf16(&mut [0; 2]) {
            // Memory can be written.
            let _ = write!(shown, "\\u{half:04x}");
        }
    };
    match spelled(&text, |c| (is_hostile(c) && !c.is_ascii_whitespace()) || code(c).is_some(), spell) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    }
}

/// What a terminal is sent for a character of ours.
fn code(c: char) -> Option<&'static str> {
    STYLES.iter().find(|(style, _)| *style == c).map(|(_, code)| *code)
}

/// Whole lines for whoever prints them: with their colours, or, where nothing of ours is coloured, without anybody's.
pub(super) fn printed(text: &str, is_coloured: bool) -> Cow<'_, str> {
    let text = lines(text);
    if !text.contains(|c| code(c).is_some()) {
        return text;
    }
    let put = |shown: &mut String, c: char| match code(c) {
        Some(code) if is_coloured => shown.push_str(code),
        _ => spell(shown, c),
    };
    Cow::Owned(spelled(&text, |c| code(c).is_some(), put).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A title, a cleared line, a reversed name, an invisible tag, a C1 control.
    const HOSTILE: &str =
        "a\x1b]0;title\x07b\rc\u{202e}d\u{2066}e\u{200f}f\u{e0041}g\u{9b}2Jh\u{2028}i\u{7f}";

    #[test]
    fn what_does_something_to_other_text_is_spelled_out() {
        let shown = line(HOSTILE);
        assert_eq!(
            shown,
            "a\\u{1b}]0;title\\u{7}b\\rc\\u{202e}d\\u{2066}e\\u{200f}f\\u{e0041}g\\u{9b}2Jh\\u{2028}i\\u{7f}"
        );
        assert_eq!(line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(lines("a\nb\tc\r\n"), "a\nb\tc\\r\n");
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in ["", "tiny", "caf\u{e9} \u{4f60}\u{597d} \u{5e9}\u{5dc}\u{5d5}\u{5dd} +- \u{1f600}"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_is_the_same_value() {
        let value = serde_json::json!({ "name": HOSTILE, "other": "\u{fdd1}" });
        let text = json(serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(|c: char| (is_hostile(c) && c != '\n') || code(c).is_some()), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
    #[test]
    fn colours_are_for_terminals_only() {
        let text = "a\u{fdd5}b\u{fdd0}c\x1bd";
        assert_eq!(printed(text, true), "a\x1b[1;31mb\x1b[0mc\\u{1b}d");
        assert_eq!(printed(text, false), "a\\u{fdd5}b\\u{fdd0}c\\u{1b}d");
        // Printed after it was made: nothing is left to be coloured.
        let value = json(serde_json::json!({ "name": text }).to_string());
        assert_eq!(printed(&value, true), value);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&value).unwrap()["name"], text);
    }
}
