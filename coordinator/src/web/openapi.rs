//! The description of `/api` (`OpenAPI` 3.1), made from the messages themselves.

use hebbian_proto::json::Schemas;
use hebbian_proto::v1;
use serde_json::{Map, Value, json};

/// See the module.
pub(super) fn description() -> Value {
    let mut schemas = Schemas::default();
    let (status, run, worker) = (
        schemas.reference::<v1::CoordinatorStatus>(),
        schemas.reference::<v1::Run>(),
        schemas.reference::<v1::Worker>(),
    );
    let (result, generation) =
        (schemas.reference::<v1::RunResult>(), schemas.reference::<v1::GenerationSummary>());
    let one = |summary: &str, schema: &Value| get(summary, schema, &json!([]));
    let pages = json!([query("page_size", "integer"), query("page_token", "string")]);
    let list = |summary: &str, name: &str, of: &Value| {
        let mut properties = Map::new();
        properties.insert(name.to_owned(), json!({ "type": "array", "items": of }));
        properties.insert("next_page_token".to_owned(), json!({ "type": "string" }));
        get(summary, &json!({ "type": "object", "properties": properties }), &pages)
    };
    let no_body = json!({ "type": "object", "properties": {} });
    let mut paths = Map::new();
    let mut path = |path: &str, operations: Value| {
        let mut operations = operations;
        if path.contains('{') {
            operations["parameters"] =
                json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
        }
        paths.insert(format!("/api/{path}"), operations);
    };
    path("status", one("The coordinator as a whole.", &status));
    path("runs", list("Runs in order of creation.", "runs", &run));
    path("runs/{id}", one("A run at this moment.", &run));
    path("runs/{id}/result", one("What a run has found.", &result));
    path("runs/{id}/generations", list("A run's closed generations.", "generations", &generation));
    path("workers", list("Attached workers.", "workers", &worker));
    path("runs/{id}/pause", post("Hand out nothing more until resumed.", &run, &no_body));
    path("runs/{id}/resume", post("Go on with a paused run.", &run, &no_body));
    path("runs/{id}/cancel", post("End a run for ever.", &run, &no_body));
    let limits = json!({ "type": "object", "properties": {
        "generations": { "type": "integer" }, "evaluations": { "type": "integer" },
        "target_fitness": { "type": "number" }, "time_limit_s": { "type": "integer" },
    }});
    path("runs/{id}/extend", post("Raise limits of a run.", &run, &limits));
    let fork = json!({ "type": "object", "properties": {
        "generations": { "type": "integer", "description": "after how many of the parent's; absent: the last one" },
        "set": { "type": "object", "description": "other values of keys of the spec, for example stop.generations" },
        "request_id": { "type": "string" },
    }});
    path("runs/{id}/fork", post("Create a run that begins where another one was.", &run, &fork));
    let note =
        json!({ "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] });
    path("runs/{id}/note", post("Add words to a run's notes.", &run, &note));
    let within = json!({ "type": "object", "properties": { "within_s": { "type": "number" } } });
    path("workers/{id}/drain", post("Ask a worker to leave for good.", &worker, &within));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hebbian",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Durations are seconds, moments RFC 3339, bytes hexadecimal; what is absent is null, and so is a number that JSON \
                            does not have (an infinity). Whatever changes \
                            something needs the token of the address that the coordinator printed at its start. Where the \
                            coordinator controls access, everything needs one of its tokens: of an observer to look, of an operator \
                            to change something.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn query(name: &str, kind: &str) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind } })
}

fn answers(schema: &Value) -> Value {
    let content = json!({ "application/json": { "schema": schema } });
    let problem = json!({ "type": "object", "properties": { "error": { "type": "string" } } });
    json!({
        "200": { "description": "done", "content": content },
        "default": { "description": "what is wrong", "content": { "application/json": { "schema": problem } } },
    })
}

fn get(summary: &str, schema: &Value, parameters: &Value) -> Value {
    json!({ "get": { "summary": summary, "parameters": parameters, "responses": answers(schema) } })
}

fn post(summary: &str, schema: &Value, body: &Value) -> Value {
    json!({ "post": {
        "summary": summary,
        "security": [{ "token": [] }],
        "requestBody": { "required": false, "content": { "application/json": { "schema": body } } },
        "responses": answers(schema),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference leads somewhere.
    fn check(value: &Value, whole: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(to) = object.get("$ref").and_then(Value::as_str) {
                    assert!(whole.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                }
                object.values().for_each(|value| check(value, whole));
            }
            Value::Array(list) => list.iter().for_each(|value| check(value, whole)),
            _ => {}
        }
    }

    #[test]
    fn the_description_is_whole() {
        let description = description();
        check(&description, &description);
        assert_eq!(description["paths"].as_object().unwrap().len(), 13);
        assert!(description["paths"]["/api/runs/{id}/cancel"]["post"]["security"].is_array());
    }
}
