//! Data sets of labelled images, and labelled tables, as their files hold them, and where a worker finds them.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hebbian_shared::digest::Digest;
use hebbian_shared::spec::data_set::{DataSetName, DataSetSpec};

use super::idx::{self, Array, Element};
use super::images::ImageSet;

pub mod make;
mod part;

pub use part::Form;
pub(super) use part::Part;

/// Where data sets come from. The tasks do not know whether that is a directory, the network or nothing.
pub trait DataSets: Send + Sync {
    /// The data set of a name; where a digest is given, the one with that content and no other.
    fn find(&self, name: DataSetName, digest: Option<Digest>) -> Result<Arc<DataSet>, DataSetError>;

    /// Takes a data set that comes from elsewhere, so that [`DataSets::find`] finds it by its digest from then on.
    fn receive(&self, name: DataSetName, _digest: Digest) -> Result<Box<dyn Arriving>, DataSetError> {
        let problem = "there is no data directory to keep it in".to_owned();
        Err(DataSetError::Unfit { name: name.to_string(), problem })
    }
}

/// A data set that is arriving. Dropped before its end, it leaves nothing behind.
pub trait Arriving: Send {
    /// The next bytes of a file: 0 training images, 1 training labels, 2 test images, 3 test labels.
    fn write(&mut self, file: usize, bytes: &[u8]) -> Result<(), DataSetError>;

    /// All has arrived. Refused unless the content has the digest that it was announced with.
    fn finish(self: Box<Self>) -> Result<(), DataSetError>;
}

/// No data sets: for runs that need none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDataSets;

impl DataSets for NoDataSets {
    fn find(&self, name: DataSetName, _: Option<Digest>) -> Result<Arc<DataSet>, DataSetError> {
        Err(DataSetError::Missing { name, searched: "nowhere: there is no data directory".to_owned() })
    }
}

/// Why a data set cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataSetError {
    /// It is not there.
    #[error("data set `{name}` is missing; searched {searched}. {}", how_to_get(name))]
    Missing {
        /// The data set.
        name: DataSetName,
        /// Where it was searched.
        searched: String,
    },
    /// There is one of that name with other content.
    #[error(
        "data set `{name}` in {place} has other content (digest {}) than is wanted ({}); put the right files there, or \
         name another directory with --data",
        found.short(), wanted.short()
    )]
    Other {
        /// The data set.
        name: DataSetName,
        /// Where it is.
        place: String,
        /// Digest of its content.
        found: Digest,
        /// Digest of what is wanted.
        wanted: Digest,
    },
    /// A file cannot be read, is damaged, or does not fit to the others.
    #[error("{file}: {problem}")]
    File {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// It does not have what is asked of it.
    #[error("data set `{name}`: {problem}")]
    Unfit {
        /// The data set.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Where well-known data sets can be got.
const SOURCES: [(&str, &str); 4] = [
    (
        "fashion-mnist",
        "Debian's package dataset-fashion-mnist or https://github.com/zalandoresearch/fashion-mnist",
    ),
    ("kmnist", "https://codh.rois.ac.jp/kmnist"),
    ("emnist", "https://www.nist.gov/itl/products-and-services/emnist-dataset"),
    ("mnist", "https://github.com/cvdfoundation/mnist"),
];

fn how_to_get(name: &DataSetName) -> String {
    let known = SOURCES.iter().find(|(known, _)| name.as_str().starts_with(known));
    let source = known.map_or_else(String::new, |(_, source)| format!(" (from {source})"));
    format!(
        "Get its four IDX files{source}, then `hebbian data add {name} DIRECTORY` (or FILE.csv, or FILE.npz), or name another \
         directory with --data"
    )
}

/// One of the four files of a data set: a name for errors, and its bytes.
pub struct SourceFile<R> {
    /// How errors call it.
    pub name: String,
    /// Its bytes, compressed with gzip or not.
    pub bytes: R,
}

/// A labelled image set or table in two parts, as its files hold it.
#[derive(Debug)]
pub struct DataSet {
    /// What networks are trained on.
    train: Part,
    /// What trained networks are tested on.
    test: Part,
    digest: Digest,
    /// The sets of inputs that were made of it and are still in use.
    made: Mutex<Vec<Made>>,
}

#[derive(Debug)]
struct Made {
    side: u32,
    classes: Vec<u8>,
    set: Weak<ImageSet>,
}

impl DataSet {
    /// Reads training images, training labels, test images and test labels.
    pub fn read<R: Read>(files: [SourceFile<R>; 4]) -> Result<Self, DataSetError> {
        let mut arrays = Vec::with_capacity(4);
        let mut names = Vec::with_capacity(4);
        for SourceFile { name, bytes } in files {
            let array = idx::read(bytes).map_err(|error| damaged(&name, error.to_string()))?;
            arrays.push(array);
            names.push(name);
        }
        let headers: Vec<Vec<u8>> = arrays.iter().map(Array::header).collect();
        let contents = headers.iter().zip(&arrays).flat_map(|(header, array)| [&header[..], &array.bytes]);
        let digest = Digest::of_parts(contents);
        let mut arrays = names.into_iter().zip(arrays);
        let mut part = || {
            let (Some(images), Some(labels)) = (arrays.next(), arrays.next()) else {
                unreachable!("there are four files")
            };
            Part::new(images, labels)
        };
        let (train, test) = (part()?, part()?);
        if train.form != test.form {
            let forms = format!("test {} where training has {}", test.form, train.form);
            return Err(damaged("the four files do not belong together", forms));
        }
        Ok(Self { train, test, digest, made: Mutex::new(Vec::new()) })
    }

    /// Digest of the content: of the four IDX files one after the other, uncompressed.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Examples of the training part and of the test part.
    pub fn counts(&self) -> (usize, usize) {
        (self.train.labels.len(), self.test.labels.len())
    }

    /// What an example is.
    pub fn form(&self) -> Form {
        self.train.form
    }

    /// Features of a table.
    fn features(&self) -> Option<u32> {
        match self.form() {
            Form::Image { .. } => None,
            Form::Line { features } => Some(features as u32),
        }
    }

    /// The labels of the training part, increasing.
    pub fn classes(&self) -> Vec<u8> {
        self.train.labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes into a spec what it leaves open: digest, classes and features.
    pub fn complete(&self, spec: &mut DataSetSpec) {
        spec.digest = Some(self.digest);
        spec.features = self.features();
        if spec.classes.is_empty() {
            spec.classes = self.classes();
        }
    }

    /// The inputs that a spec asks for.
    pub(super) fn inputs(self: &Arc<Self>, spec: &DataSetSpec) -> Result<Arc<ImageSet>, DataSetError> {
        if spec.features != self.features() {
            let problem = match self.features() {
                Some(features) => {
                    format!("is a table: its entry in tasks.data_sets needs `features = {features}`")
                }
                None => "has images: its entry in tasks.data_sets must not have `features`".to_owned(),
            };
            return Err(DataSetError::Unfit { name: spec.name.to_string(), problem });
        }
        self.images(spec.name.as_str(), spec.side, &spec.classes)
    }

    /// Inputs of `side` x `side` pixels of the images of some labels (all if empty), in the order of the labels, or those of a
    /// table's lines; shared among all that ask for the same.
    pub(super) fn images(
        self: &Arc<Self>,
        name: &str,
        side: u32,
        classes: &[u8],
    ) -> Result<Arc<ImageSet>, DataSetError> {
        let all = if classes.is_empty() { self.classes() } else { Vec::new() };
        let classes = if classes.is_empty() { &all[..] } else { classes };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|made| made.set.strong_count() > 0);
        let same = made.iter().find(|made| made.side == side && made.classes == classes);
        if let Some(set) = same.and_then(|made| made.set.upgrade()) {
            return Ok(set);
        }
        let set = ImageSet::new(Arc::clone(self), [&self.train, &self.test], side as usize, classes)
            .map_err(|problem| DataSetError::Unfit { name: name.to_owned(), problem })?;
        let set = Arc::new(set);
        made.push(Made { side, classes: classes.to_vec(), set: Arc::downgrade(&set) });
        Ok(set)
    }
}

fn damaged(file: &str, problem: String) -> DataSetError {
    DataSetError::File { file: file.to_owned(), problem }
}

/// A data set of a few bytes, for tests: `counts` training and test images of `rows` x `columns`, whose labels go
/// through `labels` in turn.
pub fn small(counts: [usize; 2], (rows, columns): (usize, usize), labels: &[u8]) -> DataSet {
    DataSet::read(
        small_files(counts, (rows, columns), labels)
            .map(|(name, bytes)| SourceFile { name: name.to_owned(), bytes: std::io::Cursor::new(bytes) }),
    )
    .unwrap()
}

/// The files of [`small`].
pub fn small_files(
    counts: [usize; 2],
    (rows, columns): (usize, usize),
    labels: &[u8],
) -> [(&'static str, Vec<u8>); 4] {
    let file = |shape: Vec<usize>, bytes: Vec<u8>| {
        let array = Array { element: Element::Byte, shape, bytes };
        [array.header(), array.bytes].concat()
    };
    let label = |image: usize| labels[image % labels.len()];
    let images = |count: usize| {
        let of_image = |image: usize| {
            (0..rows * columns).map(move |pixel| (16 * image + 3 * pixel) as u8 ^ (pixel * image) as u8)
        };
        file(vec![count, rows, columns], (0..count).flat_map(of_image).collect())
    };
    let labels = |count: usize| file(vec![count], (0..count).map(label).collect());
    [
        ("train-images-idx3-ubyte", images(counts[0])),
        ("train-labels-idx1-ubyte", labels(counts[0])),
        ("t10k-images-idx3-ubyte", images(counts[1])),
        ("t10k-labels-idx1-ubyte", labels(counts[1])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, Vec<u8>); 4]) -> Result<DataSet, DataSetError> {
        let file = |place: usize| SourceFile { name: files[place].0.to_owned(), bytes: &files[place].1[..] };
        DataSet::read([0, 1, 2, 3].map(file))
    }

    #[test]
    fn the_digest_is_that_of_the_uncompressed_files() {
        let files = small_files([6, 3], (2, 2), &[4, 9]);
        let set = read(&files).unwrap();
        let bytes: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(set.digest(), Digest::of(&bytes));
        assert_eq!(
            (set.counts(), set.form().to_string(), set.classes()),
            ((6, 3), "images of 2 x 2".to_owned(), vec![4, 9])
        );
        let mut spec = DataSetSpec::of("a".parse().unwrap(), 2);
        set.complete(&mut spec);
        assert_eq!((spec.digest, &spec.classes[..]), (Some(set.digest()), &[4, 9][..]));
        spec.classes = vec![9, 4];
        set.complete(&mut spec);
        assert_eq!(spec.classes, [9, 4], "a choice stays");
    }

    /// The names and contents of a set's four files.
    type Files = [(&'static str, Vec<u8>); 4];

    #[test]
    fn files_that_do_not_fit_together_are_refused() {
        let check = |change: &dyn Fn(&mut Files), expected: &str| {
            let mut files = small_files([6, 3], (2, 2), &[4, 9]);
            change(&mut files);
            let error = read(&files).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            &|files| files.swap(0, 1),
            "train-labels-idx1-ubyte: must have the shape [images, rows, columns] or [examples, features], not [6]",
        );
        check(
            &|files| files.swap(1, 3),
            "t10k-labels-idx1-ubyte: must have the shape [6], one label per image",
        );
        check(
            &|files| files[2].1 = small_files([1, 3], (3, 2), &[1])[2].1.clone(),
            "test images of 3 x 2 where",
        );
        check(&|files| files[0].1.truncate(9), "train-images-idx3-ubyte: ends within its header");
        check(&|files| files[0].1[7] = 0, "has more elements than its header says");
        check(&|files| files[0].1 = vec![0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2], "not [0, 2, 2]");
        let wide = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 8, 0, 0, 0, 0, 1][..], &[0; 2048]].concat();
        check(
            &|files| files[0].1 = wide.clone(),
            "must hold images of 1 to 1024 rows and columns, not [1, 2048, 1]",
        );
    }

    #[test]
    fn what_is_missing_is_told_with_a_way_to_get_it() {
        let name = |text: &str| text.parse::<DataSetName>().unwrap();
        let error = NoDataSets.find(name("fashion-mnist"), None).unwrap_err().to_string();
        assert!(
            error.contains("dataset-fashion-mnist") && error.contains("hebbian data add fashion-mnist"),
            "{error}"
        );
        let error = NoDataSets.find(name("emnist-letters"), None).unwrap_err().to_string();
        assert!(error.contains("nist.gov"), "{error}");
        let error = NoDataSets.find(name("mine"), None).unwrap_err().to_string();
        assert!(
            error.contains("Get its four IDX files, then `hebbian data add mine DIRECTORY` (or FILE.csv"),
            "{error}"
        );
    }
}
