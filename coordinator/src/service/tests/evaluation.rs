//! Evaluations, from a client to a worker and back.

use hebbian_control::command::worker::List;
use hebbian_proto::v1::evaluation_service_client::EvaluationServiceClient;
use hebbian_shared::dispatch::{Batch, Report, Settlement};
use hebbian_shared::episode::{Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;

use super::*;

fn request() -> v1::EvaluateRequest {
    let request = "what workers understand".to_owned();
    v1::EvaluateRequest { request, genomes: 2, tasks: 3, points: 2, ..Default::default() }
}

/// A worker's answer to a batch: two scores for each episode.
fn report(batch: &Batch, sequence: u64) -> FromWorker {
    let settlements = batch.assignments.iter().map(|assignment| {
        let candidate = batch.genomes[assignment.genome as usize].candidate;
        // An accuracy is at most 1.
        let scores = vec![f64::from(candidate.0) / 4.0, f64::from(assignment.task.0) / 4.0];
        let outcome = Outcome::Evaluated(Evaluation { scores, ..Evaluation::of(Fitness::new(0.5).unwrap()) });
        Settlement { candidate, task: assignment.task, outcome, compute_time: Duration::from_millis(1) }
    });
    let settlements = settlements.collect();
    let Batch { run, generation, purpose, block, .. } = *batch;
    FromWorker::Report(Report { sequence, run, generation, purpose, block, settlements })
}

#[tokio::test]
async fn an_evaluation_is_computed_by_workers_and_ends_with_its_client() {
    let setting = Setting::new().await;
    let mut client = EvaluationServiceClient::new(setting.channel.clone());
    let mut stream = client.evaluate(request()).await.unwrap().into_inner();
    // It waits for a worker.
    let mut sent = setting.attach_to_driver().await;
    let first = sent.recv().await.unwrap().message;
    assert!(matches!(&first, ToWorker::Evaluation { request: text, .. } if **text == *request().request));
    let (mut found, mut sequence) = (Vec::new(), 0);
    while found.len() < 6 {
        let message = sent.recv().await.unwrap().message;
        let ToWorker::Batch(batch) = &message else { continue };
        assert!(batch.genomes.iter().all(|genome| genome.genome.0.is_empty()), "they travelled before");
        sequence += 1;
        // What comes twice is told once.
        for _ in 0..2 {
            setting.driver.from_worker(WorkerId(1), report(batch, sequence)).await.unwrap();
        }
        let episodes = stream.message().await.unwrap().unwrap().episodes;
        found.extend(episodes.into_iter().map(|episode| (episode.genome, episode.task, episode.scores)));
    }
    found.sort_by_key(|(genome, task, _)| (*genome, *task));
    let cells = (0..2).flat_map(|genome| (0..3).map(move |task| (genome, task)));
    let expected: Vec<_> = cells
        .map(|(genome, task)| (genome, task, vec![f64::from(genome) / 4.0, f64::from(task) / 4.0]))
        .collect();
    assert_eq!(found, expected);
    assert!(stream.message().await.unwrap().is_none(), "it is complete");

    // The next one's client goes: its worker is told.
    let stream = client.evaluate(request()).await.unwrap();
    let evaluation = loop {
        if let ToWorker::Batch(batch) = &sent.recv().await.unwrap().message
            && batch.generation == GenerationIndex(0)
        {
            break batch.run;
        }
    };
    drop(stream);
    let withdrawn = ToWorker::Withdraw { run: evaluation, up_to: None };
    let told = async { while sent.recv().await.unwrap().message != withdrawn {} };
    tokio::time::timeout(PATIENCE, told).await.expect("in time");
    let workers = setting.driver.ask(List::default()).await.unwrap().items;
    assert_eq!(workers[0].leased_episodes, 0);
}

#[tokio::test]
async fn an_evaluation_that_nobody_can_compute_says_so() {
    let setting = Setting::new().await;
    let mut client = EvaluationServiceClient::new(setting.channel.clone());
    for (wrong, field) in [
        (v1::EvaluateRequest { request: String::new(), ..request() }, "request"),
        (v1::EvaluateRequest { genomes: 0, ..request() }, "genomes"),
        (v1::EvaluateRequest { tasks: u32::MAX, ..request() }, "tasks"),
        (v1::EvaluateRequest { points: u32::MAX, ..request() }, "points"),
        (v1::EvaluateRequest { weight: Some(0.0), ..request() }, "weight"),
        (v1::EvaluateRequest { fingerprint: vec![1], ..request() }, "fingerprint"),
    ] {
        check(&client.evaluate(wrong).await.unwrap_err(), Code::InvalidArgument, field);
    }
    let _sent = setting.attach_to_driver().await;
    let other = v1::EvaluateRequest { fingerprint: vec![1; 32], ..request() };
    let ended = client.evaluate(other).await.unwrap().into_inner().message().await.unwrap_err();
    assert_eq!(ended.code(), Code::FailedPrecondition);
    assert!(ended.message().contains("no attached worker can compute the evaluation"), "{}", ended.message());
}
