//! `hebbian report`

use std::path::{Path, PathBuf};

use clap::Args;

use super::{LogArguments, block_on};
use crate::client::ClientArguments;
use crate::failure::Failure;
use crate::files;
use crate::render;
use crate::run_view::{RunView, Source};

/// Write a run as one page of pictures and tables that works without a network. Works while the run is still running.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian report runs/mine                         writes runs/mine/report.html; so does `hebbian run` at its end
  hebbian report journal.sqlite#quickstart --out quickstart.html
  hebbian report quickstart --out quickstart.html  a run of a coordinator")]
pub(super) struct Arguments {
    /// A directory of `hebbian run`, a journal (with #RUN behind it if it holds several runs), or a run of a coordinator: its id,
    /// the beginning of its id, its group and seed as GROUP/SEED, or its spec's name.
    run: String,
    /// Where to write the page; `-` for standard output [default: report.html in the directory, else standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    if let Some(out) = &arguments.out {
        files::check_format(out, &["html", "htm"])?;
    }
    block_on(async {
        let source = Source::of(&arguments.run);
        let page = RunView::of(&source, &arguments.client).await?.report();
        let beside = match &source {
            Source::Journal { path, .. } if path.is_dir() => Some(path.join("report.html")),
            _ => None,
        };
        let out = arguments.out.or(beside).unwrap_or_else(|| Path::new("-").to_owned());
        files::write(&out, page)?;
        if !files::is_standard(&out) {
            render::note(&format!("wrote {}", out.display()));
        }
        Ok(())
    })
}
