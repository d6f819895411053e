//! Messages as JSON Schema, for descriptions of what is answered in JSON.

use std::collections::BTreeSet;

use prost::Name;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{descriptor, key};

/// Schemas of messages and of all that they hold, by their short names.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    written: Map<String, Value>,
    known: BTreeSet<String>,
}

impl Schemas {
    /// A reference to a message's schema, which is written with the others.
    pub fn reference<M: Name>(&mut self) -> Value {
        self.refer(&descriptor::<M>())
    }

    /// All schemas that were referred to.
    pub fn into_components(self) -> Value {
        Value::Object(self.written)
    }

    fn refer(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Duration" => return json!({ "type": "number", "description": "seconds" }),
            // The clock of another machine may say what no calendar has.
            "google.protobuf.Timestamp" => {
                return json!({ "type": ["string", "null"], "format": "date-time" });
            }
            _ => {}
        }
        let name = message.full_name().trim_start_matches("hebbian.v1.").to_owned();
        if self.known.insert(name.clone()) {
            let schema = self.object(message);
            self.written.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn object(&mut self, message: &MessageDescriptor) -> Value {
        let mut properties = Map::new();
        for field in message.fields() {
            let mut schema = self.value(&field);
            if let Some(cases) = field.containing_oneof().filter(|cases| !cases.is_synthetic()) {
                let mut names: Vec<Value> = cases.fields().map(|case| Value::from(case.name())).collect();
                names.push(Value::Null);
                properties.insert(
                    cases.name().to_owned(),
                    json!({ "enum": names, "description": "which of these fields there is" }),
                );
            } else if field.supports_presence() && !field.is_list() && !may_be_null(&schema) {
                schema = json!({ "anyOf": [schema, { "type": "null" }] });
            }
            if let Some(comment) = comment(&field) {
                schema["description"] = Value::from(comment);
            }
            properties.insert(key(&field), schema);
        }
        json!({ "type": "object", "properties": properties })
    }

    fn value(&mut self, field: &FieldDescriptor) -> Value {
        let one = match field.kind() {
            Kind::Bool => json!({ "type": "boolean" }),
            // JSON has no infinity, which a sum that overflows is.
            Kind::Double | Kind::Float => json!({ "type": ["number", "null"] }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "description": "hexadecimal" }),
            Kind::Message(message) => self.refer(&message),
            // One of a newer program is its number.
            Kind::Enum(choice) => {
                let names: Vec<String> = super::choices(&choice).map(|(_, name)| name).collect();
                json!({ "type": ["string", "null"], "examples": names })
            }
            _ => json!({ "type": "integer" }),
        };
        if field.is_list() { json!({ "type": "array", "items": one }) } else { one }
    }
}

fn may_be_null(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"))
}

/// What the `.proto` file says of a field.
fn comment(field: &FieldDescriptor) -> Option<String> {
    let file = field.parent_file();
    let information = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = information.location.iter().find(|location| location.path == field.path())?;
    let comment = location.leading_comments.as_deref()?.split_whitespace().collect::<Vec<_>>().join(" ");
    (!comment.is_empty()).then_some(comment)
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DynamicMessage, Value as Field};

    use super::*;
    use crate::v1;

    #[test]
    fn every_field_that_is_written_has_its_schema() {
        let mut schemas = Schemas::default();
        assert_eq!(schemas.reference::<v1::Run>(), json!({ "$ref": "#/components/schemas/Run" }));
        let schemas = schemas.into_components();
        let written = crate::json::of(&v1::Run::default());
        for name in written.as_object().unwrap().keys() {
            assert!(schemas["Run"]["properties"].get(name).is_some(), "{name}");
        }
        assert!(schemas["GenerationSummary"]["properties"]["elapsed_s"].is_object());
        assert!(schemas["RunState"]["properties"]["kind"]["enum"].as_array().unwrap().len() == 6);
    }

    /// A value of a field that is at an end of what its kind can be.
    fn extreme(kind: &Kind, depth: usize, (number, of_oneof): (f64, usize)) -> Field {
        match kind {
            Kind::Bool => Field::Bool(true),
            Kind::Double => Field::F64(number),
            Kind::Float => Field::F32(number as f32),
            Kind::String => Field::String("\u{202e}<b>".to_owned()),
            Kind::Bytes => Field::Bytes(vec![0, 255].into()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Field::I32(i32::MIN),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Field::I64(i64::MAX),
            Kind::Uint32 | Kind::Fixed32 => Field::U32(u32::MAX),
            Kind::Uint64 | Kind::Fixed64 => Field::U64(u64::MAX),
            Kind::Enum(_) => Field::EnumNumber(i32::MAX),
            Kind::Message(message) => Field::Message(filled(message, depth, (number, of_oneof))),
        }
    }

    /// A message whose fields are all set: of those that exclude each other, the one of that place.
    fn filled(descriptor: &MessageDescriptor, depth: usize, of: (f64, usize)) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            let excluded = |cases: prost_reflect::OneofDescriptor| {
                let cases: Vec<FieldDescriptor> = cases.fields().collect();
                cases[of.1 % cases.len()] != field
            };
            if depth == 0 || field.containing_oneof().is_some_and(excluded) {
                continue;
            }
            let value = extreme(&field.kind(), depth - 1, of);
            message.set_field(&field, if field.is_list() { Field::List(vec![value]) } else { value });
        }
        message
    }

    /// Whatever a message holds, what is written of it is as it was described, and nothing is left undescribed.
    #[test]
    fn what_is_written_is_what_is_described() {
        let mut schemas = Schemas::default();
        let names = [
            schemas.reference::<v1::CoordinatorStatus>(),
            schemas.reference::<v1::Run>(),
            schemas.reference::<v1::RunResult>(),
            schemas.reference::<v1::RunEvent>(),
            schemas.reference::<v1::Worker>(),
            schemas.reference::<v1::Token>(),
        ];
        let descriptors = [
            descriptor::<v1::CoordinatorStatus>(),
            descriptor::<v1::Run>(),
            descriptor::<v1::RunResult>(),
            descriptor::<v1::RunEvent>(),
            descriptor::<v1::Worker>(),
            descriptor::<v1::Token>(),
        ];
        let mut components = schemas.into_components();
        for schema in components.as_object_mut().unwrap().values_mut() {
            schema["additionalProperties"] = Value::from(false);
        }
        for (reference, message) in names.iter().zip(&descriptors) {
            let whole = json!({ "$ref": reference["$ref"], "components": { "schemas": components } });
            let validator = jsonschema::validator_for(&whole).unwrap();
            let mut nulls = 0;
            for number in [0.5, f64::NAN, f64::INFINITY, f64::MAX] {
                for (depth, case) in (0..6).flat_map(|depth| (0..6).map(move |case| (depth, case))) {
                    let written = crate::json::object(&filled(message, depth, (number, case)));
                    let wrong: Vec<String> = validator
                        .iter_errors(&written)
                        .map(|e| format!("{}: {e}", e.instance_path()))
                        .collect();
                    assert!(wrong.is_empty(), "{}, {number}: {wrong:?}", message.full_name());
                    nulls += written.to_string().matches(":null").count();
                }
            }
            assert!(nulls > 0, "{} has nothing that can be absent", message.full_name());
        }
    }
}
