//! What was found of a worker that was tried.

use std::time::Duration;

use serde::Serialize;

use super::{Paint, escape, json, note, out};
use crate::failure::Failure;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// Its name.
    pub(crate) check: &'static str,
    /// `ok`, `failed` or `skipped`.
    pub(crate) result: &'static str,
    /// What was seen, if it failed; why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) right: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Finding {
    /// Whether the worker did something wrong.
    pub(crate) fn is_failed(&self) -> bool {
        self.result == "failed"
    }
}

#[derive(Serialize)]
struct Findings<'a> {
    passed: usize,
    failed: usize,
    skipped: usize,
    checks: &'a [Finding],
}

/// Where a worker is waited for.
pub(crate) fn waits(address: &str, problem: &str) {
    note(&format!("a coordinator is played at {address}; start a worker there that serves `{problem}`"));
}

/// A line, and one more of a fault.
pub(crate) fn line(finding: &Finding) -> Result<(), Failure> {
    out(&told(finding, Paint::stdout()))
}

fn told(finding: &Finding, paint: Paint) -> String {
    let Finding { check, result, seen, right, .. } = finding;
    let seen = escape::line(seen.as_deref().unwrap_or_default());
    match (*result, right) {
        ("failed", right) => {
            let right = escape::line(right.as_deref().unwrap_or_default());
            format!("{}  {check}: {seen}; right is: {right}\n", paint.bad("FAILED"))
        }
        ("skipped", _) => format!("{} {check}: {seen}\n", paint.warning("skipped")),
        _ => format!("{}      {check}\n", paint.good("ok")),
    }
}

/// How many of each, or all as JSON.
pub(crate) fn all(found: &[Finding], as_json: bool) -> Result<(), Failure> {
    let count = |result| found.iter().filter(|finding| finding.result == result).count();
    let (passed, failed, skipped) = (count("ok"), count("failed"), count("skipped"));
    if as_json {
        return out(&json::pretty(&Findings { passed, failed, skipped, checks: found }));
    }
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    out(&format!("{passed} passed, {failed} failed{skipped}\n"))
}

/// Of a duration as it is told.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_one_line_each() {
        let finding = |result, seen: Option<&str>, right: Option<&str>| Finding {
            check: "ids",
            result,
            seen: seen.map(str::to_owned),
            right: right.map(str::to_owned),
            seconds: 0.5,
        };
        let told = |finding: &Finding| told(finding, Paint::stdout());
        assert_eq!(told(&finding("ok", None, None)), "ok      ids\n");
        assert_eq!(
            told(&finding("failed", Some("a\nb\u{1b}[2J"), Some("c"))),
            "FAILED  ids: a\\nb\\u{1b}[2J; right is: c\n"
        );
        assert_eq!(told(&finding("skipped", Some("not here"), None)), "skipped ids: not here\n");
    }
}
