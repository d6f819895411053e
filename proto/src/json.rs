//! Messages as JSON, each field under its name in `hebbian.v1`: what `--json`, reports and the live page's `/api` have in common.
//!
//! Durations are seconds (`..._s`), moments are RFC 3339, bytes are hexadecimal, absent values are null. Of a choice its name is written in
//! lower case, without that of its type: `ROLE_ADMIN` is `admin`. Where a message is
//! one of several cases, `kind` names the case, and what the case holds stands under the case's name.

mod schema;

use std::sync::LazyLock;
use std::time::Duration;

use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage as _, Value as Field,
};
use serde_json::{Map, Value};

use crate::FILE_DESCRIPTOR_SET;
use crate::figures::hexadecimal;
pub use schema::Schemas;

static MESSAGES: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiler wrote it"));

/// What is known of a message's fields.
pub fn descriptor<M: Name>() -> MessageDescriptor {
    MESSAGES.get_message_by_name(&M::full_name()).expect("every message has a descriptor")
}

/// All fields of a message.
pub fn of<M: Message + Name>(message: &M) -> Value {
    let mut fields = DynamicMessage::new(descriptor::<M>());
    fields.transcode_from(message).expect("the message is its descriptor's");
    object(&fields)
}

/// The same of one whose type is known when the program runs.
pub fn object(message: &DynamicMessage) -> Value {
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
        let value = if is_set { value(&field.kind(), &message.get_field(&field)) } else { Value::Null };
        object.insert(key(&field), value);
    }
    Value::Object(object)
}

/// The key of a field: its name, and for a duration the unit.
pub fn key(field: &FieldDescriptor) -> String {
    match field.kind().as_message() {
        Some(message) if message.full_name() == "google.protobuf.Duration" => format!("{}_s", field.name()),
        _ => field.name().to_owned(),
    }
}

/// The names of a choice, without what says that there is none.
fn choices(choice: &EnumDescriptor) -> impl Iterator<Item = (i32, String)> {
    // `ROLE_UNSPECIFIED` is the first of each, by protobuf's rules.
    let prefix = choice.default_value().name().trim_end_matches("UNSPECIFIED").to_owned();
    let values: Vec<_> = choice.values().filter(|value| value.number() != 0).collect();
    values.into_iter().map(move |value| {
        (value.number(), value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_lowercase())
    })
}

fn value(kind: &Kind, field: &Field) -> Value {
    match field {
        Field::EnumNumber(number) => {
            let Kind::Enum(choice) = kind else { return Value::from(*number) };
            let named = choices(choice).find(|(known, _)| known == number);
            // One of a newer program has no name here.
            named.map_or_else(
                || if *number == 0 { Value::Null } else { Value::from(number.to_string()) },
                |(_, name)| name.into(),
            )
        }
        Field::Bool(value) => Value::from(*value),
        Field::I32(value) => Value::from(*value),
        Field::I64(value) => Value::from(*value),
        Field::U32(value) => Value::from(*value),
        Field::U64(value) => Value::from(*value),
        // As short as its own digits allow, which are fewer than those of the same number in 64 bits.
        Field::F32(value) => value.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        Field::F64(value) => Value::from(*value),
        Field::String(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(hexadecimal(bytes)),
        Field::Message(message) => object(message),
        Field::List(list) => list.iter().map(|one| value(kind, one)).collect(),
        Field::Map(_) => unreachable!("no figure is a map"),
    }
}

/// The message that [`of`] has printed; an error names the field.
pub fn read<M: Message + Name + Default>(value: &Value) -> Result<M, String> {
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
        Kind::Enum(choice) => value.as_str().and_then(|text| {
            let mut known = choices(choice);
            let number = known.find(|(_, name)| name == text).map(|(number, _)| number);
            number.or_else(|| text.parse().ok()).map(Field::EnumNumber)
        }),
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
