//! The OpenAPI document: what every endpoint has in common, and the names that the active policy knows.
#![expect(
    clippy::indexing_slicing,
    reason = "members of a JSON document that this program makes itself: reading one that is missing gives null, and those written to are objects"
)]

mod examples;
mod links;
mod refusals;

use http::Method;
use scopegate_host::{Contract, contract::Scheme, engine::Policy};
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
pub(super) fn render(openapi: OpenApi, contract: &Contract, policy: &Policy) -> String {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    document["servers"] = json!([{ "url": "/" }]);
    let schemes = security_schemes(contract);
    let names = schemes
        .as_object()
        .into_iter()
        .flat_map(|schemes| schemes.keys());
    document["security"] = names.map(|name| json!({ name: [] })).collect();
    document["components"]["securitySchemes"] = schemes;
    document["components"]["schemas"]["Problem"] = refusals::problem();
    document["components"]["headers"] = refusals::headers();
    document["components"]["responses"] = refusals::responses();
    let scopes = scopes(policy);
    if let Some(carried) = document.pointer_mut("/components/schemas/MintKey/properties/scopes") {
        carried["items"]["enum"] = scopes;
    }
    for item in members(&mut document["paths"]) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            refusals::add(method, operation);
            let parameters = operation
                .get_mut("parameters")
                .and_then(Value::as_array_mut);
            parameters
                .into_iter()
                .flatten()
                .for_each(examples::parameter);
        }
    }
    members(&mut document["components"]["schemas"]).for_each(examples::schema);
    links::add(&mut document);
    document.to_string()
}

/// What an object has under its names.
fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.values_mut())
}

/// Sessions, and keys in the ways that the contract takes them.
fn security_schemes(contract: &Contract) -> Value {
    let mut schemes = json!({
        "session": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "A session, from `POST /-/login`",
        },
    });
    for scheme in &contract.schemes {
        let (name, description) = match scheme {
            Scheme::Bearer => ("key", json!({ "type": "http", "scheme": "bearer" })),
            Scheme::ApiKey => ("keyByScheme", json!({ "type": "http", "scheme": "ApiKey" })),
            Scheme::XApiKey => (
                "keyByHeader",
                json!({ "type": "apiKey", "in": "header", "name": "X-API-Key" }),
            ),
        };
        schemes[name] = description;
        schemes[name]["description"] = json!("An API key");
    }
    schemes
}

/// The permissions that a key can carry.
fn scopes(policy: &Policy) -> Value {
    let names = policy
        .description()
        .permissions
        .iter()
        .filter(|known| known.scope);
    names
        .map(|known| Value::from(known.name.as_str()))
        .collect()
}
