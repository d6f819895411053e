//! What validations and the last measurements say, and which failures of a search they show (docs/SCIENCE.md).
//!
//! A failure is a difference that is both large (a threshold below) and no accident (twice its standard error). All figures
//! are accuracies, whatever the objective of the search is.

use std::collections::BTreeMap;

use hebbian_proto::convert::from_duration;
use hebbian_proto::v1::remeasurement::Measured;
use hebbian_proto::v1::validation_summary::{Family, SegmentNorm, Warning};
use hebbian_proto::v1::{Remeasurement, ValidationSummary};
use hebbian_shared::episode::Outcome;
use hebbian_shared::estimate::Estimate;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::{Genome, GenomeLayout, Segment};
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::task::{TaskFamily, TaskKind, Variation};
use hebbian_shared::spec::validation::ValidationSpec;

use super::open::Measurement;

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
    diverged: bool,
    /// Accuracy after the training unroll and after the extended one.
    accuracy: f64,
    extended: f64,
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
    let outcomes = measurement.candidates().nth(place).into_iter().flatten();
    let tasks: Vec<Task> = outcomes
        .enumerate()
        .map(|(task, outcome)| {
            let family = validation.family(task as u32);
            let extended = outcome.evaluation().and_then(|evaluation| evaluation.extended);
            Task {
                family,
                trained: spec.problem.families().contains(&family),
                diverged: extended.is_none(),
                accuracy: worth(outcome.fitness()),
                extended: worth(extended),
            }
        })
        .collect();
    let updates = spec.evaluation.updates(generation.0);
    let norms = norms(layout, &measurement.genomes()[place]);
    let longest = updates >= spec.evaluation.updates_max();
    let extended_updates = updates * validation.unroll_factor;
    let findings = Findings { generation, updates, extended_updates, longest, tasks, norms: &norms, history };
    let mut warnings = findings.warnings();
    warnings.extend(diverging);
    ValidationSummary {
        generation: generation.0,
        updates,
        extended_updates,
        families: validation.families.iter().map(|&family| findings.family(family)).collect(),
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
        SegmentNorm {
            segment: segment.name.clone(),
            norm: parameters.map(|parameter| parameter * parameter).sum::<f64>().sqrt(),
        }
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

    fn extended(&self, of: impl Fn(&Task) -> bool) -> Estimate {
        self.estimate(of, |task| task.extended)
    }

    fn drop(&self) -> Estimate {
        self.estimate(|_| true, |task| task.accuracy - task.extended)
    }

    fn has(&self, of: impl Fn(&Task) -> bool) -> bool {
        self.tasks.iter().any(of)
    }

    fn family(&self, family: TaskFamily) -> Family {
        let of = |task: &Task| task.family == family;
        let tasks = self.tasks.iter().filter(|task| of(task));
        Family {
            family: family.name().to_owned(),
            trained: self.has(|task| of(task) && task.trained),
            tasks: tasks.clone().count() as u32,
            diverged: tasks.filter(|task| task.diverged).count() as u32,
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
        let others = self.accuracy(|task| !task.trained);
        if !self.has(|task| !task.trained) {
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
pub(super) fn divergence(generation: GenerationIndex, verdicts: &[Verdict]) -> Option<Warning> {
    let diverged = verdicts.iter().filter(|verdict| verdict.fitness().is_none()).count();
    (diverged > 0 && diverged * DIVERGED_SHARE >= verdicts.len()).then(|| {
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
    let squares = a.standard_error * a.standard_error + b.standard_error * b.standard_error;
    Estimate { mean: a.mean - b.mean, standard_error: squares.sqrt() }
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

/// What the mean at `place` of `means` and the best sample, which follows them, showed on fresh tasks; `generation` is the
/// number of closed ones.
pub(super) fn remeasured(
    spec: &RunSpec,
    generation: GenerationIndex,
    measurement: &Measurement,
    (place, means): (usize, usize),
) -> Remeasurement {
    let of_candidates = measurement.candidates().map(|outcomes| {
        let fitnesses: Vec<Option<Fitness>> = outcomes.map(Outcome::fitness).collect();
        let fitness = Estimate::of(fitnesses.iter().flatten().map(|fitness| fitness.get()));
        let diverged = fitnesses.iter().filter(|fitness| fitness.is_none()).count() as u32;
        Measured { fitness: Some(fitness.into()), diverged }
    });
    let of_candidates: Vec<Measured> = of_candidates.collect();
    Remeasurement {
        updates: spec.evaluation.updates(generation.0),
        tasks: spec.remeasured_tasks(),
        mean: Some(of_candidates[place]),
        best: of_candidates.get(means).copied(),
        compute_time: Some(from_duration(measurement.compute_time())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: [(TaskFamily, f64, f64); 6] = [
        (TaskFamily::Xor, 0.96, 0.96),
        (TaskFamily::Circle, 0.93, 0.93),
        (TaskFamily::Nxor, 0.95, 0.95),
        (TaskFamily::And, 0.97, 0.97),
        (TaskFamily::Sine, 0.91, 0.91),
        (TaskFamily::Square, 0.92, 0.92),
    ];

    /// What a validation shows in which each family has eight tasks around an accuracy at the end of the training unroll and
    /// of the extended one; xor and circle are trained on.
    fn check(
        accuracies: &[(TaskFamily, f64, f64)],
        change: impl FnOnce(&mut Findings<'_>),
        expected: &[&str],
    ) {
        let spread = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
        let tasks = spread.iter().flat_map(|offset| {
            accuracies.iter().map(move |&(family, accuracy, extended)| Task {
                family,
                trained: matches!(family, TaskFamily::Xor | TaskFamily::Circle),
                diverged: false,
                accuracy: accuracy + offset,
                extended: extended + offset,
            })
        });
        let history = History::default();
        let norms = [("forward_transform", 4.0), ("synapse_update", 0.1)];
        let norms = norms.map(|(segment, norm)| SegmentNorm { segment: segment.to_owned(), norm });
        let mut findings = Findings {
            generation: GenerationIndex(250),
            updates: 10,
            extended_updates: 50,
            longest: true,
            tasks: tasks.collect(),
            norms: &norms,
            history: &history,
        };
        change(&mut findings);
        let warnings = findings.warnings();
        let found: Vec<&str> = warnings.iter().map(|warning| warning.failure.as_str()).collect();
        assert_eq!(found, expected, "{warnings:?}");
    }

    fn with(changes: &[(TaskFamily, f64, f64)]) -> Vec<(TaskFamily, f64, f64)> {
        let changed = |family| changes.iter().copied().find(|(of, ..)| *of == family);
        HEALTHY.iter().map(|&healthy| changed(healthy.0).unwrap_or(healthy)).collect()
    }

    #[test]
    fn a_healthy_rule_is_not_warned_of() {
        check(&HEALTHY, |_| {}, &[]);
    }

    #[test]
    fn a_linear_plateau_shows_on_xor_like_tasks_after_a_while() {
        let linear = with(&[(TaskFamily::Xor, 0.8, 0.8), (TaskFamily::Nxor, 0.79, 0.79)]);
        check(&linear, |_| {}, &["linear plateau"]);
        check(&linear, |findings| findings.generation = GenerationIndex(199), &[]);
    }

    #[test]
    fn a_rule_that_unlearns_is_overfitted_to_its_unroll_unless_that_will_grow() {
        let falling: Vec<_> = HEALTHY.iter().map(|&(family, a, _)| (family, a, a - 0.04)).collect();
        check(&falling, |_| {}, &["overfitting to the unroll"]);
        check(&falling, |findings| findings.longest = false, &[]);
        let less: Vec<_> = HEALTHY.iter().map(|&(family, a, _)| (family, a, a - 0.02)).collect();
        check(&less, |_| {}, &[]);
        // Two tasks of 48 that fall far make a large mean and a large error.
        let two = |findings: &mut Findings<'_>| {
            for task in &mut findings.tasks[..2] {
                task.extended = 0.0;
            }
        };
        check(&HEALTHY, two, &[]);
    }

    #[test]
    fn a_rule_that_knows_only_the_origin_is_blind_to_offsets() {
        let blind = with(&[
            (TaskFamily::Circle, 0.86, 0.86),
            (TaskFamily::Sine, 0.87, 0.87),
            (TaskFamily::Square, 0.86, 0.86),
        ]);
        check(&blind, |_| {}, &["offset-blind rule"]);
    }

    #[test]
    fn other_families_that_fall_behind_or_off_show_meta_overfitting() {
        let behind = with(&[
            (TaskFamily::Nxor, 0.6, 0.6),
            (TaskFamily::And, 0.6, 0.6),
            (TaskFamily::Sine, 0.6, 0.6),
            (TaskFamily::Square, 0.6, 0.6),
        ]);
        let early = |findings: &mut Findings<'_>| findings.generation = GenerationIndex(50);
        check(&behind, early, &["meta-overfitting"]);
        for (updates, expected) in [(10, &["meta-overfitting"][..]), (30, &[])] {
            let history = History(BTreeMap::from([(updates, 0.99)]));
            check(
                &with(&[(TaskFamily::And, 0.93, 0.93)]),
                |findings| findings.history = leak(history),
                expected,
            );
        }
    }

    fn leak(history: History) -> &'static History {
        Box::leak(Box::new(history))
    }

    #[test]
    fn large_norms_are_a_drift_of_scale() {
        let norms = [("forward_transform", 112.0), ("synapse_update", 0.015)];
        let norms = norms.map(|(segment, norm)| SegmentNorm { segment: segment.to_owned(), norm });
        let norms: &'static [SegmentNorm] = Box::leak(Box::new(norms));
        check(&HEALTHY, |findings| findings.norms = norms, &["scale drift"]);
    }

    #[test]
    fn a_quarter_of_the_candidates_is_too_much_divergence() {
        let of = |diverged: usize| {
            let fit = Verdict::Fit(Fitness::new(1.0).unwrap());
            let verdict = |i| if i < diverged { Verdict::Diverged { episodes: 1 } } else { fit };
            divergence(GenerationIndex(3), &(0..16).map(verdict).collect::<Vec<_>>())
        };
        assert_eq!(of(3), None);
        let figure = of(4).unwrap().figure;
        assert_eq!(figure, "4 of 16 candidates of generation 3 left the finite numbers");
    }

    #[test]
    fn norms_are_those_of_the_parameters() {
        let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
        let layout = spec.layout();
        let norms = norms(&layout, &Genome(vec![2.0; layout.dimension()]));
        let of = |name: &str| norms.iter().find(|norm| norm.segment == name).unwrap().norm;
        assert_eq!(of("forward_transform"), 8.0, "sixteen times 2");
        assert!((of("synapse_update") - 0.1 * 2.0_f64.exp()).abs() < 1e-12, "after the transform");
    }
}
