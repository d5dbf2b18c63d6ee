//! An agent's token that was just made: shown this once, with what to paste where.

use askama::Template;
use axum::{body::Body, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Cluster, agent::Agent};
use crate::dashboard::{
    catalogue::{self, Policy},
    keys::Minted,
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

/// The role of agents, in every policy that has some.
const ROLE: &str = "agent";
/// Under which key the products' agents look.
const SECRET_KEY: &str = "api-token";
/// What says which cluster metrics are of, where the path does not.
const CLUSTER_HEADER: &str = "x-cluster-id";

#[derive(Template)]
#[template(path = "clusters/shown.html")]
struct Page {
    shell: Shell,
    cluster: String,
    back: String,
    name: String,
    shown: Option<Once>,
    /// When the token before ends.
    old_ends: Option<Moment>,
}

/// What is shown once.
struct Once {
    secret: String,
    manifest: String,
    values: String,
    curl: Option<String>,
}

/// A page with what was minted.
///
/// # Errors
/// What the API says instead of the policy, whose routes say where metrics go.
pub(super) async fn page(
    visitor: &Visitor,
    cluster: &Cluster,
    minted: Minted<Agent>,
    old_ends: Option<Moment>,
) -> Result<Response<Body>, Stop> {
    let shown = match minted.secret.filter(|secret| !secret.is_empty()) {
        None => None,
        Some(secret) => {
            let policy = catalogue::read(visitor).await?;
            Some(Once {
                manifest: manifest(visitor, &secret),
                values: values(visitor, &cluster.id),
                curl: curl(visitor, &policy, &cluster.id, &secret),
                secret,
            })
        }
    };
    Ok(ok(&Page {
        shell: visitor.shell("Copy the token now"),
        cluster: cluster.id.clone(),
        back: cluster.page(),
        name: minted.credential.name,
        shown,
        old_ends,
    }))
}

/// The Secret's name. A contract's is lower-case letters and digits, of which names of Secrets may be.
fn secret_name(visitor: &Visitor) -> String {
    format!("{}-agent", visitor.site.gate.contract().name)
}

/// The Secret for `kubectl apply`.
fn manifest(visitor: &Visitor, secret: &str) -> String {
    let (name, token) = (secret_name(visitor), BASE64_STANDARD.encode(secret));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\ntype: Opaque\ndata:\n  {SECRET_KEY}: {token}\n"
    )
}

/// What the agent's chart has to know. Neither an id nor an address has a quotation mark in it.
fn values(visitor: &Visitor, cluster: &str) -> String {
    let (name, url) = (secret_name(visitor), visitor.product_url());
    format!(
        "clusterId: \"{cluster}\"\napiUrl: \"{url}\"\nexistingSecret:\n  name: {name}\n  key: {SECRET_KEY}\n"
    )
}

/// A line that sends metrics, where the policy says where they go: better where the path says which cluster.
fn curl(visitor: &Visitor, policy: &Policy, cluster: &str, secret: &str) -> Option<String> {
    let role = policy.roles.iter().find(|role| role.name == ROLE)?;
    let is_agents = |requires: &Option<String>| {
        requires
            .as_ref()
            .is_some_and(|name| role.permissions.contains(name))
    };
    let targets = policy.routes.iter().filter(|route| {
        route.method == "POST" && is_agents(&route.requires) && !route.pattern.contains('*')
    });
    let target = |pattern: &str| {
        let path = pattern.replace("{cluster}", cluster);
        // Another parameter is one that nobody can guess.
        (!path.contains('{')).then_some(path)
    };
    let mut paths: Vec<(bool, String)> = targets
        .filter_map(|route| {
            let says_cluster = route.pattern.contains("{cluster}");
            Some((!says_cluster, target(&route.pattern)?))
        })
        .collect();
    paths.sort();
    let (by_header, path) = paths.into_iter().next()?;
    let cluster = match by_header {
        true => format!("-H '{CLUSTER_HEADER}: {cluster}' "),
        false => String::new(),
    };
    Some(format!(
        "curl -H '{}{secret}' \\\n  {cluster}-H 'content-type: application/json' --data '{{}}' \\\n  '{}{path}'",
        visitor.site.gate.contract().key_header(),
        visitor.product_url(),
    ))
}
