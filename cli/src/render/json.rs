//! What programs read with `--json`: the messages of `hebbian.v1`, each field under its name there.
//!
//! Durations are seconds (`..._s`), moments are RFC 3339, bytes are hexadecimal, absent values are null. Where a message is
//! one of several cases, `kind` names the case, and what the case holds stands under the case's name.

use std::sync::LazyLock;
use std::time::Duration;

use hebbian_proto::figures::hexadecimal;
use hebbian_proto::{FILE_DESCRIPTOR_SET, v1};
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    Value as Field,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::{Paint, escape, out};
use crate::failure::Failure;

static MESSAGES: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiler wrote it"));

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

fn descriptor<M: Name>() -> MessageDescriptor {
    MESSAGES.get_message_by_name(&M::full_name()).expect("every message has a descriptor")
}

/// All fields of a message.
pub(crate) fn of<M: Message + Name>(message: &M) -> Value {
    let mut fields = DynamicMessage::new(descriptor::<M>());
    fields.transcode_from(message).expect("the message is its descriptor's");
    object(&fields)
}

fn object(message: &DynamicMessage) -> Value {
    let number = |name| message.get_field_by_name(name).and_then(|field| field.as_i64()).unwrap_or(0);
    let nanoseconds = || message.get_field_by_name("nanos").and_then(|field| field.as_i32()).unwrap_or(0);
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Duration" => {
            return Value::from(number("seconds") as f64 + f64::from(nanoseconds()) / 1e9);
        }
        "google.protobuf.Timestamp" => {
            let moment = jiff::Timestamp::new(number("seconds"), nanoseconds());
            return moment.map_or(Value::Null, |moment| Value::from(moment.to_string()));
        }
        _ => {}
    }
    let mut object = Map::new();
    for field in descriptor.fields() {
        let is_set = !field.supports_presence() || message.has_field(&field);
        if let Some(cases) = field.containing_oneof().filter(|cases| !cases.is_synthetic()) {
            object.entry(cases.name()).or_insert(Value::Null);
            if !is_set {
                continue;
            }
            object.insert(cases.name().to_owned(), field.name().into());
            if field.kind().as_message().is_some_and(|case| case.fields().len() == 0) {
                continue;
            }
        }
        let value = if is_set { value(&message.get_field(&field)) } else { Value::Null };
        object.insert(key(&field), value);
    }
    Value::Object(object)
}

/// The key of a field: its name, and for a duration the unit.
fn key(field: &FieldDescriptor) -> String {
    match field.kind().as_message() {
        Some(message) if message.full_name() == "google.protobuf.Duration" => format!("{}_s", field.name()),
        _ => field.name().to_owned(),
    }
}

fn value(field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::from(*value),
        Field::I32(value) | Field::EnumNumber(value) => Value::from(*value),
        Field::I64(value) => Value::from(*value),
        Field::U32(value) => Value::from(*value),
        Field::U64(value) => Value::from(*value),
        // As short as its own digits allow, which are fewer than those of the same number in 64 bits.
        Field::F32(value) => value.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        Field::F64(value) => Value::from(*value),
        Field::String(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(hexadecimal(bytes)),
        Field::Message(message) => object(message),
        Field::List(list) => list.iter().map(value).collect(),
        Field::Map(_) => unreachable!("no figure is a map"),
    }
}

/// The message that [`of`] has printed; an error names the field.
fn read<M: Message + Name + Default>(value: &Value) -> Result<M, String> {
    let message = read_object(&descriptor::<M>(), value)?;
    Ok(message.transcode_to().expect("the message is its descriptor's"))
}

fn read_object(descriptor: &MessageDescriptor, value: &Value) -> Result<DynamicMessage, String> {
    let mut message = DynamicMessage::new(descriptor.clone());
    let mut of_time = |seconds: i64, nanoseconds: i32| {
        message.set_field_by_name("seconds", Field::I64(seconds));
        message.set_field_by_name("nanos", Field::I32(nanoseconds));
    };
    match descriptor.full_name() {
        "google.protobuf.Duration" => {
            let time = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let time = time.ok_or("must be a number of seconds, not below 0")?;
            of_time(time.as_secs() as i64, time.subsec_nanos() as i32);
            return Ok(message);
        }
        "google.protobuf.Timestamp" => {
            let moment = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let moment = moment.ok_or("must be a moment as RFC 3339 writes it")?;
            of_time(moment.as_second(), moment.subsec_nanosecond());
            return Ok(message);
        }
        _ => {}
    }
    let mut rest = value.as_object().ok_or("must be an object")?.clone();
    for field in descriptor.fields() {
        let written = rest.remove(&key(&field)).unwrap_or(Value::Null);
        let cases = field.containing_oneof().filter(|cases| !cases.is_synthetic());
        let is_case = cases.is_some_and(|cases| value[cases.name()] == field.name());
        let read = match (field.kind(), &written) {
            // A case that is its name and no more.
            (Kind::Message(case), Value::Null) if is_case => Ok(Field::Message(DynamicMessage::new(case))),
            (_, Value::Null) => continue,
            (kind, Value::Array(list)) if field.is_list() => {
                list.iter().map(|value| read_value(&kind, value)).collect::<Result<_, _>>().map(Field::List)
            }
            (kind, value) => read_value(&kind, value),
        };
        message.set_field(&field, read.map_err(|problem| format!("{}: {problem}", key(&field)))?);
    }
    descriptor.oneofs().for_each(|cases| drop(rest.remove(cases.name())));
    rest.keys().next().map_or(Ok(message), |key| Err(format!("unknown field `{key}`")))
}

fn read_value(kind: &Kind, value: &Value) -> Result<Field, String> {
    let field = match kind {
        Kind::Bool => value.as_bool().map(Field::Bool),
        Kind::Uint32 => value.as_u64().and_then(|number| u32::try_from(number).ok()).map(Field::U32),
        Kind::Uint64 => value.as_u64().map(Field::U64),
        Kind::Float => value.as_f64().map(|number| Field::F32(number as f32)),
        Kind::Double => value.as_f64().map(Field::F64),
        Kind::String => value.as_str().map(|text| Field::String(text.to_owned())),
        Kind::Bytes => value.as_str().and_then(bytes).map(|bytes| Field::Bytes(bytes.into())),
        Kind::Message(message) => return read_object(message, value).map(Field::Message),
        _ => None,
    };
    field.ok_or_else(|| format!("must be of the type {kind:?}, not {value}"))
}

/// The bytes of a hexadecimal text.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|half| half as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
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
    use prost_reflect::Cardinality;

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
            let closed = Closed { summary, told: vec![], contributions: Contributions::new() };
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
