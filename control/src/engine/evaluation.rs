//! Evaluations among the engine's jobs; see [`crate::command::evaluation`].

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Settlement, ToWorker};
use hebbian_shared::episode::{Asked, EpisodePurpose, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, GenerationIndex, RunId};
use hebbian_shared::limits::BATCH_LENGTH_MAX;
use hebbian_shared::spec::external::Tolerance;
use hebbian_shared::time::Timestamp;

use super::Engine;
use super::effect::{Effect, Scored};
use crate::command::evaluation::CreateEvaluation;
use crate::scheduler::Portion;

/// An evaluation that is being computed.
#[derive(Debug)]
pub(crate) struct Evaluation {
    request: Arc<str>,
    pub(super) digest: Digest,
    /// As batches carry them: without values, which have travelled with the request.
    pub(super) genomes: Vec<Arc<Genome>>,
    points: usize,
    /// The numerics of workers that may compute it; those of the first that settles something if nobody says.
    pub(super) fingerprint: Option<Digest>,
    unsettled: u32,
    /// For whom it is counted.
    pub(crate) owner: String,
}

impl Evaluation {
    pub(super) fn announcement(&self, evaluation: RunId) -> ToWorker {
        ToWorker::Evaluation { evaluation, request: Arc::clone(&self.request) }
    }

    /// Makes an outcome the worker's error if it is no answer to what was asked.
    pub(super) fn check(&self, outcome: &mut Outcome) {
        if *outcome == Outcome::Diverged {
            let reason =
                "a wrong answer: an evaluation's episode has scores, also where it diverges".to_owned();
            *outcome = Outcome::WorkerError { reason };
        }
        // Accuracy and explained variance are both of this range.
        outcome.check(&Asked { scores: self.points, range: (0.0, 1.0), ..Asked::FITNESS });
    }
}

impl Engine {
    /// Hands an evaluation to the scheduler.
    pub(crate) fn begin_evaluation(&mut self, now: Timestamp, command: CreateEvaluation) -> RunId {
        let CreateEvaluation { id, request, genomes, tasks, points, fingerprint, weight, owner } = command;
        let id = self.free_id(id);
        let evaluation = Evaluation {
            digest: Digest::of(request.as_bytes()),
            request,
            genomes: vec![Arc::default(); genomes as usize],
            points: points as usize,
            fingerprint,
            unsettled: genomes * tasks,
            owner,
        };
        self.evaluations.insert(id, evaluation);
        // Its genomes have travelled with the request.
        self.scheduler.open(id, weight, BATCH_LENGTH_MAX);
        self.scheduler.set_tolerance(id, fingerprint.map(|_| Tolerance::NONE));
        self.admit_all(now, id);
        let blocks = vec![BlockIndex(0); genomes as usize];
        let portion = Portion { purpose: EpisodePurpose::Search, blocks: &blocks, tasks, length: 1 };
        let mut actions = Vec::new();
        self.scheduler.submit(now, id, GenerationIndex(0), &[portion], |_, _, _| false, &mut actions);
        self.carry_out(now, actions);
        id
    }

    /// The first id from `id` on that neither a run nor an evaluation has.
    pub(crate) fn free_id(&self, mut id: RunId) -> RunId {
        while self.knows(id) || self.evaluations.contains_key(&id) {
            id = RunId::new(id.number().wrapping_add(1));
        }
        id
    }

    /// Passes on what settled episodes of an evaluation for the first time, and ends it with the last.
    pub(super) fn evaluated(&mut self, now: Timestamp, id: RunId, accepted: Vec<Settlement>) {
        let Some(evaluation) = self.evaluations.get_mut(&id).filter(|_| !accepted.is_empty()) else { return };
        evaluation.unsettled -= accepted.len() as u32;
        let complete = evaluation.unsettled == 0;
        let scored = accepted.into_iter().filter_map(|settlement| match settlement.outcome {
            Outcome::Evaluated(found) => {
                Some(Scored { genome: settlement.candidate, task: settlement.task, scores: found.scores })
            }
            Outcome::Infeasible(_)
            | Outcome::Diverged
            | Outcome::WorkerError { .. }
            | Outcome::Rejected { .. } => None,
        });
        self.outbox.now(Effect::Scored { evaluation: id, scored: scored.collect() });
        if complete {
            self.end_evaluation(now, id, Ok(()));
        }
    }

    /// Ends an evaluation, unless it has ended. An error says why there are no more scores.
    pub(crate) fn end_evaluation(&mut self, now: Timestamp, id: RunId, end: Result<(), String>) {
        if self.evaluations.remove(&id).is_some() {
            let message = ToWorker::Withdraw { run: id, up_to: None };
            for (&worker, _) in self.workers.iter().filter(|(_, entry)| entry.specs.contains(&id)) {
                self.outbox.now(Effect::Send { worker, message: message.clone() });
            }
            self.close_job(now, id);
            self.lost_told.remove(&id);
            self.outbox.now(Effect::EvaluationEnded { evaluation: id, end });
        }
    }

    /// Ends the evaluations that no worker may compute although some are attached.
    pub(super) fn end_stranded_evaluations(&mut self, now: Timestamp) {
        let stranded = self.evaluations.keys().filter_map(|&id| {
            let reason = self.scheduler.stranded(id)?;
            Some((
                id,
                format!("no attached worker can compute the evaluation, the last one because {reason}"),
            ))
        });
        for (id, reason) in stranded.collect::<Vec<_>>() {
            self.end_evaluation(now, id, Err(reason));
        }
    }

    pub(super) fn check_evaluations(&self) {
        for (&id, evaluation) in &self.evaluations {
            assert_eq!(self.scheduler.unsettled(id), evaluation.unsettled, "they agree on what is open");
        }
    }
}
