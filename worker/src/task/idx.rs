//! The IDX format of MNIST and its kin: big-endian, one array of bytes, usually compressed with gzip.

use std::io::Read as _;

/// The most bytes that a file may hold after decompression.
pub const BYTES_MAX: u64 = 256 << 20;
/// The most axes of an array.
const AXES_MAX: usize = 4;
/// The code of elements of one unsigned byte, the only ones that image sets use.
const UNSIGNED_BYTE: u8 = 0x08;

/// An array of unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteArray {
    /// Length of each axis, 1 to 4 of them.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub elements: Vec<u8>,
}

/// Why bytes are not an IDX file that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// The gzip stream is damaged.
    #[error("cannot be decompressed: {0}")]
    Gzip(String),
    /// It is too large.
    #[error("holds more than {BYTES_MAX} bytes after decompression")]
    TooLarge,
    /// It ends within its header.
    #[error("ends within its header, after {0} bytes")]
    TruncatedHeader(usize),
    /// It does not begin as an IDX file does.
    #[error("is not an IDX file of unsigned bytes: begins with {0:02x?}, not with [00, 00, 08, 1 to 4]")]
    Magic([u8; 4]),
    /// The elements are fewer or more than the header says.
    #[error("has {found} elements where its header says {shape:?}")]
    Length {
        /// What the header says.
        shape: Vec<usize>,
        /// Bytes after the header.
        found: usize,
    },
}

/// Reads a gzip-compressed IDX file of unsigned bytes.
pub fn read_gzip(compressed: &[u8]) -> Result<ByteArray, IdxError> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(compressed)
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| IdxError::Gzip(error.to_string()))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(IdxError::TooLarge);
    }
    parse(&bytes)
}

/// Reads an IDX file of unsigned bytes.
pub fn parse(bytes: &[u8]) -> Result<ByteArray, IdxError> {
    let truncated = || IdxError::TruncatedHeader(bytes.len());
    let (&magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(truncated)?;
    let axes = usize::from(magic[3]);
    if magic[..3] != [0, 0, UNSIGNED_BYTE] || axes == 0 || axes > AXES_MAX {
        return Err(IdxError::Magic(magic));
    }
    let (lengths, elements) = rest.split_at_checked(4 * axes).ok_or_else(truncated)?;
    let (lengths, _) = lengths.as_chunks::<4>();
    let shape: Vec<usize> = lengths.iter().map(|length| u32::from_be_bytes(*length) as usize).collect();
    let expected = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    if expected != Some(elements.len()) {
        return Err(IdxError::Length { shape, found: elements.len() });
    }
    Ok(ByteArray { shape, elements: elements.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const FILE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    fn check(bytes: &[u8], expected: &str) {
        let error = parse(bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_file_is_its_shape_and_its_elements() {
        let array = ByteArray { shape: vec![2, 3], elements: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(parse(&FILE), Ok(array.clone()));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&FILE).unwrap();
        let compressed = encoder.finish().unwrap();
        assert_eq!(read_gzip(&compressed), Ok(array));
        let truncated = &compressed[..compressed.len() - 9];
        assert!(matches!(read_gzip(truncated), Err(IdxError::Gzip(_))));
        assert!(matches!(read_gzip(&FILE), Err(IdxError::Gzip(_))));
    }

    #[test]
    fn damaged_files_are_refused() {
        check(&[], "after 0 bytes");
        check(&FILE[..11], "after 11 bytes");
        check(&FILE[..17], "has 5 elements where its header says [2, 3]");
        check(&[&FILE[..], &[7]].concat(), "has 7 elements");
        check(&[1, 0, 8, 2], "begins with [01, 00, 08, 02]");
        check(&[0, 0, 9, 2], "is not an IDX file");
        check(&[0, 0, 8, 0], "is not an IDX file");
        check(&[0, 0, 8, 5], "is not an IDX file");
        // The product of the lengths does not fit into any integer.
        check(&[&[0, 0, 8, 4], &[0xff; 16][..]].concat(), "has 0 elements");
    }
}
