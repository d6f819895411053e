//! `hebbian rules`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::LogArguments;
use crate::failure::Failure;
use crate::files;
use crate::render::{self, Paint};
use crate::shipped::{RULES, ShippedRule};

/// Rules that are part of the program: what each is worth, where it comes from, and its genome file.
///
/// `rule:NAME` names one wherever a genome file can be named: in `hebbian evaluate`, `hebbian genome`, and as `genome` of a
/// spec's `[start]`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian rules list
  hebbian rules show images
  hebbian evaluate rule:images --tasks fashion             compare it with tuned SGD, momentum and Adam
  hebbian evaluate rule:images --tasks idx:mine            on your own data, see `hebbian data --help`
  hebbian rules export images --out genome.json")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the rules with their digests.
    List {
        /// Print a JSON object for each rule, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Show what a rule is worth, and where it comes from.
    Show {
        /// Its name.
        name: String,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a rule's genome file.
    Export {
        /// Its name.
        name: String,
        /// Where to write it; `-` for standard output.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    match &arguments.command {
        Command::List { json: true } => {
            render::out(&RULES.iter().map(|rule| render::json::line(&object(rule))).collect::<String>())
        }
        Command::List { json: false } => render::out(&render::shipped::list(RULES)),
        Command::Show { name, json: true } => {
            render::out(&render::json::pretty(&object(ShippedRule::find(name)?)))
        }
        Command::Show { name, json: false } => {
            render::out(&render::shipped::rule(ShippedRule::find(name)?, Paint::stdout()))
        }
        Command::Export { name, out } => {
            files::write(out, ShippedRule::find(name)?.text())?;
            if !files::is_standard(out) {
                render::note(&format!("wrote the rule `{name}` to {}", out.display()));
            }
            Ok(())
        }
    }
}

/// All that is known of a rule but its genome.
fn object(rule: &ShippedRule) -> Value {
    json!({
        "name": rule.name,
        "about": rule.about,
        "digest": rule.digest,
        "made_by": rule.made_by,
        "made": rule.made,
        "licence": rule.licence,
        "provenance": rule.genome().provenance,
        "results": rule.results,
    })
}
