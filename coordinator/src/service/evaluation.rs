//! Evaluations, for clients.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use hebbian_control::command::evaluation::{Abandon, CreateEvaluation};
use hebbian_control::engine::effect::Scored;
use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::evaluation_service_server::EvaluationService;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::WEIGHT_DEFAULT;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::audit;
use super::status::{ask, invalid};
use crate::access::table::{ACTS_ON_ALL, Row};
use crate::driver::evaluating::Begin;
use crate::handle::{Handle, new_run_id};

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[("/hebbian.v1.EvaluationService/Evaluate", ACTS_ON_ALL)];

/// Has evaluations computed.
#[derive(Debug)]
pub(super) struct Evaluations {
    handle: Handle,
}

impl Evaluations {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl EvaluationService for Evaluations {
    type EvaluateStream = Pin<Box<dyn Stream<Item = Result<v1::EvaluateResponse, Status>> + Send>>;

    async fn evaluate(
        &self,
        request: Request<v1::EvaluateRequest>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let (who, owner) = (audit::who(&request), audit::owner(&request));
        let v1::EvaluateRequest { request, genomes, tasks, points, fingerprint, weight } =
            request.into_inner();
        let fingerprint = match &fingerprint[..] {
            [] => None,
            bytes => Some(Digest::try_from(bytes).map_err(|_| {
                let problem = format!("must be empty or have 32 bytes, not {}", bytes.len());
                invalid(&ConvertError::new("fingerprint", problem))
            })?),
        };
        let (id, weight) = (new_run_id(), weight.unwrap_or(WEIGHT_DEFAULT));
        let request = request.into();
        let command = CreateEvaluation { id, request, genomes, tasks, points, fingerprint, weight, owner };
        let size = format!("evaluation of {genomes} genomes on {tasks} tasks");
        let (evaluation, arriving) = ask(&self.handle, Begin(command)).await?;
        audit::done(&who, "began an", &size);
        let (gone, handle) = (CancellationToken::new(), self.handle.clone());
        // Cancelled when the stream is dropped, at its end or because the client has gone.
        let guard = gone.clone().drop_guard();
        tokio::spawn(async move {
            gone.cancelled().await;
            // If the driver is gone, so is the evaluation.
            let _ = handle.ask(Abandon { evaluation }).await;
        });
        let stream = UnboundedReceiverStream::new(arriving).map(move |arrived| {
            let _held = &guard;
            arrived.map(response).map_err(Status::failed_precondition)
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

fn response(scored: Vec<Scored>) -> v1::EvaluateResponse {
    let episodes = scored.into_iter().map(|scored| v1::evaluate_response::Episode {
        genome: scored.genome.0,
        task: scored.task.0,
        scores: scored.scores,
    });
    v1::EvaluateResponse { episodes: episodes.collect() }
}
