//! The 8x8 hand-written digits that are part of the program; see `data/digits/README.md` for their source and licence.

use std::sync::{Arc, OnceLock};

use super::data_set::{DataSet, DataSetError, SourceFile};
use super::images::ImageSet;

/// The files, with the names under which errors speak of them.
const FILES: [(&str, &[u8]); 4] = [
    ("train-images-idx3-ubyte.gz", include_bytes!("../../data/digits/train-images-idx3-ubyte.gz")),
    ("train-labels-idx1-ubyte.gz", include_bytes!("../../data/digits/train-labels-idx1-ubyte.gz")),
    ("t10k-images-idx3-ubyte.gz", include_bytes!("../../data/digits/t10k-images-idx3-ubyte.gz")),
    ("t10k-labels-idx1-ubyte.gz", include_bytes!("../../data/digits/t10k-labels-idx1-ubyte.gz")),
];

/// The data set; read once per process.
pub(super) fn data_set() -> Result<Arc<ImageSet>, DataSetError> {
    static DATA_SET: OnceLock<Result<Arc<ImageSet>, DataSetError>> = OnceLock::new();
    DATA_SET.get_or_init(|| source()?.images("digits", 8, &[])).clone()
}

/// The data set as its files hold it.
pub(super) fn source() -> Result<Arc<DataSet>, DataSetError> {
    DataSet::read(FILES.map(|(name, bytes)| SourceFile { name: name.to_owned(), bytes })).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_set_is_the_one_that_is_described() {
        let digits = data_set().unwrap();
        assert_eq!((digits.train.len(), digits.test.len(), digits.pixels()), (1437, 360, 64));
        let mut counts = [0; 10];
        for part in [&digits.train, &digits.test] {
            for image in 0..part.len() {
                counts[usize::from(part.label(image))] += 1;
            }
        }
        // The counts of the UCI test part.
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!([0, 1, 2].map(|image| digits.train.label(image)), [0, 1, 2]);
    }

    #[test]
    fn pixels_have_mean_zero_and_together_the_variance_one() {
        let digits = data_set().unwrap();
        let count = digits.train.len() as f64;
        let mut square = 0.0;
        for pixel in 0..64 {
            let values = (0..digits.train.len()).map(|image| f64::from(digits.train.image(image)[pixel]));
            let (sum, squares) = values.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
            assert!((sum / count).abs() < 1e-5, "pixel {pixel}");
            square += squares / count;
        }
        assert!((square / 64.0 - 1.0).abs() < 1e-5, "{square}");
    }
}
