//! How runs and the cluster stand.

use std::sync::Arc;
use std::time::Duration;

use hebbian_shared::dispatch::{WEIGHT_DEFAULT, check_weight};
use hebbian_shared::genome::{Genome, GenomeLayout, Segment, Transform};
use hebbian_shared::id::{GenerationIndex, WorkerId};
use hebbian_shared::progress::{
    CoordinatorStatus, GenerationSummary, Ineligibility, NoiseSummary, Parent, Remeasurement, Restart,
    RunEvent, RunProgress, RunResult, RunState, SearchSummary, StopReason, ValidationSummary, WorkerStatus,
};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::ResolvedSpec;

use super::episode::to_numbers;
use super::{
    ConvertError, from_duration, parse_run_name, required, run_name, to_digest, to_duration, to_fitness,
};
use crate::v1;

impl From<&RunState> for v1::RunState {
    fn from(state: &RunState) -> Self {
        use v1::run_state::{Cancelled, Failed, Finished, Kind, Paused, Running};
        Self {
            kind: Some(match state {
                RunState::Running => Kind::Running(Running {}),
                RunState::Paused { reason } => Kind::Paused(Paused { reason: reason.clone() }),
                RunState::Finished { reason: StopReason { criterion, detail } } => {
                    Kind::Finished(Finished { criterion: criterion.clone(), detail: detail.clone() })
                }
                RunState::Cancelled => Kind::Cancelled(Cancelled {}),
                RunState::Failed { reason } => Kind::Failed(Failed { reason: reason.clone() }),
            }),
        }
    }
}

impl TryFrom<v1::RunState> for RunState {
    type Error = ConvertError;

    fn try_from(message: v1::RunState) -> Result<Self, ConvertError> {
        use v1::run_state::{Cancelled, Failed, Finished, Kind, Paused, Running};
        Ok(match required("kind", message.kind)? {
            Kind::Running(Running {}) => Self::Running,
            Kind::Paused(Paused { reason }) => Self::Paused { reason },
            Kind::Finished(Finished { criterion, detail }) => {
                Self::Finished { reason: StopReason { criterion, detail } }
            }
            Kind::Cancelled(Cancelled {}) => Self::Cancelled,
            Kind::Failed(Failed { reason }) => Self::Failed { reason },
        })
    }
}

impl From<&SearchSummary> for v1::SearchSummary {
    fn from(summary: &SearchSummary) -> Self {
        let noise = summary.noise;
        Self {
            step_size: summary.step_size,
            axis_ratio: summary.axis_ratio,
            deviation_min: summary.deviation_range.0,
            deviation_max: summary.deviation_range.1,
            mean_norm: summary.mean_norm,
            agreement: noise.and_then(|noise| noise.agreement),
            mean_rate: noise.map(|noise| noise.mean_rate),
            covariance_rate: noise.map(|noise| noise.covariance_rate),
            restart: summary.restart.as_ref().map(|restart| v1::Restart {
                number: restart.number,
                population_size: restart.population_size,
                step_size: restart.step_size,
                criterion: restart.reason.criterion.clone(),
                detail: restart.reason.detail.clone(),
            }),
        }
    }
}

impl From<v1::SearchSummary> for SearchSummary {
    fn from(message: v1::SearchSummary) -> Self {
        let rates = message.mean_rate.zip(message.covariance_rate);
        Self {
            step_size: message.step_size,
            axis_ratio: message.axis_ratio,
            deviation_range: (message.deviation_min, message.deviation_max),
            mean_norm: message.mean_norm,
            noise: rates.map(|(mean_rate, covariance_rate)| NoiseSummary {
                agreement: message.agreement,
                mean_rate,
                covariance_rate,
            }),
            restart: message.restart.map(|restart| {
                Box::new(Restart {
                    number: restart.number,
                    population_size: restart.population_size,
                    step_size: restart.step_size,
                    reason: StopReason { criterion: restart.criterion, detail: restart.detail },
                })
            }),
        }
    }
}

impl From<&GenerationSummary> for v1::GenerationSummary {
    fn from(summary: &GenerationSummary) -> Self {
        Self {
            generation: summary.generation.0,
            updates: summary.updates,
            best_fitness: summary.best.map(f64::from),
            median_fitness: summary.median.map(f64::from),
            diverged: summary.diverged,
            evaluations: summary.evaluations,
            episodes: summary.episodes,
            compute_time: Some(from_duration(summary.compute_time)),
            elapsed: Some(from_duration(summary.elapsed)),
            search: Some((&summary.search).into()),
            state_digest: summary.digest.0.to_vec(),
        }
    }
}

impl TryFrom<v1::GenerationSummary> for GenerationSummary {
    type Error = ConvertError;

    fn try_from(message: v1::GenerationSummary) -> Result<Self, ConvertError> {
        let fitness = |field, value: Option<f64>| value.map(|value| to_fitness(field, value)).transpose();
        Ok(Self {
            generation: GenerationIndex(message.generation),
            updates: message.updates,
            best: fitness("best_fitness", message.best_fitness)?,
            median: fitness("median_fitness", message.median_fitness)?,
            diverged: message.diverged,
            evaluations: message.evaluations,
            episodes: message.episodes,
            compute_time: to_duration("compute_time", message.compute_time)?,
            elapsed: to_duration("elapsed", message.elapsed)?,
            search: required("search", message.search)?.into(),
            digest: to_digest("state_digest", &message.state_digest)?,
        })
    }
}

fn to_validation(message: Option<v1::ValidationSummary>) -> Result<Option<ValidationSummary>, ConvertError> {
    message.map(ValidationSummary::try_from).transpose().map_err(|error| error.within("validation"))
}

fn to_remeasurement(message: Option<v1::Remeasurement>) -> Result<Option<Remeasurement>, ConvertError> {
    message.map(Remeasurement::try_from).transpose().map_err(|error| error.within("remeasurement"))
}

impl From<&RunProgress> for v1::Run {
    fn from(progress: &RunProgress) -> Self {
        Self {
            name: run_name(progress.run),
            display_name: progress.name.clone(),
            spec_digest: progress.spec_digest.0.to_vec(),
            state: Some((&progress.state).into()),
            generation: progress.generation.0,
            generations_limit: progress.generations_limit,
            settled_episodes: progress.settled,
            generation_episodes: progress.episodes,
            leased_episodes: progress.leased,
            eligible_workers: progress.eligible_workers,
            best_fitness: progress.best.map(f64::from),
            last_generation: progress.last.as_ref().map(Into::into),
            create_time: Some(from_unix_ms(progress.created_unix_ms)),
            fingerprint: progress.fingerprint.map_or_else(Vec::new, |digest| digest.0.to_vec()),
            notes: progress.notes.clone(),
            sequence: progress.sequence,
            validation: progress.validation.as_ref().map(Into::into),
            search_ended: progress
                .search_ended
                .clone()
                .map(|StopReason { criterion, detail }| v1::run_state::Finished { criterion, detail }),
            remeasurement: progress.remeasurement.as_ref().map(Into::into),
            parent: progress
                .parent
                .map(|parent| v1::Parent { run: run_name(parent.run), generations: parent.generations.0 }),
            group: progress.group.clone(),
            seed: progress.seed.get(),
            end_time: progress.ended_unix_ms.map(from_unix_ms),
            weight: Some(progress.weight),
        }
    }
}

/// A moment of the wire, to the millisecond.
fn from_unix_ms(milliseconds: u64) -> prost_types::Timestamp {
    let moment = Duration::from_millis(milliseconds);
    prost_types::Timestamp { seconds: moment.as_secs() as i64, nanos: moment.subsec_nanos() as i32 }
}

fn to_unix_ms(field: &str, moment: prost_types::Timestamp) -> Result<u64, ConvertError> {
    match (u64::try_from(moment.seconds), u64::try_from(moment.nanos)) {
        (Ok(seconds), Ok(nanos)) => Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)),
        _ => Err(ConvertError::new(field, "must not be before 1970")),
    }
}

fn to_parent(message: &v1::Parent) -> Result<Parent, ConvertError> {
    let run = parse_run_name("run", &message.run)?;
    Ok(Parent { run, generations: GenerationIndex(message.generations) })
}

impl TryFrom<v1::Run> for RunProgress {
    type Error = ConvertError;

    fn try_from(message: v1::Run) -> Result<Self, ConvertError> {
        let created = to_unix_ms("create_time", required("create_time", message.create_time)?)?;
        let last = message.last_generation.map(GenerationSummary::try_from).transpose();
        let weight = message.weight.unwrap_or(WEIGHT_DEFAULT);
        check_weight(weight).map_err(|problem| ConvertError::new("weight", problem))?;
        Ok(Self {
            weight,
            run: parse_run_name("name", &message.name)?,
            name: message.display_name,
            spec_digest: to_digest("spec_digest", &message.spec_digest)?,
            state: required("state", message.state)?
                .try_into()
                .map_err(|error: ConvertError| error.within("state"))?,
            generation: GenerationIndex(message.generation),
            generations_limit: message.generations_limit,
            settled: message.settled_episodes,
            episodes: message.generation_episodes,
            leased: message.leased_episodes,
            eligible_workers: message.eligible_workers,
            best: message.best_fitness.map(|best| to_fitness("best_fitness", best)).transpose()?,
            last: last.map_err(|error| error.within("last_generation"))?,
            created_unix_ms: created,
            fingerprint: match message.fingerprint.as_slice() {
                [] => None,
                bytes => Some(to_digest("fingerprint", bytes)?),
            },
            validation: to_validation(message.validation)?,
            search_ended: message
                .search_ended
                .map(|v1::run_state::Finished { criterion, detail }| StopReason { criterion, detail }),
            remeasurement: to_remeasurement(message.remeasurement)?,
            notes: message.notes,
            sequence: message.sequence,
            seed: Seed::new(message.seed).map_err(|error| ConvertError::new("seed", error.to_string()))?,
            group: message.group,
            parent: message
                .parent
                .as_ref()
                .map(to_parent)
                .transpose()
                .map_err(|error| error.within("parent"))?,
            ended_unix_ms: message.end_time.map(|moment| to_unix_ms("end_time", moment)).transpose()?,
        })
    }
}

impl From<&RunEvent> for v1::RunEvent {
    fn from(event: &RunEvent) -> Self {
        use v1::run_event::Kind;
        Self {
            kind: Some(match event {
                RunEvent::Generation(summary) => Kind::Generation(summary.into()),
                RunEvent::State(state) => Kind::State(state.into()),
                RunEvent::Note(note) => Kind::Note(note.clone()),
                RunEvent::Validation(summary) => Kind::Validation(summary.into()),
                RunEvent::Remeasurement(figures) => Kind::Remeasurement(figures.into()),
            }),
        }
    }
}

impl TryFrom<v1::RunEvent> for RunEvent {
    type Error = ConvertError;

    fn try_from(message: v1::RunEvent) -> Result<Self, ConvertError> {
        use v1::run_event::Kind;
        match required("kind", message.kind)? {
            Kind::Generation(summary) => GenerationSummary::try_from(summary)
                .map(Self::Generation)
                .map_err(|error| error.within("generation")),
            Kind::State(state) => {
                RunState::try_from(state).map(Self::State).map_err(|error| error.within("state"))
            }
            Kind::Note(note) => Ok(Self::Note(note)),
            Kind::Validation(summary) => ValidationSummary::try_from(summary)
                .map(Self::Validation)
                .map_err(|error| error.within("validation")),
            Kind::Remeasurement(figures) => Remeasurement::try_from(figures)
                .map(Self::Remeasurement)
                .map_err(|error| error.within("remeasurement")),
        }
    }
}

impl From<&Segment> for v1::Segment {
    fn from(segment: &Segment) -> Self {
        use v1::transform::{Affine, Bounded, Decay, Exp, Kind};
        let kind = match segment.transform {
            Transform::Affine { offset, scale } => Kind::Affine(Affine { offset, scale }),
            Transform::Exp { factor, scale } => Kind::Exp(Exp { factor, scale }),
            Transform::Decay { rate, shift } => Kind::Decay(Decay { rate, shift }),
            Transform::Bounded { low, high } => Kind::Bounded(Bounded { low, high }),
        };
        Self {
            name: segment.name.clone(),
            start: segment.start,
            shape: segment.shape.clone(),
            transform: Some(v1::Transform { kind: Some(kind) }),
            initial_mean: segment.initial_mean,
        }
    }
}

impl From<&GenomeLayout> for v1::GenomeLayout {
    fn from(layout: &GenomeLayout) -> Self {
        Self {
            segments: layout.segments().iter().map(Into::into).collect(),
            digest: layout.digest().0.to_vec(),
        }
    }
}

impl From<&RunResult> for v1::RunResult {
    fn from(result: &RunResult) -> Self {
        Self {
            name: run_name(result.run),
            spec: result.spec.json().to_owned(),
            state: Some((&result.state).into()),
            generations: result.generations,
            mean: result.mean.0.clone(),
            best: result.best.as_ref().map(|(genome, fitness)| v1::run_result::Sample {
                genome: genome.0.clone(),
                fitness: fitness.get(),
            }),
            layout: Some((&result.layout).into()),
            validation: result.validation.as_ref().map(Into::into),
            remeasurement: result.remeasurement.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::RunResult> for RunResult {
    type Error = ConvertError;

    /// The layout is derived from the spec and compared with the coordinator's by its digest.
    fn try_from(message: v1::RunResult) -> Result<Self, ConvertError> {
        let spec = ResolvedSpec::from_json(message.spec).map_err(|error| ConvertError::of_spec(&error))?;
        let layout = spec.layout();
        let theirs = to_digest("layout.digest", &required("layout", message.layout)?.digest)?;
        if theirs != layout.digest() {
            let problem =
                "this program lays genomes out otherwise than the coordinator; use the same version";
            return Err(ConvertError::new("layout.digest", problem));
        }
        let genome = |field, values: Vec<f64>| {
            if values.len() != layout.dimension() {
                let problem =
                    format!("must have {} values (layout), not {}", layout.dimension(), values.len());
                return Err(ConvertError::new(field, problem));
            }
            to_numbers(field, values).map(Genome)
        };
        let best = match message.best {
            None => None,
            Some(best) => {
                Some((genome("best.genome", best.genome)?, to_fitness("best.fitness", best.fitness)?))
            }
        };
        Ok(Self {
            run: parse_run_name("name", &message.name)?,
            state: required("state", message.state)?
                .try_into()
                .map_err(|error: ConvertError| error.within("state"))?,
            generations: message.generations,
            mean: genome("mean", message.mean)?,
            best,
            spec: Arc::new(spec),
            layout,
            validation: to_validation(message.validation)?,
            remeasurement: to_remeasurement(message.remeasurement)?,
        })
    }
}

impl From<&WorkerStatus> for v1::Worker {
    fn from(status: &WorkerStatus) -> Self {
        Self {
            id: status.worker.0,
            display_name: status.name.clone(),
            threads: status.threads,
            version: status.version.clone(),
            fingerprint: status.fingerprint.0.to_vec(),
            leased_episodes: status.leased,
            credit: status.credit,
            settled_episodes: status.settled,
            errors: status.errors,
            episode_time: status.episode_time.map(from_duration),
            attached: Some(from_duration(status.attached)),
            draining: status.draining,
            heard: Some(from_duration(status.heard)),
            overtaken: status.overtaken,
            ineligible: status
                .ineligible
                .iter()
                .map(|entry| v1::worker::Ineligibility {
                    run: run_name(entry.run),
                    reason: entry.reason.clone(),
                })
                .collect(),
        }
    }
}

impl TryFrom<v1::Worker> for WorkerStatus {
    type Error = ConvertError;

    fn try_from(message: v1::Worker) -> Result<Self, ConvertError> {
        let ineligibility = |(place, entry): (usize, v1::worker::Ineligibility)| {
            let run = parse_run_name(&format!("ineligible[{place}].run"), &entry.run)?;
            Ok(Ineligibility { run, reason: entry.reason })
        };
        Ok(Self {
            worker: WorkerId(message.id),
            name: message.display_name,
            threads: message.threads,
            version: message.version,
            fingerprint: to_digest("fingerprint", &message.fingerprint)?,
            leased: message.leased_episodes,
            credit: message.credit,
            settled: message.settled_episodes,
            errors: message.errors,
            episode_time: match message.episode_time {
                None => None,
                time => Some(to_duration("episode_time", time)?),
            },
            attached: to_duration("attached", message.attached)?,
            draining: message.draining,
            // Of a coordinator that does not say it.
            heard: message.heard.map_or(Ok(Duration::ZERO), |heard| to_duration("heard", Some(heard)))?,
            overtaken: message.overtaken,
            ineligible: message
                .ineligible
                .into_iter()
                .enumerate()
                .map(ineligibility)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<&CoordinatorStatus> for v1::CoordinatorStatus {
    fn from(status: &CoordinatorStatus) -> Self {
        Self {
            version: status.version.clone(),
            epoch: status.epoch,
            uptime: Some(from_duration(status.uptime)),
            workers: status.workers,
            threads: status.threads,
            active_runs: status.active_runs,
            settled_episodes: status.settled,
            journal_trouble: status.journal_trouble.clone(),
        }
    }
}

impl TryFrom<v1::CoordinatorStatus> for CoordinatorStatus {
    type Error = ConvertError;

    fn try_from(message: v1::CoordinatorStatus) -> Result<Self, ConvertError> {
        Ok(Self {
            version: message.version,
            epoch: message.epoch,
            uptime: to_duration("uptime", message.uptime)?,
            workers: message.workers,
            threads: message.threads,
            active_runs: message.active_runs,
            settled: message.settled_episodes,
            journal_trouble: message.journal_trouble,
        })
    }
}
