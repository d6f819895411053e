//! `hebbian spec`

use clap::Args;

use crate::failure::Failure;
use crate::render;

/// Print the quickstart's run spec as a commented TOML to start from.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hebbian spec > my.toml && hebbian check my.toml && hebbian run my.toml")]
pub(super) struct Arguments {}

pub(super) fn execute(_: &Arguments) -> Result<(), Failure> {
    render::out(crate::QUICKSTART)
}
