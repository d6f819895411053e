//! `hebbian spec`

use clap::Args;

use crate::failure::Failure;
use crate::render;

/// Print the quickstart's run spec as a commented TOML to start from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian spec > my.toml && hebbian check my.toml && hebbian run my.toml
  hebbian spec --schema > spec.schema.json   for an editor that a spec's first line tells of it: `#:schema ./spec.schema.json`")]
pub(super) struct Arguments {
    /// Print the JSON Schema of specs instead: all fields, what they mean, their ranges and defaults.
    #[arg(long)]
    schema: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.schema {
        render::out(&hebbian_shared::spec::schema())
    } else {
        render::out(&to_start_from())
    }
}

/// The quickstart, for a file at the top of a checkout: that is where its first line finds the schema.
fn to_start_from() -> String {
    crate::QUICKSTART.replacen("#:schema ../docs/", "#:schema ./docs/", 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_first_line_names_the_schema_for_a_file_at_the_top() {
        let text = super::to_start_from();
        let path = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(std::fs::read_to_string(top.join(path)).unwrap(), hebbian_shared::spec::schema());
    }
}
