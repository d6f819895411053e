//! Runs as lists, details and events.

use std::fmt::Write as _;

use hebbian_proto::figures::{RunState, duration, short, unix_ms};
use hebbian_proto::v1;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::task::TaskFamily;

use super::{Paint, escape, text, validation};
use crate::external_result::describe;

/// The state of a newer coordinator.
const UNKNOWN: &str = "unknown";

/// A state's name in its colour.
fn painted_state(state: &RunState, paint: Paint) -> String {
    match state {
        RunState::Running(_) => paint.good(state.name()),
        RunState::Paused(_) => paint.warning(state.name()),
        RunState::Finished(_) => paint.bold(state.name()),
        RunState::Cancelled(_) => paint.dim(state.name()),
        RunState::Failed(_) => paint.bad(state.name()),
    }
}

/// A state and why it is so.
pub(crate) fn state(state: Option<&RunState>, paint: Paint) -> String {
    let Some(state) = state else { return UNKNOWN.to_owned() };
    let name = painted_state(state, paint);
    match state {
        RunState::Running(_) | RunState::Cancelled(_) => name,
        RunState::Paused(paused) => format!("{name}: {}", paused.reason),
        RunState::Failed(failed) => format!("{name}: {}", failed.reason),
        RunState::Finished(reason) => format!("{name}: {}", reason.detail),
    }
}

/// A state in one word.
pub(crate) fn state_name(state: Option<&v1::RunState>) -> &'static str {
    state.and_then(|state| state.kind.as_ref()).map_or(UNKNOWN, RunState::name)
}

/// How many generations are closed, of how many if that is limited.
pub(super) fn generations(run: &v1::Run) -> String {
    match run.generations_limit {
        Some(limit) => format!("{}/{limit}", run.generation),
        None => run.generation.to_string(),
    }
}

/// All runs, one line each.
pub(crate) fn list(runs: &[v1::Run]) -> String {
    if runs.is_empty() {
        return "no runs yet; `hebbian create SPEC.toml` creates one\n".to_owned();
    }
    let row = |run: &v1::Run| {
        let last = run.last_generation.as_ref();
        vec![
            run.id().to_owned(),
            run.display_name.clone(),
            state_name(run.state.as_ref()).to_owned(),
            generations(run),
            text::fitness(run.best_fitness),
            text::fitness(last.and_then(|last| last.median_fitness)),
            run.weight.to_string(),
            run.eligible_workers.to_string(),
            text::ago(unix_ms(run.create_time)),
        ]
    };
    let mut header =
        vec!["run", "spec", "state", "generation", "best", "last median", "weight", "workers", "created"];
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

/// What a strategy says of itself.
fn of_search(search: &v1::SearchSummary) -> String {
    let (step_size, mean_norm) = (text::significant(search.step_size), text::significant(search.mean_norm));
    let Some(norm) = search.gradient_norm else {
        let axis_ratio = text::significant(search.axis_ratio);
        return format!("step size {step_size}, axis ratio {axis_ratio}, |mean| {mean_norm}");
    };
    format!(
        "learning rate {step_size}, |gradient| {}, |mean| {mean_norm}, {} diverged",
        text::significant(norm),
        text::plural(search.diverged_tasks.unwrap_or(0), "task")
    )
}

/// Everything about one run.
pub(crate) fn details(run: &v1::Run, paint: Paint) -> String {
    let mut lines = vec![
        ("run", format!("{}  {}", paint.bold(run.id()), run.display_name)),
        ("state", state(run.state(), paint)),
        ("generation", generations(run)),
    ];
    if let Some(objective) = &run.objective {
        let what = if objective.minimise { "minimise" } else { "maximise" };
        let sign = if objective.minimise { " (a fitness is minus a value)" } else { "" };
        lines.push(("objective", format!("{what} {}{sign}", objective.name)));
    }
    if let Some(doubt) = &run.doubt {
        lines.push(("in doubt", doubtful(run, doubt)));
    }
    if !run.is_final() {
        let workers = text::plural(u64::from(run.eligible_workers), "worker");
        lines.push((
            "episodes",
            format!(
                "{} of {} settled, {} leased, {workers}",
                run.settled_episodes, run.generation_episodes, run.leased_episodes
            ),
        ));
        if run.unanswering_workers > 0 {
            lines.push(("silent", unanswering(run)));
        }
        lines.push(("weight", format!("{} (share of the cluster beside other runs)", run.weight)));
    }
    if let Some(last) = &run.last_generation {
        lines.push((
            "fitness",
            format!(
                "best {}, median {}, deviation {}",
                text::fitness(last.best_fitness),
                text::fitness(last.median_fitness),
                last.fitness_deviation.map_or_else(|| "-".to_owned(), text::significant)
            ),
        ));
        if let Some(objective) = run.objective.as_ref().filter(|_| !last.best_scores.is_empty()) {
            let scores = objective.scores.iter().zip(&last.best_scores);
            let scores: Vec<String> =
                scores.map(|(name, score)| format!("{name} {}", text::significant(*score))).collect();
            lines.push(("scores", format!("of the best: {}", scores.join(", "))));
        }
        let search = last.search.clone().unwrap_or_default();
        lines.push(("search", of_search(&search)));
        lines.push((
            "spent",
            format!(
                "{} episodes ({} evaluations) in {}",
                text::count(last.episodes as f64),
                text::count(last.evaluations as f64),
                text::duration(duration(last.elapsed))
            ),
        ));
    }
    if let Some(summary) = &run.validation {
        lines.push(("validation", validation::line(summary)));
    }
    if let Some(figures) = &run.remeasurement {
        lines.push(("result", validation::figures(figures)));
    } else if run.search_ended.is_some() && !run.is_final() {
        lines.push(("result", "is being measured on fresh tasks".to_owned()));
    }
    let moment = |of| format!("{} ({})", text::moment(of), text::ago(of));
    lines.push(("created", moment(unix_ms(run.create_time))));
    if run.end_time.is_some() {
        lines.push(("ended", moment(unix_ms(run.end_time))));
    }
    if let Some(v1::Parent { run, generations }) = &run.parent {
        let run = run.trim_start_matches("runs/");
        lines.push(("forked from", format!("{run} after {generations} generations")));
    }
    if !run.group.is_empty() {
        lines.push(("group", format!("{}, seed {}", run.group, run.seed)));
    }
    lines.push(("spec", format!("digest {}", short(&run.spec_digest))));
    if !run.fingerprint.is_empty() {
        lines.push(("numerics", format!("fingerprint {}", short(&run.fingerprint))));
    }
    let mut text = fields(&lines, paint);
    if let Some(summary) = &run.validation {
        for warning in &summary.warnings {
            let _ = writeln!(text, "{}", validation::warning(warning, paint));
        }
        text.push_str(&validation::table(summary, paint));
    }
    for note in &run.notes {
        let _ = writeln!(text, "{} {}", paint.warning("note"), escape::line(note));
    }
    text
}

/// From where on a run cannot be believed, and what helps.
fn doubtful(run: &v1::Run, doubt: &v1::Doubt) -> String {
    let remedy = match doubt.clean_generations {
        Some(clean) => format!("`hebbian fork {} --generation {clean}` begins before that", run.id()),
        None => "create it anew".to_owned(),
    };
    format!("from generation {} on: worker {} gave wrong answers; {remedy}", doubt.generation, doubt.worker)
}

/// Who is attached and does not answer.
fn unanswering(run: &v1::Run) -> String {
    let count = u64::from(run.unanswering_workers);
    let (named, more) = (run.unanswering.join(", "), count - (run.unanswering.len() as u64).min(count));
    let others = if more == 0 { String::new() } else { format!(" and {more} others") };
    format!("{} let others finish what they held: {named}{others}", text::plural(count, "worker"))
}

/// A run after an operator's action, in one line.
pub(crate) fn acted(run: &v1::Run, paint: Paint) -> String {
    let line = format!("{}  {}  {}", run.id(), run.display_name, state(run.state(), paint));
    format!("{}\n", escape::line(&line))
}

/// A leader that gives way.
pub(crate) fn stepped_down(answer: &v1::StepDownResponse, url: &str) -> String {
    format!("{}\n", escape::line(&format!("{url} gives way to its standby {}", answer.standbys.join(" or "))))
}

/// The coordinator as a whole.
pub(crate) fn coordinator(status: &v1::CoordinatorStatus, url: &str, paint: Paint) -> String {
    if let Some(v1::Leadership { leads: false, leader, address }) = &status.leadership {
        let leader = match (leader.as_str(), address.as_str()) {
            ("", _) => "nobody that it knows of".to_owned(),
            (leader, "") => leader.to_owned(),
            (leader, address) => format!("{leader} at {address}"),
        };
        let standby = format!("{}  hebbian {}, a standby", paint.bold(url), status.version);
        return fields(&[("coordinator", standby), ("leader", leader)], paint);
    }
    let mut lines = vec![
        ("coordinator", format!("{}  hebbian {}", paint.bold(url), status.version)),
        (
            "up",
            format!("{} (start {} on this journal)", text::duration(duration(status.uptime)), status.epoch),
        ),
        ("runs", format!("{} active", status.active_runs)),
        ("workers", format!("{} with {}", status.workers, text::plural(u64::from(status.threads), "thread"))),
        ("settled", format!("{} episodes since the start", text::count(status.settled_episodes as f64))),
    ];
    if let Some(v1::Leadership { leader, address, .. }) = &status.leadership {
        lines.insert(1, ("leads", format!("as {leader} at {address}")));
    }
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
    let population = match spec.strategy.population_size() {
        1 => String::new(),
        several => format!(", population {several}"),
    };
    let mut lines = vec![(
        "search",
        format!(
            "{}{population}, {}, seed {}",
            spec.strategy.name(),
            text::plural(spec.layout().dimension() as u64, "number"),
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
    if let Some(problem) = spec.problem.external() {
        lines.push(("objective", describe(problem)));
        let each = text::plural(u64::from(problem.evaluations()), "evaluation");
        let limit = problem.time_limit_s;
        lines.push(("evaluations", format!("{each} of each candidate, each of at most {limit} s")));
    } else {
        let tasks = spec.tasks_per_generation();
        lines.push(("tasks", format!("{tasks} a generation: {}", families.join(", "))));
    }
    lines
}

/// One closed generation in a few figures, without decoration.
pub(super) fn generation_figures(
    summary: &v1::GenerationSummary,
    episodes_per_second: Option<f64>,
) -> String {
    let mut line = format!(
        "best {}  median {}  step size {}",
        text::fitness(summary.best_fitness),
        text::fitness(summary.median_fitness),
        text::significant(summary.search.as_ref().map_or(0.0, |search| search.step_size))
    );
    if summary.diverged > 0 {
        let word = if summary.updates == 0 { "failed" } else { "diverged" };
        let _ = write!(line, "  {word} {}", summary.diverged);
    }
    if summary.infeasible > 0 {
        let _ = write!(line, "  infeasible {}", summary.infeasible);
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
        let _ = writeln!(text, "{}  {}", paint.dim(&format!("{name:<width$}")), escape::line(value));
        text
    })
}
