//! The frame of a page, and the list of runs and workers.

use hebbian_proto::figures::duration;
use hebbian_proto::v1;
use hebbian_view::document::{PAGE_STYLE, state};
use hebbian_view::escape::{name, text};
use hebbian_view::number::{count, optional, seconds};
use hebbian_view::picture::STYLE;

/// Loads a page's content again whenever the coordinator says that it has changed.
pub(super) const SCRIPT: &str = include_str!("live.js");

/// Workers that the page lists one by one.
const WORKERS_MAX: usize = 100;

/// The style of every page.
pub(super) fn style() -> String {
    format!("{STYLE}{PAGE_STYLE}")
}

/// A page that shows `body`, which comes anew from one path when an event comes from the other.
pub(super) fn shell(title: &str, body_path: &str, events_path: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"><title>{}</title><link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/live.js\" defer></script></head>\
         <body><main><nav><a href=\"/\">All runs</a> <span id=\"connection\" role=\"status\"></span></nav>\
         <div id=\"live\" data-body=\"{}\" data-events=\"{}\">{body}</div></main></body></html>\n",
        name(title),
        name(body_path),
        name(events_path),
    )
}

/// Runs, workers and the coordinator.
pub(super) fn overview(status: &v1::CoordinatorStatus, runs: &[v1::Run], workers: &[v1::Worker]) -> String {
    let trouble = status.journal_trouble.as_ref().map_or_else(String::new, |trouble| {
        format!("<p class=\"warning\"><strong>The journal cannot be written</strong>: {}</p>", text(trouble))
    });
    let facts = [
        ("workers", format!("{} with {} threads", status.workers, status.threads)),
        ("runs that go on", status.active_runs.to_string()),
        ("episodes since the start", count(status.settled_episodes)),
        ("up for", seconds(duration(status.uptime).as_secs_f64())),
        ("version", status.version.clone()),
    ];
    let fact = |(label, fact): &(&str, String)| format!("<div><dt>{label}</dt><dd>{}</dd></div>", name(fact));
    let facts: String = facts.iter().map(fact).collect();
    let rows: String = runs.iter().rev().map(run_row).collect();
    let runs = if rows.is_empty() {
        "<p>There are no runs yet. <code>hebbian create SPEC</code> makes one.</p>".to_owned()
    } else {
        format!(
            "<table><thead><tr><th scope=\"col\">run</th><th scope=\"col\">state</th><th scope=\"col\">generation</th><th scope=\"col\">\
             of it settled</th><th scope=\"col\">best fitness</th><th scope=\"col\">last median</th><th scope=\"col\">workers that may</th>\
             <th scope=\"col\">group</th><th scope=\"col\">seed</th></tr></thead><tbody>{rows}</tbody></table>"
        )
    };
    format!(
        "<h1>hebbian</h1>{trouble}<dl>{facts}</dl><h2>Runs, newest first</h2>{runs}{}",
        workers_table(workers)
    )
}

fn run_row(run: &v1::Run) -> String {
    let limit = run.generations_limit.map_or_else(String::new, |limit| format!(" / {limit}"));
    let median = run.last_generation.as_ref().and_then(|last| last.median_fitness);
    format!(
        "<tr><th scope=\"row\"><a href=\"/runs/{}\">{}</a></th><td>{}</td><td>{}{limit}</td><td>{:.0} %</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td></tr>",
        name(run.id()),
        name(&run.display_name),
        name(&state(run)),
        run.generation,
        100.0 * run.settled(),
        optional(run.best_fitness),
        optional(median),
        run.eligible_workers,
        name(&run.group),
        run.seed,
    )
}

fn workers_table(workers: &[v1::Worker]) -> String {
    let row = |worker: &v1::Worker| {
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
            trouble.push(format!("{} errors", worker.errors));
        }
        if !worker.excluded.is_empty() {
            trouble.push(format!("excluded: {}", worker.excluded));
        }
        trouble.extend(worker.ineligible.iter().take(1).map(|why| why.reason.clone()));
        let attached = duration(worker.attached).as_secs_f64();
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{} / {}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            name(&worker.display_name),
            worker.threads,
            worker.leased_episodes,
            worker.credit,
            count(worker.settled_episodes),
            worker.settled_episodes as f64 / attached.max(1.0),
            seconds(attached),
            name(&worker.version),
            name(&trouble.join("; ")),
        )
    };
    if workers.is_empty() {
        return "<h2>Workers</h2><p>None is attached. <code>hebbian worker --coordinator URL</code> attaches one.</p>".to_owned();
    }
    let rows: String = workers.iter().take(WORKERS_MAX).map(row).collect();
    let more = workers.len().saturating_sub(WORKERS_MAX);
    let more = if more > 0 {
        format!("<p>and {more} more: <code>hebbian workers</code></p>")
    } else {
        String::new()
    };
    format!(
        "<h2>Workers</h2><table><thead><tr><th scope=\"col\">worker</th><th scope=\"col\">threads</th><th scope=\"col\">holds / may hold</th>\
         <th scope=\"col\">settled</th><th scope=\"col\">settled a second</th><th scope=\"col\">attached</th><th scope=\"col\">version</th>\
         <th scope=\"col\">trouble</th></tr></thead><tbody>{rows}</tbody></table>{more}"
    )
}
