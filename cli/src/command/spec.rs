//! `hebbian spec`

use clap::Args;

use super::Preset;
use crate::failure::Failure;
use crate::render;

/// Print a built-in run spec as a commented TOML to start from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian spec > my.toml && hebbian check my.toml && hebbian run my.toml
  hebbian spec --schema > spec.schema.json   for an editor that a spec's first line tells of it: `#:schema ./spec.schema.json`

An objective of your own (docs/WORKERS.md):
  hebbian spec --preset cart-pole > cart-pole.toml
  hebbian spec --preset cart-pole --program > cart_pole.py
  hebbian run cart-pole.toml --exec 'python3 cart_pole.py' --workers 2")]
pub(super) struct Arguments {
    /// Which one.
    #[arg(long, value_name = "NAME", default_value = "quickstart")]
    preset: Preset,
    /// Print the program instead that evaluates its objective, where it is external.
    #[arg(long, conflicts_with = "schema")]
    program: bool,
    /// Print the JSON Schema of specs instead: all fields, what they mean, their ranges and defaults.
    #[arg(long)]
    schema: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { preset, program, schema } = *arguments;
    if schema {
        return render::out(&hebbian_shared::spec::schema());
    }
    if !program {
        return render::out(&to_start_from(preset));
    }
    let program = preset.program().ok_or_else(|| {
        Failure::bad_input("--program: is of presets with an external problem, and this one evolves a rule")
            .hint("--preset cart-pole has one")
    });
    render::out(program?)
}

/// A built-in spec for a file at the top of a checkout: that is where its first line finds the schema.
fn to_start_from(preset: Preset) -> String {
    preset.text().replacen("#:schema ../docs/", "#:schema ./docs/", 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::ValueEnum as _;

    use super::Preset;

    #[test]
    fn the_first_line_names_the_schema_for_a_file_at_the_top() {
        for &preset in Preset::value_variants() {
            let text = super::to_start_from(preset);
            let path = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
            let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
            let written = std::fs::read_to_string(top.join(path)).unwrap();
            assert!(written == hebbian_shared::spec::schema(), "{path} is another schema");
        }
    }
}
