//! What programs read with `--json`: the messages of `hebbian.v1`, each field under its name there.
//!
//! Durations are seconds (`..._s`), moments are RFC 3339, bytes are hexadecimal, absent values are null. Where a message is
//! one of several cases, `kind` names the case, and what the case holds stands under the case's name.

use std::sync::LazyLock;

use hebbian_proto::{FILE_DESCRIPTOR_SET, v1};
use hebbian_shared::progress::{CoordinatorStatus, GenerationSummary, RunEvent, RunProgress, WorkerStatus};
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _, Value as Field,
};
use serde::Serialize;
use serde_json::{Map, Value};

static MESSAGES: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiler wrote it"));

/// One line of JSON.
pub(crate) fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("plain data");
    text.push('\n');
    text
}

/// JSON over several lines.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data");
    text.push('\n');
    text
}

/// A closed generation.
pub(crate) fn generation(summary: &GenerationSummary) -> Value {
    of(&v1::GenerationSummary::from(summary))
}

/// A run.
pub(crate) fn run(run: &RunProgress) -> Value {
    of(&v1::Run::from(run))
}

/// A committed event with its sequence number.
pub(crate) fn event(sequence: u64, event: &RunEvent) -> Value {
    of(&v1::WatchRunResponse { sequence, event: Some(event.into()) })
}

/// A worker.
pub(crate) fn worker(worker: &WorkerStatus) -> Value {
    of(&v1::Worker::from(worker))
}

/// The coordinator.
pub(crate) fn coordinator(status: &CoordinatorStatus) -> Value {
    of(&v1::CoordinatorStatus::from(status))
}

fn descriptor<M: Name>() -> MessageDescriptor {
    MESSAGES.get_message_by_name(&M::full_name()).expect("every message has a descriptor")
}

/// All fields of a message.
fn of<M: Message + Name>(message: &M) -> Value {
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

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("half of a byte");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::from(*value),
        Field::I32(value) | Field::EnumNumber(value) => Value::from(*value),
        Field::I64(value) => Value::from(*value),
        Field::U32(value) => Value::from(*value),
        Field::U64(value) => Value::from(*value),
        Field::F32(value) => Value::from(*value),
        Field::F64(value) => Value::from(*value),
        Field::String(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(hexadecimal(bytes)),
        Field::Message(message) => object(message),
        Field::List(list) => list.iter().map(value).collect(),
        Field::Map(_) => unreachable!("no figure is a map"),
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
    use hebbian_proto::convert::ConvertError;
    use prost_reflect::{Cardinality, Kind};

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
                Kind::String => {
                    let name = ["name", "run"].contains(&field.name());
                    let text = if name { format!("runs/{next:08}") } else { format!("text {next}") };
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

    /// What the coordinator sends comes out of `print` with every value, whichever cases it holds.
    fn check<M: Message + Name + Default>(print: impl Fn(M) -> Result<Value, ConvertError>) {
        for case in 0..6 {
            let mut filled = Filled { case, values: 0, expected: Vec::new() };
            let message = filled.message(&descriptor::<M>());
            let printed = print(message.transcode_to().unwrap()).unwrap();
            let mut found = Vec::new();
            leaves(&printed, &mut found);
            let sorted = |values: Vec<Value>| {
                let mut texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                texts.sort();
                texts
            };
            let (found, expected) = (sorted(found), sorted(filled.expected));
            assert_eq!(found, expected, "{} as {printed:#}", M::full_name());
        }
    }

    #[test]
    fn every_value_of_a_message_is_printed() {
        check(|message: v1::Run| RunProgress::try_from(message).map(|progress| run(&progress)));
        check(|message: v1::Worker| WorkerStatus::try_from(message).map(|status| worker(&status)));
        check(|message: v1::CoordinatorStatus| {
            CoordinatorStatus::try_from(message).map(|status| coordinator(&status))
        });
        check(|message: v1::WatchRunResponse| {
            let v1::WatchRunResponse { sequence, event: of } = message;
            RunEvent::try_from(of.unwrap()).map(|of| event(sequence, &of))
        });
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
