//! Numbers as people read them.

/// A number with about three digits: `0.0123`, `12.3`, `1.23e-7`.
pub fn short(value: f64) -> String {
    digits(value, 3)
}

/// A number with so many significant digits.
pub fn digits(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return "-".to_owned();
    }
    let exponent = libm::floor(libm::log10(value.abs())) as i32;
    if !(-4..6).contains(&exponent) {
        return format!("{value:.*e}", (digits - 1).max(0) as usize);
    }
    format!("{value:.*}", (digits - 1 - exponent).max(0) as usize)
}

/// An absent number is a dash.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), short)
}

/// A count with a thin space between thousands.
pub fn count(value: u64) -> String {
    let text = value.to_string();
    let mut shown = String::new();
    for (place, digit) in text.chars().enumerate() {
        if place > 0 && (text.len() - place).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// Seconds as people say them.
pub fn seconds(value: f64) -> String {
    let whole = value.max(0.0) as u64;
    match whole {
        0..=1 => format!("{} s", short(value)),
        2..=59 => format!("{value:.1} s"),
        60..=3599 => format!("{} min {} s", whole / 60, whole % 60),
        3600..=86_399 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Ten to a power, exactly rounded.
pub(crate) fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_sane_length() {
        let cases = [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (12.345, "12.3"),
            (-999.9, "-1000"),
            (123_456.0, "123456"),
            (1.5e-9, "1.50e-9"),
            (1e140, "1.00e140"),
            (f64::NAN, "-"),
        ];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(seconds(0.25), "0.250 s");
        assert_eq!(seconds(61.0), "1 min 1 s");
        assert_eq!(seconds(90_000.0), "1 d 1 h");
    }
}
