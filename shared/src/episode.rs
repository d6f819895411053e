//! The episode: one candidate on one task, the unit of work, of retry and of record.

use serde::{Deserialize, Serialize};

use crate::fitness::{Fitness, Verdict, Violation};
use crate::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use crate::seed::{Purpose, Seed};
use crate::spec::range::SpecNumber;

/// Raised whenever the bits of any episode change. Workers of another value are not given episodes of a run.
pub const EPISODE_SEMANTICS: u32 = 2;

/// What an episode is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodePurpose {
    /// The strategy is told of it.
    Search,
    /// A candidate measured again, on another block of tasks.
    Remeasure,
    /// For people; never influences the search.
    Validation,
}

/// Names an episode for ever. With the run's spec and the candidate's genome it determines the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EpisodeKey {
    /// The run.
    pub run: RunId,
    /// The generation.
    pub generation: GenerationIndex,
    /// What for.
    pub purpose: EpisodePurpose,
    /// The set of tasks.
    pub block: BlockIndex,
    /// The candidate. It never enters a draw: all candidates of a block meet the same tasks (common random numbers).
    pub candidate: CandidateIndex,
    /// The task within the block.
    pub task: TaskIndex,
}

impl EpisodeKey {
    /// The root of all that is drawn for this episode's task: its function, batches and initial synapses.
    pub fn task_seed(&self, run_seed: Seed) -> Seed {
        let block = match self.purpose {
            EpisodePurpose::Search => Purpose::SearchBlock,
            EpisodePurpose::Remeasure => Purpose::RemeasureBlock,
            EpisodePurpose::Validation => Purpose::ValidationBlock,
        };
        run_seed
            .derive(Purpose::Generation, u64::from(self.generation.0))
            .derive(block, u64::from(self.block.0))
            .derive(Purpose::Task, u64::from(self.task.0))
    }
}

/// What an episode is asked for beside its fitness. A strategy says what it wants of the episodes of its search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The gradient of the fitness with respect to the genome.
    pub gradient: bool,
}

/// What an outcome has to look like, by what was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// What was asked for beside the fitness.
    pub wants: Wants,
    /// Numbers of the genome.
    pub dimension: usize,
    /// Points of measurement.
    pub scores: usize,
    /// The least and the greatest value of what is measured: of the fitness, of the other accuracies, and of scores.
    pub range: (f64, f64),
    /// Whether a candidate may be infeasible.
    pub bounded: bool,
}

impl Asked {
    /// Nothing but a fitness, whatever it measures.
    pub const FITNESS: Self = Self {
        wants: Wants { gradient: false },
        dimension: 0,
        scores: 0,
        range: (f64::NEG_INFINITY, f64::INFINITY),
        bounded: false,
    };
}

/// What rounding may add to a mean at an end of its range.
const ROUNDING: f64 = 1e-6;

/// How the estimate of a gradient compares with the exact one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Cosine of the angle between both.
    pub cosine: f64,
    /// The estimate's length over the exact one's.
    pub length_ratio: f64,
}

/// What an evaluated episode is worth. It travels whole from the worker to the verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The objective of the run's spec, oriented so that higher is better. In validation the accuracy after the training
    /// unroll.
    pub fitness: Fitness,
    /// In validation the accuracy after the extended unroll, `None` if the network left the finite numbers on the way
    /// there. `None` in every other episode.
    pub extended: Option<Fitness>,
    /// In validation the accuracy before the first update, which nothing can have been learned for. `None` in every other episode.
    pub unadapted: Option<Fitness>,
    /// In validation of tasks with classes or keys: the accuracy after the training unroll on labels of another key. `None` in every
    /// other episode.
    pub blind: Option<Fitness>,
    /// In validation of tasks with classes or keys: what the genome that the search began with is worth. `None` in every other
    /// episode.
    pub unlearned: Option<Fitness>,
    /// In validation of a search along an estimate: how it compares with the exact gradient. `None` in every other episode.
    pub agreement: Option<Agreement>,
    /// The objective at each point of measurement, all finite, where each was asked for; of an external problem the scores
    /// that its spec names. Empty in a run's other episodes.
    pub scores: Vec<f64>,
    /// The gradient of the fitness with respect to the genome, all finite, where it was asked for.
    pub gradient: Option<Vec<f64>>,
}

impl Evaluation {
    /// What an episode is worth of which nothing but its fitness was asked.
    pub fn of(fitness: Fitness) -> Self {
        Self {
            fitness,
            extended: None,
            unadapted: None,
            blind: None,
            unlearned: None,
            agreement: None,
            scores: Vec::new(),
            gradient: None,
        }
    }

    /// Says what is wrong with it as an answer to what was asked.
    pub fn check(&self, asked: &Asked) -> Result<(), String> {
        check_numbers("scores", &self.scores, asked.scores)?;
        let values = self.gradient.as_deref().unwrap_or_default();
        check_numbers("gradient", values, if asked.wants.gradient { asked.dimension } else { 0 })?;
        let measured = [
            ("fitness", Some(self.fitness)),
            ("extended", self.extended),
            ("unadapted", self.unadapted),
            ("blind", self.blind),
            ("unlearned", self.unlearned),
        ];
        if let Some(Agreement { cosine, length_ratio }) = self.agreement
            && !(cosine.abs() <= 1.0 + ROUNDING && length_ratio >= 0.0 && length_ratio.is_finite())
        {
            let (cosine, ratio) = (cosine.shown(), length_ratio.shown());
            return Err(format!("agreement: must be a cosine and a ratio, not {cosine} and {ratio}"));
        }
        let measured = measured.into_iter().filter_map(|(field, value)| Some((field, value?.get())));
        let scores = self.scores.iter().map(|score| ("scores", *score));
        let (least, most) = asked.range;
        let within = least - ROUNDING..=most + ROUNDING;
        match measured.chain(scores).find(|(_, value)| !within.contains(value)) {
            Some((field, value)) => {
                let [least, most, value] = [least, most, value].map(SpecNumber::shown);
                Err(format!("{field}: must be from {least} to {most}, not {value}"))
            }
            None => Ok(()),
        }
    }
}

fn check_numbers(field: &str, values: &[f64], expected: usize) -> Result<(), String> {
    if values.len() != expected {
        return Err(format!("{field}: must have {expected} values, not {}", values.len()));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(format!("{field}: value {place} must be finite, not {}", values[place])),
        None => Ok(()),
    }
}

/// How an episode ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It has a fitness.
    Evaluated(Evaluation),
    /// The genome stands for something that is not allowed: a fact about the genome. Only of external problems.
    Infeasible(Violation),
    /// The network left the finite numbers, or an external objective could not be evaluated: a fact about the genome.
    Diverged,
    /// The worker failed: a fact about the worker, never a fitness. The episode is tried elsewhere.
    WorkerError {
        /// What went wrong, for people.
        reason: String,
    },
    /// The worker cannot do episodes of this run at all (unknown task family, missing data, ...).
    Rejected {
        /// What it lacks, for people.
        reason: String,
    },
}

impl Outcome {
    /// What the episode is worth; `None` if it diverged, or must be repeated.
    pub fn evaluation(&self) -> Option<&Evaluation> {
        match self {
            Self::Evaluated(evaluation) => Some(evaluation),
            Self::Infeasible(_) | Self::Diverged | Self::WorkerError { .. } | Self::Rejected { .. } => None,
        }
    }

    /// The fitness; `None` if the episode diverged, or must be repeated.
    pub fn fitness(&self) -> Option<Fitness> {
        self.evaluation().map(|evaluation| evaluation.fitness)
    }

    /// What it says of the genome; `None` if it says something of the worker.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Evaluated(evaluation) => Some(Verdict::Fit(evaluation.fitness)),
            Self::Infeasible(violation) => Some(Verdict::Infeasible(*violation)),
            Self::Diverged => Some(Verdict::Diverged { episodes: 1 }),
            Self::WorkerError { .. } | Self::Rejected { .. } => None,
        }
    }

    /// Whether it settles the episode: it says something of the genome, and not of the worker.
    pub fn settles(&self) -> bool {
        self.verdict().is_some()
    }

    /// Makes it a worker error if it is no answer to what was asked; see [`Evaluation::check`].
    pub fn check(&mut self, asked: &Asked) {
        let problem = match self {
            Self::Evaluated(found) => found.check(asked).err(),
            Self::Infeasible(_) if !asked.bounded => {
                Some("infeasible: only candidates of external problems are".to_owned())
            }
            _ => None,
        };
        if let Some(problem) = problem {
            *self = Self::WorkerError { reason: format!("a wrong answer: {problem}") };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EpisodeKey {
        EpisodeKey {
            run: RunId::new(1),
            generation: GenerationIndex(2),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            candidate: CandidateIndex(3),
            task: TaskIndex(4),
        }
    }

    #[test]
    fn the_task_depends_on_all_of_the_key_but_the_candidate_and_the_run() {
        let seed = Seed::new(9).unwrap();
        let base = key().task_seed(seed);
        assert_eq!(EpisodeKey { candidate: CandidateIndex(0), ..key() }.task_seed(seed), base);
        assert_eq!(EpisodeKey { run: RunId::new(77), ..key() }.task_seed(seed), base);
        for other in [
            EpisodeKey { generation: GenerationIndex(3), ..key() },
            EpisodeKey { purpose: EpisodePurpose::Remeasure, ..key() },
            EpisodeKey { purpose: EpisodePurpose::Validation, ..key() },
            EpisodeKey { block: BlockIndex(1), ..key() },
            EpisodeKey { task: TaskIndex(5), ..key() },
        ] {
            assert_ne!(other.task_seed(seed), base, "{other:?}");
        }
        assert_ne!(key().task_seed(Seed::new(10).unwrap()), base);
    }

    #[test]
    fn an_answer_has_what_was_asked_for_and_finite_numbers() {
        let fitness = Fitness::new(1.0).unwrap();
        let with = |scores: &[f64], gradient: Option<&[f64]>| {
            let (scores, gradient) = (scores.to_vec(), gradient.map(<[f64]>::to_vec));
            Outcome::Evaluated(Evaluation { scores, gradient, ..Evaluation::of(fitness) })
        };
        let wants = Wants { gradient: true };
        let checked = |mut outcome: Outcome, wants| {
            outcome.check(&Asked { wants, dimension: 3, scores: 2, range: (-1.0, 1.0), bounded: false });
            outcome
        };
        let right = with(&[0.5, 0.25], Some(&[1.0, -2.0, 0.0]));
        assert_eq!(checked(right.clone(), wants), right);
        assert_eq!(checked(Outcome::Diverged, wants), Outcome::Diverged);
        let refused = |outcome: Outcome, wants, expected: &str| {
            let reason = format!("a wrong answer: {expected}");
            assert_eq!(checked(outcome, wants), Outcome::WorkerError { reason });
        };
        let scores = &[0.5, 0.25];
        refused(with(&[], Some(&[0.0; 3])), wants, "scores: must have 2 values, not 0");
        refused(with(&[0.5, f64::NAN], None), wants, "scores: value 1 must be finite, not NaN");
        refused(with(scores, None), wants, "gradient: must have 3 values, not 0");
        refused(with(scores, Some(&[0.0; 3])), Wants::default(), "gradient: must have 0 values, not 3");
        let infinite = [0.0, f64::NEG_INFINITY, 0.0];
        refused(with(scores, Some(&infinite)), wants, "gradient: value 1 must be finite, not -inf");
        refused(with(&[0.5, 7.5], Some(&[0.0; 3])), wants, "scores: must be from -1 to 1, not 7.5");
        let outside = Outcome::Infeasible(Violation::new(1.0).unwrap());
        refused(outside, wants, "infeasible: only candidates of external problems are");
    }

    #[test]
    fn what_is_measured_lies_in_the_range_of_what_measures_it() {
        use crate::spec::evaluation::Objective;
        let check = |objective: Objective, fitness, extended: Option<f64>| {
            let extended = extended.map(|extended| Fitness::new(extended).unwrap());
            let mut outcome =
                Outcome::Evaluated(Evaluation { extended, ..Evaluation::of(Fitness::new(fitness).unwrap()) });
            outcome.check(&Asked { range: objective.range(), ..Asked::FITNESS });
            outcome.settles()
        };
        for right in [0.0, 0.5, 1.0, 1.0 + 1e-15] {
            assert!(check(Objective::Accuracy, right, Some(right)));
        }
        for wrong in [1e308, 2.0, -5.0, 1.001, -0.001] {
            assert!(!check(Objective::Accuracy, wrong, None));
            assert!(!check(Objective::Accuracy, 0.5, Some(wrong)));
        }
        for loss in [Objective::SquaredError, Objective::Logistic] {
            assert!(check(loss, -1e300, None) && check(loss, 0.0, None));
            assert!(!check(loss, 0.5, None));
        }
    }
}
