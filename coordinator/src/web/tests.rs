//! The live page over a real connection, without a browser.

use std::net::{Ipv4Addr, SocketAddr};

use hebbian_control::command::run::Create;
use hebbian_shared::spec::RunSpec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::driver::{self, DriverSettings};
use crate::handle::new_run_id;
use crate::journal;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

async fn start_site() -> (Handle, SocketAddr, CancellationToken) {
    let journal = journal::open("memory:").unwrap();
    let (handle, _) = driver::start(DriverSettings::default(), journal).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    start(handle.clone(), listener, shutdown.clone()).unwrap();
    (handle, address, shutdown)
}

/// The whole answer to a request whose head is `lines`.
async fn ask(address: SocketAddr, first: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{first} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}"), &format!("Host: {address}\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_metrics_and_events_of_a_run_are_served() {
    let (handle, address, shutdown) = start_site().await;
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
    for path in ["/runs/ffffffffff", "/runs/x", "/runs/../events", "/nothing"] {
        assert!(get(address, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    // The creation is the run's first event.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /runs/{}/events HTTP/1.1\r\nHost: {address}\r\n\r\n", run.id());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("data: ") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "the stream has ended after {seen}");
        seen.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_hosts_other_pages_and_changes_are_refused() {
    let (_handle, address, shutdown) = start_site().await;
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
    shutdown.cancel();
}

#[test]
fn names_of_this_page() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 7421));
    let open = SocketAddr::from(([0, 0, 0, 0], 7421));
    for host in ["127.0.0.1:7421", "[::1]:7421", "10.0.0.1", "[::1]"] {
        assert!(is_ours(host, loopback) && is_ours(host, open), "{host}");
    }
    assert!(is_ours("LOCALHOST:1", loopback) && !is_ours("localhost:1", open));
    for host in ["", "evil.example:7421", "127.0.0.1.evil.example", "localhost.evil"] {
        assert!(!is_ours(host, loopback), "{host}");
    }
}
