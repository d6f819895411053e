//! The episode: one candidate on one task, the unit of work, of retry and of record.

use serde::{Deserialize, Serialize};

use crate::fitness::Fitness;
use crate::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use crate::seed::{Purpose, Seed};

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

/// What an evaluated episode is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The objective of the run's spec, oriented so that higher is better. In validation the accuracy after the training
    /// unroll.
    pub fitness: Fitness,
    /// In validation the accuracy after the extended unroll, `None` if the network left the finite numbers on the way
    /// there. `None` in every other episode.
    pub extended: Option<Fitness>,
}

impl Evaluation {
    /// What an episode of the search is worth.
    pub fn of(fitness: Fitness) -> Self {
        Self { fitness, extended: None }
    }
}

/// How an episode ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has a fitness.
    Evaluated(Evaluation),
    /// The network left the finite numbers: a fact about the genome.
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
    /// What a validation found after the extended unroll.
    pub fn extended(&self) -> Option<Fitness> {
        match self {
            Self::Evaluated(evaluation) => evaluation.extended,
            Self::Diverged | Self::WorkerError { .. } | Self::Rejected { .. } => None,
        }
    }

    /// The part that settles an episode: `Some(Some(fitness))`, `Some(None)` for diverged, `None` if it must be repeated.
    pub fn settled(&self) -> Option<Option<Fitness>> {
        match self {
            Self::Evaluated(evaluation) => Some(Some(evaluation.fitness)),
            Self::Diverged => Some(None),
            Self::WorkerError { .. } | Self::Rejected { .. } => None,
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
}
