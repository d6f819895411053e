//! `hebbian plot`

use std::path::PathBuf;

use clap::Args;
use hebbian_view::picture::{Picture, stacked};

use super::{LogArguments, block_on};
use crate::client::ClientArguments;
use crate::failure::Failure;
use crate::files;
use crate::raster;
use crate::render;
use crate::run_view::{RunView, Source};

/// Write a picture of a run as SVG, which browsers and papers take, or as PNG. Works while the run is still running.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian plot runs/mine --out fitness.svg
  hebbian plot quickstart --what deviations --out deviations.svg   of a coordinator's run
  hebbian plot runs/mine --out fitness.png                         at twice its size, for slides
  hebbian plot runs/mine --list                                    names of the pictures that it has")]
pub(super) struct Arguments {
    /// A directory of `hebbian run`, a journal (with #RUN behind it if it holds several runs), or a run of a coordinator.
    run: String,
    /// Which picture: fitness, validation, means, deviations, axes, step, noise, time, comparison-1 and so on, boundary or answers,
    /// learning, rule, rule-history. Or several below each other: panels (means, deviations, axes, step, noise), comparison.
    #[arg(long, value_name = "NAME", default_value = "fitness")]
    what: String,
    /// Print the names of the run's pictures, and what each shows.
    #[arg(long)]
    list: bool,
    /// Where to: a PNG if its name ends so, else SVG; without it, or with `-`, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let out = arguments.out.unwrap_or_else(|| PathBuf::from("-"));
    files::check_format(&out, &["svg", "png"])?;
    block_on(async {
        let mut pictures = RunView::of(&Source::of(&arguments.run), &arguments.client).await?.pictures();
        pictures.extend(groups(&pictures));
        if arguments.list {
            let line = |picture: &Picture| format!("{:14}{}\n", picture.id, picture.title);
            return render::out(&pictures.iter().map(line).collect::<String>());
        }
        let Some(picture) = pictures.iter().find(|picture| picture.id == arguments.what) else {
            let names: Vec<&str> = pictures.iter().map(|picture| picture.id.as_str()).collect();
            return Err(Failure::not_found(format_args!(
                "--what: the run has no picture `{}`",
                arguments.what
            ))
            .hint(format_args!("it has {}", names.join(", "))));
        };
        let is_png = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        if is_png { files::write(&out, raster::png(picture)?) } else { files::write(&out, picture.svg()) }
    })
}

/// The pictures of each group below each other, as one more picture; of groups that have some.
fn groups(pictures: &[Picture]) -> Vec<Picture> {
    let group = |id: &str, title: &str, is_of: fn(&str) -> bool| {
        let of_group: Vec<&Picture> = pictures.iter().filter(|picture| is_of(&picture.id)).collect();
        stacked(id, title, &of_group)
    };
    let panels = |id: &str| ["means", "deviations", "axes", "step", "noise"].contains(&id);
    let panels = group("panels", "The search: means, deviations, axes, step and noise", panels);
    let comparison = |id: &str| id.starts_with("comparison-");
    let comparison = group("comparison", "The rule beside baselines: all comparisons", comparison);
    panels.into_iter().chain(comparison).collect()
}

#[cfg(test)]
mod tests {
    use hebbian_view::history::History;
    use hebbian_view::panels;

    use super::*;

    #[test]
    fn a_group_is_a_picture_where_some_are_of_it() {
        let time = panels::time(&History::default());
        assert!(groups(std::slice::from_ref(&time)).is_empty());
        let named = |id: &str| {
            let mut picture = time.clone();
            id.clone_into(&mut picture.id);
            picture
        };
        let pictures = ["comparison-2", "time", "step"].map(named);
        let found: Vec<String> = groups(&pictures).into_iter().map(|picture| picture.id).collect();
        assert_eq!(found, ["panels", "comparison"]);
    }
}
