//! Numbers, durations and tables as people read them.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hebbian_proto::v1;

use super::escape;

/// A duration with two significant units: `41 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds < 1 {
        return format!("{} us", duration.as_micros());
    }
    if milliseconds < 10 {
        return format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    }
    if milliseconds < 1000 {
        return format!("{milliseconds} ms");
    }
    if milliseconds < 9950 {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    let seconds = duration.as_secs_f64().round() as u64;
    let two = |large: u64, name: &str, small: u64, part: &str| {
        if small == 0 { format!("{large} {name}") } else { format!("{large} {name} {small} {part}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// A word as a shell takes it.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-=,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A count with three significant digits: `950`, `13.2k`, `4.07M`.
pub(crate) fn count(number: f64) -> String {
    let scaled = |value: f64, unit: &str| {
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.digits$}{unit}")
    };
    match number {
        n if n < 999.5 => format!("{n:.0}"),
        n if n < 999_500.0 => scaled(n / 1e3, "k"),
        n if n < 999.5e6 => scaled(n / 1e6, "M"),
        n => scaled(n / 1e9, "G"),
    }
}

/// A number of bytes with three significant digits: `950 B`, `13.2 kB`, `4.07 MB`.
pub(crate) fn bytes(number: f64) -> String {
    let counted = count(number);
    match counted.strip_suffix(['k', 'M', 'G']) {
        Some(digits) => format!("{digits} {}B", &counted[digits.len()..]),
        None => format!("{counted} B"),
    }
}

/// A fitness, or a dash where there is none.
pub(crate) fn fitness(fitness: Option<f64>) -> String {
    fitness.map_or_else(|| "-".to_owned(), thousandths)
}

/// A mean over tasks with its standard error, or a dash where there is none.
pub(crate) fn estimate(of: Option<v1::Estimate>) -> String {
    let shown = |of: v1::Estimate| format!("{} +- {}", thousandths(of.mean), thousandths(of.standard_error));
    of.map_or_else(|| "-".to_owned(), shown)
}

/// A number to its thousandths; a large one by its power of ten, as it may have three hundred digits.
pub(crate) fn thousandths(number: f64) -> String {
    if number.abs() < 1e9 { format!("{number:.3}") } else { format!("{number:.3e}") }
}

/// A number with three significant digits.
pub(crate) fn significant(number: f64) -> String {
    let magnitude = number.abs();
    if number == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&magnitude) {
        let digits = (2 - magnitude.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{number:.digits$}")
    } else {
        format!("{number:.2e}")
    }
}

/// `1 worker`, `2 workers`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// How long ago a moment was, both in milliseconds since 1970.
pub(crate) fn ago(then_unix_ms: u64) -> String {
    let now = jiff::Timestamp::now().as_millisecond().max(0) as u64;
    match now.saturating_sub(then_unix_ms) / 1000 {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", duration(Duration::from_secs(seconds))),
    }
}

/// A moment in the local time zone.
pub(crate) fn moment(unix_ms: u64) -> String {
    match i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(moment) => {
            moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
        }
        None => "at an impossible time".to_owned(),
    }
}

/// A table without lines, as `ls -l` prints them; columns in `right` are aligned to the right.
pub(crate) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header.iter().map(|title| title.to_uppercase()));
    let cell = |cell: String| escape::line(&cell).into_owned();
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(cell).collect::<Vec<_>>()));
    let columns = header.len();
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place + 1 == columns { 0 } else { 2 }));
        if right.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Hidden layers: `20-20`, or `none`.
pub(crate) fn layers(neurons: &[u32]) -> String {
    if neurons.is_empty() {
        return "none".to_owned();
    }
    neurons.iter().map(ToString::to_string).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let of = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        let read = [0.000_02, 0.001_26, 0.0421, 1.26, 9.96, 59.4, 60.0, 200.0, 7500.0, 273_600.0].map(of);
        assert_eq!(
            read,
            [
                "20 us",
                "1.3 ms",
                "42 ms",
                "1.3 s",
                "10 s",
                "59 s",
                "1 min",
                "3 min 20 s",
                "2 h 5 min",
                "3 d 4 h"
            ]
        );
    }

    #[test]
    fn counts_have_three_digits() {
        let read = [0.0, 999.4, 1000.0, 13_249.0, 999_600.0, 4_070_000.0, 2.5e9].map(count);
        assert_eq!(read, ["0", "999", "1.00k", "13.2k", "1.00M", "4.07M", "2.50G"]);
        assert_eq!(
            [0.0, 0.5, 0.012_34, 123.4, 1e-9, -2.5].map(significant),
            ["0", "0.500", "0.0123", "123", "1.00e-9", "-2.50"]
        );
    }

    #[test]
    fn large_numbers_are_told_by_their_powers_of_ten() {
        let of = |number| fitness(Some(number));
        assert_eq!([of(0.91), of(-999_999_999.0), of(-1e308)], ["0.910", "-999999999.000", "-1.000e308"]);
        let large = v1::Estimate { mean: 1e12, standard_error: 2.5 };
        assert_eq!(estimate(Some(large)), "1.000e12 +- 2.500");
    }

    #[test]
    fn tables_end_without_blanks() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["name", "n"], &[1], rows), "NAME   N\na      1\nbcd   22\n");
    }

    #[test]
    fn words_are_quoted_where_the_shell_would_read_them() {
        for (text, expected) in
            [("/a/b-1", "/a/b-1"), ("", "''"), ("a b", "'a b'"), ("$(x)", "'$(x)'"), ("a\nb", "'a\nb'")]
        {
            assert_eq!(shell_word(text), expected);
        }
    }
}
