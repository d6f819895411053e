//! Runs as lists, details and events.

use std::fmt::Write as _;

use hebbian_shared::progress::{CoordinatorStatus, GenerationSummary, RunProgress, RunState};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::task::TaskFamily;

use super::Paint;
use super::text;
use super::validation;

/// A state's name in its colour.
fn painted_state(state: &RunState, paint: Paint) -> String {
    match state {
        RunState::Running => paint.good(state.name()),
        RunState::Paused { .. } => paint.warning(state.name()),
        RunState::Finished { .. } => paint.bold(state.name()),
        RunState::Cancelled => paint.dim(state.name()),
        RunState::Failed { .. } => paint.bad(state.name()),
    }
}

/// A state and why it is so.
pub(crate) fn state(state: &RunState, paint: Paint) -> String {
    let name = painted_state(state, paint);
    match state {
        RunState::Running | RunState::Cancelled => name,
        RunState::Paused { reason } | RunState::Failed { reason } => format!("{name}: {reason}"),
        RunState::Finished { reason } => format!("{name}: {}", reason.detail),
    }
}

/// How many generations are closed, of how many if that is limited.
pub(super) fn generations(run: &RunProgress) -> String {
    match run.generations_limit {
        Some(limit) => format!("{}/{limit}", run.generation),
        None => run.generation.to_string(),
    }
}

/// All runs, one line each.
pub(crate) fn list(runs: &[RunProgress]) -> String {
    if runs.is_empty() {
        return "no runs yet; `hebbian create SPEC.toml` creates one\n".to_owned();
    }
    let row = |run: &RunProgress| {
        let last = run.last.as_ref();
        vec![
            run.run.to_string(),
            run.name.clone(),
            run.state.name().to_owned(),
            generations(run),
            text::fitness(last.and_then(|last| last.best)),
            text::fitness(last.and_then(|last| last.median)),
            run.weight.to_string(),
            run.eligible_workers.to_string(),
            text::ago(run.created_unix_ms),
        ]
    };
    let mut header =
        vec!["run", "spec", "state", "generation", "best", "median", "weight", "workers", "created"];
    let mut rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    if runs.iter().any(|run| !run.group.is_empty()) {
        header.push("group/seed");
        for (row, run) in rows.iter_mut().zip(runs) {
            row.push(if run.group.is_empty() {
                String::new()
            } else {
                format!("{}/{}", run.group, run.seed)
            });
        }
    }
    text::table(&header, &[3, 4, 5, 6, 7], rows)
}

/// Everything about one run.
pub(crate) fn details(run: &RunProgress, paint: Paint) -> String {
    let mut lines = vec![
        ("run", format!("{}  {}", paint.bold(&run.run.to_string()), run.name)),
        ("state", state(&run.state, paint)),
        ("generation", generations(run)),
    ];
    if !run.state.is_final() {
        let workers = text::plural(u64::from(run.eligible_workers), "worker");
        lines.push((
            "episodes",
            format!("{} of {} settled, {} leased, {workers}", run.settled, run.episodes, run.leased),
        ));
        lines.push(("weight", format!("{} in the fair share of the cluster", run.weight)));
    }
    if let Some(last) = &run.last {
        lines.push((
            "fitness",
            format!("best {}, median {}", text::fitness(last.best), text::fitness(last.median)),
        ));
        lines.push((
            "search",
            format!(
                "step size {}, axis ratio {}, |mean| {}",
                text::significant(last.search.step_size),
                text::significant(last.search.axis_ratio),
                text::significant(last.search.mean_norm)
            ),
        ));
        lines.push((
            "spent",
            format!(
                "{} episodes ({} evaluations) in {}",
                text::count(last.episodes as f64),
                text::count(last.evaluations as f64),
                text::duration(last.elapsed)
            ),
        ));
    }
    if let Some(summary) = &run.validation {
        lines.push(("validation", validation::line(summary)));
    }
    if let Some(figures) = &run.remeasurement {
        lines.push(("result", validation::figures(figures)));
    } else if run.search_ended.is_some() && !run.state.is_final() {
        lines.push(("result", "is being measured on fresh tasks".to_owned()));
    }
    lines.push((
        "created",
        format!("{} ({})", text::moment(run.created_unix_ms), text::ago(run.created_unix_ms)),
    ));
    if let Some(ended) = run.ended_unix_ms {
        lines.push(("ended", format!("{} ({})", text::moment(ended), text::ago(ended))));
    }
    if let Some(parent) = run.parent {
        lines.push(("forked from", format!("{} after {} generations", parent.run, parent.generations)));
    }
    if !run.group.is_empty() {
        lines.push(("group", format!("{}, seed {}", run.group, run.seed)));
    }
    lines.push(("spec", format!("digest {}", run.spec_digest.short())));
    if let Some(fingerprint) = &run.fingerprint {
        lines.push(("numerics", format!("fingerprint {}", fingerprint.short())));
    }
    let mut text = fields(&lines, paint);
    if let Some(summary) = &run.validation {
        for warning in &summary.warnings {
            let _ = writeln!(text, "{}", validation::warning(warning, paint));
        }
        text.push_str(&validation::table(summary, paint));
    }
    for note in &run.notes {
        let _ = writeln!(text, "{} {note}", paint.warning("note"));
    }
    text
}

/// A run after an operator's action, in one line.
pub(crate) fn acted(run: &RunProgress, paint: Paint) -> String {
    format!("{}  {}  {}\n", run.run, run.name, state(&run.state, paint))
}

/// The coordinator as a whole.
pub(crate) fn coordinator(status: &CoordinatorStatus, url: &str, paint: Paint) -> String {
    let mut lines = vec![
        ("coordinator", format!("{}  hebbian {}", paint.bold(url), status.version)),
        ("up", format!("{} (start {} on this journal)", text::duration(status.uptime), status.epoch)),
        ("runs", format!("{} active", status.active_runs)),
        ("workers", format!("{} with {}", status.workers, text::plural(u64::from(status.threads), "thread"))),
        ("settled", format!("{} episodes since the start", text::count(status.settled as f64))),
    ];
    if let Some(trouble) = &status.journal_trouble {
        lines.push(("journal", paint.bad(trouble)));
    }
    fields(&lines, paint)
}

/// What a spec asks for, in three lines.
pub(crate) fn spec(spec: &RunSpec, paint: Paint) -> String {
    fields(&spec_fields(spec), paint)
}

/// What a spec asks for.
pub(super) fn spec_fields(spec: &RunSpec) -> Vec<(&'static str, String)> {
    let families: Vec<&str> = spec.problem.families().iter().map(TaskFamily::name).collect();
    let mut lines = vec![(
        "search",
        format!(
            "{}, population {}, {} numbers to evolve, seed {}",
            spec.strategy.name(),
            spec.strategy.population_size(),
            spec.layout().dimension(),
            spec.seed
        ),
    )];
    if let Some(problem) = spec.problem.rule_learning() {
        let shapes: Vec<String> =
            problem.network.all_shapes().iter().map(|shape| text::layers(shape)).collect();
        let layers = if problem.network.all_shapes().iter().all(Vec::is_empty) {
            "no hidden layer".to_owned()
        } else {
            format!("hidden layers {}", shapes.join(" or "))
        };
        lines.push(("rule", format!("{}, {layers}", problem.rule.options().summary())));
    }
    lines.push(("tasks", format!("{} a generation: {}", spec.tasks_per_generation(), families.join(", "))));
    lines
}

/// One closed generation in one line without decoration, for logs and pipes.
pub(crate) fn generation_line(
    summary: &GenerationSummary,
    limit: Option<u32>,
    episodes_per_second: Option<f64>,
) -> String {
    let done = summary.generation.0 + 1;
    let of = limit.map_or_else(String::new, |limit| format!("/{limit}"));
    let mut line = format!(
        "generation {done}{of}  best {}  median {}  step size {}",
        text::fitness(summary.best),
        text::fitness(summary.median),
        text::significant(summary.search.step_size)
    );
    if summary.diverged > 0 {
        let _ = write!(line, "  diverged {}", summary.diverged);
    }
    if let Some(rate) = episodes_per_second {
        let _ = write!(line, "  {} episodes/s", text::count(rate));
    }
    line
}

/// Lines of a name and a value.
pub(crate) fn fields(lines: &[(&str, String)], paint: Paint) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{}  {value}", paint.dim(&format!("{name:<width$}")));
        text
    })
}
