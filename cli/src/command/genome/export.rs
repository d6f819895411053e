//! `hebbian genome export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::{files, genome_export, render};

/// Write the parameters that a genome stands for as named arrays of f64, for other programs.
///
/// `json` and `safetensors` also hold the rule's options, the networks and where the genome comes from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian genome export genome.json --format npz --out genome.npz
  python -c \"import numpy; print(dict(numpy.load('genome.npz')))\"")]
pub(super) struct Arguments {
    /// The genome file, or `rule:NAME`; `-` for standard input.
    #[arg(value_name = "GENOME")]
    genome: PathBuf,
    /// How to write it.
    // The id `format` is that of the log's, which every command has.
    #[arg(id = "export_format", long = "format", value_name = "FORMAT")]
    format: Format,
    /// Where to write it; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Shapes and numbers by name.
    Json,
    /// An archive of arrays for NumPy.
    Npz,
    /// The format of Hugging Face.
    Safetensors,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let file = GenomeFile::read(&arguments.genome)?;
    let bytes = match arguments.format {
        Format::Json => genome_export::json(&file),
        Format::Npz => genome_export::npz(&file)?,
        Format::Safetensors => genome_export::safetensors(&file)?,
    };
    files::write(&arguments.out, &bytes)?;
    let count = file.layout().segments().len();
    if !files::is_standard(&arguments.out) {
        render::note(&format!("wrote {count} arrays to {}", arguments.out.display()));
    }
    Ok(())
}
