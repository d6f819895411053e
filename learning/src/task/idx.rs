//! The IDX format of MNIST and its kin: big-endian, one array of bytes or floats, usually compressed with gzip.

use hebbian_shared::limits::IDX_BYTES_MAX;

use std::io::{self, Read};

/// The most axes of an array.
const AXES_MAX: usize = 4;
/// What a gzip stream begins with. No IDX file does: it begins with two zeros.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Unsigned bytes, which image sets use.
    Byte,
    /// Floats of 32 bits.
    Single,
    /// Floats of 64 bits.
    Double,
}

impl Element {
    /// The code of the format, and bytes of one element.
    fn code_and_width(self) -> (u8, usize) {
        match self {
            Self::Byte => (0x08, 1),
            Self::Single => (0x0d, 4),
            Self::Double => (0x0e, 8),
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Self::Byte, Self::Single, Self::Double]
            .into_iter()
            .find(|element| element.code_and_width().0 == code)
    }

    /// Appends a number as an element.
    pub(super) fn write(self, number: f64, bytes: &mut Vec<u8>) {
        match self {
            Self::Byte => bytes.push(number as u8),
            Self::Single => bytes.extend((number as f32).to_be_bytes()),
            Self::Double => bytes.extend(number.to_be_bytes()),
        }
    }
}

/// An array of bytes or floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// What its elements are.
    pub element: Element,
    /// Length of each axis, 1 to 4 of them.
    pub shape: Vec<usize>,
    /// The elements, row-major, each with its highest byte first.
    pub bytes: Vec<u8>,
}

/// Why bytes are not an IDX file that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// They cannot be read, or the gzip stream is damaged.
    #[error("cannot be read: {0}")]
    Read(String),
    /// The header promises too much.
    #[error("is too large: its header says {0:?}, and at most {IDX_BYTES_MAX} bytes of elements are read")]
    TooLarge(Vec<usize>),
    /// It ends within its header.
    #[error("ends within its header, after {0} bytes")]
    TruncatedHeader(usize),
    /// It does not begin as an IDX file does.
    #[error(
        "is not an IDX file of bytes or floats: begins with {0:02x?}, not with [00, 00, 08 or 0d or 0e, 01 to 04]"
    )]
    Magic([u8; 4]),
    /// The elements are fewer than the header says.
    #[error("is truncated: has {found} elements where its header says {shape:?}")]
    Truncated {
        /// What the header says.
        shape: Vec<usize>,
        /// Whole elements after the header.
        found: usize,
    },
    /// The elements are more than the header says.
    #[error("has more elements than its header says, {0:?}")]
    TooLong(Vec<usize>),
}

impl Array {
    /// The header of the array's IDX file; the elements follow it.
    pub fn header(&self) -> Vec<u8> {
        let lengths = self.shape.iter().flat_map(|&length| (length as u32).to_be_bytes());
        let (code, _) = self.element.code_and_width();
        [0, 0, code, self.shape.len() as u8].into_iter().chain(lengths).collect()
    }

    /// Elements from `start` to before `end`, as numbers.
    pub(super) fn numbers(&self, start: usize, end: usize) -> impl Iterator<Item = f64> {
        let (_, width) = self.element.code_and_width();
        self.bytes[start * width..end * width].chunks_exact(width).map(|bytes| match *bytes {
            [byte] => f64::from(byte),
            [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
            _ => f64::from_be_bytes(bytes.try_into().expect("elements have 1, 4 or 8 bytes")),
        })
    }
}

/// Reads an IDX file, compressed with gzip or not. No more memory is taken than the bytes that are there, whatever the header
/// promises.
pub fn read(mut source: impl Read) -> Result<Array, IdxError> {
    let mut start = Vec::new();
    fill(&mut source, &mut start, GZIP_MAGIC.len())?;
    let is_gzip = start == GZIP_MAGIC;
    let whole = io::Cursor::new(start).chain(source);
    if is_gzip { read_plain(flate2::read::MultiGzDecoder::new(whole)) } else { read_plain(whole) }
}

fn read_plain(mut source: impl Read) -> Result<Array, IdxError> {
    let mut header = Vec::new();
    fill(&mut source, &mut header, 4)?;
    let truncated = |header: &[u8]| IdxError::TruncatedHeader(header.len());
    let magic: [u8; 4] = header[..].try_into().map_err(|_| truncated(&header))?;
    let axes = usize::from(magic[3]);
    let element = Element::of_code(magic[2]);
    let Some(element) = element.filter(|_| magic[..2] == [0, 0] && (1..=AXES_MAX).contains(&axes)) else {
        return Err(IdxError::Magic(magic));
    };
    fill(&mut source, &mut header, 4 * axes)?;
    let (lengths, _) = header[4..].as_chunks::<4>();
    if lengths.len() < axes {
        return Err(truncated(&header));
    }
    let shape: Vec<usize> = lengths.iter().map(|length| u32::from_be_bytes(*length) as usize).collect();
    let (_, width) = element.code_and_width();
    // An axis of length zero makes the product zero, whatever the others are.
    let product = shape.iter().try_fold(width as u64, |product, &length| product.checked_mul(length as u64));
    let expected = match product {
        Some(bytes @ ..=IDX_BYTES_MAX) => bytes as usize,
        _ if shape.contains(&0) => 0,
        _ => return Err(IdxError::TooLarge(shape)),
    };
    let mut bytes = Vec::new();
    fill(&mut source, &mut bytes, expected)?;
    if bytes.len() < expected {
        return Err(IdxError::Truncated { shape, found: bytes.len() / width });
    }
    let mut more = Vec::new();
    fill(&mut source, &mut more, 1)?;
    if !more.is_empty() {
        return Err(IdxError::TooLong(shape));
    }
    bytes.shrink_to_fit();
    Ok(Array { element, shape, bytes })
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
        let array = Array { element: Element::Byte, shape: vec![2, 3], bytes: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(read(&FILE[..]), Ok(array.clone()));
        assert_eq!([&array.header()[..], &array.bytes].concat(), FILE);
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
    fn floats_are_written_and_read() {
        for (element, code, width) in [(Element::Single, 0x0d, 4), (Element::Double, 0x0e, 8)] {
            let mut array = Array { element, shape: vec![3], bytes: Vec::new() };
            let numbers = [-1.5, 0.25, 3e18];
            for number in numbers {
                element.write(number, &mut array.bytes);
            }
            let file = [&array.header()[..], &array.bytes].concat();
            assert_eq!((&file[..8], file.len()), (&[0, 0, code, 1, 0, 0, 0, 3][..], 8 + 3 * width));
            let read_again = read(&file[..]).unwrap();
            let rounded = if width == 4 { f64::from(3e18_f32) } else { 3e18 };
            assert_eq!(read_again.numbers(0, 3).collect::<Vec<_>>(), [-1.5, 0.25, rounded]);
            assert_eq!(read_again.numbers(1, 2).collect::<Vec<_>>(), [0.25]);
            assert_eq!(read_again, array);
            check(&file[..file.len() - 1], "has 2 elements where its header says [3]");
        }
        check(&[0, 0, 0x0e, 1, 0x08, 0, 0, 1], "is too large");
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
        assert!(empty.bytes.is_empty());
        // A bomb: a megabyte of zeros behind a small array, of which only the first byte is looked at.
        check(&gzip(&[&FILE[..], &vec![0; 1 << 20]].concat()), "has more elements");
    }
}
