//! Data sets of labelled images that are not part of the program: which one, and what is made of it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::range::Range;
use crate::digest::Digest;
use crate::limits::{DATA_SET_NAME_MAX, FEATURES_MAX, IMAGE_SIDE_MAX};

/// What stands before a data set's name in the name of its task family.
pub(super) const NAME_PREFIX: &str = "idx:";

/// A labelled data set, of images or a table, in the IDX format of MNIST, and how its examples become inputs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSetSpec {
    /// Its name: that of its directory in a worker's data directory, and of its task family `idx:NAME`.
    pub name: DataSetName,
    /// Images are scaled to `side` x `side` pixels, each the mean of the area that it covers. Says nothing of a table.
    #[serde(default = "default_side")]
    #[schemars(transform = SIDE.schema())]
    pub side: u32,
    /// Columns of a table, its label aside: so many inputs networks have. Filled in when a run is created; absent, the set has images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = FEATURES.schema())]
    pub features: Option<u32>,
    /// The labels that are used, in the order of the output neurons; all if empty. Filled in when a run is created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub classes: Vec<u8>,
    /// Digest of the decoded content: of the four IDX files (training images and labels, test images and labels) one
    /// after the other, uncompressed. Filled in when a run is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

const SIDE: Range<u32> = Range::new(2, IMAGE_SIDE_MAX);
const FEATURES: Range<u32> = Range::new(1, FEATURES_MAX);

fn default_side() -> u32 {
    DataSetSpec::DEFAULT_SIDE
}

impl DataSetSpec {
    /// The side of MNIST's own images.
    pub const DEFAULT_SIDE: u32 = 28;

    /// The whole of a data set, scaled to a side.
    pub fn of(name: DataSetName, side: u32) -> Self {
        Self { name, side, features: None, classes: Vec::new(), digest: None }
    }

    /// Inputs of its networks.
    pub fn inputs(&self) -> u32 {
        self.features.unwrap_or(self.side * self.side)
    }

    /// Refuses what is out of range, naming the field within `path`.
    pub(super) fn validate(&self, path: &str) -> Result<(), SpecError> {
        SIDE.check(&format!("{path}.side"), self.side)?;
        if let Some(features) = self.features {
            FEATURES.check(&format!("{path}.features"), features)?;
            if self.side != Self::DEFAULT_SIDE {
                let problem = format!("is of images, and `{}` is a table: leave it out", self.name);
                return Err(SpecError::field(format!("{path}.side"), problem));
            }
        }
        let classes = &self.classes;
        if classes.len() == 1 {
            return Err(SpecError::field(
                format!("{path}.classes"),
                "must be two labels or more, or none for all",
            ));
        }
        let twice = classes.iter().enumerate().find(|(place, label)| classes[..*place].contains(label));
        if let Some((_, label)) = twice {
            return Err(SpecError::field(format!("{path}.classes"), format!("names {label} twice")));
        }
        Ok(())
    }
}

/// A data set's name as a regular expression, but for its length.
pub(super) const NAME_PATTERN: &str = "[a-z0-9][-a-z0-9_.]*";

/// The name of a data set: 1 to 32 of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit. So it is also the name
/// of a directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataSetName {
    /// With the prefix of its task family, so that both names can be borrowed; zeros behind it.
    written: [u8; NAME_PREFIX.len() + DATA_SET_NAME_MAX],
    length: u8,
}

impl DataSetName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.as_family()[NAME_PREFIX.len()..]
    }

    /// The name of the task family, `idx:NAME`.
    pub(super) fn as_family(&self) -> &str {
        std::str::from_utf8(&self.written[..usize::from(self.length)]).expect("names are ASCII")
    }
}

/// A text that cannot be the name of a data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a data set: 1 to {DATA_SET_NAME_MAX} characters of a-z, 0-9, `-`, `_` and `.`, the first a \
     letter or a digit"
)]
pub struct DataSetNameError(String);

impl FromStr for DataSetName {
    type Err = DataSetNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = bytes.len() <= DATA_SET_NAME_MAX
            && bytes.first().is_some_and(|&c| first(c))
            && bytes.iter().all(|&c| first(c) || b"-_.".contains(&c));
        if !valid {
            return Err(DataSetNameError(text.chars().take(64).collect()));
        }
        let mut written = [0; NAME_PREFIX.len() + DATA_SET_NAME_MAX];
        let length = NAME_PREFIX.len() + bytes.len();
        written[..NAME_PREFIX.len()].copy_from_slice(NAME_PREFIX.as_bytes());
        written[NAME_PREFIX.len()..length].copy_from_slice(bytes);
        Ok(Self { written, length: length as u8 })
    }
}

impl fmt::Display for DataSetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DataSetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSetName({self})")
    }
}

impl JsonSchema for DataSetName {
    fn schema_name() -> Cow<'static, str> {
        "DataSetName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a data set, which is also that of a directory.",
            "type": "string",
            "minLength": 1,
            "maxLength": DATA_SET_NAME_MAX,
            "pattern": format!("^{NAME_PATTERN}$"),
        })
    }
}

impl Serialize for DataSetName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DataSetName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_directories() {
        let name: DataSetName = "emnist-letters".parse().unwrap();
        assert_eq!((name.as_str(), name.as_family()), ("emnist-letters", "idx:emnist-letters"));
        let longest = "a".repeat(DATA_SET_NAME_MAX);
        assert_eq!(longest.parse::<DataSetName>().unwrap().as_str(), longest);
        for wrong in ["", ".", "..", "-a", "a/b", "A", "a b", "\u{e9}", &"a".repeat(DATA_SET_NAME_MAX + 1)] {
            assert!(wrong.parse::<DataSetName>().is_err(), "{wrong}");
        }
    }
}
