//! Health for probes: while the journal cannot be written, the coordinator and the services that need it do not serve.

use hebbian_proto::v1::access_service_server::SERVICE_NAME as ACCESS;
use hebbian_proto::v1::cluster_service_server::SERVICE_NAME as CLUSTER;
use hebbian_proto::v1::data_service_server::SERVICE_NAME as DATA;
use hebbian_proto::v1::dispatch_service_server::SERVICE_NAME as DISPATCH;
use hebbian_proto::v1::evaluation_service_server::SERVICE_NAME as EVALUATION;
use hebbian_proto::v1::run_service_server::SERVICE_NAME as RUN;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

/// The coordinator as a whole, and what creates, hands out or takes what must be written.
const WRITING: [&str; 4] = ["", DISPATCH, EVALUATION, RUN];

/// The service; it follows the journal as long as the driver lives.
pub(super) async fn service(writable: watch::Receiver<bool>) -> HealthServer<impl Health> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in [ACCESS, CLUSTER, DATA] {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    for name in WRITING {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    tokio::spawn(follow(writable, reporter));
    health
}

/// The service of a standby.
pub(super) async fn standing_by() -> HealthServer<impl Health> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in WRITING.iter().chain(&[CLUSTER, DATA]) {
        reporter.set_service_status(*name, ServingStatus::NotServing).await;
    }
    health
}

async fn follow(mut writable: watch::Receiver<bool>, reporter: HealthReporter) {
    loop {
        let serves = *writable.borrow_and_update();
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in WRITING {
            reporter.set_service_status(name, status).await;
        }
        if writable.changed().await.is_err() {
            return;
        }
    }
}
