//! What a collector of traces hears of coordinator and worker.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::support::{Coordinator, Place, errors, until};

/// A span as it arrived.
#[derive(Clone, Debug)]
struct Heard {
    service: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    from_to: (u64, u64),
    attributes: BTreeMap<String, String>,
}

type Spans = Arc<Mutex<Vec<Heard>>>;

/// A collector in this process.
struct Collector {
    spans: Spans,
    address: String,
    _runtime: Runtime,
}

struct Service(Spans);

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = texts(&of_process.resource.unwrap_or_default().attributes);
            let service = resource.get("service.name").cloned().unwrap_or_default();
            let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| Heard {
                service: service.clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                from_to: (span.start_time_unix_nano, span.end_time_unix_nano),
                attributes: texts(&span.attributes),
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let spans = Spans::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&spans)));
        let entered = runtime.enter();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = format!("http://{}", incoming.local_addr().unwrap());
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        drop(entered);
        Self { spans, address, _runtime: runtime }
    }

    /// All that have arrived, by name.
    fn spans(&self, name: &str) -> Vec<Heard> {
        self.spans.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

fn configure(place: &Place, endpoint: &str) {
    place.write("traces.toml", &format!("traces = {{ endpoint = \"{endpoint}\", every = \"0s\" }}\n"));
}

/// A run to its end by a coordinator and a worker that send traces there; the worker has ended.
fn traced<'a>(place: &'a Place, endpoint: &str) -> Coordinator<'a> {
    configure(place, endpoint);
    let coordinator = Coordinator::start_with(place, &["--config", "traces.toml"]);
    let arguments =
        ["worker", "--coordinator", &coordinator.url, "--threads", "1", "--config", "traces.toml"];
    let mut worker = place.start(&arguments, "worker.log");
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    coordinator
}

#[test]
fn a_generation_is_one_trace_across_coordinator_and_worker() {
    let (place, collector) = (Place::new(), Collector::start());
    let coordinator = traced(&place, &collector.address);
    // What is left is sent at the end.
    assert_eq!(coordinator.stop(), Some(0));

    let generations = collector.spans("generation");
    let closed: Vec<&Heard> =
        generations.iter().filter(|span| span.attributes.contains_key("hebbian.workers")).collect();
    let numbers: BTreeSet<&str> =
        closed.iter().map(|span| span.attributes["hebbian.generation"].as_str()).collect();
    assert_eq!(numbers.len(), 60, "{numbers:?}");
    let traces: BTreeSet<&[u8]> = generations.iter().map(|span| &*span.trace).collect();
    assert_eq!(traces.len(), generations.len(), "each is a trace of its own");
    let batches = collector.spans("batch");
    let computed = collector.spans("compute");
    for generation in closed {
        assert_eq!((generation.service.as_str(), generation.parent.len()), ("hebbian-coordinator", 0));
        let within = |span: &&Heard| span.trace == generation.trace;
        for part in ["search", "commit"] {
            let spans = collector.spans(part);
            let parents: Vec<&[u8]> = spans.iter().filter(within).map(|span| &*span.parent).collect();
            assert_eq!(parents, [&*generation.id], "{part} of {generation:?}");
        }
        let batches: Vec<&Heard> = batches.iter().filter(within).collect();
        assert!(!batches.is_empty(), "{generation:?}");
        for batch in batches {
            assert_eq!((batch.service.as_str(), &batch.parent), ("hebbian-coordinator", &generation.id));
            assert!(batch.from_to.0 >= generation.from_to.0 && batch.from_to.1 <= generation.from_to.1);
            let below: Vec<&Heard> =
                computed.iter().filter(within).filter(|span| span.parent == batch.id).collect();
            let [below] = below[..] else { panic!("{below:?} below {batch:?}") };
            assert_eq!(below.service, "hebbian-worker");
            assert_eq!(below.attributes["hebbian.episodes"], batch.attributes["hebbian.episodes"]);
            assert!(below.attributes["hebbian.compute_time_s"].parse::<f64>().unwrap() > 0.0);
        }
    }
    assert_eq!(collector.spans("hebbian.v1.RunService/CreateRun").len(), 1);
    assert_eq!(collector.spans("prepare")[0].service, "hebbian-worker");
}

#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    let place = Place::new();
    // Nobody listens there any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let coordinator = traced(&place, &format!("http://{free}"));
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    until("the log says so", || log().contains(&format!("traces cannot be sent to http://{free}")));
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(log().matches("traces cannot be sent").count(), 1, "{}", log());
}

#[test]
fn an_endpoint_that_is_none_is_named() {
    let place = Place::new();
    for (endpoint, program) in [("collector:4317", "coordinator"), ("", "worker")] {
        configure(&place, endpoint);
        let output = place.output(&[program, "--config", "traces.toml"]);
        let expected = format!(
            "traces.endpoint: must be the address of a collector, for example http://127.0.0.1:4317, not `{endpoint}`"
        );
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains(&expected), "{}", errors(&output));
    }
}
