//! The flags of `hebbian evaluate` that give a rule's tasks other wrong labels, rare classes or clean examples than its spec has.

use clap::Args;
use hebbian_learning::comparison::ComparisonError;
use hebbian_learning::task::TaskError;
use hebbian_shared::spec::task::{LabelNoiseSpec, NoiseKind, TaskSpec};

use crate::failure::Failure;
use crate::judging::comparison_failure;

/// Tables that one command prints, at most, if these flags make several of a genome.
const TABLES_MAX: usize = 64;

#[derive(Clone, Debug, Default, Args)]
pub(super) struct NoiseArguments {
    /// Wrong labels of the training sets, each kind and rate in a table of its own: `symmetric:0.2,0.4,pair:0.2`. Kinds are symmetric,
    /// symmetric-other and pair; a rate without a kind is of the kind before it [default: as in the rule's spec].
    #[arg(long, value_name = "KIND:RATE,..", value_parser = parse_noise, allow_negative_numbers = true)]
    noise: Option<Noises>,
    /// Rare classes: by how much the largest class is larger than the smallest, from 1 to 1000, each factor in a table of its own
    /// [default: as in the rule's spec].
    #[arg(long, value_name = "FACTOR,..", value_parser = parse_imbalance, allow_negative_numbers = true)]
    imbalance: Option<Factors>,
    /// Examples of a task's training set, from 1 to 4096 [default: as in the rule's spec, or 600 with another of these flags].
    #[arg(long, value_name = "N", value_parser = parse_samples, allow_negative_numbers = true)]
    samples: Option<u32>,
    /// Further examples that are known to be right, as many of each class: 0, or from the number of classes to 1024 [default: as in the
    /// rule's spec].
    #[arg(long, value_name = "N", value_parser = parse_clean, allow_negative_numbers = true)]
    clean: Option<u32>,
}

/// Kinds of noise with their rates.
#[derive(Clone, Debug, PartialEq)]
struct Noises(Vec<(NoiseKind, f64)>);

/// Factors of imbalance.
#[derive(Clone, Debug, PartialEq)]
struct Factors(Vec<f64>);

/// What one table changes of the noise of a rule's tasks; may be nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NoiseSetting {
    noise: Option<(NoiseKind, f64)>,
    factor: Option<f64>,
    samples: Option<u32>,
    clean: Option<u32>,
}

impl NoiseArguments {
    /// What each table of a genome changes: every combination of noise and imbalance.
    pub(super) fn settings(&self, genomes: usize) -> Result<Vec<NoiseSetting>, Failure> {
        let noises = each(self.noise.as_ref().map(|Noises(noises)| &noises[..]));
        let factors = each(self.imbalance.as_ref().map(|Factors(factors)| &factors[..]));
        let of_genome = noises.len() * factors.len();
        if of_genome > 1 && genomes * of_genome > TABLES_MAX {
            let flag = if noises.len() > 1 { "noise" } else { "imbalance" };
            let of = if genomes == 1 { "1 genome".to_owned() } else { format!("{genomes} genomes") };
            return Err(Failure::bad_input(format_args!(
                "--{flag}: {of} with {of_genome} combinations of --noise and --imbalance would be {} tables; give at most {TABLES_MAX} at a \
                 time",
                genomes * of_genome
            )));
        }
        let (samples, clean) = (self.samples, self.clean);
        let of_noise =
            |&noise: &_| factors.iter().map(move |&factor| NoiseSetting { noise, factor, samples, clean });
        Ok(noises.iter().flat_map(of_noise).collect())
    }

    /// A comparison that ended without a result; a wrong setting of label noise is named as the flag that sets it.
    pub(super) fn failure(&self, error: ComparisonError) -> Failure {
        // Without these flags it is the spec that is wrong.
        let given = [
            ("noise", self.noise.is_some()),
            ("imbalance", self.imbalance.is_some()),
            ("samples", self.samples.is_some()),
            ("clean", self.clean.is_some()),
        ];
        let Some((first, _)) = given.into_iter().find(|(_, is_given)| *is_given) else {
            return comparison_failure(error);
        };
        let (text, is_input) = match &error {
            ComparisonError::Setting { problem, .. } => (problem.clone(), true),
            ComparisonError::Task(error @ TaskError::TooFewKnown { .. }) => (error.to_string(), false),
            _ => return comparison_failure(error),
        };
        let Some((field, problem)) =
            text.strip_prefix("tasks.label_noise").and_then(|rest| rest.split_once(": "))
        else {
            return comparison_failure(error);
        };
        let field = field.trim_start_matches('.').split('[').next().unwrap_or_default();
        let flag = match field {
            "rates" | "kind" => "noise",
            "imbalance" | "samples" | "clean" => field,
            _ => first,
        };
        let message = format!("--{flag}: {problem}");
        if !is_input {
            return Failure::failed(message);
        }
        let failure = Failure::bad_input(message);
        if field.is_empty() {
            return failure.hint(format_args!(
                "leave --{first} out: wrong labels are of rules that were evolved, and are tried with --tasks, on families with classes"
            ));
        }
        failure
    }
}

/// Each of the given ones, or once none.
fn each<T: Copy>(given: Option<&[T]>) -> Vec<Option<T>> {
    given.map_or_else(|| vec![None], |given| given.iter().copied().map(Some).collect())
}

impl NoiseSetting {
    /// Changes tasks. Those without a training set of their own get one whose labels are right unless noise is asked for.
    pub(super) fn apply(&self, tasks: &mut TaskSpec) {
        if *self == Self::default() {
            return;
        }
        let spec = tasks
            .label_noise
            .get_or_insert_with(|| LabelNoiseSpec { rates: vec![0.0], ..LabelNoiseSpec::default() });
        if let Some((kind, rate)) = self.noise {
            (spec.kind, spec.rates) = (kind, vec![rate]);
        }
        if let Some(factor) = self.factor {
            spec.imbalance = vec![factor];
        }
        spec.samples = self.samples.unwrap_or(spec.samples);
        spec.clean = self.clean.unwrap_or(spec.clean);
    }

    /// The flags that ask for it alone, each after a space; empty if it changes nothing.
    pub(super) fn flags(&self) -> String {
        let noise = self.noise.map(|(kind, rate)| format!(" --noise {}", named(kind, rate)));
        let factor = self.factor.map(|factor| format!(" --imbalance {factor}"));
        let samples = self.samples.map(|samples| format!(" --samples {samples}"));
        let clean = self.clean.map(|clean| format!(" --clean {clean}"));
        [noise, factor, samples, clean].into_iter().flatten().collect()
    }
}

fn named(kind: NoiseKind, rate: f64) -> String {
    format!("{}:{rate}", kind.name())
}

/// The problem of a spec that has but one, without its field.
fn check(spec: &LabelNoiseSpec) -> Result<(), String> {
    spec.validate().map_err(|error| error.problem)
}

fn parse_noise(text: &str) -> Result<Noises, String> {
    let kinds = NoiseKind::ALL.map(NoiseKind::name);
    let kind_of = |name: &str| NoiseKind::ALL.into_iter().find(|kind| kind.name() == name);
    let mut noises = Vec::new();
    let mut last = None;
    for part in text.split(',').map(str::trim) {
        let rate = match part.split_once(':') {
            None if kind_of(part).is_some() => {
                return Err(format!("`{part}` needs a rate, such as {part}:0.4"));
            }
            None => part,
            Some((name, rate)) => {
                let unknown = || format!("`{name}` is no kind of noise; kinds are {}", kinds.join(", "));
                last = Some(kind_of(name.trim()).ok_or_else(unknown)?);
                rate.trim()
            }
        };
        let rate = rate.parse::<f64>().map_err(|_| {
            format!("`{part}` is no rate of noise; write {}:0.4, kinds are {}", kinds[0], kinds.join(", "))
        })?;
        let kind = last.ok_or_else(|| {
            format!(
                "`{part}` needs a kind before it, such as {}:{part}; kinds are {}",
                kinds[0],
                kinds.join(", ")
            )
        })?;
        let spec = LabelNoiseSpec { kind, rates: vec![rate], ..LabelNoiseSpec::default() };
        let name = named(kind, rate);
        check(&spec).map_err(|problem| format!("the rate of {name} {problem}"))?;
        if noises.contains(&(kind, rate)) {
            return Err(format!("names {name} twice"));
        }
        noises.push((kind, rate));
    }
    Ok(Noises(noises))
}

fn parse_imbalance(text: &str) -> Result<Factors, String> {
    let mut factors = Vec::new();
    for part in text.split(',').map(str::trim) {
        let factor =
            part.parse::<f64>().map_err(|_| format!("`{part}` is no number; factors are such as 10,50"))?;
        check(&LabelNoiseSpec { imbalance: vec![factor], ..LabelNoiseSpec::default() })?;
        if factors.contains(&factor) {
            return Err(format!("names {factor} twice"));
        }
        factors.push(factor);
    }
    Ok(Factors(factors))
}

fn parse_samples(text: &str) -> Result<u32, String> {
    let samples = parse_count(text)?;
    check(&LabelNoiseSpec { samples, ..LabelNoiseSpec::default() })?;
    Ok(samples)
}

fn parse_clean(text: &str) -> Result<u32, String> {
    let clean = parse_count(text)?;
    check(&LabelNoiseSpec { clean, ..LabelNoiseSpec::default() })?;
    Ok(clean)
}

fn parse_count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "must be a whole number of examples".to_owned())
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::TaskFamily;

    use super::*;

    #[test]
    fn a_rate_without_a_kind_is_of_the_kind_before_it() {
        use NoiseKind::{Pair, Symmetric, SymmetricOther};
        let parsed = |text| parse_noise(text).unwrap().0;
        assert_eq!(parsed("symmetric:0.2,0.4,pair:0.2"), [(Symmetric, 0.2), (Symmetric, 0.4), (Pair, 0.2)]);
        assert_eq!(parsed("symmetric-other:1, 0"), [(SymmetricOther, 1.0), (SymmetricOther, 0.0)]);
        assert_eq!(parsed("pair:.5,symmetric:0.2,pair:0.2"), [(Pair, 0.5), (Symmetric, 0.2), (Pair, 0.2)]);
        assert_eq!(parse_imbalance("1,50.5").unwrap().0, [1.0, 50.5]);
        assert_eq!((parse_samples("4096"), parse_clean("0")), (Ok(4096), Ok(0)));
    }

    #[test]
    fn what_is_wrong_says_what_would_be_right() {
        for (text, expected) in [
            ("pair:0.7", "the rate of pair:0.7 must be from 0 to 0.5, not 0.7"),
            ("symmetric:0.2,1.5", "the rate of symmetric:1.5 must be from 0 to 1, not 1.5"),
            ("symmetric:-0.1", "the rate of symmetric:-0.1 must be from 0 to 1, not -0.1"),
            ("symmetric:nan", "the rate of symmetric:NaN must be from 0 to 1, not NaN"),
            ("fog:0.2", "`fog` is no kind of noise; kinds are symmetric, symmetric-other, pair"),
            (
                "fog",
                "`fog` is no rate of noise; write symmetric:0.4, kinds are symmetric, symmetric-other, pair",
            ),
            (
                "symmetric:x",
                "`symmetric:x` is no rate of noise; write symmetric:0.4, kinds are symmetric, symmetric-other, pair",
            ),
            (
                "0.2",
                "`0.2` needs a kind before it, such as symmetric:0.2; kinds are symmetric, symmetric-other, pair",
            ),
            ("symmetric", "`symmetric` needs a rate, such as symmetric:0.4"),
            ("symmetric:0.2,pair", "`pair` needs a rate, such as pair:0.4"),
            ("", "`` is no rate of noise; write symmetric:0.4, kinds are symmetric, symmetric-other, pair"),
            ("symmetric:0.2,pair:0.2,symmetric:0.20", "names symmetric:0.2 twice"),
        ] {
            assert_eq!(parse_noise(text).unwrap_err(), expected);
        }
        for (text, expected) in [
            ("0", "must be from 1 to 1000, not 0"),
            ("10,2000", "must be from 1 to 1000, not 2000"),
            ("ten", "`ten` is no number; factors are such as 10,50"),
            ("10,50,10", "names 10 twice"),
        ] {
            assert_eq!(parse_imbalance(text).unwrap_err(), expected);
        }
        assert_eq!(parse_samples("0").unwrap_err(), "must be from 1 to 4096, not 0");
        assert_eq!(parse_clean("1025").unwrap_err(), "must be from 0 to 1024, not 1025");
        assert_eq!(parse_clean("-3").unwrap_err(), "must be a whole number of examples");
    }

    fn arguments(noise: &str, imbalance: &str) -> NoiseArguments {
        let noise = Some(noise).filter(|text| !text.is_empty()).map(|text| parse_noise(text).unwrap());
        let imbalance =
            Some(imbalance).filter(|text| !text.is_empty()).map(|text| parse_imbalance(text).unwrap());
        NoiseArguments { noise, imbalance, ..NoiseArguments::default() }
    }

    #[test]
    fn every_combination_has_a_table_of_its_own() {
        let settings = NoiseArguments { clean: Some(20), ..arguments("symmetric:0.2,pair:0.4", "10,50") };
        let settings = settings.settings(1).unwrap();
        let flags: Vec<String> = settings.iter().map(NoiseSetting::flags).collect();
        let expected = [
            " --noise symmetric:0.2 --imbalance 10 --clean 20",
            " --noise symmetric:0.2 --imbalance 50 --clean 20",
            " --noise pair:0.4 --imbalance 10 --clean 20",
            " --noise pair:0.4 --imbalance 50 --clean 20",
        ];
        assert_eq!(flags, expected);
        assert_eq!(NoiseArguments::default().settings(3).unwrap(), [NoiseSetting::default()]);
        assert_eq!(NoiseSetting::default().flags(), "");
    }

    #[test]
    fn tables_are_not_many() {
        let refused = |arguments: NoiseArguments, genomes| {
            arguments.settings(genomes).unwrap_err().message().to_owned()
        };
        let two = arguments("symmetric:0.2,0.4", "");
        assert_eq!(two.settings(32).unwrap().len(), 2);
        let expected = "--noise: 33 genomes with 2 combinations of --noise and --imbalance would be 66 tables; give at most 64 at a time";
        assert_eq!(refused(two, 33), expected);
        let expected = "--imbalance: 30 genomes with 3 combinations of --noise and --imbalance would be 90 tables; give at most 64 at a time";
        assert_eq!(refused(arguments("pair:0.1", "1,2,3"), 30), expected);
        assert_eq!(
            arguments("pair:0.1", "").settings(1000).unwrap().len(),
            1,
            "genomes alone are not limited"
        );
    }

    #[test]
    fn settings_change_what_they_name_and_nothing_else() {
        let mut tasks = TaskSpec::of(vec![TaskFamily::Digits]);
        NoiseSetting::default().apply(&mut tasks);
        assert_eq!(tasks.label_noise, None);
        NoiseSetting { samples: Some(200), ..NoiseSetting::default() }.apply(&mut tasks);
        let clean = LabelNoiseSpec { rates: vec![0.0], samples: 200, ..LabelNoiseSpec::default() };
        assert_eq!(tasks.label_noise, Some(clean.clone()), "labels are right");
        let noise = Some((NoiseKind::Pair, 0.3));
        NoiseSetting { noise, factor: Some(10.0), ..NoiseSetting::default() }.apply(&mut tasks);
        let expected =
            LabelNoiseSpec { kind: NoiseKind::Pair, rates: vec![0.3], imbalance: vec![10.0], ..clean };
        assert_eq!(tasks.label_noise, Some(expected.clone()));
        NoiseSetting { clean: Some(30), ..NoiseSetting::default() }.apply(&mut tasks);
        assert_eq!(tasks.label_noise, Some(LabelNoiseSpec { clean: 30, ..expected }));
    }

    #[test]
    fn what_suits_no_family_is_named_by_its_flag() {
        let failure = |arguments: &NoiseArguments, problem: &str| {
            let error = ComparisonError::Setting { field: "rule", problem: problem.to_owned() };
            arguments.failure(error).message().to_owned()
        };
        let (noise, none) = (arguments("pair:0.2", ""), NoiseArguments::default());
        let clean = NoiseArguments { clean: Some(3), ..none.clone() };
        let few = "tasks.label_noise.clean: must be 0, or at least the number of classes (10), not 3";
        assert_eq!(failure(&clean, few), "--clean: must be 0, or at least the number of classes (10), not 3");
        let values = "tasks.label_noise: is of families with classes; `sinusoid` has values";
        assert_eq!(failure(&noise, values), "--noise: is of families with classes; `sinusoid` has values");
        assert_eq!(failure(&clean, values), "--clean: is of families with classes; `sinusoid` has values");
        assert_eq!(failure(&noise, "tasks.label_noise.rates[0]: must be"), "--noise: must be");
        // What these flags do not set, or nobody gave.
        let rule = "with these flags the rule's spec would not be valid: ";
        let hidden = "network.hidden[0]: must be";
        assert_eq!(failure(&noise, hidden), format!("{rule}{hidden}"));
        assert_eq!(failure(&none, few), format!("{rule}{few}"));
        let rare = TaskError::TooFewKnown { field: "clean", found: 8, wanted: 40 };
        let rare = clean.failure(ComparisonError::Task(rare));
        assert!(
            rare.message().starts_with("--clean: of 40 examples with a right label 8 were found"),
            "{rare:?}"
        );
    }
}
