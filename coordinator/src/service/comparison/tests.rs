use std::collections::BTreeMap;
use std::time::Duration;

use hebbian_proto::v1;
use hebbian_proto::v1::comparison_service_client::ComparisonServiceClient;
use hebbian_proto::v1::compute_trials_request::{Done, Failed, Kind, Ready};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Comparisons, Given, Offer, Pieces, Running};
use crate::service::tests::Setting;

/// A worker that the test speaks for.
struct Worker {
    outgoing: mpsc::Sender<v1::ComputeTrialsRequest>,
    incoming: Streaming<v1::ComputeTrialsResponse>,
}

impl Worker {
    async fn ready(setting: &Setting, name: &str, kind: u8) -> Self {
        let (outgoing, queue) = mpsc::channel(8);
        let display_name = name.to_owned();
        let fingerprint = vec![kind; 32];
        let ready = Ready { display_name, threads: 1, fingerprint, episode_semantics: 7 };
        outgoing.send(v1::ComputeTrialsRequest { kind: Some(Kind::Ready(ready)) }).await.unwrap();
        let mut client = ComparisonServiceClient::new(setting.channel.clone());
        let incoming = client.compute_trials(ReceiverStream::new(queue)).await.unwrap().into_inner();
        Self { outgoing, incoming }
    }

    async fn trials(&mut self) -> v1::ComputeTrialsResponse {
        self.incoming.message().await.unwrap().expect("trials")
    }

    async fn say(&self, kind: Kind) {
        self.outgoing.send(v1::ComputeTrialsRequest { kind: Some(kind) }).await.unwrap();
    }

    /// Answers with the tasks' numbers.
    async fn compute(&mut self) -> v1::ComputeTrialsResponse {
        let trials = self.trials().await;
        let scores = (0..trials.tasks).map(|task| f64::from(trials.first_task + task)).collect();
        self.say(Kind::Done(Done { trials: trials.trials, scores })).await;
        trials
    }
}

fn request(families: &[&str], tasks_per_family: u32) -> v1::CompareRequest {
    let comparison = v1::RuleComparison {
        spec: String::new(),
        genome: vec![0; 8],
        families: families.iter().map(|&family| family.to_owned()).collect(),
        updates: vec![5],
        ablations: Vec::new(),
        tasks_per_family,
    };
    v1::CompareRequest { comparison: Some(comparison), fingerprint: vec![1; 32], episode_semantics: 7 }
}

async fn compare(
    setting: &Setting,
    request: v1::CompareRequest,
) -> Result<Streaming<v1::CompareResponse>, Status> {
    let mut client = ComparisonServiceClient::new(setting.channel.clone());
    client.compare(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn trials_are_shared_and_those_of_a_lost_worker_are_given_to_another() {
    let setting = Setting::new().await;
    let mut lost = Worker::ready(&setting, "lost", 1).await;
    let mut answers = compare(&setting, request(&["and", "xor"], 6)).await.unwrap();
    // One thread: pieces of four tasks.
    assert_eq!(lost.trials().await.tasks, 4);
    let mut other = Worker::ready(&setting, "other", 1).await;
    drop(lost);
    let mut pieces = Vec::new();
    for _ in 0..4 {
        let trials = other.compute().await;
        pieces.push((trials.family, trials.first_task, trials.tasks));
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.family, answer.first_task), (trials.family, trials.first_task));
        assert_eq!(answer.scores.len(), trials.tasks as usize);
        assert_eq!(answer.scores[0], f64::from(trials.first_task));
    }
    pieces.sort_unstable();
    assert_eq!(pieces, [(0, 0, 4), (0, 4, 2), (1, 0, 4), (1, 4, 2)], "every task once");
    assert!(answers.message().await.unwrap().is_none(), "the comparison has ended");
}

#[tokio::test]
async fn who_cannot_compute_a_comparison_is_not_asked_again_and_the_last_one_ends_it() {
    let setting = Setting::new().await;
    let refused = compare(&setting, request(&["and"], 4)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("no worker is attached"), "{refused}");
    let _other_kind = Worker::ready(&setting, "other kind", 2).await;
    let refused = compare(&setting, request(&["and"], 4)).await.unwrap_err();
    assert!(refused.message().contains("others are: other kind"), "{refused}");

    let (mut first, mut second) =
        (Worker::ready(&setting, "first", 1).await, Worker::ready(&setting, "second", 1).await);
    let mut answers = compare(&setting, request(&["idx:a"], 4)).await.unwrap();
    let (asked, number) = tokio::select! {
        trials = first.trials() => (true, trials.trials),
        trials = second.trials() => (false, trials.trials),
    };
    let (asked, mut next) = if asked { (first, second) } else { (second, first) };
    let failed = |reason: &str, trials| Kind::Failed(Failed { trials, reason: reason.to_owned() });
    asked.say(failed("no data set `a`", number)).await;
    let trials = next.trials().await;
    assert_eq!((trials.first_task, trials.tasks), (0, 4), "the other one is asked");
    next.say(failed("none here either", trials.trials)).await;
    let ended = answers.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::FailedPrecondition);
    assert!(ended.message().contains("no attached worker can compute it"), "{ended}");
}

#[tokio::test]
async fn answers_that_do_not_fit_end_the_workers_stream_and_nothing_else() {
    let setting = Setting::new().await;
    let mut wrong = Worker::ready(&setting, "wrong", 1).await;
    let mut answers = compare(&setting, request(&["and"], 3)).await.unwrap();
    let trials = wrong.trials().await;
    wrong.say(Kind::Done(Done { trials: trials.trials, scores: vec![0.5; 2] })).await;
    let fault = wrong.incoming.message().await.unwrap_err();
    assert_eq!(fault.code(), Code::InvalidArgument);
    assert!(fault.message().contains("done.scores: must be 3 numbers, not 2"), "{fault}");
    let mut right = Worker::ready(&setting, "right", 1).await;
    right.compute().await;
    assert_eq!(answers.message().await.unwrap().unwrap().scores, [0.0, 1.0, 2.0]);
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_refused() {
    let setting = Setting::new().await;
    let _worker = Worker::ready(&setting, "worker", 1).await;
    let check = async |request: v1::CompareRequest, field: &str| {
        let refused = compare(&setting, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(&format!("comparison.{field}: must be 1 to")), "{refused}");
    };
    check(request(&[], 3), "families").await;
    check(request(&["and"; 65], 3), "families").await;
    check(request(&["and"], 0), "tasks_per_family").await;
    check(request(&["and"], 100_001), "tasks_per_family").await;
    let mut running = Vec::new();
    for _ in 0..16 {
        running.push(compare(&setting, request(&["and"], 3)).await.unwrap());
    }
    let refused = compare(&setting, request(&["and"], 3)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

/// The clock goes on by itself while all wait, so that nobody waits for the age of a hedge.
#[tokio::test(start_paused = true)]
async fn what_hangs_at_one_worker_is_given_to_another_too() {
    let setting = Setting::new().await;
    let mut hangs = Worker::ready(&setting, "hangs", 1).await;
    let mut answers = compare(&setting, request(&["and"], 8)).await.unwrap();
    let kept = hangs.trials().await;
    assert_eq!((kept.first_task, kept.tasks), (0, 4));
    let mut other = Worker::ready(&setting, "other", 1).await;
    assert_eq!(other.compute().await.first_task, 4);
    assert_eq!(answers.message().await.unwrap().unwrap().first_task, 4);
    assert_eq!(other.compute().await.first_task, 0, "the one that hangs has it, too");
    assert_eq!(answers.message().await.unwrap().unwrap().scores, [0.0, 1.0, 2.0, 3.0]);
    assert!(answers.message().await.unwrap().is_none(), "the comparison has ended");
    // The late answer is taken and forgotten.
    hangs.say(Kind::Done(Done { trials: kept.trials, scores: vec![0.5; 4] })).await;
    let mut next = compare(&setting, request(&["or"], 4)).await.unwrap();
    drop(other);
    let trials = hangs.trials().await;
    assert_eq!((trials.first_task, trials.tasks), (0, 4));
    hangs.say(Kind::Done(Done { trials: trials.trials, scores: vec![0.25; 4] })).await;
    assert_eq!(next.message().await.unwrap().unwrap().scores, [0.25; 4]);
}

/// A worker that leaves while its answer waits for a client that does not read takes nothing with it.
#[tokio::test]
async fn an_answer_that_found_no_place_is_not_counted() {
    let comparisons = Comparisons::new(Duration::from_secs(5));
    let comparison = request(&["and"], 8).comparison.unwrap();
    let (answers, mut client) = mpsc::channel(1);
    let (fingerprint, semantics, unable) = (vec![1; 32], 7, BTreeMap::new());
    let pieces = Pieces::new(1, 8);
    let running = Running { comparison, fingerprint, semantics, answers, pieces, unable };
    comparisons.state().running.insert(0, running);
    let take = || {
        let mut state = comparisons.state();
        match state.running.get_mut(&0).unwrap().pieces.take(tokio::time::Instant::now(), 4) {
            Offer::Piece(piece) => Given { comparison: 0, piece },
            other => panic!("{other:?} is no piece"),
        }
    };
    comparisons.done(take(), vec![0.5; 4]).await.unwrap();
    let second = take();
    tokio::select! {
        biased;
        _ = comparisons.done(second, vec![0.5; 4]) => panic!("the first answer has the only place"),
        () = std::future::ready(()) => {}
    }
    comparisons.give_back(second);
    assert_eq!(client.recv().await.unwrap().unwrap().first_task, 0);
    let again = take();
    assert_eq!(again.piece, second.piece);
    comparisons.done(again, vec![0.25; 4]).await.unwrap();
    assert_eq!(client.recv().await.unwrap().unwrap().scores, [0.25; 4]);
    assert!(client.recv().await.is_none(), "the comparison has ended");
}
