//! Where traces go: the section `traces` of the configuration, or OpenTelemetry's own variables.

use hebbian_trace::{Settings, TraceError, Tracer};

use crate::configuration::TracesSettings;
use crate::failure::Failure;
use crate::web::OFF;

/// How the setting is called.
const SETTING: &str = "traces.endpoint";

/// The variables that name a collector, the one that wins first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The variables that name its protocol.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// Traces of this process; what is left is sent when it is dropped.
pub(crate) struct Traces(Tracer);

impl Drop for Traces {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl Traces {
    /// Sends them from now on, if a collector is named.
    pub(crate) fn start(
        settings: &TracesSettings,
        service: &'static str,
        instance: &str,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let every = humantime::parse_duration(&settings.every).map_err(|error| {
            Failure::bad_input(format_args!("traces.every: `{}` is not a time: {error}", settings.every))
                .hint("write for example 1s, or 0s for every generation")
        })?;
        let Some((origin, endpoint)) = collector(settings.endpoint.as_deref(), variable) else {
            return Ok(Self(Tracer::default()));
        };
        let (instance, version) = (instance.to_owned(), env!("CARGO_PKG_VERSION"));
        match Tracer::start(&Settings { endpoint, every, service, instance, version }) {
            Ok(tracer) => Ok(Self(tracer)),
            // The variables are for all programs of a machine.
            Err(error @ TraceError::NotBuilt) if origin != SETTING => {
                tracing::warn!("{origin}: {error}; there are no traces");
                Ok(Self(Tracer::default()))
            }
            Err(error) => Err(Failure::bad_input(format_args!("{origin}: {error}"))),
        }
    }

    /// What begins spans.
    pub(crate) fn tracer(&self) -> Tracer {
        self.0.clone()
    }
}

/// The collector, and where it is named.
fn collector(
    setting: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    if let Some(endpoint) = setting {
        return (endpoint != OFF).then(|| (SETTING, endpoint.to_owned()));
    }
    let is = |name: &str, value: &str| variable(name).is_some_and(|is| is.trim().eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let (origin, endpoint) = ENDPOINTS.iter().find_map(|name| Some((*name, variable(name)?)))?;
    let protocol = PROTOCOLS.iter().find_map(|name| Some((*name, variable(name)?)));
    if let Some((name, protocol)) = protocol.filter(|(_, protocol)| protocol.trim() != "grpc") {
        tracing::warn!("{name}: must be `grpc`, not `{}`; there are no traces", protocol.escape_debug());
        return None;
    }
    Some((origin, endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(setting: Option<&str>, variables: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = collector(setting, variable);
        assert_eq!(found.as_ref().map(|(origin, endpoint)| (*origin, endpoint.as_str())), expected);
    }

    #[test]
    fn the_setting_wins_over_the_variables() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2");
        check(None, &[], None);
        check(None, &[all], Some(all));
        check(None, &[all, traces], Some(traces));
        check(Some("http://c:3"), &[all, traces], Some((SETTING, "http://c:3")));
        check(Some("off"), &[all, traces], None);
        check(None, &[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], Some(all));
    }

    #[test]
    fn the_variables_can_also_say_no() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        check(None, &[all, ("OTEL_SDK_DISABLED", "TRUE")], None);
        check(None, &[all, ("OTEL_TRACES_EXPORTER", "none")], None);
        check(None, &[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], None);
        let grpc_traces = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
        check(None, &[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), grpc_traces], Some(all));
    }
}
