//! Text that others wrote, as a part of a page or a picture: it is shown and means nothing.

/// Whether a character does something to other text instead of being seen: controls, marks of direction, invisible ones (soft hyphens,
/// joiners, fillers, tags). The Python package has the same list (`python/hebbian/_escape.py`); its tests read this one.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{3164}'
                | '\u{ffa0}'
        )
}

/// The most characters that are shown of a name.
const NAME_LENGTH_MAX: usize = 120;

/// Text between tags or within the quotes of an attribute. Line ends stay; all else that would not be seen is spelled out.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

/// As [`text`], of a name: one line, and not more than a page can show.
pub fn name(name: &str) -> String {
    let mut shown = String::new();
    for (place, c) in name.chars().enumerate() {
        if place == NAME_LENGTH_MAX {
            shown.push('\u{2026}');
            break;
        }
        if c == '\n' { shown.push_str("\\n") } else { push(&mut shown, c) }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    match c {
        '&' => shown.push_str("&amp;"),
        '<' => shown.push_str("&lt;"),
        '>' => shown.push_str("&gt;"),
        '"' => shown.push_str("&quot;"),
        '\'' => shown.push_str("&#39;"),
        '\n' => shown.push('\n'),
        '\t' => shown.push(' '),
        c if is_hostile(c) => shown.extend(c.escape_unicode()),
        c => shown.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_hidden_marks_become_visible() {
        assert_eq!(text("<script>&\"'"), "&lt;script&gt;&amp;&quot;&#39;");
        assert_eq!(text("a\x1b[2Jb\u{202e}c\nd\te"), "a\\u{1b}[2Jb\\u{202e}c\nd e");
        assert_eq!(text("a\u{ad}b\u{3164}c"), "a\\u{ad}b\\u{3164}c");
        assert_eq!(name("a\nb"), "a\\nb");
        assert_eq!(name(&"x".repeat(10_000)).chars().count(), NAME_LENGTH_MAX + 1);
        assert_eq!(text("caf\u{e9} \u{4f60}\u{597d}"), "caf\u{e9} \u{4f60}\u{597d}");
    }
}
