//! The live page over a real connection, without a browser.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use hebbian_control::command::run::{Act, Create, RunAction};
use hebbian_shared::id::RunId;
use hebbian_shared::spec::RunSpec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::access::table::{self, Needs};
use crate::access::{AccessSettings, NewToken, Role};
use crate::driver::{self, DriverSettings};
use crate::handle::new_run_id;
use crate::journal;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

async fn start_site() -> (Handle, SocketAddr, CancellationToken, Token) {
    start_site_with(Access::open()).await
}

/// Says how often it was asked, and after how many numbers.
fn demonstrate() -> Demonstrate {
    let asked = AtomicU32::new(0);
    Arc::new(move |result| {
        let asked = asked.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(format!("<p>shown {asked}: {} numbers</p>", result.mean.len()))
    })
}

async fn start_site_with(access: Arc<Access>) -> (Handle, SocketAddr, CancellationToken, Token) {
    let journal = journal::open("memory:").unwrap();
    let (handle, _) = driver::start(DriverSettings::default(), journal).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let token = Token::random().unwrap();
    let entrance = Entrance { acts: Acts::All, token: token.clone(), access };
    let beside = Beside { demonstrate: Some(demonstrate()), ..Beside::default() };
    start(handle.clone(), listener, (entrance, beside), shutdown.clone()).unwrap();
    (handle, address, shutdown, token)
}

/// The whole answer to a request whose head is `lines`.
async fn ask_bytes(address: SocketAddr, first: &str, lines: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{first} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

async fn ask(address: SocketAddr, first: &str, lines: &str) -> String {
    String::from_utf8(ask_bytes(address, first, lines).await).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}"), &format!("Host: {address}\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_metrics_and_events_of_a_run_are_served() {
    let (handle, address, shutdown, _) = start_site().await;
    let list = get(address, "/").await;
    assert!(list.starts_with("HTTP/1.1 200 OK"), "{list}");
    assert!(
        list.contains("content-security-policy: default-src 'none'")
            && list.contains("There are no runs yet")
    );
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let run = handle.create(Create::new(new_run_id(), spec)).await.unwrap();
    let list = get(address, "/body").await;
    assert!(list.contains(&format!("<a href=\"/runs/{}\">quickstart</a>", run.id())), "{list}");
    let page = get(address, &format!("/runs/{}", run.id())).await;
    assert!(page.contains("<h1>quickstart</h1>") && page.contains("<figure id=\"fitness\">"), "{page}");
    assert!(get(address, "/metrics").await.contains("\nhebbian_runs{state=\"running\"} 1\n"));
    for (path, kind) in [("/live.js", "text/javascript"), ("/style.css", "text/css")] {
        assert!(get(address, path).await.contains(&format!("content-type: {kind}")));
    }
    // As browsers ask for it.
    let lines = format!("Host: {address}\r\nAccept-Encoding: br;q=1, gzip, zstd\r\n");
    let packed = ask_bytes(address, &format!("GET /runs/{}/body", run.id()), &lines).await;
    let body = packed.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&packed[..body]).contains("content-encoding: gzip"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[body..]), &mut text).unwrap();
    assert!(text.contains("<figure id=\"fitness\">") && packed.len() < text.len() / 2, "{}", packed.len());
    for path in ["/runs/ffffffffff", "/runs/x", "/runs/../events", "/nothing"] {
        assert!(get(address, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    // The creation is the run's first event.
    first_event(address, run.id()).await;
    shutdown.cancel();
}

/// Waits until a page of a run hears of a change.
async fn first_event(address: SocketAddr, run: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /runs/{run}/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    hear(&mut stream, "data: ").await;
}

/// Reads a stream until something has been said.
async fn hear(stream: &mut TcpStream, wanted: &str) {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "the stream has ended after {seen}");
        seen.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
}

/// The next event of such a run is always there already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_run_that_never_rests_hear_of_it() {
    let (handle, address, shutdown, _) = start_site().await;
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let id: RunId = run.id().parse().unwrap();
    // Each state is committed at once.
    let changing = tokio::spawn(async move {
        for action in [RunAction::Pause, RunAction::Resume].into_iter().cycle() {
            handle.ask(Act { run: id, action, by: String::new() }).await.unwrap();
        }
    });
    let told = tokio::time::timeout(Duration::from_secs(20), first_event(address, run.id())).await;
    assert!(told.is_ok(), "no page is told while there is always something new");
    changing.abort();
    shutdown.cancel();
}

/// However many are told of a change, the page is drawn for the first of them, also of a run that is further meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_drawn_once_for_all_who_were_told() {
    let journal = journal::open("memory:").unwrap();
    let (handle, _) = driver::start(DriverSettings::default(), journal).await.unwrap();
    let entrance = Entrance { acts: Acts::All, token: Token::random().unwrap(), access: Access::open() };
    let site = Site::new(handle.clone(), entrance, Beside::default());
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let id: RunId = run.id().parse().unwrap();
    let actor = handle.clone();
    let changing = tokio::spawn(async move {
        for action in [RunAction::Pause, RunAction::Resume].into_iter().cycle() {
            actor.ask(Act { run: id, action, by: String::new() }).await.unwrap();
        }
    });
    // Now and then pages are told of something else between the two.
    let mut shared = 0;
    for _ in 0..50 {
        let first = site.page(run.id(), Some(1)).await.unwrap();
        shared += u32::from(site.page(run.id(), Some(1)).await.unwrap().is_drawn_with(&first));
    }
    assert!(shared > 25, "{shared} of 50");
    let first = site.page(run.id(), None).await.unwrap();
    changing.abort();
    drop(changing.await);
    // Whoever asks by themselves sees all that is known.
    handle.ask(Act { run: id, action: RunAction::Cancel, by: String::new() }).await.unwrap();
    assert!(!site.page(run.id(), None).await.unwrap().is_drawn_with(&first));
    let (first, second) = (site.cluster(Some(7)).await, site.cluster(Some(7)).await);
    assert!(first.is_drawn_with(&second) && !site.cluster(Some(8)).await.is_drawn_with(&second));
    assert!(!site.list(None).await.is_drawn_with(&site.list(None).await));
    let compared = async |at| site.compared(run.id(), at).await.unwrap();
    assert!(compared(Some(7)).await.is_drawn_with(&compared(Some(7)).await));
    assert!(!compared(None).await.is_drawn_with(&compared(Some(7)).await));
}

/// A program that ends with its run shows the comparison before, and waits for those who look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hear_of_the_end_and_show_the_comparison() {
    let journal = journal::open("memory:").unwrap();
    let (handle, _) = driver::start(DriverSettings::default(), journal).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let entrance = Entrance { acts: Acts::OfOneRun, token: Token::random().unwrap(), access: Access::open() };
    let ending = Ending::default();
    let beside = Beside { ending: ending.clone(), ..Beside::default() };
    start(handle.clone(), listener, (entrance, beside), shutdown.clone()).unwrap();
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let path = format!("/runs/{}/body?at=1", run.id());
    assert!(!get(address, &path).await.contains("compared with baselines"));
    let mut listeners = Vec::new();
    for events in [format!("/runs/{}/events", run.id()), "/events".to_owned()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {events} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        listeners.push(stream);
    }
    ending.comparing();
    assert!(get(address, &path).await.contains("is being compared with baselines"));
    let score = hebbian_shared::estimate::Estimate { mean: 0.5, standard_error: 0.1 };
    let curve = hebbian_view::comparison::Curve { name: "<b>rule".to_owned(), scores: vec![score, score] };
    let group = hebbian_view::comparison::Group {
        name: "xor".to_owned(),
        score: "accuracy".to_owned(),
        updates: vec![1, 10],
        curves: vec![curve],
    };
    let over = tokio::spawn(async move { ending.end(vec![group]).await });
    for mut stream in listeners {
        hear(&mut stream, "event: end\ndata: end\n\n").await;
        // It is still there for whoever has not gone.
        let page = get(address, &path).await;
        assert!(page.contains("<figure id=\"comparison-1\">") && page.contains("&lt;b&gt;rule"), "{page}");
        assert!(!page.contains("is being compared"), "{page}");
    }
    over.await.unwrap();
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rule_does_is_computed_when_it_is_asked_for_and_once() {
    let (handle, address, shutdown, _) = start_site().await;
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let run = handle.create(Create::new(new_run_id(), spec)).await.unwrap();
    let path = format!("/runs/{}/demonstrated", run.id());
    let page = get(address, &format!("/runs/{}", run.id())).await;
    assert!(page.contains(&format!("<a href=\"{path}\">")), "{page}");
    for _ in 0..2 {
        let page = get(address, &path).await;
        assert!(page.contains("<p>shown 1: 68 numbers</p>") && page.contains("data-events=\"\""), "{page}");
    }
    assert!(get(address, "/runs/ffffffffff/demonstrated").await.starts_with("HTTP/1.1 404"));
    let told = get(address, "/api").await;
    assert!(told.starts_with("HTTP/1.1 404") && told.contains("/api/openapi.json"), "{told}");
    shutdown.cancel();
}

/// One address takes its share, and others are still answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_cannot_take_all_places() {
    let (_handle, address, shutdown, _) = start_site().await;
    let from = async |host: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((host, 0).into()).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!("GET /style.css HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let mut word = [0; 4];
        // A reset is as good an end as any.
        let answered =
            stream.write_all(request.as_bytes()).await.is_ok() && stream.read_exact(&mut word).await.is_ok();
        (answered && &word == b"HTTP").then_some(stream)
    };
    let mut open = Vec::new();
    for _ in 0..PAGE_CONNECTIONS_OF_ONE_MAX {
        open.push(from([127, 0, 0, 1]).await.expect("it is within its share"));
    }
    for _ in 0..2 * PAGE_CONNECTIONS_MAX {
        assert!(from([127, 0, 0, 1]).await.is_none());
    }
    assert!(from([127, 0, 0, 2]).await.is_some());
    open.truncate(PAGE_CONNECTIONS_OF_ONE_MAX / 2);
    // The server hears of the ends a moment later.
    let again = async {
        while from([127, 0, 0, 1]).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("places come back");
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_hosts_other_pages_and_changes_are_refused() {
    let (_handle, address, shutdown, _) = start_site().await;
    let status = async |first: &str, lines: &str| {
        let answer = ask(address, first, lines).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let host = format!("Host: {address}\r\n");
    assert_eq!(status("GET /", &host).await, "200");
    assert_eq!(status("GET /", &format!("Host: localhost:{}\r\n", address.port())).await, "200");
    assert_eq!(status("GET /", "Host: evil.example\r\n").await, "403");
    assert_eq!(status("GET /", "").await, "403");
    assert_eq!(status("GET /", &format!("{host}Origin: http://evil.example\r\n")).await, "403");
    assert_eq!(status("GET /", &format!("{host}Origin: http://{address}\r\n")).await, "200");
    assert_eq!(status("POST /", &host).await, "405");
    assert_eq!(status("DELETE /api/runs", &host).await, "405");
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_something_needs_the_token() {
    let (handle, address, shutdown, token) = start_site().await;
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let post = async |path: &str, lines: &str, body: &str| {
        let head = format!(
            "Host: {address}\r\nContent-Length: {}\r\n{lines}Connection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("POST /api/{path} HTTP/1.1\r\n{head}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str::<serde_json::Value>(body).unwrap())
    };
    let own = format!("Authorization: Bearer {}\r\n", token.text());
    let path = |act: &str| format!("runs/{}/{act}", run.id());
    for lines in ["", "Authorization: Bearer 0\r\n", &format!("{own}Origin: http://evil.example\r\n")] {
        let (status, said) = post(&path("cancel"), lines, "").await;
        assert!(status == 401 || status == 403, "{status} {said}");
    }
    assert_eq!(
        handle
            .ask(hebbian_control::command::run::Get { run: run.run_id().unwrap() })
            .await
            .unwrap()
            .state()
            .unwrap()
            .name(),
        "running"
    );
    let (status, said) = post(&path("pause"), &own, "{}").await;
    assert_eq!((status, said["state"]["kind"].as_str()), (200, Some("paused")));
    assert!(said["notes"][0].as_str().unwrap().contains("paused by the live page"), "{said}");
    let page = get(address, &format!("/runs/{}", run.id())).await;
    assert!(page.contains("data-act=\"resume\"") && !page.contains("data-act=\"pause\""), "{page}");
    let (status, said) = post(&path("extend"), &own, "{\"generations\": 1}").await;
    assert_eq!(status, 400, "{said}");
    let (status, said) = post(&path("extend"), &own, "{\"generations\": 100000}").await;
    assert_eq!((status, said["generations_limit"].as_u64()), (200, Some(100_000)), "{said}");
    assert_eq!(post(&path("resume"), &own, "").await.0, 200);
    let (status, said) = post(&path("cancel"), &own, "").await;
    assert_eq!((status, said["state"]["kind"].as_str()), (200, Some("cancelled")));
    assert_eq!(post(&path("pause"), &own, "").await.0, 409);
    assert_eq!(post("runs/x/pause", &own, "").await.0, 404);
    assert_eq!(post("workers/7/drain", &own, "").await.0, 404);
    assert_eq!(post("workers/7/drain", &own, "{\"within_s\": 0}").await.0, 400);
    assert_eq!(post(&path("note"), &own, &"x".repeat(PAGE_BODY_BYTES_MAX + 1)).await.0, 413);
    let listed = get(address, "/api/runs").await;
    assert!(
        listed.contains(&format!("\"name\":\"runs/{}\"", run.id())) && listed.contains("application/json"),
        "{listed}"
    );
    assert!(get(address, "/api/openapi.json").await.contains("\"openapi\":\"3.1.0\""));
    assert!(get(address, "/api/nothing").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "/cluster").await.contains("None is attached"));
    let both = get(address, &format!("/compare/{0},{0}", run.id())).await;
    assert!(both.contains("<figure id=\"compare-median\">"), "{both}");
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_text_on_every_page() {
    let (handle, address, shutdown, _) = start_site().await;
    let hostile =
        "</title><script>alert(1)</script>\u{202e}\x1b[2J\"' onload=x ".to_owned() + &"y".repeat(10_000);
    let hello = hebbian_shared::dispatch::Hello {
        name: hostile.clone(),
        version: hostile.clone(),
        serves: Vec::new(),
        threads: 1,
        episode_semantics: hebbian_shared::episode::EPISODE_SEMANTICS,
        fingerprint: hebbian_shared::digest::Digest([0; 32]),
    };
    let (outbox, _inbox) = tokio::sync::mpsc::channel(8);
    handle.attach(hello, "here".to_owned(), outbox).await.unwrap();
    let group = hostile.chars().filter(|c| !c.is_control() && *c != '/').take(60).collect();
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let run = handle.create(Create { group, ..Create::new(new_run_id(), spec) }).await.unwrap();
    for path in ["/", "/cluster", &format!("/runs/{}", run.id()), &format!("/compare/{}", run.id())] {
        let page = get(address, path).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(!page.contains("<script>"), "{path}: {page}");
        assert!(
            !page.contains('\u{202e}') && !page.contains('\x1b') && !page.contains(" onload=x\""),
            "{path}"
        );
    }
    assert!(get(address, "/cluster").await.contains("&lt;script&gt;"));
    shutdown.cancel();
}

/// The text of a new token.
fn made(access: &Access, name: &str, role: Role, group: &str, expires_in: Option<Duration>) -> String {
    let new = NewToken { name: name.to_owned(), role, group: group.to_owned(), expires_in };
    access.create(&new, "", true).unwrap().1.text().to_owned()
}

/// Every page and every path of `/api`, with every role: as a browser shows a token, as a program does, without one, and with one that has
/// ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_for_the_roles_that_the_table_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = Some(directory.path().join("tokens.json"));
    let access = Access::new(AccessSettings { required: true, file }).unwrap();
    let (handle, address, shutdown, own) = start_site_with(Arc::clone(&access)).await;
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let make = |name: &str, role: Role, group: &str| made(&access, name, role, group, None);
    let mut shown: Vec<(&str, String, Option<Role>)> = vec![
        ("nothing", String::new(), None),
        ("the page's own token", format!("Authorization: Bearer {}\r\n", own.text()), None),
        ("no token", "Authorization: Basic !\r\n".to_owned(), None),
    ];
    for role in Role::ALL {
        let token = make(role.name(), role, "");
        shown.push((role.name(), format!("Authorization: Bearer {token}\r\n"), Some(role)));
        let basic = BASE64_STANDARD.encode(format!("anybody:{token}"));
        shown.push((role.name(), format!("Authorization: Basic {basic}\r\n"), Some(role)));
    }
    let revoked = make("revoked", Role::Admin, "");
    access.revoke("revoked", true).unwrap();
    shown.push(("a revoked token", format!("Authorization: Bearer {revoked}\r\n"), None));
    let scoped = format!("Authorization: Bearer {}\r\n", make("scoped", Role::Operator, "mine"));
    let host = format!("Host: {address}\r\n");
    // The status and the head of the answer; of a stream of events no more comes.
    let status = async |method: &str, path: &str, lines: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\n{host}{lines}Content-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).await.unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&head));
            head.extend_from_slice(&piece[..length]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        (head[9..12].parse::<u16>().unwrap(), head.contains("www-authenticate: Basic"))
    };
    for (method, pattern, rule) in table::PAGES {
        let path = pattern.replacen('*', run.id(), 1);
        for (what, lines, role) in &shown {
            let found = status(method, &path, lines).await;
            match (rule.needs, role) {
                (Needs::Role(needed), Some(role)) if !role.may(needed) => {
                    assert_eq!(found, (403, false), "{method} {path} with {what}");
                }
                (Needs::Role(_), None) => assert_eq!(found, (401, true), "{method} {path} with {what}"),
                _ => assert!(![401, 403, 405].contains(&found.0), "{method} {path} with {what}: {found:?}"),
            }
        }
        let is_kept_out = status(method, &path, &scoped).await.0 == 403;
        assert_eq!(is_kept_out, rule.needs != Needs::Nothing, "{method} {path} with a token of a group");
    }
    let notes =
        handle.ask(hebbian_control::command::run::Get { run: run.run_id().unwrap() }).await.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("by the live page (token `operator`)")), "{notes:?}");
    // What is shown says what may be done.
    for (place, may) in [(7, "look"), (9, "act")] {
        let page = ask(address, "GET /", &format!("{host}{}", shown[place - 2].1)).await;
        assert!(page.contains(&format!("data-may=\"{may}\"")), "{page}");
    }
    shutdown.cancel();
}

/// Pages listen for as long as they may look: until their token ends, or until somebody needs one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_listens_to_ends_when_it_may_no_more_look() {
    let directory = tempfile::tempdir().unwrap();
    let file = Some(directory.path().join("tokens.json"));
    let access = Access::new(AccessSettings { required: false, file }).unwrap();
    let (handle, address, shutdown, _) = start_site_with(Arc::clone(&access)).await;
    let run = handle.create(Create::new(new_run_id(), RunSpec::read(QUICKSTART).unwrap())).await.unwrap();
    let make = |name: &str, role: Role, expires_in| made(&access, name, role, "", expires_in);
    let listen = async |path: &str, token: Option<&str>| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let shown = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{shown}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        hear(&mut stream, "text/event-stream").await;
        stream
    };
    let end = async |mut stream: TcpStream| {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
        read.expect("the stream ends").unwrap();
    };
    let of_run = format!("/runs/{}/events", run.id());
    let open = (listen("/events", None).await, listen(&of_run, None).await);
    make("first", Role::Admin, None);
    end(open.0).await;
    end(open.1).await;
    let looks = make("looks", Role::Observer, None);
    let brief = make("brief", Role::Observer, Some(Duration::from_secs(3)));
    let listening = (listen("/events", Some(&looks)).await, listen(&of_run, Some(&brief)).await);
    end(listening.1).await;
    access.revoke("looks", true).unwrap();
    end(listening.0).await;
    shutdown.cancel();
}
