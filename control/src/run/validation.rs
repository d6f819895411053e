//! What validations and the last measurements say, and which failures of a search they show (docs/SCIENCE.md).
//!
//! A failure is a difference that is both large (a threshold below) and no accident (twice its standard error). All figures
//! are accuracies, whatever the objective of the search is.

use std::collections::BTreeMap;

use hebbian_proto::convert::from_duration;
use hebbian_proto::v1::remeasurement::Measured;
use hebbian_proto::v1::validation_summary::{Family, SegmentNorm, Warning};
use hebbian_proto::v1::{self, Remeasurement, ValidationSummary};
use hebbian_shared::episode::{Agreement, Evaluation, Outcome};
use hebbian_shared::estimate::{Estimate, length};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::{Genome, GenomeLayout, Segment};
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::task::{TaskFamily, TaskKind, TaskSpec, Variation};
use hebbian_shared::spec::validation::ValidationSpec;

use super::open::Measurement;

mod keys;

/// A rule that only draws lines stays below this accuracy on xor-like tasks ...
const PLATEAU_ACCURACY: f64 = 0.85;
/// ... while others have left it behind after so many generations.
const PLATEAU_GENERATIONS: u32 = 200;
/// The largest fall of accuracy from the training unroll to the extended one that is no failure.
const DROP_MAX: f64 = 0.03;
/// Accuracy on families without offsets from which on a rule has learned something that it might fail to move.
const CENTRED_ACCURACY: f64 = 0.9;
/// The largest lead of families without offsets over those with random ones that is no failure.
const OFFSET_GAP_MAX: f64 = 0.07;
/// The largest lead of training families over others that is no failure.
const FAMILY_GAP_MAX: f64 = 0.25;
/// The largest fall of accuracy on families that are not trained on below the best earlier validation that is no failure.
const DECLINE_MAX: f64 = 0.05;
/// The segments whose scales can drift apart: a large one is undone by a small gate.
const MATRICES: [&str; 4] = ["forward_transform", "backward_transform", "hebbian_pre", "hebbian_post"];
/// The largest sane norm of a matrix of the rule.
const NORM_MAX: f64 = 50.0;
/// One candidate of so many that diverges is too much.
const DIVERGED_SHARE: usize = 4;

/// What later validations are compared with: the best accuracy on families that are not trained on, by updates.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<u32, f64>);

impl History {
    /// Remembers a validation.
    pub(super) fn add(&mut self, summary: &ValidationSummary) {
        let others = summary.families.iter().filter(|family| !family.trained);
        let (mut sum, mut tasks) = (0.0, 0);
        for family in others {
            sum += family.accuracy.map_or(0.0, |accuracy| accuracy.mean) * f64::from(family.tasks);
            tasks += family.tasks;
        }
        if tasks > 0 {
            let best = self.0.entry(summary.updates).or_insert(f64::NEG_INFINITY);
            *best = best.max(sum / f64::from(tasks));
        }
    }
}

/// One task of a validation.
struct Task {
    family: TaskFamily,
    trained: bool,
    /// Whether it is of those of a family that the search never meets.
    unseen: bool,
    diverged: bool,
    /// Accuracy before the first update, after the training unroll and after the extended one.
    unadapted: f64,
    accuracy: f64,
    extended: f64,
    /// Accuracy on labels of another key, and that of the genome that the search began with, where tasks have keys.
    keyed: Option<(f64, f64)>,
    agreement: Option<Agreement>,
}

/// All that a validation has found, before anything is made of it.
struct Findings<'a> {
    generation: GenerationIndex,
    updates: u32,
    extended_updates: u32,
    /// Whether the unroll schedule will not make episodes longer than they are.
    longest: bool,
    tasks: Vec<Task>,
    norms: &'a [SegmentNorm],
    history: &'a History,
}

/// The summary of a complete validation of the mean that opened `generation`, or, of those that a search ended with, of the
/// one at `place`. `diverging` is what the candidates of that
/// generation showed, if there were any.
pub(super) fn summarise(
    spec: &RunSpec,
    validation: &ValidationSpec,
    layout: &GenomeLayout,
    generation: GenerationIndex,
    (measurement, place): (&Measurement, usize),
    history: &History,
    diverging: Option<Warning>,
) -> ValidationSummary {
    let worth = |fitness: Option<Fitness>| fitness.map_or(0.0, Fitness::get);
    let tasks_of = spec.problem.rule_learning().map(|problem| &problem.tasks);
    let has_keys = tasks_of.is_some_and(TaskSpec::has_keys);
    let outcomes = measurement.candidates().nth(place).into_iter().flatten();
    let tasks: Vec<Task> = outcomes
        .enumerate()
        .map(|(task, outcome)| {
            let family = validation.family(task as u32);
            let evaluation = outcome.evaluation();
            let extended = evaluation.and_then(|evaluation| evaluation.extended);
            let unadapted = evaluation.and_then(|evaluation| evaluation.unadapted);
            let keyed = |found: &Evaluation| (worth(found.blind), worth(found.unlearned));
            let unseen = tasks_of.is_some_and(|tasks| validation.is_unseen(tasks, task as u32));
            Task {
                family,
                trained: !unseen && spec.problem.families().contains(&family),
                unseen,
                keyed: evaluation.filter(|_| has_keys).map(keyed),
                agreement: evaluation.and_then(|evaluation| evaluation.agreement),
                diverged: extended.is_none(),
                unadapted: worth(unadapted),
                accuracy: worth(outcome.fitness()),
                extended: worth(extended),
            }
        })
        .collect();
    let updates = spec.updates(generation.0);
    let norms = norms(layout, &measurement.genomes()[place]);
    let longest = updates >= spec.evaluation.updates_max();
    let extended_updates = updates * validation.unroll_factor;
    let findings = Findings { generation, updates, extended_updates, longest, tasks, norms: &norms, history };
    let keys = tasks_of.filter(|_| has_keys).map(|tasks| findings.keys(tasks));
    let estimate = findings.estimated(spec);
    let mut warnings = findings.warnings();
    warnings.extend(keys.as_ref().and_then(keys::warning));
    warnings.extend(estimate.as_ref().and_then(keys::of_estimate));
    warnings.extend(diverging);
    ValidationSummary {
        generation: generation.0,
        updates,
        extended_updates,
        families: findings.families(&validation.families),
        keys: keys.map(v1::validation_summary::Keys::from),
        estimate,
        unadapted: Some(findings.unadapted(|_| true).into()),
        accuracy: Some(findings.accuracy(|_| true).into()),
        extended: Some(findings.extended(|_| true).into()),
        drop: Some(findings.drop().into()),
        warnings,
        norms,
        compute_time: Some(from_duration(measurement.compute_time())),
    }
}

/// Norms of the parameters of each segment.
fn norms(layout: &GenomeLayout, genome: &Genome) -> Vec<SegmentNorm> {
    let norm = |segment: &Segment| {
        let parameters = genome.0[segment.range()].iter().map(|&x| segment.transform.apply(x));
        SegmentNorm { segment: segment.name.clone(), norm: length(parameters) }
    };
    layout.segments().iter().map(norm).collect()
}

/// Whether a family labels the plane by functions that vary so.
fn is_plane(family: TaskFamily, variation: Variation) -> bool {
    let row = family.row();
    row.kind == TaskKind::Labels && row.variation == variation
}

impl Findings<'_> {
    fn estimate(&self, of: impl Fn(&Task) -> bool, value: impl Fn(&Task) -> f64) -> Estimate {
        Estimate::of(self.tasks.iter().filter(|task| of(task)).map(&value))
    }

    fn accuracy(&self, of: impl Fn(&Task) -> bool) -> Estimate {
        self.estimate(of, |task| task.accuracy)
    }

    fn unadapted(&self, of: impl Fn(&Task) -> bool) -> Estimate {
        self.estimate(of, |task| task.unadapted)
    }

    fn extended(&self, of: impl Fn(&Task) -> bool) -> Estimate {
        self.estimate(of, |task| task.extended)
    }

    fn drop(&self) -> Estimate {
        self.estimate(|_| true, |task| task.accuracy - task.extended)
    }

    fn has(&self, of: impl Fn(&Task) -> bool) -> bool {
        self.tasks.iter().any(of)
    }

    fn families(&self, families: &[TaskFamily]) -> Vec<Family> {
        let kinds = families.iter().flat_map(|&family| [(family, false), (family, true)]);
        let is_there = |&(family, unseen): &(TaskFamily, bool)| {
            self.has(|task| task.family == family && task.unseen == unseen)
        };
        kinds.filter(is_there).map(|kind| self.family(kind)).collect()
    }

    fn family(&self, (family, unseen): (TaskFamily, bool)) -> Family {
        let of = |task: &Task| task.family == family && task.unseen == unseen;
        let tasks = self.tasks.iter().filter(|task| of(task));
        Family {
            family: format!("{family}{}", if unseen { " (unseen)" } else { "" }),
            trained: self.has(|task| of(task) && task.trained),
            tasks: tasks.clone().count() as u32,
            diverged: tasks.filter(|task| task.diverged).count() as u32,
            unadapted: Some(self.unadapted(of).into()),
            accuracy: Some(self.accuracy(of).into()),
            extended: Some(self.extended(of).into()),
        }
    }

    fn warnings(&self) -> Vec<Warning> {
        let found = [
            self.linear_plateau(),
            self.overfitting_to_the_unroll(),
            self.offset_blindness(),
            self.meta_overfitting(),
            self.scale_drift(),
        ];
        found.into_iter().flatten().collect()
    }

    fn linear_plateau(&self) -> Option<Warning> {
        let of = |task: &Task| task.family.row().xor_like;
        let accuracy = self.accuracy(of);
        let stuck =
            self.has(of) && self.generation.0 >= PLATEAU_GENERATIONS && accuracy.mean < PLATEAU_ACCURACY;
        stuck.then(|| {
            warning(
                "linear plateau",
                format!(
                    "accuracy {:.3} on xor-like tasks after {} generations (below {PLATEAU_ACCURACY})",
                    accuracy.mean, self.generation
                ),
                "restart with another seed, take a larger population, or draw initial synapses uniformly from +-0.5",
            )
        })
    }

    fn overfitting_to_the_unroll(&self) -> Option<Warning> {
        let drop = self.drop();
        (self.longest && is_significant(drop, DROP_MAX)).then(|| {
            warning(
                "overfitting to the unroll",
                format!(
                    "accuracy {:.3} after {} updates, {:.3} after {} (a fall of more than {DROP_MAX})",
                    self.accuracy(|_| true).mean,
                    self.updates,
                    self.extended(|_| true).mean,
                    self.extended_updates
                ),
                "let evaluation.unroll grow towards 100 updates",
            )
        })
    }

    fn offset_blindness(&self) -> Option<Warning> {
        let centred = self.accuracy(|task| is_plane(task.family, Variation::Fixed));
        let has_offset = |task: &Task| is_plane(task.family, Variation::Offset);
        let offset = self.accuracy(has_offset);
        let comparable = self.has(has_offset) && centred.mean >= CENTRED_ACCURACY;
        (comparable && is_significant(difference(centred, offset), OFFSET_GAP_MAX)).then(|| {
            warning(
                "offset-blind rule",
                format!(
                    "accuracy {:.3} on booleans, {:.3} on families with random offsets (a gap of more than \
                     {OFFSET_GAP_MAX})",
                    centred.mean, offset.mean
                ),
                "train on families with random offsets, and keep the best of several restarts",
            )
        })
    }

    fn meta_overfitting(&self) -> Option<Warning> {
        // Unseen tasks of a family have a failure of their own.
        let is_other = |task: &Task| !task.trained && !task.unseen;
        let others = self.accuracy(is_other);
        if !self.has(is_other) {
            return None;
        }
        let trained = self.accuracy(|task| task.trained);
        let best = self.history.0.get(&self.updates).copied();
        let figure = if self.has(|task| task.trained)
            && is_significant(difference(trained, others), FAMILY_GAP_MAX)
        {
            format!(
                "accuracy {:.3} on fresh tasks of the training families, {:.3} on others (a gap of more than \
                 {FAMILY_GAP_MAX})",
                trained.mean, others.mean
            )
        } else if let Some(best) = best
            && is_significant(Estimate { mean: best - others.mean, ..others }, DECLINE_MAX)
        {
            format!(
                "accuracy on families that are not trained on fell from {best:.3} to {:.3} (by more than \
                 {DECLINE_MAX})",
                others.mean
            )
        } else {
            return None;
        };
        Some(warning(
            "meta-overfitting",
            figure,
            "train on more families or data sets, with more augmentation",
        ))
    }

    fn scale_drift(&self) -> Option<Warning> {
        let of_matrices = self.norms.iter().filter(|norm| MATRICES.contains(&norm.segment.as_str()));
        let largest = of_matrices.max_by(|a, b| a.norm.total_cmp(&b.norm))?;
        let update = self.norms.iter().find(|norm| norm.segment == "synapse_update");
        (largest.norm > NORM_MAX).then(|| {
            let beside = update
                .map_or_else(String::new, |gate| format!(" beside a synapse_update of {:.3}", gate.norm));
            warning(
                "scale drift",
                format!("the norm of {} is {:.1}{beside} (above {NORM_MAX})", largest.segment, largest.norm),
                "limit the search (strategy.step_size_max, bounds) or fix one scale",
            )
        })
    }
}

/// Whether too many candidates of a generation left the finite numbers.
pub(super) fn divergence(
    spec: &RunSpec,
    generation: GenerationIndex,
    verdicts: &[Verdict],
) -> Option<Warning> {
    let diverged = verdicts.iter().filter(|verdict| !verdict.is_ranked()).count();
    (diverged > 0 && diverged * DIVERGED_SHARE >= verdicts.len()).then(|| {
        if spec.problem.external().is_some() {
            return warning(
                "failures",
                format!("{diverged} of {} candidates of generation {generation} failed", verdicts.len()),
                "the workers' logs say why; say `infeasible` with a violation where the objective knows how far off it is",
            );
        }
        warning(
            "divergence",
            format!(
                "{diverged} of {} candidates of generation {generation} left the finite numbers",
                verdicts.len()
            ),
            "bound the activations (tanh), or take a smaller step size or smaller initial synapses",
        )
    })
}

fn warning(failure: &str, figure: String, remedy: &str) -> Warning {
    Warning { failure: failure.to_owned(), figure, remedy: remedy.to_owned() }
}

/// Of two independent estimates.
fn difference(a: Estimate, b: Estimate) -> Estimate {
    let standard_error = length([a.standard_error, b.standard_error].into_iter());
    Estimate { mean: a.mean - b.mean, standard_error }
}

fn is_significant(difference: Estimate, threshold: f64) -> bool {
    difference.mean > threshold && difference.mean > 2.0 * difference.standard_error
}

/// The accuracy of each validated mean; a task on which it diverged counts 0.
pub(super) fn accuracies(measurement: &Measurement) -> impl Iterator<Item = f64> {
    measurement.candidates().map(|outcomes| {
        Estimate::of(outcomes.map(|outcome| outcome.fitness().map_or(0.0, Fitness::get))).mean
    })
}

/// Each of the named scores over a candidate's evaluations.
pub(super) fn scores<'a>(
    outcomes: impl Iterator<Item = &'a Outcome> + Clone,
    named: usize,
) -> impl Iterator<Item = Estimate> {
    (0..named).map(move |place| {
        let evaluations = outcomes.clone().filter_map(Outcome::evaluation);
        Estimate::of(evaluations.filter_map(|found| found.scores.get(place).copied()))
    })
}

/// What the mean at `place` of `means` and the best sample, which follows them, showed on fresh tasks; `generation` is the
/// number of closed ones.
pub(super) fn remeasured(
    spec: &RunSpec,
    generation: GenerationIndex,
    measurement: &Measurement,
    (place, means): (usize, usize),
) -> Remeasurement {
    let named = spec.problem.external().map_or(0, |problem| problem.scores.len());
    let of_candidates = measurement.candidates().map(|outcomes| {
        let fitnesses = outcomes.clone().filter_map(Outcome::fitness).map(Fitness::get);
        // The mean of nothing is no fitness.
        let is_evaluated = fitnesses.clone().next().is_some();
        let fitness = is_evaluated.then(|| Estimate::of(fitnesses).into());
        let count = |of: fn(&Outcome) -> bool| outcomes.clone().filter(|outcome| of(outcome)).count() as u32;
        Measured {
            fitness,
            diverged: count(|outcome| *outcome == Outcome::Diverged),
            infeasible: count(|outcome| matches!(outcome, Outcome::Infeasible(_))),
            scores: scores(outcomes.clone(), if is_evaluated { named } else { 0 }).map(Into::into).collect(),
        }
    });
    let of_candidates: Vec<Measured> = of_candidates.collect();
    Remeasurement {
        updates: spec.updates(generation.0),
        tasks: spec.remeasured_tasks(),
        mean: Some(of_candidates[place].clone()),
        best: of_candidates.get(means).cloned(),
        compute_time: Some(from_duration(measurement.compute_time())),
    }
}

#[cfg(test)]
mod tests;
