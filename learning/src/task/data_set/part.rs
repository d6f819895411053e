//! One part of a data set, training or test: examples with their labels, as the files hold them.

use std::fmt;

use hebbian_shared::limits::{DATA_SET_NUMBER_MAX, FEATURES_MAX, SOURCE_SIDE_MAX};

use super::{DataSetError, damaged};
use crate::task::idx::{Array, Element};

/// What an example of a data set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An image, which is scaled before networks see it.
    Image {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// A line of a table.
    Line {
        /// Its numbers, the label aside.
        features: usize,
    },
}

impl Form {
    /// Of an array of examples with this shape.
    fn of(shape: &[usize]) -> Result<Self, String> {
        let side = 1..=SOURCE_SIDE_MAX;
        let line = 1..=FEATURES_MAX as usize;
        match *shape {
            [count, rows, columns] if count > 0 && side.contains(&rows) && side.contains(&columns) => {
                Ok(Self::Image { rows, columns })
            }
            [count, features] if count > 0 && line.contains(&features) => Ok(Self::Line { features }),
            [_, _, _] => {
                Err(format!("must hold images of 1 to {SOURCE_SIDE_MAX} rows and columns, not {shape:?}"))
            }
            [_, _] => Err(format!("must hold examples of 1 to {FEATURES_MAX} features, not {shape:?}")),
            _ => Err(format!(
                "must have the shape [images, rows, columns] or [examples, features], not {shape:?}"
            )),
        }
    }

    /// Numbers of an example.
    pub fn numbers(self) -> usize {
        match self {
            Self::Image { rows, columns } => rows * columns,
            Self::Line { features } => features,
        }
    }

    /// What examples are called.
    pub(in crate::task) fn noun(self) -> &'static str {
        match self {
            Self::Image { .. } => "images",
            Self::Line { .. } => "examples",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { rows, columns } => write!(f, "images of {rows} x {columns}"),
            Self::Line { features } => write!(f, "examples of {features} features"),
        }
    }
}

/// Examples of equal size with their labels.
#[derive(Debug)]
pub(in crate::task) struct Part {
    pub(in crate::task) form: Form,
    /// `[image, row, column]` or `[example, feature]`
    inputs: Array,
    pub(in crate::task) labels: Vec<u8>,
}

impl Part {
    pub(super) fn new(
        (inputs_file, inputs): (String, Array),
        (labels_file, labels): (String, Array),
    ) -> Result<Self, DataSetError> {
        let form = Form::of(&inputs.shape).map_err(|problem| damaged(&inputs_file, problem))?;
        let count = inputs.shape[0];
        if labels.shape != [count] {
            let (noun, found) = (form.noun().trim_end_matches('s'), &labels.shape);
            let problem = format!(
                "must have the shape [{count}], one label per {noun} of {inputs_file}, not {found:?}"
            );
            return Err(damaged(&labels_file, problem));
        }
        if labels.element != Element::Byte {
            return Err(damaged(&labels_file, "must hold labels as unsigned bytes, not floats".to_owned()));
        }
        let part = Self { form, inputs, labels: labels.bytes };
        if part.inputs.element != Element::Byte {
            let sound = |number: f64| number.abs() <= DATA_SET_NUMBER_MAX;
            let numbers = part.inputs.numbers(0, count * form.numbers());
            if let Some((place, number)) = numbers.enumerate().find(|&(_, number)| !sound(number)) {
                let (example, place) = (place / form.numbers(), place % form.numbers());
                let problem = format!(
                    "number {place} of example {example} is {number}: must be from -{DATA_SET_NUMBER_MAX:e} to \
                     {DATA_SET_NUMBER_MAX:e}"
                );
                return Err(damaged(&inputs_file, problem));
            }
        }
        Ok(part)
    }

    /// Whether its numbers are bytes, of which none is extreme.
    pub(in crate::task) fn has_bytes(&self) -> bool {
        self.inputs.element == Element::Byte
    }

    /// The numbers of an example.
    pub(in crate::task) fn example(&self, example: usize) -> impl Iterator<Item = f64> {
        let numbers = self.form.numbers();
        self.inputs.numbers(example * numbers, (example + 1) * numbers)
    }

    /// The examples of some labels, each with the place of its label among them, in the order of the file.
    pub(in crate::task) fn of_classes(&self, classes: &[u8]) -> impl Iterator<Item = (usize, u8)> {
        let class = |label: u8| classes.iter().position(|&class| class == label);
        self.labels
            .iter()
            .enumerate()
            .filter_map(move |(example, &label)| Some((example, class(label)? as u8)))
    }
}
