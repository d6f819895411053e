//! What a coordinator's process does beside its runs that can fail unseen: for the metrics, and for nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

use crate::service::tls::Tls;

/// See the module. Several threads may tell and read at once.
#[derive(Debug, Default)]
pub struct Upkeep {
    copies_made: AtomicU64,
    copies_failed: AtomicU64,
    copy_missing: AtomicBool,
    tls: OnceLock<Arc<Tls>>,
}

impl Upkeep {
    /// A scheduled copy of the journal was made, or could not be.
    pub fn copied(&self, made: bool) {
        let count = if made { &self.copies_made } else { &self.copies_failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.copy_missing.store(!made, Ordering::Relaxed);
    }

    /// These certificates are in use, and whatever is read in their place.
    pub fn uses(&self, tls: Arc<Tls>) {
        // A process has one listener, whose certificates were told before.
        let _ = self.tls.set(tls);
    }

    /// Copies that were made, and those that could not be.
    pub(crate) fn copies(&self) -> [u64; 2] {
        [&self.copies_made, &self.copies_failed].map(|count| count.load(Ordering::Relaxed))
    }

    /// Whether the last copy could not be made.
    pub(crate) fn is_copy_missing(&self) -> bool {
        self.copy_missing.load(Ordering::Relaxed)
    }

    /// When the first certificate expires, in seconds since 1970.
    pub(crate) fn certificates_end(&self) -> Option<u64> {
        let end = self.tls.get()?.first_end();
        Some(end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}
