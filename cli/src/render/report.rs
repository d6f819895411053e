//! The end of `hebbian run`: what the search came to, and what to do next.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Paint, comparison, run, text, validation};
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
    format!("{text}\n{}\n", comparison::table(&report.comparison, paint))
}

/// Where the files are, and the next command to try.
pub(crate) fn files(directory: &RunDirectory, next: &str, paint: Paint) -> String {
    // Without `--tasks`, the tasks are such as the rule has outputs for.
    let more = format!("{next} --updates 5,50,500");
    let lines = [
        ("rule", directory.genome().display().to_string()),
        ("report", directory.report().display().to_string()),
        ("page", directory.page().display().to_string()),
        ("next", paint.command(&more)),
    ];
    run::fields(&lines, paint)
}
