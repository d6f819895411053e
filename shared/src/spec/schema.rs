//! The JSON Schema of run specs: what editors and other programs know of them. It follows from the types; their documentation is its
//! descriptions, and their ranges are those of the checks.

use std::sync::OnceLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use super::WrittenSpec;
use super::range::SpecNumber;
use super::text::place::{Step, steps};

/// The schema (draft 7, which is what editors of TOML read) as it is printed, a line feed at its end.
pub fn schema() -> String {
    serde_json::to_string_pretty(&root_schema()).expect("a schema is JSON") + "\n"
}

fn root_schema() -> Schema {
    let settings = SchemaSettings::draft07().with_transform(Plain);
    settings.into_generator().into_root_schema_for::<WrittenSpec>()
}

fn root() -> &'static Value {
    static ROOT: OnceLock<Value> = OnceLock::new();
    ROOT.get_or_init(|| root_schema().to_value())
}

/// Which numbers or names the field at `path` of a spec may have, in words; `spec` says which forms its sections have. `None` where the
/// schema knows no single range.
pub(super) fn range_of(path: &str, spec: &Value) -> Option<String> {
    let mut written = Some(spec);
    let mut forms = forms_of(root(), written);
    for step in steps(path) {
        let below = match step {
            Step::Field(name) => {
                written = written.and_then(|written| written.get(name));
                forms.iter().filter_map(|form| form.get("properties")?.get(name)).collect::<Vec<_>>()
            }
            Step::Item(place) => {
                written = written.and_then(|written| written.get(place));
                forms.iter().filter_map(|form| form.get("items")).collect()
            }
        };
        forms = below.into_iter().flat_map(|schema| forms_of(schema, written)).collect();
    }
    let mut ranges: Vec<String> = forms.iter().filter_map(|form| range_in_words(form)).collect();
    ranges.dedup();
    let names: Vec<String> = forms.iter().flat_map(|form| names_in(form)).collect();
    match (&ranges[..], &names[..]) {
        ([_], _) => ranges.pop(),
        ([], [_, _, ..]) => Some(format!("one of {}", names.join(", "))),
        _ => None,
    }
}

/// The names that a schema allows.
fn names_in(schema: &Value) -> Vec<String> {
    let all = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    all.chain(schema.get("const")).filter_map(Value::as_str).map(|name| format!("`{name}`")).collect()
}

/// A schema with all that it refers to, without the forms that what is `written` says it has not.
fn forms_of<'a>(schema: &'a Value, written: Option<&Value>) -> Vec<&'a Value> {
    let is_other = |(name, property): (&String, &Value)| {
        let Some(wanted) = property.get("const") else { return false };
        let required = schema.get("required").and_then(Value::as_array);
        match written.and_then(|written| written.get(name)) {
            Some(found) => found != wanted,
            None => required.is_some_and(|names| names.iter().any(|required| required == name)),
        }
    };
    let mut properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    if properties.any(is_other) {
        return Vec::new();
    }
    let referred = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    let parts = ["allOf", "anyOf", "oneOf"].iter().filter_map(|kind| schema.get(kind)?.as_array()).flatten();
    let parts = parts.chain(referred.and_then(|name| root().pointer(name)));
    let mut forms = vec![schema];
    for part in parts {
        forms.extend(forms_of(part, written));
    }
    forms
}

/// The range of a number's schema.
fn range_in_words(schema: &Value) -> Option<String> {
    let kind = match schema.get("type")?.as_str()? {
        "integer" => "a whole number",
        "number" => "a number",
        _ => return None,
    };
    let end = |name: &str| {
        let number = schema.get(name)?;
        number.as_u64().map(SpecNumber::shown).or_else(|| number.as_f64().map(SpecNumber::shown))
    };
    Some(match (end("minimum"), end("exclusiveMinimum"), end("maximum")) {
        (Some(low), _, Some(high)) => format!("{kind} from {low} to {high}"),
        (None, Some(low), Some(high)) => format!("{kind} above {low} and at most {high}"),
        (Some(low), _, None) => format!("{kind} from {low} on"),
        (None, Some(low), None) => format!("{kind} above {low}"),
        (None, None, Some(high)) => format!("{kind} of at most {high}"),
        (None, None, None) => kind.to_owned(),
    })
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
    use serde_json::json;

    use super::range_of;

    #[test]
    fn a_range_is_that_of_the_form_that_is_written() {
        let spec = |strategy: &str, family: &str| json!({ "strategy": { "kind": strategy }, "rule": { "family": family } });
        let of = |path: &str, strategy: &str| range_of(path, &spec(strategy, "multi-state"));
        let size = "strategy.population_size";
        assert_eq!(of(size, "cma-es").as_deref(), Some("a whole number from 4 to 65536"));
        assert_eq!(of(size, "random-search").as_deref(), Some("a whole number from 1 to 65536"));
        assert_eq!(of(size, "no-strategy"), None);
        assert_eq!(of("rule.states", "cma-es").as_deref(), Some("a whole number from 1 to 16"));
        assert_eq!(
            range_of("rule.states", &json!({ "rule": {} })).as_deref(),
            Some("a whole number from 1 to 16")
        );
        assert_eq!(range_of("rule.states", &spec("cma-es", "abcd")), None);
        assert_eq!(of("network.shapes[1][0]", "cma-es").as_deref(), Some("a whole number from 1 to 4096"));
        assert_eq!(of("strategy.kind", "cma-es"), None);
        assert_eq!(of("rule.gates", "cma-es").as_deref(), Some("one of `scalar`, `per-state`"));
        let directions = "one of `off`, `shared-genome`, `own-genome`";
        assert_eq!(of("rule.forward_synapse_update", "cma-es").as_deref(), Some(directions));
        assert_eq!(of("no.field", "cma-es"), None);
    }

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
