//! The attached workers.

use std::fmt::Write as _;
use std::time::Duration;

use hebbian_proto::figures::{duration, short};
use hebbian_proto::v1::Worker;

use super::{Paint, escape, text};

/// One line per worker, then why some may not work on a run.
pub(crate) fn list(workers: &[Worker], paint: Paint) -> String {
    if workers.is_empty() {
        return "no workers are attached; `hebbian worker --coordinator URL` starts one\n".to_owned();
    }
    let row = |worker: &Worker| {
        vec![
            worker.id.to_string(),
            worker.display_name.clone(),
            worker.threads.to_string(),
            format!("{}/{}", worker.leased_episodes, worker.credit),
            worker.settled_episodes.to_string(),
            worker.errors.to_string(),
            worker.episode_time.map_or_else(|| "-".to_owned(), |time| text::duration(duration(Some(time)))),
            text::duration(duration(worker.attached)),
            worker.version.clone(),
            short(&worker.fingerprint),
            state(worker),
        ]
    };
    let header = [
        "worker", "name", "threads", "leased", "settled", "errors", "episode", "attached", "version",
        "numerics", "state",
    ];
    let mut text = text::table(&header, &[0, 2, 3, 4, 5, 6, 7], workers.iter().map(row).collect());
    for worker in workers {
        if !worker.excluded.is_empty() {
            let line = format!("{}: {}", worker.display_name, worker.excluded);
            let _ = writeln!(text, "{} {}", paint.bad("excluded"), escape::line(&line));
            continue;
        }
        for refused in &worker.ineligible {
            let mark = paint.warning("ineligible");
            let run = refused.run.trim_start_matches("runs/");
            let line = format!("{} for run {run}: {}", worker.display_name, refused.reason);
            let _ = writeln!(text, "{mark} {}", escape::line(&line));
        }
    }
    text
}

/// A worker that holds something speaks twice a second; one that did not for so long may hang.
const SILENCE: Duration = Duration::from_millis(1500);
/// One that was overtaken so often does not just happen to be slow.
const OVERTAKEN: u32 = 3;

/// What a worker does, or what is wrong with it.
pub(super) fn state(worker: &Worker) -> String {
    let heard = duration(worker.heard);
    if !worker.excluded.is_empty() {
        "excluded".to_owned()
    } else if worker.draining {
        "draining".to_owned()
    } else if worker.overtaken >= OVERTAKEN {
        format!("overtaken {} times, heard {} ago", worker.overtaken, text::duration(heard))
    } else if worker.leased_episodes > 0 && heard >= SILENCE {
        format!("silent for {}", text::duration(heard))
    } else if !worker.proven {
        "has not answered yet".to_owned()
    } else {
        "working".to_owned()
    }
}

/// What became of workers that were asked to leave.
pub(crate) fn drained(workers: &[Worker], gone: bool, paint: Paint) -> String {
    let line = |worker: &Worker| {
        let state = if gone { paint.dim("has left") } else { paint.warning("draining") };
        format!("{}  {}  {state}\n", worker.id, escape::line(&worker.display_name))
    };
    workers.iter().map(line).collect()
}
