//! The cluster, for clients.

use hebbian_control::command::coordinator;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::worker::List;
use hebbian_proto::convert::up_to_an_hour;
use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_server::ClusterService;
use hebbian_shared::id::WorkerId;
use tonic::{Request, Response, Status};

use super::audit;
use super::status::{ask, invalid, refused};
use crate::access::table::{ACTS_ON_ALL, LOOKS_AT_ALL, Row};
use crate::driver::handing_over::StepDown;
use crate::handle::Handle;
use crate::operator::Operator;

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[
    ("/hebbian.v1.ClusterService/ListWorkers", LOOKS_AT_ALL),
    ("/hebbian.v1.ClusterService/DrainWorker", ACTS_ON_ALL),
    ("/hebbian.v1.ClusterService/GetCoordinatorStatus", LOOKS_AT_ALL),
    ("/hebbian.v1.ClusterService/StepDown", ACTS_ON_ALL),
];

/// Answers for the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    handle: Handle,
}

impl Cluster {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let v1::ListWorkersRequest { page_size: size, page_token: token } = request.into_inner();
        let page = ask(&self.handle, List { page: PageRequest { size, token } }).await?;
        Ok(Response::new(v1::ListWorkersResponse { workers: page.items, next_page_token: page.next_token }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let who = audit::who(&request);
        let v1::DrainWorkerRequest { worker, within } = request.into_inner();
        let within = within.map(|within| up_to_an_hour("within", Some(within))).transpose();
        let within = within.map_err(|error| invalid(&error))?;
        let operator = Operator { handle: &self.handle, who: &who };
        let drained = operator.drain(WorkerId(worker), within).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::DrainWorkerResponse { worker: Some(drained) }))
    }

    async fn step_down(
        &self,
        request: Request<v1::StepDownRequest>,
    ) -> Result<Response<v1::StepDownResponse>, Status> {
        let who = audit::who(&request);
        let standbys = ask(&self.handle, StepDown).await?;
        audit::done(&who, "asked to step down", &"the coordinator");
        Ok(Response::new(v1::StepDownResponse { standbys }))
    }

    async fn get_coordinator_status(
        &self,
        _: Request<v1::GetCoordinatorStatusRequest>,
    ) -> Result<Response<v1::GetCoordinatorStatusResponse>, Status> {
        let status = Some(ask(&self.handle, coordinator::Status).await?);
        Ok(Response::new(v1::GetCoordinatorStatusResponse { status }))
    }
}
