//! `hebbian genome`: look at genomes, take them elsewhere, and write those that are known.

mod backprop;
mod export;
mod show;
mod special;

use clap::{Args, Subcommand};

use super::LogArguments;
use crate::failure::Failure;

/// Show or export the genome of a file, or write one that is known: backpropagation, or a special one of a family of rules.
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
    #[command(flatten)]
    Special(special::Special),
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    match &arguments.command {
        Command::Show(arguments) => show::execute(arguments),
        Command::Export(arguments) => export::execute(arguments),
        Command::Backprop(arguments) => backprop::execute(arguments),
        Command::Special(special) => special::execute(special),
    }
}
