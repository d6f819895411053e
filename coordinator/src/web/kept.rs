//! Pages of more than one run and of the cluster: drawn once for all who were told of the same moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hebbian_shared::limits::PAGE_RUNS_FOLLOWED_MAX;

use super::drawn::Pictures;
use super::page::Page;

/// A page as it was drawn last.
pub(super) struct Kept {
    /// The moment that those were told of who asked for it; none if somebody asked by themselves.
    pub(super) at: Option<u64>,
    pub(super) page: Page,
    /// Its pictures, where they are not drawn anew each time.
    pub(super) pictures: Option<Pictures>,
}

/// The place of a page, which one draws while the others wait.
pub(super) type Place = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// See the module.
#[derive(Default)]
pub(super) struct KeptPages(Mutex<BTreeMap<String, Place>>);

impl KeptPages {
    /// The place of a page, by its path.
    pub(super) fn place(&self, path: &str) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits for one of them has it.
        if places.len() >= PAGE_RUNS_FOLLOWED_MAX && !places.contains_key(path) {
            places.clear();
        }
        Arc::clone(places.entry(path.to_owned()).or_default())
    }
}

impl Kept {
    /// Whether it is what whoever was told of a moment has to see.
    pub(super) fn is_of(&self, at: Option<u64>) -> bool {
        at.is_some() && self.at == at
    }
}
