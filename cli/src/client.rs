//! A client of a coordinator: connects, names runs, gives up in time, and turns refusals into one-line failures.

mod leading;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_client::ClusterServiceClient;
use hebbian_proto::v1::run_service_client::RunServiceClient;
use hebbian_shared::limits::PEER_MESSAGE_BYTES_MAX;
use hebbian_shared::spec::{ResolvedSpec, RunSpec};
use hebbian_worker::session::{Authorised, Bearer, Security, remedy};
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::configuration::DEFAULT_COORDINATOR;
use crate::credentials::ClientCredentials;
use crate::failure::{Failure, FailureKind};
pub(crate) use leading::{Again, ask};

/// Which coordinator, and for how long to try.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientArguments {
    /// The coordinator's address, or several that are tried in turn; `file:PATH` takes those in a file.
    #[arg(long, value_name = "URL[,URL]", env = "HEBBIAN_COORDINATOR", default_value = DEFAULT_COORDINATOR)]
    pub(crate) coordinator: String,
    /// Give up when the coordinator has not answered for this long: `500ms`, `10s`, `2min`.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::time::parse)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) credentials: ClientCredentials,
}

/// The reason that a standby gives; it has done nothing.
const STANDBY: &str = "STANDBY";

/// Runs or workers of a page: as many as the coordinator likes.
const PAGE_SIZE: u32 = 0;

/// A connection to a coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    runs: RunServiceClient<Authorised>,
    cluster: ClusterServiceClient<Authorised>,
    channel: Authorised,
    security: Security,
    url: String,
    timeout: Duration,
}

impl ClientArguments {
    /// The addresses, with the name of the setting that has them, and what is shown there.
    fn endpoints(&self) -> Result<(&'static str, Vec<Endpoint>, Bearer), Failure> {
        let Self { coordinator, credentials, .. } = self;
        let addresses: Vec<String> = coordinator
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect();
        let field = match std::env::var("HEBBIAN_COORDINATOR") {
            Ok(value) if value == *coordinator => "HEBBIAN_COORDINATOR",
            _ => "--coordinator",
        };
        let (endpoints, bearer) = credentials.endpoints(field, &addresses)?;
        Ok((field, endpoints, bearer))
    }
}

impl Client {
    /// Connects to an address; what is shown there is a bearer, and whether a certificate is.
    async fn connect_to(
        endpoint: Endpoint,
        timeout: Duration,
        (bearer, shows_certificate): (&Bearer, bool),
    ) -> Result<Self, Failure> {
        let url = endpoint.uri().to_string().trim_end_matches('/').to_owned();
        let security = Security::new(url.starts_with("https"), shows_certificate);
        let endpoint = endpoint
            .connect_timeout(timeout)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(timeout);
        let unreachable = |problem: &str| {
            Failure::unreachable(format_args!("{url}: no coordinator answers: {problem}"))
                .hint("start one with `hebbian coordinator`, or name it with --coordinator URL or HEBBIAN_COORDINATOR")
        };
        let channel = match tokio::time::timeout(timeout, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                let problem = root_cause(&error);
                let failure = if problem.contains("invalid peer certificate") {
                    Failure::unreachable(format_args!("{url}: its certificate is not trusted: {problem}"))
                } else {
                    unreachable(&problem)
                };
                return Err(match remedy(&problem, security) {
                    Some(remedy) => failure.hint(remedy),
                    None => failure,
                });
            }
            Err(_) => {
                return Err(unreachable(&format!("timeout after {}", humantime::format_duration(timeout))));
            }
        };
        let channel = bearer.clone().with(channel);
        Ok(Self {
            runs: RunServiceClient::new(channel.clone()).max_decoding_message_size(PEER_MESSAGE_BYTES_MAX),
            cluster: ClusterServiceClient::new(channel.clone())
                .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX),
            channel,
            security,
            url,
            timeout,
        })
    }

    /// The coordinator's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The transport, for services that other crates generate.
    pub(crate) fn channel(&self) -> Authorised {
        self.channel.clone()
    }

    /// Waits for an answer, but not for ever.
    pub(crate) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.status(&status)),
            Err(_) => Err(Failure::unreachable(format_args!(
                "{}: no answer after {}",
                self.url,
                humantime::format_duration(self.timeout)
            ))
            .hint("--timeout TIME waits longer")),
        }
    }

    /// A refusal as a failure.
    fn status(&self, status: &Status) -> Failure {
        // What the coordinator says has no source; what has one arose on the way, whatever its code.
        if let Some(source) = std::error::Error::source(status) {
            let cause = root_cause(source);
            let failure = Failure::unreachable(format_args!("{}: the connection broke: {cause}", self.url));
            return match remedy(&cause, self.security) {
                Some(remedy) => failure.hint(remedy),
                None => failure,
            };
        }
        let message = match status.get_error_details().bad_request() {
            Some(request) if !request.field_violations.is_empty() => {
                let violation = &request.field_violations[0];
                let field = violation.field.strip_prefix("spec.").unwrap_or(&violation.field);
                if field == "spec" || violation.description.starts_with(field) {
                    violation.description.clone()
                } else {
                    format!("{field}: {}", violation.description)
                }
            }
            _ => status.message().to_owned(),
        };
        match status.code() {
            Code::NotFound => Failure::not_found(message),
            Code::InvalidArgument | Code::AlreadyExists => Failure::bad_input(message),
            Code::Unauthenticated | Code::PermissionDenied => {
                Failure::failed(format_args!("{}: {message}", self.url))
            }
            Code::Unavailable | Code::DeadlineExceeded => {
                let failure = Failure::unreachable(format_args!("{}: {message}", self.url));
                let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
                if reason.as_deref() == Some(STANDBY) { failure.undone() } else { failure }
            }
            Code::Unimplemented => Failure::failed(format_args!(
                "{}: the server there is no hebbian coordinator of this version ({message})",
                self.url
            )),
            _ => Failure::failed(message),
        }
    }

    /// An answer of a newer coordinator that this program does not understand.
    pub(crate) fn misunderstood(&self, error: &ConvertError) -> Failure {
        Failure::failed(format_args!("{}: the coordinator's answer cannot be read: {error}", self.url))
            .hint("is the coordinator newer than this program? `hebbian status` shows its version")
    }

    /// What an answer must hold in `field`.
    pub(crate) fn held<T>(&self, field: &str, message: Option<T>) -> Result<T, Failure> {
        message.ok_or_else(|| self.misunderstood(&ConvertError::new(field, "must be set")))
    }

    /// The calls that are about runs; [`Client::answer`] waits for theirs.
    pub(crate) fn runs(&self) -> RunServiceClient<Authorised> {
        self.runs.clone()
    }

    /// The calls that are about the cluster.
    pub(crate) fn cluster(&self) -> ClusterServiceClient<Authorised> {
        self.cluster.clone()
    }

    /// Creates a run; repeating it with the same `request_id` is safe.
    pub(crate) async fn create(
        &self,
        spec: RunSpec,
        request_id: String,
        group: String,
        weight: f64,
    ) -> Result<v1::Run, Failure> {
        let spec = ResolvedSpec::from(spec).json().to_owned();
        let request = v1::CreateRunRequest { spec, request_id, group, weight: Some(weight) };
        let response = self.answer(self.runs().create_run(request)).await?;
        self.held("run", response.run)
    }

    /// How a run stands.
    pub(crate) async fn get(&self, name: String) -> Result<v1::Run, Failure> {
        let request = v1::GetRunRequest { name };
        let response = self.answer(self.runs().get_run(request)).await?;
        self.held("run", response.run)
    }

    /// All runs in order of creation.
    pub(crate) async fn list(&self) -> Result<Vec<v1::Run>, Failure> {
        pages(async |page_token| {
            let request = v1::ListRunsRequest { page_size: PAGE_SIZE, page_token };
            let page = self.answer(self.runs().list_runs(request)).await?;
            Ok((page.runs, page.next_page_token))
        })
        .await
    }

    /// The run that the user means: an id, the beginning of one, or a spec's name.
    pub(crate) async fn find(&self, name: &str) -> Result<v1::Run, Failure> {
        choose(name, &self.list().await?).map_err(|failure| match failure.kind() {
            FailureKind::NotFound if Path::new(name).exists() => failure.hint(format_args!(
                "`{name}` is a file or directory here, and this is a question to {}; `hebbian report` and `hebbian plot` read those",
                self.url
            )),
            _ => failure,
        })
    }

    /// What a run has found.
    pub(crate) async fn result(&self, name: String) -> Result<v1::RunResult, Failure> {
        let response = self.answer(self.runs().get_run_result(v1::GetRunResultRequest { name })).await?;
        self.held("result", response.result)
    }

    /// The spec of a run, as it was created.
    pub(crate) async fn spec(&self, name: String) -> Result<ResolvedSpec, Failure> {
        let spec = ResolvedSpec::from_json(self.result(name).await?.spec);
        spec.map_err(|error| self.misunderstood(&ConvertError::of_spec(&error)))
    }

    /// Committed events after a sequence number, then live ones.
    pub(crate) async fn watch(
        &self,
        name: String,
        after_sequence: u64,
    ) -> Result<Streaming<v1::WatchRunResponse>, Failure> {
        let request = v1::WatchRunRequest { name, after_sequence };
        self.answer(self.runs().watch_run(request)).await
    }

    /// Why a stream broke.
    pub(crate) fn broken(&self, status: &Status) -> Failure {
        self.status(status)
    }

    /// The attached workers.
    pub(crate) async fn workers(&self) -> Result<Vec<v1::Worker>, Failure> {
        pages(async |page_token| {
            let request = v1::ListWorkersRequest { page_size: PAGE_SIZE, page_token };
            let page = self.answer(self.cluster().list_workers(request)).await?;
            Ok((page.workers, page.next_page_token))
        })
        .await
    }
}

/// All of a list that comes in pages: `ask` gives what a token stands for, and the next one.
pub(crate) async fn pages<T>(
    ask: impl AsyncFn(String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut all, mut token) = ask(String::new()).await?;
    while !token.is_empty() {
        let (more, next) = ask(token).await?;
        all.extend(more);
        token = next;
    }
    Ok(all)
}

/// The innermost reason of an error: `connection refused` rather than `transport error`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Picks the run that `name` means: the run of that id, else the only one of that group and seed (`GROUP/SEED`) or spec
/// name, else the only one whose id begins so.
fn choose(name: &str, runs: &[v1::Run]) -> Result<v1::Run, Failure> {
    if name.is_empty() {
        return Err(Failure::bad_input(
            "a run is named by its id, the beginning of it, its GROUP/SEED, or its spec's name",
        ));
    }
    // `--json` prints `runs/ID`.
    let id = name.strip_prefix("runs/").unwrap_or(name).to_ascii_lowercase();
    let of_group = |run: &v1::Run| {
        let (group, seed) = name.rsplit_once('/').unwrap_or_default();
        !group.is_empty() && run.group == group && run.seed.to_string() == seed
    };
    let matches: [&dyn Fn(&v1::Run) -> bool; 4] =
        [&|run| run.id() == id, &of_group, &|run| run.display_name == name, &|run| run.id().starts_with(&id)];
    for fits in matches {
        let mut found: Vec<&v1::Run> = runs.iter().filter(|run| fits(run)).collect();
        if found.len() > 1 {
            let ids: Vec<&str> = found.iter().take(10).map(|run| run.id()).collect();
            let message = format!("`{name}` may mean any of {} runs: {}", found.len(), ids.join(", "));
            return Err(Failure::bad_input(message).hint("name the run by its whole id"));
        }
        if let Some(run) = found.pop() {
            return Ok(run.clone());
        }
    }
    Err(Failure::not_found(format_args!("there is no run `{name}`")).hint("`hebbian list` shows all runs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, name: &str) -> v1::Run {
        v1::Run { name: format!("runs/{id}"), display_name: name.to_owned(), seed: 1, ..Default::default() }
    }

    fn check(name: &str, expected: Result<&str, &str>) {
        let runs = vec![
            run("aaaa0000", "one"),
            run("aaaa1111", "two"),
            run("bbbb0000", "two"),
            run("cccc0000", "aaaa0000"),
            v1::Run { group: "g".into(), ..run("dddd0000", "two") },
        ];
        match (choose(name, &runs), expected) {
            (Ok(found), Ok(id)) => assert_eq!(found.id(), id),
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("`{name}` gave {found:?}"),
        }
    }

    #[test]
    fn a_run_is_named_by_id_prefix_or_spec() {
        check("aaaa1111", Ok("aaaa1111"));
        check("aaaa0000", Ok("aaaa0000"));
        check("one", Ok("aaaa0000"));
        check("b", Ok("bbbb0000"));
        check("BBBB", Ok("bbbb0000"));
        check("aaaa", Err("`aaaa` may mean any of 2 runs: aaaa0000, aaaa1111"));
        check("two", Err("`two` may mean any of 3 runs: aaaa1111, bbbb0000, dddd0000"));
        check("g/1", Ok("dddd0000"));
        check("g/2", Err("there is no run `g/2`"));
        check("three", Err("there is no run `three`"));
        check("", Err("a run is named by"));
    }
}
