//! Runs that were created together.

use std::fmt::Write as _;

use hebbian_proto::figures::{RunState, unix_ms};
use hebbian_proto::v1;
use hebbian_shared::estimate::Estimate;
use serde_json::{Value, json};

use super::{Paint, text};

/// What the finished runs of a group found, over the runs.
#[derive(Debug, PartialEq)]
struct Summary {
    finished: usize,
    /// The means' fitness on fresh tasks; `None` before a run has finished.
    fitness: Option<Estimate>,
    standard_deviation: f64,
    /// Lowest and highest, each with its seed.
    range: Option<[(f64, u64); 2]>,
}

impl Summary {
    fn of(runs: &[v1::Run]) -> Self {
        let finished = runs.iter().filter(|run| matches!(run.state(), Some(RunState::Finished(_))));
        let found: Vec<(f64, u64)> = finished
            .clone()
            .filter_map(|run| Some((run.remeasurement.as_ref()?.mean.as_ref()?.fitness?.mean, run.seed)))
            .collect();
        let fitness = (!found.is_empty()).then(|| Estimate::of(found.iter().map(|(fitness, _)| *fitness)));
        let order = |a: &&(f64, u64), b: &&(f64, u64)| a.0.total_cmp(&b.0);
        let range = found.iter().min_by(order).zip(found.iter().max_by(order));
        Self {
            finished: finished.count(),
            standard_deviation: fitness.map_or(0.0, |of| of.deviation(found.len())),
            fitness,
            range: range.map(|(lowest, highest)| [*lowest, *highest]),
        }
    }
}

/// The runs of a group with what they found together.
pub(crate) fn table(runs: &[v1::Run], paint: Paint) -> String {
    let header =
        ["run", "seed", "state", "generation", "best", "last median", "mean on fresh tasks", "validation"];
    let row = |run: &v1::Run| {
        let last = run.last_generation.as_ref();
        let figures = run.remeasurement.as_ref().and_then(|figures| figures.mean.as_ref());
        vec![
            run.id().to_owned(),
            run.seed.to_string(),
            super::run::state_name(run.state.as_ref()).to_owned(),
            super::run::generations(run),
            text::fitness(run.best_fitness),
            text::fitness(last.and_then(|last| last.median_fitness)),
            text::estimate(figures.and_then(|mean| mean.fitness)),
            text::estimate(run.validation.as_ref().and_then(|of| of.accuracy)),
        ]
    };
    let mut rows: Vec<&v1::Run> = runs.iter().collect();
    rows.sort_by_key(|run| (run.seed, unix_ms(run.create_time)));
    let mut all = text::table(&header, &[1, 3, 4, 5, 6, 7], rows.into_iter().map(row).collect());
    let summary = Summary::of(runs);
    let mut line = format!("{} of {} finished", summary.finished, text::plural(runs.len() as u64, "run"));
    if let (Some(fitness), Some([lowest, highest])) = (summary.fitness, summary.range) {
        let _ = write!(
            line,
            "; mean on fresh tasks {} +- {} over the runs (standard deviation {}), from {} (seed {}) to {} \
             (seed {})",
            text::thousandths(fitness.mean),
            text::thousandths(fitness.standard_error),
            text::thousandths(summary.standard_deviation),
            text::thousandths(lowest.0),
            lowest.1,
            text::thousandths(highest.0),
            highest.1
        );
    }
    let _ = writeln!(all, "{}", paint.bold(&line));
    all
}

/// The same for programs.
pub(crate) fn json(group: &str, runs: &[v1::Run]) -> Value {
    let summary = Summary::of(runs);
    let end = |place: usize| {
        summary.range.map(|range| json!({ "fitness": range[place].0, "seed": range[place].1 }))
    };
    json!({
        "group": group,
        "runs": runs.iter().map(super::json::of).collect::<Vec<_>>(),
        "finished": summary.finished,
        "fitness": summary.fitness,
        "standard_deviation": summary.standard_deviation,
        "lowest": end(0),
        "highest": end(1),
    })
}

/// All groups with their sizes, in order of creation.
pub(crate) fn groups(runs: &[v1::Run]) -> Vec<Value> {
    names(runs)
        .into_iter()
        .map(|name| {
            let count = runs.iter().filter(|run| run.group == name).count();
            json!({ "group": name, "runs": count })
        })
        .collect()
}

/// All groups, one a line.
pub(crate) fn list(runs: &[v1::Run]) -> String {
    let names = names(runs);
    if names.is_empty() {
        return "no groups yet; `hebbian create SPEC.toml --seeds 1..5` creates one\n".to_owned();
    }
    let row = |name: &&str| {
        let runs: Vec<&v1::Run> = runs.iter().filter(|run| run.group == **name).collect();
        let ended = runs.iter().filter(|run| run.is_final()).count();
        vec![(*name).to_owned(), runs[0].display_name.clone(), runs.len().to_string(), ended.to_string()]
    };
    text::table(&["group", "spec", "runs", "ended"], &[2, 3], names.iter().map(row).collect())
}

fn names(runs: &[v1::Run]) -> Vec<&str> {
    let mut names = Vec::new();
    for run in runs {
        if !run.group.is_empty() && !names.contains(&run.group.as_str()) {
            names.push(run.group.as_str());
        }
    }
    names
}
