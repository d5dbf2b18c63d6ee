//! The endpoints of `/-/openapi.json`: what is tested of each is driven by the document, so that none is forgotten.

use std::fmt;

use serde_json::Value;

use crate::harness::World;

/// The type of most bodies.
pub const JSON: &str = "application/json";
/// The type of policy components.
pub const WASM: &str = "application/wasm";

/// An operation of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper-case.
    pub method: String,
    /// Such as `/-/api/keys/{key}`.
    pub template: String,
    /// Where each parameter is and what it is called, such as `("query", "limit")`.
    pub parameters: Vec<(String, String)>,
    /// The type of the body that it takes.
    pub body_type: Option<String>,
    /// The schema of that body, with nothing in it that refers elsewhere.
    pub body_schema: Value,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template)
    }
}

impl Endpoint {
    /// The names in the path.
    pub fn placeholders(&self) -> Vec<String> {
        let parts = self.template.split('/');
        parts
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect()
    }
}

/// What `/-/openapi.json` says.
pub async fn document(world: &World) -> Value {
    let reply = world
        .manages(&world.anonymous())
        .get("/-/openapi.json")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// Every operation, in the document's order.
pub fn endpoints(document: &Value) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let parameters = operation["parameters"].as_array();
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let content = operation["requestBody"]["content"].as_object();
            let body = content.and_then(|content| content.iter().next());
            endpoints.push(Endpoint {
                method: method.to_uppercase(),
                template: template.clone(),
                parameters: parameters
                    .into_iter()
                    .flatten()
                    .map(|parameter| (text(&parameter["in"]), text(&parameter["name"])))
                    .collect(),
                body_type: body.map(|(name, _)| name.clone()),
                body_schema: body.map_or(Value::Null, |(_, media)| {
                    resolved(&media["schema"], document)
                }),
            });
        }
    }
    assert!(endpoints.len() > 20, "only {} endpoints", endpoints.len());
    endpoints
}

/// A schema with everything that it refers to put in its place.
fn resolved(schema: &Value, document: &Value) -> Value {
    match schema {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("of this document");
                let found = document.pointer(pointer);
                resolved(found.expect("something that is there"), document)
            }
            None => members
                .iter()
                .map(|(name, value)| (name.clone(), resolved(value, document)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|item| resolved(item, document)).collect(),
        other => other.clone(),
    }
}
