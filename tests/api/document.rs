//! The document says enough: of every operation, parameter and schema what a reader and a generator of clients need.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{endpoints::document, office::office};
use crate::harness::World;

/// Everything that the document lacks, in words.
fn lacks(document: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = format!("{method} {path}");
            let has = |member: &str| {
                operation[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            };
            // What a summary of reading leaves to say is in the schemas.
            let wanted = ["summary", "operationId", "description"];
            for member in wanted.iter().take(if method == "get" { 2 } else { 3 }) {
                if !has(member) {
                    lacks.push(format!("{name} has no {member}"));
                }
            }
            if !ids.insert(operation["operationId"].to_string()) {
                lacks.push(format!("{name} has the id of another operation"));
            }
            if operation["tags"].as_array().is_none_or(Vec::is_empty) {
                lacks.push(format!("{name} is in no group"));
            }
            for status in ["400", "401", "403", "405", "429", "503"] {
                if operation["responses"].get(status).is_none() {
                    lacks.push(format!("{name} never answers {status}"));
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let complete = ["example", "description", "schema"];
                if complete
                    .iter()
                    .any(|member| parameter.get(*member).is_none())
                {
                    lacks.push(format!("{name} takes {parameter}"));
                }
            }
        }
    }
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        lacks.extend(lacks_of_schema(name, schema));
    }
    lacks
}

fn lacks_of_schema(name: &str, schema: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let parts = schema["allOf"].as_array().into_iter().flatten();
    lacks.extend(parts.flat_map(|part| lacks_of_schema(name, part)));
    let is_shown_whole = schema.get("example").is_some();
    for (member, property) in schema["properties"].as_object().into_iter().flatten() {
        let refers = ["$ref", "oneOf"]
            .iter()
            .any(|known| property.get(*known).is_some())
            || ["$ref", "example"]
                .iter()
                .any(|known| property["items"].get(*known).is_some());
        let is_nested = property["items"].get("properties").is_some();
        if !(is_shown_whole || refers || is_nested || property.get("example").is_some()) {
            lacks.push(format!("{name}.{member} has no example"));
        }
        if property.get("description").is_none() && !refers && !is_nested {
            lacks.push(format!("{name}.{member} has no description"));
        }
    }
    lacks
}

#[tokio::test]
async fn every_operation_parameter_and_schema_is_described() {
    let world = office("scopegate").await;
    let lacks = lacks(&document(&world).await);
    assert!(lacks.is_empty(), "{lacks:#?}");
}

#[tokio::test]
async fn what_refers_elsewhere_refers_to_something() {
    let world = office("scopegate").await;
    let document = document(&world).await;
    let mut open = vec![&document];
    let mut count = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').expect("of this document");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    count += 1;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(count > 100, "only {count} references");
}

#[tokio::test]
async fn keys_are_presented_as_the_contract_takes_them() {
    for (contract, expected) in [
        (
            "scopegate",
            &["key", "keyByHeader", "keyByScheme", "session"] as &[_],
        ),
        ("k8cost", &["key", "keyByHeader", "session"]),
        ("kubeadapt", &["key", "session"]),
        ("kubevision", &["key", "keyByScheme", "session"]),
    ] {
        let world = World::start(contract).await;
        let document = document(&world).await;
        let schemes = document["components"]["securitySchemes"].as_object();
        let mut names: Vec<&str> = schemes
            .expect("schemes")
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{contract}");
    }
}
