//! Records and snapshots as the protobuf messages that are stored.

mod validation;

use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::convert::WireEnum as _;
use hebbian_proto::journal::v1 as stored;
use hebbian_search::Measured;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Settlement, WEIGHT_DEFAULT, check_weight};
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::progress::{
    GenerationSummary, NoiseSummary, Restart, RunState, SearchSummary, StopReason,
};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::text;
use prost::Message as _;
use stored::record::Kind;
use stored::state_changed::State;

use hebbian_control::run::record::{Closed, Contributions, Created, Origin, Record, Settled, Snapshot};

/// Why stored bytes are not a record or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

fn wrong(problem: impl std::fmt::Display) -> DecodeError {
    DecodeError(problem.to_string())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn digest(bytes: &[u8]) -> Result<Digest, DecodeError> {
    Digest::try_from(bytes).map_err(|_| wrong("a digest has not 32 bytes"))
}

fn fitness(value: f64) -> Result<Fitness, DecodeError> {
    Fitness::new(value).map_err(wrong)
}

/// A record as it is stored.
pub fn encode_record(record: &Record) -> Vec<u8> {
    let kind = match record {
        Record::Created(created) => Kind::Created(stored::Created {
            spec: created.spec.json().to_owned(),
            request_id: created.request_id.clone(),
            created_unix_ms: created.created_unix_ms,
            group: created.group.clone(),
            origin: created.origin.as_ref().map(|origin| stored::Origin {
                parent: origin.parent.to_string(),
                last: Some(encode_summary(&origin.last)),
                snapshot: Some(stored_snapshot(&origin.snapshot)),
            }),
            weight: Some(created.weight),
        }),
        Record::FingerprintTaken { fingerprint, worker } => {
            Kind::FingerprintTaken(stored::FingerprintTaken {
                fingerprint: fingerprint.0.to_vec(),
                worker: worker.clone(),
            })
        }
        Record::Settled(settled) => Kind::Settled(encode_settled(settled)),
        Record::GenerationClosed(closed) => Kind::GenerationClosed(encode_closed(closed)),
        Record::TimeLimit { generation } => Kind::TimeLimit(stored::TimeLimit { generation: generation.0 }),
        Record::StateChanged { state, elapsed, unix_ms } => Kind::StateChanged(stored::StateChanged {
            elapsed_ns: nanoseconds(*elapsed),
            unix_ms: *unix_ms,
            state: Some(match state.clone() {
                RunState::Running => State::Running(stored::Running {}),
                RunState::Paused { reason } => State::Paused(stored::Paused { reason }),
                RunState::Finished { reason: StopReason { criterion, detail } } => {
                    State::Finished(stored::Finished { criterion, detail })
                }
                RunState::Cancelled => State::Cancelled(stored::Cancelled {}),
                RunState::Failed { .. } => unreachable!("a run without records has no record of its state"),
            }),
        }),
        Record::Note { text } => Kind::Note(stored::Note { text: text.clone() }),
        Record::Validated(summary) => Kind::Validated(validation::encode_summary(summary)),
        Record::SearchEnded { reason: StopReason { criterion, detail } } => {
            Kind::SearchEnded(stored::SearchEnded { criterion: criterion.clone(), detail: detail.clone() })
        }
        Record::Remeasured(figures) => Kind::Remeasured(validation::encode_figures(figures)),
        Record::Selected { place, searches } => Kind::Selected(stored::Selected {
            place: *place,
            search: searches.iter().map(|search| search.0).collect(),
            accuracy: searches.iter().map(|search| search.1).collect(),
        }),
        Record::Extended { stop } => Kind::Extended(stored::Extended {
            stop: serde_json::to_string(stop).expect("limits are plain data"),
        }),
    };
    stored::Record { kind: Some(kind) }.encode_to_vec()
}

fn encode_settled(settled: &Settled) -> stored::Settled {
    stored::Settled {
        generation: settled.generation.0,
        purpose: settled.purpose.to_wire(),
        settlements: settled.settlements.iter().map(Into::into).collect(),
        contributions: encode_contributions(&settled.contributions),
    }
}

fn encode_contributions(contributions: &Contributions) -> Vec<stored::Contribution> {
    let of = |(worker, &episodes): (&String, &u32)| stored::Contribution { worker: worker.clone(), episodes };
    contributions.iter().map(of).collect()
}

fn decode_contributions(contributions: Vec<stored::Contribution>) -> Contributions {
    contributions.into_iter().map(|of| (of.worker, of.episodes)).collect()
}

fn encode_closed(closed: &Closed) -> stored::GenerationClosed {
    let told = |measured: &Measured| {
        let verdict = match measured.verdict {
            Verdict::Fit(fitness) => stored::told::Verdict::Fitness(fitness.get()),
            Verdict::Diverged { episodes } => stored::told::Verdict::Diverged(episodes),
        };
        stored::Told { verdict: Some(verdict), gradient: measured.gradient.clone().unwrap_or_default() }
    };
    stored::GenerationClosed {
        summary: Some(encode_summary(&closed.summary)),
        told: closed.told.iter().map(told).collect(),
        contributions: encode_contributions(&closed.contributions),
    }
}

fn decode_closed(closed: stored::GenerationClosed) -> Result<Closed, DecodeError> {
    let summary = closed.summary.ok_or_else(|| wrong("a closed generation without figures"))?;
    let told = |told: stored::Told| {
        let verdict = match told.verdict {
            Some(stored::told::Verdict::Fitness(value)) => Verdict::Fit(fitness(value)?),
            Some(stored::told::Verdict::Diverged(episodes)) if episodes > 0 => Verdict::Diverged { episodes },
            _ => return Err(wrong("a closed generation with a candidate without a verdict")),
        };
        Ok(Measured { verdict, gradient: Some(told.gradient).filter(|gradient| !gradient.is_empty()) })
    };
    Ok(Closed {
        summary: decode_summary(&summary)?,
        told: closed.told.into_iter().map(told).collect::<Result<_, DecodeError>>()?,
        contributions: decode_contributions(closed.contributions),
    })
}

fn encode_summary(summary: &GenerationSummary) -> stored::GenerationSummary {
    let search = &summary.search;
    stored::GenerationSummary {
        generation: summary.generation.0,
        updates: summary.updates,
        best: summary.best.map(Fitness::get),
        median: summary.median.map(Fitness::get),
        diverged: summary.diverged,
        evaluations: summary.evaluations,
        episodes: summary.episodes,
        compute_time_ns: nanoseconds(summary.compute_time),
        elapsed_ns: nanoseconds(summary.elapsed),
        step_size: search.step_size,
        axis_ratio: search.axis_ratio,
        deviation_min: search.deviation_range.0,
        deviation_max: search.deviation_range.1,
        mean_norm: search.mean_norm,
        agreement: search.noise.and_then(|noise| noise.agreement),
        mean_rate: search.noise.map(|noise| noise.mean_rate),
        covariance_rate: search.noise.map(|noise| noise.covariance_rate),
        restart: search.restart.as_ref().map(|restart| stored::Restart {
            number: restart.number,
            population_size: restart.population_size,
            step_size: restart.step_size,
            criterion: restart.reason.criterion.clone(),
            detail: restart.reason.detail.clone(),
        }),
        digest: summary.digest.0.to_vec(),
    }
}

/// Reads what [`encode_record`] wrote. A kind of a newer program is an error.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let record = stored::Record::decode(bytes).map_err(wrong)?;
    Ok(match record.kind.ok_or_else(|| wrong("a record of a kind that this program does not know"))? {
        Kind::Created(created) => {
            let spec = ResolvedSpec::from_json(created.spec)
                .map_err(|error| wrong(format!("the stored spec cannot be read: {error}")))?;
            let weight = created.weight.unwrap_or(WEIGHT_DEFAULT);
            check_weight(weight).map_err(|problem| wrong(format!("the stored weight {problem}")))?;
            let stored::Created { request_id, created_unix_ms, group, origin, .. } = created;
            let origin = origin.map(decode_origin).transpose()?;
            let spec = Arc::new(spec);
            Record::Created(Created { spec, request_id, created_unix_ms, group, origin, weight })
        }
        Kind::FingerprintTaken(taken) => {
            Record::FingerprintTaken { fingerprint: digest(&taken.fingerprint)?, worker: taken.worker }
        }
        Kind::Settled(settled) => Record::Settled(decode_settled(settled)?),
        Kind::GenerationClosed(closed) => Record::GenerationClosed(Box::new(decode_closed(closed)?)),
        Kind::TimeLimit(limit) => Record::TimeLimit { generation: GenerationIndex(limit.generation) },
        Kind::StateChanged(changed) => Record::StateChanged {
            elapsed: Duration::from_nanos(changed.elapsed_ns),
            unix_ms: changed.unix_ms,
            state: match changed.state.ok_or_else(|| wrong("a state that this program does not know"))? {
                State::Running(_) => RunState::Running,
                State::Paused(stored::Paused { reason }) => RunState::Paused { reason },
                State::Finished(stored::Finished { criterion, detail }) => {
                    RunState::Finished { reason: StopReason { criterion, detail } }
                }
                State::Cancelled(_) => RunState::Cancelled,
            },
        },
        Kind::Note(stored::Note { text }) => Record::Note { text },
        Kind::Validated(validated) => Record::Validated(Box::new(validation::decode_summary(validated)?)),
        Kind::SearchEnded(stored::SearchEnded { criterion, detail }) => {
            Record::SearchEnded { reason: StopReason { criterion, detail } }
        }
        Kind::Remeasured(figures) => Record::Remeasured(Box::new(validation::decode_figures(&figures)?)),
        Kind::Selected(stored::Selected { place, search, accuracy }) => {
            if search.len() != accuracy.len() || place as usize >= search.len() {
                return Err(wrong("a selection whose lists do not fit"));
            }
            Record::Selected { place, searches: search.into_iter().zip(accuracy).collect() }
        }
        Kind::Extended(stored::Extended { stop }) => {
            let stop: StopSpec = text::read(&stop).map_err(wrong)?;
            stop.validate().map_err(wrong)?;
            Record::Extended { stop }
        }
    })
}

fn decode_origin(origin: stored::Origin) -> Result<Box<Origin>, DecodeError> {
    let parent = origin.parent.parse().map_err(wrong)?;
    let last = origin.last.ok_or_else(|| wrong("a fork without its parent's last generation"))?;
    let snapshot = origin.snapshot.ok_or_else(|| wrong("a fork without its parent's search"))?;
    let (last, snapshot) = (decode_summary(&last)?, Arc::new(read_snapshot(snapshot)?));
    if !snapshot.closes(&last) {
        return Err(wrong("a fork whose parent's search is damaged"));
    }
    Ok(Box::new(Origin { parent, last, snapshot }))
}

fn decode_settled(settled: stored::Settled) -> Result<Settled, DecodeError> {
    let settlements = settled.settlements.into_iter().map(|settlement| {
        let settlement = Settlement::try_from(settlement).map_err(wrong)?;
        if settlement.outcome.settles() {
            Ok(settlement)
        } else {
            Err(wrong("an outcome that settles nothing"))
        }
    });
    Ok(Settled {
        generation: GenerationIndex(settled.generation),
        purpose: EpisodePurpose::from_wire("purpose", settled.purpose).map_err(wrong)?,
        settlements: settlements.collect::<Result<_, DecodeError>>()?,
        contributions: decode_contributions(settled.contributions),
    })
}

fn decode_summary(closed: &stored::GenerationSummary) -> Result<GenerationSummary, DecodeError> {
    Ok(GenerationSummary {
        generation: GenerationIndex(closed.generation),
        updates: closed.updates,
        best: closed.best.map(fitness).transpose()?,
        median: closed.median.map(fitness).transpose()?,
        diverged: closed.diverged,
        evaluations: closed.evaluations,
        episodes: closed.episodes,
        compute_time: Duration::from_nanos(closed.compute_time_ns),
        elapsed: Duration::from_nanos(closed.elapsed_ns),
        search: SearchSummary {
            step_size: closed.step_size,
            axis_ratio: closed.axis_ratio,
            deviation_range: (closed.deviation_min, closed.deviation_max),
            mean_norm: closed.mean_norm,
            noise: closed.mean_rate.zip(closed.covariance_rate).map(|(mean_rate, covariance_rate)| {
                NoiseSummary { agreement: closed.agreement, mean_rate, covariance_rate }
            }),
            restart: closed.restart.as_ref().map(|restart| {
                Box::new(Restart {
                    number: restart.number,
                    population_size: restart.population_size,
                    step_size: restart.step_size,
                    reason: StopReason {
                        criterion: restart.criterion.clone(),
                        detail: restart.detail.clone(),
                    },
                })
            }),
        },
        digest: digest(&closed.digest)?,
    })
}

/// A snapshot as it is stored.
pub fn encode_snapshot(snapshot: &Snapshot) -> Vec<u8> {
    stored_snapshot(snapshot).encode_to_vec()
}

fn stored_snapshot(snapshot: &Snapshot) -> stored::Snapshot {
    let best = snapshot.best.as_ref();
    stored::Snapshot {
        closed: snapshot.closed.0,
        strategy: snapshot.strategy.clone(),
        digest: snapshot.digest.0.to_vec(),
        best: best
            .map(|(genome, fitness)| stored::Sample { genome: genome.0.clone(), fitness: fitness.get() }),
    }
}

/// Reads what [`encode_snapshot`] wrote.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    read_snapshot(stored::Snapshot::decode(bytes).map_err(wrong)?)
}

fn read_snapshot(snapshot: stored::Snapshot) -> Result<Snapshot, DecodeError> {
    let best = snapshot.best.map(|best| Ok((Genome(best.genome), fitness(best.fitness)?)));
    Ok(Snapshot {
        closed: GenerationIndex(snapshot.closed),
        strategy: snapshot.strategy,
        digest: digest(&snapshot.digest)?,
        best: best.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_shared::episode::{Evaluation, Outcome};
    use hebbian_shared::id::{CandidateIndex, RunId, TaskIndex};

    fn check(record: &Record) {
        let decoded = decode_record(&encode_record(record)).unwrap();
        assert_eq!(decoded, *record);
    }

    #[test]
    fn every_kind_of_record_survives_being_written_and_read() {
        let spec =
            hebbian_shared::spec::RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
        let some = Digest::of(b"some");
        let elapsed = Duration::from_nanos(1_234_567_891);
        let fit = |value| Some(Fitness::new(value).unwrap());
        let contributions = Contributions::from([("host".to_owned(), 2), ("other".to_owned(), 1)]);
        let created = Created {
            spec: Arc::new(spec.into()),
            request_id: "id".into(),
            created_unix_ms: 7,
            group: "seeds".into(),
            origin: None,
            weight: 2.5,
        };
        check(&Record::Created(created.clone()));
        check(&Record::FingerprintTaken { fingerprint: some, worker: "host".into() });
        let settlement = |task, outcome| Settlement {
            candidate: CandidateIndex(2),
            task: TaskIndex(task),
            outcome,
            compute_time: elapsed,
        };
        let evaluation = Evaluation {
            fitness: Fitness::new(-1e-300).unwrap(),
            extended: fit(0.25),
            scores: vec![0.5, -0.0],
            gradient: Some(vec![1e300, 0.1, -3.0]),
        };
        check(&Record::Settled(Settled {
            generation: GenerationIndex(3),
            purpose: EpisodePurpose::Search,
            settlements: vec![
                settlement(0, Outcome::Evaluated(evaluation)),
                settlement(1, Outcome::Diverged),
                settlement(2, Outcome::Evaluated(Evaluation::of(Fitness::new(0.5).unwrap()))),
            ],
            contributions: contributions.clone(),
        }));
        check(&Record::SearchEnded {
            reason: StopReason { criterion: "target".into(), detail: "0.9".into() },
        });
        let summary = GenerationSummary {
            generation: GenerationIndex(3),
            updates: 10,
            best: fit(0.75),
            median: None,
            diverged: 2,
            evaluations: 64,
            episodes: 128,
            compute_time: elapsed,
            elapsed,
            search: SearchSummary {
                step_size: 0.3,
                axis_ratio: 2.0,
                deviation_range: (0.1, 0.2),
                mean_norm: 1.5,
                noise: Some(NoiseSummary { agreement: Some(0.5), mean_rate: 0.9, covariance_rate: 0.1 }),
                restart: Some(Box::new(Restart {
                    number: 1,
                    population_size: 128,
                    step_size: 0.5,
                    reason: StopReason { criterion: "tolx".into(), detail: "1e-12".into() },
                })),
            },
            digest: some,
        };
        let told = vec![
            Measured { verdict: Verdict::Fit(fit(0.75).unwrap()), gradient: Some(vec![1.0, -2.0]) },
            Measured { verdict: Verdict::Diverged { episodes: 2 }, gradient: None },
        ];
        check(&Record::GenerationClosed(Box::new(Closed { summary: summary.clone(), told, contributions })));
        let (closed, strategy) = (GenerationIndex(4), vec![1, 2, 3]);
        let digest = Digest::of(&strategy);
        let snapshot = Arc::new(Snapshot { closed, strategy, digest, best: None });
        let last = GenerationSummary { digest, ..summary };
        let origin = Some(Box::new(Origin { parent: RunId::new(7), last, snapshot }));
        check(&Record::Created(Created { origin, ..created }));
        check(&Record::TimeLimit { generation: GenerationIndex(9) });
        for state in [
            RunState::Running,
            RunState::Paused { reason: "why".into() },
            RunState::Finished { reason: StopReason { criterion: "target".into(), detail: "0.9".into() } },
            RunState::Cancelled,
        ] {
            check(&Record::StateChanged { state, elapsed, unix_ms: 1_700_000_000_000 });
        }
        check(&Record::Note { text: "note".into() });
        let stop = StopSpec { generations: Some(7), target_fitness: Some(0.5), ..StopSpec::default() };
        check(&Record::Extended { stop });
        check(&Record::Selected { place: 1, searches: vec![(0, 0.5), (3, 0.75)] });
    }

    #[test]
    fn snapshots_survive_being_written_and_read() {
        for best in [None, Some((Genome(vec![0.1, -2.0]), Fitness::new(0.5).unwrap()))] {
            let closed = GenerationIndex(4);
            let snapshot = Snapshot { closed, strategy: vec![1, 2], digest: Digest::of(b"x"), best };
            assert_eq!(decode_snapshot(&encode_snapshot(&snapshot)).unwrap(), snapshot);
        }
    }

    #[test]
    fn what_settles_no_episode_is_refused() {
        let settlement = Settlement {
            candidate: CandidateIndex(0),
            task: TaskIndex(0),
            outcome: Outcome::WorkerError { reason: "why".into() },
            compute_time: Duration::ZERO,
        };
        let (generation, purpose) = (GenerationIndex(0), EpisodePurpose::Search);
        let (settlements, contributions) = (vec![settlement], Contributions::new());
        let settled = Record::Settled(Settled { generation, purpose, settlements, contributions });
        let refused = decode_record(&encode_record(&settled)).unwrap_err();
        assert_eq!(refused.to_string(), "an outcome that settles nothing");
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert!(decode_record(b"").is_err());
        assert!(decode_record(b"\xff\xff\xff").is_err());
        assert!(decode_snapshot(b"\x0a").is_err());
        let kinds_to_come = [0xfa, 0x01, 0x00];
        assert!(decode_record(&kinds_to_come).unwrap_err().to_string().contains("does not know"));
    }
}
