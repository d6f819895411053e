//! Which of a directory's files are those of a data set.

use std::path::{Path, PathBuf};

use hebbian_learning::task::data_set::DataSetError;
use hebbian_shared::spec::data_set::DataSetName;

use super::{FILES, entries, file_name, unreadable};

/// The four files of a data set in a directory.
pub(super) fn files_of(directory: &Path, name: DataSetName) -> Result<[PathBuf; 4], DataSetError> {
    let found = entries(directory).map_err(|error| unreadable(directory, &error))?;
    four_of(found.into_iter().filter(|path| path.is_file()).collect(), name, &directory.display().to_string())
}

/// Training images, training labels, test images and test labels among some files.
pub(super) fn four_of(
    paths: Vec<PathBuf>,
    name: DataSetName,
    place: &str,
) -> Result<[PathBuf; 4], DataSetError> {
    let mut of_role: [Vec<PathBuf>; 4] = Default::default();
    for path in paths {
        if let Some(role) = role(&file_name(&path)) {
            of_role[role].push(path);
        }
    }
    for (role, paths) in of_role.iter_mut().enumerate() {
        if paths.len() > 1 {
            let prefix = format!("{name}-");
            if paths.iter().any(|path| file_name(path).starts_with(&prefix)) {
                paths.retain(|path| file_name(path).starts_with(&prefix));
            }
        }
        paths.sort();
        // The same file, compressed beside it.
        if let [plain, compressed] = &paths[..]
            && file_name(compressed) == format!("{}.gz", file_name(plain))
        {
            paths.truncate(1);
        }
        let problem = match paths.len() {
            1 => continue,
            0 => format!("no {} (such as {}.gz)", WHAT[role], FILES[role]),
            _ => {
                let names: Vec<String> = paths.iter().map(|path| file_name(path)).collect();
                format!("several files with {}: {}", WHAT[role], names.join(", "))
            }
        };
        return Err(DataSetError::Unfit {
            name: name.to_string(),
            problem: format!("{place}: there are {problem}"),
        });
    }
    Ok(of_role.map(|mut paths| paths.swap_remove(0)))
}

/// What the files hold.
const WHAT: [&str; 4] = ["training images", "training labels", "test images", "test labels"];

/// Which of the four files of a data set a name stands for.
fn role(file_name: &str) -> Option<usize> {
    let name = file_name.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if !any(&["idx", "ubyte"]) || name.starts_with('.') {
        return None;
    }
    let part = match (any(&["train"]), any(&["t10k", "test"])) {
        (true, false) => 0,
        (false, true) => 2,
        _ => return None,
    };
    match (any(&["images", "idx3", "inputs"]), any(&["labels", "idx1"])) {
        (true, false) => Some(part),
        (false, true) => Some(part + 1),
        _ => None,
    }
}
