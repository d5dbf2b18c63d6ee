//! Clusters whose workloads call with the tokens of their service accounts: read as issuers are.

use scopegate_host::authenticate::{
    CACHE_SECS_MAX, IssuerConfig, KubernetesConfig, ServiceAccounts,
};
use scopegate_policy::{
    is_cluster_id,
    yaml::{Fields, Node, Text},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    issuers::{algorithm, jwks, keys, place, some_texts, taken_over},
    read::Context,
};

const KEYS: [&str; 10] = [
    "cluster",
    "organization",
    "issuer",
    "audiences",
    "service_accounts",
    "jwks",
    "keys",
    "algorithms",
    "token_review",
    "leeway",
];

/// Who may say that a token is good: one of these.
const PROOFS: [&str; 3] = ["jwks", "keys", "token_review"];

/// What clusters sign with.
const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];

/// How long a token is taken without asking again, unless the configuration says so.
const CACHE_SECS: u64 = 10;

/// A cluster, and where it says its issuer.
struct Found<'n> {
    issuer: Text<'n>,
    config: KubernetesConfig,
}

pub(super) fn clusters(
    context: &Context<'_>,
    fields: &Fields<'_>,
    issuers: &[IssuerConfig],
) -> Vec<KubernetesConfig> {
    let nodes = fields.list("kubernetes").unwrap_or_default();
    let mut clusters: Vec<Found<'_>> = Vec::new();
    for found in nodes.iter().filter_map(|node| cluster(context, node)) {
        let Found { issuer, config } = &found;
        let problem = |what: String| context.reader.problem(issuer.span, what);
        if issuers.iter().any(|other| other.issuer == config.issuer) {
            problem(format!("`{issuer}` is one of `issuers` as well"))
                .help("whose tokens are of people and whose of workloads is told by their issuer");
        }
        let mut others = clusters.iter();
        if others.any(|other| other.config.is_confused_with(config)) {
            problem(format!(
                "another cluster has the issuer `{issuer}` and one of these audiences"
            ))
            .help("give each of them an audience of its own");
        }
        clusters.push(found);
    }
    clusters.into_iter().map(|found| found.config).collect()
}

fn cluster<'n>(context: &Context<'n>, node: &'n Node) -> Option<Found<'n>> {
    let fields = context.reader.fields(node, "a cluster", &KEYS)?;
    let cluster = fields.required_text("cluster");
    if let Some(id) = cluster.filter(|id| !is_cluster_id(id)) {
        let problem = format!("`{id}` is not the id of a cluster");
        context.reader.problem(id.span, problem);
    }
    let organization = organization(context, &fields);
    let issuer = fields.required_text("issuer");
    let audiences = some_texts(&fields, "audiences");
    if let Some(own) = audiences
        .iter()
        .find(|one| Some(one.text) == issuer.map(|it| it.text))
    {
        context
            .reader
            .problem(own.span, format!("`{own}` is the audience of the API server"))
            .help("every pod has a token for that: have one projected for the gate, such as `scopegate`");
    }
    let accounts = some_texts(&fields, "service_accounts");
    for those in &accounts {
        if let Err(what) = ServiceAccounts::parse(those) {
            context.reader.problem(those.span, what);
        }
    }
    let leeway_secs = fields.seconds("leeway").unwrap_or(0);
    let proof = proof(context, &fields);
    let texts = |texts: &[Text<'_>]| {
        texts
            .iter()
            .map(|text| Value::from(text.text))
            .collect::<Value>()
    };
    let issuer = issuer?;
    let config = json!({
        "cluster": cluster?.text,
        "organization": organization?,
        "issuer": issuer.text,
        "audiences": texts(&audiences),
        "service_accounts": texts(&accounts),
        "leeway_secs": leeway_secs,
        "proof": proof?,
    });
    let config = taken_over(context, node, "the cluster", config)?;
    Some(Found { issuer, config })
}

fn organization(context: &Context<'_>, fields: &Fields<'_>) -> Option<Uuid> {
    let text = fields.required_text("organization")?;
    let id = text.parse().ok();
    if id.is_none() {
        context
            .reader
            .problem(
                text.span,
                format!("`{text}` is not the id of an organization"),
            )
            .help("`scopegate organization list` shows it");
    }
    id
}

fn proof(context: &Context<'_>, fields: &Fields<'_>) -> Option<Value> {
    let mut given = PROOFS
        .iter()
        .filter_map(|key| Some((*key, fields.get(key)?)));
    let (Some((key, node)), None) = (given.next(), given.next()) else {
        fields
            .problem("cluster", "a cluster has `jwks`, `keys` or `token_review`, one of them")
            .help("with `token_review` its API server is asked, and with the others its keys say which tokens are good");
        return None;
    };
    if key == "token_review" {
        if fields.has("algorithms") {
            fields.problem("algorithms", "`algorithms` goes with `jwks` or `keys`");
        }
        return Some(json!({ "token_review": token_review(context, node)? }));
    }
    let algorithms: Vec<&str> = match fields.has("algorithms") {
        true => some_texts(fields, "algorithms")
            .into_iter()
            .map(|name| algorithm(context, name))
            .collect(),
        false => ALGORITHMS.to_vec(),
    };
    let keys = match key {
        "jwks" => jwks(context, node, &["url", "ca", "token"]),
        _ => keys(context, node),
    };
    Some(json!({ "signature": { "algorithms": algorithms, "keys": keys? } }))
}

fn token_review(context: &Context<'_>, node: &Node) -> Option<Value> {
    let known = ["url", "ca", "token", "cache_time"];
    let fields = context.reader.fields(node, "`token_review`", &known)?;
    let token = fields.required("token");
    let api = place(context, &fields);
    let cache_secs = fields.seconds("cache_time").unwrap_or(CACHE_SECS);
    if cache_secs > u64::from(CACHE_SECS_MAX) {
        let problem = format!("`cache_time` is at most `{CACHE_SECS_MAX}s`");
        fields
            .problem("cache_time", problem)
            .help("so long a token may be taken that its cluster has withdrawn");
    }
    token?;
    Some(json!({ "api": api?, "cache_secs": cache_secs.min(u64::from(CACHE_SECS_MAX)) }))
}
