//! Times as arguments have them.

use std::time::Duration;

/// A time such as `10s`; what is wrong with it, and what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 10s, 2min or 90d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_told_with_one() {
        assert_eq!(parse("1min 30s"), Ok(Duration::from_secs(90)));
        for text in ["soon", "", "10", "-1s", "s", "99999999999999999999s"] {
            let problem = parse(text).unwrap_err();
            assert!(problem.ends_with("; write for example 10s, 2min or 90d"), "{text}: {problem}");
        }
    }
}
