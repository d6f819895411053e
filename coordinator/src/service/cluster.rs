//! The cluster, for clients.

use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_server::ClusterService;
use tonic::{Request, Response, Status};

use super::page;
use super::status::refused;
use crate::handle::Handle;

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

    async fn get_coordinator_status(
        &self,
        _: Request<v1::GetCoordinatorStatusRequest>,
    ) -> Result<Response<v1::GetCoordinatorStatusResponse>, Status> {
        let status = self.handle.status().await.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::GetCoordinatorStatusResponse { status: Some((&status).into()) }))
    }
}
