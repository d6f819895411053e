//! `hebbian genome backprop`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::{EvaluationSpec, Objective};
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec, SynapseDistribution};
use hebbian_shared::spec::rule::gradient_descent::HiddenActivation;
use hebbian_shared::spec::rule::multi_state::{FanIn, MultiStateSpec};
use hebbian_shared::spec::start::{KnownGenome, LEARNING_RATE, PerLayer, StartGenome, StartSpec};
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
/// It descends half of the squared differences, averaged over the batch; networks have a linear output. With --pairs it descends
/// the cross-entropy of as many networks whose outputs add up, and other options make it a rule near descent, from which searches
/// start. The file holds the options that it needs, and is used as any other; a spec names it by `start.genome`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian genome backprop --out backprop.json && hebbian evaluate backprop.json
  hebbian genome backprop --learning-rate 0.05 --activation relu --hidden 32 --tasks digits --out digits.json
  hebbian genome backprop --pairs 2 --normalised --schedule-power -0.5 --learning-rate 0.04 --hidden 32 --tasks digits \\
    --out start.json")]
pub(super) struct Arguments {
    /// The length of a step, above 0 and at most 1000.
    #[arg(long, value_name = "RATE", default_value_t = 0.1, value_parser = parse_learning_rate, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Pairs of states, from 1 to 8: cross-entropy instead of squares, a readout that adds the pairs up, initial synapses that the
    /// genome scales, and a genome for each layer.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pairs: Option<u8>,
    /// Steps are divided by the root mean square of their numbers.
    #[arg(long, requires = "pairs")]
    normalised: bool,
    /// Steps change with the updates: times (1 + t) to this power.
    #[arg(long, value_name = "POWER", requires = "pairs", allow_negative_numbers = true)]
    schedule_power: Option<f64>,
    /// What synapses keep is a mixture of their states; here each state keeps itself.
    #[arg(long, requires = "pairs")]
    mixing: bool,
    /// Predictions are multiplied by a number where they are measured; here it is 1.
    #[arg(long, requires = "pairs")]
    temperature: bool,
    /// Steps are divided by the number of neurons that synapses come from, relative to these numbers, one for each layer.
    #[arg(long, value_name = "N,M,..", value_delimiter = ',', requires = "pairs")]
    fan_in: Option<Vec<u32>>,
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
    #[arg(long, value_name = "NAME", default_value = "xavier", conflicts_with = "pairs")]
    initial: Distribution,
    /// Scale of that distribution; with --pairs of normal numbers over the root of the neurons that synapses come from.
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
        Ok(rate) if LEARNING_RATE.check("", rate).is_ok() => Ok(rate),
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
    let activation = match arguments.activation {
        Activation::Tanh => HiddenActivation::Tanh,
        Activation::Relu => HiddenActivation::Relu,
    };
    let (rule, initial_synapses) = match arguments.pairs {
        None => (MultiStateSpec::backpropagation(activation), initial_synapses(arguments)),
        Some(pairs) => (in_pairs(arguments, pairs, activation), InitialSynapses::default()),
    };
    let start = StartSpec {
        genome: StartGenome::Known(KnownGenome::Backpropagation),
        learning_rate: Some(PerLayer::All(arguments.learning_rate)),
        normalisation_exponent: arguments.normalised.then_some(PerLayer::All(1.0)),
        schedule_power: arguments.schedule_power.map(PerLayer::All),
        initial_scale: arguments.pairs.map(|_| PerLayer::All(arguments.initial_scale)),
        ..StartSpec::default()
    };
    #[allow(clippy::needless_update, reason = "whatever else networks have is as it usually is")]
    let network =
        NetworkSpec { hidden: arguments.hidden.clone(), initial_synapses, ..NetworkSpec::default() };
    let tasks = TaskSpec { batch_size: arguments.batch_size, ..TaskSpec::of(arguments.tasks.clone()) };
    let objective = if arguments.pairs.is_some() { Objective::Logistic } else { Objective::Accuracy };
    let spec = RunSpec {
        version: SPEC_VERSION,
        name: "backpropagation".to_owned(),
        seed: Seed::new(RunSpec::DEFAULT_SEED).expect("the default is a seed"),
        strategy: StrategySpec::CmaEs(CmaEsSpec::of(16)),
        start,
        problem: Problem::RuleLearning(RuleLearning { rule: rule.into(), network, tasks }),
        evaluation: EvaluationSpec { objective, ..EvaluationSpec::default() },
        validation: None,
        stop: StopSpec { generations: Some(1), ..StopSpec::default() },
        numerics: Numerics::default(),
    };
    spec.validate().map_err(Failure::bad_input)?;
    let genome = spec.initial_mean();
    GenomeFile::new(&spec.into(), genome, 0)
}

/// The rule of --pairs with its options.
fn in_pairs(arguments: &Arguments, pairs: u8, activation: HiddenActivation) -> MultiStateSpec {
    MultiStateSpec {
        update_normalisation: arguments.normalised,
        update_schedule: arguments.schedule_power.is_some(),
        synapse_mixing: arguments.mixing,
        loss_temperature: arguments.temperature,
        fan_in: arguments.fan_in.clone().map(|reference| FanIn { reference, exponent: 1.0 }),
        ..MultiStateSpec::backpropagation_in_pairs(pairs, activation)
    }
}

/// How networks without --pairs begin.
fn initial_synapses(arguments: &Arguments) -> InitialSynapses {
    let distribution = match arguments.initial {
        Distribution::Uniform => SynapseDistribution::Uniform,
        Distribution::Normal => SynapseDistribution::Normal,
        Distribution::Xavier => SynapseDistribution::Xavier,
    };
    InitialSynapses { distribution, scale: arguments.initial_scale }
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
    fn pairs_have_their_options() {
        let options = [
            "--pairs",
            "2",
            "--normalised",
            "--mixing",
            "--temperature",
            "--hidden",
            "32",
            "--fan-in",
            "64,32",
        ];
        let start = ["--tasks", "digits", "--learning-rate", "0.04", "--schedule-power", "-0.5"];
        let file = file(&[&options[..], &start[..]].concat()).unwrap();
        assert_eq!(GenomeFile::parse(&file.to_json()).unwrap(), file);
        let of = |name| file.layout().parameters(name, file.genome()).unwrap();
        assert_eq!((of("normalisation_exponent"), of("schedule_power")), (vec![1.0; 8], vec![-0.5; 8]));
        assert_eq!(
            (of("synapse_mixing")[..6].to_vec(), of("loss_temperature")),
            (vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0], vec![1.0])
        );
        assert!(of("synapse_update").iter().all(|rate| (rate - 0.04).abs() < 1e-15));
        assert!(Program::try_parse_from(["backprop", "--out", "x", "--normalised"]).is_err());
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
        refused(&["--pairs", "1", "--initial-scale", "-1"], "start.initial_scale: must be above 0");
        refused(&["--pairs", "1", "--fan-in", "2"], "rule.fan_in.reference: must have 2 numbers");
        for rate in ["0", "-1", "nan", "1e4"] {
            assert!(Program::try_parse_from(["backprop", "--out", "x", "--learning-rate", rate]).is_err());
        }
    }
}
