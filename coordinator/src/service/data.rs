//! Data sets, for workers that lack them: read from files here and sent in pieces.
//!
//! A piece is not checked here but by its receiver, which knows the digest. A receiver that does not take the next piece
//! in time is given up, so that it does not keep the place of another.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::data_service_server::DataService;
use hebbian_shared::digest::Digest;
use hebbian_shared::limits::{
    DATA_SET_BYTES_MAX, DATA_SET_PIECE_BYTES, DATA_SET_TAKEN_TIMEOUT, DATA_SET_TURN_TIMEOUT,
    DATA_SETS_SENT_MAX,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::invalid;
use crate::access::table::{Row, WORKS};

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[("/hebbian.v1.DataService/GetDataSet", WORKS)];

/// Where the files of data sets are. May block.
pub trait DataSource: Debug + Send + Sync + 'static {
    /// Training images, training labels, test images and test labels of the data set with this content.
    fn files(&self, digest: Digest) -> Option<[PathBuf; 4]>;
}

/// No data sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoData;

impl DataSource for NoData {
    fn files(&self, _: Digest) -> Option<[PathBuf; 4]> {
        None
    }
}

/// Sends data sets.
#[derive(Debug)]
pub(super) struct Data {
    source: Arc<dyn DataSource>,
    sending: Arc<Semaphore>,
}

impl Data {
    pub(super) fn new(source: Arc<dyn DataSource>) -> Self {
        Self { source, sending: Arc::new(Semaphore::new(DATA_SETS_SENT_MAX)) }
    }
}

type Piece = Result<v1::GetDataSetResponse, Status>;

#[tonic::async_trait]
impl DataService for Data {
    type GetDataSetStream = ReceiverStream<Piece>;

    async fn get_data_set(
        &self,
        request: Request<v1::GetDataSetRequest>,
    ) -> Result<Response<Self::GetDataSetStream>, Status> {
        let digest = Digest::try_from(&request.get_ref().digest[..])
            .map_err(|_| invalid(&ConvertError::new("digest", "must have 32 bytes")))?;
        let turn =
            tokio::time::timeout(DATA_SET_TURN_TIMEOUT, Arc::clone(&self.sending).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Status::resource_exhausted(format!(
                "{DATA_SETS_SENT_MAX} data sets are being sent, which is the limit; try again"
            )));
        };
        let source = Arc::clone(&self.source);
        let opened = tokio::task::spawn_blocking(move || source.files(digest).map(|files| open(&files)));
        let opened = opened.await.map_err(|error| Status::internal(error.to_string()))?;
        let files = match opened {
            Some(Ok(files)) => files,
            Some(Err(error)) => {
                tracing::warn!(%error, digest = digest.short(), "a data set cannot be sent");
                return Err(Status::failed_precondition("the coordinator cannot read its files"));
            }
            None => {
                let problem = format!("the coordinator has no data set with digest {}", digest.short());
                return Err(Status::not_found(problem));
            }
        };
        let (pieces, receiver) = mpsc::channel(1);
        tokio::spawn(send(files, pieces, turn));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Opens the files, if they are not larger together than what may be sent.
fn open(files: &[PathBuf; 4]) -> io::Result<Vec<File>> {
    let mut bytes = 0;
    let mut opened = Vec::with_capacity(files.len());
    for path in files {
        let explain = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(explain)?;
        bytes += file.metadata().map_err(explain)?.len();
        opened.push(file);
    }
    if bytes > DATA_SET_BYTES_MAX {
        return Err(io::Error::other(format!("{bytes} bytes are above the limit of {DATA_SET_BYTES_MAX}")));
    }
    Ok(opened)
}

/// Sends the files piece by piece, as fast as they are taken.
async fn send(files: Vec<File>, pieces: mpsc::Sender<Piece>, _turn: OwnedSemaphorePermit) {
    for (place, file) in (0..).zip(files) {
        let file = Arc::new(file);
        loop {
            let piece =
                next_piece(&file).await.map(|content| v1::GetDataSetResponse { file: place, content });
            if piece.as_ref().is_ok_and(|piece| piece.content.is_empty()) {
                break;
            }
            let failed = piece.is_err();
            let taken = tokio::time::timeout(DATA_SET_TAKEN_TIMEOUT, pieces.send(piece)).await;
            if failed || !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// The next bytes of a file; none at its end.
async fn next_piece(file: &Arc<File>) -> Result<Vec<u8>, Status> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut content = Vec::with_capacity(DATA_SET_PIECE_BYTES);
        (&*file).take(DATA_SET_PIECE_BYTES as u64).read_to_end(&mut content).map(|_| content)
    });
    let failed = |error: &dyn std::fmt::Display| Status::internal(format!("a file cannot be read: {error}"));
    read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}
