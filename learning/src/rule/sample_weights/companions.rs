//! What stands beside sample weights in comparisons: plain descent, weights that are written by hand, what knows which labels are
//! right, and weight functions that learn within a task.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::gradient_descent::{GradientDescentSpec, InitialWeights, Loss, Optimizer};
use hebbian_shared::spec::rule::sample_weights::{MetaGradient, SampleWeightsSpec, WeightForm, WeightInputs};
use hebbian_shared::spec::task::{LabelNoiseSpec, Taught};

use crate::rule::Companion;

/// Learning rates of plain descent: wide, as the best of 800 updates is small under noise and large without.
const RATES: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
/// q of exp(-q loss) at the beginning and at the horizon.
const STEEPNESS: [[f64; 2]; 10] = [
    [0.25, 0.25],
    [0.5, 0.5],
    [0.7, 0.7],
    [1.0, 1.0],
    [1.4, 1.4],
    [2.0, 2.0],
    [3.0, 3.0],
    [0.5, 1.4],
    [0.7, 1.9],
    [1.0, 3.0],
];
/// The place of the largest of those that stay. Below the smallest lies plain descent.
const STEEPNESS_END: usize = 6;
/// Shares of the batch that count, where several rates of noise are drawn.
const KEPT: [f64; 6] = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Learning rates of weight functions within a task, and their units.
const META_RATES: [f64; 5] = [0.001, 0.003, 0.01, 0.03, 0.1];
const UNITS: u32 = 32;

/// Of tasks with a training set of their own; of others none.
pub(super) fn of(options: &SampleWeightsSpec, problem: &RuleLearning) -> Vec<Companion> {
    let Some(noise) = &problem.tasks.label_noise else { return Vec::new() };
    let descent = plain(
        ("plain descent", "SGD on all labels, with the best rate of the column"),
        options,
        problem,
        noise,
    );
    let stopped = Companion {
        name: "stopped".to_owned(),
        meaning:
            "the same, ended on each task where the query is answered best: a bound, which no rule can know"
                .to_owned(),
        stops_at_best: true,
        ..descent.clone()
    };
    let mut rows = vec![descent, stopped, exponential(options, problem)];
    if !noise.imbalance.is_empty() {
        let alike = LabelNoiseSpec { taught: Taught::ClassesAlike, ..noise.clone() };
        let meaning = "SGD on batches that have all classes equally often";
        rows.push(plain(("classes alike", meaning), options, problem, &alike));
    }
    rows.extend(small_losses(options, problem, noise));
    let right = LabelNoiseSpec { taught: Taught::RightLabels, ..noise.clone() };
    rows.push(plain(
        ("right labels", "SGD on those examples whose label is right"),
        options,
        problem,
        &right,
    ));
    if noise.clean > 0 {
        let clean = LabelNoiseSpec { taught: Taught::CleanSet, ..noise.clone() };
        rows.push(plain(("clean set", "SGD on the clean set alone"), options, problem, &clean));
        let online = [
            (
                MetaGradient::All,
                "online",
                "a weight function that learns within the task, by the exact gradient",
            ),
            (MetaGradient::Last, "online, last", "the same by the last layer's"),
            (MetaGradient::Random, "online, random", "the same by that of a random layer"),
            (
                MetaGradient::Learned,
                "online, learned",
                "the same by those layers that gradient samplers open",
            ),
            (MetaGradient::Evograd2, "online, 2 copies", "the same by EvoGrad's estimate of two copies"),
            (MetaGradient::Evograd16, "online, 16 copies", "the same by its estimate of 16 copies"),
            (
                MetaGradient::EvogradDirected,
                "online, directed",
                "the same by two copies along the clean gradient",
            ),
        ];
        rows.extend(
            online.map(|(follows, name, meaning)| learner((name, meaning), follows, options, problem)),
        );
    }
    rows
}

/// A row with its settings: what they are called, and the numbers of their genomes by segment, as parameters.
fn row(
    (name, meaning): (&str, &str),
    rule: RuleSpec,
    problem: &RuleLearning,
    settings: Vec<(String, (&str, Vec<f64>))>,
) -> Companion {
    let problem = RuleLearning { rule, ..problem.clone() };
    let layout = problem.layout();
    let setting = |(called, (segment, parameters)): (String, (&str, Vec<f64>))| {
        let mut genome = layout.initial_mean();
        if let Some(segment) = layout.segment(segment) {
            let at = &mut genome.0[segment.range()];
            at.iter_mut().zip(parameters).for_each(|(x, value)| *x = segment.transform.invert(value));
        }
        (called, genome)
    };
    let settings: Vec<(String, Genome)> = settings.into_iter().map(setting).collect();
    Companion::new((name, meaning), problem, settings)
}

/// The ends of settings that stand in order.
fn in_order(row: Companion) -> Companion {
    Companion { ends: vec![0, row.settings.len() - 1], ..row }
}

fn plain(
    named: (&str, &str),
    options: &SampleWeightsSpec,
    problem: &RuleLearning,
    noise: &LabelNoiseSpec,
) -> Companion {
    let rule = GradientDescentSpec {
        optimizer: Optimizer::Sgd,
        hidden_activation: options.hidden_activation,
        initial_weights: InitialWeights::Xavier,
        loss: Loss::Logistic,
        update_schedule: false,
    };
    let mut problem = problem.clone();
    problem.tasks.label_noise = Some(noise.clone());
    let settings = RATES.iter().map(|&rate| (rate.to_string(), ("learning_rate", vec![rate])));
    in_order(row(named, rule.into(), &problem, settings.collect()))
}

/// The options of weights by hand: at the rate of the rule's options.
fn by_hand(options: &SampleWeightsSpec, form: WeightForm) -> SampleWeightsSpec {
    let inputs = WeightInputs::LossAndProgress;
    SampleWeightsSpec { form, online: None, inputs, evolve_learning_rate: false, ..*options }
}

fn exponential(options: &SampleWeightsSpec, problem: &RuleLearning) -> Companion {
    let rule = RuleSpec::SampleWeights(by_hand(options, WeightForm::Exponential));
    let setting = |[first, last]: &[f64; 2]| {
        let called = if first == last { format!("{first}") } else { format!("{first} to {last}") };
        (called, ("steepness", vec![*first, *last]))
    };
    let meaning = "weights exp(-q loss), with the best q of the column";
    let row = row(("exp(-q loss)", meaning), rule, problem, STEEPNESS.iter().map(setting).collect());
    Companion { ends: vec![STEEPNESS_END], ..row }
}

fn small_losses(
    options: &SampleWeightsSpec,
    problem: &RuleLearning,
    noise: &LabelNoiseSpec,
) -> Option<Companion> {
    let rule = RuleSpec::SampleWeights(by_hand(options, WeightForm::SmallLoss));
    let (meaning, kept) = match noise.rates[..] {
        // It would be plain descent.
        [0.0] => return None,
        [rate] => ("those losses of a batch that are smallest, told the rate of noise", vec![1.0 - rate]),
        _ => ("those losses of a batch that are smallest, with the best share of the column", KEPT.to_vec()),
    };
    let settings = kept.iter().map(|&kept| (kept.to_string(), ("kept", vec![kept])));
    let row = row(("small losses", meaning), rule, problem, settings.collect());
    // Above the last is plain descent.
    Some(Companion { ends: if kept.len() > 1 { vec![0] } else { Vec::new() }, ..row })
}

fn learner(
    named: (&str, &str),
    follows: MetaGradient,
    options: &SampleWeightsSpec,
    problem: &RuleLearning,
) -> Companion {
    let rule = RuleSpec::SampleWeights(SampleWeightsSpec {
        form: WeightForm::Network,
        online: Some(follows),
        units: UNITS,
        inputs: WeightInputs::Loss,
        evolve_learning_rate: false,
        ..*options
    });
    let settings = META_RATES.iter().map(|&rate| (rate.to_string(), ("meta_learning_rate", vec![rate])));
    in_order(row(named, rule, problem, settings.collect()))
}

#[cfg(test)]
mod tests {
    use hebbian_shared::estimate::Estimate;
    use hebbian_shared::seed::Seed;
    use hebbian_shared::spec::network::NetworkSpec;
    use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

    use super::*;
    use crate::evaluation::{Evaluate, EvaluationRequest, Scores, Stage, Threads};
    use crate::interrupt::Interrupt;
    use crate::task::data_set::NoDataSets;

    const TASKS: u32 = 10;

    /// What each companion scores after 400 updates with one of its settings.
    fn scores(noise: LabelNoiseSpec, setting: impl Fn(&Companion) -> usize) -> Vec<(String, Vec<f64>)> {
        let options = SampleWeightsSpec { horizon: 400, ..SampleWeightsSpec::default() };
        let tasks = TaskSpec {
            batch_size: 32,
            query_size: 200,
            label_noise: Some(noise),
            ..TaskSpec::of(vec![TaskFamily::Digits])
        };
        let problem = RuleLearning {
            rule: RuleSpec::SampleWeights(options),
            network: NetworkSpec { hidden: vec![24], ..NetworkSpec::default() },
            tasks,
        };
        let companions = of(&options, &problem);
        let request = |one: &Companion| EvaluationRequest {
            problem: one.problem.clone(),
            ablation: None,
            genomes: vec![one.settings[setting(one)].1.clone()],
            families: vec![TaskFamily::Digits],
            stage: Stage::Tuning,
            first_task: 0,
            tasks_per_family: TASKS,
            points: vec![400],
            seed: Seed::new(5).unwrap(),
            score: None,
            part: None,
        };
        let requests: Vec<EvaluationRequest> = companions.iter().map(request).collect();
        let alone = Threads { threads: 1, data: &NoDataSets };
        let scores = alone.evaluate(&requests, &|_| (), &Interrupt::new()).unwrap();
        let of_all = |scores: &Scores| (0..TASKS as usize).map(|task| scores.of(0, task)[0]).collect();
        companions.iter().map(|one| one.name.clone()).zip(scores.iter().map(of_all)).collect()
    }

    /// The middle setting of each, but for plain descent .2, the rate of all others.
    fn middle(one: &Companion) -> usize {
        let at = one.settings.iter().position(|(name, _)| name == "0.2");
        at.unwrap_or(if one.name.starts_with("exp") { 3 } else { one.settings.len() / 2 })
    }

    fn mean(of: &[f64]) -> f64 {
        of.iter().sum::<f64>() / of.len() as f64
    }

    #[test]
    fn under_noise_online_learners_and_weights_by_hand_are_far_ahead_of_plain_descent() {
        let noise = LabelNoiseSpec { rates: vec![0.5], samples: 250, clean: 50, ..LabelNoiseSpec::default() };
        let found = scores(noise, middle);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "plain descent",
            "stopped",
            "exp(-q loss)",
            "small losses",
            "right labels",
            "clean set",
            "online",
            "online, last",
            "online, random",
            "online, learned",
            "online, 2 copies",
            "online, 16 copies",
            "online, directed",
        ];
        assert_eq!(names, expected);
        let means: Vec<(&str, f64)> =
            found.iter().map(|(name, scores)| (name.as_str(), mean(scores))).collect();
        // In pairs, on the same tasks. Two random copies see one direction of thousands, which is too little in so short a training.
        for (name, scores) in found[2..].iter().filter(|(name, _)| name != "online, 2 copies") {
            let gain = Estimate::of(scores.iter().zip(&found[0].1).map(|(score, plain)| score - plain));
            assert!(
                gain.mean > 0.08 && gain.mean > 4.0 * gain.standard_error,
                "{name}: {gain:?} of {means:?}"
            );
        }
        // Nothing is better than to know, and that is not what the others do.
        assert!(found.iter().all(|(_, scores)| mean(scores) <= mean(&found[4].1) + 0.01), "{means:?}");
        // All gates work alike in so small a network, and so do enough copies.
        assert!(
            found[7..].iter().all(|(name, scores)| name == "online, 2 copies"
                || (mean(scores) - mean(&found[6].1)).abs() < 0.05),
            "{means:?}"
        );
    }

    #[test]
    fn what_a_task_has_says_who_stands_beside() {
        let names = |noise: Option<LabelNoiseSpec>| -> Vec<String> {
            let options = SampleWeightsSpec::default();
            let problem = RuleLearning {
                rule: RuleSpec::SampleWeights(options),
                network: NetworkSpec::default(),
                tasks: TaskSpec { label_noise: noise, ..TaskSpec::of(vec![TaskFamily::Circle]) },
            };
            of(&options, &problem).into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(None), [""; 0]);
        let noise = LabelNoiseSpec { rates: vec![0.0], imbalance: vec![10.0], ..LabelNoiseSpec::default() };
        let tails = ["plain descent", "stopped", "exp(-q loss)", "classes alike", "right labels"];
        assert_eq!(names(Some(noise.clone())), tails);
        let noise = LabelNoiseSpec { rates: vec![0.2, 0.4], imbalance: Vec::new(), ..noise };
        let noisy = ["plain descent", "stopped", "exp(-q loss)", "small losses", "right labels"];
        assert_eq!(names(Some(noise)), noisy);
    }
}
