//! The description of the admin API, made from the types it takes and gives.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    POLICIES, letters,
    saga_view::{ResumeBody, RolledBackView, SagasView, ShownView, UndoBody},
    sagas,
    view::{Done, EditBody, ListView, Many, ReplayBody, Which, WholeView},
};

/// OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    macro_rules! of {
        ($type:ty) => {
            generator.subschema_for::<$type>().to_value()
        };
    }
    let (list, whole, many, done, edit, replay) =
        (of!(ListView), of!(WholeView), of!(Many), of!(Done), of!(EditBody), of!(ReplayBody));
    let (saga_list, saga, rolled_back, resume, undo) =
        (of!(SagasView), of!(ShownView), of!(RolledBackView), of!(ResumeBody), of!(UndoBody));
    let object = json!({"type": "object"});
    let mut paths = Map::new();
    let mut path = |at: &str, operations: Value| {
        paths.insert(at.to_owned(), operations);
    };
    path(POLICIES, json!({"get": operation("How every policy stands", None, &object)}));
    let mut listing = operation("Dead letters, by filter", None, &list);
    listing["parameters"] = queries();
    path(letters::LIST, json!({"get": listing}));
    path(letters::STATS, json!({"get": operation("All dead letters together", None, &object)}));
    path(
        letters::ONE,
        json!({
            "get": one(operation("One dead letter, with its life so far", None, &whole)),
            "patch": one(operation("Change its arguments or its priority", Some(&edit), &whole)),
        }),
    );
    path(
        letters::EXPLAIN,
        json!({"get": one(operation("Why it is there, and what can be done", None, &object))}),
    );
    path(
        "/admin/dead-letters/{id}/replay",
        json!({"post": one(operation("Run it again, or earlier", Some(&replay), &whole))}),
    );
    path("/admin/dead-letters/{id}/discard", json!({"post": one(operation("Give it up", None, &whole))}));
    path(letters::REPLAY, json!({"post": operation("Run many again", Some(&many), &done)}));
    path(letters::DISCARD, json!({"post": operation("Give many up", Some(&many), &done)}));
    path(letters::ARCHIVE, json!({"post": operation("Move many to the archive", Some(&many), &done)}));
    let mut restore = operation("Put letters back from lines of an archive", None, &object);
    restore["requestBody"] =
        json!({"required": true, "content": {"application/jsonl": {"schema": {"type": "string"}}}});
    path(letters::RESTORE, json!({"post": restore}));
    let mut listing = operation("Sagas, by filter", None, &saga_list);
    listing["parameters"] = [
        ("state", "In one of these states, with commas"),
        ("held", "true: those that agents hold; false: calls that were taken back"),
        ("caller", "Of this caller"),
        ("after", "After this id: the `next` of the part before"),
        ("limit", "At most this many, 1 to 1,000. By default 100"),
    ]
    .map(|(name, told)| json!({"name": name, "in": "query", "description": told, "schema": {"type": "string"}}))
    .to_vec()
    .into();
    path(sagas::LIST, json!({"get": listing}));
    path(sagas::ONE, json!({"get": one(operation("One saga, or one call, with its steps", None, &saga))}));
    path(sagas::ROLL_BACK, json!({"post": one(operation("Take it back", None, &rolled_back))}));
    path(
        sagas::RESUME,
        json!({"post": one(operation("Try again what is in conflict or stuck", Some(&resume), &rolled_back))}),
    );
    path(
        sagas::ABANDON,
        json!({"post": one(operation("Give up what is in conflict or stuck", None, &saga))}),
    );
    path(sagas::UNDO, json!({"post": one(operation("Undo one call", Some(&undo), &rolled_back))}));
    path("/admin/openapi.json", json!({"get": operation("This document", None, &object)}));
    json!({
        "openapi": "3.1.0",
        "info": {"title": "skillhost admin API", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    })
}

fn operation(summary: &str, body: Option<&Value>, answer: &Value) -> Value {
    let failed = json!({"description": "It cannot be done", "content": {"application/json": {"schema": {
        "type": "object", "properties": {"error": {"type": "object", "properties": {
            "code": {"type": "string"}, "message": {"type": "string"},
        }}},
    }}}});
    let mut operation = json!({
        "summary": summary,
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            "4XX": failed, "5XX": failed,
        },
    });
    if let Some(body) = body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": body}}});
    }
    operation
}

fn one(mut operation: Value) -> Value {
    operation["parameters"] = json!([
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}},
    ]);
    operation
}

/// The keys of a filter, and of a part, as parameters of a query.
fn queries() -> Value {
    let mut all = vec![];
    for schema in [schemars::schema_for!(Which), schemars::schema_for!(super::view::Part)] {
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let told = property["description"].as_str().unwrap_or_default();
            all.push(json!({"name": name, "in": "query", "description": told, "schema": {"type": "string"}}));
        }
    }
    all.into()
}
