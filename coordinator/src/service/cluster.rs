//! The cluster, for clients.

use std::time::Duration;

use hebbian_proto::convert::up_to_an_hour;
use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_server::ClusterService;
use hebbian_shared::id::WorkerId;
use tonic::{Request, Response, Status};

use super::page;
use super::status::{invalid, refused};
use crate::handle::Handle;

/// The time of a worker to leave if nobody says.
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

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
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = page::position(&request.page_token, |token| token.parse::<u64>().ok())?;
        let mut workers = self.handle.workers().await.map_err(|error| refused(&error))?;
        workers.sort_by_key(|status| status.worker);
        // Workers come and go between pages, but their ids only grow.
        let start = after.map_or(0, |after| workers.partition_point(|status| status.worker.0 <= after));
        let (workers, next_page_token) = page::cut(workers, start, size, |status| status.worker.to_string());
        let workers = workers.iter().map(Into::into).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers, next_page_token }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let v1::DrainWorkerRequest { worker, within } = request.into_inner();
        let within = match within {
            None => DRAIN_DEFAULT,
            some => up_to_an_hour("within", some).map_err(|error| invalid(&error))?,
        };
        let drained = self.handle.drain(WorkerId(worker), within).await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::DrainWorkerResponse { worker: Some((&drained).into()) }))
    }

    async fn get_coordinator_status(
        &self,
        _: Request<v1::GetCoordinatorStatusRequest>,
    ) -> Result<Response<v1::GetCoordinatorStatusResponse>, Status> {
        let status = self.handle.status().await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::GetCoordinatorStatusResponse { status: Some((&status).into()) }))
    }
}
