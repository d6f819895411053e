//! Archives of NumPy's arrays: `x_train`, `y_train` and, if there is a test part, `x_test`, `y_test`.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use hebbian_learning::task::data_set::make::{Examples, Labels, Numbers};
use hebbian_shared::limits::{DATA_SET_NUMBER_MAX, TABLE_FILE_BYTES_MAX};
use hebbian_worker::data_store::open_regular;
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::Array;
use super::{check_size, shown};
use crate::failure::Failure;

/// Reads the examples of an archive.
pub(super) fn read(path: &Path) -> Result<Examples, Failure> {
    let failed = |error: &std::io::Error| Failure::file(path, "cannot be read", error);
    let file = open_regular(path).map_err(|error| failed(&error))?;
    check_size(path, file.metadata().map_err(|error| failed(&error))?.len())?;
    let refused = |problem: String| Failure::bad_input(format_args!("{}: {problem}", path.display()));
    let zip = ZipArchive::new(BufReader::new(file))
        .map_err(|error| refused(format!("is no .npz archive as `numpy.savez` writes it: {error}")))?;
    Archive { zip }.examples().map_err(refused)
}

struct Archive {
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    fn examples(&mut self) -> Result<Examples, String> {
        self.check_declared()?;
        let [has_inputs, has_labels] = ["x_test", "y_test"].map(|name| self.has(name));
        if has_inputs != has_labels {
            let (there, absent) = if has_inputs { ("x_test", "y_test") } else { ("y_test", "x_test") };
            return Err(format!("has `{there}` and no `{absent}`"));
        }
        let mut labels = Labels::default();
        let (train, shape) = self.part("x_train", "y_train", &mut labels)?;
        let test = if has_inputs {
            let (test, of_test) = self.part("x_test", "y_test", &mut labels)?;
            if of_test != shape {
                return Err(format!(
                    "an example of `x_test` has the shape {of_test:?}, one of `x_train` {shape:?}"
                ));
            }
            Some(test)
        } else {
            None
        };
        Ok(Examples { shape, train, test, labels })
    }

    /// Refuses an archive whose arrays say that together they are larger than such a file may be: a few kilobytes can be gigabytes of zeros.
    fn check_declared(&mut self) -> Result<(), String> {
        let mut declared = 0_u64;
        for name in ["x_train", "y_train", "x_test", "y_test"] {
            if let Ok(file) = self.zip.by_name(&format!("{name}.npy")) {
                declared = declared.saturating_add(file.size());
            }
        }
        if declared > TABLE_FILE_BYTES_MAX {
            return Err(format!(
                "its arrays are {declared} bytes when they are unpacked, which is more than the limit of {TABLE_FILE_BYTES_MAX}"
            ));
        }
        Ok(())
    }

    /// The numbers of a part, and the shape of an example; its labels are added to `labels`.
    fn part(
        &mut self,
        inputs: &str,
        of_inputs: &str,
        labels: &mut Labels,
    ) -> Result<(Numbers, Vec<usize>), String> {
        let array = self.array(inputs)?;
        if !(2..=3).contains(&array.shape.len()) || array.shape.contains(&0) {
            return Err(format!(
                "{inputs}: must have the shape [examples, features] or [images, rows, columns], not {:?} (in Python, \
                 `x.reshape(len(x), -1)` makes features of anything)",
                array.shape
            ));
        }
        if array.has_texts() {
            return Err(format!("{inputs}: has texts; it must have numbers"));
        }
        let numbers = if array.has_bytes() {
            Numbers::Bytes((0..array.len()).map(|place| array.number(place) as u8).collect())
        } else {
            Numbers::Floats(
                (0..array.len()).map(|place| number(inputs, &array, place)).collect::<Result<_, _>>()?,
            )
        };
        let count = array.shape[0];
        let shape = array.shape[1..].to_vec();
        drop(array);
        let array = self.array(of_inputs)?;
        if array.shape != [count] {
            return Err(format!(
                "{of_inputs}: must have the shape [{count}], one label for each example of {inputs}, not {:?} (of columns of 0 and \
                 1, `y.argmax(axis=1)` makes labels)",
                array.shape
            ));
        }
        for place in 0..count {
            labels.push(&array.text(place)).map_err(|problem| format!("{of_inputs}[{place}]: {problem}"))?;
        }
        Ok((numbers, shape))
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    fn array(&mut self, name: &str) -> Result<Array, String> {
        let names: Vec<String> =
            self.zip.file_names().take(10).map(|name| shown(name.trim_end_matches(".npy"))).collect();
        let file = self.zip.by_name(&format!("{name}.npy")).map_err(|error| match error {
            ZipError::FileNotFound if names.is_empty() => format!("has no array `{name}`: it is empty"),
            ZipError::FileNotFound => format!("has no array `{name}`; it has {}", names.join(", ")),
            error => format!("{name}: cannot be read: {error}"),
        })?;
        // What is packed may be more than it says. One byte more, because the archive's checksum is compared at its end.
        let declared = file.size();
        Array::read(file.take(declared.saturating_add(1))).map_err(|problem| format!("{name}: {problem}"))
    }
}

fn number(name: &str, array: &Array, place: usize) -> Result<f64, String> {
    let number = array.number(place);
    if number.abs() <= DATA_SET_NUMBER_MAX {
        return Ok(number);
    }
    let wanted =
        if number.is_finite() { format!("at most {DATA_SET_NUMBER_MAX:e}") } else { "finite".to_owned() };
    Err(format!("{name}{:?}: is {number}; every number must be {wanted}", array.indices(place)))
}
