//! Records and snapshots as the protobuf messages that are stored.

use std::sync::Arc;

use hebbian_proto::convert::{WireEnum as _, from_duration};
use hebbian_proto::figures::duration;
use hebbian_proto::journal::v1 as stored;
use hebbian_proto::v1;
use hebbian_search::Measured;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Settlement, check_weight};
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::fitness::{Fitness, Verdict, Violation};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, TaskIndex};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::text;
use prost::Message as _;
use stored::record::Kind;

use hebbian_control::run::record::{
    Closed, Contributions, Created, Maker, Origin, Record, Settled, Snapshot, Turn,
};

/// Why stored bytes are not a record or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

fn wrong(problem: impl std::fmt::Display) -> DecodeError {
    DecodeError(problem.to_string())
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
                last: Some(origin.last.clone()),
                snapshot: Some(stored_snapshot(&origin.snapshot)),
            }),
            weight: created.weight,
            owner: created.owner.clone(),
        }),
        Record::FingerprintTaken { fingerprint, worker } => {
            Kind::FingerprintTaken(stored::FingerprintTaken {
                fingerprint: fingerprint.0.to_vec(),
                worker: worker.clone(),
            })
        }
        Record::FingerprintReleased => Kind::FingerprintReleased(stored::FingerprintReleased {}),
        Record::Settled(settled) => Kind::Settled(encode_settled(settled)),
        Record::Reopened { generation, episodes } => Kind::Reopened(stored::Reopened {
            generation: generation.0,
            purpose: episodes.iter().map(|(purpose, ..)| purpose.to_wire()).collect(),
            candidate: episodes.iter().map(|(_, candidate, _)| candidate.0).collect(),
            task: episodes.iter().map(|(.., task)| task.0).collect(),
        }),
        Record::Contributor { worker, generation } => {
            Kind::Contributor(stored::Contributor { worker: worker.clone(), generation: generation.0 })
        }
        Record::Doubted { generation, worker } => {
            Kind::Doubted(stored::Doubted { generation: generation.0, worker: worker.clone() })
        }
        Record::GenerationClosed(closed) => Kind::GenerationClosed(encode_closed(closed)),
        Record::TimeLimit { generation } => Kind::TimeLimit(stored::TimeLimit { generation: generation.0 }),
        Record::StateChanged { state, elapsed, unix_ms } => Kind::StateChanged(stored::StateChanged {
            state: Some(state.clone().into()),
            elapsed: Some(from_duration(*elapsed)),
            unix_ms: *unix_ms,
        }),
        Record::Note { text } => Kind::Note(stored::Note { text: text.clone() }),
        Record::Validated(summary) => Kind::Validated((**summary).clone()),
        Record::SearchEnded { reason } => Kind::SearchEnded(reason.clone()),
        Record::Remeasured(figures) => Kind::Remeasured(figures.clone()),
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
        contributions: settled.makers.iter().map(made).collect(),
    }
}

fn made(maker: &Maker) -> stored::Contribution {
    stored::Contribution { worker: maker.worker.clone(), episodes: maker.episodes }
}

fn decode_reopened(reopened: stored::Reopened) -> Result<Record, DecodeError> {
    let stored::Reopened { generation, purpose, candidate, task } = reopened;
    if purpose.len() != candidate.len() || purpose.len() != task.len() {
        return Err(wrong("episodes that were opened again in lists that do not fit"));
    }
    let places = purpose.into_iter().zip(candidate).zip(task).map(|((purpose, candidate), task)| {
        let purpose = EpisodePurpose::from_wire("purpose", purpose).map_err(wrong)?;
        Ok((purpose, CandidateIndex(candidate), TaskIndex(task)))
    });
    let episodes = places.collect::<Result<_, DecodeError>>()?;
    Ok(Record::Reopened { generation: GenerationIndex(generation), episodes })
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
            Verdict::Infeasible(violation) => stored::told::Verdict::Violation(violation.get()),
            Verdict::Diverged { episodes } => stored::told::Verdict::Diverged(episodes),
        };
        stored::Told { verdict: Some(verdict), gradient: measured.gradient.clone().unwrap_or_default() }
    };
    stored::GenerationClosed {
        summary: Some(closed.summary.clone()),
        told: closed.told.iter().map(told).collect(),
        contributions: encode_contributions(&closed.contributions),
        turn: closed.turn.clone().map(|Turn { arrived, kept, fresh }| stored::Turn { arrived, kept, fresh }),
    }
}

fn decode_closed(closed: stored::GenerationClosed) -> Result<Closed, DecodeError> {
    let summary = closed.summary.ok_or_else(|| wrong("a closed generation without figures"))?;
    let told = |told: stored::Told| {
        let verdict = match told.verdict {
            Some(stored::told::Verdict::Fitness(value)) => Verdict::Fit(fitness(value)?),
            Some(stored::told::Verdict::Violation(value)) => {
                Verdict::Infeasible(Violation::new(value).map_err(wrong)?)
            }
            Some(stored::told::Verdict::Diverged(episodes)) if episodes > 0 => Verdict::Diverged { episodes },
            _ => return Err(wrong("a closed generation with a candidate without a verdict")),
        };
        Ok(Measured { verdict, gradient: Some(told.gradient).filter(|gradient| !gradient.is_empty()) })
    };
    Ok(Closed {
        summary: check_summary(summary)?,
        told: closed.told.into_iter().map(told).collect::<Result<_, DecodeError>>()?,
        contributions: decode_contributions(closed.contributions),
        turn: closed.turn.map(|stored::Turn { arrived, kept, fresh }| Turn { arrived, kept, fresh }),
    })
}

/// Reads what [`encode_record`] wrote. A kind of a newer program is an error.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let record = stored::Record::decode(bytes).map_err(wrong)?;
    Ok(match record.kind.ok_or_else(|| wrong("a record of a kind that this program does not know"))? {
        Kind::Created(created) => {
            let spec = ResolvedSpec::from_json(created.spec)
                .map_err(|error| wrong(format!("the stored spec cannot be read: {error}")))?;
            check_weight(created.weight).map_err(|problem| wrong(format!("the stored weight {problem}")))?;
            let stored::Created { request_id, created_unix_ms, group, origin, weight, owner, .. } = created;
            let origin = origin.map(decode_origin).transpose()?;
            let spec = Arc::new(spec);
            Record::Created(Created { spec, request_id, created_unix_ms, group, origin, weight, owner })
        }
        Kind::FingerprintTaken(taken) => {
            Record::FingerprintTaken { fingerprint: digest(&taken.fingerprint)?, worker: taken.worker }
        }
        Kind::FingerprintReleased(_) => Record::FingerprintReleased,
        Kind::Settled(settled) => Record::Settled(decode_settled(settled)?),
        Kind::Reopened(reopened) => decode_reopened(reopened)?,
        Kind::Contributor(stored::Contributor { worker, generation }) => {
            Record::Contributor { worker, generation: GenerationIndex(generation) }
        }
        Kind::Doubted(stored::Doubted { generation, worker }) => {
            Record::Doubted { generation: GenerationIndex(generation), worker }
        }
        Kind::GenerationClosed(closed) => Record::GenerationClosed(Box::new(decode_closed(closed)?)),
        Kind::TimeLimit(limit) => Record::TimeLimit { generation: GenerationIndex(limit.generation) },
        Kind::StateChanged(stored::StateChanged { state, elapsed, unix_ms }) => {
            let state = state.and_then(|state| state.kind);
            let state = state.ok_or_else(|| wrong("a state that this program does not know"))?;
            Record::StateChanged { state, elapsed: duration(elapsed), unix_ms }
        }
        Kind::Note(stored::Note { text }) => Record::Note { text },
        Kind::Validated(summary) => Record::Validated(Box::new(summary)),
        Kind::SearchEnded(reason) => Record::SearchEnded { reason },
        Kind::Remeasured(figures) => Record::Remeasured(figures),
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
    let (last, snapshot) = (check_summary(last)?, Arc::new(read_snapshot(snapshot)?));
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
        makers: settled.contributions.into_iter().map(maker).collect(),
    })
}

/// Ids of workers are those of one coordinator.
fn maker(of: stored::Contribution) -> Maker {
    Maker { worker: of.worker, session: 0, episodes: of.episodes }
}

/// What recovery takes from a generation's figures must be there.
fn check_summary(summary: v1::GenerationSummary) -> Result<v1::GenerationSummary, DecodeError> {
    digest(&summary.state_digest)?;
    summary.elapsed.ok_or_else(|| wrong("a closed generation without its time"))?;
    Ok(summary)
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
    use std::time::Duration;

    use super::*;
    use hebbian_proto::figures::RunState;
    use hebbian_shared::episode::{Agreement, Evaluation, Outcome};
    use hebbian_shared::id::RunId;

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
        let of = |worker: &str, episodes| Maker { worker: worker.to_owned(), session: 0, episodes };
        let makers = vec![of("host", 1), of("other", 1), of("host", 1)];
        let created = Created {
            spec: Arc::new(spec.into()),
            request_id: "id".into(),
            created_unix_ms: 7,
            group: "seeds".into(),
            origin: None,
            weight: 2.5,
            owner: "CN=somebody".into(),
        };
        check(&Record::Created(created.clone()));
        check(&Record::FingerprintTaken { fingerprint: some, worker: "host".into() });
        check(&Record::FingerprintReleased);
        let (purpose, candidate, task) = (EpisodePurpose::Validation, CandidateIndex(3), TaskIndex(5));
        let (worker, generation) = ("host".to_owned(), GenerationIndex(7));
        check(&Record::Reopened { generation, episodes: vec![(purpose, candidate, task); 2] });
        check(&Record::Contributor { worker: worker.clone(), generation });
        check(&Record::Doubted { generation, worker });
        let settlement = |task, outcome| Settlement {
            candidate: CandidateIndex(2),
            task: TaskIndex(task),
            outcome,
            compute_time: elapsed,
        };
        let evaluation = Evaluation {
            fitness: Fitness::new(-1e-300).unwrap(),
            extended: fit(0.25),
            unadapted: fit(0.125),
            blind: fit(0.5),
            unlearned: fit(0.75),
            agreement: Some(Agreement { cosine: -0.5, length_ratio: 2.0 }),
            scores: vec![0.5, -0.0],
            gradient: Some(vec![1e300, 0.1, -3.0]),
        };
        check(&Record::Settled(Settled {
            generation: GenerationIndex(3),
            purpose: EpisodePurpose::Search,
            settlements: vec![
                settlement(0, Outcome::Evaluated(evaluation)),
                settlement(1, Outcome::Diverged),
                settlement(2, Outcome::Infeasible(Violation::new(1.5).unwrap())),
                settlement(2, Outcome::Evaluated(Evaluation::of(Fitness::new(0.5).unwrap()))),
            ],
            makers: makers.clone(),
        }));
        let reason = v1::StopReason { criterion: "target".into(), detail: "0.9".into() };
        check(&Record::SearchEnded { reason: reason.clone() });
        let summary = v1::GenerationSummary {
            generation: 3,
            best_fitness: Some(0.75),
            diverged: 2,
            elapsed: Some(from_duration(elapsed)),
            search: Some(v1::SearchSummary { agreement: Some(0.0), ..Default::default() }),
            state_digest: some.0.to_vec(),
            ..Default::default()
        };
        check(&Record::Validated(Box::new(v1::ValidationSummary { generation: 25, ..Default::default() })));
        check(&Record::Remeasured(v1::Remeasurement { tasks: 96, ..Default::default() }));
        let told = vec![
            Measured { verdict: Verdict::Fit(fit(0.75).unwrap()), gradient: Some(vec![1.0, -2.0]) },
            Measured { verdict: Verdict::Diverged { episodes: 2 }, gradient: None },
            Measured { verdict: Verdict::Infeasible(Violation::new(0.5).unwrap()), gradient: None },
        ];
        check(&Record::GenerationClosed(Box::new(Closed {
            summary: summary.clone(),
            told,
            contributions,
            turn: Some(Turn { arrived: vec![2, 0, 5], kept: vec![4, 1], fresh: 7 }),
        })));
        let (closed, strategy) = (GenerationIndex(4), vec![1, 2, 3]);
        let digest = Digest::of(&strategy);
        let snapshot = Arc::new(Snapshot { closed, strategy, digest, best: None });
        let last = v1::GenerationSummary { state_digest: digest.0.to_vec(), ..summary };
        let origin = Some(Box::new(Origin { parent: RunId::new(7), last, snapshot }));
        check(&Record::Created(Created { origin, ..created }));
        check(&Record::TimeLimit { generation: GenerationIndex(9) });
        let states =
            [RunState::RUNNING, RunState::paused("why"), RunState::Finished(reason), RunState::CANCELLED];
        for state in states {
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
        let (settlements, makers) = (vec![settlement], Vec::new());
        let settled = Record::Settled(Settled { generation, purpose, settlements, makers });
        let refused = decode_record(&encode_record(&settled)).unwrap_err();
        assert_eq!(refused.to_string(), "an outcome that settles nothing");
    }

    #[test]
    fn a_generation_without_what_recovery_needs_is_refused() {
        let refused = |summary: v1::GenerationSummary, expected: &str| {
            let closed = Closed { summary, told: vec![], contributions: Contributions::new(), turn: None };
            let record = Record::GenerationClosed(Box::new(closed));
            assert_eq!(decode_record(&encode_record(&record)).unwrap_err().to_string(), expected);
        };
        let (elapsed, state_digest) = (Some(from_duration(Duration::ZERO)), vec![0; 32]);
        refused(v1::GenerationSummary { elapsed, ..Default::default() }, "a digest has not 32 bytes");
        let timeless = v1::GenerationSummary { state_digest, ..Default::default() };
        refused(timeless, "a closed generation without its time");
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
