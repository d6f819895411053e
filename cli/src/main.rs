//! The hebbian program: everything that a user starts.
//!
//! `command` has one file per command, `render` is the only place that prints.

mod client;
mod cluster;
mod command;
mod configuration;
mod copies;
mod cost;
mod credentials;
mod data;
mod demonstrated;
mod export;
mod external_result;
mod failure;
mod files;
mod forecast;
mod genome_export;
mod genome_file;
mod judging;
mod local_cluster;
mod own_data;
mod process;
mod raster;
mod render;
mod report;
mod run_directory;
mod run_view;
mod search_file;
mod shipped;
mod time;
mod tls;
mod top;
mod traces;
mod web;
mod worker_metrics;

use std::process::ExitCode;

/// The built-in spec of a rule for the plane's tasks, by evolution from zeros: what `hebbian spec` prints.
const QUICKSTART: &str = include_str!("../../examples/quickstart.toml");
/// The built-in spec of a rule for the same tasks, by gradients: what `hebbian run` runs.
const PLANE: &str = include_str!("../../examples/plane.toml");
/// The built-in spec of a rule for images.
const IMAGES: &str = include_str!("../../examples/images.toml");
/// The built-in spec of an external objective, and the program that evaluates it.
const CART_POLE: &str = include_str!("../../examples/cart-pole.toml");
const CART_POLE_PROGRAM: &str = include_str!("../../examples/cart_pole.py");

/// What the process returns if it could not go on and has said why: as for work that failed.
const PANICKED: u8 = 1;

fn main() -> ExitCode {
    report_panics();
    process::signals::outlive_the_limit_on_file_sizes();
    let run = || command::Program::parse_arguments().and_then(command::Program::execute);
    let code = match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            render::failure(&failure);
            failure.exit_code()
        }
        Err(_) => ExitCode::from(PANICKED),
    };
    render::line_writer::flush();
    code
}

/// A panic is one line; with `RUST_BACKTRACE` all that there is to be said.
fn report_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        render::panicked(panic);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            usual(panic);
        }
    }));
}
