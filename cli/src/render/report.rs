//! The end of `hebbian run`: what the search came to, and what to do next.

use std::fmt::Write as _;
use std::time::Duration;

use hebbian_shared::spec::range::SpecNumber;

use super::{Paint, comparison, run, text, validation};
use crate::external_result::Chosen;
use crate::report::Report;
use crate::run_directory::RunDirectory;

/// The report as text.
pub(crate) fn text(report: &Report, paint: Paint) -> String {
    let seconds = |seconds: f64| text::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let mut lines = vec![
        ("search", format!("{} (seed {}): {}", paint.bold(&report.spec), report.seed, report.stop.0.detail)),
        (
            "spent",
            format!(
                "{} evaluations, {} episodes, {} ({} of compute)",
                text::count(report.evaluations as f64),
                text::count(report.episodes as f64),
                seconds(report.elapsed_s),
                seconds(report.compute_s)
            ),
        ),
        ("genome", format!("digest {}", report.genome_digest.short())),
    ];
    if let Some(found) = &report.result {
        lines.push(("objective", format!("{} `{}`", found.direction.name(), found.problem)));
        let value = found.value.map_or_else(|| "-".to_owned(), SpecNumber::shown);
        let which = match found.chosen {
            Chosen::Mean => "the mean of the search",
            Chosen::Best => "the best sample",
        };
        lines.push(("value", format!("{} ({which})", paint.bold(&value))));
        lines.push(("parameters", found.line()));
    }
    if let Some(figures) = &report.remeasurement {
        lines.push(("fitness", validation::figures(&figures.0)));
    }
    let last = report.validations.last().map(|summary| &summary.0);
    if let Some(summary) = last {
        lines.push(("validation", validation::line(summary)));
    }
    let mut text = run::fields(&lines, paint);
    for warning in last.into_iter().flat_map(|summary| &summary.warnings) {
        let _ = writeln!(text, "{}", validation::warning(warning, paint));
    }
    if let Some(summary) = last {
        let _ = write!(
            text,
            "\n{}\n{}",
            paint.bold("Validation of the result"),
            validation::table(summary, paint)
        );
    }
    match &report.comparison {
        Some(compared) => format!("{text}\n{}\n", comparison::table(compared, paint)),
        None => format!("{text}\n"),
    }
}

/// Where the files are, and the next command to try.
pub(crate) fn files(directory: &RunDirectory, next: Option<&str>, paint: Paint) -> String {
    let lines = [
        (if next.is_some() { "rule" } else { "result" }, directory.result().display().to_string()),
        ("report", directory.report().display().to_string()),
        ("page", directory.page().display().to_string()),
    ];
    let next = next.map(|next| ("next", paint.command(next)));
    run::fields(&lines.into_iter().chain(next).collect::<Vec<_>>(), paint)
}
