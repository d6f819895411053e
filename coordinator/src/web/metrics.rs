//! A coordinator's figures for monitoring.

use std::sync::atomic::Ordering;

use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::{Refusal, run, worker};
use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;

use super::exposition::Metrics;
use crate::handle::Handle;
use crate::timing::Timings;
use crate::upkeep::Upkeep;

/// Names of the states of runs.
const STATES: [&str; 5] = ["running", "paused", "finished", "cancelled", "failed"];
/// Runs and workers that are asked for at once.
const PAGE: u32 = 500;
/// So many times in a row others were faster: the worker is silent.
const SILENT: u32 = 3;

/// All metrics; while the coordinator ends there are none of it.
pub(super) async fn text(handle: &Handle) -> String {
    match asked(handle).await {
        Ok((status, runs, workers)) => {
            written(&status, &runs, &workers) + &timed(&handle.timings) + &kept_up(handle.upkeep())
        }
        Err(refusal) => format!("# {}\n", refusal.to_string().replace('\n', " ")),
    }
}

async fn asked(handle: &Handle) -> Result<(v1::CoordinatorStatus, Vec<v1::Run>, Vec<v1::Worker>), Refusal> {
    let status = handle.ask(Status).await?;
    let (mut runs, mut token) = (Vec::new(), String::new());
    loop {
        let page = handle.ask(run::List { page: PageRequest { size: PAGE, token } }).await?;
        runs.extend(page.items);
        token = page.next_token;
        if token.is_empty() {
            break;
        }
    }
    let mut workers = Vec::new();
    loop {
        let page = handle.ask(worker::List { page: PageRequest { size: PAGE, token } }).await?;
        workers.extend(page.items);
        token = page.next_token;
        if token.is_empty() {
            return Ok((status, runs, workers));
        }
    }
}

fn written(status: &v1::CoordinatorStatus, runs: &[v1::Run], workers: &[v1::Worker]) -> String {
    let mut metrics = Metrics::default();
    metrics.build(&status.version);
    let uptime = duration(status.uptime).as_secs_f64();
    metrics.one("hebbian_uptime_seconds", "gauge", "Time since the coordinator started.", uptime);
    metrics.one("hebbian_journal_starts", "gauge", "Starts of coordinators on this journal.", status.epoch);
    let trouble = u8::from(status.journal_trouble.is_some());
    metrics.one("hebbian_journal_trouble", "gauge", "1 while the journal cannot be written.", trouble);
    let settled = status.settled_episodes;
    metrics.one("hebbian_episodes_settled_total", "counter", "Episodes settled since the start.", settled);
    let late = "Reports since the start that came late; they are harmless.";
    metrics.one("hebbian_late_messages_total", "counter", late, status.late_messages);
    let hedged = "Episodes that a second worker was given because the first one took long.";
    metrics.one("hebbian_episodes_hedged_total", "counter", hedged, status.hedged_episodes);
    let came = "Workers that attached since the start.";
    metrics.one("hebbian_workers_attached_total", "counter", came, status.attached_workers);
    let lost =
        "Workers lost since the start: their connection ended, or they fell silent with what they held.";
    metrics.family("hebbian_workers_lost_total", "counter", lost);
    let gone = status.lost_workers.saturating_sub(status.silent_workers);
    for (reason, count) in [("connection", gone), ("silence", status.silent_workers)] {
        metrics.labelled("hebbian_workers_lost_total", ("reason", reason), count);
    }
    let of = |state: &str| runs.iter().filter(|run| run.state().is_some_and(|of| of.name() == state)).count();
    metrics.family("hebbian_runs", "gauge", "Runs by state.");
    for state in STATES {
        metrics.labelled("hebbian_runs", ("state", state), of(state));
    }
    let running: Vec<&v1::Run> =
        runs.iter().filter(|run| matches!(run.state(), Some(RunState::Running(_)))).collect();
    let sum = |figure: fn(&v1::Run) -> u32| running.iter().map(|run| u64::from(figure(run))).sum::<u64>();
    let open = sum(|run| run.generation_episodes.saturating_sub(run.settled_episodes));
    metrics.one(
        "hebbian_episodes_open",
        "gauge",
        "Episodes of open generations that have not settled.",
        open,
    );
    let leased = sum(|run| run.leased_episodes);
    metrics.one("hebbian_episodes_leased", "gauge", "Episodes that workers hold.", leased);
    // A hedged episode is open once and held twice.
    let queued = sum(|run| {
        let open = run.generation_episodes.saturating_sub(run.settled_episodes);
        open.saturating_sub(run.leased_episodes)
    });
    metrics.one("hebbian_episodes_queued", "gauge", "Open episodes that no worker holds.", queued);
    let alone = running.iter().filter(|run| run.eligible_workers == 0).count();
    metrics.one("hebbian_runs_without_workers", "gauge", "Running runs that no worker may work on.", alone);
    let doubted = runs.iter().filter(|run| run.doubt.is_some()).count();
    metrics.one(
        "hebbian_runs_in_doubt",
        "gauge",
        "Runs that have answers of a worker that has lied.",
        doubted,
    );
    let threads: u64 = workers.iter().map(|worker| u64::from(worker.threads)).sum();
    metrics.one("hebbian_workers", "gauge", "Attached workers.", workers.len());
    metrics.one("hebbian_worker_threads", "gauge", "Compute threads of attached workers.", threads);
    let count = |fits: fn(&v1::Worker) -> bool| workers.iter().filter(|worker| fits(worker)).count();
    let help = "Attached workers that were asked to leave.";
    metrics.one("hebbian_workers_draining", "gauge", help, count(|worker| worker.draining));
    let help = "Attached workers that have not answered yet.";
    metrics.one("hebbian_workers_unproven", "gauge", help, count(|worker| !worker.proven));
    let help = "Attached workers that let others finish what they held, three times in a row or more.";
    metrics.one("hebbian_workers_silent", "gauge", help, count(|worker| worker.overtaken >= SILENT));
    let help = "Attached workers that are excluded because they lied.";
    metrics.one("hebbian_workers_excluded", "gauge", help, count(|worker| !worker.excluded.is_empty()));
    let help = "Attached workers that may not work on some running run.";
    let may_not = |worker: &v1::Worker| {
        worker.ineligible.iter().any(|why| running.iter().any(|run| run.name == why.run))
    };
    let ineligible = workers.iter().filter(|worker| may_not(worker)).count();
    metrics.one("hebbian_workers_ineligible", "gauge", help, ineligible);
    let errors: u64 = workers.iter().map(|worker| worker.errors).sum();
    metrics.one("hebbian_worker_errors", "gauge", "Errors that attached workers reported.", errors);
    metrics.process();
    metrics.text()
}

/// How long the journal and the searches take.
fn timed(timings: &Timings) -> String {
    let mut metrics = Metrics::default();
    let commits = "Commits of the journal, with their synchronisation to the disk.";
    metrics.histogram("hebbian_journal_commit_seconds", commits, &timings.commits);
    let searches = "What a generation's outcomes make of its search.";
    metrics.histogram("hebbian_search_advance_seconds", searches, &timings.searches);
    let (parts, closed) = timings.generations();
    metrics.one("hebbian_generations_total", "counter", "Generations closed since the start.", closed);
    let help = "Time of these by what it went to, summed over runs: computing as long as all threads together would have \
                needed, waiting for the rest of it, the search, the close on its way to the disk.";
    metrics.family("hebbian_generation_seconds_total", "counter", help);
    for (part, seconds) in parts {
        metrics.labelled("hebbian_generation_seconds_total", ("part", part), seconds);
    }
    let help =
        "Episodes that workers have reported since the start, by outcome; late and hedged ones as well.";
    metrics.family("hebbian_episodes_reported_total", "counter", help);
    for (outcome, count) in timings.reported.read() {
        metrics.labelled("hebbian_episodes_reported_total", ("outcome", outcome), count);
    }
    let help = "Clients and pages that watch a run.";
    metrics.one("hebbian_watchers", "gauge", help, timings.watchers.load(Ordering::Relaxed));
    metrics.text()
}

/// What can fail unseen beside the runs.
fn kept_up(upkeep: &Upkeep) -> String {
    let mut metrics = Metrics::default();
    metrics.one("hebbian_leads", "gauge", LEADS, 1);
    let help = "Scheduled copies of the journal since the start, by outcome.";
    metrics.family("hebbian_journal_copies_total", "counter", help);
    let [made, failed] = upkeep.copies();
    for (outcome, count) in [("made", made), ("failed", failed)] {
        metrics.labelled("hebbian_journal_copies_total", ("outcome", outcome), count);
    }
    let help = "1 while the last scheduled copy of the journal could not be made.";
    metrics.one("hebbian_journal_copy_trouble", "gauge", help, u8::from(upkeep.is_copy_missing()));
    let help = "When the first of the coordinator's certificates expires; without TLS never.";
    let end = upkeep.certificates_end().map_or_else(|| "+Inf".to_owned(), |end| end.to_string());
    metrics.one("hebbian_certificate_expiry_timestamp_seconds", "gauge", help, end);
    metrics.text()
}

/// What `hebbian_leads` is.
const LEADS: &str = "1 for the coordinator that leads, 0 for a standby.";

/// The metrics of a standby: it knows nothing of runs and workers.
pub fn of_standby(version: &str) -> String {
    let mut metrics = Metrics::default();
    metrics.build(version);
    metrics.one("hebbian_leads", "gauge", LEADS, 0);
    metrics.process();
    metrics.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Part;
    use std::time::Duration;

    #[test]
    fn every_sample_has_a_family_and_hostile_text_stands_nowhere() {
        let status = v1::CoordinatorStatus {
            version: "1\"} 7\nx 1".to_owned(),
            settled_episodes: 12,
            journal_trouble: Some("the disk\nis full".to_owned()),
            lost_workers: 5,
            silent_workers: 2,
            ..Default::default()
        };
        let run = v1::Run {
            name: "runs/one".to_owned(),
            state: Some(RunState::RUNNING.into()),
            generation_episodes: 5,
            settled_episodes: 2,
            leased_episodes: 1,
            ..Default::default()
        };
        let timings = Timings::default();
        timings.commits.time(|| ());
        timings.spent(Part::Disk, Duration::from_millis(1500));
        timings.closed();
        let upkeep = Upkeep::default();
        upkeep.copied(true);
        upkeep.copied(false);
        let why = |run: &str| v1::worker::Ineligibility { run: run.to_owned(), reason: "x\n} 1".to_owned() };
        let worker = |runs: &[&str]| v1::Worker {
            ineligible: runs.iter().map(|run| why(run)).collect(),
            ..v1::Worker::default()
        };
        let workers = [worker(&[]), worker(&["runs/ended"]), worker(&["runs/ended", "runs/one"])];
        let text = written(&status, &[run], &workers) + &timed(&timings) + &kept_up(&upkeep);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let of_histogram = |end: &&str| name.ends_with(end) && name.contains("_seconds_");
            let end = ["_bucket", "_sum", "_count"].into_iter().find(of_histogram).unwrap_or_default();
            let name = name.trim_end_matches(end);
            assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
        for expected in [
            "hebbian_build_info{version=\"17x1\"} 1",
            "hebbian_journal_trouble 1",
            "hebbian_episodes_settled_total 12",
            "hebbian_runs{state=\"running\"} 1",
            "hebbian_runs_without_workers 1",
            "hebbian_episodes_open 3",
            "hebbian_episodes_queued 2",
            "hebbian_generations_total 1",
            "hebbian_generation_seconds_total{part=\"compute\"} 0",
            "hebbian_generation_seconds_total{part=\"disk\"} 1.5",
            "hebbian_episodes_reported_total{outcome=\"error\"} 0",
            "hebbian_watchers 0",
            "hebbian_workers_lost_total{reason=\"connection\"} 3",
            "hebbian_workers_lost_total{reason=\"silence\"} 2",
            "hebbian_workers_ineligible 1",
            "hebbian_journal_copies_total{outcome=\"made\"} 1",
            "hebbian_journal_copy_trouble 1",
            "hebbian_certificate_expiry_timestamp_seconds +Inf",
            "hebbian_leads 1",
            "hebbian_journal_commit_seconds_bucket{le=\"+Inf\"} 1",
            "hebbian_search_advance_seconds_count 0",
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
        }
        let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(memory.is_some_and(|bytes| bytes.parse::<f64>().is_ok_and(|bytes| bytes > 0.0)), "{text}");
    }
}
