//! What handing out episodes costs: `cargo bench -p hebbian-tests --bench dispatch`.
//!
//! Everything is as in a cluster, over loopback: the coordinator, its workers and whoever means ill are processes of their
//! own (this program in another role), with the real service, scheduler, leases, journal and session. Only episodes are
//! played: they take no time, spin, or sleep. `docs/SCALING.md` has the figures with what was aimed at.
//!
//! - `--json`: a line of JSON for each figure instead of the table.
//! - `--case NAME`: only the cases whose names begin so.
//! - `--list`: the names of all cases.
//! - `--postgres`: journals on a disk are databases of a PostgreSQL server that is started for it.

mod cluster;
mod faults;
mod holder;
mod large;
mod overhead;
mod page;
mod process;
mod role;
mod scale;

use std::pin::Pin;
use std::sync::atomic::Ordering;

/// A figure.
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    /// What was aimed at; empty where the figure stands for comparison.
    aim: &'static str,
}

/// A figure with its aim.
fn figure(what: &'static str, value: f64, unit: &'static str, aim: &'static str) -> Figure {
    Figure { what, value, unit, aim }
}

type Measured = Pin<Box<dyn Future<Output = Vec<Figure>>>>;

/// A name, and how its figures are measured.
struct Case {
    name: &'static str,
    measure: Box<dyn Fn() -> Measured>,
}

/// A case.
fn case<F: Future<Output = Vec<Figure>> + 'static>(
    name: &'static str,
    measure: impl Fn() -> F + 'static,
) -> Case {
    Case { name, measure: Box::new(move || Box::pin(measure())) }
}

struct Arguments {
    json: bool,
    list: bool,
    case: String,
    role: Option<(String, Vec<String>)>,
}

fn arguments() -> Result<Arguments, String> {
    let mut read = Arguments { json: false, list: false, case: String::new(), role: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--json" => read.json = true,
            "--list" => read.list = true,
            "--postgres" => cluster::POSTGRES.store(true, Ordering::Relaxed),
            "--case" => read.case = words.next().ok_or("--case: needs a name")?,
            "--role" => {
                let role = words.next().ok_or("--role: needs a name")?;
                read.role = Some((role, words.by_ref().collect()));
            }
            _ => {
                return Err(format!("{word}: unknown; --json, --case NAME, --list and --postgres are known"));
            }
        }
    }
    Ok(read)
}

async fn play(role: &str, arguments: &[String]) {
    match role {
        "coordinator" => role::coordinator(arguments).await,
        "worker" => role::worker(arguments).await,
        "holder" => holder::holder(arguments).await,
        "hostile" => holder::hostile(arguments).await,
        _ => panic!("--role: `{role}` is none"),
    }
}

fn print(case: &str, figure: &Figure, json: bool) {
    let Figure { what, value, unit, aim } = figure;
    if json {
        let line =
            serde_json::json!({ "case": case, "figure": what, "value": value, "unit": unit, "aim": aim });
        println!("{line}");
    } else {
        println!("{case:<18} {what:<44} {value:>12.3} {unit:<12} {aim}");
    }
}

fn main() {
    let arguments = arguments().unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(2);
    });
    // As in the program: one thread each, a coordinator others for a crowd.
    let mut runtime = match &arguments.role {
        Some((role, _)) if role == "worker" || role == "coordinator" => {
            tokio::runtime::Builder::new_current_thread()
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if arguments.role.is_some() {
        runtime.worker_threads(2);
    }
    let runtime = runtime.enable_all().build().expect("a runtime");
    if let Some((role, rest)) = &arguments.role {
        return runtime.block_on(play(role, rest));
    }
    let cases = [overhead::cases(), scale::cases(), faults::cases(), large::cases(), page::cases()];
    let mut chosen = cases.iter().flatten().filter(|case| case.name.starts_with(&arguments.case)).peekable();
    if chosen.peek().is_none() {
        eprintln!("--case: no case begins with `{}`; --list names all", arguments.case);
        std::process::exit(2);
    }
    for case in chosen {
        if arguments.list {
            println!("{}", case.name);
            continue;
        }
        for figure in runtime.block_on((case.measure)()) {
            print(case.name, &figure, arguments.json);
        }
    }
}
