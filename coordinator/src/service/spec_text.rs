//! The texts of specs in requests. A large one may take a core for seconds, so it is read beside what answers: one at a time, on a thread of
//! its own.

use hebbian_proto::convert::ConvertError;
use hebbian_shared::limits::SPECS_WAITING_MAX;
use hebbian_shared::spec::{RunSpec, SpecError};
use tokio::sync::Semaphore;
use tonic::Status;

use super::status::invalid;

/// A text of this length is read in less time than a thread takes to begin. People's specs are shorter.
const SMALL_BYTES: usize = 16 << 10;
/// Of all cores, one reads.
static READER: Semaphore = Semaphore::const_new(1);
static WAITING: Semaphore = Semaphore::const_new(SPECS_WAITING_MAX);

/// Reads a run's spec.
pub(super) async fn spec(text: String) -> Result<RunSpec, Status> {
    read(text, RunSpec::read, ConvertError::of_spec).await
}

/// Reads a text by `reading`; `wrong` tells what is wrong with it.
pub(super) async fn read<T: Send + 'static>(
    text: String,
    reading: fn(&str) -> Result<T, SpecError>,
    wrong: impl Fn(&SpecError) -> ConvertError,
) -> Result<T, Status> {
    let read = if text.len() <= SMALL_BYTES {
        reading(&text)
    } else {
        let busy = |_| {
            Status::resource_exhausted("as many large specs as may wait are waiting to be read; try again")
        };
        let place = WAITING.try_acquire().map_err(busy)?;
        let turn = READER.acquire().await.expect("it is never closed");
        // Whoever asked may go away meanwhile; the thread has both until it has read.
        let reading = tokio::task::spawn_blocking(move || {
            let _both = (place, turn);
            reading(&text)
        });
        reading.await.map_err(|error| Status::internal(format!("the spec was not read: {error}")))?
    };
    read.map_err(|error| invalid(&wrong(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as one large text is being read, others wait, and what is more is refused; small ones are read at once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn large_texts_are_read_one_at_a_time_and_few_may_wait() {
        let large = || format!("{}name = 1", " ".repeat(SMALL_BYTES));
        let refused = |status: Status| status.message().to_owned();
        // Somebody's is being read, and all places but one are taken by others who wait.
        let turn = READER.acquire().await.unwrap();
        let others = WAITING.try_acquire_many(SPECS_WAITING_MAX as u32 - 1).unwrap();
        let waiting = tokio::spawn(spec(large()));
        while WAITING.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let busy = refused(spec(large()).await.unwrap_err());
        assert!(busy.contains("try again"), "{busy}");
        let small = refused(spec("name = 1".to_owned()).await.unwrap_err());
        assert!(small.contains("name"), "{small}");
        assert!(!waiting.is_finished());
        drop((turn, others));
        let read = refused(waiting.await.unwrap().unwrap_err());
        assert!(read.contains("must be "), "{read}");
        while WAITING.available_permits() < SPECS_WAITING_MAX {
            tokio::task::yield_now().await;
        }
    }
}
