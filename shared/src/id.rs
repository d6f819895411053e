//! Identifiers and indices. Newtypes, so that a task index is never taken for a candidate index.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The index as a position in a slice.
            pub fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index!(
    /// A generation of a run, counted from 0.
    GenerationIndex(u32)
);
index!(
    /// A block: the set of tasks that the candidates of one block all meet. Counted from 0 within a generation.
    BlockIndex(u32)
);
index!(
    /// A candidate's position in its generation, counted from 0.
    CandidateIndex(u32)
);
index!(
    /// A task's position in its block, counted from 0.
    TaskIndex(u32)
);
index!(
    /// A worker's session, given by the coordinator at attach; never used twice by one coordinator process.
    WorkerId(u64)
);

impl GenerationIndex {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Identifies a run for ever, on every coordinator: 40 random bits, written as eight characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

/// The digits of a run id: 0-9 and a-z without i, l, o and u, which are misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RunId {
    /// Characters of a written run id.
    pub const LENGTH: usize = 8;
    /// One more than the largest id's number.
    pub const LIMIT: u64 = 1 << 40;

    /// The id of the given number; the bits above the 40th are ignored.
    pub fn new(number: u64) -> Self {
        Self(number % Self::LIMIT)
    }

    /// The id's number, below 2^40.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; Self::LENGTH];
        for (place, byte) in text.iter_mut().enumerate() {
            let shift = 5 * (Self::LENGTH - 1 - place);
            *byte = ALPHABET[(self.0 >> shift) as usize & 31];
        }
        f.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

/// A text that is not a run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: it takes 8 characters of 0-9 and a-z without i, l, o, u")]
pub struct ParseRunIdError(String);

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseRunIdError(text.chars().take(64).collect());
        if text.len() != Self::LENGTH {
            return Err(error());
        }
        let mut number = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|&a| a == byte).ok_or_else(error)?;
            number = number << 5 | digit as u64;
        }
        Ok(Self(number))
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_survive_being_written_and_read() {
        for number in [0, 1, 31, 32, RunId::LIMIT - 1, 0x00de_adbe_ef42 % RunId::LIMIT] {
            let id = RunId::new(number);
            assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        }
        assert_eq!(RunId::new(1).to_string(), "00000001");
    }

    #[test]
    fn what_is_no_run_id_is_refused() {
        for text in ["", "0000000", "000000000", "0000000i", "0000000U", "ééééé"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
