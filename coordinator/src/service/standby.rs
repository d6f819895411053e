//! What a standby answers: that it does not serve, and who leads.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::Stream;
use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use hebbian_trace::Tracer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::Connected;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{TransportSettings, health, serve_routes};
use crate::journal::Leader;

/// What is known of the leader; nothing before the first look.
pub type LeaderSeen = watch::Receiver<Option<Leader>>;

/// Answers for the cluster: who leads it.
#[derive(Debug)]
struct Standby {
    leader: LeaderSeen,
}

/// What whoever wants anything else is told.
fn refused(leader: &LeaderSeen) -> Status {
    let leader = leader.borrow();
    let who = leader
        .as_ref()
        .map_or_else(|| "nobody is known to lead".to_owned(), |leader| format!("{leader} leads"));
    // Clients ask somebody else: nothing was done.
    let details = ErrorDetails::with_error_info("STANDBY", "hebbian", HashMap::new());
    Status::with_error_details(Code::Unavailable, format!("this coordinator is a standby; {who}"), details)
}

#[tonic::async_trait]
impl ClusterService for Standby {
    async fn list_workers(
        &self,
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        Err(refused(&self.leader))
    }

    async fn drain_worker(
        &self,
        _: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        Err(refused(&self.leader))
    }

    async fn step_down(
        &self,
        _: Request<v1::StepDownRequest>,
    ) -> Result<Response<v1::StepDownResponse>, Status> {
        Err(refused(&self.leader))
    }

    async fn get_coordinator_status(
        &self,
        _: Request<v1::GetCoordinatorStatusRequest>,
    ) -> Result<Response<v1::GetCoordinatorStatusResponse>, Status> {
        let leader = self.leader.borrow().clone().unwrap_or_default();
        let status = v1::CoordinatorStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            leadership: Some(v1::Leadership { leads: false, leader: leader.name, address: leader.address }),
            ..v1::CoordinatorStatus::default()
        };
        Ok(Response::new(v1::GetCoordinatorStatusResponse { status: Some(status) }))
    }
}

/// Serves connections as a standby until `shutdown`; `could_lead` says whether it could take over at the moment.
pub async fn serve_standby<IO>(
    (leader, could_lead): (LeaderSeen, watch::Receiver<bool>),
    incoming: impl Stream<Item = io::Result<IO>>,
    settings: TransportSettings,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let told = Arc::new(leader.clone());
    let routes = Routes::default()
        .add_service(ClusterServiceServer::new(Standby { leader }))
        .add_service(health::standing_by(could_lead).await)
        .into_axum_router()
        .fallback(move || {
            let answer = refused(&told).into_http::<tonic::body::Body>();
            async move { answer }
        });
    serve_routes((Routes::from(routes), Tracer::default()), incoming, settings, shutdown).await;
}
