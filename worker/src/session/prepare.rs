//! Getting ready for a run: data sets are read, and those that are not here are fetched from the coordinator.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::convert::run_name;
use hebbian_proto::v1;
use hebbian_proto::v1::data_service_client::DataServiceClient;
use hebbian_shared::digest::Digest;
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{DATA_SET_BYTES_MAX, DATA_SET_PIECE_BYTES_MAX, DATA_SET_PIECE_TIMEOUT};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::data_set::DataSetName;
use hebbian_trace::{Kind, Span, TRACEPARENT, TraceContext, Tracer};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Status};

use super::Authorised;
use crate::evaluator::{Evaluator, Runner};
use crate::pool::panic_message;
use hebbian_learning::task::data_set::Arriving;

/// The wait before a busy coordinator is asked again.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// How often a busy coordinator is asked again.
const BUSY_MAX: u32 = 100;

/// What was announced.
#[derive(Clone)]
pub(super) enum Announcement {
    /// A run, with its spec.
    Run(Arc<RunSpec>),
    /// An evaluation, with its request.
    Evaluation(Arc<str>),
}

/// All that getting ready for one run or evaluation needs.
pub(super) struct Preparation {
    pub(super) evaluator: Arc<dyn Evaluator>,
    pub(super) work: Announcement,
    /// The connection of the stream that announced the run.
    pub(super) channel: Authorised,
    /// For one data set at a time.
    pub(super) turn: Arc<Semaphore>,
    pub(super) tracer: Tracer,
}

impl Preparation {
    /// The run's runner, or why there is none.
    pub(super) async fn run(self, run: RunId) -> Result<Arc<dyn Runner>, String> {
        let mut span = self.tracer.begin("prepare", Kind::Internal);
        if let Some(span) = &mut span {
            span.set("hebbian.run", run_name(run));
        }
        let prepared = self.fetch_and_prepare(span.as_ref().map(Span::context)).await;
        if let (Some(span), Err(problem)) = (span, &prepared) {
            span.fail(problem);
        }
        prepared
    }

    async fn fetch_and_prepare(&self, trace: Option<TraceContext>) -> Result<Arc<dyn Runner>, String> {
        let reason = match self.prepare().await {
            Ok(runner) => return Ok(runner),
            Err(reason) => reason,
        };
        self.fetch_lacking(trace).await.map_err(|problem| format!("{reason} ({problem})"))?;
        self.prepare().await
    }

    /// Fetches the data sets that the spec needs and that are not here.
    async fn fetch_lacking(&self, trace: Option<TraceContext>) -> Result<(), String> {
        let _turn = self.turn.acquire().await.map_err(|error| error.to_string())?;
        // Another run may have fetched them while this one waited.
        let (evaluator, work) = (self.evaluator.clone(), self.work.clone());
        let lacking = apart(move || {
            Ok(match work {
                Announcement::Run(spec) => evaluator.lacking(&spec),
                Announcement::Evaluation(request) => evaluator.lacking_for_evaluation(&request),
            })
        });
        for (name, digest) in lacking.await? {
            self.fetch(name, digest, trace).await?;
            let (name, digest) = (name.as_str(), digest.short());
            tracing::info!(name, digest, "fetched a data set from the coordinator");
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<Arc<dyn Runner>, String> {
        let (evaluator, work) = (self.evaluator.clone(), self.work.clone());
        apart(move || match work {
            Announcement::Run(spec) => evaluator.prepare(spec),
            Announcement::Evaluation(request) => evaluator.prepare_evaluation(&request),
        })
        .await
    }

    /// Fetches a data set; waits while the coordinator is busy.
    async fn fetch(
        &self,
        name: DataSetName,
        digest: Digest,
        trace: Option<TraceContext>,
    ) -> Result<(), String> {
        for _ in 0..BUSY_MAX {
            match self.fetch_once(name, digest, trace).await {
                Err(FetchError::Status(status)) if status.code() == Code::ResourceExhausted => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(FetchError::Status(status)) if status.code() == Code::Unimplemented => {
                    return Err("the coordinator is of a version that sends no data sets".to_owned());
                }
                Err(FetchError::Status(status)) => return Err(status.message().to_owned()),
                Err(FetchError::Content(problem)) => return Err(problem),
                Ok(()) => return Ok(()),
            }
        }
        Err("the coordinator is too busy to send it".to_owned())
    }

    async fn fetch_once(
        &self,
        name: DataSetName,
        digest: Digest,
        trace: Option<TraceContext>,
    ) -> Result<(), FetchError> {
        let mut client = DataServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DATA_SET_PIECE_BYTES_MAX + 1024);
        let mut request = Request::new(v1::GetDataSetRequest { digest: digest.0.to_vec() });
        let traceparent = trace.and_then(|trace| trace.to_string().parse().ok());
        traceparent.map(|header| request.metadata_mut().insert(TRACEPARENT, header));
        let mut pieces = in_time(client.get_data_set(request)).await?.into_inner();
        let evaluator = self.evaluator.clone();
        let mut arriving =
            apart(move || evaluator.receive(name, digest)).await.map_err(FetchError::Content)?;
        let mut bytes = 0;
        while let Some(v1::GetDataSetResponse { file, content }) = in_time(pieces.message()).await? {
            bytes += content.len() as u64;
            if content.is_empty() || bytes > DATA_SET_BYTES_MAX {
                return Err(FetchError::Content(format!(
                    "the coordinator sent an empty piece, or more than {DATA_SET_BYTES_MAX} bytes"
                )));
            }
            arriving = apart(move || {
                let mut arriving: Box<dyn Arriving> = arriving;
                let written = arriving.write(file as usize, &content).map_err(|error| error.to_string());
                written.map(|()| arriving)
            })
            .await
            .map_err(FetchError::Content)?;
        }
        apart(move || arriving.finish().map_err(|error| error.to_string())).await.map_err(FetchError::Content)
    }
}

/// Why a data set could not be fetched.
enum FetchError {
    /// The coordinator said so, or the connection broke.
    Status(Status),
    /// What came cannot be used, or not be kept.
    Content(String),
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, FetchError> {
    match tokio::time::timeout(DATA_SET_PIECE_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(FetchError::Status),
        Err(_) => Err(FetchError::Content(format!(
            "the coordinator sent nothing of it for {DATA_SET_PIECE_TIMEOUT:?}"
        ))),
    }
}

/// Does what takes a while or reads files, apart from tokio.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(move || {
        panic::catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|payload| Err(format!("panicked: {}", panic_message(payload.as_ref()))))
    });
    done.await.unwrap_or_else(|error| Err(error.to_string()))
}
