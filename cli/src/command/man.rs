//! `hebbian man`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::Program;
use crate::failure::Failure;
use crate::{files, render};

/// Write manual pages: one for the program, and one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hebbian man ~/.local/share/man/man1 && man hebbian-run")]
pub(super) struct Arguments {
    /// Where to write hebbian.1, hebbian-run.1 and so on.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let directory = &arguments.directory;
    if files::is_standard(directory) {
        return Err(Failure::bad_input("DIR: must be a directory, not standard output (`-`)"));
    }
    fs::create_dir_all(directory)
        .map_err(|error| Failure::writing(directory, "cannot be created", &error))?;
    let mut program = Program::command().disable_help_subcommand(true);
    program.build();
    let pages = write(&program, directory)?;
    render::note(&format!("wrote {} to {}", render::text::plural(pages, "page"), directory.display()));
    Ok(())
}

/// The page of a command and those of its commands; how many they are.
fn write(command: &Command, directory: &Path) -> Result<u64, Failure> {
    let page =
        Man::new(command.clone()).manual("hebbian").source(format!("hebbian {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render(&mut text).expect("memory can be written to");
    files::write(&directory.join(page.get_filename()), text)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_fold(1, |pages, command| Ok(pages + write(command, directory)?))
}
