//! The JSON Schema of run specs: what editors and other programs know of them. It follows from the types; their documentation is its
//! descriptions, and their ranges are those of the checks.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use super::WrittenSpec;

/// The schema (draft 7, which is what editors of TOML read) as it is printed, a line feed at its end.
pub fn schema() -> String {
    let settings = SchemaSettings::draft07().with_transform(Plain);
    let schema = settings.into_generator().into_root_schema_for::<WrittenSpec>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// Leaves out what says something of Rust, and nothing of specs.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove("format");
        // What is not there is left out: TOML has no null.
        if let Some(types) = schema.get_mut("type")
            && let Value::Array(names) = types
        {
            names.retain(|name| name != "null");
            if let [name] = names.as_mut_slice() {
                *types = name.take();
            }
        }
        if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
            any.retain(|schema| schema.get("type").is_none_or(|name| name != "null"));
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            let paragraphs: Vec<String> =
                description.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
            *description = paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`");
        }
        transform_subschemas(self, schema);
    }
}

#[cfg(test)]
mod tests {
    /// With `HEBBIAN_UPDATE` set, the test writes the schema instead of comparing it.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the documentation is a file")]
    fn the_documentation_has_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec.schema.json");
        if std::env::var_os("HEBBIAN_UPDATE").is_some() {
            std::fs::write(path, super::schema()).unwrap();
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(
                text == super::schema(),
                "docs/spec.schema.json is old: HEBBIAN_UPDATE=1 cargo test writes it"
            );
        }
    }
}
