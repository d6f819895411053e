//! What programs read with `--json`: durations in seconds (`..._s`), digests in hexadecimal, absent values as null.

use hebbian_shared::progress::{
    CoordinatorStatus, GenerationSummary, RunEvent, RunProgress, RunState, WorkerStatus,
};
use serde::Serialize;
use serde_json::{Value, json};

/// One line of JSON.
pub(crate) fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("plain data");
    text.push('\n');
    text
}

/// JSON over several lines.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data");
    text.push('\n');
    text
}

fn state(state: &RunState) -> Value {
    match state {
        RunState::Paused { reason } | RunState::Failed { reason } => {
            json!({ "state": state.name(), "reason": reason })
        }
        RunState::Finished { reason } => {
            json!({ "state": state.name(), "criterion": reason.criterion, "reason": reason.detail })
        }
        RunState::Running | RunState::Cancelled => json!({ "state": state.name() }),
    }
}

/// A closed generation, by the number of generations that were closed with it: as `status` and the lines of `watch` count.
pub(crate) fn generation(summary: &GenerationSummary) -> Value {
    json!({
        "generation": summary.generation.0 + 1,
        "updates": summary.updates,
        "best": summary.best,
        "median": summary.median,
        "diverged": summary.diverged,
        "evaluations": summary.evaluations,
        "episodes": summary.episodes,
        "compute_s": summary.compute_time.as_secs_f64(),
        "elapsed_s": summary.elapsed.as_secs_f64(),
        "step_size": summary.search.step_size,
        "axis_ratio": summary.search.axis_ratio,
        "deviation_min": summary.search.deviation_range.0,
        "deviation_max": summary.search.deviation_range.1,
        "mean_norm": summary.search.mean_norm,
        "digest": summary.digest,
    })
}

/// A run.
pub(crate) fn run(run: &RunProgress) -> Value {
    let mut value = json!({
        "run": run.run,
        "spec": run.name,
        "spec_digest": run.spec_digest,
        "generation": run.generation,
        "generations_limit": run.generations_limit,
        "settled": run.settled,
        "episodes": run.episodes,
        "leased": run.leased,
        "eligible_workers": run.eligible_workers,
        "weight": run.weight,
        "best": run.best,
        "last": run.last.as_ref().map(generation),
        "created_unix_ms": run.created_unix_ms,
        "fingerprint": run.fingerprint,
        "validation": run.validation,
        "search_ended": run.search_ended,
        "remeasurement": run.remeasurement,
        "notes": run.notes,
        "sequence": run.sequence,
        "seed": run.seed,
        "group": run.group,
        "parent": run.parent,
        "ended_unix_ms": run.ended_unix_ms,
    });
    merge(&mut value, state(&run.state));
    value
}

/// A committed event with its sequence number.
pub(crate) fn event(sequence: u64, event: &RunEvent) -> Value {
    let (kind, body) = match event {
        RunEvent::Generation(summary) => ("generation", generation(summary)),
        RunEvent::State(changed) => ("state", state(changed)),
        RunEvent::Note(note) => ("note", json!({ "note": note })),
        RunEvent::Validation(summary) => ("validation", json!(summary)),
        RunEvent::Remeasurement(figures) => ("remeasurement", json!(figures)),
    };
    let mut value = json!({ "sequence": sequence, "event": kind });
    merge(&mut value, body);
    value
}

/// A worker.
pub(crate) fn worker(worker: &WorkerStatus) -> Value {
    json!({
        "worker": worker.worker,
        "name": worker.name,
        "threads": worker.threads,
        "version": worker.version,
        "fingerprint": worker.fingerprint,
        "leased": worker.leased,
        "credit": worker.credit,
        "settled": worker.settled,
        "errors": worker.errors,
        "episode_s": worker.episode_time.map(|time| time.as_secs_f64()),
        "attached_s": worker.attached.as_secs_f64(),
        "heard_s": worker.heard.as_secs_f64(),
        "overtaken": worker.overtaken,
        "draining": worker.draining,
        "ineligible": worker.ineligible,
    })
}

/// The coordinator.
pub(crate) fn coordinator(status: &CoordinatorStatus) -> Value {
    json!({
        "version": status.version,
        "epoch": status.epoch,
        "uptime_s": status.uptime.as_secs_f64(),
        "workers": status.workers,
        "threads": status.threads,
        "active_runs": status.active_runs,
        "settled": status.settled,
        "journal_trouble": status.journal_trouble,
    })
}

/// Adds the keys of `more` to an object.
pub(crate) fn merge(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}
