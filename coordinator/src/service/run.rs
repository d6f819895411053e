//! Runs, for clients.

use std::pin::Pin;

use futures_util::{Stream, stream};
use hebbian_control::command::Refusal;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Create, Get, GetResult, List, RunAction};
use hebbian_proto::convert::{ConvertError, parse_run_name};
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_service_server::RunService;
use hebbian_shared::dispatch::WEIGHT_DEFAULT;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::text;
use tonic::{Request, Response, Status};

use super::status::{ask, invalid, refused};
use super::{audit, spec_text};
use crate::access::table::{ACTS, LOOKS, Row};
use crate::driver::reading::{Generations, RunEvents, Watch};
use crate::handle::{Handle, new_run_id};
use crate::operator::Operator;

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[
    ("/hebbian.v1.RunService/CreateRun", ACTS),
    ("/hebbian.v1.RunService/GetRun", LOOKS),
    ("/hebbian.v1.RunService/ListRuns", LOOKS),
    ("/hebbian.v1.RunService/PauseRun", ACTS),
    ("/hebbian.v1.RunService/ResumeRun", ACTS),
    ("/hebbian.v1.RunService/CancelRun", ACTS),
    ("/hebbian.v1.RunService/DeleteRun", ACTS),
    ("/hebbian.v1.RunService/ExtendRun", ACTS),
    ("/hebbian.v1.RunService/AddRunNote", ACTS),
    ("/hebbian.v1.RunService/ForkRun", ACTS),
    ("/hebbian.v1.RunService/WatchRun", LOOKS),
    ("/hebbian.v1.RunService/GetRunResult", LOOKS),
    ("/hebbian.v1.RunService/GetWarmStart", LOOKS),
    ("/hebbian.v1.RunService/ListGenerations", LOOKS),
];

/// Answers for runs.
#[derive(Debug)]
pub(super) struct Runs {
    handle: Handle,
}

impl Runs {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The run that a request names. One of another group than the caller's is not there.
    async fn run_of(&self, field: &str, name: &str, group: Option<&str>) -> Result<RunId, Status> {
        let run = parse_run_name(field, name).map_err(|error| invalid(&error))?;
        if let Some(group) = group
            && ask(&self.handle, Get { run }).await?.group != group
        {
            return Err(refused(&Refusal::NoSuchRun(run)));
        }
        Ok(run)
    }

    async fn act<T>(&self, request: &Request<T>, name: &str, action: RunAction) -> Result<v1::Run, Status>
    where
        T: Sync,
    {
        let (who, group) = (audit::who(request), audit::group(request));
        let run = self.run_of("name", name, group.as_deref()).await?;
        self.operator(&who).act(run, action).await.map_err(|error| refused(&error))
    }

    fn operator<'a>(&'a self, who: &'a str) -> Operator<'a> {
        Operator { handle: &self.handle, who }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RunService for Runs {
    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Answer<v1::CreateRunResponse> {
        let (who, owner, only) = (audit::who(&request), audit::owner(&request), audit::group(&request));
        let v1::CreateRunRequest { spec, request_id, group, weight } = request.into_inner();
        // Whoever has one group need not name it.
        let group = match &only {
            Some(only) if group.is_empty() => only.to_string(),
            Some(only) if **only != *group => {
                let problem =
                    format!("must be `{only}` or empty: the token is for the runs of that group only");
                return Err(invalid(&ConvertError::new("group", problem)));
            }
            _ => group,
        };
        let weight = weight.unwrap_or(WEIGHT_DEFAULT);
        let by = who.clone();
        let spec = spec_text::spec(spec).await?;
        let create = Create { request_id, group, weight, by, owner, ..Create::new(new_run_id(), spec) };
        let run = self.operator(&who).create(create, only.as_deref()).await;
        let run = run.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::CreateRunResponse { run: Some(run) }))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Answer<v1::GetRunResponse> {
        let group = audit::group(&request);
        let run = self.run_of("name", &request.get_ref().name, group.as_deref()).await?;
        let run = Some(ask(&self.handle, Get { run }).await?);
        Ok(Response::new(v1::GetRunResponse { run }))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Answer<v1::ListRunsResponse> {
        let group = audit::group(&request);
        let v1::ListRunsRequest { page_size: size, page_token: token } = request.into_inner();
        let mut page = ask(&self.handle, List { page: PageRequest { size, token } }).await?;
        page.items.retain(|run| group.as_deref().is_none_or(|group| run.group == group));
        Ok(Response::new(v1::ListRunsResponse { runs: page.items, next_page_token: page.next_token }))
    }

    async fn pause_run(&self, request: Request<v1::PauseRunRequest>) -> Answer<v1::PauseRunResponse> {
        let run = Some(self.act(&request, &request.get_ref().name, RunAction::Pause).await?);
        Ok(Response::new(v1::PauseRunResponse { run }))
    }

    async fn resume_run(&self, request: Request<v1::ResumeRunRequest>) -> Answer<v1::ResumeRunResponse> {
        let run = Some(self.act(&request, &request.get_ref().name, RunAction::Resume).await?);
        Ok(Response::new(v1::ResumeRunResponse { run }))
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Answer<v1::CancelRunResponse> {
        let run = Some(self.act(&request, &request.get_ref().name, RunAction::Cancel).await?);
        Ok(Response::new(v1::CancelRunResponse { run }))
    }

    async fn delete_run(&self, request: Request<v1::DeleteRunRequest>) -> Answer<v1::DeleteRunResponse> {
        self.act(&request, &request.get_ref().name, RunAction::Delete).await?;
        Ok(Response::new(v1::DeleteRunResponse {}))
    }

    async fn extend_run(&self, request: Request<v1::ExtendRunRequest>) -> Answer<v1::ExtendRunResponse> {
        let (who, group) = (audit::who(&request), audit::group(&request));
        let v1::ExtendRunRequest { name, limits } = request.into_inner();
        let run = self.run_of("name", &name, group.as_deref()).await?;
        let limits: StopSpec =
            spec_text::read(limits, text::read, |error| ConvertError::of_text("limits", error)).await?;
        let run = self.operator(&who).extend(run, limits).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::ExtendRunResponse { run: Some(run) }))
    }

    async fn add_run_note(&self, request: Request<v1::AddRunNoteRequest>) -> Answer<v1::AddRunNoteResponse> {
        let (who, group) = (audit::who(&request), audit::group(&request));
        let by = audit::named(&request).unwrap_or_default();
        let v1::AddRunNoteRequest { name, text } = request.into_inner();
        let run = self.run_of("name", &name, group.as_deref()).await?;
        let run = self.operator(&who).add_note(run, text, by).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::AddRunNoteResponse { run: Some(run) }))
    }

    async fn fork_run(&self, request: Request<v1::ForkRunRequest>) -> Answer<v1::ForkRunResponse> {
        let (who, owner, group) = (audit::who(&request), audit::owner(&request), audit::group(&request));
        let v1::ForkRunRequest { name, generations, spec, request_id } = request.into_inner();
        let run = self.run_of("name", &name, group.as_deref()).await?;
        let spec = spec_text::spec(spec).await?;
        let asker = (owner, group.as_deref());
        let fork = self.operator(&who).fork((run, generations), spec, request_id, asker).await;
        let fork = fork.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::ForkRunResponse { run: Some(fork) }))
    }

    type WatchRunStream = Pin<Box<dyn Stream<Item = Result<v1::WatchRunResponse, Status>> + Send>>;

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Answer<Self::WatchRunStream> {
        let (owner, group) = (audit::owner(&request), audit::group(&request));
        let v1::WatchRunRequest { name, after_sequence } = request.into_inner();
        let run = self.run_of("name", &name, group.as_deref()).await?;
        let watch = ask(&self.handle, Watch { run, after: after_sequence, owner }).await?;
        Ok(Response::new(Box::pin(events(self.handle.clone(), run, watch))))
    }

    async fn get_run_result(
        &self,
        request: Request<v1::GetRunResultRequest>,
    ) -> Answer<v1::GetRunResultResponse> {
        let group = audit::group(&request);
        let run = self.run_of("name", &request.get_ref().name, group.as_deref()).await?;
        let result = Some(ask(&self.handle, GetResult { run }).await?);
        Ok(Response::new(v1::GetRunResultResponse { result }))
    }

    async fn get_warm_start(
        &self,
        request: Request<v1::GetWarmStartRequest>,
    ) -> Answer<v1::GetWarmStartResponse> {
        let group = audit::group(&request);
        let v1::GetWarmStartRequest { name, generations } = request.into_inner();
        let run = self.run_of("name", &name, group.as_deref()).await?;
        let begun = self.handle.warm_start((run, generations.map(GenerationIndex))).await;
        let (spec, GenerationIndex(generations)) = begun.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::GetWarmStartResponse { spec: spec.to_toml(), generations }))
    }

    async fn list_generations(
        &self,
        request: Request<v1::ListGenerationsRequest>,
    ) -> Answer<v1::ListGenerationsResponse> {
        let group = audit::group(&request);
        let v1::ListGenerationsRequest { parent, page_size: size, page_token: token } = request.into_inner();
        let run = self.run_of("parent", &parent, group.as_deref()).await?;
        let page = ask(&self.handle, Generations { run, page: PageRequest { size, token } }).await?;
        let (generations, next_page_token) = (page.items, page.next_token);
        Ok(Response::new(v1::ListGenerationsResponse { generations, next_page_token }))
    }
}

/// How far a watcher is.
enum Watching {
    /// It waits for events.
    Open(RunEvents),
    /// The last event was the run's final state.
    Final(RunEvents),
    Ended,
}

/// The events of a run, and at their end whether the client has seen all of them: a watch that the driver dropped
/// before the final state breaks with `UNAVAILABLE`.
fn events(
    handle: Handle,
    run: RunId,
    watch: RunEvents,
) -> impl Stream<Item = Result<v1::WatchRunResponse, Status>> {
    let state = (handle, Watching::Open(watch), false);
    stream::unfold(state, move |(handle, watching, any)| async move {
        let (mut watch, is_final) = match watching {
            Watching::Open(watch) => (watch, false),
            Watching::Final(watch) => (watch, true),
            Watching::Ended => return None,
        };
        if let Some(event) = watch.recv().await {
            let state = event.event.as_ref().and_then(v1::RunEvent::state);
            let is_final = state.map_or(is_final, RunState::is_final);
            let watching = if is_final { Watching::Final(watch) } else { Watching::Open(watch) };
            return Some((Ok(event), (handle, watching, true)));
        }
        if is_final {
            return None;
        }
        let status = match handle.ask(Get { run }).await {
            // It had ended before the client began to watch, and nothing was left to tell.
            Ok(run) if run.is_final() && !any => return None,
            Ok(_) => Status::unavailable("the watch was cut; watch again after the last sequence number"),
            Err(error) => refused(&error),
        };
        Some((Err(status), (handle, Watching::Ended, any)))
    })
}
