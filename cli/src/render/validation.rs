//! Validations, warnings, and the measurement of a result.

use std::fmt::Write as _;

use hebbian_proto::v1::remeasurement::Measured;
use hebbian_proto::v1::validation_summary::{Family, SegmentNorm, Warning};
use hebbian_proto::v1::{Remeasurement, ValidationSummary};

use super::text::estimate;
use super::{Paint, escape, text};

/// A warning: the failure, its figure and what helps.
pub(crate) fn warning(warning: &Warning, paint: Paint) -> String {
    format!(
        "{} {}: {}\n{}",
        paint.warning("warning:"),
        paint.bold(&escape::line(&warning.failure)),
        escape::line(&warning.figure),
        paint.dim(&format!("         {}", escape::line(&warning.remedy)))
    )
}

/// What a validation found over all families, in one line.
pub(crate) fn line(summary: &ValidationSummary) -> String {
    format!(
        "accuracy {} after {}, {} after {} (mean at generation {})",
        estimate(summary.accuracy),
        text::plural(u64::from(summary.updates), "update"),
        estimate(summary.extended),
        summary.extended_updates,
        summary.generation
    )
}

/// A validation by family, with the norms of the genome's parts.
pub(crate) fn table(summary: &ValidationSummary, paint: Paint) -> String {
    let header = [
        "family",
        "trained on",
        "tasks",
        "after 0",
        &format!("after {}", summary.updates),
        &format!("after {}", summary.extended_updates),
        "diverged",
    ];
    let row = |family: &Family| {
        vec![
            family.family.clone(),
            if family.trained { "yes" } else { "no" }.to_owned(),
            family.tasks.to_string(),
            estimate(family.unadapted),
            estimate(family.accuracy),
            estimate(family.extended),
            family.diverged.to_string(),
        ]
    };
    let mut table = text::table(&header, &[2, 3, 4, 5, 6], summary.families.iter().map(row).collect());
    let norm = |norm: &SegmentNorm| format!("{} {}", norm.segment, text::significant(norm.norm));
    let norms: Vec<String> = summary.norms.iter().map(norm).collect();
    let _ = writeln!(table, "{} {}", paint.dim("norms:"), norms.join(", "));
    if let Some(keys) = &summary.keys {
        let figures = [
            ("support use", keys.support_use),
            ("memorised", keys.memorised),
            ("gap to unseen tasks", keys.learner_gap),
            ("support use there", keys.test_support_use),
            ("lead of the unlearned start there", keys.unlearned_lead),
        ];
        let figures = figures.into_iter().filter_map(|(name, figure)| Some((name, figure?)));
        let figures: Vec<String> =
            figures.map(|(name, figure)| format!("{name} {}", estimate(Some(figure)))).collect();
        let _ = writeln!(table, "{} {}", paint.dim("memory and learning:"), figures.join(", "));
    }
    if let Some(check) = &summary.estimate {
        let _ = writeln!(
            table,
            "{} {} beside {}: cosine {}, lowest {:.3}, length {} ({}; {:.1} and {:.1} forward passes an update)",
            paint.dim("gradient:"),
            escape::line(&check.estimator),
            escape::line(&check.exact),
            estimate(check.cosine),
            check.lowest_cosine,
            estimate(check.length_ratio),
            text::plural(u64::from(check.tasks), "task"),
            check.forward_passes,
            check.exact_forward_passes
        );
    }
    table
}

/// What mean and best sample are worth on fresh tasks, in one line.
pub(crate) fn figures(figures: &Remeasurement) -> String {
    let measured = |measured: &Measured| {
        let mut text = estimate(measured.fitness);
        if measured.diverged > 0 {
            let word = if figures.updates == 0 { "failed" } else { "diverged" };
            let _ = write!(text, ", {} {word}", measured.diverged);
        }
        if measured.infeasible > 0 {
            let _ = write!(text, ", {} infeasible", measured.infeasible);
        }
        text
    };
    if figures.updates == 0 {
        // An external problem has no updates.
        return format!(
            "mean {}{} ({})",
            figures.mean.as_ref().map_or_else(|| "-".to_owned(), measured),
            figures
                .best
                .as_ref()
                .map_or_else(String::new, |best| format!("; best sample {}", measured(best))),
            text::plural(u64::from(figures.tasks), "evaluation")
        );
    }
    let best =
        figures.best.as_ref().map_or_else(String::new, |best| format!("; best sample {}", measured(best)));
    format!(
        "mean {}{best} ({} of {})",
        figures.mean.as_ref().map_or_else(|| "-".to_owned(), measured),
        text::plural(u64::from(figures.tasks), "fresh task"),
        text::plural(u64::from(figures.updates), "update")
    )
}

#[cfg(test)]
mod tests {
    use hebbian_proto::v1::Estimate;

    use super::*;

    #[test]
    fn figures_name_mean_and_best_sample() {
        let measured = |mean, diverged| {
            let fitness = Some(Estimate { mean, standard_error: 0.01 });
            Some(Measured { fitness, diverged, ..Measured::default() })
        };
        let mut of = Remeasurement {
            updates: 100,
            tasks: 96,
            mean: measured(0.91, 0),
            best: measured(0.9, 2),
            compute_time: None,
        };
        assert_eq!(
            figures(&of),
            "mean 0.910 +- 0.010; best sample 0.900 +- 0.010, 2 diverged (96 fresh tasks of 100 updates)"
        );
        of.best = None;
        assert_eq!(figures(&of), "mean 0.910 +- 0.010 (96 fresh tasks of 100 updates)");
    }
}
