//! Which fields of a schema are always there. An answer writes every field, `null` where it has no
//! value; a field that an answer may leave out is never `null`. A request may leave out what may be
//! `null`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

/// Says so in every schema that no request refers to.
pub(super) fn require_in_answers(document: &mut OpenApi) {
    let requests = of_requests(document);
    let Some(components) = &mut document.components else { return };
    for (name, schema) in &mut components.schemas {
        if !requests.contains(name) {
            require(schema);
        }
    }
}

/// The names of the schemas that requests are made of.
fn of_requests(document: &OpenApi) -> BTreeSet<String> {
    let none = BTreeMap::new();
    let schemas = document.components.as_ref().map_or(&none, |components| &components.schemas);
    let bodies = document.paths.paths.values().flat_map(|item| {
        let PathItem { get, put, post, delete, patch, .. } = item;
        [get, put, post, delete, patch].into_iter().flatten()
    });
    let mut found = BTreeSet::new();
    let mut new: Vec<String> =
        bodies.flat_map(|operation| referred(&operation.request_body)).collect();
    while let Some(name) = new.pop() {
        let within = schemas.get(&name).map(referred).unwrap_or_default();
        if found.insert(name) {
            new.extend(within);
        }
    }
    found
}

/// The names of the schemas that a part of the document refers to.
pub(super) fn referred(part: &impl Serialize) -> Vec<String> {
    // The document is JSON in the end, where a reference is a string of this form and nothing else.
    let text = serde_json::to_string(part).unwrap_or_default();
    let after = text.split("\"#/components/schemas/").skip(1);
    after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

fn require(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let nullable = object.properties.iter().filter(|(_, field)| may_be_null(field));
            let names: BTreeSet<&String> = object.required.iter().collect();
            let new = nullable.map(|(name, _)| name).filter(|name| !names.contains(name));
            let new: Vec<String> = new.cloned().collect();
            object.required.extend(new);
            object.required.sort_unstable();
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(require),
        Schema::OneOf(one) => one.items.iter_mut().for_each(require),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(require),
        _ => {}
    }
}

fn may_be_null(schema: &RefOr<Schema>) -> bool {
    let RefOr::T(schema) = schema else { return false };
    let null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        Schema::Object(object) => null(&object.schema_type),
        Schema::Array(array) => null(&array.schema_type),
        Schema::OneOf(one) => one.items.iter().any(may_be_null),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: serde_json::Value, expected: &[&str]) {
        let mut schema: RefOr<Schema> = serde_json::from_value(schema).unwrap();
        require(&mut schema);
        let after = serde_json::to_value(&schema).unwrap();
        let all = after.get("allOf").map_or(&after, |items| &items[1]);
        assert_eq!(all.get("required").cloned().unwrap_or_default(), json!(expected));
    }

    #[test]
    fn what_may_be_null_is_there() {
        let fields = json!({
            "name": {"type": "string"},
            "note": {"type": ["string", "null"]},
            "list": {"type": ["array", "null"], "items": {"type": "string"}},
            "one": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/One"}]},
            "left_out": {"$ref": "#/components/schemas/One"},
        });
        let object = json!({"type": "object", "properties": fields, "required": ["name"]});
        check(object.clone(), &["list", "name", "note", "one"]);
        let base = json!({"$ref": "#/components/schemas/Base"});
        check(json!({"allOf": [base, object]}), &["list", "name", "note", "one"]);
    }
}
