//! What everyone is asked: one policy, one caller, and a handful of requests that cover every way it can go.
//!
//! The caller is an API key of a viewer, narrowed by a scope and by a list of clusters, because that is the
//! question with all the rules in it: route to permission, role to permissions, scopes, clusters.

use std::fmt::Write as _;

use scopegate_policy::{Caller, CallerKind, Clusters, Request};

/// The key's identifier.
pub const CREDENTIAL: &str = "0198c1a4-6f5e-7c3b-9d41-2f6a8b0c4e17";
const ORGANIZATION: &str = "0198c1a4-5a02-7f10-8e77-90ab12cd34ef";
/// Seconds since the epoch, for every question.
const NOW: i64 = 1_767_225_600;

/// A question with its answer, and the parts that a peer needs to be handed: what the gate's policy finds out
/// from the path, they get for free.
#[derive(Clone, Debug)]
pub struct Question {
    /// In a word or two.
    pub name: &'static str,
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub request: Request,
    /// The permission that the route needs.
    pub permission: &'static str,
    /// The cluster that the path names.
    pub cluster: &'static str,
    /// Whether it is allowed.
    pub allowed: bool,
}

/// The questions of the peer comparison. The first one, which is allowed, is the one that the table is about.
pub fn questions() -> Vec<Question> {
    let ask = |name, method: &str, cluster, tail, permission, allowed| Question {
        name,
        caller: key(["prod", "staging"]),
        request: request(method, &format!("/v1/clusters/{cluster}{tail}")),
        permission,
        cluster,
        allowed,
    };
    vec![
        ask(
            "allowed",
            "GET",
            "prod",
            "/workloads",
            "clusters:read",
            true,
        ),
        ask(
            "other cluster",
            "GET",
            "dev",
            "/workloads",
            "clusters:read",
            false,
        ),
        ask(
            "outside the scopes",
            "GET",
            "prod",
            "/nodes",
            "nodes:read",
            false,
        ),
        ask(
            "outside the role",
            "PATCH",
            "prod",
            "",
            "clusters:write",
            false,
        ),
    ]
}

/// A viewer's key with the scope `clusters:read`, on these clusters.
pub fn key(clusters: impl IntoIterator<Item = impl Into<String>>) -> Caller {
    Caller {
        kind: CallerKind::ApiKey,
        subject: CREDENTIAL.into(),
        organization: ORGANIZATION.into(),
        roles: vec!["viewer".into()],
        permissions: Vec::new(),
        scopes: Some(vec!["clusters:read".into()]),
        clusters: Clusters::All,
        allowed_clusters: Clusters::only(clusters),
        agent_cluster: None,
        operator: false,
        mfa: false,
        auth_time: None,
        credential_created: None,
    }
}

/// A request with neither query nor headers.
pub fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.into(),
        path: path.into(),
        query: Vec::new(),
        headers: Vec::new(),
        now: NOW,
        address: None,
    }
}

/// The policy document with this many routes, at least ten.
pub fn document(routes: usize) -> String {
    let mut text = String::from(DOCUMENT);
    for index in WRITTEN_ROUTES..routes {
        let _ = writeln!(
            text,
            "  - {{ match: \"GET {}\", requires: clusters:read }}",
            filler_pattern(index)
        );
    }
    text
}

/// Requests spread evenly over the routes of `document(routes)` that the key may use: at most `count` of them.
pub fn requests_over(routes: usize, count: usize) -> Vec<Request> {
    let fillers = routes.saturating_sub(WRITTEN_ROUTES);
    let count = count.min(fillers);
    let mut requests = vec![
        request("GET", "/v1/clusters/prod/workloads"),
        request("GET", "/v1/clusters/prod"),
    ];
    requests.extend((0..count).map(|nth| {
        let index = WRITTEN_ROUTES + nth * fillers / count;
        request(
            "GET",
            &filler_pattern(index)
                .replace("{cluster}", "prod")
                .replace("{id}", "7f3a"),
        )
    }));
    requests
}

/// A service of its own for every forty routes, as large APIs have them.
fn filler_pattern(index: usize) -> String {
    format!(
        "/v1/service-{}/{{cluster}}/things-{}/{{id}}",
        index / 40,
        index % 40
    )
}

const WRITTEN_ROUTES: usize = 10;
const DOCUMENT: &str = r#"policy: bench
permissions:
  clusters:read: { category: Clusters, unlocks: Cluster inventory }
  clusters:write: { category: Clusters, unlocks: Changing clusters }
  nodes:read: { category: Clusters, unlocks: Nodes }
  organization:read: { category: Organization, unlocks: The organization }
  metrics:write: { category: Agents, unlocks: Submitting metrics, scope: false }
roles:
  admin: ["*"]
  editor: ["clusters:*", nodes:read]
  viewer: [clusters:read, nodes:read]
  agent: [metrics:write]
routes:
  - { match: GET /v1/health, public: true }
  - { match: GET /v1/organization, requires: organization:read, cluster: none }
  - { match: GET /v1/clusters, requires: clusters:read, lists: { items: /clusters, cluster: /id } }
  - { match: "GET /v1/clusters/{cluster}", requires: clusters:read }
  - { match: "PATCH /v1/clusters/{cluster}", requires: clusters:write }
  - { match: "GET /v1/clusters/{cluster}/workloads", requires: clusters:read }
  - { match: "GET /v1/clusters/{cluster}/workloads/{id}", requires: clusters:read }
  - { match: "GET /v1/clusters/{cluster}/nodes", requires: nodes:read }
  - { match: "GET /v1/clusters/{cluster}/nodes/{id}/**", requires: nodes:read }
  - { match: POST /v1/metrics, requires: metrics:write, cluster: { header: x-cluster-id } }
"#;
