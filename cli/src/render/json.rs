//! What programs read with `--json`: the messages of `hebbian.v1` as `hebbian_proto::json` writes them.

pub(crate) use hebbian_proto::json::of;
use hebbian_proto::json::{descriptor, key, read};
use hebbian_proto::v1;
use prost::{Message, Name};
use prost_reflect::MessageDescriptor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{Paint, escape, out};
use crate::failure::Failure;

/// One line of JSON.
pub(crate) fn line(value: &impl Serialize) -> String {
    escape::json(serde_json::to_string(value).expect("plain data")) + "\n"
}

/// JSON over several lines.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    escape::json(serde_json::to_string_pretty(value).expect("plain data")) + "\n"
}

/// Prints a message as JSON, or as `text` says it.
pub(crate) fn or<M: Message + Name>(
    json: bool,
    message: &M,
    text: impl FnOnce(&M, Paint) -> String,
) -> Result<(), Failure> {
    out(&if json { pretty(&of(message)) } else { text(message, Paint::stdout()) })
}

/// Prints messages as a JSON list, or as `text` says them.
pub(crate) fn or_all<M: Message + Name>(
    json: bool,
    messages: &[M],
    text: impl FnOnce(&[M], Paint) -> String,
) -> Result<(), Failure> {
    let list = || pretty(&messages.iter().map(of).collect::<Vec<_>>());
    out(&if json { list() } else { text(messages, Paint::stdout()) })
}

/// A message as a part of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures<M>(pub(crate) M);

impl<M: Message + Name> Serialize for Figures<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        of(&self.0).serialize(serializer)
    }
}

impl<'de, M: Message + Name + Default> Deserialize<'de> for Figures<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Value::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

/// A closed generation's columns in a table: the paths of all values of the message, `.` between their parts.
pub(crate) fn generation_columns() -> Vec<String> {
    let mut columns = Vec::new();
    add_columns(&descriptor::<v1::GenerationSummary>(), "", &mut columns);
    columns
}

fn add_columns(message: &MessageDescriptor, path: &str, columns: &mut Vec<String>) {
    for field in message.fields() {
        let column = format!("{path}{}", key(&field));
        match field.kind().as_message() {
            Some(inner) if !inner.full_name().starts_with("google.") => {
                add_columns(inner, &format!("{column}."), columns);
            }
            _ => columns.push(column),
        }
    }
}

/// The value at a path.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

#[cfg(test)]
mod tests {
    use hebbian_control::run::record::{Closed, Contributions, Record};
    use hebbian_coordinator::journal::codec::{decode_record, encode_record};
    use hebbian_proto::json::object;
    use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, Value as Field};

    use std::time::Duration;

    use super::*;

    /// Sets every field of a message to a value that no other one has, and notes these values. Of several cases the one
    /// with number `case` is set.
    struct Filled {
        case: usize,
        values: u32,
        expected: Vec<Value>,
    }

    impl Filled {
        fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
            let mut message = DynamicMessage::new(descriptor.clone());
            for cases in descriptor.oneofs().filter(|cases| !cases.is_synthetic()) {
                let case = cases.fields().nth(self.case % cases.fields().len()).unwrap();
                self.expected.push(case.name().into());
                message.set_field(&case, self.field(&case));
            }
            let alone = |field: &FieldDescriptor| field.containing_oneof().is_none_or(|of| of.is_synthetic());
            for field in descriptor.fields().filter(alone) {
                let value = self.field(&field);
                let is_list = field.cardinality() == Cardinality::Repeated;
                message.set_field(&field, if is_list { Field::List(vec![value]) } else { value });
            }
            message
        }

        fn field(&mut self, field: &FieldDescriptor) -> Field {
            self.values += 1;
            let next = self.values;
            let (value, printed) = match field.kind() {
                Kind::Bool => (Field::Bool(true), true.into()),
                Kind::Uint32 => (Field::U32(next), next.into()),
                Kind::Uint64 => (Field::U64(next.into()), next.into()),
                Kind::Double => (Field::F64(f64::from(next) + 0.5), (f64::from(next) + 0.5).into()),
                Kind::Float => {
                    let text = format!("{next}.1");
                    (Field::F32(text.parse().unwrap()), text.parse::<f64>().unwrap().into())
                }
                Kind::String => {
                    let text = format!("text {next}");
                    (Field::String(text.clone()), text.into())
                }
                Kind::Bytes => {
                    let bytes = [next.to_be_bytes(); 8].concat();
                    (Field::Bytes(bytes.into()), format!("{next:08x}").repeat(8).into())
                }
                Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.") => {
                    let mut message = DynamicMessage::new(inner.clone());
                    message.set_field_by_name("seconds", Field::I64(next.into()));
                    message.set_field_by_name("nanos", Field::I32(250_000_000));
                    (Field::Message(message.clone()), object(&message))
                }
                Kind::Message(inner) => return Field::Message(self.message(&inner)),
                other => panic!("{}: no figure is of the kind {other:?}", field.full_name()),
            };
            self.expected.push(printed);
            value
        }
    }

    fn leaves(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Object(object) => object.values().for_each(|value| leaves(value, found)),
            Value::Array(list) => list.iter().for_each(|value| leaves(value, found)),
            value => found.push(value.clone()),
        }
    }

    /// A message with all of its values is printed with every one of them, whichever cases it holds, and read from what was
    /// printed as what it was. `carry` is its way from where it arises to where it is printed.
    fn check<M: Message + Name + Default + Clone + PartialEq + std::fmt::Debug>(carry: impl Fn(M) -> M) {
        for case in 0..6 {
            let mut filled = Filled { case, values: 0, expected: Vec::new() };
            let message: M = filled.message(&descriptor::<M>()).transcode_to().unwrap();
            let printed = of(&carry(message.clone()));
            let mut found = Vec::new();
            leaves(&printed, &mut found);
            let sorted = |values: Vec<Value>| {
                let mut texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                texts.sort();
                texts
            };
            let (found, expected) = (sorted(found), sorted(filled.expected));
            assert_eq!(found, expected, "{} as {printed:#}", M::full_name());
            assert_eq!(read::<M>(&printed).as_ref(), Ok(&message));
        }
    }

    #[test]
    fn every_value_of_a_message_is_printed_and_read() {
        check(|message: v1::Run| message);
        check(|message: v1::Worker| message);
        check(|message: v1::CoordinatorStatus| message);
        check(|message: v1::WatchRunResponse| message);
        check(|message: v1::StopReason| message);
    }

    /// What `watch` shows of a record that was written into a journal and read from it.
    fn journalled(record: &Record) -> v1::run_event::Kind {
        let record = decode_record(&encode_record(record)).unwrap();
        record.event().and_then(|event| event.kind).unwrap()
    }

    #[test]
    fn every_value_of_a_figure_survives_the_journal() {
        use v1::run_event::Kind;
        check(|summary: v1::GenerationSummary| {
            let closed = Closed { summary, told: vec![], contributions: Contributions::new(), turn: None };
            match journalled(&Record::GenerationClosed(Box::new(closed))) {
                Kind::Generation(summary) => summary,
                other => panic!("{other:?}"),
            }
        });
        check(|summary| match journalled(&Record::Validated(Box::new(summary))) {
            Kind::Validation(summary) => summary,
            other => panic!("{other:?}"),
        });
        check(|figures| match journalled(&Record::Remeasured(figures)) {
            Kind::Remeasurement(figures) => figures,
            other => panic!("{other:?}"),
        });
        check(|state: v1::RunState| {
            let (state, elapsed) = (state.kind.unwrap(), Duration::ZERO);
            match journalled(&Record::StateChanged { state, elapsed, unix_ms: 7 }) {
                Kind::State(state) => state,
                other => panic!("{other:?}"),
            }
        });
    }

    #[test]
    fn what_no_message_prints_is_refused() {
        let refused = |change: fn(&mut Value), expected: &str| {
            let mut value = of(&v1::GenerationSummary {
                search: Some(v1::SearchSummary::default()),
                ..Default::default()
            });
            assert!(read::<v1::GenerationSummary>(&value).is_ok());
            change(&mut value);
            let error = read::<v1::GenerationSummary>(&value).unwrap_err();
            assert!(error.starts_with(expected), "`{expected}` expected, but: {error}");
        };
        refused(|value| *value = Value::from(1), "must be an object");
        refused(|value| value["sigma"] = Value::from(1), "unknown field `sigma`");
        refused(
            |value| value["search"]["step_size"] = Value::from("1"),
            "search: step_size: must be of the type",
        );
        refused(|value| value["updates"] = Value::from(-1), "updates: must be of the type uint32, not -1");
        refused(|value| value["elapsed_s"] = Value::from(-1.0), "elapsed_s: must be a number of seconds");
        refused(|value| value["state_digest"] = Value::from("0g"), "state_digest: must be of the type");
    }

    #[test]
    fn a_choice_is_its_name() {
        for role in [v1::Role::Worker, v1::Role::Observer, v1::Role::Operator, v1::Role::Admin] {
            let token = v1::Token { role: role.into(), ..v1::Token::default() };
            let name = role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
            assert_eq!(of(&token)["role"], name);
            assert_eq!(read::<v1::Token>(&of(&token)), Ok(token));
        }
        assert_eq!(of(&v1::Token::default())["role"], Value::Null);
        // One of a newer program.
        let newer = v1::Token { role: 9, ..v1::Token::default() };
        assert_eq!(of(&newer)["role"], "9");
        assert_eq!(read::<v1::Token>(&of(&newer)), Ok(newer.clone()));
        let mut unknown = of(&newer);
        unknown["role"] = Value::from("king");
        assert!(read::<v1::Token>(&unknown).unwrap_err().starts_with("role: must be of the type"));
    }

    #[test]
    fn what_is_absent_is_null() {
        let printed = of(&v1::Run { name: "runs/1".to_owned(), ..v1::Run::default() });
        assert_eq!(printed["last_generation"], Value::Null);
        assert_eq!(printed["end_time"], Value::Null);
        assert_eq!(printed["notes"], Value::Array(Vec::new()));
        let state = v1::RunState { kind: Some(v1::run_state::Kind::Running(v1::run_state::Running {})) };
        assert_eq!(of(&state), serde_json::json!({ "kind": "running" }));
        let columns = generation_columns();
        assert!(columns.contains(&"search.restart.criterion".to_owned()), "{columns:?}");
        assert!(columns.contains(&"elapsed_s".to_owned()), "{columns:?}");
    }
}
