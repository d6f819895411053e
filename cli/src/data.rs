//! Data sets of this machine: where they are, and what a spec leaves open about them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hebbian_coordinator::service::data::DataSource;
use hebbian_learning::task::data_set::{DataSet, DataSetError, DataSets as _, Form};
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

/// Where data sets are if nobody says it and there is no home: never in the working directory, which is another one next time.
const HOMELESS: &str = "/var/lib/hebbian/data";

/// The directory of a coordinator, whose workers may fetch what is in it.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Arc<DataStore>);

impl DataSource for Served {
    fn files(&self, digest: Digest) -> Option<[PathBuf; 4]> {
        self.0.files(digest)
    }
}

/// What becomes of a directory of data sets that was named and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingDirectory {
    /// It must be a mistake: the command only reads.
    Refused,
    /// It may come, and that it is not there is said.
    Told,
    /// The command makes it.
    Made,
}

/// The data sets of a configured directory, or of the customary one; `field` is the configuration's.
pub(crate) fn store(
    field: &str,
    configured: Option<PathBuf>,
    missing: MissingDirectory,
) -> Result<Arc<DataStore>, Failure> {
    let customary = || {
        let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).and_then(absolute);
        let home = || std::env::home_dir().and_then(absolute).map(|home| home.join(".local/share"));
        data.or_else(home).map_or_else(|| PathBuf::from(HOMELESS), |data| data.join("hebbian/data"))
    };
    let Some(named) = configured else { return Ok(Arc::new(DataStore::new(customary()))) };
    let place = named.display();
    match std::fs::metadata(&named) {
        Ok(there) if !there.is_dir() => {
            return Err(Failure::bad_input(format_args!("{field} (--data): {place} is not a directory")));
        }
        Err(_) if missing == MissingDirectory::Refused => {
            return Err(Failure::not_found(format_args!("{field} (--data): there is no directory {place}"))
                .hint("`hebbian data add` makes one"));
        }
        Err(_) if missing == MissingDirectory::Told => {
            tracing::warn!("{field} (--data): there is no directory {place} yet");
        }
        _ => {}
    }
    Ok(Arc::new(DataStore::new(named)))
}

/// Fills in what a spec leaves open about its data sets: their digests, classes and features.
pub(crate) fn complete(spec: &mut RunSpec, store: &DataStore) -> Result<(), Failure> {
    spec.problem.data_sets_mut().iter_mut().try_for_each(|data_set| complete_one(data_set, store))?;
    // The numbers of classes and of features are known only now.
    spec.validate().map_err(Failure::bad_input)
}

/// Fills in a data set's digest, classes and features; where the first two are given, it need not be on this machine.
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
    /// Images: how many in each part, their size, the labels and what they are called.
    Images {
        training: usize,
        test: usize,
        rows: usize,
        columns: usize,
        classes: Vec<u8>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        class_names: Vec<String>,
        digest: Digest,
    },
    /// A table: examples in each part, its features, the labels and what they are called.
    Table {
        training: usize,
        test: usize,
        features: usize,
        classes: Vec<u8>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        class_names: Vec<String>,
        digest: Digest,
    },
    /// Why it cannot be used.
    Broken { error: String },
}

impl Row {
    /// Of a set that can be used.
    pub(crate) fn of(name: DataSetName, store: &DataStore, set: &DataSet) -> Self {
        let ((training, test), classes, digest) = (set.counts(), set.classes(), set.digest());
        let class_names = store.class_names(name);
        let content = match set.form() {
            Form::Image { rows, columns } => {
                Content::Images { training, test, rows, columns, classes, class_names, digest }
            }
            Form::Line { features } => {
                Content::Table { training, test, features, classes, class_names, digest }
            }
        };
        Self { name, family: format!("idx:{name}"), directory: store.place(name), content }
    }
}
