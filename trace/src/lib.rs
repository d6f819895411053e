//! Traces: what a coordinator and its workers did when, as spans that a collector of OpenTelemetry puts together.
//!
//! A [`Tracer`] begins spans and gives them away when they have ended; a [`TraceContext`] carries the place of one to another process.
//! Tracing is off unless somebody wants it, costs nothing then, and decides nothing. How spans are sent is behind the feature `otlp`.

mod context;
#[cfg(feature = "otlp")]
mod otlp;
mod pace;
mod span;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use context::TraceContext;
use pace::Pace;
pub use span::{EndedSpan, Kind, Span, Value};

/// The header of a request that carries a [`TraceContext`].
pub const TRACEPARENT: &str = "traceparent";

/// The most requests that are traced in a second.
const REQUESTS_PER_SECOND_MAX: u32 = 20;

/// From one traced generation of a run to its next one, unless somebody says otherwise.
pub const EVERY: Duration = Duration::from_secs(1);

/// Where spans are sent, and by whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector: `http://HOST:PORT`, or `https://`.
    pub endpoint: String,
    /// The least time from the beginning of one traced generation of a run to that of the next one.
    pub every: Duration,
    /// What the process is, for example `hebbian-worker`.
    pub service: &'static str,
    /// Which of them it is, for people.
    pub instance: String,
    /// The program's version.
    pub version: &'static str,
}

/// Why spans cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The program cannot do it.
    #[error("this program was built without traces; build it with `--features otlp`, or take a released one")]
    NotBuilt,
    /// The address is none.
    #[error("must be the address of a collector, for example http://127.0.0.1:4317, not `{0}`")]
    Endpoint(String),
    /// What sends them could not be set up.
    #[error("spans cannot be sent: {0}")]
    Exporter(String),
}

/// Takes spans that have ended.
trait Sink: Send + Sync {
    /// Takes one; must not wait.
    fn take(&self, span: EndedSpan);

    /// Sends what was taken, as far as that is done in a moment. Called once, at the end.
    fn shut_down(&self) {}
}

impl<F: Fn(EndedSpan) + Send + Sync> Sink for F {
    fn take(&self, span: EndedSpan) {
        self(span);
    }
}

/// Begins spans; cheap to clone. The default one is off.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Active>>);

struct Active {
    sink: Box<dyn Sink>,
    every: Duration,
    requests: Pace,
}

impl Tracer {
    /// Sends spans to a collector from now on. A collector that is not there is told in the log, and holds nothing up.
    pub fn start(settings: &Settings) -> Result<Self, TraceError> {
        let endpoint = settings.endpoint.trim();
        let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return Err(TraceError::Endpoint(settings.endpoint.escape_debug().collect()));
        }
        #[cfg(not(feature = "otlp"))]
        return Err(TraceError::NotBuilt);
        #[cfg(feature = "otlp")]
        Ok(Self::over(Box::new(otlp::Otlp::start(settings)?), settings.every))
    }

    /// Gives spans to `take`, which must not wait.
    pub fn recording(every: Duration, take: impl Fn(EndedSpan) + Send + Sync + 'static) -> Self {
        Self::over(Box::new(take), every)
    }

    fn over(sink: Box<dyn Sink>, every: Duration) -> Self {
        Self(Some(Arc::new(Active { sink, every, requests: Pace::new(REQUESTS_PER_SECOND_MAX) })))
    }

    /// Whether anybody wants spans.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The least time from one traced generation of a run to its next one.
    pub fn every(&self) -> Duration {
        self.0.as_ref().map_or(EVERY, |active| active.every)
    }

    /// Begins a trace, if anybody wants it.
    pub fn begin(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<Span> {
        self.0.is_some().then(|| Span::new(self, name.into(), kind, None))
    }

    /// Begins a span below another one, which may be of another process.
    pub fn begin_below(
        &self,
        parent: TraceContext,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Option<Span> {
        (self.0.is_some() && parent.is_sampled()).then(|| Span::new(self, name.into(), kind, Some(parent)))
    }

    /// Begins the span of a request, which may have come with a `traceparent`; not of every one if there are many.
    pub fn begin_request(&self, path: &str, traceparent: Option<&str>) -> Option<Span> {
        let active = self.0.as_ref()?;
        let parent = traceparent.and_then(TraceContext::parse);
        // Whoever asks can have it left out, but not have all of it traced.
        if parent.is_some_and(|parent| !parent.is_sampled()) || !active.requests.may() {
            return None;
        }
        let mut span = Span::new(self, path.trim_start_matches('/').to_owned().into(), Kind::Server, parent);
        span.set("rpc.system", "grpc");
        Some(span)
    }

    /// Sends what is left, at the end of the process; returns within two seconds.
    pub fn shut_down(&self) {
        if let Some(active) = &self.0 {
            active.sink.shut_down();
        }
    }

    fn take(&self, span: EndedSpan) {
        if let Some(active) = &self.0 {
            active.sink.take(span);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn recorded(what: impl FnOnce(&Tracer)) -> Vec<EndedSpan> {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let tracer = Tracer::recording(EVERY, move |span| kept.lock().unwrap().push(span));
        what(&tracer);
        drop(tracer);
        Arc::into_inner(spans).unwrap().into_inner().unwrap()
    }

    #[test]
    fn spans_are_given_away_when_they_end_and_know_their_parents() {
        let spans = recorded(|tracer| {
            let whole = tracer.begin("whole", Kind::Internal).unwrap();
            let mut part = tracer.begin_below(whole.context(), "part", Kind::Client).unwrap();
            part.set("episodes", 3_u64);
            part.fail("the worker is gone");
            whole.end();
        });
        let [part, whole] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&*whole.name, whole.parent, &whole.problem), ("whole", None, &None));
        assert_eq!(part.parent, Some(whole.context));
        assert_eq!(part.context.trace_id(), whole.context.trace_id());
        assert_ne!(part.context.span_id(), whole.context.span_id());
        assert_eq!(part.attributes, [("episodes", Value::Number(3))]);
        assert_eq!(part.problem.as_deref(), Some("the worker is gone"));
        assert!(spans.iter().all(|span| span.start <= span.end), "{spans:?}");
    }

    #[test]
    fn nothing_is_begun_where_nobody_wants_it() {
        let off = Tracer::default();
        assert!(off.begin("a", Kind::Internal).is_none() && off.begin_request("/a/B", None).is_none());
        let unwanted = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let spans = recorded(|tracer| {
            assert!(tracer.begin_request("/a/B", Some(unwanted)).is_none());
            let parent = TraceContext::parse(unwanted).unwrap();
            assert!(tracer.begin_below(parent, "a", Kind::Server).is_none());
        });
        assert_eq!(spans.len(), 0);
    }

    #[test]
    fn a_request_goes_on_with_the_trace_of_whoever_asks_and_a_flood_is_not_traced() {
        let asked = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let spans = recorded(|tracer| {
            for _ in 0..1000 {
                drop(tracer.begin_request("/hebbian.v1.RunService/ListRuns", Some(asked)));
            }
            drop(tracer.begin_request("/a/B", Some("nonsense")));
        });
        let most = 2 * REQUESTS_PER_SECOND_MAX as usize + 1;
        assert!((1..=most).contains(&spans.len()), "{}", spans.len());
        assert_eq!(spans[0].name, "hebbian.v1.RunService/ListRuns");
        assert_eq!(spans[0].parent, TraceContext::parse(asked));
    }

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_program_that_was_built_without_traces_says_so() {
        let endpoint = "http://127.0.0.1:4317".to_owned();
        let settings =
            Settings { endpoint, every: EVERY, service: "test", instance: String::new(), version: "0" };
        let error = Tracer::start(&settings).unwrap_err();
        assert_eq!(error, TraceError::NotBuilt);
        assert!(error.to_string().contains("--features otlp"), "{error}");
    }

    #[test]
    fn an_endpoint_is_an_address() {
        for endpoint in ["", "127.0.0.1:4317", "http://", "ftp://a:1", "http://a b"] {
            let settings = Settings {
                endpoint: endpoint.to_owned(),
                every: EVERY,
                service: "test",
                instance: String::new(),
                version: "0",
            };
            let error = Tracer::start(&settings).unwrap_err();
            assert_eq!(error, TraceError::Endpoint(endpoint.to_owned()), "{endpoint:?}");
        }
    }
}
