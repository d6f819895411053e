//! `hebbian evaluate`, and the comparison that ends `hebbian run`.

use std::path::PathBuf;

use clap::Args;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_worker::baseline::BaselineKind;
use hebbian_worker::comparison::{self, Comparison, ComparisonError, ComparisonSettings};
use hebbian_worker::interrupt::Interrupt;

use super::{LogArguments, all_cores, parse_seed, parse_threads};
use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::render::progress::Activity;
use crate::render::{self, Paint};

/// Compare an evolved rule with tuned SGD, momentum and Adam: fresh networks of the same layer sizes, the same tasks,
/// the same batches. Baselines are tuned on the families that the rule was evolved on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian evaluate genome.json
  hebbian evaluate genome.json --tasks stripes,sine --updates 5,50,500 --baselines adam
  hebbian evaluate genome.json --tasks-per-family 1000 --json > comparison.json

Task families:
  and, or, xor, nxor, qand                                            fixed
  half-plane, projected-xor, oriented-or, circle, angular-slice,
  two-moons, sine, square, quadric, stripes                           drawn at random
  digits                                                              8x8 hand-written digits")]
pub(super) struct Arguments {
    /// The genome file that `hebbian run` or `hebbian result` wrote.
    #[arg(value_name = "GENOME")]
    genome: PathBuf,
    /// Task families to compare on [default: families that the rule was not evolved on].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    tasks: Vec<TaskFamily>,
    /// Numbers of updates after which to measure the accuracy: increasing, from 1 to 2000.
    #[arg(
        long,
        value_name = "N,M,..",
        value_delimiter = ',',
        default_values_t = [3, 5, 10, 20, 50],
        value_parser = clap::value_parser!(u32).range(1..=i64::from(comparison::UPDATES_MAX)),
        allow_negative_numbers = true
    )]
    updates: Vec<u32>,
    /// Baselines to compare with: sgd, momentum, adam.
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', default_values_t = BaselineKind::ALL.to_vec())]
    baselines: Vec<BaselineKind>,
    /// Fresh tasks of each family, from 2 to 100000; the standard error falls with their square root.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 150,
        value_parser = clap::value_parser!(u32).range(2..=i64::from(comparison::TASKS_PER_FAMILY_MAX)),
        allow_negative_numbers = true
    )]
    tasks_per_family: u32,
    /// Root of all draws of the comparison.
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Seed,
    /// Compute threads; they change only the time it takes [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    threads: Option<u32>,
    /// Print the comparison as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let file = GenomeFile::read(&arguments.genome)?;
    let problem = file.problem();
    let settings = ComparisonSettings {
        families: match arguments.tasks.as_slice() {
            [] => unseen_families(&problem),
            named => named.to_vec(),
        },
        updates: arguments.updates.clone(),
        baselines: arguments.baselines.clone(),
        tasks_per_family: arguments.tasks_per_family,
        seed: arguments.seed,
        threads: arguments.threads.unwrap_or_else(all_cores) as usize,
    };
    // Before anything is said.
    comparison::check(&problem, file.genome(), &settings).map_err(comparison_failure)?;
    let activity = Activity::new("comparing with tuned baselines");
    let comparison = comparison::compare(
        &problem,
        file.genome(),
        &settings,
        &|done, total| activity.show(done as f64 / total.max(1) as f64),
        &Interrupt::new(),
    );
    drop(activity);
    let comparison = comparison.map_err(comparison_failure)?;
    if arguments.json {
        return render::out(&render::json::pretty(&comparison));
    }
    let from = &file.provenance;
    render::note(&format!(
        "{}: `{}`, seed {}, after {} generations",
        arguments.genome.display(),
        from.spec,
        from.seed,
        from.generation
    ));
    let paint = Paint::stdout();
    render::out(
        &(render::comparison::table(&comparison, paint)
            + "\n"
            + &render::comparison::baselines(&comparison, paint)),
    )
}

/// A comparison that ended without a result; a wrong setting is named as the flag that sets it.
pub(super) fn comparison_failure(error: ComparisonError) -> Failure {
    match error {
        ComparisonError::Setting { field, problem } => {
            let flag = if field == "families" { "tasks".to_owned() } else { field.replace('_', "-") };
            Failure::bad_input(format_args!("--{flag}: {problem}"))
        }
        ComparisonError::Interrupted => Failure::interrupted(error),
        error => Failure::failed(error),
    }
}

/// The held-out families of the plane, in the order of the table.
const PLANE: [TaskFamily; 9] = [
    TaskFamily::And,
    TaskFamily::Qand,
    TaskFamily::Nxor,
    TaskFamily::AngularSlice,
    TaskFamily::TwoMoons,
    TaskFamily::Sine,
    TaskFamily::Square,
    TaskFamily::Quadric,
    TaskFamily::Stripes,
];

/// What a rule is judged on: families of its kind that it was not evolved on. There is one family of images, of which
/// other images and other permutations are drawn.
pub(super) fn unseen_families(problem: &RuleLearning) -> Vec<TaskFamily> {
    let trained = &problem.tasks.families;
    let images = trained.contains(&TaskFamily::Digits);
    let plane = trained.iter().any(|family| *family != TaskFamily::Digits);
    let unseen = PLANE.into_iter().filter(|family| plane && !trained.contains(family));
    let mut families: Vec<TaskFamily> = unseen.chain(images.then_some(TaskFamily::Digits)).collect();
    if families.is_empty() {
        families.clone_from(trained);
    }
    families
}

/// The comparison of a finished run: the customary one on families that were not trained on.
pub(super) fn compare_finished(
    problem: &RuleLearning,
    genome: &hebbian_shared::genome::Genome,
    seed: Seed,
    threads: u32,
    interrupt: &Interrupt,
) -> Result<Comparison, Failure> {
    let settings = ComparisonSettings::new(unseen_families(problem), seed, threads as usize);
    let activity = Activity::new("comparing the evolved rule with tuned SGD, momentum and Adam");
    let show = |done: u64, total: u64| activity.show(done as f64 / total.max(1) as f64);
    comparison::compare(problem, genome, &settings, &show, interrupt).map_err(comparison_failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_shared::spec::{Problem, RunSpec};

    fn check(families: &[TaskFamily], expected: &[TaskFamily]) {
        let Problem::RuleLearning(mut problem) = RunSpec::from_toml(crate::QUICKSTART).unwrap().problem;
        problem.tasks.families = families.to_vec();
        assert_eq!(unseen_families(&problem), expected);
    }

    #[test]
    fn a_rule_is_judged_on_what_it_has_not_seen() {
        check(&[TaskFamily::Xor, TaskFamily::Or], &PLANE);
        check(&[TaskFamily::And, TaskFamily::Qand], &PLANE[2..]);
        check(&[TaskFamily::Digits], &[TaskFamily::Digits]);
        let mut both = PLANE.to_vec();
        both.push(TaskFamily::Digits);
        check(&[TaskFamily::Digits, TaskFamily::Xor], &both);
        check(&PLANE, &PLANE);
    }
}
