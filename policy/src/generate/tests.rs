//! What the cases of the sample policy reach, and that there are no more of them than needed.

use std::collections::BTreeSet;

use super::{CASES_MAX, Case, Generator};
use crate::sample::{route, rules, sample, sample_rules};
use crate::{
    CallerKind, ClusterSource, Clusters, Decision, Grant, Outcome, Restriction, Tables, decide,
};

fn decisions() -> Vec<(Case, Decision)> {
    let tables = sample();
    let generator = Generator::new(&[tables.description()]);
    let cases = generator.cases();
    cases
        .map(|case| {
            let decision = decide(&tables, &case.caller, &case.request);
            (case, decision)
        })
        .collect()
}

#[test]
fn every_route_role_reason_and_restriction_is_met() {
    let tables = sample();
    let decisions = decisions();
    let decided = |is: &dyn Fn(&Case, &Decision) -> bool| {
        decisions.iter().any(|(case, decision)| is(case, decision))
    };
    for (index, route) in tables.description().routes.iter().enumerate() {
        let on = |decision: &Decision| decision.rule.route == Some(index as u32);
        let allowed = |_: &Case, decision: &Decision| {
            on(decision) && matches!(decision.outcome, Outcome::Allow(_))
        };
        // No store holds an operator who has a permission.
        let is_for_nobody = sample_rules().options[index].operator && route.requires.is_some();
        assert!(
            is_for_nobody || decided(&allowed),
            "{route:?} is never allowed"
        );
        let refused = |_: &Case, decision: &Decision| {
            on(decision) && matches!(decision.outcome, Outcome::Deny(_))
        };
        assert!(
            route.public || decided(&refused),
            "{route:?} is never refused"
        );
        for role in tables.description().roles.iter() {
            let asked = |case: &Case, decision: &Decision| {
                on(decision) && case.caller.roles.contains(&role.name)
            };
            assert!(decided(&asked), "{} never asks for {route:?}", role.name);
        }
    }
    let reasons: BTreeSet<&str> = decisions
        .iter()
        .filter_map(|(_, decision)| match &decision.outcome {
            Outcome::Deny(reason) => Some(reason.code()),
            Outcome::Allow(_) => None,
        })
        .collect();
    let all = [
        "agent-outside-cluster",
        "ambiguous-path",
        "cluster-not-allowed",
        "cluster-required",
        "clusters-restricted",
        "missing-permission",
        "no-route",
        "not-authenticated",
        "operator-required",
        "sign-in-required",
    ];
    assert_eq!(reasons, all.into());
    for restriction in [
        Restriction::None,
        Restriction::Scopes,
        Restriction::AuthorityClusters,
        Restriction::KeyClusters,
        Restriction::AgentCluster,
    ] {
        let met = |_: &Case, decision: &Decision| decision.rule.restriction == restriction;
        assert!(decided(&met), "{restriction:?}");
    }
    for grant in [
        Grant::None,
        Grant::Role(1),
        Grant::Permission,
        Grant::Public,
    ] {
        let met = |_: &Case, decision: &Decision| decision.rule.grant == grant;
        assert!(decided(&met), "{grant:?}");
    }
}

#[test]
fn callers_are_those_that_a_gate_can_have() {
    let decisions = decisions();
    assert!(decisions.len() < 450 * sample_rules().options.len());
    for (Case { caller, request }, _) in &decisions {
        let is_key = caller.kind == CallerKind::ApiKey;
        assert!(is_key || caller.scopes.is_none());
        assert!(
            is_key
                || caller.kind == CallerKind::Anonymous
                || caller.allowed_clusters == Clusters::All
        );
        assert_eq!(
            caller.agent_cluster.is_some(),
            caller.kind == CallerKind::Agent
        );
        assert_eq!(
            caller.auth_time.is_some(),
            caller.kind == CallerKind::Session
        );
        if caller.operator {
            assert!(caller.roles.is_empty() && caller.permissions.is_empty());
        }
        assert!(
            request.path.starts_with('/') && !request.path.contains("//"),
            "{}",
            request.path
        );
    }
}

#[test]
fn a_route_that_only_one_policy_has_is_asked_for_under_both() {
    let old = rules(vec![route(
        "GET",
        "/v1/**",
        "clusters:read",
        ClusterSource::Spans,
    )]);
    let new = rules(vec![
        route("GET", "/v1/**", "clusters:read", ClusterSource::Spans),
        route(
            "GET",
            "/v1/prod/{cluster}",
            "nodes:read",
            ClusterSource::Spans,
        ),
        route(
            "GET",
            "/v1/costs",
            "users:write",
            ClusterSource::Header("x-one".to_owned()),
        ),
    ]);
    let generator = Generator::new(&[&old.description, &new.description]);
    let cases: Vec<Case> = generator.cases().collect();
    // Both permissions of one place are held, alone and together.
    let holds = |names: &[&str]| {
        cases
            .iter()
            .any(|case| case.request.path == "/v1/costs" && case.caller.permissions == *names)
    };
    assert!(holds(&["clusters:read"]) && holds(&["users:write"]));
    assert!(holds(&["clusters:read", "users:write"]));
    // `prod` is a literal here, so the cluster is called otherwise.
    let registered = generator.registered();
    assert!(
        registered.contains("prod-1") && registered.contains("dev"),
        "{registered:?}"
    );
    let tables = Tables::new(new).unwrap();
    let met: BTreeSet<Option<u32>> = cases
        .iter()
        .map(|case| decide(&tables, &case.caller, &case.request).rule.route)
        .collect();
    assert!([0, 1, 2].iter().all(|index| met.contains(&Some(*index))));
}

#[test]
fn ten_thousand_routes_have_their_cases_one_at_a_time() {
    let many = (0..10_000).map(|n| {
        let pattern = format!("/v1/r{n}/{{cluster}}/**");
        route("GET", &pattern, "clusters:read", ClusterSource::Spans)
    });
    let rules = rules(many.collect());
    let generator = Generator::new(&[&rules.description]);
    let first: Vec<Case> = generator.cases().take(2000).collect();
    assert_eq!(first.len(), 2000);
    let of_one = Generator::new(&[&crate::sample::rules(vec![route(
        "GET",
        "/v1/r0/{cluster}/**",
        "clusters:read",
        ClusterSource::Spans,
    )])
    .description])
    .cases()
    .count();
    assert!(of_one * 10_000 <= CASES_MAX, "{of_one} cases of a route");
    let again: Vec<Case> = generator.cases().take(2000).collect();
    assert_eq!(first, again);
}
