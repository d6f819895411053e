//! The attached workers.

use std::fmt::Write as _;
use std::time::Duration;

use hebbian_shared::progress::WorkerStatus;

use super::{Paint, text};

/// One line per worker, then why some may not work on a run.
pub(crate) fn list(workers: &[WorkerStatus], paint: Paint) -> String {
    if workers.is_empty() {
        return "no workers are attached; `hebbian worker --coordinator URL` starts one\n".to_owned();
    }
    let row = |worker: &WorkerStatus| {
        vec![
            worker.worker.to_string(),
            worker.name.clone(),
            worker.threads.to_string(),
            format!("{}/{}", worker.leased, worker.credit),
            worker.settled.to_string(),
            worker.errors.to_string(),
            worker.episode_time.map_or_else(|| "-".to_owned(), text::duration),
            text::duration(worker.attached),
            worker.version.clone(),
            worker.fingerprint.short(),
            state(worker),
        ]
    };
    let header = [
        "worker", "name", "threads", "leased", "settled", "errors", "episode", "attached", "version",
        "numerics", "state",
    ];
    let mut text = text::table(&header, &[0, 2, 3, 4, 5, 6, 7], workers.iter().map(row).collect());
    for worker in workers {
        for refused in &worker.ineligible {
            let mark = paint.warning("ineligible");
            let _ = writeln!(text, "{mark} {} for run {}: {}", worker.name, refused.run, refused.reason);
        }
    }
    text
}

/// A worker that holds something speaks twice a second; one that did not for so long may hang.
const SILENCE: Duration = Duration::from_millis(1500);
/// One that was overtaken so often does not just happen to be slow.
const OVERTAKEN: u32 = 3;

fn state(worker: &WorkerStatus) -> String {
    if worker.draining {
        "draining".to_owned()
    } else if worker.overtaken >= OVERTAKEN {
        format!("overtaken {} times, heard {} ago", worker.overtaken, text::duration(worker.heard))
    } else if worker.leased > 0 && worker.heard >= SILENCE {
        format!("silent for {}", text::duration(worker.heard))
    } else {
        "working".to_owned()
    }
}

/// What became of workers that were asked to leave.
pub(crate) fn drained(workers: &[WorkerStatus], gone: bool, paint: Paint) -> String {
    let line = |worker: &WorkerStatus| {
        let state = if gone { paint.dim("has left") } else { paint.warning("draining") };
        format!("{}  {}  {state}\n", worker.worker, worker.name)
    };
    workers.iter().map(line).collect()
}
