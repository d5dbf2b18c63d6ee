//! What is decided, case by case, on the sample policy.

use crate::sample::{caller, request, sample, sample_rules};
use crate::{
    Caller, CallerKind, Clusters, Decision, Grant, Outcome, Reason, Request, Restriction, Tables,
    decide,
};

use CallerKind::{Agent, ApiKey, Session};

fn only(ids: &[&str]) -> Clusters {
    Clusters::only(ids.iter().copied())
}

fn outcome(caller: &Caller, request: &Request) -> Outcome {
    decide(&sample(), caller, request).outcome
}

fn reason(caller: &Caller, request: &Request) -> Reason {
    match outcome(caller, request) {
        Outcome::Deny(reason) => reason,
        Outcome::Allow(clusters) => panic!("allowed for {clusters:?}"),
    }
}

fn with_query(mut request: Request, name: &str, value: &str) -> Request {
    request.query.push((name.to_owned(), value.to_owned()));
    request
}

fn with_header(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

#[test]
fn public_routes_are_open() {
    let health = request("GET", "/health");
    assert_eq!(
        outcome(&Caller::anonymous(), &health),
        Outcome::Allow(only(&[]))
    );
    assert_eq!(
        outcome(&caller(Session, "viewer"), &health),
        Outcome::Allow(Clusters::All)
    );
    assert_eq!(
        decide(&sample(), &Caller::anonymous(), &health).rule.grant,
        Grant::Public
    );
}

#[test]
fn anonymous_callers_learn_nothing_about_routes() {
    let anonymous = Caller::anonymous();
    for path in ["/v1/clusters", "/v1/nothing", "/", "", "/a//b", "*"] {
        assert_eq!(
            reason(&anonymous, &request("GET", path)),
            Reason::NotAuthenticated,
            "{path}"
        );
    }
    assert_eq!(
        reason(&caller(Session, "admin"), &request("GET", "/v1/nothing")),
        Reason::NoRoute
    );
    assert_eq!(
        reason(&caller(Session, "admin"), &request("PUT", "/v1/clusters")),
        Reason::NoRoute
    );
}

#[test]
fn a_path_that_matches_only_without_case_is_ambiguous() {
    for path in ["/v1/Clusters", "/V1/clusters/prod", "/v1/report", "/HEALTH"] {
        assert_eq!(
            reason(&Caller::anonymous(), &request("GET", path)),
            Reason::AmbiguousPath,
            "{path}"
        );
    }
    let admin = caller(Session, "admin");
    assert!(matches!(
        outcome(&admin, &request("GET", "/v1/Report")),
        Outcome::Allow(_)
    ));
    assert!(matches!(
        outcome(&admin, &request("GET", "/v1/clusters/PROD/Nodes")),
        Outcome::Allow(_)
    ));
}

#[test]
fn a_trailing_slash_matches_the_same_route() {
    let admin = caller(Session, "admin");
    for path in ["/v1/clusters/", "/v1/clusters/prod/", "/v1/costs/"] {
        assert!(
            matches!(outcome(&admin, &request("GET", path)), Outcome::Allow(_)),
            "{path}"
        );
    }
    assert_eq!(
        reason(&admin, &request("GET", "/v1/costs//")),
        Reason::NoRoute
    );
}

#[test]
fn permissions_come_from_roles_and_the_callers_own_and_scopes_narrow_them() {
    let tables = sample();
    let read = request("GET", "/v1/costs");
    let mut someone = caller(ApiKey, "viewer");
    let rule = decide(&tables, &someone, &read).rule;
    assert_eq!((rule.route, rule.grant), (Some(4), Grant::Role(1)));

    someone.roles = vec!["unknown".to_owned()];
    assert_eq!(
        reason(&someone, &read),
        Reason::MissingPermission("clusters:read".to_owned())
    );
    for pattern in ["clusters:read", "clusters:*", "*:read", "*"] {
        someone.permissions = vec![pattern.to_owned()];
        assert_eq!(
            decide(&tables, &someone, &read).rule.grant,
            Grant::Permission,
            "{pattern}"
        );
    }
    someone.permissions = vec!["clusters:write".to_owned(), "nonsense".to_owned()];
    assert_eq!(
        reason(&someone, &read),
        Reason::MissingPermission("clusters:read".to_owned())
    );

    let mut key = caller(ApiKey, "admin");
    key.scopes = Some(vec!["nodes:read".to_owned()]);
    let Decision { outcome, rule } = decide(&tables, &key, &read);
    assert_eq!(
        outcome,
        Outcome::Deny(Reason::MissingPermission("clusters:read".to_owned()))
    );
    assert_eq!(rule.restriction, Restriction::Scopes);
    key.scopes = Some(Vec::new());
    assert_eq!(
        reason(&key, &read),
        Reason::MissingPermission("clusters:read".to_owned())
    );
    key.scopes = Some(vec!["clusters:read".to_owned()]);
    assert_eq!(
        decide(&tables, &key, &read).outcome,
        Outcome::Allow(Clusters::All)
    );
}

#[test]
fn a_cluster_in_the_path_must_be_on_both_lists() {
    let tables = sample();
    let at = |cluster: &str| request("GET", &format!("/v1/clusters/{cluster}/nodes"));
    let mut key = caller(ApiKey, "viewer");
    assert_eq!(
        decide(&tables, &key, &at("any")).outcome,
        Outcome::Allow(only(&["any"]))
    );
    key.clusters = only(&["prod", "staging"]);
    key.allowed_clusters = only(&["dev", "prod"]);
    assert_eq!(
        decide(&tables, &key, &at("prod")).outcome,
        Outcome::Allow(only(&["prod"]))
    );
    for (cluster, restriction) in [
        ("dev", Restriction::AuthorityClusters),
        ("staging", Restriction::KeyClusters),
        ("other", Restriction::AuthorityClusters),
        ("a%20b", Restriction::None),
        (&"x".repeat(254), Restriction::None),
    ] {
        let Decision { outcome, rule } = decide(&tables, &key, &at(cluster));
        assert_eq!(
            outcome,
            Outcome::Deny(Reason::ClusterNotAllowed(cluster.to_owned()))
        );
        assert_eq!(rule.restriction, restriction, "{cluster}");
    }
}

#[test]
fn an_empty_intersection_is_no_cluster_at_all() {
    let mut key = caller(ApiKey, "viewer");
    key.clusters = only(&["prod"]);
    key.allowed_clusters = only(&["dev"]);
    let list = request("GET", "/v1/clusters");
    assert_eq!(outcome(&key, &list), Outcome::Allow(only(&[])));
    key.clusters = only(&[]);
    key.allowed_clusters = Clusters::All;
    assert_eq!(outcome(&key, &list), Outcome::Allow(only(&[])));
    assert_eq!(
        reason(&key, &request("GET", "/v1/costs")),
        Reason::ClustersRestricted
    );
}

#[test]
fn routes_that_span_refuse_restricted_callers_and_others_narrow() {
    let mut viewer = caller(Session, "viewer");
    assert_eq!(
        outcome(&viewer, &request("GET", "/v1/costs")),
        Outcome::Allow(Clusters::All)
    );
    viewer.clusters = only(&["prod"]);
    assert_eq!(
        reason(&viewer, &request("GET", "/v1/costs")),
        Reason::ClustersRestricted
    );
    for path in ["/v1/clusters", "/v1/organization", "/v1/Report"] {
        let Decision { outcome, rule } = decide(&sample(), &viewer, &request("GET", path));
        assert_eq!(outcome, Outcome::Allow(only(&["prod"])), "{path}");
        assert_eq!(rule.restriction, Restriction::AuthorityClusters);
    }
}

#[test]
fn a_restricted_caller_names_the_cluster_in_the_query() {
    let nodes = || request("GET", "/v1/nodes");
    let mut key = caller(ApiKey, "viewer");
    assert_eq!(outcome(&key, &nodes()), Outcome::Allow(Clusters::All));
    key.allowed_clusters = only(&["prod"]);
    assert_eq!(reason(&key, &nodes()), Reason::ClusterRequired);
    assert_eq!(
        outcome(&key, &with_query(nodes(), "cluster_id", "prod")),
        Outcome::Allow(only(&["prod"]))
    );
    let not = |id: &str| Reason::ClusterNotAllowed(id.to_owned());
    assert_eq!(
        reason(&key, &with_query(nodes(), "cluster_id", "dev")),
        not("dev")
    );
    assert_eq!(
        reason(&key, &with_query(nodes(), "cluster_id", "")),
        not("")
    );
    assert_eq!(
        reason(&key, &with_header(nodes(), "cluster_id", "prod")),
        Reason::ClusterRequired
    );
    let twice = with_query(
        with_query(nodes(), "cluster_id", "prod"),
        "cluster_id",
        "dev",
    );
    assert_eq!(reason(&key, &twice), not("prod"));
}

#[test]
fn an_agent_acts_for_its_own_cluster_alone() {
    let metrics = || request("POST", "/v1/metrics");
    let mut agent = caller(Agent, "agent");
    assert_eq!(outcome(&agent, &metrics()), Outcome::Allow(only(&["prod"])));
    assert_eq!(
        outcome(&agent, &with_header(metrics(), "x-cluster-id", "prod")),
        Outcome::Allow(only(&["prod"]))
    );
    let elsewhere = with_header(metrics(), "x-cluster-id", "dev");
    assert_eq!(
        reason(&agent, &elsewhere),
        Reason::AgentOutsideCluster("dev".to_owned())
    );
    assert_eq!(
        reason(&agent, &request("GET", "/v1/clusters/prod")),
        Reason::MissingPermission("clusters:read".to_owned())
    );
    agent.roles.push("viewer".to_owned());
    assert_eq!(
        reason(&agent, &request("GET", "/v1/costs")),
        Reason::ClustersRestricted
    );
    assert_eq!(
        outcome(&agent, &request("GET", "/v1/clusters")),
        Outcome::Allow(only(&["prod"]))
    );
    agent.agent_cluster = None;
    assert_eq!(
        reason(&agent, &metrics()),
        Reason::ClusterNotAllowed(String::new())
    );
    assert_eq!(
        outcome(&agent, &request("GET", "/v1/clusters")),
        Outcome::Allow(only(&[]))
    );
}

#[test]
fn operators_and_fresh_sessions() {
    let policy = request("POST", "/v1/policy");
    let mut admin = caller(Session, "admin");
    assert_eq!(reason(&admin, &policy), Reason::OperatorRequired);
    admin.operator = true;
    assert_eq!(outcome(&admin, &policy), Outcome::Allow(Clusters::All));

    let users = request("POST", "/v1/users");
    assert_eq!(reason(&admin, &users), Reason::SignInRequired);
    for (age, is_fresh) in [
        (0, true),
        (900, true),
        (901, false),
        (-60, true),
        (-61, false),
    ] {
        admin.auth_time = Some(users.now - age);
        let allowed = outcome(&admin, &users) == Outcome::Allow(Clusters::All);
        assert_eq!(allowed, is_fresh, "{age}");
    }
    admin.auth_time = Some(users.now);
    admin.kind = ApiKey;
    assert_eq!(reason(&admin, &users), Reason::SignInRequired);
    admin.auth_time = Some(i64::MIN);
    admin.kind = Session;
    assert_eq!(reason(&admin, &users), Reason::SignInRequired);
}

#[test]
fn keys_may_be_read_only() {
    let mut rules = sample_rules();
    rules.keys_read_only = true;
    let tables = Tables::new(rules).unwrap();
    let delete = request("DELETE", "/v1/clusters/prod");
    let decision = decide(&tables, &caller(ApiKey, "admin"), &delete);
    assert_eq!(decision.outcome, Outcome::Deny(Reason::ReadOnlyKey));
    assert_eq!(decision.rule.restriction, Restriction::ReadOnly);
    for (kind, method) in [(Session, "DELETE"), (ApiKey, "GET"), (ApiKey, "HEAD")] {
        let decision = decide(
            &tables,
            &caller(kind, "admin"),
            &request(method, "/v1/clusters/prod"),
        );
        assert_eq!(
            decision.outcome,
            Outcome::Allow(only(&["prod"])),
            "{kind:?} {method}"
        );
    }
}
