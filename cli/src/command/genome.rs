//! `hebbian genome`: look at genomes, take them elsewhere, and write those that are known.

mod backprop;
mod export;
mod remember;
mod show;

use clap::{Args, Subcommand};
use hebbian_shared::spec::rule::update_networks::Associator;

use super::LogArguments;
use crate::failure::Failure;

/// Show or export the genome of a file, or write one that is known: backpropagation, or a linear associator.
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
    RememberOuter(remember::Arguments),
    RememberDelta(remember::Arguments),
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    match &arguments.command {
        Command::Show(arguments) => show::execute(arguments),
        Command::Export(arguments) => export::execute(arguments),
        Command::Backprop(arguments) => backprop::execute(arguments),
        Command::RememberOuter(arguments) => remember::execute(arguments, Associator::OuterProduct),
        Command::RememberDelta(arguments) => remember::execute(arguments, Associator::DeltaRule),
    }
}
