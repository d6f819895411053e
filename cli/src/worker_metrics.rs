//! `/metrics` of a worker: what it counts, in the form and by the server of the coordinator's.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use hebbian_coordinator::web;
use hebbian_coordinator::web::exposition::Metrics;
use hebbian_worker::figures::{Figures, Reading};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::web::Wanted;

/// How the setting is called.
const SETTING: &str = "worker.metrics";

/// Serves the metrics while it is there.
pub(crate) struct WorkerMetrics {
    shutdown: CancellationToken,
    listening: SocketAddr,
}

impl Drop for WorkerMetrics {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl WorkerMetrics {
    /// Serves them at an address; `off` for nowhere.
    pub(crate) fn start(
        address: &str,
        insecure: bool,
        threads: u32,
        figures: Arc<Figures>,
    ) -> Result<Option<Self>, Failure> {
        let wanted = Wanted { address, setting: SETTING, insecure };
        let Some(resolved) = wanted.resolve()? else { return Ok(None) };
        let shutdown = CancellationToken::new();
        let started = TcpListener::bind(resolved).and_then(|listener| {
            let listening = listener.local_addr()?;
            let text = move || written(&figures.read(), threads);
            web::start_metrics(listener, text, shutdown.clone())?;
            Ok(listening)
        });
        match started {
            Ok(listening) => Ok(Some(Self { shutdown, listening })),
            Err(error) => {
                Err(Failure::failed(format_args!("{SETTING}: cannot listen on {resolved}: {error}")))
            }
        }
    }

    /// Where they are.
    pub(crate) fn address(&self) -> String {
        format!("http://{}/metrics", self.listening)
    }
}

fn written(figures: &Reading, threads: u32) -> String {
    let mut metrics = Metrics::default();
    metrics.build(env!("CARGO_PKG_VERSION"));
    let help = "1 while the worker is attached to a coordinator.";
    metrics.one("hebbian_worker_attached", "gauge", help, u8::from(figures.attached));
    let help = "Streams on which the worker was welcome since its start.";
    metrics.one("hebbian_worker_streams_total", "counter", help, figures.streams);
    let help = "Streams that broke and attempts to attach that failed since the start.";
    metrics.one("hebbian_worker_connection_troubles_total", "counter", help, figures.troubles);
    metrics.one("hebbian_worker_episodes_held", "gauge", "Episodes that the worker holds.", figures.held);
    let help = "Episodes that the worker has settled since its start, by outcome.";
    metrics.family("hebbian_worker_episodes_total", "counter", help);
    for (outcome, count) in figures.outcomes {
        metrics.labelled("hebbian_worker_episodes_total", ("outcome", outcome), count);
    }
    let help = "Compute time of these episodes, summed over threads.";
    let seconds = figures.compute_time.as_secs_f64();
    metrics.one("hebbian_worker_compute_seconds_total", "counter", help, seconds);
    metrics.one(
        "hebbian_worker_compute_threads",
        "gauge",
        "Compute threads, or slots of a program.",
        threads,
    );
    metrics.process();
    metrics.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_figure_is_written_once_and_every_sample_has_a_family() {
        let outcomes = [("evaluated", 7), ("infeasible", 6), ("diverged", 5), ("error", 4), ("rejected", 3)];
        let reading = Reading {
            attached: true,
            streams: 2,
            troubles: 1,
            held: 9,
            outcomes,
            compute_time: Duration::from_millis(1500),
        };
        let text = written(&reading, 8);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{line}");
            let is_counter = text.contains(&format!("# TYPE {name} counter"));
            assert_eq!(is_counter, name.ends_with("_total"), "{line}");
        }
        for expected in [
            "hebbian_worker_attached 1",
            "hebbian_worker_streams_total 2",
            "hebbian_worker_connection_troubles_total 1",
            "hebbian_worker_episodes_held 9",
            "hebbian_worker_episodes_total{outcome=\"evaluated\"} 7",
            "hebbian_worker_episodes_total{outcome=\"error\"} 4",
            "hebbian_worker_compute_seconds_total 1.5",
            "hebbian_worker_compute_threads 8",
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
        }
    }
}
