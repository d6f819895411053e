//! Data sets of this machine: where they are, and what a spec leaves open about them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hebbian_learning::task::data_set::{DataSet, DataSetError, DataSets as _};
use hebbian_shared::digest::Digest;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::data_set::{DataSetName, DataSetSpec};
use hebbian_worker::data_store::DataStore;
use serde::Serialize;

use crate::failure::Failure;

/// Where data sets are, for every command that reads them.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArguments {
    /// The directory of data sets [default: `HEBBIAN__WORKER__DATA`, or `hebbian/data` below `XDG_DATA_HOME` or
    /// `~/.local/share`].
    #[arg(long = "data", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// The data sets of a configured directory, or of the customary one.
pub(crate) fn store(configured: Option<PathBuf>) -> Arc<DataStore> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let customary = || {
        let home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        home.unwrap_or_default().join("hebbian/data")
    };
    Arc::new(DataStore::new(configured.unwrap_or_else(customary)))
}

/// Fills in what a spec leaves open about its data sets: their digests and classes.
pub(crate) fn complete(spec: &mut RunSpec, store: &DataStore) -> Result<(), Failure> {
    spec.problem.data_sets_mut().iter_mut().try_for_each(|data_set| complete_one(data_set, store))?;
    // The number of classes is known only now.
    spec.validate().map_err(Failure::bad_input)
}

/// Fills in a data set's digest and classes; where both are given, it need not be on this machine.
pub(crate) fn complete_one(data_set: &mut DataSetSpec, store: &DataStore) -> Result<(), Failure> {
    if data_set.digest.is_none() || data_set.classes.is_empty() {
        store.find(data_set.name, data_set.digest).map_err(failure)?.complete(data_set);
    }
    Ok(())
}

/// A data set that cannot be had.
pub(crate) fn failure(error: DataSetError) -> Failure {
    match error {
        DataSetError::Missing { .. } => Failure::not_found(error),
        error => Failure::bad_input(error),
    }
}

/// What is said of a data set.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: DataSetName,
    /// The name of its task family.
    pub(crate) family: String,
    /// Where its files are.
    pub(crate) directory: PathBuf,
    /// What it holds, or why it cannot be used.
    #[serde(flatten)]
    pub(crate) content: Content,
}

/// What a data set holds.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    /// What it holds: images of each part, their size, the labels.
    Images { training: usize, test: usize, rows: usize, columns: usize, classes: Vec<u8>, digest: Digest },
    /// Why it cannot be used.
    Broken { error: String },
}

impl Row {
    /// Of a set that can be used.
    pub(crate) fn of(name: DataSetName, store: &DataStore, set: &DataSet) -> Self {
        let ((training, test), (rows, columns)) = (set.counts(), set.image_size());
        let (classes, digest) = (set.classes(), set.digest());
        let content = Content::Images { training, test, rows, columns, classes, digest };
        Self { name, family: format!("idx:{name}"), directory: store.place(name), content }
    }
}
