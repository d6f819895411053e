//! What passes between a coordinator and a worker.

use std::sync::Arc;
use std::time::Duration;

use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{
    ALL_PROBLEMS, Assignment, Batch, BatchGenome, BlockEpisodes, FromWorker, Hello, Report, ToWorker, Welcome,
};
use hebbian_shared::episode::{EpisodePurpose, Wants};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::limits::{
    BATCH_EPISODES_MAX, BATCH_GENOMES_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX, RUN_NAME_MAX,
    SERVED_PROBLEMS_MAX, THREADS_MAX, WAIT_MAX,
};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::external::is_plain_name;

use super::genome::{to_genome, to_numbers};
use super::{
    ConvertError, WireEnum, check_length, check_text, cut, from_duration, parse_run_name, required, run_name,
    to_digest, to_duration,
};
use crate::v1;
use crate::v1::attach_request::Kind as Request;
use crate::v1::attach_response::Kind as Response;

impl From<&Hello> for v1::Hello {
    fn from(hello: &Hello) -> Self {
        Self {
            display_name: cut(&hello.name, NAME_BYTES_MAX),
            threads: hello.threads,
            episode_semantics: hello.episode_semantics,
            fingerprint: hello.fingerprint.0.to_vec(),
            version: cut(&hello.version, NAME_BYTES_MAX),
            serves: hello.serves.clone(),
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(message: v1::Hello) -> Result<Self, ConvertError> {
        check_text("display_name", &message.display_name, NAME_BYTES_MAX)?;
        check_text("version", &message.version, NAME_BYTES_MAX)?;
        // Both are shown on terminals.
        for (field, text) in [("display_name", &message.display_name), ("version", &message.version)] {
            if text.is_empty() || text.chars().any(char::is_control) {
                let problem =
                    format!("must be a text of 1 to {NAME_BYTES_MAX} bytes without control characters");
                return Err(ConvertError::new(field, problem));
            }
        }
        if !(1..=THREADS_MAX).contains(&message.threads) {
            let problem = format!("must be from 1 to {THREADS_MAX}, not {}", message.threads);
            return Err(ConvertError::new("threads", problem));
        }
        check_length("serves", &message.serves, SERVED_PROBLEMS_MAX)?;
        for (place, name) in message.serves.iter().enumerate() {
            if name != ALL_PROBLEMS && !is_plain_name(name) {
                let problem = format!(
                    "must be `{ALL_PROBLEMS}`, or at most {RUN_NAME_MAX} of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit"
                );
                return Err(ConvertError::new(format!("serves[{place}]"), problem));
            }
        }
        // Nobody compares the bits of what evaluates external problems.
        let fingerprint = if message.fingerprint.is_empty() && !message.serves.is_empty() {
            Digest([0; 32])
        } else {
            to_digest("fingerprint", &message.fingerprint)?
        };
        Ok(Self {
            fingerprint,
            serves: message.serves,
            name: message.display_name,
            threads: message.threads,
            episode_semantics: message.episode_semantics,
            version: message.version,
        })
    }
}

impl From<&Welcome> for v1::Welcome {
    fn from(welcome: &Welcome) -> Self {
        Self {
            worker: welcome.worker.0,
            heartbeat_interval: Some(from_duration(welcome.heartbeat_interval)),
            idle_heartbeat_interval: Some(from_duration(welcome.idle_heartbeat_interval)),
        }
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = ConvertError;

    fn try_from(message: v1::Welcome) -> Result<Self, ConvertError> {
        Ok(Self {
            worker: WorkerId(message.worker),
            heartbeat_interval: up_to_an_hour("heartbeat_interval", message.heartbeat_interval)?,
            idle_heartbeat_interval: up_to_an_hour(
                "idle_heartbeat_interval",
                message.idle_heartbeat_interval,
            )?,
        })
    }
}

/// A duration above 0 and at most an hour.
pub fn up_to_an_hour(field: &str, message: Option<prost_types::Duration>) -> Result<Duration, ConvertError> {
    let duration = to_duration(field, message)?;
    if duration.is_zero() || duration > WAIT_MAX {
        let problem = format!("must be above 0 and at most an hour, not {duration:?}");
        return Err(ConvertError::new(field, problem));
    }
    Ok(duration)
}

impl From<&BlockEpisodes> for v1::BlockEpisodes {
    fn from(given: &BlockEpisodes) -> Self {
        let episode = |&(candidate, task): &(CandidateIndex, TaskIndex)| v1::block_episodes::Episode {
            candidate: candidate.0,
            task: task.0,
        };
        Self {
            run: run_name(given.run),
            generation: given.generation.0,
            purpose: given.purpose.to_wire(),
            block: given.block.0,
            episodes: given.episodes.iter().map(episode).collect(),
        }
    }
}

impl TryFrom<v1::BlockEpisodes> for BlockEpisodes {
    type Error = ConvertError;

    fn try_from(message: v1::BlockEpisodes) -> Result<Self, ConvertError> {
        check_length("episodes", &message.episodes, BATCH_EPISODES_MAX)?;
        let episode = |episode: &v1::block_episodes::Episode| {
            (CandidateIndex(episode.candidate), TaskIndex(episode.task))
        };
        Ok(Self {
            run: parse_run_name("run", &message.run)?,
            generation: GenerationIndex(message.generation),
            purpose: EpisodePurpose::from_wire("purpose", message.purpose)?,
            block: BlockIndex(message.block),
            episodes: message.episodes.iter().map(episode).collect(),
        })
    }
}

impl From<&Batch> for v1::Batch {
    fn from(batch: &Batch) -> Self {
        Self {
            run: run_name(batch.run),
            layout_digest: batch.layout.0.to_vec(),
            generation: batch.generation.0,
            purpose: batch.purpose.to_wire(),
            block: batch.block.0,
            wants_gradient: batch.wants.gradient,
            genomes: batch
                .genomes
                .iter()
                .map(|genome| v1::BatchGenome {
                    candidate: genome.candidate.0,
                    values: genome.genome.to_le_bytes(),
                    parameters: genome.parameters.clone(),
                })
                .collect(),
            assignments: batch
                .assignments
                .iter()
                .map(|&Assignment { genome, task, seed }| v1::Assignment { genome, task: task.0, seed })
                .collect(),
        }
    }
}

impl TryFrom<v1::Batch> for Batch {
    type Error = ConvertError;

    fn try_from(message: v1::Batch) -> Result<Self, ConvertError> {
        check_length("genomes", &message.genomes, BATCH_GENOMES_MAX)?;
        check_length("assignments", &message.assignments, BATCH_EPISODES_MAX)?;
        let genomes = message
            .genomes
            .iter()
            .enumerate()
            .map(|(place, genome)| {
                Ok(BatchGenome {
                    candidate: CandidateIndex(genome.candidate),
                    genome: Arc::new(to_genome(&format!("genomes[{place}].values"), &genome.values)?),
                    parameters: to_numbers(
                        &format!("genomes[{place}].parameters"),
                        genome.parameters.clone(),
                    )?,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let assignments = message
            .assignments
            .iter()
            .enumerate()
            .map(|(place, assignment)| {
                if assignment.genome as usize >= genomes.len() {
                    let problem =
                        format!("must be below {} (genomes), not {}", genomes.len(), assignment.genome);
                    return Err(ConvertError::new(format!("assignments[{place}].genome"), problem));
                }
                let &v1::Assignment { genome, task, seed } = assignment;
                Ok(Assignment { genome, task: TaskIndex(task), seed })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            run: parse_run_name("run", &message.run)?,
            layout: to_digest("layout_digest", &message.layout_digest)?,
            generation: GenerationIndex(message.generation),
            purpose: EpisodePurpose::from_wire("purpose", message.purpose)?,
            block: BlockIndex(message.block),
            wants: Wants { gradient: message.wants_gradient },
            genomes,
            assignments,
        })
    }
}

impl From<&Report> for v1::Report {
    fn from(report: &Report) -> Self {
        Self {
            sequence: report.sequence,
            run: run_name(report.run),
            generation: report.generation.0,
            purpose: report.purpose.to_wire(),
            block: report.block.0,
            settlements: report.settlements.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Report> for Report {
    type Error = ConvertError;

    fn try_from(message: v1::Report) -> Result<Self, ConvertError> {
        check_length("settlements", &message.settlements, BATCH_EPISODES_MAX)?;
        if message.sequence == 0 {
            return Err(ConvertError::new("sequence", "must be counted from 1"));
        }
        let settlements = message
            .settlements
            .into_iter()
            .enumerate()
            .map(|(place, settlement)| {
                let within = |error: ConvertError| error.within(&format!("settlements[{place}]"));
                settlement.try_into().map_err(within)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sequence: message.sequence,
            run: parse_run_name("run", &message.run)?,
            generation: GenerationIndex(message.generation),
            purpose: EpisodePurpose::from_wire("purpose", message.purpose)?,
            block: BlockIndex(message.block),
            settlements,
        })
    }
}

impl v1::RunAnnouncement {
    /// The run that is announced. Apart from its spec, so that a worker that cannot read the spec can reject the run.
    pub fn run(&self) -> Result<RunId, ConvertError> {
        parse_run_name("run", &self.run)
    }

    /// The run's spec.
    pub fn into_spec(self) -> Result<ResolvedSpec, ConvertError> {
        let announced = to_digest("spec_digest", &self.spec_digest)?;
        let spec = ResolvedSpec::from_json(self.spec).map_err(|error| ConvertError::of_spec(&error))?;
        if spec.digest() != announced {
            let problem =
                format!("must be {}, that of the spec, not {}", spec.digest().short(), announced.short());
            return Err(ConvertError::new("spec_digest", problem));
        }
        Ok(spec)
    }
}

impl From<&FromWorker> for v1::AttachRequest {
    fn from(message: &FromWorker) -> Self {
        Self {
            kind: Some(match message {
                FromWorker::Heartbeat => Request::Heartbeat(v1::Heartbeat {}),
                FromWorker::Report(report) => Request::Report(report.into()),
                FromWorker::Reject { run, reason } => {
                    Request::Reject(v1::Reject { run: run_name(*run), reason: cut(reason, REASON_BYTES_MAX) })
                }
                FromWorker::Leaving => Request::Leaving(v1::Leaving {}),
                FromWorker::GiveBack(given) => Request::GiveBack(given.into()),
            }),
        }
    }
}

impl TryFrom<v1::AttachRequest> for FromWorker {
    type Error = ConvertError;

    /// Converts what comes after the hello.
    fn try_from(message: v1::AttachRequest) -> Result<Self, ConvertError> {
        match required("kind", message.kind)? {
            Request::Hello(_) => Err(ConvertError::new("hello", "must come once, as the first message")),
            Request::Heartbeat(v1::Heartbeat {}) => Ok(Self::Heartbeat),
            Request::Report(report) => {
                report.try_into().map(Self::Report).map_err(|error: ConvertError| error.within("report"))
            }
            Request::Reject(v1::Reject { run, reason }) => {
                check_text("reject.reason", &reason, REASON_BYTES_MAX)?;
                Ok(Self::Reject { run: parse_run_name("reject.run", &run)?, reason })
            }
            Request::Leaving(v1::Leaving {}) => Ok(Self::Leaving),
            Request::GiveBack(given) => {
                given.try_into().map(Self::GiveBack).map_err(|error: ConvertError| error.within("give_back"))
            }
        }
    }
}

impl From<&ToWorker> for v1::AttachResponse {
    fn from(message: &ToWorker) -> Self {
        Self {
            kind: Some(match message {
                ToWorker::Spec { run, spec } => Response::Announcement(v1::RunAnnouncement {
                    run: run_name(*run),
                    spec: spec.json().to_owned(),
                    spec_digest: spec.digest().0.to_vec(),
                }),
                ToWorker::Evaluation { evaluation, request } => {
                    let (name, request) = (run_name(*evaluation), request.to_string());
                    Response::Evaluation(v1::EvaluationAnnouncement { name, request })
                }
                ToWorker::Batch(batch) => Response::Batch(batch.into()),
                ToWorker::Acknowledge { sequence } => {
                    Response::Acknowledge(v1::Acknowledge { sequence: *sequence })
                }
                ToWorker::Withdraw { run, up_to } => Response::Withdraw(v1::Withdraw {
                    run: run_name(*run),
                    up_to_generation: up_to.map(|generation| generation.0),
                }),
                ToWorker::WithdrawEpisodes(unwanted) => Response::WithdrawEpisodes(unwanted.into()),
                ToWorker::Drain { within } => {
                    Response::Drain(v1::Drain { within: Some(from_duration(*within)) })
                }
            }),
            traceparent: None,
        }
    }
}

impl TryFrom<v1::AttachResponse> for ToWorker {
    type Error = ConvertError;

    /// Converts what comes after the welcome.
    fn try_from(message: v1::AttachResponse) -> Result<Self, ConvertError> {
        match required("kind", message.kind)? {
            Response::Welcome(_) => Err(ConvertError::new("welcome", "must come once, as the first message")),
            Response::Announcement(announcement) => {
                let within = |error: ConvertError| error.within("announcement");
                let run = announcement.run().map_err(within)?;
                let spec = announcement.into_spec().map_err(within)?;
                Ok(Self::Spec { run, spec: Arc::new(spec) })
            }
            Response::Evaluation(v1::EvaluationAnnouncement { name, request }) => Ok(Self::Evaluation {
                evaluation: parse_run_name("evaluation.name", &name)?,
                request: request.into(),
            }),
            Response::Batch(batch) => {
                batch.try_into().map(Self::Batch).map_err(|error: ConvertError| error.within("batch"))
            }
            Response::Acknowledge(v1::Acknowledge { sequence }) => Ok(Self::Acknowledge { sequence }),
            Response::Withdraw(v1::Withdraw { run, up_to_generation }) => Ok(Self::Withdraw {
                run: parse_run_name("withdraw.run", &run)?,
                up_to: up_to_generation.map(GenerationIndex),
            }),
            Response::WithdrawEpisodes(unwanted) => unwanted
                .try_into()
                .map(Self::WithdrawEpisodes)
                .map_err(|error: ConvertError| error.within("withdraw_episodes")),
            Response::Drain(v1::Drain { within }) => {
                Ok(Self::Drain { within: up_to_an_hour("drain.within", within)? })
            }
        }
    }
}
