//! Others whose tokens are sessions here: read for its shape and its places, then taken over as the gate has it.

use http::Uri;
use scopegate_host::authenticate::IssuerConfig;
use scopegate_policy::yaml::{Fields, Node, Text};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::read::Context;

const KEYS: [&str; 10] = [
    "issuer",
    "organization",
    "audiences",
    "algorithms",
    "jwks",
    "keys",
    "leeway",
    "roles_claim",
    "roles",
    "clusters_claim",
];

/// What the gate verifies signatures of others with: nothing that rests on a shared secret.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

pub(super) fn issuers(context: &Context<'_>, fields: &Fields<'_>) -> Vec<IssuerConfig> {
    let issuers = fields.list("issuers").unwrap_or_default();
    issuers
        .iter()
        .filter_map(|node| issuer(context, node))
        .collect()
}

fn issuer(context: &Context<'_>, node: &Node) -> Option<IssuerConfig> {
    let fields = context.reader.fields(node, "an issuer", &KEYS)?;
    let issuer = fields.required_text("issuer");
    let organization = fields.required_text("organization");
    let audiences = some_texts(&fields, "audiences");
    let algorithms = some_texts(&fields, "algorithms");
    for name in &algorithms {
        algorithm(context, *name);
    }
    let leeway_secs = fields.seconds("leeway").unwrap_or(0);
    let roles_claim = fields.text("roles_claim").map(|text| text.text);
    let clusters_claim = fields.text("clusters_claim").map(|text| text.text);
    let roles = roles(context, &fields);
    let keys = of_issuer(context, &fields);
    let config = json!({
        "issuer": issuer?.text,
        "organization": organization?.text,
        "audiences": audiences.iter().map(|text| text.text).collect::<Vec<_>>(),
        "algorithms": algorithms.iter().map(|text| text.text).collect::<Vec<_>>(),
        "keys": keys?,
        "leeway_secs": leeway_secs,
        "roles_claim": roles_claim,
        "roles": roles,
        "clusters_claim": clusters_claim,
    });
    taken_over(context, node, "the issuer", config)
}

/// As the gate has it. Its shape was checked before, so what can be wrong is a value: the organization's id, or an algorithm.
pub(super) fn taken_over<T: DeserializeOwned>(
    context: &Context<'_>,
    node: &Node,
    what: &str,
    config: Value,
) -> Option<T> {
    let taken = serde_json::from_value(config);
    taken
        .inspect_err(|error| {
            context
                .reader
                .problem(node.span, format!("{what} cannot be used: {error}"));
        })
        .ok()
}

/// A list that must not be empty: none would mean that nothing is accepted, and reads like everything.
pub(super) fn some_texts<'n>(fields: &Fields<'n>, key: &str) -> Vec<Text<'n>> {
    fields.required(key);
    let texts = fields.texts(key).unwrap_or_default();
    if fields.get(key).is_some_and(
        |node| matches!(&node.value, scopegate_policy::yaml::Value::List(list) if list.is_empty()),
    ) {
        fields.problem(key, format!("`{key}` must name at least one"));
    }
    texts
}

pub(super) fn algorithm<'n>(context: &Context<'_>, name: Text<'n>) -> &'n str {
    if !ALGORITHMS.contains(&name.text) {
        context
            .reader
            .problem(
                name.span,
                format!("`{name}` is not an algorithm that is verified"),
            )
            .help(format!("these are: {}", ALGORITHMS.join(", ")));
    }
    name.text
}

fn roles(context: &Context<'_>, fields: &Fields<'_>) -> Value {
    let entries = fields.entries("roles").unwrap_or_default();
    let roles = entries.iter().filter_map(|entry| {
        let role = context
            .reader
            .text(&entry.value, &format!("`{}`", entry.key.text))?;
        Some((entry.key.text.clone(), Value::from(role.text)))
    });
    Value::Object(roles.collect())
}

/// `jwks`: where a key set is fetched; or `keys`: fixed ones.
fn of_issuer(context: &Context<'_>, fields: &Fields<'_>) -> Option<Value> {
    match (fields.get("jwks"), fields.get("keys")) {
        (Some(node), None) => jwks(context, node, &["url", "ca"]),
        (None, Some(node)) => keys(context, node),
        _ => {
            fields.problem("issuer", "an issuer has `jwks` or `keys`, one of them");
            None
        }
    }
}

/// Fixed keys.
pub(super) fn keys(context: &Context<'_>, node: &Node) -> Option<Value> {
    let keys = context.reader.list(node, "`keys`")?;
    let keys: Vec<_> = keys.iter().map(|node| fixed_key(context, node)).collect();
    Some(json!({ "fixed": keys.into_iter().collect::<Option<Vec<_>>>()? }))
}

/// Where a key set is fetched: a URL, or a map with more to say of it.
pub(super) fn jwks(context: &Context<'_>, node: &Node, known: &[&str]) -> Option<Value> {
    if node.as_text().is_some() {
        let url = https(context, context.reader.text(node, "`jwks`")?)?;
        return Some(json!({ "jwks": { "url": url } }));
    }
    let fields = context.reader.fields(node, "`jwks`", known)?;
    Some(json!({ "jwks": place(context, &fields)? }))
}

/// A place that is asked: `url`, who signed its certificate as `ca`, and what is shown there as `token`.
pub(super) fn place(context: &Context<'_>, fields: &Fields<'_>) -> Option<Value> {
    let url = fields
        .required_text("url")
        .and_then(|url| https(context, url));
    let file = |key| fields.text(key).map(|text| context.file(text));
    let (ca, token) = (file("ca"), file("token"));
    Some(json!({ "url": url?, "ca_file": ca, "token_file": token }))
}

fn https<'n>(context: &Context<'_>, url: Text<'n>) -> Option<&'n str> {
    let is_https = url
        .text
        .parse::<Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    if !is_https {
        context
            .reader
            .problem(url.span, format!("`{url}` is no https URL"))
            .help("others are asked over https only");
    }
    is_https.then_some(url.text)
}

fn fixed_key(context: &Context<'_>, node: &Node) -> Option<Value> {
    let fields = context
        .reader
        .fields(node, "a key", &["kid", "algorithm", "public_key"])?;
    let kid = fields.text("kid").map(|text| text.text);
    let name = fields
        .required_text("algorithm")
        .map(|name| algorithm(context, name));
    let public_key = fields
        .required_text("public_key")
        .map(|text| context.file(text));
    Some(json!({ "kid": kid, "algorithm": name?, "public_key": public_key? }))
}
