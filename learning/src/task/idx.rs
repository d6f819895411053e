//! The IDX format of MNIST and its kin: big-endian, one array of bytes, usually compressed with gzip.

use hebbian_shared::limits::IDX_ELEMENTS_MAX;

use std::io::{self, Read};

/// The most axes of an array.
const AXES_MAX: usize = 4;
/// The code of elements of one unsigned byte, the only ones that image sets use.
const UNSIGNED_BYTE: u8 = 0x08;
/// What a gzip stream begins with. No IDX file does: it begins with two zeros.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

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
    /// They cannot be read, or the gzip stream is damaged.
    #[error("cannot be read: {0}")]
    Read(String),
    /// The header promises too much.
    #[error("is too large: its header says {0:?}, and at most {IDX_ELEMENTS_MAX} elements are read")]
    TooLarge(Vec<usize>),
    /// It ends within its header.
    #[error("ends within its header, after {0} bytes")]
    TruncatedHeader(usize),
    /// It does not begin as an IDX file does.
    #[error("is not an IDX file of unsigned bytes: begins with {0:02x?}, not with [00, 00, 08, 01 to 04]")]
    Magic([u8; 4]),
    /// The elements are fewer than the header says.
    #[error("is truncated: has {found} elements where its header says {shape:?}")]
    Truncated {
        /// What the header says.
        shape: Vec<usize>,
        /// Bytes after the header.
        found: usize,
    },
    /// The elements are more than the header says.
    #[error("has more elements than its header says, {0:?}")]
    TooLong(Vec<usize>),
}

impl ByteArray {
    /// The header of the array's IDX file; the elements follow it.
    pub fn header(&self) -> Vec<u8> {
        let lengths = self.shape.iter().flat_map(|&length| (length as u32).to_be_bytes());
        [0, 0, UNSIGNED_BYTE, self.shape.len() as u8].into_iter().chain(lengths).collect()
    }
}

/// Reads an IDX file of unsigned bytes, compressed with gzip or not. No more memory is taken than the bytes that are
/// there, whatever the header promises.
pub fn read(mut source: impl Read) -> Result<ByteArray, IdxError> {
    let mut start = Vec::new();
    fill(&mut source, &mut start, GZIP_MAGIC.len())?;
    let is_gzip = start == GZIP_MAGIC;
    let whole = io::Cursor::new(start).chain(source);
    if is_gzip { read_plain(flate2::read::MultiGzDecoder::new(whole)) } else { read_plain(whole) }
}

fn read_plain(mut source: impl Read) -> Result<ByteArray, IdxError> {
    let mut header = Vec::new();
    fill(&mut source, &mut header, 4)?;
    let truncated = |header: &[u8]| IdxError::TruncatedHeader(header.len());
    let magic: [u8; 4] = header[..].try_into().map_err(|_| truncated(&header))?;
    let axes = usize::from(magic[3]);
    if magic[..3] != [0, 0, UNSIGNED_BYTE] || axes == 0 || axes > AXES_MAX {
        return Err(IdxError::Magic(magic));
    }
    fill(&mut source, &mut header, 4 * axes)?;
    let (lengths, _) = header[4..].as_chunks::<4>();
    if lengths.len() < axes {
        return Err(truncated(&header));
    }
    let shape: Vec<usize> = lengths.iter().map(|length| u32::from_be_bytes(*length) as usize).collect();
    // An axis of length zero makes the product zero, whatever the others are.
    let product = shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length as u64));
    let expected = match product {
        Some(elements @ ..=IDX_ELEMENTS_MAX) => elements as usize,
        _ if shape.contains(&0) => 0,
        _ => return Err(IdxError::TooLarge(shape)),
    };
    let mut elements = Vec::new();
    fill(&mut source, &mut elements, expected)?;
    if elements.len() < expected {
        return Err(IdxError::Truncated { shape, found: elements.len() });
    }
    let mut more = Vec::new();
    fill(&mut source, &mut more, 1)?;
    if !more.is_empty() {
        return Err(IdxError::TooLong(shape));
    }
    elements.shrink_to_fit();
    Ok(ByteArray { shape, elements })
}

/// Appends at most `count` bytes, fewer only at the source's end.
fn fill(source: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> Result<(), IdxError> {
    source.take(count as u64).read_to_end(bytes).map_err(|error| IdxError::Read(error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const FILE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    fn check(bytes: &[u8], expected: &str) {
        let error = read(bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_file_is_its_shape_and_its_elements() {
        let array = ByteArray { shape: vec![2, 3], elements: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(read(&FILE[..]), Ok(array.clone()));
        assert_eq!([&array.header()[..], &array.elements].concat(), FILE);
        let compressed = gzip(&FILE);
        assert_eq!(read(&compressed[..]), Ok(array));
        for end in [2, 10, compressed.len() - 9, compressed.len() - 1] {
            assert!(matches!(read(&compressed[..end]), Err(IdxError::Read(_))), "{end}");
        }
        let mut damaged = compressed.clone();
        let place = damaged.len() - 8;
        damaged[place] ^= 1;
        assert!(matches!(read(&damaged[..]), Err(IdxError::Read(_))), "the check sum is wrong");
    }

    #[test]
    fn damaged_files_are_refused() {
        check(&[], "after 0 bytes");
        check(&[0], "after 1 bytes");
        check(&FILE[..11], "after 11 bytes");
        check(&FILE[..17], "has 5 elements where its header says [2, 3]");
        check(&gzip(&FILE[..17]), "has 5 elements where its header says [2, 3]");
        check(&[&FILE[..], &[7]].concat(), "has more elements than its header says, [2, 3]");
        check(&[1, 0, 8, 2], "begins with [01, 00, 08, 02]");
        check(&[0, 0, 9, 2], "is not an IDX file");
        check(&[0, 0, 8, 0], "is not an IDX file");
        check(&[0, 0, 8, 5], "is not an IDX file");
        check(b"<html>", "is not an IDX file");
    }

    #[test]
    fn what_a_header_promises_is_not_believed() {
        // The product of the lengths does not fit into any integer.
        check(&[&[0, 0, 8, 4], &[0xff; 16][..]].concat(), "is too large");
        check(&[0, 0, 8, 1, 0x40, 0, 0, 1], "is too large: its header says [1073741825]");
        check(&[0, 0, 8, 1, 0x40, 0, 0, 0, 1, 2], "has 2 elements");
        let empty = read(&[&[0, 0, 8, 3, 0, 0, 0, 0], &[0xff; 8][..]].concat()[..]).unwrap();
        assert!(empty.elements.is_empty());
        // A bomb: a megabyte of zeros behind a small array, of which only the first byte is looked at.
        check(&gzip(&[&FILE[..], &vec![0; 1 << 20]].concat()), "has more elements");
    }
}
