//! Trials of comparisons: a stream beside the one for episodes, on the same connection, for as long as that lasts.

use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::comparison_service_client::ComparisonServiceClient;
use hebbian_proto::v1::compute_trials_request::{Done, Failed, Kind, Ready};
use hebbian_shared::dispatch::Hello;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::prepare::{Preparation, apart};
use crate::evaluator::Evaluator;
use hebbian_learning::comparison::Ablation;
use hebbian_learning::comparison::remote::Trials;
use hebbian_learning::interrupt::Interrupt;

/// The wait before a stream that broke is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Computes trials until it is dropped, or until the coordinator turns out to have none.
pub(super) async fn work(
    channel: Channel,
    hello: Hello,
    evaluator: Arc<dyn Evaluator>,
    turn: Arc<Semaphore>,
) {
    let worker = TrialWorker { channel, hello, evaluator, turn };
    loop {
        match worker.stream().await {
            // It is of a version without comparisons.
            Err(status) if status.code() == Code::Unimplemented => return,
            Err(status) => tracing::debug!(reason = status.message(), "the stream of trials broke"),
            Ok(()) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

struct TrialWorker {
    channel: Channel,
    hello: Hello,
    evaluator: Arc<dyn Evaluator>,
    turn: Arc<Semaphore>,
}

impl TrialWorker {
    async fn stream(&self) -> Result<(), Status> {
        let (outgoing, queue) = mpsc::channel(2);
        let say = async |kind| {
            let said = outgoing.send(v1::ComputeTrialsRequest { kind: Some(kind) }).await;
            said.map_err(|_| Status::unavailable("the coordinator does not listen"))
        };
        say(Kind::Ready(Ready {
            display_name: self.hello.name.clone(),
            threads: self.hello.threads,
            fingerprint: self.hello.fingerprint.0.to_vec(),
            episode_semantics: self.hello.episode_semantics,
        }))
        .await?;
        let mut client = ComparisonServiceClient::new(self.channel.clone());
        let mut incoming = client.compute_trials(ReceiverStream::new(queue)).await?.into_inner();
        while let Some(message) = incoming.message().await? {
            let trials = message.trials;
            say(match self.compute(message).await {
                Ok(scores) => Kind::Done(Done { trials, scores }),
                Err(reason) => {
                    tracing::warn!(reason, "this worker cannot compute a comparison's trials");
                    Kind::Failed(Failed { trials, reason: reason.chars().take(1000).collect() })
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn compute(&self, message: v1::ComputeTrialsResponse) -> Result<Vec<f64>, String> {
        let (trials, spec) = to_trials(message).map_err(|error| error.to_string())?;
        let preparation = Preparation {
            evaluator: self.evaluator.clone(),
            spec: Arc::new(spec),
            channel: self.channel.clone(),
            turn: self.turn.clone(),
        };
        preparation.fetch_lacking().await?;
        let (evaluator, threads) = (self.evaluator.clone(), self.hello.threads);
        let interrupt = RaisedAtEnd(Arc::default());
        let computing = interrupt.0.clone();
        apart(move || evaluator.trials(&trials, threads, &computing)).await
    }
}

/// Raised when nobody waits for the computation any more.
struct RaisedAtEnd(Arc<Interrupt>);

impl Drop for RaisedAtEnd {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// The trials that a message stands for, and a spec whose families are the ones that their data is needed for. An error
/// names the field.
pub fn to_trials(message: v1::ComputeTrialsResponse) -> Result<(Trials, RunSpec), ConvertError> {
    let v1::ComputeTrialsResponse { comparison, family, first_task, tasks, .. } = message;
    let comparison = comparison.ok_or_else(|| ConvertError::new("comparison", "must be set"))?;
    let wrong = |field: &str, problem: String| ConvertError::new(format!("comparison.{field}"), problem);
    let spec = RunSpec::read(&comparison.spec);
    let mut spec = spec.map_err(|error| ConvertError::of_text("comparison.spec", &error))?;
    let genome = Genome::from_le_bytes(&comparison.genome)
        .ok_or_else(|| wrong("genome", "must have a multiple of 8 bytes".to_owned()))?;
    let Some(name) = comparison.families.get(family as usize) else {
        return Err(ConvertError::new("family", format!("must be below {}", comparison.families.len())));
    };
    let family = name.parse().map_err(|error| wrong("families", format!("{error}")))?;
    let ablations = comparison.ablations().map(|ablation| match ablation {
        v1::Ablation::NoBackwardTransform => Ok(Ablation::NoBackwardTransform),
        v1::Ablation::HiddenSynapsesFrozen => Ok(Ablation::HiddenSynapsesFrozen),
        v1::Ablation::ReadoutOnly => Ok(Ablation::ReadoutOnly),
        v1::Ablation::Unspecified => Err(wrong("ablations", "must be set".to_owned())),
    });
    let ablations = ablations.collect::<Result<_, _>>()?;
    let seed = spec.seed;
    let rule =
        spec.problem.rule_learning_mut().ok_or_else(|| wrong("spec", "must evolve a rule".to_owned()))?;
    let trials = Trials {
        rule: rule.clone(),
        genome,
        family,
        first: first_task,
        tasks,
        updates: comparison.updates,
        ablations,
        seed,
    };
    rule.tasks.families = vec![family];
    Ok((trials, spec))
}
