//! `/api`: what the page shows and does as JSON, for programs that speak no gRPC. Messages are those of `hebbian.v1`.

use std::collections::BTreeMap;
use std::time::Duration;

use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Get, GetResult, List, RunAction};
use hebbian_control::command::{Refusal, worker};
use hebbian_proto::{json, v1};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::WAIT_MAX;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::{RunSpec, text};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Acts;
use crate::driver::reading::Generations;
use crate::handle::{Handle, new_run_id};
use crate::operator::Operator;

/// An answer: what is wrong, or JSON.
pub(super) type Answer = Result<Value, RequestError>;

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestError(pub(super) StatusCode, pub(super) String);

impl RequestError {
    fn input(problem: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, problem.into())
    }

    pub(super) fn nothing() -> Self {
        Self(StatusCode::NOT_FOUND, "there is nothing here; /api/openapi.json says what there is".to_owned())
    }
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoSuchRun(_) | Refusal::NoSuchWorker(_) => StatusCode::NOT_FOUND,
            Refusal::Spec(_) | Refusal::Field { .. } => StatusCode::BAD_REQUEST,
            Refusal::RequestIdReused(_) | Refusal::WrongState { .. } | Refusal::NoStandby => {
                StatusCode::CONFLICT
            }
            Refusal::Limit(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Journal(_) | Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refusal.to_string())
    }
}

fn run_of(id: &str) -> Result<RunId, RequestError> {
    id.parse().map_err(|_| RequestError(StatusCode::NOT_FOUND, format!("there is no run `{id}` here")))
}

/// The page that a query asks for: `page_size` and `page_token`.
fn page_of(query: &str) -> Result<PageRequest, RequestError> {
    let mut page = PageRequest::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("page_size", size)) => {
                page.size =
                    size.parse().map_err(|_| RequestError::input("page_size: must be a whole number"))?;
            }
            Some(("page_token", token)) => token.clone_into(&mut page.token),
            _ => return Err(RequestError::input("the query may have page_size and page_token")),
        }
    }
    Ok(page)
}

/// What is asked at a path below `/api/`.
pub(super) async fn get(handle: &Handle, path: &str, query: &str) -> Answer {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["status"] => Ok(json::of(&handle.ask(Status).await?)),
        ["runs"] => {
            let page = handle.ask(List { page: page_of(query)? }).await?;
            let runs: Vec<Value> = page.items.iter().map(json::of).collect();
            Ok(json!({ "runs": runs, "next_page_token": page.next_token }))
        }
        ["runs", run] => Ok(json::of(&handle.ask(Get { run: run_of(run)? }).await?)),
        ["runs", run, "result"] => Ok(json::of(&handle.ask(GetResult { run: run_of(run)? }).await?)),
        ["runs", run, "generations"] => {
            let page = handle.ask(Generations { run: run_of(run)?, page: page_of(query)? }).await?;
            let generations: Vec<Value> = page.items.iter().map(json::of).collect();
            Ok(json!({ "generations": generations, "next_page_token": page.next_token }))
        }
        ["workers"] => {
            let page = handle.ask(worker::List { page: page_of(query)? }).await?;
            let workers: Vec<Value> = page.items.iter().map(json::of).collect();
            Ok(json!({ "workers": workers, "next_page_token": page.next_token }))
        }
        ["openapi.json"] => Ok(super::openapi::description()),
        _ => Err(RequestError::nothing()),
    }
}

/// What a fork may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fork {
    /// After how many generations of the parent; the last one without it.
    generations: Option<u32>,
    /// Other values of keys of the spec, `.` between sections.
    set: BTreeMap<String, Value>,
    /// A name for this creation.
    request_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Drain {
    within_s: Option<f64>,
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, RequestError> {
    let body = if body.trim().is_empty() { "{}" } else { body };
    serde_json::from_str(body).map_err(|error| RequestError::input(format!("the request's JSON: {error}")))
}

/// Does what `who` asks at a path below `/api/`, and has shown to be allowed.
pub(super) async fn post(handle: &Handle, acts: Acts, who: &str, (path, body): (&str, &str)) -> Answer {
    let parts: Vec<&str> = path.split('/').collect();
    let operator = Operator { handle, who };
    match parts[..] {
        ["runs", run, act @ ("pause" | "resume" | "cancel")] => {
            let action = match act {
                "pause" => RunAction::Pause,
                "resume" => RunAction::Resume,
                _ => RunAction::Cancel,
            };
            Ok(json::of(&operator.act(run_of(run)?, action).await?))
        }
        ["runs", run, "note"] => {
            let Note { text } = read(body)?;
            Ok(json::of(&operator.add_note(run_of(run)?, text, operator.who.to_owned()).await?))
        }
        ["runs", _, "extend" | "fork"] if acts == Acts::OfOneRun => {
            let problem =
                "`hebbian run` computes its spec and nothing else; a coordinator can extend and fork";
            Err(RequestError(StatusCode::CONFLICT, problem.to_owned()))
        }
        ["runs", run, "extend"] => {
            let run = run_of(run)?;
            let limits: StopSpec =
                text::read(body).map_err(|error| RequestError::input(error.to_string()))?;
            Ok(json::of(&operator.extend(run, limits).await?))
        }
        ["runs", run, "fork"] => Ok(json::of(&fork(operator, run_of(run)?, read(body)?).await?)),
        ["workers", worker, "drain"] => {
            let Drain { within_s } = read(body)?;
            let within = within_s.map(|within| {
                let within = Duration::try_from_secs_f64(within).ok();
                let within = within.filter(|within| !within.is_zero() && *within <= WAIT_MAX);
                within.ok_or_else(|| RequestError::input("within_s: must be above 0 and at most an hour"))
            });
            let worker = worker.parse().map_err(|_| RequestError::nothing())?;
            Ok(json::of(&operator.drain(WorkerId(worker), within.transpose()?).await?))
        }
        _ => Err(RequestError::nothing()),
    }
}

async fn fork(operator: Operator<'_>, parent: RunId, asked: Fork) -> Result<v1::Run, RequestError> {
    let Fork { generations, set, request_id } = asked;
    let result = operator.handle.ask(GetResult { run: parent }).await?;
    let spec = changed(&result.spec, &set)?;
    let request_id = if request_id.is_empty() { format!("page-{}", new_run_id()) } else { request_id };
    let owner = operator.who.to_owned();
    Ok(operator.fork((parent, generations), spec, request_id, (owner, None)).await?)
}

/// A spec with some keys set to other values.
fn changed(spec: &str, set: &BTreeMap<String, Value>) -> Result<RunSpec, RequestError> {
    let mut tree: Value =
        serde_json::from_str(spec).map_err(|error| RequestError::input(error.to_string()))?;
    for (key, value) in set {
        let mut place = &mut tree;
        for part in key.split('.') {
            let object = place.as_object_mut();
            let object =
                object.ok_or_else(|| RequestError::input(format!("set: `{key}` is not below a section")))?;
            place = object.entry(part).or_insert_with(|| json!({}));
        }
        *place = value.clone();
    }
    RunSpec::read(&tree.to_string())
        .map_err(|error| RequestError::input(format!("the spec with its changes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forks_spec_is_its_parents_with_changes() {
        let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
        let spec = hebbian_shared::spec::ResolvedSpec::from(spec).json().to_owned();
        let with = |key: &str, value: Value| changed(&spec, &BTreeMap::from([(key.to_owned(), value)]));
        assert_eq!(with("stop.generations", json!(500)).unwrap().stop.generations, Some(500));
        assert_eq!(with("name", json!("other")).unwrap().name, "other");
        let RequestError(status, problem) = with("seed.x", json!(1)).unwrap_err();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(problem.contains("`seed.x` is not below a section"), "{problem}");
        assert!(with("stop.generation", json!(1)).unwrap_err().1.contains("generation"));
    }

    #[test]
    fn a_query_names_a_page() {
        assert_eq!(page_of("").unwrap().size, 0);
        let page = page_of("page_size=7&page_token=a-b").unwrap();
        assert_eq!((page.size, page.token.as_str()), (7, "a-b"));
        assert!(page_of("size=7").is_err() && page_of("page_size=x").is_err());
    }
}
