//! `hebbian genome remember-outer` and `remember-delta`

use std::path::PathBuf;

use clap::Args;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::{EvaluationSpec, Measure, Objective, UnrollPhase};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::update_networks::{Associator, UpdateNetworksSpec, associator};
use hebbian_shared::spec::start::{LEARNING_RATE, StartSpec};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::{CmaEsSpec, StrategySpec};
use hebbian_shared::spec::task::{RememberSpec, TaskFamily, TaskSpec};
use hebbian_shared::spec::{Numerics, Problem, RuleLearning, RunSpec, SPEC_VERSION};

use crate::failure::Failure;
use crate::files;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};

/// Write the update network that is a linear associator, for networks without hidden layers that remember pairs shown once.
///
/// The prediction is w x / n for n inputs. `remember-outer` writes w += rate y x, the outer product; `remember-delta` writes
/// w += rate (y - w x / n) x, the delta rule, which is gradient descent on the squared error. The file is used as any other.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian genome remember-delta --rate 0.4 --out delta.json && hebbian evaluate delta.json --updates 4,8,16,32
  hebbian genome remember-outer --tasks remember-images --out outer.json")]
pub(super) struct Arguments {
    /// The length of a step, above 0 and at most 1000.
    #[arg(long, value_name = "RATE", default_value_t = 1.0, value_parser = parse_rate, allow_negative_numbers = true)]
    rate: f64,
    /// Task families that the file names as its own.
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', default_values_t = [TaskFamily::RememberBits])]
    tasks: Vec<TaskFamily>,
    /// Bits of a cue and of a target of `remember-bits`.
    #[arg(long, value_name = "N", default_value_t = RememberSpec::default().cue)]
    bits: u32,
    /// Share of the cue's bits that are flipped when a target is asked for.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    noise: f64,
    /// Where to write the genome file; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if LEARNING_RATE.check("", rate).is_ok() => Ok(rate),
        _ => Err("a rate is a number above 0 and at most 1000".to_owned()),
    }
}

pub(super) fn execute(arguments: &Arguments, kind: Associator) -> Result<(), Failure> {
    let file = genome_file(arguments, kind)?;
    files::write(&arguments.out, file.to_json())?;
    if files::is_standard(&arguments.out) {
        return Ok(());
    }
    let evaluate = Paint::stderr().command(&format!("hebbian evaluate {}", arguments.out.display()));
    render::note(&format!("wrote {}; compare it with {evaluate}", arguments.out.display()));
    Ok(())
}

/// The file, as a run would have written it that found this genome before its first generation.
fn genome_file(arguments: &Arguments, kind: Associator) -> Result<GenomeFile, Failure> {
    let tasks = TaskSpec {
        batch_size: 1,
        query_size: 64,
        remember: RememberSpec { cue: arguments.bits, target: arguments.bits, noise: arguments.noise },
        ..TaskSpec::of(arguments.tasks.clone())
    };
    let rule = RuleSpec::UpdateNetworks(UpdateNetworksSpec::of_associator());
    let network = NetworkSpec { hidden: Vec::new(), ..NetworkSpec::default() };
    let spec = RunSpec {
        version: SPEC_VERSION,
        name: match kind {
            Associator::OuterProduct => "outer-product".to_owned(),
            Associator::DeltaRule => "delta-rule".to_owned(),
        },
        seed: Seed::new(RunSpec::DEFAULT_SEED).expect("the default is a seed"),
        strategy: StrategySpec::CmaEs(CmaEsSpec::of(16)),
        start: StartSpec::default(),
        problem: Problem::RuleLearning(RuleLearning { rule, network, tasks }),
        evaluation: EvaluationSpec {
            objective: Objective::SquaredError,
            measure: Measure::last(),
            unroll: vec![UnrollPhase { generations: 1, updates: 8 }],
        },
        validation: None,
        stop: StopSpec { generations: Some(1), ..StopSpec::default() },
        numerics: Numerics::default(),
    };
    spec.validate().map_err(Failure::bad_input)?;
    let genome: Genome = associator(kind, arguments.rate);
    GenomeFile::new(&spec.into(), genome, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn file(arguments: &[&str]) -> Result<GenomeFile, Failure> {
        let arguments = ["remember", "--out", "x"].iter().chain(arguments);
        genome_file(&Program::parse_from(arguments).arguments, Associator::DeltaRule)
    }

    #[test]
    fn the_file_is_one_that_other_commands_read() {
        let file =
            file(&["--rate", "0.4", "--bits", "8", "--tasks", "remember-bits,remember-images"]).unwrap();
        assert_eq!(GenomeFile::parse(&file.to_json()).unwrap(), file);
        let rate = file.layout().parameters("synapse_update", file.genome()).unwrap()[0];
        assert!((rate - 0.4).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let message = file(&["--bits", "0"]).expect_err("no bits").message().to_owned();
        assert!(message.starts_with("tasks.remember.cue: must be from 1"), "{message}");
        let message = file(&["--noise", "0.6"]).expect_err("too much").message().to_owned();
        assert!(message.starts_with("tasks.remember.noise: "), "{message}");
        assert!(Program::try_parse_from(["remember", "--out", "x", "--rate", "0"]).is_err());
    }
}
