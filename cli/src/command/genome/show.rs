//! `hebbian genome show`

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};

/// Print the matrices and gates that a genome stands for, with their names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian genome show runs/mine/genome.json
  hebbian genome export runs/mine/genome.json --format npz --out genome.npz")]
pub(super) struct Arguments {
    /// The genome file that `hebbian run`, `hebbian result` or `hebbian genome backprop` wrote, or `rule:NAME`; `-` for standard input.
    #[arg(value_name = "GENOME")]
    genome: PathBuf,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let file = GenomeFile::read(&arguments.genome)?;
    render::out(&render::genome::parameters(&file, Paint::stdout()))
}
