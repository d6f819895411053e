//! `hebbian genome backprop`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hebbian_learning::rule::multi_state::backpropagation;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::EvaluationSpec;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec, SynapseDistribution};
use hebbian_shared::spec::rule::gradient_descent::HiddenActivation;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::{CmaEsSpec, StrategySpec};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};
use hebbian_shared::spec::{Numerics, Problem, RuleLearning, RunSpec, SPEC_VERSION};

use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::render::{self, Paint};
use crate::{files, genome_file};

/// Write the genome that is stochastic gradient descent by backpropagation: the theory's fixed point.
///
/// It descends half of the squared differences, averaged over the batch; networks have a linear output. The file holds
/// the options that it needs, and is used as any other.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian genome backprop --out backprop.json && hebbian evaluate backprop.json
  hebbian genome backprop --learning-rate 0.05 --activation relu --hidden 32 --tasks digits --out digits.json")]
pub(super) struct Arguments {
    /// The length of a step, above 0 and at most 1000.
    #[arg(long, value_name = "RATE", default_value_t = 0.1, value_parser = parse_learning_rate, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Activation of the hidden layers.
    #[arg(long, value_name = "NAME", default_value = "tanh")]
    activation: Activation,
    /// Neurons of the hidden layers, from the input on.
    #[arg(long, value_name = "N,M,..", value_delimiter = ',', default_values_t = [20])]
    hidden: Vec<u32>,
    /// Task families that the file names as its own; `evaluate` tunes the baselines on them.
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', default_values_t = [TaskFamily::Xor, TaskFamily::Or, TaskFamily::Circle, TaskFamily::HalfPlane])]
    tasks: Vec<TaskFamily>,
    /// Examples of each update.
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch_size: u32,
    /// Distribution of the initial synapses.
    #[arg(long, value_name = "NAME", default_value = "xavier")]
    initial: Distribution,
    /// Scale of that distribution.
    #[arg(long, value_name = "SCALE", default_value_t = 1.0, allow_negative_numbers = true)]
    initial_scale: f64,
    /// Where to write the genome file; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Activation {
    /// tanh x
    Tanh,
    /// max(0, x)
    Relu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Distribution {
    /// In -scale .. scale.
    Uniform,
    /// With standard deviation `scale`.
    Normal,
    /// Uniform in +-scale sqrt(6 / (inputs + outputs)).
    Xavier,
}

fn parse_learning_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1000.0 => Ok(rate),
        _ => Err("a learning rate is a number above 0 and at most 1000".to_owned()),
    }
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let file = genome_file(arguments)?;
    files::write(&arguments.out, file.to_json())?;
    if files::is_standard(&arguments.out) {
        return Ok(());
    }
    let evaluate = Paint::stderr().command(&format!("hebbian evaluate {}", arguments.out.display()));
    render::note(&format!("wrote {}; compare it with {evaluate}", arguments.out.display()));
    Ok(())
}

/// The file, as a run would have written it that found this genome before its first generation.
fn genome_file(arguments: &Arguments) -> Result<genome_file::GenomeFile, Failure> {
    let rule = backpropagation::options(match arguments.activation {
        Activation::Tanh => HiddenActivation::Tanh,
        Activation::Relu => HiddenActivation::Relu,
    });
    let initial_synapses = InitialSynapses {
        distribution: match arguments.initial {
            Distribution::Uniform => SynapseDistribution::Uniform,
            Distribution::Normal => SynapseDistribution::Normal,
            Distribution::Xavier => SynapseDistribution::Xavier,
        },
        scale: arguments.initial_scale,
    };
    #[allow(clippy::needless_update, reason = "whatever else networks have is as it usually is")]
    let network =
        NetworkSpec { hidden: arguments.hidden.clone(), initial_synapses, ..NetworkSpec::default() };
    let tasks = TaskSpec { batch_size: arguments.batch_size, ..TaskSpec::of(arguments.tasks.clone()) };
    let spec = RunSpec {
        version: SPEC_VERSION,
        name: "backpropagation".to_owned(),
        seed: Seed::new(RunSpec::DEFAULT_SEED).expect("the default is a seed"),
        strategy: StrategySpec::CmaEs(CmaEsSpec::of(16)),
        problem: Problem::RuleLearning(RuleLearning { rule: rule.into(), network, tasks }),
        evaluation: EvaluationSpec::default(),
        validation: None,
        stop: StopSpec { generations: Some(1), ..StopSpec::default() },
        numerics: Numerics::default(),
    };
    spec.validate().map_err(Failure::bad_input)?;
    GenomeFile::new(&spec.into(), backpropagation::genome(arguments.learning_rate), 0)
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
        let arguments = ["backprop", "--out", "x"].iter().chain(arguments);
        genome_file(&Program::parse_from(arguments).arguments)
    }

    #[test]
    fn the_file_is_one_that_other_commands_read() {
        let file = file(&["--learning-rate", "0.05", "--activation", "relu", "--hidden", "8,4"]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("genome.json");
        files::write(&path, file.to_json()).unwrap();
        assert_eq!(GenomeFile::read(&path).unwrap(), file);
        assert_eq!(file.problem().network.hidden, [8, 4]);
    }

    #[test]
    fn what_networks_cannot_be_is_refused() {
        let refused = |arguments: &[&str], expected: &str| {
            let message = file(arguments).expect_err(expected).message().to_owned();
            assert!(message.starts_with(expected), "{message}");
        };
        refused(&["--hidden", "0"], "network.hidden[0]: must be from 1");
        refused(&["--batch-size", "0"], "tasks.batch_size: must be from 1");
        refused(&["--initial-scale", "-1"], "network.initial_synapses.scale: must be above 0");
        refused(&["--tasks", "xor,xor"], "tasks.families: names `xor` twice");
        for rate in ["0", "-1", "nan", "1e4"] {
            assert!(Program::try_parse_from(["backprop", "--out", "x", "--learning-rate", rate]).is_err());
        }
    }
}
