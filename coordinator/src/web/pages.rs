//! The frame of a page, the list of runs, the cluster, and what can be done.

use std::collections::BTreeMap;

use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_shared::limits::PAGE_WORKERS_MAX;
use hebbian_view::cluster::Throughput;
use hebbian_view::document::{PAGE_STYLE, state};
use hebbian_view::escape::{name, text};
use hebbian_view::number::{count, optional, seconds, short};
use hebbian_view::picture::{Picture, STYLE, scrolling};

use super::Acts;
use super::access::May;
use super::rates::Rates;

/// Loads a page's content again whenever the coordinator says that it has changed.
pub(super) const SCRIPT: &str = include_str!("live.js");

/// What stands before the page's title in a browser: a synapse between two neurons.
pub(super) const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><path d=\"M4 12 12 4\" stroke=\"#0072b2\" \
                               stroke-width=\"2\"/><circle cx=\"4\" cy=\"12\" r=\"3\" fill=\"#0072b2\"/><circle cx=\"12\" cy=\"4\" r=\"3\" fill=\"#d55e00\"/></svg>";

/// What the live page has beside what a report has.
const LIVE_STYLE: &str = include_str!("live.css");

/// The style of every page.
pub(super) fn style() -> String {
    format!("{STYLE}{PAGE_STYLE}{LIVE_STYLE}")
}

/// A page that shows `body`, which comes anew from one path when an event comes from the other.
pub(super) fn shell(title: &str, (body_path, events_path): (&str, &str), may: May, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"><title>{}</title><link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/style.css\">\
         <script src=\"/live.js\" defer></script></head><body><header><nav aria-label=\"Pages\"><a href=\"/\">Runs</a> \
         <a href=\"/cluster\">Cluster</a> <a id=\"compare\" href=\"/\" hidden>Compare</a></nav>\
         <span id=\"connection\" role=\"status\"></span><button type=\"button\" id=\"hold\" aria-pressed=\"false\">Hold \
         still</button></header><main><div id=\"live\" data-body=\"{}\" data-events=\"{}\" data-may=\"{}\">{body}</div>\
         </main><dialog id=\"dialog\" aria-labelledby=\"question\"><h2 id=\"question\"></h2><p id=\"meaning\"></p><div id=\"fields\">\
         </div><p id=\"refused\" class=\"warning\" role=\"alert\" hidden></p><p class=\"acts\"><button type=\"button\" id=\"no\">No, go back</button>\
         <button type=\"button\" id=\"yes\"></button></p></dialog></body></html>\n",
        name(title),
        name(body_path),
        name(events_path),
        may.name(),
    )
}

/// What can be done to a run in its state: buttons that a script shows to whoever may press them.
pub(super) fn acts(run: &v1::Run, acts: Acts) -> String {
    let all = acts == Acts::All;
    let possible: &[&str] = match run.state() {
        Some(RunState::Running(_)) if all => &["pause", "cancel", "extend", "fork"],
        Some(RunState::Paused(_)) if all => &["resume", "cancel", "extend", "fork"],
        Some(RunState::Finished(_)) if all => &["extend", "fork"],
        Some(RunState::Cancelled(_)) if all && run.generation > 0 => &["fork"],
        Some(RunState::Running(_)) => &["pause", "cancel"],
        Some(RunState::Paused(_)) => &["resume", "cancel"],
        _ => return String::new(),
    };
    let button = |act: &&str| {
        let mut label = (*act).to_owned();
        label[..1].make_ascii_uppercase();
        format!("<button type=\"button\" data-act=\"{act}\">{label}</button> ")
    };
    format!(
        "<p class=\"acts\" data-path=\"/api/runs/{}\" data-name=\"{}\" data-closed=\"{}\" data-limit=\"{}\" hidden>{}</p>\
         <p class=\"read-only\" hidden>To act on runs, open the address that the coordinator printed at its start: it holds a token.</p>",
        name(run.id()),
        name(&run.display_name),
        run.generation,
        run.generations_limit.map_or_else(String::new, |limit| limit.to_string()),
        possible.iter().map(button).collect::<String>(),
    )
}

fn facts(facts: &[(&str, String)]) -> String {
    let fact = |(label, fact): &(&str, String)| format!("<div><dt>{label}</dt><dd>{}</dd></div>", name(fact));
    format!("<dl>{}</dl>", facts.iter().map(fact).collect::<String>())
}

/// A count with the word for what is counted.
fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

fn trouble(status: &v1::CoordinatorStatus) -> String {
    status.journal_trouble.as_ref().map_or_else(String::new, |trouble| {
        format!("<p class=\"warning\"><strong>The journal cannot be written</strong>: {}</p>", text(trouble))
    })
}

fn table(label: &str, heading: &[&str], rows: &str) -> String {
    let cell = |name: &&str| format!("<th scope=\"col\">{name}</th>");
    let heading: String = heading.iter().map(cell).collect();
    let table = format!("<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>");
    scrolling(label, &table)
}

/// Runs, and the coordinator.
pub(super) fn overview(status: &v1::CoordinatorStatus, runs: &[v1::Run]) -> String {
    let workers = u64::from(status.workers);
    let facts = facts(&[
        (
            "cluster",
            format!("{} with {}", counted(workers, "worker"), counted(status.threads.into(), "thread")),
        ),
        ("runs that go on", status.active_runs.to_string()),
        ("episodes since the start", count(status.settled_episodes)),
        ("up for", seconds(duration(status.uptime).as_secs_f64())),
        ("version", status.version.clone()),
    ]);
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.group.is_empty()) {
        groups.entry(&run.group).or_default().push(run.id());
    }
    let rows: String = runs.iter().rev().map(|run| run_row(run, &groups)).collect();
    let runs = if rows.is_empty() {
        "<p>There are no runs yet. <code>hebbian create SPEC</code> makes one.</p>".to_owned()
    } else {
        let heading = [
            "run",
            "state",
            "generation",
            "best fitness",
            "last median",
            "of it settled",
            "workers that may",
            "group",
            "seed",
            "compare",
        ];
        table("Runs", &heading, &rows)
    };
    format!("<h1>hebbian</h1>{}{facts}<h2>Runs, newest first</h2>{runs}", trouble(status))
}

fn run_row(run: &v1::Run, groups: &BTreeMap<&str, Vec<&str>>) -> String {
    let limit = run.generations_limit.map_or_else(String::new, |limit| format!(" / {limit}"));
    let median = run.last_generation.as_ref().and_then(|last| last.median_fitness);
    let (id, shown) = (name(run.id()), name(&run.display_name));
    let group = match groups.get(run.group.as_str()) {
        Some(ids) if ids.len() > 1 => {
            format!("<a href=\"/compare/{}\">{}</a>", name(&ids.join(",")), name(&run.group))
        }
        _ => name(&run.group),
    };
    // Nothing is open in a run that has ended.
    let settled = if run.is_final() { "-".to_owned() } else { format!("{:.0} %", 100.0 * run.settled()) };
    format!(
        "<tr><th scope=\"row\"><a href=\"/runs/{id}\">{shown}</a> <small>{id}</small></th><td>{}</td><td>{}{limit}</td><td>{}</td>\
         <td>{}</td><td>{settled}</td><td>{}</td><td>{group}</td><td>{seed}</td><td><input type=\"checkbox\" data-run=\"{id}\" \
         aria-label=\"compare {shown}, seed {seed}\"></td></tr>",
        name(&state(run)),
        run.generation,
        optional(run.best_fitness),
        optional(median),
        run.eligible_workers,
        seed = run.seed,
    )
}

/// Runs beside each other, above their pictures.
pub(super) fn compared(runs: &[&v1::Run], left_out: usize) -> String {
    let more = if left_out > 0 {
        format!(
            "<p class=\"warning\">{} more were named than are shown.</p>",
            counted(left_out as u64, "run")
        )
    } else {
        String::new()
    };
    let row = |run: &&v1::Run| {
        let limit = run.generations_limit.map_or_else(String::new, |limit| format!(" / {limit}"));
        format!(
            "<tr><th scope=\"row\"><a href=\"/runs/{}\">{}</a></th><td>{}</td><td>{}{limit}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            name(run.id()),
            name(&run.display_name),
            name(&state(run)),
            run.generation,
            optional(run.best_fitness),
            name(&run.group),
            run.seed,
        )
    };
    let rows: String = runs.iter().map(row).collect();
    let table = table("Runs", &["run", "state", "generation", "best fitness", "group", "seed"], &rows);
    format!("<h1>{} beside each other</h1>{more}{table}", counted(runs.len() as u64, "run"))
}

/// Workers: how they fare, how much they compute together, and what happened to them.
pub(super) fn cluster(
    status: &v1::CoordinatorStatus,
    workers: &[v1::Worker],
    (throughput, rates): (&Throughput, &Rates),
) -> String {
    let rate = throughput.rate().map_or_else(|| "-".to_owned(), short);
    let facts = facts(&[
        ("workers", format!("{} with {}", status.workers, counted(status.threads.into(), "thread"))),
        ("episodes a second", rate),
        ("episodes since the start", count(status.settled_episodes)),
        ("of them given twice (hedged)", count(status.hedged_episodes)),
        (
            "workers that came; were lost",
            format!("{}; {}", count(status.attached_workers), count(status.lost_workers)),
        ),
        ("late messages, which are harmless", count(status.late_messages)),
        ("up for", seconds(duration(status.uptime).as_secs_f64())),
        ("starts on this journal", count(status.epoch)),
    ]);
    let pictures: String = throughput.pictures().iter().map(Picture::html).collect();
    format!(
        "<h1>Cluster</h1>{}{facts}{}{pictures}{}",
        trouble(status),
        workers_table(workers, u64::from(status.workers), rates),
        happened(status)
    )
}

fn happened(status: &v1::CoordinatorStatus) -> String {
    if status.events.is_empty() {
        return String::new();
    }
    let row = |event: &v1::ClusterEvent| {
        let when = event.time.map_or(0, |time| time.seconds);
        format!(
            "<tr><th scope=\"row\"><time data-s=\"{when}\">{when} s</time></th><td>{}</td><td>{}</td><td>{}</td></tr>",
            name(&event.display_name),
            name(&event.what),
            name(&event.why)
        )
    };
    let rows: String = status.events.iter().rev().map(row).collect();
    format!(
        "<h2>What happened to workers, newest first</h2>{}",
        table("What happened to workers", &["when", "worker", "what", "why"], &rows)
    )
}

fn workers_trouble(worker: &v1::Worker) -> String {
    let mut trouble = Vec::new();
    if worker.draining {
        trouble.push("leaving".to_owned());
    }
    if !worker.proven {
        trouble.push("has not answered yet".to_owned());
    }
    if worker.overtaken >= 3 {
        trouble.push(format!("overtaken {} times", worker.overtaken));
    }
    if worker.errors > 0 {
        trouble.push(counted(worker.errors, "error"));
    }
    if !worker.excluded.is_empty() {
        trouble.push(format!("excluded: {}", worker.excluded));
    }
    trouble.extend(worker.ineligible.iter().take(1).map(|why| why.reason.clone()));
    trouble.join("; ")
}

fn workers_table(workers: &[v1::Worker], attached: u64, rates: &Rates) -> String {
    let row = |worker: &v1::Worker| {
        let attached = duration(worker.attached).as_secs_f64();
        let shown = name(&worker.display_name);
        let drain = if worker.draining {
            String::new()
        } else {
            format!(
                "<span class=\"acts\" data-path=\"/api/workers/{}\" data-name=\"{shown}\" hidden><button type=\"button\" \
                 data-act=\"drain\" aria-label=\"Drain {shown}\">Drain</button></span>",
                worker.id
            )
        };
        format!(
            "<tr><th scope=\"row\">{shown}</th><td>{}</td><td>{} / {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{drain}</td></tr>",
            worker.threads,
            worker.leased_episodes,
            worker.credit,
            count(worker.settled_episodes),
            rates.of(worker.id).map_or_else(|| "-".to_owned(), short),
            count(worker.hedged_episodes),
            seconds(attached),
            seconds(duration(worker.heard).as_secs_f64()),
            name(&worker.version),
            name(&workers_trouble(worker)),
        )
    };
    if workers.is_empty() {
        return "<h2>Workers</h2><p>None is attached. <code>hebbian worker --coordinator URL</code> attaches one.</p>".to_owned();
    }
    let rows: String = workers.iter().take(PAGE_WORKERS_MAX).map(row).collect();
    let more = attached.saturating_sub(workers.len().min(PAGE_WORKERS_MAX) as u64);
    let more = if more > 0 {
        format!("<p>and {more} more: <code>hebbian workers</code></p>")
    } else {
        String::new()
    };
    let heading = [
        "worker",
        "threads",
        "holds / may hold",
        "settled",
        "settled a second",
        "hedged",
        "attached",
        "heard",
        "version",
        "trouble",
        "leave",
    ];
    format!("<h2>Workers</h2>{}{more}", table("Workers", &heading, &rows))
}
