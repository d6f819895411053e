//! Who is let in: every RPC with every role, by certificate and by token.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hebbian_proto::v1::access_service_client::AccessServiceClient;
use hyper::http;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tonic::metadata::MetadataValue;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tower::ServiceExt as _;

use super::audit::{PeerInfo, Subject};
use super::*;
use crate::access::table::{self, Needs, Reach};
use crate::access::{AccessSettings, NewToken, Role};

/// A connection over memory whose peer has shown a certificate, or has not.
struct Peer(DuplexStream, PeerInfo);

impl Connected for Peer {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.1.clone()
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Who asks.
#[derive(Clone, Default)]
struct Identity {
    what: String,
    /// Whether a certificate is shown, and which role it names.
    has_certificate: bool,
    certificate: Option<Result<Role, String>>,
    token: Option<String>,
    /// What they may do, if they are let in at all.
    role: Option<Role>,
}

impl Identity {
    fn certificate(role: Option<Result<Role, String>>) -> Self {
        let what = format!("a certificate with the role {role:?}");
        Self {
            what,
            role: role.clone().and_then(Result::ok),
            has_certificate: true,
            certificate: role,
            token: None,
        }
    }

    fn token(what: &str, token: &str, role: Option<Role>) -> Self {
        Self { what: what.to_owned(), token: Some(token.to_owned()), role, ..Self::default() }
    }
}

struct Guarded {
    access: Arc<Access>,
    handle: Handle,
    dial: mpsc::Sender<io::Result<Peer>>,
    directory: tempfile::TempDir,
}

impl Guarded {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Some(directory.path().join("tokens.json"));
        let access = Access::new(AccessSettings { required: false, file }).unwrap();
        let (dial, connections) = mpsc::channel(4);
        let settings = TransportSettings {
            hello_timeout: Duration::from_millis(300),
            access: Arc::clone(&access),
            ..TransportSettings::default()
        };
        let handle = driver().await;
        tokio::spawn(serve(
            handle.clone(),
            ReceiverStream::new(connections),
            settings,
            CancellationToken::new(),
        ));
        Self { access, handle, dial, directory }
    }

    fn token(&self, name: &str, role: Role, group: &str) -> String {
        let new = NewToken { name: name.to_owned(), role, group: group.to_owned(), expires_in: None };
        self.access.create(&new, "", false).unwrap().1.text().to_owned()
    }

    async fn connect(&self, identity: &Identity) -> Channel {
        self.connect_until(identity, &CancellationToken::new()).await
    }

    /// A connection whose certificate, if there is one, is revoked by a token.
    async fn connect_until(&self, identity: &Identity, revoked: &CancellationToken) -> Channel {
        let remote_addr: Option<SocketAddr> = Some(([10, 0, 0, 7], 4242).into());
        let tcp = TcpConnectInfo { local_addr: None, remote_addr };
        let subject = identity.has_certificate.then(|| Subject("CN=alice".into()));
        let revoked = identity.has_certificate.then(|| revoked.clone());
        let info = PeerInfo { tcp, subject, role: identity.certificate.clone(), revoked };
        let dial = self.dial.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (dial, info) = (dial.clone(), info.clone());
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                dial.send(Ok(Peer(theirs, info))).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(ours))
            }
        });
        Endpoint::from_static("http://test").connect_with_connector(connector).await.unwrap()
    }
}

/// The status of a call's refusal; none if it was not refused at once. `message` is the call's first and only one.
async fn call(channel: &Channel, path: &str, token: Option<&str>, message: &[u8]) -> Option<Code> {
    let mut frame = vec![0, 0, 0, 0, message.len() as u8];
    frame.extend_from_slice(message);
    let body = tonic::body::Body::new(String::from_utf8(frame).unwrap());
    let mut request = http::Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = channel.clone().oneshot(request.body(body).unwrap());
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("in time").unwrap();
    let status = answer.headers().get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

fn is_denied(code: Option<Code>) -> bool {
    matches!(code, Some(Code::Unauthenticated | Code::PermissionDenied))
}

/// What the table says of somebody.
fn expected(needs: Needs, identity: &Identity) -> Option<Code> {
    match (needs, identity.role) {
        (Needs::Nothing, _) => None,
        (Needs::Role(needed), Some(role)) if role.may(needed) => None,
        (Needs::Role(_), Some(_)) => Some(Code::PermissionDenied),
        (Needs::Role(_), None) => Some(Code::Unauthenticated),
    }
}

async fn walk(guarded: &Guarded, identity: &Identity, expected: impl Fn(Needs) -> Option<Code>) {
    let channel = guarded.connect(identity).await;
    for (path, rule) in table::rpcs() {
        let code = call(&channel, path, identity.token.as_deref(), b"").await;
        match expected(rule.needs) {
            Some(denied) => assert_eq!(code, Some(denied), "{path} with {}", identity.what),
            None => assert!(!is_denied(code), "{path} with {}: {code:?}", identity.what),
        }
    }
}

#[tokio::test]
async fn every_rpc_is_for_the_roles_that_the_table_says() {
    let guarded = Guarded::new().await;
    let mut identities = vec![
        Identity { what: "nothing".to_owned(), ..Identity::default() },
        Identity::certificate(None),
        Identity::certificate(Some(Err("it names a role that there is not".to_owned()))),
        Identity::token("an unknown token", "hebbian_00", None),
        Identity::token("no word of a token", "", None),
    ];
    let admin = guarded.token("first", Role::Admin, "");
    for role in Role::ALL {
        identities.push(Identity::certificate(Some(Ok(role))));
        let token = guarded.token(role.name(), role, "");
        identities.push(Identity::token(role.name(), &token, Some(role)));
    }
    // Whoever shows a token is held to it, whatever the certificate says.
    let token = guarded.token("both", Role::Worker, "");
    identities.push(Identity {
        what: "an admin's certificate and a worker's token".to_owned(),
        has_certificate: true,
        certificate: Some(Ok(Role::Admin)),
        token: Some(token),
        role: Some(Role::Worker),
    });
    let revoked = guarded.token("revoked", Role::Admin, "");
    guarded.access.revoke("revoked", false).unwrap();
    identities.push(Identity::token("a revoked token", &revoked, None));
    let expired = guarded.token("expired", Role::Admin, "");
    let path = guarded.directory.path().join("tokens.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    for token in stored["tokens"].as_array_mut().unwrap() {
        if token["name"] == "expired" {
            token["expires_unix_s"] = 1.into();
        }
    }
    std::fs::write(&path, stored.to_string()).unwrap();
    guarded.access.reload().unwrap();
    identities.push(Identity::token("an expired token", &expired, None));
    for identity in &identities {
        walk(&guarded, identity, |needs| expected(needs, identity)).await;
    }
    let channel = guarded.connect(&identities[0]).await;
    let code = call(&channel, "/hebbian.v1.RunService/NoSuchRpc", Some(&admin), b"").await;
    assert_eq!(code, Some(Code::Unimplemented), "what has no row is not answered");
}

/// A revoked certificate is refused by the handshake (see `connection::tests`); what was opened with it before is answered no more,
/// whatever its role and whatever is asked.
#[tokio::test]
async fn no_rpc_is_answered_over_a_connection_whose_certificate_was_revoked() {
    let guarded = Guarded::new().await;
    guarded.token("first", Role::Admin, "");
    for role in Role::ALL.map(Some).into_iter().chain([None]) {
        let identity = Identity::certificate(role.map(Ok));
        for (path, _) in table::rpcs() {
            let revoked = CancellationToken::new();
            let channel = guarded.connect_until(&identity, &revoked).await;
            assert_eq!(call(&channel, "/grpc.health.v1.Health/Check", None, b"").await, None, "it is open");
            revoked.cancel();
            let request = http::Request::post(format!("http://test{path}"))
                .header("content-type", "application/grpc")
                .body(tonic::body::Body::empty());
            let answer = tokio::time::timeout(PATIENCE, channel.oneshot(request.unwrap())).await;
            assert!(answer.expect("in time").is_err(), "{path} with {}", identity.what);
        }
    }
}

/// A standby lets in as the leader does, and says to nobody else who leads.
#[tokio::test]
async fn a_standby_is_for_the_roles_that_the_table_says() {
    let guarded = Guarded::new().await;
    guarded.token("first", Role::Admin, "");
    let (dial, connections) = mpsc::channel(4);
    let settings = TransportSettings { access: Arc::clone(&guarded.access), ..TransportSettings::default() };
    let (_tell, seen) = tokio::sync::watch::channel(None);
    let (_ready, could_lead) = tokio::sync::watch::channel(false);
    tokio::spawn(standby::serve_standby(
        (seen, could_lead),
        ReceiverStream::new(connections),
        settings,
        CancellationToken::new(),
    ));
    let standby = Guarded { dial, ..guarded };
    let mut identities = vec![
        Identity { what: "nothing".to_owned(), ..Identity::default() },
        Identity::token("an unknown token", "hebbian_00", None),
    ];
    for role in Role::ALL {
        identities.push(Identity::certificate(Some(Ok(role))));
        identities.push(Identity::token(role.name(), &standby.token(role.name(), role, ""), Some(role)));
    }
    for identity in &identities {
        walk(&standby, identity, |needs| expected(needs, identity)).await;
    }
    let channel = standby.connect(&Identity::certificate(Some(Ok(Role::Observer)))).await;
    let told = ClusterServiceClient::new(channel)
        .get_coordinator_status(v1::GetCoordinatorStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!told.status.unwrap().leadership.unwrap().leads);
}

#[tokio::test]
async fn without_tokens_whoever_names_no_role_may_do_everything() {
    let guarded = Guarded::new().await;
    let open = [
        Identity { what: "nothing".to_owned(), ..Identity::default() },
        Identity::certificate(None),
        Identity::token("another coordinator's token", "hebbian_00", None),
    ];
    for identity in open {
        walk(&guarded, &identity, |_| None).await;
    }
    for role in Role::ALL {
        let identity = Identity::certificate(Some(Ok(role)));
        walk(&guarded, &identity, |needs| expected(needs, &identity)).await;
    }
}

#[tokio::test]
async fn a_token_of_a_group_is_for_the_runs_of_that_group() {
    let guarded = Guarded::new().await;
    guarded.token("first", Role::Admin, "");
    let token = guarded.token("mine", Role::Operator, "mine");
    let identity = Identity::token("a token of a group", &token, Some(Role::Operator));
    let channel = guarded.connect(&identity).await;
    let header: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    let mut runs =
        RunServiceClient::with_interceptor(channel.clone(), move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert("authorization", header.clone());
            Ok(request)
        });
    let create = |group: &str, request_id: &str| v1::CreateRunRequest {
        spec: minimal("run"),
        request_id: request_id.to_owned(),
        group: group.to_owned(),
        weight: None,
    };
    let spec = hebbian_shared::spec::RunSpec::read(&minimal("run")).unwrap();
    let new = hebbian_control::command::run::Create::new(crate::handle::new_run_id(), spec);
    let new = hebbian_control::command::run::Create { group: "other".into(), request_id: "id".into(), ..new };
    let other = guarded.handle.create(new).await.unwrap();
    let own = runs.create_run(create("", "")).await.unwrap().into_inner().run.unwrap();
    assert_eq!(own.group, "mine");
    assert!(own.notes[0].contains("10.0.0.7:4242 (token `mine`)"), "{:?}", own.notes);
    let deleted = runs.create_run(create("mine", "")).await.unwrap().into_inner().run.unwrap();
    check(&runs.create_run(create("other", "")).await.unwrap_err(), Code::InvalidArgument, "group");
    // Nor is a creation of another group told by its name.
    assert_eq!(runs.create_run(create("", "id")).await.unwrap_err().code(), Code::AlreadyExists);
    let listed = runs.list_runs(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(listed.iter().map(|run| run.group.as_str()).collect::<Vec<_>>(), ["mine", "mine"]);
    for (path, rule) in table::rpcs() {
        // The first field of every request about a run is the run's name.
        let of = |name: &str| [&[0x0a, name.len() as u8], name.as_bytes()].concat();
        let code = call(&channel, path, Some(&token), &of(&other.name)).await;
        match rule.reach {
            Reach::Cluster => assert_eq!(code, Some(Code::PermissionDenied), "{path}"),
            Reach::Runs if rule.needs == Needs::Nothing => assert!(!is_denied(code), "{path}"),
            Reach::Runs if path.ends_with("/CreateRun") || path.ends_with("/ListRuns") => {}
            Reach::Runs => {
                assert_eq!(code, Some(Code::NotFound), "{path}");
                let deletes = path.ends_with("/DeleteRun");
                let name = if deletes { &deleted.name } else { &own.name };
                assert_ne!(call(&channel, path, Some(&token), &of(name)).await, code, "{path}");
            }
        }
    }
}

/// A worker's stream, and what keeps it open.
async fn attach(
    channel: &Channel,
    token: Option<&str>,
) -> Result<(mpsc::Sender<v1::AttachRequest>, tonic::Streaming<v1::AttachResponse>), tonic::Status> {
    let (sender, queue) = mpsc::channel(4);
    let mut hello = hello();
    if let Some(RequestKind::Hello(hello)) = &mut hello.kind {
        hello.episode_semantics = EPISODE_SEMANTICS;
    }
    sender.send(hello).await.unwrap();
    let mut request = tonic::Request::new(ReceiverStream::new(queue));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", authorised(token));
    }
    let answer = DispatchServiceClient::new(channel.clone()).attach(request).await;
    answer.map(|stream| (sender, stream.into_inner()))
}

fn authorised(token: &str) -> MetadataValue<tonic::metadata::Ascii> {
    format!("Bearer {token}").parse().unwrap()
}

/// Waits until a stream that has begun is over.
async fn end_of(mut stream: tonic::Streaming<v1::AttachResponse>) {
    let end = async { while let Ok(Some(_)) = stream.message().await {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream ends");
}

#[tokio::test]
async fn what_a_revoked_token_has_opened_ends() {
    let guarded = Guarded::new().await;
    let admin = guarded.token("first", Role::Admin, "");
    let worker = guarded.token("worker", Role::Worker, "");
    let channel = guarded.connect(&Identity::default()).await;
    let (_sender, mut stream) = attach(&channel, Some(&worker)).await.unwrap();
    assert!(matches!(stream.message().await.unwrap().unwrap().kind, Some(ResponseKind::Welcome(_))));
    let other = guarded.connect(&Identity::default()).await;
    let mut request = tonic::Request::new(v1::RevokeTokenRequest { name: "worker".to_owned() });
    request.metadata_mut().insert("authorization", authorised(&admin));
    AccessServiceClient::new(other).revoke_token(request).await.unwrap();
    end_of(stream).await;
    let refused = attach(&channel, Some(&worker)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("`worker` was revoked"), "{refused}");
}

/// The token itself is still answered, over a connection that was open, too.
#[tokio::test]
async fn what_was_opened_without_a_token_ends_when_there_is_one() {
    let guarded = Guarded::new().await;
    let channel = guarded.connect(&Identity::default()).await;
    let (_sender, mut stream) = attach(&channel, None).await.unwrap();
    assert!(matches!(stream.message().await.unwrap().unwrap().kind, Some(ResponseKind::Welcome(_))));
    let other = guarded.connect(&Identity::default()).await;
    let request = v1::CreateTokenRequest {
        name: "first".to_owned(),
        role: v1::Role::Admin.into(),
        ..v1::CreateTokenRequest::default()
    };
    let made = AccessServiceClient::new(other).create_token(request).await.unwrap().into_inner();
    end_of(stream).await;
    let channel = guarded.connect(&Identity::default()).await;
    assert_eq!(attach(&channel, None).await.unwrap_err().code(), Code::Unauthenticated);
    attach(&channel, Some(&made.secret)).await.unwrap();
}
