//! The live page and the metrics, over plain HTTP/1.1: what is going on, for people and for monitoring. It changes nothing.
//!
//! It runs on a thread of its own and asks the driver by [`Handle`] as gRPC does, so that however many pages are open, decisions wait for
//! none of them. A run that somebody looks at is followed once, whoever else looks at it.

mod body;
mod followed;
mod metrics;
mod pages;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;
use body::Content;
use followed::Site;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// How long a request may take to arrive.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Nothing comes from elsewhere, nothing is embedded elsewhere, and no text of a page can run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Starts to serve on a thread of its own until `shutdown`.
pub fn start(
    handle: Handle,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<std::thread::JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(Site::new(handle), listener, address, shutdown).await,
                Err(error) => tracing::error!(%error, "the live page cannot be served"),
            }
        });
    };
    std::thread::Builder::new().name("web".to_owned()).spawn(serve)
}

async fn accept(
    site: Arc<Site>,
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection to the live page could not be opened");
                    // For want of files, which others may give back.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&site, address, request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection to the live page broke");
            }
            drop(place);
        });
    }
}

async fn answer(
    site: &Arc<Site>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Content>, Infallible> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(HOST).unwrap_or_default();
    if !is_ours(host, address) {
        return Ok(plain(StatusCode::FORBIDDEN, "this page is not of that host\n"));
    }
    if header(ORIGIN).is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| from != host)) {
        return Ok(plain(StatusCode::FORBIDDEN, "another page may not ask\n"));
    }
    if request.method() != Method::GET {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n"));
    }
    Ok(route(site, request.uri().path()).await)
}

/// Whether a page of this name is meant: whoever makes another name lead here must not read what is here.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let literal: Option<IpAddr> = name.parse().ok();
    match literal {
        // An address that is written out was not led here by a name.
        Some(_) => true,
        None => name.eq_ignore_ascii_case("localhost") && address.ip().is_loopback(),
    }
}

async fn route(site: &Arc<Site>, path: &str) -> Response<Content> {
    let html = "text/html; charset=utf-8";
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let found = match parts[..] {
        [""] => {
            Some((html, Content::whole(pages::shell("hebbian", "/body", "/events", &site.overview().await))))
        }
        ["body"] => Some((html, Content::whole(site.overview().await))),
        ["events"] => Some(("text/event-stream", Site::overview_events())),
        ["runs", run] => site.page(run).await.map(|page| {
            (html, Content::whole(pages::shell(&page.title, &page.body_path, &page.events_path, &page.body)))
        }),
        ["runs", run, "body"] => site.page(run).await.map(|page| (html, Content::whole(page.body))),
        ["runs", run, "events"] => site.run_events(run).await.map(|events| ("text/event-stream", events)),
        ["metrics"] => Some((
            "text/plain; version=0.0.4; charset=utf-8",
            Content::whole(metrics::text(&site.handle).await),
        )),
        ["live.js"] => Some(("text/javascript; charset=utf-8", Content::whole(pages::SCRIPT.to_owned()))),
        ["style.css"] => Some(("text/css; charset=utf-8", Content::whole(pages::style()))),
        _ => None,
    };
    match found {
        Some((kind, content)) => response(StatusCode::OK, kind, content),
        None => plain(StatusCode::NOT_FOUND, "there is nothing here\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Content> {
    response(status, "text/plain; charset=utf-8", Content::whole(text.to_owned()))
}

fn response(status: StatusCode, kind: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests;
