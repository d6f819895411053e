//! Ranges of numbers: the constant that checks a field is the one that stands in its schema.

use schemars::Schema;
use schemars::transform::Transform;
use serde_json::Value;

use super::SpecError;

/// Which numbers a field may have.
#[derive(Clone, Copy, Debug)]
pub struct Range<T> {
    low: T,
    high: T,
    /// Whether `low` itself is outside.
    open: bool,
}

impl<T: SpecNumber> Range<T> {
    /// From `low` to `high`, both included.
    pub const fn new(low: T, high: T) -> Self {
        Self { low, high, open: false }
    }

    /// Above `low`, at most `high`.
    pub const fn above(low: T, high: T) -> Self {
        Self { low, high, open: true }
    }

    /// The same from below, with another greatest number.
    #[must_use]
    pub fn up_to(self, high: T) -> Self {
        Self { high, ..self }
    }

    /// Refuses a number outside of the range, naming the field. NaN is outside of every range.
    pub fn check(self, field: &str, value: T) -> Result<(), SpecError> {
        let Self { low, high, open } = self;
        if (value > low || value == low && !open) && value <= high {
            return Ok(());
        }
        let (low, high, value) = (low.shown(), high.shown(), value.shown());
        let range =
            if open { format!("above {low} and at most {high}") } else { format!("from {low} to {high}") };
        Err(SpecError::field(field, format!("must be {range}, not {value}")))
    }

    /// Puts the range into a number's schema.
    pub fn schema(self) -> impl Transform {
        move |schema: &mut Schema| self.restrict(schema)
    }

    /// Puts the range into the schema of a list's items.
    pub fn of_items(self) -> impl Transform {
        move |schema: &mut Schema| {
            let items = schema.get_mut("items").and_then(|items| <&mut Schema>::try_from(items).ok());
            self.restrict(items.expect("it is the schema of a list"));
        }
    }

    fn restrict(self, schema: &mut Schema) {
        // Of a whole number's type.
        schema.remove("minimum");
        let low = if self.open { "exclusiveMinimum" } else { "minimum" };
        schema.insert(low.to_owned(), self.low.json());
        schema.insert("maximum".to_owned(), self.high.json());
    }
}

/// A number of a spec.
pub trait SpecNumber: Copy + PartialOrd + 'static {
    /// The number for people.
    fn shown(self) -> String;

    /// The number in a schema.
    fn json(self) -> Value;
}

macro_rules! whole_number {
    ($($kind:ty),+) => {
        $(impl SpecNumber for $kind {
            fn shown(self) -> String {
                self.to_string()
            }

            fn json(self) -> Value {
                self.into()
            }
        })+
    };
}

whole_number!(u8, u32, u64);

impl SpecNumber for f64 {
    fn shown(self) -> String {
        if self == 0.0 || (1e-3..1e6).contains(&self.abs()) || !self.is_finite() {
            self.to_string()
        } else {
            format!("{self:e}")
        }
    }

    fn json(self) -> Value {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: SpecNumber>(range: Range<T>, value: T, expected: Option<&str>) {
        let found = range.check("field", value).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn what_is_outside_is_refused_with_what_would_be_right() {
        let whole = Range::new(2, 64u32);
        check(whole, 2, None);
        check(whole, 64, None);
        check(whole, 1, Some("field: must be from 2 to 64, not 1"));
        check(whole.up_to(9), 10, Some("field: must be from 2 to 9, not 10"));
        let open = Range::above(0.0, 1e6);
        check(open, 1e-300, None);
        check(open, 1e6, None);
        check(open, 0.0, Some("field: must be above 0 and at most 1e6, not 0"));
        check(open, f64::NAN, Some("field: must be above 0 and at most 1e6, not NaN"));
        check(Range::new(1e-100, 2.5), f64::INFINITY, Some("field: must be from 1e-100 to 2.5, not inf"));
    }

    #[test]
    fn the_schema_has_the_range() {
        let mut schema = schemars::json_schema!({ "type": "integer", "minimum": 0 });
        Range::new(2, 64u8).schema().transform(&mut schema);
        assert_eq!(schema.as_value(), &serde_json::json!({ "type": "integer", "minimum": 2, "maximum": 64 }));
        let mut schema = schemars::json_schema!({ "type": "array", "items": { "type": "number" } });
        Range::above(0.0, 1.5).of_items().transform(&mut schema);
        let items = serde_json::json!({ "type": "number", "exclusiveMinimum": 0.0, "maximum": 1.5 });
        assert_eq!(schema.get("items"), Some(&items));
    }
}
