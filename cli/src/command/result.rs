//! `hebbian result`

use std::path::PathBuf;

use clap::Args;
use hebbian_proto::v1;

use super::{LogArguments, ask};
use crate::client::{Again, Client, ClientArguments};
use crate::external_result::ExternalResult;
use crate::failure::Failure;
use crate::files;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};

/// Fetch what a run has found: the mean of the search distribution; of an external objective the parameters, with the best sample's.
/// Works while the run is still running.
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
    /// Write a spec instead that begins from what the run's search has learnt: its mean (`start`), its step size and its covariance
    /// (`strategy`). Of runs that are searched by cma-es.
    #[arg(long)]
    warm_start: bool,
    /// With --warm-start: as it was after N generations, of which there must be a snapshot; default: the last one.
    #[arg(long, value_name = "N", requires = "warm_start")]
    generation: Option<u32>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { run, out, warm_start, generation, client } = arguments;
    ask(log, &client, Again::Always, async |client| {
        if warm_start {
            return begin(&client, &run, generation, out.clone()).await;
        }
        let result = client.result(client.find(&run).await?.name).await?;
        let external = ExternalResult::of_result(&result)?;
        let text = match &external {
            Some(found) => render::json::pretty(found),
            None => GenomeFile::of_result(&result)?.to_json(),
        };
        if let Some(figures) = &result.remeasurement {
            render::note(&format!("fitness  {}", render::validation::figures(figures)));
        }
        let path = out.clone().unwrap_or_else(|| PathBuf::from("-"));
        files::write(&path, text)?;
        if files::is_standard(&path) {
            return Ok(());
        }
        if external.is_some() {
            let (path, generations) = (path.display(), result.generations);
            let state = render::run::state_name(result.state.as_ref());
            render::note(&format!("wrote {path} after {generations} generations ({state})"));
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

/// Writes a spec that begins where a run's search was.
async fn begin(
    client: &Client,
    run: &str,
    generations: Option<u32>,
    out: Option<PathBuf>,
) -> Result<(), Failure> {
    let name = client.find(run).await?.name;
    let request = v1::GetWarmStartRequest { name, generations };
    let v1::GetWarmStartResponse { spec, generations } =
        client.answer(client.runs().get_warm_start(request)).await?;
    let path = out.unwrap_or_else(|| PathBuf::from("-"));
    files::write(&path, spec)?;
    if !files::is_standard(&path) {
        let create = Paint::stderr().command(&format!("hebbian create {}", path.display()));
        let path = path.display();
        render::note(&format!(
            "wrote {path}, which begins after {generations} generations; start it with {create}"
        ));
    }
    Ok(())
}
