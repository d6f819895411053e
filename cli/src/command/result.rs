//! `hebbian result`

use std::path::PathBuf;

use clap::Args;

use super::{LogArguments, ask};
use crate::client::ClientArguments;
use crate::failure::Failure;
use crate::files;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};

/// Fetch what a run has found: the mean of the search distribution. Works while the run is still running.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hebbian result quickstart --out genome.json && hebbian evaluate genome.json"
)]
pub(super) struct Arguments {
    /// The run: its id, the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// Where to write the genome file; without it, or with `-`, it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, out, client } = arguments;
    ask(log, &client, async |client| {
        let result = client.result(client.find(&run).await?.name).await?;
        let text = GenomeFile::of_result(&result)?.to_json();
        if let Some(figures) = &result.remeasurement {
            render::note(&format!("fitness  {}", render::validation::figures(figures)));
        }
        let path = out.unwrap_or_else(|| PathBuf::from("-"));
        files::write(&path, text)?;
        if files::is_standard(&path) {
            return Ok(());
        }
        let evaluate = Paint::stderr().command(&format!("hebbian evaluate {}", path.display()));
        render::note(&format!(
            "wrote {} after {} generations ({}); compare it with {evaluate}",
            path.display(),
            result.generations,
            render::run::state_name(result.state.as_ref())
        ));
        Ok(())
    })
}
