//! Runs, for clients.

use std::pin::Pin;

use futures_util::{Stream, stream};
use hebbian_proto::convert::{ConvertError, parse_run_name};
use hebbian_proto::v1;
use hebbian_proto::v1::run_service_server::RunService;
use hebbian_shared::dispatch::{WEIGHT_DEFAULT, check_weight};
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::progress::RunEvent;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use tonic::{Request, Response, Status};

use super::page;
use super::status::{invalid, refused};
use crate::handle::{Handle, RunAction, Watch};

/// The longest request id, in characters.
const REQUEST_ID_LENGTH_MAX: usize = 128;

/// Answers for runs.
#[derive(Debug)]
pub(super) struct Runs {
    handle: Handle,
}

impl Runs {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    async fn act(&self, name: &str, action: RunAction) -> Result<v1::Run, Status> {
        let run = run_of("name", name)?;
        let progress = self.handle.act(run, action).await.map_err(|error| refused(&error))?;
        Ok((&progress).into())
    }
}

fn run_of(field: &str, name: &str) -> Result<RunId, Status> {
    parse_run_name(field, name).map_err(|error| invalid(&error))
}

fn check_request_id(request_id: &str) -> Result<(), Status> {
    if request_id.chars().count() > REQUEST_ID_LENGTH_MAX {
        let problem = format!("must have at most {REQUEST_ID_LENGTH_MAX} characters");
        return Err(invalid(&ConvertError::new("request_id", problem)));
    }
    Ok(())
}

fn spec_of(spec: Option<v1::RunSpec>) -> Result<RunSpec, Status> {
    let spec = spec.ok_or_else(|| invalid(&ConvertError::new("spec", "must be set")))?;
    RunSpec::try_from(spec).map_err(|error| invalid(&error.within("spec")))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RunService for Runs {
    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Answer<v1::CreateRunResponse> {
        let v1::CreateRunRequest { spec, request_id, group, weight } = request.into_inner();
        check_request_id(&request_id)?;
        let weight = weight.unwrap_or(WEIGHT_DEFAULT);
        check_weight(weight).map_err(|problem| invalid(&ConvertError::new("weight", problem)))?;
        let created = self.handle.create_in(spec_of(spec)?, request_id, group, weight).await;
        let progress = created.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::CreateRunResponse { run: Some((&progress).into()) }))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Answer<v1::GetRunResponse> {
        let run = run_of("name", &request.get_ref().name)?;
        let progress = self.handle.get(run).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::GetRunResponse { run: Some((&progress).into()) }))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Answer<v1::ListRunsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let last = page::position(&request.page_token, |token| {
            let (created, run) = token.split_once('-')?;
            Some((created.parse::<u64>().ok()?, run.parse::<RunId>().ok()?))
        })?;
        let runs = self.handle.list().await.map_err(|error| refused(&error))?;
        let start = last.map_or(0, |(created, last)| match runs.iter().position(|run| run.run == last) {
            Some(position) => position + 1,
            // The last run of the page before was deleted meanwhile; its neighbours by time are still there.
            None => runs.iter().position(|run| run.created_unix_ms >= created).unwrap_or(runs.len()),
        });
        let (runs, next_page_token) =
            page::cut(runs, start, size, |run| format!("{}-{}", run.created_unix_ms, run.run));
        let runs = runs.iter().map(Into::into).collect();
        Ok(Response::new(v1::ListRunsResponse { runs, next_page_token }))
    }

    async fn pause_run(&self, request: Request<v1::PauseRunRequest>) -> Answer<v1::PauseRunResponse> {
        let run = Some(self.act(&request.get_ref().name, RunAction::Pause).await?);
        Ok(Response::new(v1::PauseRunResponse { run }))
    }

    async fn resume_run(&self, request: Request<v1::ResumeRunRequest>) -> Answer<v1::ResumeRunResponse> {
        let run = Some(self.act(&request.get_ref().name, RunAction::Resume).await?);
        Ok(Response::new(v1::ResumeRunResponse { run }))
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Answer<v1::CancelRunResponse> {
        let run = Some(self.act(&request.get_ref().name, RunAction::Cancel).await?);
        Ok(Response::new(v1::CancelRunResponse { run }))
    }

    async fn delete_run(&self, request: Request<v1::DeleteRunRequest>) -> Answer<v1::DeleteRunResponse> {
        self.act(&request.get_ref().name, RunAction::Delete).await?;
        Ok(Response::new(v1::DeleteRunResponse {}))
    }

    async fn extend_run(&self, request: Request<v1::ExtendRunRequest>) -> Answer<v1::ExtendRunResponse> {
        let v1::ExtendRunRequest { name, limits } = request.into_inner();
        let run = run_of("name", &name)?;
        let limits = StopSpec::try_from(limits.unwrap_or_default());
        let limits = limits.map_err(|error| invalid(&error.within("limits")))?;
        let progress = self.handle.extend(run, limits).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::ExtendRunResponse { run: Some((&progress).into()) }))
    }

    async fn fork_run(&self, request: Request<v1::ForkRunRequest>) -> Answer<v1::ForkRunResponse> {
        let v1::ForkRunRequest { name, generations, spec, request_id } = request.into_inner();
        let (run, spec) = (run_of("name", &name)?, spec_of(spec)?);
        check_request_id(&request_id)?;
        let closed = generations.map(GenerationIndex);
        let forked = self.handle.fork(run, closed, spec, request_id).await;
        let progress = forked.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::ForkRunResponse { run: Some((&progress).into()) }))
    }

    type WatchRunStream = Pin<Box<dyn Stream<Item = Result<v1::WatchRunResponse, Status>> + Send>>;

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Answer<Self::WatchRunStream> {
        let v1::WatchRunRequest { name, after_sequence } = request.into_inner();
        let run = run_of("name", &name)?;
        let watch = self.handle.watch(run, after_sequence).await.map_err(|error| refused(&error))?;
        Ok(Response::new(Box::pin(events(self.handle.clone(), run, watch))))
    }

    async fn get_run_result(
        &self,
        request: Request<v1::GetRunResultRequest>,
    ) -> Answer<v1::GetRunResultResponse> {
        let run = run_of("name", &request.get_ref().name)?;
        let result = self.handle.result(run).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::GetRunResultResponse { result: Some((&result).into()) }))
    }

    async fn list_generations(
        &self,
        request: Request<v1::ListGenerationsRequest>,
    ) -> Answer<v1::ListGenerationsResponse> {
        let request = request.into_inner();
        let run = run_of("parent", &request.parent)?;
        let size = page::size(request.page_size)?;
        let from = page::position(&request.page_token, |token| {
            let (parent, from) = token.split_once('-')?;
            (parent.parse() == Ok(run)).then_some(())?;
            from.parse().ok()
        })?;
        let from = GenerationIndex(from.unwrap_or(0));
        // One more than the page, to know whether another follows.
        let generations =
            self.handle.generations(run, from, size as u32 + 1).await.map_err(|error| refused(&error))?;
        let (generations, next_page_token) =
            page::cut(generations, 0, size, |last| format!("{run}-{}", last.generation.next()));
        let generations = generations.iter().map(Into::into).collect();
        Ok(Response::new(v1::ListGenerationsResponse { generations, next_page_token }))
    }
}

/// How far a watcher is.
enum Watching {
    /// It waits for events.
    Open(Watch),
    /// The last event was the run's final state.
    Final(Watch),
    Ended,
}

/// The events of a run, and at their end whether the client has seen all of them: a watch that the driver dropped
/// before the final state breaks with `UNAVAILABLE`.
fn events(
    handle: Handle,
    run: RunId,
    watch: Watch,
) -> impl Stream<Item = Result<v1::WatchRunResponse, Status>> {
    let state = (handle, Watching::Open(watch), false);
    stream::unfold(state, move |(handle, watching, any)| async move {
        let (mut watch, is_final) = match watching {
            Watching::Open(watch) => (watch, false),
            Watching::Final(watch) => (watch, true),
            Watching::Ended => return None,
        };
        if let Some(event) = watch.recv().await {
            let is_final = match &event.event {
                RunEvent::State(state) => state.is_final(),
                _ => is_final,
            };
            let response =
                v1::WatchRunResponse { sequence: event.sequence, event: Some((&event.event).into()) };
            let watching = if is_final { Watching::Final(watch) } else { Watching::Open(watch) };
            return Some((Ok(response), (handle, watching, true)));
        }
        if is_final {
            return None;
        }
        let status = match handle.get(run).await {
            // It had ended before the client began to watch, and nothing was left to tell.
            Ok(progress) if progress.state.is_final() && !any => return None,
            Ok(_) => Status::unavailable("the watch was cut; watch again after the last sequence number"),
            Err(error) => refused(&error),
        };
        Some((Err(status), (handle, Watching::Ended, any)))
    })
}
