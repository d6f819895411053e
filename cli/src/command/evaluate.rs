//! `hebbian evaluate`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hebbian_learning::comparison::{
    self, Ablation, Companion, Comparison, ComparisonSettings, Rival, TunedOver,
};
use hebbian_learning::evaluation::{Evaluate, Remembering, Score, Stage, Threads};
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::rule;
use hebbian_shared::limits::{
    EVALUATION_TASKS_MAX, EVALUATION_UPDATES_MAX, GENOME_FILE_BYTES_MAX, IMAGE_SIDE_MAX,
};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::gradient_descent::Optimizer;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_worker::data_store::DataStore;

use self::noise::{NoiseArguments, NoiseSetting};
use super::{LogArguments, all_cores, parse_seed, parse_threads};
use crate::client::ClientArguments;
use crate::cluster::Cluster;
use crate::credentials::ClientCredentials;
use crate::data::{self, DataArguments};
use crate::failure::Failure;
use crate::files;
use crate::genome_file::GenomeFile;
use crate::judging::unseen_families;
use crate::render::progress::Activity;
use crate::render::{self, Paint};

mod noise;

/// Compare a learned rule with tuned SGD, momentum and Adam: fresh networks of the same layer sizes, the same tasks,
/// the same batches. Baselines are tuned on the families that the rule was evolved on; for the images of the program and the families
/// of its specs for the plane the best of thousands of settings are known.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian evaluate genome.json
  hebbian evaluate genome.json --tasks stripes,sine --updates 5,50,500 --baselines adam
  hebbian evaluate genome.json --tasks-per-family 1000 --json > comparison.json
  hebbian evaluate genome.json --tune --beside tuned-there,wider   baselines over thousands of settings: minutes
  hebbian evaluate genome.json --tune=near --hidden 128 --json > one.json      near what is known: a tenth of that
  hebbian evaluate other.json --hidden 128 --baselines-from one.json           another rule, the same baselines
  hebbian evaluate runs/*/genome.json                         rules beside the same baselines, which are tried once
  hebbian evaluate genome.json --ablate                       does the rule use its backward pass and hidden layers?
  hebbian evaluate warped.json --against maml.json,leap.json   other rules on the same tasks
  hebbian evaluate genome.json --hidden 20,20                 in networks of two hidden layers
  hebbian evaluate genome.json --tasks digits,idx:fashion-mnist
  hebbian evaluate rule:images --tasks idx:mine               a rule of the program on your own data
  hebbian evaluate weights.json --noise symmetric:0.2,0.4,pair:0.2 --ablate    a table for each kind and rate of wrong labels
  hebbian evaluate weights.json --noise symmetric:0.4 --imbalance 10,50 --clean 50     rare classes, and a few right labels
  hebbian evaluate rule:images --samples 200                  training sets of 200 examples, all labels right
  hebbian evaluate genome.json --tasks-per-family 5000 --coordinator http://HOST:7420   on a cluster's workers

Task families:
  and, or, xor, nxor, qand                                            fixed
  half-plane, projected-xor, oriented-or, circle, angular-slice,
  two-moons, sine, square, quadric, stripes                           drawn at random
  regress-linear, regress-wave, regress-bumps, regress-quadric        values in place of classes
  digits, fashion                                                     8x8 digits, 8x8 pictures of clothes
  synthetic-mixture                                                   Gaussian clusters in place of images
  sinusoid                                                            values over a line
  remember-bits, remember-images, remember-labels                     pairs that are seen once
  idx:NAME                                                            a data set, see `hebbian data --help`")]
pub(super) struct Arguments {
    /// The genome file that `hebbian run` or `hebbian result` wrote, or `rule:NAME` for a rule of `hebbian rules list`. Several are
    /// compared with the same baselines, which are tuned and tried once.
    #[arg(value_name = "GENOME", required = true)]
    genomes: Vec<PathBuf>,
    /// Task families to compare on [default: families that the rule was not evolved on].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    tasks: Vec<TaskFamily>,
    /// Numbers of updates after which to measure the accuracy: increasing, from 1 to 2000.
    #[arg(
        long,
        value_name = "N,M,..",
        value_delimiter = ',',
        default_values_t = [3, 5, 10, 20, 50],
        value_parser = clap::value_parser!(u32).range(1..=i64::from(EVALUATION_UPDATES_MAX)),
        allow_negative_numbers = true
    )]
    updates: Vec<u32>,
    /// Baselines to compare with: sgd, momentum, nesterov, adam [default: all where their best settings are known or with --tune,
    /// otherwise all but nesterov].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    baselines: Vec<Optimizer>,
    /// Tune baselines over all settings, also where the best are known: momenta and beta1 of .9 and .5, five initialisations,
    /// constant and falling rates, for 3, 5, 10, 20 and 50 updates. It takes minutes.
    #[arg(long, value_name = "SETTINGS", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    tune: Option<Tune>,
    /// Take the baselines of earlier comparisons (`--json`) where these tuned them on the same families and data, in networks of the
    /// same layer sizes: rules that are compared on the same tasks need one tuning.
    #[arg(long, value_name = "FILE,..", value_delimiter = ',')]
    baselines_from: Vec<PathBuf>,
    /// What to print beside the baselines: `tuned-there`, which are tuned on the families that they are tried on; `wider`, which
    /// have as many hidden neurons as the rule has features; `ceiling`, kernel ridge regression on all examples seen (minutes);
    /// `own`, what belongs to the rule's family [default: those that are known, and `own`].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    beside: Option<Vec<Rival>>,
    /// Other rules to try on the same tasks: genome files, or `rule:NAME`. Each has its own network, the tasks are those of GENOME.
    #[arg(long, value_name = "GENOME,..", value_delimiter = ',')]
    against: Vec<PathBuf>,
    /// What to measure [default: accuracy; of values the explained variance, of pairs the share of bits recalled].
    #[arg(long, value_name = "SCORE")]
    score: Option<ScoreName>,
    #[command(flatten)]
    noise: NoiseArguments,
    /// Fresh tasks of each family, from 2 to 100000; the standard error falls with their square root.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 150,
        value_parser = clap::value_parser!(u32).range(2..=i64::from(EVALUATION_TASKS_MAX)),
        allow_negative_numbers = true
    )]
    tasks_per_family: u32,
    /// Which images of data sets queries come from [default: `held-back` if the rule's spec holds something back, else `test`].
    #[arg(long, value_name = "PART")]
    part: Option<ImagePart>,
    /// Try the rule also without parts of it: what a family has that can be taken, where the rule's options and networks have it.
    #[arg(long)]
    ablate: bool,
    /// Hidden layers of the compared networks, or `none` [default: those that the rule was evolved with].
    #[arg(long, value_name = "N,M,..", value_parser = parse_hidden, allow_negative_numbers = true)]
    hidden: Option<Hidden>,
    /// Side to which images of data sets are scaled, from 2 to 64 [default: that of the images that the rule was evolved on].
    #[arg(
        long,
        value_name = "PIXELS",
        value_parser = clap::value_parser!(u32).range(2..=i64::from(IMAGE_SIDE_MAX)),
        allow_negative_numbers = true
    )]
    side: Option<u32>,
    /// Train all networks on the workers of this coordinator, with the same bits.
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// Give up when the coordinator has not answered, or has no worker, for this long.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = crate::time::parse,
        requires = "coordinator"
    )]
    timeout: Duration,
    #[command(flatten)]
    credentials: ClientCredentials,
    #[command(flatten)]
    data: DataArguments,
    /// Root of all draws of the comparison.
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Seed,
    /// Compute threads; they change only the time it takes [default: all cores].
    #[arg(
        long,
        value_name = "N",
        value_parser = parse_threads,
        allow_negative_numbers = true,
        conflicts_with = "coordinator"
    )]
    threads: Option<u32>,
    /// Print the comparison as a JSON object; of several genomes, or kinds and rates of noise, an array of them.
    #[arg(long)]
    json: bool,
}

/// Settings that baselines are tuned over.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tune {
    /// All of them: thousands.
    All,
    /// Those that are known as the best for the images of the program, at 7 learning rates from 1/32 of theirs to twice theirs:
    /// for images of other sizes and networks of other widths.
    Near,
    /// Those that are tuned over where none are known: SGD, momentum and Adam at constant rates, for 5 and 10 updates. It takes seconds.
    Customary,
}

/// What is measured of networks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScoreName {
    /// Of classes: the share of examples whose class is predicted.
    Accuracy,
    /// 1 minus the mean squared error, or 0 if that is negative.
    OneMinusError,
}

/// Images that rules are judged on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ImagePart {
    /// The end of the training part, which the rule's spec holds back: for judging while a spec is being made.
    HeldBack,
    /// The test part.
    Test,
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    let data = log.data_store(&arguments.data)?;
    let earlier: Vec<Comparison> =
        arguments.baselines_from.iter().map(|path| earlier(path)).collect::<Result<_, _>>()?;
    let others: Vec<Companion> =
        arguments.against.iter().map(|path| other(path)).collect::<Result<_, _>>()?;
    // All of them before anything is computed or said.
    let beside = (&earlier[..], &others[..]);
    let noises = arguments.noise.settings(arguments.genomes.len())?;
    let rules = arguments.genomes.iter().map(|path| Compared::each(path, arguments, &noises, beside, &data));
    let rules: Vec<Compared> = rules.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let threads = arguments.threads.unwrap_or_else(all_cores) as usize;
    let here = Threads { threads, data: &*data };
    let cluster = match &arguments.coordinator {
        None => {
            arguments.credentials.check_unused("without --coordinator")?;
            None
        }
        Some(coordinator) => {
            let (coordinator, timeout) = (coordinator.clone(), arguments.timeout);
            let credentials = arguments.credentials.clone();
            Some(Cluster::connect(&ClientArguments { coordinator, timeout, credentials })?)
        }
    };
    let evaluate: &dyn Evaluate = match &cluster {
        None => &here,
        Some(cluster) => cluster,
    };
    let (evaluate, interrupt) = (Remembering::new(evaluate), Interrupt::new());
    let comparisons = rules.iter().map(|rule| rule.compare(&evaluate, &interrupt));
    if arguments.json {
        let comparisons = comparisons.collect::<Result<Vec<_>, _>>()?;
        return render::out(&match &comparisons[..] {
            [comparison] => render::json::pretty(comparison),
            _ => render::json::pretty(&comparisons),
        });
    }
    let paint = Paint::stdout();
    let mut told = String::new();
    // Each as soon as it is there: whoever ends the rest keeps it.
    for (place, (rule, comparison)) in rules.iter().zip(comparisons).enumerate() {
        let comparison = comparison?;
        let whose = rule.whose();
        let whose = render::escape::line(&whose);
        let mut text = String::new();
        if let [_] = &rules[..] {
            render::note(&whose);
        } else {
            text = format!("{}{}\n\n", if place == 0 { "" } else { "\n" }, paint.bold(&whose));
        }
        text.push_str(&render::comparison::table(&comparison, paint));
        // Once, where they are the one's before, too.
        let baselines = render::comparison::baselines(&comparison, paint);
        if baselines != told {
            text.push('\n');
            text.push_str(&baselines);
            told = baselines;
        }
        render::out(&text)?;
    }
    Ok(())
}

/// A rule that is compared, and how.
struct Compared<'a> {
    path: &'a Path,
    arguments: &'a Arguments,
    noise: NoiseSetting,
    file: GenomeFile,
    problem: RuleLearning,
    settings: ComparisonSettings,
}

impl<'a> Compared<'a> {
    /// A genome's rule with each noise.
    fn each(
        path: &'a Path,
        arguments: &'a Arguments,
        noises: &[NoiseSetting],
        (earlier, others): (&[Comparison], &[Companion]),
        data: &DataStore,
    ) -> Result<Vec<Self>, Failure> {
        let file = GenomeFile::read(path)?;
        let mut problem = file.problem();
        if let Some(Hidden(hidden)) = &arguments.hidden {
            problem.network.hidden.clone_from(hidden);
            problem.network.shapes.clear();
        }
        let families = match arguments.tasks.as_slice() {
            [] => unseen_families(&problem),
            named => named.to_vec(),
        };
        describe_data_sets(&mut problem, &families, arguments.side, data)?;
        let settings = ComparisonSettings {
            families,
            updates: arguments.updates.clone(),
            baselines: Some(arguments.baselines.clone()).filter(|baselines| !baselines.is_empty()),
            tuned_over: arguments.tune.map(|tune| match tune {
                Tune::All => TunedOver::All,
                Tune::Near => TunedOver::Near,
                Tune::Customary => TunedOver::Customary,
            }),
            earlier: earlier.to_vec(),
            rivals: arguments.beside.clone(),
            ablations: if arguments.ablate { ablations(&problem)? } else { Vec::new() },
            stage: match arguments.part {
                None => Stage::judging(&problem),
                Some(ImagePart::HeldBack) => Stage::HeldBack,
                Some(ImagePart::Test) => Stage::Comparison,
            },
            tasks_per_family: arguments.tasks_per_family,
            seed: arguments.seed,
            score: arguments.score.map(|score| match score {
                ScoreName::Accuracy => Score::Accuracy,
                ScoreName::OneMinusError => Score::OneMinusError,
            }),
            others: others.to_vec(),
        };
        let with_noise = |noise: &NoiseSetting| {
            let (file, mut problem, settings) = (file.clone(), problem.clone(), settings.clone());
            noise.apply(&mut problem.tasks);
            let checked = comparison::check(&problem, file.genome(), &settings);
            checked.map_err(|error| arguments.noise.failure(error))?;
            Ok(Self { path, arguments, noise: noise.clone(), file, problem, settings })
        };
        noises.iter().map(with_noise).collect()
    }

    fn compare(&self, evaluate: &dyn Evaluate, interrupt: &Interrupt) -> Result<Comparison, Failure> {
        let activity = Activity::new("comparing with tuned baselines");
        let show = |done: u64, total: u64| activity.show(done as f64 / total.max(1) as f64);
        let (genome, settings) = (self.file.genome(), &self.settings);
        comparison::compare(&self.problem, genome, settings, evaluate, &show, interrupt)
            .map_err(|error| self.arguments.noise.failure(error))
    }

    fn whose(&self) -> String {
        let from = &self.file.provenance;
        let (path, spec, seed) = (self.path.display(), &from.spec, from.seed);
        let flags = self.noise.flags();
        let with = if flags.is_empty() { String::new() } else { format!(", with{flags}") };
        format!("{path}: `{spec}`, seed {seed}, after {} generations{with}", from.generation)
    }
}

/// A comparison that `--json` wrote.
fn earlier(path: &Path) -> Result<Comparison, Failure> {
    let text = files::read_text(path, GENOME_FILE_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::bad_input(format_args!("{}: is no comparison: {error}", path.display()))
            .hint("`hebbian evaluate GENOME --json` writes comparisons")
    })
}

/// A genome file as another rule; its name in tables is the file's, or its directory's where all files have one name.
fn other(path: &Path) -> Result<Companion, Failure> {
    let file = GenomeFile::read(path)?;
    let stem = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.display().to_string());
    let directory = path.parent().and_then(Path::file_name).map(|name| name.display().to_string());
    let name = directory.filter(|_| stem == "genome").unwrap_or(stem);
    let meaning = format!("{}: {}", path.display(), file.problem().rule.options().summary());
    let setting = (file.provenance.spec.clone(), file.genome().clone());
    Ok(Companion::new((name, meaning), file.problem(), vec![setting]))
}

/// What can be taken from the rule.
fn ablations(problem: &RuleLearning) -> Result<Vec<Ablation>, Failure> {
    let ablations = rule::family(&problem.rule).ablations(problem);
    if ablations.is_empty() {
        return Err(Failure::bad_input(format_args!(
            "--ablate: nothing can be taken from a rule of the family {} here: leave it out",
            problem.rule.options().family()
        )));
    }
    Ok(ablations)
}

/// Adds the data sets of `families` to those that the rule's spec names, at a side, and notes the content of all: a
/// report says what was measured.
fn describe_data_sets(
    problem: &mut RuleLearning,
    families: &[TaskFamily],
    side: Option<u32>,
    data: &DataStore,
) -> Result<(), Failure> {
    let is_table = |family: &TaskFamily| {
        let data_set = family.data_set().and_then(|name| problem.tasks.data_set(name));
        data_set.is_some_and(|data_set| data_set.features.is_some())
    };
    let trained_on = problem.tasks.families.iter().find(|family| family.is_images() && !is_table(family));
    let usual = trained_on.map_or(DataSetSpec::DEFAULT_SIDE, |&family| problem.tasks.inputs(family).isqrt());
    for family in families {
        let Some(name) = family.data_set() else { continue };
        let known = problem.tasks.data_sets.iter().position(|data_set| data_set.name == name);
        let place = known.unwrap_or_else(|| {
            problem.tasks.data_sets.push(DataSetSpec::of(name, usual));
            problem.tasks.data_sets.len() - 1
        });
        let data_set = &mut problem.tasks.data_sets[place];
        if let Some(side) = side {
            if problem.tasks.families.contains(family) && data_set.side != side {
                return Err(Failure::bad_input(format_args!(
                    "--side: the rule was evolved, and the baselines are tuned, on `{family}` at side {}",
                    data_set.side
                )));
            }
            data_set.side = side;
        }
        data::complete_one(data_set, data)?;
        if data_set.features.is_some() {
            // Nothing of a table is scaled.
            data_set.side = DataSetSpec::DEFAULT_SIDE;
        }
    }
    Ok(())
}

/// Hidden layers as they are written in arguments.
#[derive(Clone, Debug)]
struct Hidden(Vec<u32>);

fn parse_hidden(text: &str) -> Result<Hidden, String> {
    if text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    let layers = text.split(',').map(|layer| layer.trim().parse::<u32>().ok());
    let hidden =
        layers.collect::<Option<Vec<_>>>().map(|hidden| NetworkSpec { hidden, ..NetworkSpec::default() });
    let hidden = hidden.ok_or("hidden layers are numbers of neurons with commas, or `none`")?;
    hidden.validate().map_err(|error| error.to_string().replace("network.hidden", "hidden"))?;
    Ok(Hidden(hidden.hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_layers_are_numbers_or_none() {
        assert_eq!(parse_hidden("20,20").unwrap().0, [20, 20]);
        assert_eq!(parse_hidden("none").unwrap().0, [0; 0]);
        assert!(parse_hidden("20,x").unwrap_err().contains("numbers of neurons"));
        assert!(parse_hidden("").is_err() && parse_hidden("-3").is_err());
        assert_eq!(parse_hidden("20,0").unwrap_err(), "hidden[1]: must be from 1 to 4096, not 0");
    }
}
