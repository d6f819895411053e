//! The problem that a worker is tried with: what it is asked, and what is right. `docs/WORKERS.md` defines the objective for people.

use std::sync::Arc;

use hebbian_shared::dispatch::{Assignment, Batch, BatchGenome, Settlement, ToWorker};
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Outcome, Wants};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::{External, ResolvedSpec, RunSpec};

/// The objective's name, if no other is wanted.
pub(super) const NAME: &str = "conformance";
/// Numbers of the parameter `x`: so many that a batch is larger than what gRPC takes if it is not told otherwise.
pub(super) const LENGTH: usize = 2000;
const WORD: &str = "hebbian";
/// The violation where the objective says that a candidate is not allowed.
pub(super) const VIOLATION: f64 = 0.25;

/// How an evaluation ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a value and two scores.
    #[default]
    Value,
    /// Not allowed, by [`VIOLATION`].
    Infeasible,
    /// It cannot be evaluated.
    Failed,
    /// An exception with a text of 5000 characters.
    Exception,
    /// With a value that is no number.
    NotANumber,
}

/// What one evaluation is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) level: u32,
    pub(super) milliseconds: u32,
    pub(super) ending: Ending,
}

impl Asked {
    /// One that takes a while.
    pub(super) fn lasting(milliseconds: u32) -> Self {
        Self { milliseconds, ..Self::default() }
    }

    /// One that ends so.
    pub(super) fn ending(ending: Ending) -> Self {
        Self { ending, ..Self::default() }
    }

    /// The objective: what an evaluation with this seed is worth.
    pub(super) fn value(&self, seed: u32) -> f64 {
        self.first
            + 2.0 * self.last
            + 10.0 * f64::from(self.level)
            + f64::from(seed % 1000)
            + WORD.len() as f64
    }

    /// Its scores, in the spec's order.
    pub(super) fn scores(&self) -> [f64; 2] {
        [f64::from(self.level), self.first]
    }

    fn genome(&self) -> Genome {
        let mut numbers = vec![0.0; LENGTH];
        (numbers[0], numbers[LENGTH - 1]) = (self.first, self.last);
        numbers.extend([f64::from(self.level), f64::from(self.milliseconds), f64::from(self.ending as u32)]);
        Genome(numbers)
    }
}

/// The spec of a run of the problem with this name.
pub(super) fn spec(name: &str) -> ResolvedSpec {
    let text = format!(
        "version = 1
        name = \"conformance\"
        seed = 1

        [strategy]
        kind = \"sep-cma-es\"
        step_size = 1.0
        population_size = 16

        [problem]
        kind = \"external\"
        name = \"{name}\"
        direction = \"minimise\"
        evaluations_per_candidate = 2
        time_limit_s = 600
        scores = [\"level\", \"first\"]
        parameters = [
            {{ name = \"x\", kind = \"real\", length = {LENGTH}, initial = 0.0, deviation = 1.0 }},
            {{ name = \"level\", kind = \"integer\", low = 0, high = 9, initial = 0.0, deviation = 1.0 }},
            {{ name = \"milliseconds\", kind = \"integer\", low = 0, high = 600000, initial = 0.0, deviation = 1.0 }},
            {{ name = \"ending\", kind = \"integer\", low = 0, high = 4, initial = 0.0, deviation = 1.0 }},
            {{ name = \"word\", kind = \"fixed\", value = \"{WORD}\" }},
        ]

        [stop]
        generations = 1
        "
    );
    RunSpec::read(&text).expect("a name that is checked gives a spec").into()
}

/// A run of the problem.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    spec: Arc<ResolvedSpec>,
}

impl Run {
    pub(super) fn new(id: RunId, name: &str) -> Self {
        Self { id, spec: Arc::new(spec(name)) }
    }

    /// A run of something else.
    pub(super) fn of(id: RunId, spec: RunSpec) -> Self {
        Self { id, spec: Arc::new(spec.into()) }
    }

    fn problem(&self) -> &External {
        self.spec.problem.external().expect("batches are of the problem")
    }

    pub(super) fn announcement(&self) -> ToWorker {
        ToWorker::Spec { run: self.id, spec: Arc::clone(&self.spec) }
    }

    /// Evaluations of a generation, each a candidate's only one.
    pub(super) fn batch(&self, generation: u32, asked: &[Asked]) -> Work {
        self.work((generation, EpisodePurpose::Search, 0), asked, 1, 0)
    }

    /// Evaluations of candidates that are numbered from `first` on, each on so many tasks, in no particular order.
    pub(super) fn work(
        &self,
        (generation, purpose, block): (u32, EpisodePurpose, u32),
        asked: &[Asked],
        tasks: u32,
        first: u32,
    ) -> Work {
        let genome = |(place, asked): (usize, &Asked)| {
            let genome = asked.genome();
            let parameters = self.problem().numbers(&genome);
            BatchGenome {
                candidate: CandidateIndex(first + place as u32),
                genome: Arc::new(genome),
                parameters,
            }
        };
        // A worker may make the seeds itself, of the spec and the key, as this program's does.
        let seed = |task: u32| {
            let (generation, block) = (GenerationIndex(generation), BlockIndex(block));
            let (candidate, task) = (CandidateIndex(first), TaskIndex(task));
            let key = EpisodeKey { run: self.id, generation, purpose, block, candidate, task };
            self.problem().seed(&key, self.spec.seed)
        };
        let count = asked.len() as u32;
        // Neighbours in the batch are no neighbours in the table.
        let places = (0..count).map(|place| if count.is_multiple_of(7) { place } else { place * 7 % count });
        let assignments: Vec<Assignment> = places
            .flat_map(|genome| (0..tasks).rev().map(move |task| (genome, task)))
            .map(|(genome, task)| Assignment { genome, task: TaskIndex(task), seed: seed(task) })
            .collect();
        let batch = Batch {
            run: self.id,
            layout: self.spec.layout().digest(),
            generation: GenerationIndex(generation),
            purpose,
            block: BlockIndex(block),
            wants: Wants::default(),
            genomes: asked.iter().enumerate().map(genome).collect(),
            assignments,
        };
        Work { batch, asked: asked.to_vec(), first }
    }
}

/// A batch, and what was asked in it.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) batch: Batch,
    asked: Vec<Asked>,
    first: u32,
}

/// An evaluation of a batch: candidate and task.
pub(super) type Place = (u32, u32);

impl Work {
    /// All evaluations.
    pub(super) fn places(&self) -> Vec<Place> {
        let of = |assignment: &Assignment| (self.first + assignment.genome, assignment.task.0);
        self.batch.assignments.iter().map(of).collect()
    }

    /// What is right: the value and the scores of an evaluation.
    pub(super) fn expected(&self, place: Place) -> Option<(f64, [f64; 2])> {
        let asked = self.asked.get(place.0.checked_sub(self.first)? as usize)?;
        let assignment = self.batch.assignments.iter().find(|assignment| assignment.task.0 == place.1)?;
        Some((asked.value(assignment.seed), asked.scores()))
    }
}

/// An outcome for people.
pub(super) fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Evaluated(found) if found.scores.is_empty() => {
            format!("the value {} without scores", found.fitness.get())
        }
        Outcome::Evaluated(found) => {
            format!("the value {} with the scores {:?}", found.fitness.get(), found.scores)
        }
        Outcome::Infeasible(by) => format!("infeasible by {}", by.get()),
        Outcome::Diverged => "diverged".to_owned(),
        Outcome::WorkerError { reason } => format!("a worker error: {reason}"),
        Outcome::Rejected { reason } => format!("rejected: {reason}"),
    }
}

/// The evaluation that a settlement is about.
pub(super) fn place(settlement: &Settlement) -> Place {
    (settlement.candidate.0, settlement.task.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_asked() {
        let run = Run::new(RunId::new(7), NAME);
        let asked = [
            Asked { first: 1.5, last: -2.0, level: 3, milliseconds: 40, ending: Ending::Failed },
            Asked { first: 0.25, ..Asked::default() },
        ];
        let work = run.work((2, EpisodePurpose::Remeasure, 1), &asked, 2, 5);
        let sent = &work.batch.genomes[0].parameters;
        assert_eq!((sent[0], sent[LENGTH - 1], &sent[LENGTH..]), (1.5, -2.0, &[3.0, 40.0, 2.0][..]));
        let mut places = work.places();
        places.sort_unstable();
        assert_eq!(places, [(5, 0), (5, 1), (6, 0), (6, 1)]);
        let seeds: Vec<u32> = work.batch.assignments.iter().map(|of| of.seed % 1000).collect();
        assert!(seeds[0] == seeds[2] && seeds[0] != seeds[1], "{seeds:?}");
        // 1.5 - 4 + 30 + 7 letters + the last three digits of the second task's seed, which is first in the batch.
        assert_eq!(work.expected((5, 1)), Some((34.5 + f64::from(seeds[0]), [3.0, 1.5])));
        assert_eq!(work.expected((4, 1)), None);
    }
}
