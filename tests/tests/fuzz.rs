//! Every decoder against bytes that nobody wrote; see `hebbian_tests::fuzz`.
//!
//! For longer: `HEBBIAN_FUZZ_SECONDS=120 cargo test --release --test suite fuzz:: -- --nocapture --test-threads 1`. The genome file's
//! and the configuration's targets are beside their code, in the program's own tests.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::bench::{self, Bench, FINGERPRINT};
use hebbian_control::engine::{Engine, Settings};
use hebbian_control::run::record::StoredRun;
use hebbian_coordinator::journal::codec::{decode_record, decode_snapshot, encode_record, encode_snapshot};
use hebbian_coordinator::journal::reader::JournalReader;
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{Journal as _, KeptSnapshots};
use hebbian_learning::evaluation::{EvaluationRequest, Gathering, Part, Score, Stage};
use hebbian_learning::rule::Ablation;
use hebbian_learning::task::data_set::{DataSet, DataSets as _, SourceFile};
use hebbian_proto::v1;
use hebbian_search::Envelope;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{
    Assignment, Batch, BatchGenome, BlockEpisodes, FromWorker, Hello, Report, Settlement, ToWorker, Welcome,
};
use hebbian_shared::episode::{Agreement, EPISODE_SEMANTICS, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::fitness::Violation;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::spec::data_set::DataSetName;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::{ResolvedSpec, RunSpec, schema, text};
use hebbian_shared::time::Timestamp;
use hebbian_tests::fuzz::fuzz;
use hebbian_worker::data_store::DataStore;
use hebbian_worker::evaluator::{Evaluator as _, LearningEvaluator};
use prost::Message;

/// The example specs.
fn specs() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let toml = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let texts: Vec<String> = toml.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(texts.len() >= 3);
    texts
}

/// Finished runs of several strategies, as a journal gives them back.
fn stored() -> Vec<(StoredRun, v1::RunResult)> {
    let kinds = [
        "kind = \"cma-es\"",
        "kind = \"cma-es\"\nrestarts = \"bipop\"",
        "kind = \"cma-es\"\nnoise = \"auto\"",
        "kind = \"sep-cma-es\"",
        "kind = \"pgpe\"",
        "kind = \"openai-es\"",
        "kind = \"random-search\"",
    ];
    let of = |kind: &&str| {
        let text = format!(
            "name = \"bowl\"\n[strategy]\n{kind}\npopulation_size = 6\n[rule]\nstates = 1\nfeedback = \
             \"replace-state0\"\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 2\n[stop]\ngenerations = 4\n\
             [validation]\nfamilies = [\"xor\", \"circle\"]\nevery = 2\ntasks_per_family = 1\n"
        );
        let mut bench = Bench::keeping(KeptSnapshots::LAST, RunSpec::read(&text).unwrap());
        bench.attach(FINGERPRINT);
        let result = bench.engine.run(bench::run()).unwrap().result();
        (bench.stored(), result)
    };
    kinds.iter().map(of).collect()
}

/// Whether bytes are a message that stands for something.
fn reads<W: Message + Default, T: TryFrom<W>>(bytes: &[u8]) -> bool {
    W::decode(bytes).is_ok_and(|message| T::try_from(message).is_ok())
}

#[test]
fn what_workers_say() {
    let hello = Hello {
        name: "host".into(),
        threads: 4,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: Digest::of(b"kind"),
        version: "1".into(),
        serves: vec!["cart-pole".into()],
    };
    let settlement = |outcome| Settlement {
        candidate: CandidateIndex(3),
        task: TaskIndex(1),
        outcome,
        compute_time: Duration::from_micros(77),
    };
    let fitness = Fitness::new(0.5).unwrap();
    let report = Report {
        sequence: 9,
        run: RunId::new(5),
        generation: GenerationIndex(2),
        purpose: EpisodePurpose::Validation,
        block: BlockIndex(0),
        settlements: vec![
            settlement(Outcome::Evaluated(Evaluation {
                fitness,
                extended: Some(fitness),
                unadapted: Some(fitness),
                blind: Some(fitness),
                unlearned: Some(fitness),
                agreement: Some(Agreement { cosine: 0.5, length_ratio: 2.0 }),
                scores: vec![0.5, 0.25],
                gradient: Some(vec![1.0, -0.5, 0.0]),
            })),
            settlement(Outcome::Diverged),
            settlement(Outcome::Infeasible(Violation::new(0.5).unwrap())),
            settlement(Outcome::WorkerError { reason: "why".into() }),
            settlement(Outcome::Rejected { reason: "why".into() }),
        ],
    };
    let messages = [
        FromWorker::Heartbeat,
        FromWorker::Report(report),
        FromWorker::Reject { run: RunId::new(5), reason: "no data".into() },
        FromWorker::Leaving,
        FromWorker::GiveBack(BlockEpisodes {
            run: RunId::new(5),
            generation: GenerationIndex(2),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            episodes: vec![(CandidateIndex(3), TaskIndex(1))],
        }),
    ];
    let corpus: Vec<Vec<u8>> =
        messages.iter().map(|message| v1::AttachRequest::from(message).encode_to_vec()).collect();
    fuzz("AttachRequest", &corpus, reads::<v1::AttachRequest, FromWorker>);
    fuzz("Hello", &[v1::Hello::from(&hello).encode_to_vec()], reads::<v1::Hello, Hello>);
}

#[test]
fn what_a_coordinator_says_to_workers() {
    let batch = Batch {
        run: RunId::new(5),
        layout: Digest::of(b"layout"),
        generation: GenerationIndex(2),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(1),
        wants: Wants { gradient: true },
        genomes: vec![BatchGenome {
            candidate: CandidateIndex(3),
            genome: Arc::new(Genome(vec![0.5, -1.0])),
            parameters: Vec::new(),
        }],
        assignments: vec![
            Assignment { genome: 0, task: TaskIndex(0), seed: 7 },
            Assignment { genome: 0, task: TaskIndex(1), seed: 7 },
        ],
    };
    let spec = Arc::new(RunSpec::read(include_str!("../../examples/differentiable.toml")).unwrap().into());
    let messages = [
        ToWorker::Batch(batch),
        ToWorker::Spec { run: RunId::new(5), spec },
        ToWorker::Acknowledge { sequence: 7 },
        ToWorker::Withdraw { run: RunId::new(5), up_to: Some(GenerationIndex(2)) },
        ToWorker::WithdrawEpisodes(BlockEpisodes {
            run: RunId::new(5),
            generation: GenerationIndex(2),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            episodes: vec![(CandidateIndex(3), TaskIndex(1))],
        }),
        ToWorker::Drain { within: Duration::from_secs(30) },
    ];
    let corpus: Vec<Vec<u8>> =
        messages.iter().map(|message| v1::AttachResponse::from(message).encode_to_vec()).collect();
    fuzz("AttachResponse", &corpus, reads::<v1::AttachResponse, ToWorker>);
    let welcome = Welcome {
        worker: WorkerId(1),
        heartbeat_interval: Duration::from_millis(500),
        idle_heartbeat_interval: Duration::from_secs(15),
    };
    fuzz("Welcome", &[v1::Welcome::from(&welcome).encode_to_vec()], reads::<v1::Welcome, Welcome>);
}

#[test]
fn what_clients_ask_and_are_answered() {
    let stop = RunSpec::read(include_str!("../../examples/differentiable.toml")).unwrap().stop;
    fuzz("limits", &[serde_json::to_vec(&stop).unwrap(), b"generations = 500".to_vec()], |bytes| {
        let limits = text::read::<StopSpec>(&String::from_utf8_lossy(bytes));
        limits.map(|limits| drop(stop.extended(&limits, |target| target))).is_ok()
    });
    let results: Vec<Vec<u8>> = stored().iter().map(|(_, result)| result.encode_to_vec()).collect();
    fuzz("RunResult", &results, |bytes| {
        v1::RunResult::decode(bytes).is_ok_and(|result| result.read().is_ok())
    });
}

#[test]
fn what_is_said_of_evaluations() {
    let spec = RunSpec::read(include_str!("../../examples/differentiable.toml")).unwrap();
    let problem = spec.problem.rule_learning().unwrap().clone();
    let request = EvaluationRequest {
        genomes: vec![Genome(vec![0.25; spec.layout().dimension()])],
        problem,
        ablation: Some(Ablation::ReadoutOnly),
        families: vec![TaskFamily::Xor, TaskFamily::Circle],
        stage: Stage::Comparison,
        first_task: 0,
        tasks_per_family: 2,
        points: vec![1, 3],
        seed: spec.seed,
        score: Some(Score::OneMinusError),
        part: Some(Part { place: 1, of: 4 }),
    };
    let text = serde_json::to_string(&request).unwrap();
    fuzz("request of an evaluation", &[text.into_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        LearningEvaluator::default().prepare_evaluation(&text).is_ok()
    });
    let episode = v1::evaluate_response::Episode { genome: 0, task: 3, scores: vec![0.5; 2] };
    let answer = v1::EvaluateResponse { episodes: vec![episode] };
    fuzz("EvaluateResponse", &[answer.encode_to_vec()], |bytes| {
        v1::EvaluateResponse::decode(bytes).is_ok_and(|answer| {
            let mut gathering = Gathering::new(&request);
            let mut add = |episode: &v1::evaluate_response::Episode| {
                gathering.add(episode.genome, episode.task, &episode.scores).is_ok()
            };
            answer.episodes.iter().all(&mut add)
        })
    });
}

#[test]
fn the_journals_records_and_snapshots() {
    let stored = stored();
    let records = stored.iter().flat_map(|(run, ..)| &run.records);
    let corpus: Vec<Vec<u8>> = records.map(encode_record).collect();
    fuzz("record", &corpus, |bytes| decode_record(bytes).map(|record| record.event()).is_ok());
    let snapshots = stored.iter().flat_map(|(run, ..)| &run.snapshot);
    let corpus: Vec<Vec<u8>> = snapshots.map(encode_snapshot).collect();
    fuzz("snapshot", &corpus, |bytes| decode_snapshot(bytes).is_ok());
    for (run, ..) in &stored {
        let corpus: Vec<Vec<u8>> = run.snapshot.iter().map(|snapshot| snapshot.strategy.clone()).collect();
        fuzz(&format!("state of {}", run.created.spec.strategy.name()), &corpus, |bytes| {
            let state = Envelope::from_bytes(bytes);
            let strategy = state
                .ok()
                .and_then(|state| hebbian_control::run::strategy::restore(&run.created.spec, &state).ok());
            // What is accepted can be gone on from.
            strategy.map(|strategy| (strategy.ask(), strategy.mean(), strategy.summary())).is_some()
        });
    }
}

/// Records that are each what they should be, but do not belong together.
#[test]
fn a_run_made_of_records_that_do_not_belong_together() {
    let stored = stored();
    let run = &stored[0].0;
    let records = run.records.len().min(31) as u8;
    let (all, some) = ((0..records), (0..records / 2));
    let corpus = [all, some].map(|chosen| [0].into_iter().chain(chosen).collect::<Vec<u8>>());
    fuzz("recovery", &corpus, |bytes| {
        // The first byte decides whether the snapshot is there, each of the others is a record of one of the runs.
        let chosen = bytes.iter().skip(1).map(|&byte| {
            let (other, ..) = &stored[byte as usize / 32 % stored.len()];
            other.records[byte as usize % other.records.len()].clone()
        });
        let snapshot = run.snapshot.clone().filter(|_| bytes.first().is_none_or(|&byte| byte % 2 == 0));
        let altered = StoredRun { records: chosen.collect(), snapshot, ..run.clone() };
        let (engine, _) = Engine::recover(Timestamp::default(), Settings::default(), 1, vec![Ok(altered)]);
        engine.unreadable().next().is_none()
    });
}

#[test]
fn a_journals_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut bench = Bench::new(bench::spec("generations = 3"));
    bench.also = Some(Box::new(SqliteJournal::open(&path).unwrap()));
    bench.copy_creation();
    bench.attach(FINGERPRINT);
    drop(bench);
    let whole = std::fs::read(&path).unwrap();
    fuzz("journal file", &[whole], |bytes| {
        let path = folder.path().join("mutated.db");
        std::fs::write(&path, bytes).unwrap();
        let verified = JournalReader::open(&path).and_then(|reader| reader.verify());
        let taken_up = SqliteJournal::open(&path).and_then(|mut journal| journal.load());
        for ending in ["", "-wal", "-shm", ".lock"] {
            // Not all of them are made.
            let _ = std::fs::remove_file(folder.path().join(format!("mutated.db{ending}")));
        }
        verified.is_ok() && taken_up.is_ok_and(|runs| runs.iter().all(Result::is_ok))
    });
}

/// The four files of a small data set.
fn idx_files() -> [Vec<u8>; 4] {
    let file = |shape: &[u32], elements: u32| {
        let lengths = shape.iter().flat_map(|length| length.to_be_bytes());
        let header = [0, 0, 8, shape.len() as u8].into_iter().chain(lengths);
        header.chain((0..elements).map(|number| number as u8 % 3)).collect::<Vec<u8>>()
    };
    [file(&[6, 2, 2], 24), file(&[6], 6), file(&[3, 2, 2], 12), file(&[3], 3)]
}

#[test]
fn a_data_sets_files() {
    let files = idx_files();
    for place in 0..4 {
        fuzz(&format!("IDX file {place}"), &[files[place].clone()], |bytes| {
            let mut files = files.clone();
            files[place] = bytes.to_vec();
            let files = files.map(|bytes| SourceFile { name: "file".to_owned(), bytes: Cursor::new(bytes) });
            DataSet::read(files).is_ok()
        });
    }
}

#[test]
fn a_data_set_in_pieces() {
    let files = idx_files();
    let sources =
        files.clone().map(|bytes| SourceFile { name: "file".to_owned(), bytes: Cursor::new(bytes) });
    let digest = DataSet::read(sources).unwrap().digest();
    let mut whole = Vec::new();
    for (file, bytes) in (0..).zip(&files) {
        for piece in bytes.chunks(20) {
            let piece = v1::GetDataSetResponse { file, content: piece.to_vec() };
            piece.encode_length_delimited(&mut whole).unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let store = DataStore::new(directory.path().join("data"));
    let name: DataSetName = "small".parse().unwrap();
    fuzz("GetDataSetResponse", &[whole], |mut bytes| {
        let mut arriving = store.receive(name, digest).unwrap();
        while !bytes.is_empty() {
            let Ok(piece) = v1::GetDataSetResponse::decode_length_delimited(&mut bytes) else { return false };
            if arriving.write(piece.file as usize, &piece.content).is_err() {
                return false;
            }
        }
        if arriving.finish().is_ok() {
            assert_eq!(
                store.find(name, Some(digest)).unwrap().digest(),
                digest,
                "what is kept is what was wanted"
            );
        }
        true
    });
}

#[test]
fn a_spec_as_text() {
    let toml: Vec<Vec<u8>> = specs().into_iter().map(String::into_bytes).collect();
    let resolved =
        |text: &String| ResolvedSpec::from(RunSpec::read(text).unwrap()).json().as_bytes().to_vec();
    let json: Vec<Vec<u8>> = specs().iter().map(resolved).collect();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema()).unwrap()).unwrap();
    for (target, corpus) in [("spec as TOML", toml), ("spec as JSON", json)] {
        fuzz(target, &corpus, |bytes| {
            let Ok(spec) = RunSpec::read(&String::from_utf8_lossy(bytes)) else { return false };
            assert_eq!(RunSpec::read(&spec.to_toml()).as_ref(), Ok(&spec), "what is accepted can be kept");
            let resolved = ResolvedSpec::from(spec);
            assert!(schema.is_valid(&serde_json::from_str(resolved.json()).unwrap()), "{}", resolved.json());
            assert_eq!(ResolvedSpec::from_json(resolved.json().to_owned()).as_ref(), Ok(&resolved));
            resolved.layout().dimension() > 0
        });
    }
}
