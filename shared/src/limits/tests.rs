use std::fmt::Write as _;
use std::time::Duration;

use super::TABLE;

/// A bound as the table shows it.
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) says: &'static [&'static str],
    pub(super) value: Value,
    pub(super) unit: &'static str,
}

#[expect(non_camel_case_types, reason = "named as the types are, for the macro")]
pub(super) enum Value {
    u8(u8),
    u32(u32),
    u64(u64),
    usize(usize),
    f64(f64),
    Duration(Duration),
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn shown(limit: &Limit) -> String {
    let count = match limit.value {
        Value::u8(count) => u64::from(count),
        Value::u32(count) => u64::from(count),
        Value::u64(count) => count,
        Value::usize(count) => count as u64,
        Value::f64(number) if limit.unit != "dimensionless" && (1.0..1e9).contains(&number) => number as u64,
        Value::f64(number) if limit.unit == "dimensionless" => return format!("{number:e}"),
        Value::f64(number) => return format!("{number:e} {}", limit.unit),
        Value::Duration(time) => return format!("{} {}", time.as_secs_f64(), limit.unit),
    };
    if limit.unit == "bytes" {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if count.trailing_zeros() >= shift {
                return format!("{} {unit}", count >> shift);
            }
        }
    }
    format!("{} {}", grouped(count), limit.unit)
}

fn table() -> String {
    let mut text = String::from("| what | limit |\n|---|---|\n");
    for (section, limits) in TABLE {
        writeln!(text, "| **{section}** | |").unwrap();
        for limit in *limits {
            let says: Vec<&str> = limit.says.iter().map(|line| line.trim()).collect();
            let says = says.join(" ");
            assert!(says.ends_with('.'), "{} is told in a sentence", limit.name);
            writeln!(text, "| {} | {} |", says.trim_end_matches('.'), shown(limit)).unwrap();
        }
    }
    text
}

/// With `HEBBIAN_UPDATE` set, the test writes the table instead of comparing it.
#[test]
#[expect(clippy::disallowed_methods, reason = "the documentation is a file")]
fn the_documentation_has_every_limit() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SECURITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("| what | limit |").expect("the documentation has the table");
    let end = text[start..].find("\n\n").map_or(text.len(), |length| start + length + 1);
    if std::env::var_os("HEBBIAN_UPDATE").is_some() {
        std::fs::write(path, format!("{}{}{}", &text[..start], table(), &text[end..])).unwrap();
    } else {
        assert!(text[start..end] == table(), "docs/SECURITY.md should say:\n{}", table());
    }
}
