//! Episodes: purposes and outcomes.

use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::{Agreement, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Violation;
use hebbian_shared::id::{CandidateIndex, TaskIndex};
use hebbian_shared::limits::REASON_BYTES_MAX;

use super::genome::to_numbers;
use super::{ConvertError, check_text, cut, from_duration, required, to_duration, to_fitness, wire_enum};
use crate::v1;

wire_enum!(EpisodePurpose, v1::EpisodePurpose { Search, Remeasure, Validation });

impl From<&Evaluation> for v1::settlement::Evaluated {
    fn from(evaluation: &Evaluation) -> Self {
        let Evaluation { fitness, extended, unadapted, blind, unlearned, agreement, scores, gradient } =
            evaluation;
        Self {
            fitness: fitness.get(),
            extended: extended.map(f64::from),
            unadapted: unadapted.map(f64::from),
            blind: blind.map(f64::from),
            unlearned: unlearned.map(f64::from),
            agreement: agreement
                .map(|Agreement { cosine, length_ratio }| v1::settlement::Agreement { cosine, length_ratio }),
            scores: scores.clone(),
            gradient: gradient.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::settlement::Evaluated> for Evaluation {
    type Error = ConvertError;

    fn try_from(message: v1::settlement::Evaluated) -> Result<Self, ConvertError> {
        let accuracy = |field, value: Option<f64>| value.map(|value| to_fitness(field, value)).transpose();
        let gradient = to_numbers("evaluated.gradient", message.gradient)?;
        let agreement = message
            .agreement
            .map(|found| Agreement { cosine: found.cosine, length_ratio: found.length_ratio });
        Ok(Self {
            fitness: to_fitness("evaluated.fitness", message.fitness)?,
            extended: accuracy("evaluated.extended", message.extended)?,
            unadapted: accuracy("evaluated.unadapted", message.unadapted)?,
            blind: accuracy("evaluated.blind", message.blind)?,
            unlearned: accuracy("evaluated.unlearned", message.unlearned)?,
            agreement,
            scores: to_numbers("evaluated.scores", message.scores)?,
            gradient: Some(gradient).filter(|values| !values.is_empty()),
        })
    }
}

impl From<&Settlement> for v1::Settlement {
    fn from(settlement: &Settlement) -> Self {
        use v1::settlement::{self, Outcome as Wire};
        Self {
            candidate: settlement.candidate.0,
            task: settlement.task.0,
            compute_time: Some(from_duration(settlement.compute_time)),
            outcome: Some(match &settlement.outcome {
                Outcome::Evaluated(evaluation) => Wire::Evaluated(evaluation.into()),
                Outcome::Infeasible(violation) => {
                    Wire::Infeasible(settlement::Infeasible { violation: violation.get() })
                }
                Outcome::Diverged => Wire::Diverged(settlement::Diverged {}),
                Outcome::WorkerError { reason } => {
                    Wire::WorkerError(settlement::WorkerError { reason: cut(reason, REASON_BYTES_MAX) })
                }
                Outcome::Rejected { reason } => {
                    Wire::Rejected(settlement::Rejected { reason: cut(reason, REASON_BYTES_MAX) })
                }
            }),
        }
    }
}

impl TryFrom<v1::Settlement> for Settlement {
    type Error = ConvertError;

    fn try_from(message: v1::Settlement) -> Result<Self, ConvertError> {
        use v1::settlement::{self, Outcome as Wire};
        let outcome = match required("outcome", message.outcome)? {
            Wire::Evaluated(evaluated) => Outcome::Evaluated(evaluated.try_into()?),
            Wire::Infeasible(settlement::Infeasible { violation }) => {
                let violation = Violation::new(violation)
                    .map_err(|error| ConvertError::new("infeasible.violation", error.to_string()))?;
                Outcome::Infeasible(violation)
            }
            Wire::Diverged(settlement::Diverged {}) => Outcome::Diverged,
            Wire::WorkerError(settlement::WorkerError { reason }) => {
                check_text("worker_error.reason", &reason, REASON_BYTES_MAX)?;
                Outcome::WorkerError { reason }
            }
            Wire::Rejected(settlement::Rejected { reason }) => {
                check_text("rejected.reason", &reason, REASON_BYTES_MAX)?;
                Outcome::Rejected { reason }
            }
        };
        Ok(Self {
            candidate: CandidateIndex(message.candidate),
            task: TaskIndex(message.task),
            outcome,
            compute_time: to_duration("compute_time", message.compute_time)?,
        })
    }
}
