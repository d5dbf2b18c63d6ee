//! The OpenAPI document: what every endpoint has in common, and the names that the active policy knows.

use std::collections::BTreeMap;

use http::Method;
use scopegate_host::Gate;
use serde_json::{Value, json};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder};

/// What is said before any endpoint is.
pub(super) fn head() -> OpenApi {
    let description = "Everything that is managed behind the gate: organizations, users, roles, clusters, API keys \
        and agent tokens. The gate's policy decides every request, as it decides those to the product, and nobody gives \
        more than they hold. Errors are problem documents (RFC 9457). Requests are limited a minute, and every reply \
        says how far (`X-RateLimit-*`).";
    let mut info = Info::new("Scopegate management API", env!("CARGO_PKG_VERSION"));
    info.description = Some(description.to_owned());
    OpenApiBuilder::new().info(info).build()
}

/// The methods of each path.
#[derive(Debug)]
pub(super) struct Paths(Vec<(Vec<String>, Vec<Method>)>);

impl Paths {
    pub(super) fn of(openapi: &OpenApi) -> Self {
        let document = serde_json::to_value(openapi).unwrap_or_default();
        let paths = document["paths"].as_object().into_iter().flatten();
        let segments = |path: &str| path.split('/').map(str::to_owned).collect();
        let methods = |item: &Value| -> Vec<Method> {
            let names = item.as_object().into_iter().flatten();
            let mut methods: Vec<Method> = names
                .filter_map(|(name, _)| name.to_uppercase().parse().ok())
                .filter(is_method)
                .collect();
            if methods.contains(&Method::GET) {
                methods.push(Method::HEAD);
            }
            methods
        };
        Self(
            paths
                .map(|(path, item)| (segments(path), methods(item)))
                .collect(),
        )
    }

    /// The methods that a path has; nothing for a path that is no endpoint's.
    pub(super) fn methods(&self, path: &str) -> Option<&[Method]> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let matches = |segments: &[String]| {
            let mut parts = path.split('/');
            let all = segments.iter().all(|segment| {
                parts
                    .next()
                    .is_some_and(|part| segment.starts_with('{') || segment == part)
            });
            all && parts.next().is_none()
        };
        let literal = |segments: &[String]| segments.iter().filter(|s| !s.starts_with('{')).count();
        let found = self.0.iter().filter(|(segments, _)| matches(segments));
        found
            .max_by_key(|(segments, _)| literal(segments))
            .map(|(_, methods)| methods.as_slice())
    }
}

fn is_method(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    )
}

/// The document as it is served.
pub(super) fn render(openapi: OpenApi, gate: &Gate) -> String {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    document["servers"] = json!([{ "url": "/" }]);
    document["security"] = json!([{ "session": [] }, { "key": [] }]);
    document["components"]["securitySchemes"] = json!({
        "session": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "A session, from `POST /-/login`"
        },
        "key": {
            "type": "http", "scheme": "bearer",
            "description": "An API key, where the contract takes keys as Bearer; else in the contract's own way"
        },
    });
    document["components"]["schemas"]["Problem"] = problem();
    let scopes = scopes(gate);
    if let Some(carried) = document.pointer_mut("/components/schemas/MintKey/properties/scopes") {
        carried["items"]["enum"] = scopes;
    }
    let paths = document["paths"].as_object_mut();
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            common(path, method, operation);
        }
    }
    document.to_string()
}

/// The permissions that a key can carry.
fn scopes(gate: &Gate) -> Value {
    let policy = gate.policy();
    let names = policy
        .description()
        .permissions
        .iter()
        .filter(|known| known.scope);
    names
        .map(|known| Value::from(known.name.as_str()))
        .collect()
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457)",
        "required": ["type", "title", "status", "detail", "code", "instance"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "Where the problem is documented" },
            "title": { "type": "string", "description": "The same for every occurrence of the problem" },
            "status": { "type": "integer", "description": "The HTTP status" },
            "detail": { "type": "string", "description": "What happened here" },
            "code": { "type": "string", "description": "For programs" },
            "instance": { "type": "string", "description": "The request's id" },
        },
        "example": {
            "type": "https://scopegate.dev/problems/not-held", "title": "More than you hold", "status": 403,
            "detail": "you do not hold the permission `nodes:read`, so you cannot give it",
            "code": "not-held", "instance": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11",
        },
    })
}

/// The refusals that an operation can give besides what it says itself.
fn common(path: &str, method: &str, operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let parameters = operation["parameters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let takes_header = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
    let mut refusals: BTreeMap<u16, &str> = BTreeMap::from([
        (400, "The request is malformed; the detail names the place"),
        (401, "No credential, or one that is not accepted"),
        (403, "The policy or the caller's bounds do not allow it"),
        (404, "There is nothing here"),
        (405, "The endpoint does not have the method"),
        (429, "The limit of requests a minute is used up"),
        (503, "Something that is needed is not available"),
    ]);
    if has_body {
        refusals.extend([
            (413, "The body is too large"),
            (415, "The body is not of the right type"),
            (
                422,
                "The contract, the policy or the moment do not allow it",
            ),
        ]);
    }
    if method != "get" {
        refusals.insert(409, "It stands against something that is there");
    }
    if takes_header("If-Match") {
        refusals.insert(412, "It was changed by somebody else meanwhile");
        refusals.insert(428, "`If-Match` is missing");
    }
    let responses = &mut operation["responses"];
    for (status, description) in refusals {
        responses[status.to_string()] = json!({
            "description": description,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    debug_assert!(path.starts_with(super::PREFIX));
}
