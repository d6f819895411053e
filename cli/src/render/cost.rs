//! What a run will cost.

use std::time::Duration;

use hebbian_shared::spec::RunSpec;

use super::{Paint, run, text};
use crate::cost::{Cost, SearchCost};

fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "for ever".to_owned(), text::duration)
}

/// A spec and its cost in a few lines.
pub(crate) fn lines(spec: &RunSpec, cost: &Cost, paint: Paint) -> String {
    let generations = match cost.generations {
        Some(generations) => text::plural(u64::from(generations), "generation"),
        None => "no limit of generations".to_owned(),
    };
    let mut lines = run::spec_fields(spec);
    lines.push((
        "work",
        format!(
            "{generations} of {} {} each",
            text::count(cost.episodes_per_generation as f64),
            if spec.problem.external().is_some() { "evaluations" } else { "episodes" }
        ),
    ));
    for phase in &cost.phases {
        let of = phase
            .generations
            .map_or_else(String::new, |n| format!("{}, ", text::plural(u64::from(n), "generation")));
        let episode = seconds(phase.episode_s);
        lines.push((
            "episodes",
            format!("{of}{} each: {episode} an episode", text::plural(u64::from(phase.updates), "update")),
        ));
    }
    for (family, unknown) in &cost.unknown {
        lines.push((
            "unknown",
            format!(
                "{family}: without the task {:.2} bits of a label are unknown, {:.2} of a support set",
                unknown.example, unknown.support
            ),
        ));
    }
    if let Some(compute) = cost.compute_s {
        lines.push(("compute", format!("{} of one core", seconds(compute))));
    }
    let SearchCost { generation_s, memory_bytes, journal_generation_bytes, snapshot_bytes } = cost.search;
    lines.push((
        "coordinator",
        format!(
            "{} a generation for the search, {} of memory, journal {} a generation and {} for each snapshot",
            seconds(generation_s),
            text::bytes(memory_bytes),
            text::bytes(journal_generation_bytes),
            text::bytes(snapshot_bytes)
        ),
    ));
    let estimate = match cost.elapsed_s {
        Some(elapsed) => format!(
            "about {} on this machine with {}",
            paint.bold(&seconds(elapsed)),
            text::plural(u64::from(cost.threads), "thread")
        ),
        None if spec.problem.external().is_some() => {
            "unknown: the program that evaluates the objective decides".to_owned()
        }
        None => "unknown: only the search's own criteria end it".to_owned(),
    };
    lines.push(("time", estimate));
    lines.extend(spec.notes().into_iter().map(|note| ("note", note)));
    run::fields(&lines, paint)
}
