//! An agent's token that was just made: shown this once, with what to paste where.

use askama::Template;
use axum::{body::Body, response::Response};
use scopegate_host::kubernetes::Secret;

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
    /// A Kubernetes Secret and Helm values.
    install: Option<(String, String)>,
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
                install: install(visitor, &cluster.id, &secret),
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

/// The Secret and what the agent's chart has to know, or nothing where the contract's name gives no name to a Secret. Neither
/// an id nor an address has a quotation mark in it.
fn install(visitor: &Visitor, cluster: &str, secret: &str) -> Option<(String, String)> {
    let manifest = Secret::of_contract(&visitor.site.gate.contract().name).ok()?;
    let values = format!(
        "clusterId: \"{cluster}\"\napiUrl: \"{}\"\n{}",
        visitor.product_url(),
        manifest.helm_values()
    );
    Some((manifest.yaml(&secret.to_owned().into()), values))
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
