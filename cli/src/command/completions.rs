//! `hebbian completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Program;
use crate::failure::Failure;
use crate::render;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(hebbian completions bash)                                    for this shell
  hebbian completions zsh > ~/.zfunc/_hebbian                           for every zsh (a directory of fpath)
  hebbian completions fish > ~/.config/fish/completions/hebbian.fish")]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Program::command(), "hebbian", &mut text);
    render::out(&String::from_utf8_lossy(&text))
}
