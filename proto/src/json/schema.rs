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
            "google.protobuf.Timestamp" => return json!({ "type": "string", "format": "date-time" }),
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
                let names: Vec<String> = cases.fields().map(|case| case.name().to_owned()).collect();
                properties.insert(
                    cases.name().to_owned(),
                    json!({ "enum": names, "description": "which of these fields there is" }),
                );
            } else if field.supports_presence() && !field.is_list() {
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
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "description": "hexadecimal" }),
            Kind::Message(message) => self.refer(&message),
            _ => json!({ "type": "integer" }),
        };
        if field.is_list() { json!({ "type": "array", "items": one }) } else { one }
    }
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
        assert!(schemas["RunState"]["properties"]["kind"]["enum"].as_array().unwrap().len() == 5);
    }
}
