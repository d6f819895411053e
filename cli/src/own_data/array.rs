//! One array in NumPy's format, of numbers or of texts.

use std::io::Read;

use hebbian_shared::limits::{ARRAY_ELEMENT_BYTES_MAX, ARRAY_HEADER_BYTES_MAX, TABLE_BYTES_MAX};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Unsigned,
    Signed,
    Float,
    /// Bytes with zeros at their end.
    Ascii,
    /// Characters of four bytes with zeros at their end.
    Unicode,
}

/// An array.
#[derive(Debug)]
pub(super) struct Array {
    kind: Kind,
    /// Bytes of an element.
    width: usize,
    big_endian: bool,
    /// Whether the first index is the fastest.
    column_major: bool,
    /// Length of each axis.
    pub(super) shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// Reads an array. No more memory is taken than its limit, whatever the header promises.
    pub(super) fn read(mut source: impl Read) -> Result<Self, String> {
        let mut take = |count: usize| -> Result<Vec<u8>, String> {
            let mut bytes = Vec::new();
            let read = source.by_ref().take(count as u64).read_to_end(&mut bytes);
            read.map_err(|error| format!("cannot be read: {error}"))?;
            Ok(bytes)
        };
        let start = take(MAGIC.len() + 2)?;
        let Some(&[version, _]) = start.strip_prefix(MAGIC) else {
            return Err("is no array in NumPy's format".to_owned());
        };
        let length = match take(if version == 1 { 2 } else { 4 })?[..] {
            [a, b] => usize::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => return Err("ends within its header".to_owned()),
        };
        if length > ARRAY_HEADER_BYTES_MAX {
            return Err(format!("has a header of {length} bytes; at most {ARRAY_HEADER_BYTES_MAX} are read"));
        }
        let header = take(length)?;
        if header.len() < length {
            return Err("ends within its header".to_owned());
        }
        let mut array = Self::of_header(&String::from_utf8_lossy(&header))?;
        let size = array.shape.iter().try_fold(array.width.max(size_of::<f64>()), |product, &length| {
            product.checked_mul(length).filter(|&product| product <= TABLE_BYTES_MAX)
        });
        if size.is_none() {
            let shape = &array.shape;
            return Err(format!(
                "has the shape {shape:?}, which is more than the limit of {TABLE_BYTES_MAX} bytes"
            ));
        }
        let expected = array.len() * array.width;
        array.bytes = take(expected)?;
        if array.bytes.len() < expected {
            return Err(format!("ends before its {} elements are complete", array.len()));
        }
        if !take(1)?.is_empty() {
            return Err(format!("has more elements than its shape {:?} says", array.shape));
        }
        Ok(array)
    }

    /// An array without its elements, of a header: a dict of Python's with three keys.
    fn of_header(header: &str) -> Result<Self, String> {
        let value = |key: &str| -> Result<&str, String> {
            let (_, rest) = [format!("'{key}'"), format!("\"{key}\"")]
                .iter()
                .find_map(|quoted| header.split_once(quoted.as_str()))
                .ok_or_else(|| format!("has a header without `{key}`"))?;
            Ok(rest.trim_start().trim_start_matches(':').trim_start())
        };
        let descr = value("descr")?;
        let Some(descr) = descr.strip_prefix(['\'', '"']).and_then(|rest| rest.split(['\'', '"']).next())
        else {
            return Err("has fields: it must be an array of plain numbers, or of texts for labels".to_owned());
        };
        let mut characters = descr.chars();
        let order = characters.next();
        let kind = match characters.next() {
            Some('b') => Kind::Boolean,
            Some('u') => Kind::Unsigned,
            Some('i') => Kind::Signed,
            Some('f') => Kind::Float,
            Some('S') => Kind::Ascii,
            Some('U') => Kind::Unicode,
            Some('O') => {
                return Err(
                    "has Python objects: save numbers or texts, as by `.astype(float)` or `.astype(str)`"
                        .to_owned(),
                );
            }
            _ => return Err(format!("has elements of the type {}, which is not read", super::shown(descr))),
        };
        let length: usize = characters.as_str().parse().unwrap_or(usize::MAX);
        let (widths, unit): (&[usize], usize) = match kind {
            Kind::Boolean => (&[1], 1),
            Kind::Unsigned | Kind::Signed => (&[1, 2, 4, 8], 1),
            Kind::Float => (&[2, 4, 8], 1),
            Kind::Ascii => (&[], 1),
            Kind::Unicode => (&[], 4),
        };
        let width = length.saturating_mul(unit);
        let known = if widths.is_empty() {
            (1..=ARRAY_ELEMENT_BYTES_MAX).contains(&width)
        } else {
            widths.contains(&width)
        };
        if !known {
            return Err(format!("has elements of the type {}, which is not read", super::shown(descr)));
        }
        let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split(')').next());
        let lengths = shape.unwrap_or("?").split(',').map(str::trim).filter(|length| !length.is_empty());
        let shape: Option<Vec<usize>> = lengths.map(|length| length.parse().ok()).collect();
        Ok(Self {
            kind,
            width,
            big_endian: order == Some('>'),
            column_major: value("fortran_order")?.starts_with("True"),
            shape: shape.ok_or("has a header whose shape cannot be read")?,
            bytes: Vec::new(),
        })
    }

    /// Its elements.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its elements are texts.
    pub(super) fn has_texts(&self) -> bool {
        matches!(self.kind, Kind::Ascii | Kind::Unicode)
    }

    /// Whether its elements are numbers from 0 to 255 by their type.
    pub(super) fn has_bytes(&self) -> bool {
        self.width == 1 && matches!(self.kind, Kind::Boolean | Kind::Unsigned)
    }

    /// The indices of an element, which are counted in row-major order.
    pub(super) fn indices(&self, element: usize) -> Vec<usize> {
        let mut rest = element;
        let mut indices: Vec<usize> = self
            .shape
            .iter()
            .rev()
            .map(|&length| {
                let index = rest % length;
                rest /= length;
                index
            })
            .collect();
        indices.reverse();
        indices
    }

    /// The bytes of an element, the lowest first if it is a number.
    fn element(&self, element: usize) -> Vec<u8> {
        let mut place = element;
        if self.column_major {
            let indices = self.indices(element);
            place = indices
                .iter()
                .zip(&self.shape)
                .rev()
                .fold(0, |place, (index, length)| place * length + index);
        }
        let bytes = &self.bytes[place * self.width..][..self.width];
        if self.big_endian && !self.has_texts() {
            bytes.iter().rev().copied().collect()
        } else {
            bytes.to_vec()
        }
    }

    /// An element as a number.
    pub(super) fn number(&self, element: usize) -> f64 {
        let bytes = self.element(element);
        let mut wide = [0; 8];
        wide[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
        let word = u64::from_le_bytes(wide);
        match (self.kind, self.width) {
            (Kind::Float, 2) => half(word as u16),
            (Kind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (Kind::Float, _) => f64::from_bits(word),
            (Kind::Signed, width) => {
                let shift = 64 - 8 * width;
                ((word << shift) as i64 >> shift) as f64
            }
            _ => word as f64,
        }
    }

    /// An element as a text.
    pub(super) fn text(&self, element: usize) -> String {
        let bytes = self.element(element);
        match self.kind {
            Kind::Ascii => String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned(),
            Kind::Unicode => {
                let (words, _) = bytes.as_chunks::<4>();
                let word = |word: &[u8; 4]| {
                    if self.big_endian { u32::from_be_bytes(*word) } else { u32::from_le_bytes(*word) }
                };
                let text: String = words
                    .iter()
                    .map(|bytes| char::from_u32(word(bytes)).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                text.trim_end_matches('\0').to_owned()
            }
            _ => self.number(element).to_string(),
        }
    }
}

/// A float of 16 bits: 1 for the sign, 5 for the exponent, 10 for the fraction (IEEE 754).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => sign * f64::INFINITY,
        0x1f => f64::NAN,
        _ => sign * (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_they_are_in_the_standard() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x3555, 0.333_251_953_125),
        ];
        for (bits, expected) in cases {
            assert_eq!(half(bits), expected);
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan() && half(0x8000) == 0.0);
    }
}
