//! Examples and shapes that many operations share, put in one place: ids, moments, pages, versions.
#![expect(
    clippy::indexing_slicing,
    reason = "members of a JSON document that this program makes itself: reading one that is missing gives null, and those written to are objects"
)]

use serde_json::{Value, json};

const ID: &str = "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11";
/// An `ETag`, or `*` (RFC 9110, section 8.8.3); weak ones match nothing here.
const TAG: &str = r#"^(\*|"[!#-~]*")$"#;

/// A parameter: its example, and its shape where the code says no more than that it is text.
pub(super) fn parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let place = parameter["in"].as_str().unwrap_or_default().to_owned();
    let is_id = parameter["schema"]["format"] == "uuid";
    let (pattern, example) = match (place.as_str(), name.as_str()) {
        ("query", "limit") => (None, json!(50)),
        // What it is made of is nobody's business, and may change.
        ("query", "cursor") => (
            Some("^[A-Za-z0-9_-]+$"),
            json!("MDE5N2YwYzItNmMxZS03ZDU1LTlkN2UtMGE1YTNhMWM5YjEx"),
        ),
        ("query", "name") => (None, json!("grafana")),
        ("query", "state") => (None, json!("active")),
        ("header", "Idempotency-Key") => (None, json!("mint-grafana-2026-03-31")),
        ("header", "If-Match") => (Some(TAG), json!("\"0\"")),
        ("header", "If-None-Match") => (Some(r"^\*$"), json!("*")),
        ("path", "key") if !is_id => (
            Some("^(self|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"),
            json!(ID),
        ),
        ("path", "role") => (Some("^[a-z0-9_-]{1,128}$"), json!("on-call")),
        ("path", "policy") => (
            Some("^(sha256:)?[0-9a-f]{6,64}$"),
            json!("sha256:9f86d081884c"),
        ),
        ("path", "cluster") => (Some("^[A-Za-z0-9._:-]{1,253}$"), json!("prod")),
        _ if is_id => (None, json!(ID)),
        _ => return,
    };
    // One that is left out is not there, rather than null.
    if let Some(kind) = parameter.pointer_mut("/schema/type")
        && let Some(name) = kind
            .as_array()
            .and_then(|kinds| kinds.iter().find(|name| *name != "null"))
    {
        *kind = name.clone();
    }
    if let Some(Value::Array(choices)) = parameter.pointer_mut("/schema/oneOf") {
        choices.retain(|choice| choice["type"] != "null");
    }
    if let Some(pattern) = pattern {
        parameter["schema"]["pattern"] = json!(pattern);
        parameter["schema"]["minLength"] = json!(1);
    }
    parameter["example"] = example;
}

/// The members of a schema: where one has no example of its own, what its type allows one to be made of.
pub(super) fn schema(schema: &mut Value) {
    let parts = schema.get_mut("allOf").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten() {
        self::schema(part);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if let Some(items) = property.get_mut("items") {
            self::schema(items);
        }
        self::schema(property);
        let has_own = ["example", "$ref", "oneOf", "properties"]
            .iter()
            .any(|known| property.get(*known).is_some());
        if has_own {
            continue;
        }
        if let Some(example) = example(name, property) {
            property["example"] = example;
        }
    }
}

fn example(name: &str, property: &Value) -> Option<Value> {
    let is = |wanted: &str| match &property["type"] {
        Value::String(name) => name == wanted,
        Value::Array(names) => names.iter().any(|name| name == wanted),
        _ => false,
    };
    match property["format"].as_str() {
        Some("uuid") => return Some(json!(ID)),
        Some("date-time") => {
            return Some(json!(match name {
                "expires_at" => "2027-03-31T12:00:00Z",
                "retires_at" => "2026-04-07T12:00:00Z",
                "created_at" | "signed_in_at" | "confirmed_at" => "2026-03-31T12:00:00Z",
                _ => "2026-04-01T09:30:00Z",
            }));
        }
        _ => {}
    }
    if is("boolean") {
        return Some(json!(true));
    }
    is("integer").then(|| json!(8))
}
