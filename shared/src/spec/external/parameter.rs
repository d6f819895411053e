//! The parameters of an objective: what they may be, and what numbers of a genome stand for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::range::{Range, SpecNumber as _};
use super::super::{SpecError, is_default};
use crate::genome::Transform;
use crate::limits::{
    EXTERNAL_TEXT_BYTES_MAX, GENOME_VALUES_MAX, PARAMETER_NAME_MAX, START_NUMBER_MAX, WHOLE_NUMBER_MAX,
};

/// Something that an objective depends on.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [{
    "if": { "properties": { "kind": { "const": "fixed" } } },
    "then": { "required": ["value"] },
    "else": { "not": { "required": ["value"] } },
}]))]
pub struct Parameter {
    /// The name, unique among the parameters: letters, digits and `_`, the first no digit.
    #[schemars(length(min = 1, max = PARAMETER_NAME_MAX), extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// What it is.
    pub kind: ParameterKind,
    /// Of a real or an integer: so many numbers alike, which the objective gets as a list. Absent: one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = LENGTH.schema())]
    pub length: Option<u32>,
    /// Where the search starts. Absent: in the middle of the bounds, of a logarithmic scale the geometric one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = NUMBER.schema())]
    pub initial: Option<f64>,
    /// The standard deviation of the first samples at a step size of 1; on a logarithmic scale that of the natural logarithm.
    /// Absent: a quarter of the distance of the bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = DEVIATION.schema())]
    pub deviation: Option<f64>,
    /// The smallest value. An integer must have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = NUMBER.schema())]
    pub low: Option<f64>,
    /// The largest value. An integer must have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = NUMBER.schema())]
    pub high: Option<f64>,
    /// Of a real: how it is searched.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub scale: Scale,
    /// Of a fixed one: its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<FixedValue>,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// A number.
    Real,
    /// A whole number.
    Integer,
    /// The same in all evaluations.
    Fixed,
}

/// How a real is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences are equally far.
    #[default]
    Linear,
    /// Equal ratios are equally far.
    Log,
}

/// The value of a fixed parameter.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, a whole number, true, false or a text")]
pub enum FixedValue {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

const LENGTH: Range<u32> = Range::new(1, GENOME_VALUES_MAX as u32);
const NUMBER: Range<f64> = Range::new(-START_NUMBER_MAX, START_NUMBER_MAX);
const DEVIATION: Range<f64> = Range::above(0.0, START_NUMBER_MAX);
const WHOLE: Range<f64> = Range::new(-WHOLE_NUMBER_MAX, WHOLE_NUMBER_MAX);
/// A deviation that the bounds of an integer give is at least this: less would see one value alone.
const WHOLE_DEVIATION_MIN: f64 = 0.5;

impl Parameter {
    /// From a number of a genome to the parameter; `None` of a fixed one.
    pub fn transform(&self) -> Option<Transform> {
        let Self { low, high, .. } = *self;
        match self.kind {
            ParameterKind::Fixed => None,
            ParameterKind::Real => Some(Transform::Mirrored {
                offset: self.initial()?,
                scale: self.deviation()?,
                low,
                high,
                logarithmic: self.scale == Scale::Log,
            }),
            ParameterKind::Integer => Some(Transform::Whole {
                offset: self.initial()?,
                scale: self.deviation()?,
                low: low?,
                high: high?,
            }),
        }
    }

    /// Numbers of a genome that stand for it.
    pub fn numbers(&self) -> usize {
        match self.kind {
            ParameterKind::Fixed => 0,
            _ => self.length.unwrap_or(1) as usize,
        }
    }

    /// The bounds, where there are both, as they are searched.
    fn searched_bounds(&self) -> Option<(f64, f64)> {
        let of = |bound: f64| if self.scale == Scale::Log { libm::log(bound) } else { bound };
        Some((of(self.low?), of(self.high?)))
    }

    fn initial(&self) -> Option<f64> {
        self.initial.or_else(|| {
            let (low, high) = self.searched_bounds()?;
            let middle = low + (high - low) / 2.0;
            Some(if self.scale == Scale::Log {
                libm::exp(middle).clamp(self.low?, self.high?)
            } else {
                middle
            })
        })
    }

    fn deviation(&self) -> Option<f64> {
        self.deviation.or_else(|| {
            let (low, high) = self.searched_bounds()?;
            let quarter = (high - low) / 4.0;
            let least = if self.kind == ParameterKind::Integer { WHOLE_DEVIATION_MIN } else { 0.0 };
            Some(quarter.max(least))
        })
    }

    pub(super) fn validate(&self, field: &str) -> Result<(), SpecError> {
        check_name(&format!("{field}.name"), &self.name)?;
        if self.name == "seed" {
            let problem = "must not be \"seed\": each evaluation has one beside its parameters";
            return Err(SpecError::field(format!("{field}.name"), problem));
        }
        let is_not = |name: &str, kind: &str| {
            let problem = format!("is no setting of a parameter of kind \"{kind}\"; leave it out");
            Err(SpecError::field(format!("{field}.{name}"), problem))
        };
        let numbers = [
            ("initial", self.initial),
            ("deviation", self.deviation),
            ("low", self.low),
            ("high", self.high),
            ("length", self.length.map(f64::from)),
        ];
        if self.kind == ParameterKind::Fixed {
            if let Some((name, _)) = numbers.iter().find(|(_, number)| number.is_some()) {
                return is_not(name, "fixed");
            }
            if self.scale != Scale::Linear {
                return is_not("scale", "fixed");
            }
            return self.validate_value(&format!("{field}.value"));
        }
        let is_integer = self.kind == ParameterKind::Integer;
        let kind = if is_integer { "integer" } else { "real" };
        if self.value.is_some() {
            return is_not("value", kind);
        }
        if is_integer && self.scale != Scale::Linear {
            return is_not("scale", kind);
        }
        let range = if is_integer { WHOLE } else { NUMBER };
        for (name, number) in &numbers[..4] {
            let Some(number) = *number else { continue };
            let range = if *name == "deviation" { DEVIATION } else { range };
            range.check(&format!("{field}.{name}"), number)?;
        }
        if let Some(length) = self.length {
            LENGTH.check(&format!("{field}.length"), length)?;
        }
        self.validate_bounds(field)
    }

    /// Checks the bounds of a real or an integer, and that it is known where the search starts.
    fn validate_bounds(&self, field: &str) -> Result<(), SpecError> {
        let refused = |name: &str, problem: String| Err(SpecError::field(format!("{field}.{name}"), problem));
        let bounds = [("low", self.low), ("high", self.high)];
        if self.kind == ParameterKind::Integer {
            for (name, bound) in bounds {
                match bound {
                    None => return refused(name, "is missing: an integer has both bounds".to_owned()),
                    Some(bound) if bound.fract() != 0.0 => {
                        return refused(name, format!("must be a whole number, not {}", bound.shown()));
                    }
                    Some(_) => {}
                }
            }
        }
        if self.scale == Scale::Log {
            let numbers = bounds.into_iter().chain([("initial", self.initial)]);
            for (name, number) in numbers {
                if let Some(number) = number.filter(|number| *number <= 0.0) {
                    return refused(
                        name,
                        format!("must be above 0 on a logarithmic scale, not {}", number.shown()),
                    );
                }
            }
        }
        if let (Some(low), Some(high)) = (self.low, self.high)
            && low >= high
        {
            return refused("high", format!("must be above low ({}), not {}", low.shown(), high.shown()));
        }
        for (name, number) in [("initial", self.initial()), ("deviation", self.deviation())] {
            if number.is_none() {
                return refused(name, "is missing: it follows only from both bounds".to_owned());
            }
        }
        let initial = self.initial().unwrap_or_default();
        if self.low.is_some_and(|low| initial < low) || self.high.is_some_and(|high| initial > high) {
            return refused("initial", format!("must be within the bounds, not {}", initial.shown()));
        }
        Ok(())
    }

    fn validate_value(&self, field: &str) -> Result<(), SpecError> {
        match &self.value {
            None => Err(SpecError::field(field, "is missing: a fixed parameter has one")),
            Some(FixedValue::Number(number)) => NUMBER.check(field, *number),
            Some(FixedValue::Whole(number)) => WHOLE.check(field, *number as f64),
            Some(FixedValue::Text(text)) if text.len() > EXTERNAL_TEXT_BYTES_MAX => {
                let problem =
                    format!("must have at most {EXTERNAL_TEXT_BYTES_MAX} bytes, not {}", text.len());
                Err(SpecError::field(field, problem))
            }
            Some(FixedValue::Text(_) | FixedValue::Flag(_)) => Ok(()),
        }
    }
}

/// What an objective gets of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// A number.
    Number(f64),
    /// A whole number.
    Whole(i64),
    /// Several numbers.
    Numbers(Vec<f64>),
    /// Several whole numbers.
    Wholes(Vec<i64>),
    /// A value that is always the same.
    Fixed(FixedValue),
}

impl Serialize for ParameterValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::Whole(number) => number.serialize(serializer),
            Self::Numbers(numbers) => numbers.serialize(serializer),
            Self::Wholes(numbers) => numbers.serialize(serializer),
            Self::Fixed(value) => value.serialize(serializer),
        }
    }
}

/// A name that is an identifier in most languages.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), SpecError> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let of_name = |c: char| first(c) || c.is_ascii_digit();
    if name.starts_with(first) && name.len() <= PARAMETER_NAME_MAX && name.chars().all(of_name) {
        return Ok(());
    }
    let problem = format!("must be 1 to {PARAMETER_NAME_MAX} letters, digits and `_`, the first no digit");
    Err(SpecError::field(field, problem))
}
