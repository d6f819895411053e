//! The live page, the metrics and `/api`, over plain HTTP/1.1: what is going on, for people, monitoring and programs. Whoever may
//! (`access`) can pause, resume, cancel, extend and fork runs and have workers leave.
//!
//! It runs on a thread of its own and asks the driver by [`Handle`] as gRPC does, so that however many pages are open, decisions wait for
//! none of them. A run that somebody looks at is followed once, whoever else looks at it.

mod access;
mod api;
mod body;
mod demonstrated;
mod drawn;
mod ending;
pub mod exposition;
mod followed;
mod kept;
pub mod metrics;
mod openapi;
mod page;
mod pages;
mod rates;
mod told;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hebbian_shared::limits::{
    PAGE_BODY_BYTES_MAX, PAGE_BODY_TIMEOUT, PAGE_CONNECTIONS_MAX, PAGE_CONNECTIONS_OF_ONE_MAX,
    PAGE_HEAD_BYTES_MAX, PAGE_HEAD_TIMEOUT,
};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY,
    WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::handle::Handle;
use crate::runtime;
use crate::service::rate;
pub use access::Token;
use access::Visitor;
use api::RequestError;
use body::Content;
pub use demonstrated::Demonstrate;
pub use ending::Ending;
use followed::Site;
use page::Asked;

/// Nothing comes from elsewhere, nothing is embedded elsewhere, and no text of a page can run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// What the page may do to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acts {
    /// All that a coordinator's operator may.
    All,
    /// Pause, resume and cancel: the process has one run, whose spec is a file.
    OfOneRun,
}

/// Who may do what by the page.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// What can be done at all.
    pub acts: Acts,
    /// What lets somebody do it while the coordinator does not control access.
    pub token: Token,
    /// Who may while it does.
    pub access: Arc<Access>,
}

/// What pages show beside what the coordinator knows.
#[derive(Clone, Default)]
pub struct Beside {
    /// What a rule does; without it no page shows that.
    pub demonstrate: Option<Demonstrate>,
    /// How far the program has come, if it ends with its run.
    pub ending: Ending,
}

/// Starts to serve on a thread of its own until `shutdown`.
pub fn start(
    handle: Handle,
    listener: TcpListener,
    (entrance, beside): (Entrance, Beside),
    shutdown: CancellationToken,
) -> io::Result<std::thread::JoinHandle<()>> {
    let address = listener.local_addr()?;
    serve("web", listener, shutdown, move || {
        let site = Site::new(handle, entrance, beside);
        move |request| {
            let site = Arc::clone(&site);
            async move { answer(&site, address, request).await }
        }
    })
}

/// Serves `/metrics` and nothing else, as [`start`] does the page: `text` writes them.
pub fn start_metrics(
    listener: TcpListener,
    text: impl Fn() -> String + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> io::Result<std::thread::JoinHandle<()>> {
    let address = listener.local_addr()?;
    let text = Arc::new(text);
    serve("metrics", listener, shutdown, move || {
        move |request: Request<Incoming>| {
            let text = Arc::clone(&text);
            async move {
                Ok(
                    match (
                        access::refusal(request.headers(), address),
                        request.method(),
                        request.uri().path(),
                    ) {
                        (Some(why), _, _) => plain(StatusCode::FORBIDDEN, &format!("{why}\n")),
                        (None, &Method::GET, "/metrics") => {
                            response(StatusCode::OK, exposition::CONTENT_TYPE, Content::whole(text()))
                        }
                        (None, &Method::GET, _) => {
                            plain(StatusCode::NOT_FOUND, "there is /metrics here, and nothing else\n")
                        }
                        (None, _, _) => {
                            plain(StatusCode::METHOD_NOT_ALLOWED, "that is answered to GET only\n")
                        }
                    },
                )
            }
        }
    })
}

/// Answers on a thread of its own; `make` makes there what answers.
fn serve<A, F>(
    name: &str,
    listener: TcpListener,
    shutdown: CancellationToken,
    make: impl FnOnce() -> A + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Content>, Infallible>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let (tell, started) = mpsc::channel();
    // Made there: where no thread can be had it must not be dropped here, amid asynchronous work.
    let serve = move || {
        let runtime = match runtime::on_this_thread() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(error)),
        };
        drop(tell);
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(make(), listener, shutdown).await,
                Err(error) => tracing::error!(%error, "the live page or the metrics cannot be served"),
            }
        });
    };
    let serving = std::thread::Builder::new().name(name.to_owned()).spawn(serve)?;
    match started.recv() {
        Ok(error) => Err(error),
        Err(_) => Ok(serving),
    }
}

async fn accept<A, F>(answer: A, listener: tokio::net::TcpListener, shutdown: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Content>, Infallible>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PAGE_CONNECTIONS_MAX));
    let shares = Shares::default();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let (stream, share) = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => match shares.take(from.ip()) {
                    Some(share) => (stream, share),
                    None => continue,
                },
                Err(error) => {
                    tracing::debug!(%error, "a connection to the live page could not be opened");
                    // For want of files, which others may give back.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let answer = answer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let takes_gzip = access::takes_gzip(request.headers());
            let answered = answer(request);
            async move { answered.await.map(|response| if takes_gzip { packed(response) } else { response }) }
        });
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(PAGE_HEAD_TIMEOUT)
                .max_buf_size(PAGE_HEAD_BYTES_MAX);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection to the live page broke");
            }
            drop((place, share));
        });
    }
}

/// How many connections each address has, or each network where addresses are cheap.
#[derive(Clone, Debug, Default)]
struct Shares(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// A connection of an address, until it is dropped.
#[derive(Debug)]
struct Share {
    shares: Shares,
    peer: IpAddr,
}

impl Shares {
    /// A place for an address; none if it has its share.
    fn take(&self, address: IpAddr) -> Option<Share> {
        let peer = rate::peer(address);
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shares.entry(peer).or_default();
        if *count >= PAGE_CONNECTIONS_OF_ONE_MAX {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), peer })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shares.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                shares.remove(&self.peer);
            }
        }
    }
}

async fn answer(
    site: &Arc<Site>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Content>, Infallible> {
    if let Some(why) = access::refusal(request.headers(), address) {
        return Ok(problem(RequestError(StatusCode::FORBIDDEN, why.to_owned())));
    }
    let uri = request.uri().clone();
    let Entrance { acts, token, access } = &site.entrance;
    let asked = (request.method().as_str(), uri.path());
    let api = uri.path().strip_prefix("/api/").or_else(|| uri.path().strip_prefix("/api"));
    let visitor = match access::judge((access, token), asked, request.headers()) {
        Ok(visitor) => visitor,
        Err((RequestError(StatusCode::NOT_FOUND, _), _)) if api.is_none() => return Ok(nothing()),
        Err((refused, is_asked)) => return Ok(kept_out(refused, is_asked)),
    };
    let answer = match (request.method(), api) {
        (&Method::GET, None) => return Ok(route(site, &uri, visitor).await),
        (&Method::GET, Some(path)) => api::get(&site.handle, path, uri.query().unwrap_or_default()).await,
        (&Method::POST, Some(path)) => match whole(request.into_body()).await {
            Ok(body) => api::post(&site.handle, *acts, &visitor.who, (path, &body)).await,
            Err(problem) => Err(problem),
        },
        _ => Err(RequestError(StatusCode::METHOD_NOT_ALLOWED, "that is answered to GET only".to_owned())),
    };
    Ok(match answer {
        Ok(value) => response(StatusCode::OK, JSON, Content::whole(value.to_string())),
        Err(refused) => problem(refused),
    })
}

/// Says why somebody is not let in, and has a browser ask for a token.
fn kept_out(refused: RequestError, is_asked: bool) -> Response<Content> {
    let mut response = problem(refused);
    if is_asked {
        let how = "Basic realm=\"hebbian: any name, and a token as the password\", charset=\"UTF-8\"";
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(how));
    }
    response
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

fn problem(RequestError(status, why): RequestError) -> Response<Content> {
    response(status, JSON, Content::whole(serde_json::json!({ "error": why }).to_string()))
}

/// All of what was sent with a request, if it is not too much and a text.
async fn whole(mut body: Incoming) -> Result<String, RequestError> {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            // What is no data is a trailer, which says nothing here.
            let Ok(data) = frame.map_err(|_| ())?.into_data() else { continue };
            if bytes.len() + data.len() > PAGE_BODY_BYTES_MAX {
                return Err(());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    let read = tokio::time::timeout(PAGE_BODY_TIMEOUT, read).await;
    let text = read.ok().and_then(Result::ok).and_then(|()| String::from_utf8(bytes).ok());
    let why = format!("a request has at most {} kB of text", PAGE_BODY_BYTES_MAX >> 10);
    text.ok_or(RequestError(StatusCode::PAYLOAD_TOO_LARGE, why))
}

async fn route(site: &Arc<Site>, uri: &Uri, visitor: Visitor) -> Response<Content> {
    let (html, may) = (HTML, visitor.may);
    let asked = Asked::of(uri.query().unwrap_or_default());
    let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    let found = match parts[..] {
        [""] => Some((html, site.list(None).await.content(may))),
        ["body"] => Some((html, site.list(asked.at).await.body(asked))),
        ["cluster"] => Some((html, site.cluster(None).await.content(may))),
        ["cluster", "body"] => Some((html, site.cluster(asked.at).await.body(asked))),
        ["events"] => Some(("text/event-stream", site.every_second(visitor))),
        ["compare", runs] => site.compared(runs, None).await.map(|page| (html, page.content(may))),
        ["compare", runs, "body"] => site.compared(runs, asked.at).await.map(|page| (html, page.body(asked))),
        ["runs", run] => site.page(run, None).await.map(|page| (html, page.content(may))),
        ["runs", run, "body"] => site.page(run, asked.at).await.map(|page| (html, page.body(asked))),
        ["runs", run, "demonstrated"] => site.demonstrated(run).await.map(|page| (html, page.content(may))),
        ["runs", run, "events"] => {
            site.run_events(run, visitor).await.map(|events| ("text/event-stream", events))
        }
        ["metrics"] => Some((exposition::CONTENT_TYPE, Content::whole(metrics::text(&site.handle).await))),
        ["live.js"] => Some(("text/javascript; charset=utf-8", Content::whole(pages::SCRIPT.to_owned()))),
        ["icon.svg"] => Some(("image/svg+xml", Content::whole(pages::ICON.to_owned()))),
        ["style.css"] => Some(("text/css; charset=utf-8", Content::whole(pages::style()))),
        _ => None,
    };
    match found {
        Some((kind, content)) => response(StatusCode::OK, kind, content),
        None => nothing(),
    }
}

fn nothing() -> Response<Content> {
    let page = "<!doctype html><html lang=\"en\"><head><title>Nothing - hebbian</title><link rel=\"icon\" href=\"/icon.svg\">\
                <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main><h1>There is nothing here</h1><p>A run that was \
                deleted has no page any more. <a href=\"/\">Runs</a></p></main></body></html>\n";
    response(StatusCode::NOT_FOUND, HTML, Content::whole(page.to_owned()))
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

/// The same by gzip, if it is a text of some length. Nothing on a page is secret: tokens are told to nobody.
fn packed(mut response: Response<Content>) -> Response<Content> {
    if let Some(content) = response.body().packed() {
        *response.body_mut() = content;
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

#[cfg(test)]
mod tests;
