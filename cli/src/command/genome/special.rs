//! `hebbian genome remember-outer`, and a command for each other special genome of a family of rules.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::rule::{RuleSpec, SpecialGenome};
use hebbian_shared::spec::start::LEARNING_RATE;
use hebbian_shared::spec::task::TaskFamily;

use crate::failure::Failure;
use crate::files;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};

/// Which one, and how.
#[derive(Debug)]
pub(super) struct Special {
    genome: &'static SpecialGenome,
    arguments: Arguments,
}

#[derive(Debug, Args)]
struct Arguments {
    /// The length of a step, above 0 and at most 1000.
    #[arg(long, value_name = "RATE", default_value_t = 1.0, value_parser = parse_rate, allow_negative_numbers = true)]
    rate: f64,
    /// Task families that the file names as its own, instead of the genome's usual ones.
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    tasks: Vec<TaskFamily>,
    /// Bits of a cue and of a target of `remember-bits`.
    #[arg(long, value_name = "N")]
    bits: Option<u32>,
    /// Share of the cue's bits that are flipped when a target is asked for.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    noise: f64,
    /// Where to write the genome file; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The special genomes of all families.
fn all() -> impl Iterator<Item = &'static SpecialGenome> {
    RuleSpec::of_each_family().flat_map(|rule| rule.options().special_genomes())
}

impl Subcommand for Special {
    fn augment_subcommands(command: Command) -> Command {
        all().fold(command, |command, genome| {
            let example = format!(
                "Examples:\n  hebbian genome {} --rate 0.4 --out genome.json && hebbian evaluate genome.json",
                genome.command
            );
            let own = Arguments::augment_args(Command::new(genome.command))
                .about(genome.summary)
                .long_about(format!("{}.\n\n{}", genome.summary, genome.details))
                .after_help(example);
            command.subcommand(own)
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        all().any(|genome| genome.command == name)
    }
}

impl FromArgMatches for Special {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let found = matches.subcommand().and_then(|(name, matches)| {
            let genome = all().find(|genome| genome.command == name)?;
            Some((genome, matches))
        });
        let (genome, matches) =
            found.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))?;
        Ok(Self { genome, arguments: Arguments::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if LEARNING_RATE.check("", rate).is_ok() => Ok(rate),
        _ => Err("a rate is a number above 0 and at most 1000".to_owned()),
    }
}

pub(super) fn execute(special: &Special) -> Result<(), Failure> {
    let file = genome_file(special)?;
    let out = &special.arguments.out;
    files::write(out, file.to_json())?;
    if files::is_standard(out) {
        return Ok(());
    }
    let evaluate = Paint::stderr().command(&format!("hebbian evaluate {}", out.display()));
    render::note(&format!("wrote {}; compare it with {evaluate}", out.display()));
    Ok(())
}

/// The file, as a run would have written it that found this genome before its first generation.
fn genome_file(special: &Special) -> Result<GenomeFile, Failure> {
    let Special { genome, arguments } = special;
    let text = format!("name = \"{}\"\n{}", genome.name, genome.spec);
    let mut spec = RunSpec::read(&text).expect("the spec of a special genome is valid");
    let problem = spec.problem.rule_learning_mut().expect("a special genome is a rule's");
    if !arguments.tasks.is_empty() {
        problem.tasks.families.clone_from(&arguments.tasks);
    }
    if let Some(bits) = arguments.bits {
        (problem.tasks.remember.cue, problem.tasks.remember.target) = (bits, bits);
    }
    problem.tasks.remember.noise = arguments.noise;
    spec.validate().map_err(Failure::bad_input)?;
    GenomeFile::new(&spec.into(), (genome.genome)(arguments.rate), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        special: Special,
    }

    fn file(arguments: &[&str]) -> Result<GenomeFile, Failure> {
        let arguments = ["genome", "remember-delta", "--out", "x"].iter().chain(arguments);
        genome_file(&Program::parse_from(arguments).special)
    }

    #[test]
    fn every_special_genome_is_a_file_that_other_commands_read() {
        let mut written = 0;
        for genome in all() {
            let arguments = ["genome", genome.command, "--out", "x"];
            let special = Program::parse_from(arguments).special;
            assert_eq!(special.genome.command, genome.command);
            let file = genome_file(&special).unwrap();
            assert_eq!(GenomeFile::parse(&file.to_json()).unwrap(), file);
            written += 1;
        }
        assert!(written >= 2, "{written} special genomes");
    }

    #[test]
    fn arguments_are_in_the_file() {
        let file =
            file(&["--rate", "0.4", "--bits", "8", "--tasks", "remember-bits,remember-images"]).unwrap();
        let rate = file.layout().parameters("synapse_update", file.genome()).unwrap()[0];
        assert!((rate - 0.4).abs() < 1e-12, "{rate}");
        let tasks = &file.problem().tasks;
        assert_eq!(tasks.families, [TaskFamily::RememberBits, TaskFamily::RememberImages]);
        assert_eq!((tasks.remember.cue, tasks.remember.target), (8, 8));
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let message = file(&["--bits", "0"]).expect_err("no bits").message().to_owned();
        assert!(message.starts_with("tasks.remember.cue: must be from 1"), "{message}");
        let message = file(&["--noise", "0.6"]).expect_err("too much").message().to_owned();
        assert!(message.starts_with("tasks.remember.noise: "), "{message}");
        let refused = Program::try_parse_from(["genome", "remember-delta", "--out", "x", "--rate", "0"]);
        assert!(refused.is_err());
        assert!(Program::try_parse_from(["genome", "remember-nothing", "--out", "x"]).is_err());
    }
}
