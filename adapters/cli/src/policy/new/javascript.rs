//! A project for npm.

use anyhow::Result;
use scopegate_policy::{ClusterSource, Rules};
use serde_json::{Value, json};

use super::{File, WIT, as_is, routes};

const HEAD: &str = "\
// What there is: the catalogue, the roles, the routes. Those under `/-/api` are the gate's own management API; without them
// its users could not manage their keys.
";

pub(super) fn files(rules: &Rules) -> Result<Vec<File>> {
    Ok(vec![
        as_is(
            "package.json",
            include_str!("../../../templates/javascript/package.json.template"),
        ),
        as_is(
            "README.md",
            include_str!("../../../templates/javascript/README.md"),
        ),
        as_is(".gitignore", "/node_modules\n/policy.wasm\n"),
        as_is("wit/policy.wit", WIT),
        as_is(
            "build.mjs",
            include_str!("../../../templates/javascript/build.mjs"),
        ),
        as_is(
            "policy.js",
            include_str!("../../../templates/javascript/policy.js"),
        ),
        as_is(
            "policy.test.js",
            include_str!("../../../templates/javascript/policy.test.js"),
        ),
        as_is(
            "routes.js",
            include_str!("../../../templates/javascript/routes.js"),
        ),
        as_is(
            "rules.js",
            include_str!("../../../templates/javascript/rules.js"),
        ),
        ("tables.js", tables(rules)?.into_bytes()),
    ])
}

fn tables(rules: &Rules) -> Result<String> {
    let description = &rules.description;
    let lines = |values: Vec<Value>| -> Result<String> {
        let lines = values
            .iter()
            .map(|value| Ok(format!("    {},\n", serde_json::to_string(value)?)));
        lines.collect()
    };
    let permissions = description.permissions.iter();
    let permissions = permissions.map(|permission| {
        json!({
            "name": permission.name,
            "category": permission.category,
            "unlocks": permission.unlocks,
            "scope": permission.scope,
        })
    });
    let roles = description.roles.iter();
    let roles = roles.map(|role| json!({ "name": role.name, "permissions": role.permissions }));
    let routes = routes(rules).into_iter().map(|(route, options)| {
        let mut entry = json!({
            "method": route.method,
            "pattern": route.pattern,
            "public": route.public,
            "requires": route.requires,
            "operator": options.operator,
            "signIn": options.sign_in,
            "cluster": cluster(&route.cluster),
        });
        if let Some(entry) = entry.as_object_mut() {
            // `undefined` where there is nothing, as the bindings have it.
            entry.retain(|_, value| !value.is_null());
        }
        entry
    });
    Ok(format!(
        "{HEAD}export const tables = {{\n  name: {},\n  version: {},\n  \
        // Whether keys may only read, the management API aside.\n  keysReadOnly: {},\n  \
        permissions: [\n{}  ],\n  roles: [\n{}  ],\n  routes: [\n{}  ],\n}};\n",
        json!(description.name),
        json!(description.version),
        rules.keys_read_only,
        lines(permissions.collect())?,
        lines(roles.collect())?,
        lines(routes.collect())?,
    ))
}

fn cluster(source: &ClusterSource) -> Value {
    match source {
        ClusterSource::Spans => json!({ "tag": "spans" }),
        ClusterSource::Path(segment) => json!({ "tag": "path", "val": segment }),
        ClusterSource::Query(name) => json!({ "tag": "query", "val": name }),
        ClusterSource::Header(name) => json!({ "tag": "header", "val": name }),
        ClusterSource::None => json!({ "tag": "none" }),
        ClusterSource::Upstream => json!({ "tag": "upstream" }),
        ClusterSource::Lists(shape) => json!({
            "tag": "lists",
            "val": { "items": shape.items, "cluster": shape.cluster, "keep": shape.keep },
        }),
    }
}
