//! `hebbian genome`: look at genomes, take them elsewhere, and write the one that is known.

mod backprop;
mod export;
mod show;

use clap::{Args, Subcommand};

use super::LogArguments;
use crate::failure::Failure;

/// Show or export the genome of a file, or write the genome that is backpropagation.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Arguments),
    Export(export::Arguments),
    Backprop(backprop::Arguments),
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    match &arguments.command {
        Command::Show(arguments) => show::execute(arguments),
        Command::Export(arguments) => export::execute(arguments),
        Command::Backprop(arguments) => backprop::execute(arguments),
    }
}
