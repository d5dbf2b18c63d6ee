//! Envoy's own filters, doing the nearest equivalent: the key is in the configuration, each of the policy's routes is a rule
//! of `rbac`, and the limit is one bucket for everybody.

use anyhow::{Result, anyhow};
use scopegate_policy::{RouteInfo, document, documents};
use serde_json::{Map, Value, json};

/// The filters, as a part of a configuration.
pub(super) fn filters(key: &str) -> Result<String> {
    let text = documents::builtin("scopegate").unwrap_or_default();
    let tables = document::compile("scopegate", text).map_err(|report| anyhow!("{report}"))?;
    let routes = &tables.description().routes;
    // The gate's own pages are not behind Envoy.
    let routes = routes
        .iter()
        .filter(|route| !route.pattern.starts_with("/-/"));
    let rules: Map<String, Value> = routes.enumerate().map(rule).collect();
    Ok(include_str!("native.yaml")
        .replace("{key}", key)
        .replace("{policies}", &Value::Object(rules).to_string()))
}

fn rule((index, route): (usize, &RouteInfo)) -> (String, Value) {
    let template = json!({
        "name": "envoy.path.match.uri_template.uri_template_matcher",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
            "path_template": route.pattern,
        },
    });
    let mut all = vec![json!({ "uri_template": template })];
    if route.method != "*" {
        let method = json!({ "name": ":method", "string_match": { "exact": route.method } });
        all.insert(0, json!({ "header": method }));
    }
    let client = json!({ "name": "x-client-id", "string_match": { "exact": "bench" } });
    let rule = json!({
        "permissions": [{ "and_rules": { "rules": all } }],
        "principals": [{ "header": client }],
    });
    (format!("{index:04}"), rule)
}
