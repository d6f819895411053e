//! The image sets that are part of the program; see the README of each folder of `data` for its source and licence.

use std::sync::{Arc, OnceLock};

use super::data_set::{DataSet, DataSetError, SourceFile};
use super::images::ImageSet;

/// An image set whose files are in the program; read once per process.
pub(super) struct Embedded {
    /// How errors call it.
    name: &'static str,
    /// Training images, training labels, test images and test labels, with the names under which errors speak of them.
    files: [(&'static str, &'static [u8]); 4],
    read: OnceLock<Result<Arc<ImageSet>, DataSetError>>,
}

macro_rules! embedded {
    ($folder:literal) => {
        Embedded {
            name: $folder,
            files: [
                embedded!($folder, "train-images-idx3-ubyte.gz"),
                embedded!($folder, "train-labels-idx1-ubyte.gz"),
                embedded!($folder, "t10k-images-idx3-ubyte.gz"),
                embedded!($folder, "t10k-labels-idx1-ubyte.gz"),
            ],
            read: OnceLock::new(),
        }
    };
    ($folder:literal, $file:literal) => {
        (concat!($folder, "/", $file), include_bytes!(concat!("../../data/", $folder, "/", $file)))
    };
}

/// 8x8 hand-written digits.
pub(super) static DIGITS: Embedded = embedded!("digits");
/// Fashion-MNIST at 8x8.
pub(super) static FASHION: Embedded = embedded!("fashion");

impl Embedded {
    /// The images as inputs, all classes, at their own size.
    pub(super) fn images(&self) -> Result<Arc<ImageSet>, DataSetError> {
        self.read.get_or_init(|| self.source()?.images(self.name, 8, &[])).clone()
    }

    /// The data set as its files hold it.
    pub(super) fn source(&self) -> Result<Arc<DataSet>, DataSetError> {
        let file = |(name, bytes): (&str, &'static [u8])| SourceFile { name: name.to_owned(), bytes };
        DataSet::read(self.files.map(file)).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_sets_are_those_that_are_described() {
        let check = |set: &Embedded, parts: (usize, usize), counts: [usize; 10], first: [u8; 3]| {
            let images = set.images().unwrap();
            assert_eq!((images.train.len(), images.test.len(), images.pixels()), (parts.0, parts.1, 64));
            let mut found = [0; 10];
            for part in [&images.train, &images.test] {
                for image in 0..part.len() {
                    found[usize::from(part.label(image))] += 1;
                }
            }
            assert_eq!((found, [0, 1, 2].map(|image| images.train.label(image))), (counts, first));
        };
        // The counts of the UCI test part.
        let digits = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        check(&DIGITS, (1437, 360), digits, [0, 1, 2]);
        check(&FASHION, (6000, 2000), [800; 10], [9, 0, 0]);
    }

    #[test]
    fn pixels_have_mean_zero_and_together_the_variance_one() {
        for set in [&DIGITS, &FASHION] {
            let images = set.images().unwrap();
            let count = images.train.len() as f64;
            let mut square = 0.0;
            for pixel in 0..64 {
                let values = (0..images.train.len()).map(|image| f64::from(images.train.image(image)[pixel]));
                let (sum, squares) = values.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
                assert!((sum / count).abs() < 1e-5, "pixel {pixel}");
                square += squares / count;
            }
            assert!((square / 64.0 - 1.0).abs() < 1e-5, "{square}");
        }
    }
}
