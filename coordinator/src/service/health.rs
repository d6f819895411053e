//! Health for probes: while the journal cannot be written, the coordinator and the services that need it do not serve. Two names are for
//! whoever looks after the process: [`LIVE`] and [`READY`].

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

/// Serves as long as the process answers, also as a standby or while its journal is in trouble: a new process would not be better.
const LIVE: &str = "live";
/// Serves while the process does its part: as a leader while the journal can be written, as a standby while it could take over.
const READY: &str = "ready";

/// The service; it follows the journal as long as the driver lives.
pub(super) async fn service(writable: watch::Receiver<bool>) -> HealthServer<impl Health> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in [LIVE, ACCESS, CLUSTER, DATA] {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    let following = [&[READY][..], &WRITING].concat();
    // Nobody is told a state that is not known yet.
    tell(&writable, &following, &reporter).await;
    tokio::spawn(follow(writable, following, reporter));
    health
}

/// The service of a standby, which could take over or not.
pub(super) async fn standing_by(could_lead: watch::Receiver<bool>) -> HealthServer<impl Health> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(LIVE, ServingStatus::Serving).await;
    for name in WRITING.iter().chain(&[ACCESS, CLUSTER, DATA]) {
        reporter.set_service_status(*name, ServingStatus::NotServing).await;
    }
    tell(&could_lead, &[READY], &reporter).await;
    tokio::spawn(follow(could_lead, vec![READY], reporter));
    health
}

async fn tell(serves: &watch::Receiver<bool>, names: &[&'static str], reporter: &HealthReporter) {
    let status = if *serves.borrow() { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names {
        reporter.set_service_status(*name, status).await;
    }
}

async fn follow(mut serves: watch::Receiver<bool>, names: Vec<&'static str>, reporter: HealthReporter) {
    while serves.changed().await.is_ok() {
        tell(&serves, &names, &reporter).await;
    }
}
