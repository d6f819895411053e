//! The live page of the whole program, without a browser: where it is told, and what it shows at the end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::pty::Pty;
use crate::support::{Place, fetched, until};

#[test]
fn the_pages_address_is_told_to_a_person_whatever_the_log_leaves_out() {
    let place = Place::new();
    let arguments = |further: &'static [&'static str]| {
        let own = ["coordinator", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--storage", "memory:"];
        [&own[..], &["--log", "warn", "--address-file"], further].concat()
    };
    let mut terminal = Pty::start(&place.command(&arguments(&["seen"])), 24, 200);
    terminal.until_shown("the live page is at http://127.0.0.1:");
    until("it listens", || place.path("seen").exists());
    let told = terminal.screen().contents();
    let (_, token) = told.split_once("/#token=").expect("the token is told");
    assert_eq!(told.matches("token").count(), 1, "{told}");
    assert_eq!(token.split_whitespace().next().map(str::len), Some(32), "{told}");
    // Where nobody looks, only what was asked for is written.
    let mut piped = place.start(&arguments(&["piped"]), "piped.log");
    until("it listens", || place.path("piped").exists() || piped.has_ended());
    assert_eq!(fs::read_to_string(place.path("piped.log")).unwrap(), "");
    // A filter may ask for this line alone, for example where a service's log is read.
    let arguments = [
        &["coordinator", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--storage", "memory:"][..],
        &["--log", "warn,hebbian::page=info"],
    ];
    let _asked = place.start(&arguments.concat(), "asked.log");
    until("it is told", || fs::read_to_string(place.path("asked.log")).unwrap().contains("/#token="));
}

#[test]
fn the_page_of_a_run_ends_with_the_comparison() {
    let place = Place::new();
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 3"));
    let arguments = ["run", "short.toml", "--out", "out", "--web=127.0.0.1:0"];
    let mut run = place.start(&arguments, "run.log");
    let address = || {
        let log = fs::read_to_string(place.path("run.log")).unwrap();
        let (_, rest) = log.split_once("watch it at http://")?;
        rest.split_once("/#token=").map(|(address, _)| address.to_owned())
    };
    until("it says where its page is", || address().is_some());
    let address = address().unwrap();
    let id = || {
        let list = fetched(&address, "/body", &address);
        let (_, rest) = list.split_once("<a href=\"/runs/")?;
        rest.split_once('"').map(|(id, _)| id.to_owned())
    };
    until("the run is there", || id().is_some());
    let id = id().unwrap();
    let mut events = TcpStream::connect(&address).unwrap();
    write!(events, "GET /runs/{id}/events HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let (mut heard, mut piece) = (String::new(), [0; 1024]);
    while !heard.contains("event: end") {
        let length = events.read(&mut piece).unwrap();
        assert!(length > 0, "the page does not hear of the end: {heard}");
        heard.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    let page = fetched(&address, &format!("/runs/{id}/body"), &address);
    for part in ["<figure id=\"comparison-1\">", "and, qand, nxor", "finished"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // It has waited for this page, and no longer.
    drop(events);
    assert_eq!(run.exit_code(), Some(0), "{}", fs::read_to_string(place.path("run.log")).unwrap());
    let report = fs::read_to_string(place.path("out/report.html")).unwrap();
    let figure = |page: &str| {
        let (_, rest) = page.split_once("<figure id=\"comparison-1\">").unwrap();
        rest.split_once("</figure>").unwrap().0.to_owned()
    };
    assert_eq!(figure(&page), figure(&report), "it is the picture of the report");
}
