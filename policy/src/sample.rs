//! A small policy for the tests of this crate, and callers of every kind.

use crate::{
    Caller, CallerKind, ClusterSource, Clusters, Description, ListShape, PermissionInfo, Request,
    RoleInfo, RouteInfo, RouteOptions, Rules, Tables,
};

pub(crate) fn route(
    method: &str,
    pattern: &str,
    requires: &str,
    cluster: ClusterSource,
) -> RouteInfo {
    let cluster = match pattern
        .split('/')
        .skip(1)
        .position(|segment| segment == "{cluster}")
    {
        Some(index) => ClusterSource::Path(index as u32),
        None => cluster,
    };
    RouteInfo {
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        public: requires.is_empty(),
        requires: Some(requires.to_owned()).filter(|name| !name.is_empty()),
        when: None,
        cluster,
    }
}

pub(crate) fn rules(routes: Vec<RouteInfo>) -> Rules {
    let names = [
        "clusters:read",
        "clusters:write",
        "metrics:write",
        "nodes:read",
        "users:write",
    ];
    let role = |name: &str, permissions: &[&str]| RoleInfo {
        name: name.to_owned(),
        permissions: permissions.iter().map(ToString::to_string).collect(),
        when: None,
    };
    let permission = |name: &&str| PermissionInfo {
        name: name.to_string(),
        category: String::new(),
        unlocks: String::new(),
        scope: *name != "users:write",
    };
    Rules {
        options: vec![RouteOptions::default(); routes.len()],
        description: Description {
            name: "sample".to_owned(),
            version: String::new(),
            permissions: names.iter().map(permission).collect(),
            roles: vec![
                role("admin", &names),
                role("viewer", &["clusters:read", "nodes:read"]),
                role("agent", &["metrics:write"]),
            ],
            routes,
            headers: Vec::new(),
        },
        keys_read_only: false,
        conditions: Vec::new(),
    }
}

pub(crate) fn sample_rules() -> Rules {
    let lists = ListShape {
        items: "/clusters".to_owned(),
        cluster: "/id".to_owned(),
        keep: Vec::new(),
    };
    let mut rules = rules(vec![
        route("GET", "/health", "", ClusterSource::None),
        route(
            "GET",
            "/v1/clusters",
            "clusters:read",
            ClusterSource::Lists(lists),
        ),
        route(
            "GET",
            "/v1/clusters/{cluster}/**",
            "clusters:read",
            ClusterSource::Spans,
        ),
        route(
            "DELETE",
            "/v1/clusters/{cluster}",
            "clusters:write",
            ClusterSource::Spans,
        ),
        route("GET", "/v1/costs", "clusters:read", ClusterSource::Spans),
        route(
            "GET",
            "/v1/nodes",
            "nodes:read",
            ClusterSource::Query("cluster_id".to_owned()),
        ),
        route(
            "POST",
            "/v1/metrics",
            "metrics:write",
            ClusterSource::Header("x-cluster-id".to_owned()),
        ),
        route(
            "GET",
            "/v1/organization",
            "clusters:read",
            ClusterSource::None,
        ),
        route("POST", "/v1/policy", "users:write", ClusterSource::None),
        route("POST", "/v1/users", "users:write", ClusterSource::None),
        route("*", "/v1/Report", "clusters:read", ClusterSource::Upstream),
    ]);
    rules.options[8].operator = true;
    rules.options[9].sign_in = true;
    rules
}

pub(crate) fn sample() -> Tables {
    Tables::new(sample_rules()).unwrap()
}

pub(crate) fn caller(kind: CallerKind, role: &str) -> Caller {
    Caller {
        kind,
        subject: "someone".to_owned(),
        organization: "org".to_owned(),
        roles: vec![role.to_owned()],
        clusters: Clusters::All,
        allowed_clusters: Clusters::All,
        agent_cluster: (kind == CallerKind::Agent).then(|| "prod".to_owned()),
        ..Caller::anonymous()
    }
}

pub(crate) fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        now: 1_000_000,
        address: None,
    }
}
