//! The data directory of a worker: one directory for each data set, with its four IDX files.
//!
//! ```text
//! DIRECTORY/fashion-mnist/train-images-idx3-ubyte.gz      and train-labels-idx1-ubyte.gz, t10k-..., plain or gzip
//! DIRECTORY/fashion-mnist/digest                          what `add` found, for `verify`
//! DIRECTORY/wine/train-inputs-idx, train-labels-idx, ...   a set that was made of a table or of arrays
//! DIRECTORY/wine/classes                                   what its labels 0, 1, ... are called, one a line
//! DIRECTORY/<64 hexadecimal digits>/...                   a set that is known by its digest alone
//! ```
//!
//! File names tell what a file is, in any of the ways that are in use: `train` or `t10k` or `test`, `images` or `labels`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use hebbian_shared::digest::Digest;
use hebbian_shared::limits::{CLASS_NAME_MAX, CLASSES_MAX, DIRECTORY_ENTRIES_MAX};
use hebbian_shared::spec::data_set::DataSetName;

use hebbian_learning::task::data_set::make::Made;
use hebbian_learning::task::data_set::{Arriving, DataSet, DataSetError, DataSets, SourceFile};

mod arriving;
mod files;

use files::{files_of, four_of};

/// What [`DataStore::add`] calls the files.
const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
/// What [`DataStore::add_made`] calls the files.
const MADE_FILES: [&str; 4] = ["train-inputs-idx", "train-labels-idx", "test-inputs-idx", "test-labels-idx"];
/// The file that holds what labels are called.
const CLASSES_FILE: &str = "classes";
/// The file that holds the digest that a set had when it was added.
const DIGEST_FILE: &str = "digest";

/// A file's length and when it was changed; none if the system does not say.
type Stamp = Option<(u64, SystemTime)>;

/// The digest of a set that can be read, with the stamps that its files had.
type Computed = ([Stamp; 4], Option<Digest>);

/// A directory of data sets.
#[derive(Debug)]
pub struct DataStore {
    directory: PathBuf,
    /// The sets that are in use, by directory.
    in_use: Mutex<BTreeMap<PathBuf, Weak<DataSet>>>,
    /// Of sets that have no record of their digest.
    computed: Mutex<BTreeMap<DataSetName, Computed>>,
}

/// What came of adding a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// The same content was there already.
    Before,
}

impl DataStore {
    /// The data sets below a directory, which need not exist.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, in_use: Mutex::default(), computed: Mutex::default() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the files of a data set are, if they are.
    pub fn place(&self, name: DataSetName) -> PathBuf {
        self.directory.join(name.as_str())
    }

    /// The names of all data sets, in order.
    pub fn names(&self) -> Result<Vec<DataSetName>, DataSetError> {
        let found = match entries(&self.directory) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&self.directory, &error)),
        };
        let directories = found.iter().filter(|path| path.is_dir());
        let mut names: Vec<DataSetName> =
            directories.filter_map(|path| file_name(path).parse().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Reads a data set.
    pub fn load(&self, name: DataSetName) -> Result<Arc<DataSet>, DataSetError> {
        let place = self.place(name);
        if !place.is_dir() {
            return Err(DataSetError::Missing { name, searched: place.display().to_string() });
        }
        self.load_from(&place, name)
    }

    /// The digest that a data set had when it was added; none if it was put there by other means.
    pub fn recorded_digest(&self, name: DataSetName) -> Result<Option<Digest>, DataSetError> {
        let path = self.place(name).join(DIGEST_FILE);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(100).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path, &error)),
        }
        let wrong = |error: hebbian_shared::digest::ParseDigestError| refused(&path, &error.to_string());
        text.trim().parse().map(Some).map_err(wrong)
    }

    /// Copies a data set into the directory, all of it or nothing: its four files, or the files of a directory. Of
    /// several sets in one directory, the one whose files begin with the name and a hyphen.
    pub fn add(&self, name: DataSetName, sources: &[PathBuf]) -> Result<(Arc<DataSet>, Added), DataSetError> {
        let files = match sources {
            [directory] if directory.is_dir() => files_of(directory, name)?,
            files => four_of(files.to_vec(), name, "these files")?,
        };
        let set = read(&files)?;
        self.settle(name, set, |temporary| copy_all(&files, temporary))
    }

    /// Puts a data set that has been made into the directory, all of it or nothing.
    pub fn add_made(&self, name: DataSetName, made: &Made) -> Result<(Arc<DataSet>, Added), DataSetError> {
        let mut sources = MADE_FILES.into_iter().zip(&made.files);
        let sources = [(); 4].map(|()| sources.next().expect("there are four files"));
        let set = DataSet::read(
            sources.map(|(name, bytes)| SourceFile { name: name.to_owned(), bytes: &bytes[..] }),
        )?;
        self.settle(name, set, |temporary| {
            for (file, bytes) in sources {
                write(&temporary.join(file), bytes)?;
            }
            if made.class_names.is_empty() {
                return Ok(());
            }
            write(&temporary.join(CLASSES_FILE), (made.class_names.join("\n") + "\n").as_bytes())
        })
    }

    /// What the labels 0, 1, ... of a data set are called; none if it was not said.
    pub fn class_names(&self, name: DataSetName) -> Vec<String> {
        let mut text = String::new();
        let length = 4 * (CLASSES_MAX * (CLASS_NAME_MAX + 1)) as u64;
        let file = File::open(self.place(name).join(CLASSES_FILE));
        match file.and_then(|file| file.take(length).read_to_string(&mut text)) {
            Ok(_) => text.lines().take(CLASSES_MAX).map(str::to_owned).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Writes a data set beside its place, with its digest, and then moves it there; unless the same is there already.
    fn settle(
        &self,
        name: DataSetName,
        set: DataSet,
        write_files: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(Arc<DataSet>, Added), DataSetError> {
        let (set, place) = (Arc::new(set), self.place(name));
        if place.exists() {
            return match self.load_from(&place, name) {
                Ok(there) if there.digest() == set.digest() => Ok((there, Added::Before)),
                Ok(there) => Err(DataSetError::Other {
                    name,
                    place: place.display().to_string(),
                    found: there.digest(),
                    wanted: set.digest(),
                }),
                Err(error) => {
                    Err(refused(&place, &format!("is there and cannot be used ({error}): remove it first")))
                }
            };
        }
        // Hidden, so that nobody takes it for a data set before it is whole.
        let temporary = self.directory.join(format!(".{name}.{}.tmp", std::process::id()));
        let written = fs::create_dir_all(&temporary).and_then(|()| {
            write_files(&temporary)?;
            write(&temporary.join(DIGEST_FILE), format!("{}\n", set.digest()).as_bytes())?;
            fs::rename(&temporary, &place)?;
            File::open(&self.directory)?.sync_all()
        });
        if let Err(error) = written {
            // There may be nothing to remove; the first error is the one that matters.
            let _ = fs::remove_dir_all(&temporary);
            return Err(refused(&place, &format!("cannot be written: {error}")));
        }
        Ok((set, Added::New))
    }

    /// The four files of the data set with this content: by its digest, or by a name whose recorded digest, or else
    /// content, it is.
    pub fn files(&self, digest: Digest) -> Option<[PathBuf; 4]> {
        let nameless: DataSetName = "data".parse().expect("a name");
        if let Ok(files) = files_of(&self.directory.join(digest.to_string()), nameless) {
            return Some(files);
        }
        let name = self.names().ok()?.into_iter().find(|&name| match self.recorded_digest(name) {
            Ok(Some(recorded)) => recorded == digest,
            _ => self.computed_digest(name) == Some(digest),
        })?;
        files_of(&self.place(name), name).ok()
    }

    /// The digest of a data set that has no record of it, if it can be read. It is not read again for each question,
    /// but when its files have changed.
    fn computed_digest(&self, name: DataSetName) -> Option<Digest> {
        let files = files_of(&self.place(name), name).ok()?;
        let stamp =
            |path: &PathBuf| fs::metadata(path).and_then(|data| Ok((data.len(), data.modified()?))).ok();
        let stamps = files.each_ref().map(stamp);
        // Locked while it is read: a question at the same time waits for the same answer.
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, digest)) = computed.get(&name)
            && *before == stamps
        {
            return *digest;
        }
        let digest = self.load(name).ok().map(|set| set.digest());
        computed.insert(name, (stamps, digest));
        digest
    }

    fn load_from(&self, place: &Path, name: DataSetName) -> Result<Arc<DataSet>, DataSetError> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = in_use.get(place).and_then(Weak::upgrade) {
            return Ok(set);
        }
        let set = Arc::new(read(&files_of(place, name)?)?);
        in_use.retain(|_, set| set.strong_count() > 0);
        in_use.insert(place.to_owned(), Arc::downgrade(&set));
        Ok(set)
    }
}

impl DataSets for DataStore {
    /// By name; where that has other content than is wanted, or nothing, by digest.
    fn find(&self, name: DataSetName, digest: Option<Digest>) -> Result<Arc<DataSet>, DataSetError> {
        let named = self.load(name);
        let Some(wanted) = digest else { return named };
        if let Ok(set) = &named
            && set.digest() == wanted
        {
            return named;
        }
        let by_digest = self.directory.join(wanted.to_string());
        if by_digest.is_dir() {
            let set = self.load_from(&by_digest, name)?;
            if set.digest() == wanted {
                return Ok(set);
            }
        }
        let found = named?.digest();
        Err(DataSetError::Other { name, place: self.place(name).display().to_string(), found, wanted })
    }

    fn receive(&self, name: DataSetName, digest: Digest) -> Result<Box<dyn Arriving>, DataSetError> {
        arriving::begin(&self.directory, name, digest)
    }
}

/// Opens a regular file. A device has no length that could be limited, and a pipe would wait for a writer.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        let problem = "it is no regular file; a device or a pipe has no length that could be checked";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    File::open(path)
}

/// Reads training images, training labels, test images and test labels.
fn read(files: &[PathBuf; 4]) -> Result<DataSet, DataSetError> {
    let mut opened = Vec::with_capacity(4);
    for path in files {
        let file = open_regular(path).map_err(|error| unreadable(path, &error))?;
        opened.push(SourceFile { name: path.display().to_string(), bytes: BufReader::new(file) });
    }
    let Ok(opened) = <[_; 4]>::try_from(opened) else { unreachable!("there are four files") };
    DataSet::read(opened)
}

fn copy_all(files: &[PathBuf; 4], place: &Path) -> io::Result<()> {
    for (source, name) in files.iter().zip(FILES) {
        let mut from = File::open(source)?;
        let mut start = Vec::new();
        io::Read::by_ref(&mut from).take(2).read_to_end(&mut start)?;
        let ending = if start.first() == Some(&0) { "" } else { ".gz" };
        let mut to = File::create_new(place.join(format!("{name}{ending}")))?;
        to.write_all(&start)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?
        .take(DIRECTORY_ENTRIES_MAX)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn refused(path: &Path, problem: &str) -> DataSetError {
    DataSetError::File { file: path.display().to_string(), problem: problem.to_owned() }
}

fn unreadable(path: &Path, error: &io::Error) -> DataSetError {
    refused(path, &format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use hebbian_learning::task::data_set::make::{Examples, Labels, Numbers};
    use hebbian_learning::task::data_set::{Form, small, small_files};
    use hebbian_shared::seed::Seed;

    fn name(text: &str) -> DataSetName {
        text.parse().unwrap()
    }

    /// A directory with the files of a small data set, under names of somebody's choice.
    fn source(names: [&str; 4], labels: &[u8]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), names, labels);
        directory
    }

    fn write(directory: &Path, names: [&str; 4], labels: &[u8]) {
        fs::create_dir_all(directory).unwrap();
        for (name, (_, bytes)) in names.iter().zip(small_files([6, 3], (2, 2), labels)) {
            fs::write(directory.join(name), bytes).unwrap();
        }
    }

    fn store() -> (TempDir, DataStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = DataStore::new(directory.path().join("data"));
        (directory, store)
    }

    #[test]
    fn a_set_is_added_found_and_known_again() {
        let (_directory, store) = store();
        assert_eq!(store.names(), Ok(Vec::new()));
        let missing = store.find(name("a"), None).unwrap_err().to_string();
        assert!(missing.contains(&store.place(name("a")).display().to_string()), "{missing}");
        let files = source(FILES, &[1, 2]);
        let (set, added) = store.add(name("a"), &[files.path().to_owned()]).unwrap();
        assert_eq!((set.digest(), added), (small([6, 3], (2, 2), &[1, 2]).digest(), Added::New));
        assert_eq!(store.names(), Ok(vec![name("a")]));
        assert_eq!(store.recorded_digest(name("a")), Ok(Some(set.digest())));
        let four = FILES.map(|file| files.path().join(file));
        assert_eq!(store.add(name("a"), &four).unwrap().1, Added::Before);
        let found = store.find(name("a"), Some(set.digest())).unwrap();
        assert!(Arc::ptr_eq(&found, &store.find(name("a"), None).unwrap()), "read once while it is in use");
        let other = source(FILES, &[1, 3]);
        let error = store.add(name("a"), &[other.path().to_owned()]).unwrap_err();
        assert!(matches!(error, DataSetError::Other { .. }), "{error}");
        assert_eq!(fs::read_dir(store.directory()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn other_content_is_refused_unless_the_digest_itself_is_there() {
        let (_directory, store) = store();
        write(&store.place(name("a")), FILES, &[1, 2]);
        assert_eq!(store.recorded_digest(name("a")), Ok(None));
        let wanted = small([6, 3], (2, 2), &[5, 6]).digest();
        let error = store.find(name("a"), Some(wanted)).unwrap_err().to_string();
        assert!(error.contains("has other content") && error.contains(&wanted.short()), "{error}");
        write(&store.directory().join(wanted.to_string()), FILES, &[5, 6]);
        assert_eq!(store.find(name("a"), Some(wanted)).unwrap().digest(), wanted);
        assert_eq!(store.find(name("b"), Some(wanted)).unwrap().digest(), wanted);
        assert_eq!(store.names(), Ok(vec![name("a")]), "a digest is no name");
    }

    #[test]
    fn files_are_known_by_the_names_that_are_in_use() {
        let emnist = [
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-train-labels-idx1-ubyte",
            "emnist-letters-test-images-idx3-ubyte",
            "emnist-letters-test-labels-idx1-ubyte",
        ];
        let files = source(emnist, &[1, 2]);
        write(
            files.path(),
            emnist.map(|name| name.replace("letters", "digits")).each_ref().map(|name| &name[..]),
            &[3, 4],
        );
        fs::write(files.path().join("emnist-letters-mapping.txt"), "").unwrap();
        let (_directory, store) = store();
        let from = [files.path().to_owned()];
        assert_eq!(store.add(name("emnist-letters"), &from).unwrap().0.classes(), [1, 2]);
        assert_eq!(store.add(name("emnist-digits"), &from).unwrap().0.classes(), [3, 4]);
        let error = store.add(name("letters"), &from).unwrap_err().to_string();
        assert!(error.contains("several files with training images: emnist-digits-train"), "{error}");
        fs::write(files.path().join(format!("{}.gz", emnist[0])), "compressed beside it").unwrap();
        assert_eq!(store.add(name("emnist-letters"), &from).unwrap().1, Added::Before);
        let dots = ["train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "x"];
        let files = source(dots, &[1, 2]);
        let error = store.add(name("b"), &[files.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("there are no test labels (such as t10k-labels-idx1-ubyte.gz)"), "{error}");
    }

    #[test]
    fn what_is_made_of_a_table_is_a_data_set_like_the_others() {
        let (_directory, store) = store();
        let mut labels = Labels::default();
        for label in ["no", "yes", "no", "yes"] {
            labels.push(label).unwrap();
        }
        let train = Numbers::Floats(vec![0.5, 1.5, 2.5, 3.5]);
        let examples = Examples { shape: vec![1], train, test: None, labels };
        let made = examples.make(Seed::new(1).unwrap()).unwrap();
        let (set, added) = store.add_made(name("mine"), &made).unwrap();
        assert_eq!((set.form(), set.counts(), added), (Form::Line { features: 1 }, (2, 2), Added::New));
        assert_eq!(store.add_made(name("mine"), &made).unwrap().1, Added::Before);
        let digest = set.digest();
        drop(set);
        assert_eq!(store.find(name("mine"), None).unwrap().digest(), digest);
        assert_eq!(store.recorded_digest(name("mine")), Ok(Some(digest)));
        assert_eq!(store.class_names(name("mine")), ["no", "yes"]);
        assert!(store.files(digest).is_some(), "a coordinator can send it");
        let other = examples.make(Seed::new(3).unwrap()).unwrap();
        assert!(matches!(store.add_made(name("mine"), &other), Err(DataSetError::Other { .. })));
        assert_eq!(fs::read_dir(store.directory()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn damaged_files_are_named_and_nothing_is_added() {
        let (_directory, store) = store();
        let files = source(FILES, &[1, 2]);
        fs::write(files.path().join(FILES[1]), [0, 0, 8, 1, 0, 0]).unwrap();
        let error = store.add(name("a"), &[files.path().to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("train-labels-idx1-ubyte: ends within its header, after 6 bytes"), "{error}");
        assert!(!store.directory().exists());
    }

    /// Debian's package `dataset-fashion-mnist`.
    #[test]
    fn fashion_mnist_is_what_it_is_known_to_be() {
        let installed = Path::new("/usr/share/datasets/fashion-mnist");
        if !installed.is_dir() {
            eprintln!(
                "not tested: {} is not installed (Debian's dataset-fashion-mnist)",
                installed.display()
            );
            return;
        }
        let store = DataStore::new(installed.parent().unwrap().to_owned());
        let set = store.find(name("fashion-mnist"), None).unwrap();
        assert_eq!((set.counts(), set.form()), ((60_000, 10_000), Form::Image { rows: 28, columns: 28 }));
        assert_eq!(set.classes(), (0..10).collect::<Vec<u8>>());
        assert_eq!(set.digest().short(), "14410854cf7a");
    }
}
