//! How many episodes travel together.

use hebbian_shared::limits::BATCH_GENOME_BYTES_MAX;

/// The most episodes of a batch: their genomes, all of them different at worst, are one message. Those of an external problem travel with
/// what they stand for, as many numbers again.
pub(super) fn batch_max(dimension: usize, is_external: bool) -> u32 {
    let numbers = dimension.max(1) * if is_external { 2 } else { 1 };
    (BATCH_GENOME_BYTES_MAX / (8 * numbers)).max(1) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hebbian_proto::v1;
    use hebbian_shared::digest::Digest;
    use hebbian_shared::dispatch::{Assignment, Batch, BatchGenome, ToWorker};
    use hebbian_shared::episode::{EpisodePurpose, Wants};
    use hebbian_shared::genome::Genome;
    use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
    use hebbian_shared::limits::{
        BATCH_LENGTH_MAX, GENOME_VALUES_MAX, PARAMETERS_MAX, PEER_MESSAGE_BYTES_MAX,
    };
    use prost::Message as _;

    use super::batch_max;

    /// With all of its genomes different and every number of the message as long as it can be.
    #[test]
    fn the_largest_batch_is_a_message_that_workers_take() {
        for is_external in [false, true] {
            for dimension in [1, 2047, 2048, PARAMETERS_MAX, GENOME_VALUES_MAX] {
                let count = batch_max(dimension, is_external).min(BATCH_LENGTH_MAX);
                assert!(count >= 1);
                let genome = Arc::new(Genome(vec![-1.0 / 3.0; dimension]));
                let parameters = if is_external { genome.0.clone() } else { Vec::new() };
                let genomes = (0..count).map(|candidate| BatchGenome {
                    candidate: CandidateIndex(u32::MAX - candidate),
                    genome: Arc::clone(&genome),
                    parameters: parameters.clone(),
                });
                let assignments =
                    (0..count).map(|genome| Assignment { genome, task: TaskIndex(u32::MAX), seed: u32::MAX });
                let batch = Batch {
                    run: RunId::new(u64::MAX),
                    layout: Digest::of(b""),
                    generation: GenerationIndex(u32::MAX),
                    purpose: EpisodePurpose::Search,
                    block: BlockIndex(u32::MAX),
                    wants: Wants::default(),
                    genomes: genomes.collect(),
                    assignments: assignments.collect(),
                };
                let message = v1::AttachResponse::from(&ToWorker::Batch(batch)).encoded_len();
                assert!(
                    message <= PEER_MESSAGE_BYTES_MAX,
                    "{count} genomes of {dimension} numbers: {message} bytes"
                );
            }
        }
    }
}
