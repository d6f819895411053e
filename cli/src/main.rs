//! The hebbian program: everything that a user starts.
//!
//! `command` has one file per command, `render` is the only place that prints.

mod client;
mod cluster;
mod command;
mod configuration;
mod cost;
mod data;
mod failure;
mod files;
mod forecast;
mod genome_export;
mod genome_file;
mod local_cluster;
mod process;
mod render;
mod report;
mod run_directory;
mod search_file;
mod tls;

use std::process::ExitCode;

/// The built-in run spec: what `hebbian run` runs and `hebbian spec` prints.
const QUICKSTART: &str = include_str!("../../examples/quickstart.toml");

fn main() -> ExitCode {
    match command::Program::parse_arguments().and_then(command::Program::execute) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            render::failure(&failure);
            failure.exit_code()
        }
    }
}
