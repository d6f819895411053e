//! The checks, in the order in which a worker is tried.

mod answers;
mod leaving;
mod life;
mod sessions;

use super::check::Check;

macro_rules! checks {
    ($($name:literal: $run:path),+ $(,)?; ends: $($last:literal: $ends:path),+ $(,)?) => {
        &[
            $(Check { name: $name, ends: false, run: |bench| $run(bench).into() },)+
            $(Check { name: $last, ends: true, run: |bench| $ends(bench).into() },)+
        ]
    };
}

/// All of them.
pub(super) const ALL: &[Check] = checks![
    "hello": sessions::hello,
    "serves": sessions::serves,
    "rejects": sessions::rejects,
    "settles-once": answers::settles_once,
    "ids": answers::ids,
    "values": answers::values,
    "scores": answers::scores,
    "infeasible": answers::infeasible,
    "failed": answers::failed,
    "errors": answers::errors,
    "redelivery": answers::redelivery,
    "report-numbers": answers::report_numbers,
    "large-batch": answers::large_batch,
    "unknown-fields": sessions::unknown_fields,
    "heartbeats": life::heartbeats,
    "idle-heartbeats": life::idle_heartbeats,
    "withdraw": life::withdraw,
    "withdraw-episodes": life::withdraw_episodes,
    "run-end": life::run_end,
    "run-again": life::run_again,
    "resends": sessions::resends,
    "acknowledged": sessions::acknowledged,
    "old-work": sessions::old_work,
    "reconnects": sessions::reconnects;
    ends:
    "drains": leaving::drains,
    "gives-back": leaving::gives_back,
    "late-batch": leaving::late_batch,
    "drains-in-time": leaving::drains_in_time,
    "terminates": leaving::terminates,
];
