//! Evaluations on the workers of a coordinator.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hebbian_coordinator::runtime;
use hebbian_learning::evaluation::{Evaluate, EvaluationError, EvaluationRequest, Gathering, Scores};
use hebbian_learning::fingerprint::fingerprint;
use hebbian_learning::interrupt::Interrupt;
use hebbian_proto::v1;
use hebbian_proto::v1::evaluation_service_client::EvaluationServiceClient;
use hebbian_shared::limits::{
    CLUSTER_EVALUATION_EPISODES_MAX, CLUSTER_EVALUATION_SCORES_MAX, PEER_MESSAGE_BYTES_MAX,
};
use tokio::runtime::Runtime;

use crate::client::{Client, ClientArguments};
use crate::command;
use crate::failure::Failure;

/// Evaluations that are asked for at a time: enough that no worker waits, few beside those of others.
const AT_ONCE: usize = 4;
/// How often a wish to stop is looked for.
const INTERRUPT_CHECK: Duration = Duration::from_millis(100);
/// How often a worker is looked for while none is attached.
const WORKER_CHECK: Duration = Duration::from_millis(200);

/// Computes evaluations on a coordinator's workers of this machine's numerics, with the same bits as here.
pub(crate) struct Cluster {
    runtime: Runtime,
    client: Client,
    fingerprint: Vec<u8>,
}

/// Some tasks of each family of a request.
struct Part {
    /// Place of the request.
    place: usize,
    request: EvaluationRequest,
    /// How many tasks of each family of the request come before them.
    before: u32,
}

impl Cluster {
    /// Connects to a coordinator, and waits until it has a worker.
    pub(crate) fn connect(arguments: &ClientArguments) -> Result<Self, Failure> {
        let runtime = command::started(runtime::of_threads(2, |_| {}))?;
        let client = runtime.block_on(async {
            let client = Client::connect_when_led(arguments).await?;
            // Workers that were started with the coordinator come a moment after it.
            let deadline = Instant::now() + arguments.timeout;
            while client.workers().await?.is_empty() {
                if Instant::now() >= deadline {
                    let waited = humantime::format_duration(arguments.timeout);
                    let failure = Failure::failed(format_args!(
                        "{}: no worker is attached, {waited} after the first look",
                        client.url()
                    ));
                    return Err(failure.hint("start some with `hebbian worker`"));
                }
                tokio::time::sleep(WORKER_CHECK).await;
            }
            Ok(client)
        })?;
        Ok(Self { runtime, client, fingerprint: fingerprint().0.to_vec() })
    }

    /// Asks for the scores of a part and hands them over.
    async fn gather(
        &self,
        part: &Part,
        add: impl Fn(u32, u32, &[f64]) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let Part { request, .. } = part;
        let text = serde_json::to_string(request).expect("a request is written as JSON");
        let message = v1::EvaluateRequest {
            request: text,
            genomes: request.genomes.len() as u32,
            tasks: request.tasks(),
            points: request.points.len() as u32,
            fingerprint: self.fingerprint.clone(),
            weight: None,
        };
        let url = self.client.url();
        let mut service = EvaluationServiceClient::new(self.client.channel())
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX);
        let mut stream = self.client.answer(service.evaluate(message)).await?;
        let mut missing = request.episodes();
        while let Some(response) = stream.message().await.map_err(|status| self.client.broken(&status))? {
            for episode in response.episodes {
                let problem = add(episode.genome, episode.task, &episode.scores).err();
                if let Some(problem) = problem.or((missing == 0).then(|| "more scores than asked for".into()))
                {
                    return Err(Failure::failed(format_args!(
                        "{url}: the coordinator's answer cannot be read: {problem}"
                    )));
                }
                missing -= 1;
            }
        }
        if missing > 0 {
            let total = request.episodes();
            return Err(Failure::unreachable(format_args!(
                "{url}: the evaluation ended after {} of {total} episodes",
                total - missing
            )));
        }
        Ok(())
    }
}

impl Evaluate for Cluster {
    fn evaluate(
        &self,
        requests: &[EvaluationRequest],
        advance: &(dyn Fn(u64) + Sync),
        interrupt: &Interrupt,
    ) -> Result<Vec<Scores>, EvaluationError> {
        for request in requests {
            request.validate()?;
        }
        let gatherings: Vec<Mutex<Gathering>> =
            requests.iter().map(|request| Mutex::new(Gathering::new(request))).collect();
        let parts: Vec<Part> = requests.iter().enumerate().flat_map(parts).collect();
        let gather = async |part: Part| {
            let whole = &requests[part.place];
            let of_episode = part.request.work() / part.request.episodes();
            self.gather(&part, |genome, task, scores| {
                let (family, number) =
                    (task / part.request.tasks_per_family, task % part.request.tasks_per_family);
                let task = family * whole.tasks_per_family + part.before + number;
                let mut gathering =
                    gatherings[part.place].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                gathering.add(genome, task, scores)?;
                advance(of_episode);
                Ok(())
            })
            .await
        };
        let computing = stream::iter(parts).map(gather).buffer_unordered(AT_ONCE).try_collect::<()>();
        self.runtime.block_on(async {
            tokio::select! {
                computed = computing => {
                    computed.map_err(|failure| EvaluationError::Elsewhere(failure.message().to_owned()))
                }
                () = raised(interrupt) => Err(EvaluationError::Interrupted),
            }
        })?;
        let gatherings = gatherings
            .into_iter()
            .map(|gathering| gathering.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        let scores = gatherings.map(Gathering::finish);
        let early = || EvaluationError::Elsewhere("an evaluation ended early".to_owned());
        scores.map(|scores| scores.ok_or_else(early)).collect()
    }
}

async fn raised(interrupt: &Interrupt) {
    while !interrupt.is_raised() {
        tokio::time::sleep(INTERRUPT_CHECK).await;
    }
}

/// A request in parts that are not larger than a coordinator allows.
fn parts((place, request): (usize, &EvaluationRequest)) -> Vec<Part> {
    let of_task = (request.genomes.len() * request.families.len()) as u64;
    let scores = of_task * request.points.len() as u64;
    let most = (CLUSTER_EVALUATION_EPISODES_MAX / of_task).min(CLUSTER_EVALUATION_SCORES_MAX / scores).max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let starts = (0..request.tasks_per_family).step_by(most as usize);
    starts
        .map(|before| {
            let tasks_per_family = most.min(request.tasks_per_family - before);
            let first_task = request.first_task + before;
            Part {
                place,
                request: EvaluationRequest { first_task, tasks_per_family, ..request.clone() },
                before,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_learning::evaluation::Stage;
    use hebbian_shared::genome::Genome;
    use hebbian_shared::spec::RunSpec;
    use hebbian_shared::spec::task::TaskFamily;

    #[test]
    fn parts_are_what_a_coordinator_allows_and_together_the_whole() {
        let spec = RunSpec::read(crate::QUICKSTART).unwrap();
        let problem = spec.problem.rule_learning().unwrap().clone();
        for (genomes, points, tasks_per_family, expected) in [
            (1, 1, 90_000, 1),
            (1, 32, 90_000, 1),
            (16, 1, 90_000, 3),
            (16, 32, 90_000, 11),
            (4096, 32, 500, 16),
        ] {
            let request = EvaluationRequest {
                problem: problem.clone(),
                ablation: None,
                genomes: vec![Genome::default(); genomes],
                families: vec![TaskFamily::Xor, TaskFamily::Circle],
                stage: Stage::Comparison,
                first_task: 7,
                tasks_per_family,
                points: (1..=points).collect(),
                seed: spec.seed,
                score: None,
                part: None,
            };
            let parts = parts((3, &request));
            assert_eq!(parts.len(), expected, "{genomes} {points}");
            let mut next = 0;
            for part in parts {
                let episodes = part.request.episodes();
                assert!(
                    episodes <= CLUSTER_EVALUATION_EPISODES_MAX
                        && episodes * u64::from(points) <= CLUSTER_EVALUATION_SCORES_MAX
                );
                assert_eq!((part.place, part.before, part.request.first_task), (3, next, 7 + next));
                next += part.request.tasks_per_family;
            }
            assert_eq!(next, request.tasks_per_family);
        }
    }
}
