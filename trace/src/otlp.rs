//! Spans on their way to a collector, by OTLP over gRPC, on threads of their own.
//!
//! What cannot be sent in time is dropped: a queue of 2,048 spans, and five seconds from one batch to the next, unless the environment
//! says otherwise (`OTEL_BSP_*`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use tokio::runtime::{Builder, Runtime};

use crate::{EndedSpan, Kind, Settings, Sink, TraceContext, TraceError, Value};

/// How long the end of a process waits for its last spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends spans.
pub(crate) struct Otlp {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    /// Where the connection to the collector lives.
    runtime: Mutex<Option<Runtime>>,
}

impl Otlp {
    /// Starts to. That the collector is there is not waited for.
    pub(crate) fn start(settings: &Settings) -> Result<Self, TraceError> {
        let thread = |error: std::io::Error| TraceError::Exporter(error.to_string());
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .map_err(thread)?;
        let exporter = {
            let _entered = runtime.enter();
            let builder = SpanExporter::builder().with_tonic().with_endpoint(settings.endpoint.trim());
            let builder = if settings.endpoint.trim().starts_with("https://") {
                builder.with_tls_config(ClientTlsConfig::new().with_native_roots())
            } else {
                builder
            };
            builder.build().map_err(|error| TraceError::Exporter(error.to_string()))?
        };
        let told = Told {
            exporter,
            endpoint: settings.endpoint.trim().to_owned(),
            troubled: AtomicBool::new(false),
        };
        let mut processor = BatchSpanProcessor::builder(told).build();
        processor.set_resource(&resource(settings));
        let scope = InstrumentationScope::builder("hebbian").with_version(settings.version).build();
        Ok(Self { processor, scope, runtime: Mutex::new(Some(runtime)) })
    }

    fn end_runtime(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

/// Who sends them, beside what `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say.
fn resource(settings: &Settings) -> Resource {
    let builder = Resource::builder().with_attributes([
        KeyValue::new("service.version", settings.version),
        KeyValue::new("service.instance.id", settings.instance.clone()),
    ]);
    let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
    if is_named { builder.build() } else { builder.with_service_name(settings.service).build() }
}

impl Sink for Otlp {
    fn take(&self, span: EndedSpan) {
        self.processor.on_end(data(span, &self.scope));
    }

    fn shut_down(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::debug!("the last spans were not sent: {error}");
        }
        self.end_runtime();
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        // A runtime must not be dropped where others run.
        self.end_runtime();
    }
}

fn data(span: EndedSpan, scope: &InstrumentationScope) -> SpanData {
    let EndedSpan { context, parent, name, kind, start, end, attributes, problem } = span;
    SpanData {
        span_context: place(context),
        parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id())),
        parent_span_is_remote: parent.is_some_and(TraceContext::is_remote),
        span_kind: match kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        },
        name,
        start_time: start,
        end_time: end,
        attributes: attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: problem.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn place(context: TraceContext) -> SpanContext {
    let flags = if context.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace, span) = (TraceId::from(context.trace_id()), SpanId::from(context.span_id()));
    SpanContext::new(trace, span, flags, context.is_remote(), TraceState::NONE)
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
        Value::Real(number) => KeyValue::new(name, number),
    }
}

/// Says once that the collector cannot be reached, and that it can be again.
#[derive(Debug)]
struct Told {
    exporter: SpanExporter,
    endpoint: String,
    troubled: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        let before = self.troubled.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !before => {
                let endpoint = &self.endpoint;
                tracing::warn!(
                    "traces cannot be sent to {endpoint}: {error}; they are dropped until they can"
                );
            }
            Ok(()) if before => tracing::info!("traces are sent again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
