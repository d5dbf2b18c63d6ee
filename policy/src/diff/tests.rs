//! Two policies that differ in one thing: who is concerned, and the example.

use super::{Change, Diff, Effect, Side, diff};
use crate::generate::{Case, Generator};
use crate::sample::sample_rules;
use crate::{Caller, CallerKind, ClusterSource, Clusters, Decision, Rules, Tables, decide};

fn ask(old: &Tables, new: &Tables, side: Side, case: &Case) -> Decision {
    let tables = match side {
        Side::Old => old,
        Side::New => new,
    };
    decide(tables, &case.caller, &case.request)
}

fn between(old: Rules, new: Rules) -> Diff {
    let (old, new) = (Tables::new(old).unwrap(), Tables::new(new).unwrap());
    let generator = Generator::new(&[old.description(), new.description()]);
    diff(
        old.description(),
        new.description(),
        generator.cases(),
        |side, case| ask(&old, &new, side, case),
    )
}

fn changed(change: impl FnOnce(&mut Rules)) -> Diff {
    let mut new = sample_rules();
    change(&mut new);
    between(sample_rules(), new)
}

/// Each group in a line: effect, route, answers, who.
fn lines(diff: &Diff) -> Vec<String> {
    let line = |group: &super::Group| {
        let who: Vec<&str> = group.examples.iter().map(|one| one.who.as_str()).collect();
        let route = group.new_route.as_ref().or(group.old_route.as_ref());
        format!(
            "{:?} {}: {} -> {}: {}",
            group.effect,
            route.map_or("-", String::as_str),
            group.before,
            group.after,
            who.join("; ")
        )
    };
    diff.groups.iter().map(line).collect()
}

#[test]
fn a_policy_does_not_differ_from_itself() {
    let same = between(sample_rules(), sample_rules());
    assert!(same.is_empty() && same.cases > 1000, "{same:?}");
    // Places in lists are no difference.
    let turned = changed(|rules| {
        rules.description.roles.reverse();
        rules.description.routes.reverse();
        rules.options.reverse();
        rules.description.permissions.reverse();
    });
    assert!(turned.is_empty(), "{turned:?}");
}

#[test]
fn a_role_that_gains_a_permission() {
    let diff = changed(|rules| {
        rules.description.roles[1]
            .permissions
            .push("clusters:write".to_owned());
    });
    assert_eq!(
        lines(&diff),
        [
            "Gains DELETE /v1/clusters/{cluster}: missing-permission `clusters:write` -> allowed: `viewer`",
            // What comes after the permission is asked of them from now on.
            "Differs DELETE /v1/clusters/{cluster}: missing-permission `clusters:write` -> cluster-not-allowed: `viewer`; `viewer`, restricted to clusters",
        ]
    );
    let example = &diff.groups[0].examples[0];
    assert_eq!(example.request.path, "/v1/clusters/prod");
    assert_eq!(
        example.test_caller.as_deref(),
        Some("viewer: { session: { role: viewer } }")
    );
    assert_eq!(
        example.test_case.as_deref().unwrap(),
        "- { name: viewer asks for DELETE /v1/clusters/prod, caller: viewer, \
         request: DELETE /v1/clusters/prod, expect: [prod] }"
    );
    assert_eq!(
        diff.changes,
        [Change::RoleGains {
            role: "viewer".to_owned(),
            permissions: vec!["clusters:write".to_owned()]
        }]
    );
}

#[test]
fn a_route_that_requires_something_else() {
    let diff = changed(|rules| {
        rules.description.routes[7].requires = Some("nodes:read".to_owned());
    });
    assert_eq!(
        lines(&diff),
        [
            "Gains GET /v1/organization: missing-permission `clusters:read` -> allowed: a custom role with `nodes:read`; keys of `admin` with the scope `nodes:read`; keys of `viewer` with the scope `nodes:read`",
            "Loses GET /v1/organization: allowed -> missing-permission `nodes:read`: a custom role with `clusters:read`; keys of `admin` with the scope `clusters:read`; keys of `viewer` with the scope `clusters:read`",
            "Differs GET /v1/organization: missing-permission `clusters:read` -> missing-permission `nodes:read`: any user",
        ]
    );
}

#[test]
fn a_route_that_is_opened_to_everyone() {
    let diff = changed(|rules| {
        rules.description.routes[7].public = true;
        rules.description.routes[7].requires = None;
    });
    assert_eq!(
        lines(&diff),
        [
            "Gains GET /v1/organization: not-authenticated -> allowed: anyone, without a credential",
            "Gains GET /v1/organization: missing-permission `clusters:read` -> allowed: any user",
        ]
    );
    let open = &diff.groups[0].examples[0];
    assert_eq!(
        (open.caller.clone(), open.test_caller.clone()),
        (Caller::anonymous(), None)
    );
}

#[test]
fn another_place_for_the_cluster() {
    let diff = changed(|rules| {
        rules.description.routes[5].cluster = ClusterSource::None;
    });
    let lines = lines(&diff);
    for expected in [
        "Gains GET /v1/nodes: cluster-required -> allowed: ",
        "Gains GET /v1/nodes: allowed -> allowed, more clusters: ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{lines:#?}"
        );
    }
    for group in &diff.groups {
        for example in &group.examples {
            assert!(example.request.headers.is_empty());
            assert!(
                example.caller.clusters == Clusters::All
                    || example.caller.allowed_clusters == Clusters::All
            );
        }
    }
}

#[test]
fn keys_that_may_only_read() {
    let diff = changed(|rules| rules.keys_read_only = true);
    assert!(!diff.groups.is_empty());
    for group in &diff.groups {
        assert_ne!(group.effect, Effect::Gains);
        assert_eq!(group.after, "read-only-key");
        assert!(
            group
                .examples
                .iter()
                .all(|one| one.caller.kind == CallerKind::ApiKey)
        );
    }
}

#[test]
fn what_no_decision_shows() {
    let diff = changed(|rules| rules.description.permissions[0].scope = false);
    assert_eq!(diff.differing, 0);
    let permission = "clusters:read".to_owned();
    assert_eq!(diff.changes, [Change::ScopeForbidden { permission }]);
    let diff = changed(|rules| {
        if let ClusterSource::Lists(shape) = &mut rules.description.routes[1].cluster {
            shape.keep.push("total".to_owned());
        }
    });
    let lines = lines(&diff);
    assert!(
        lines[0].starts_with("Differs GET /v1/clusters: allowed -> allowed, lists differ: "),
        "{lines:?}"
    );
}

/// The differences of two documents that are alike but for a role's and a route's condition.
fn conditions(old: [&str; 2], new: [&str; 2]) -> Diff {
    let rules = |[role, route]: [&str; 2]| {
        let when = |text: &str| match text {
            "" => String::new(),
            text => format!(", when: '{text}'"),
        };
        let document = format!(
            "policy: p
permissions: {{ a:read: , b:read: }}
roles: {{ admin: ['*'], onsite: {{ permissions: [a:read]{} }} }}
routes:
  - {{ match: GET /a, requires: a:read, cluster: none{} }}
  - {{ match: GET /b, requires: b:read, cluster: none }}
",
            when(role),
            when(route)
        );
        let tables = crate::document::compile("p.yaml", &document);
        let tables = tables.unwrap_or_else(|report| panic!("{report}"));
        tables.rules().clone()
    };
    between(rules(old), rules(new))
}

/// Effect and answers of each group, with the lines of its first example.
fn found(old: [&str; 2], new: [&str; 2]) -> Vec<String> {
    let diff = conditions(old, new);
    let line = |group: &super::Group| {
        let example = &group.examples[0];
        let line = |line: &Option<String>| line.clone().unwrap_or_default();
        let (caller, case) = (line(&example.test_caller), line(&example.test_case));
        format!(
            "{:?}: {} -> {}\n  {caller}\n  {case}",
            group.effect, group.before, group.after
        )
    };
    diff.groups.iter().map(line).collect()
}

#[test]
fn a_condition_of_a_route_that_changed_is_found_with_an_example() {
    let found = [
        (
            "request.time.getHours(\"+01:00\") >= 8",
            "request.time.getHours(\"+01:00\") > 8",
        ),
        (
            "request.time.getDayOfWeek() in [1, 2, 3, 4, 5] && caller.mfa",
            "request.time.getDayOfWeek() in [1, 2, 3, 4, 5, 6] && caller.mfa",
        ),
        (
            "cidr(\"10.0.0.0/8\").containsIP(request.address)",
            "cidr(\"10.0.0.0/9\").containsIP(request.address)",
        ),
        (
            "request.headers[\"x-env\"] in [\"prod\", \"dev\"]",
            "request.headers[\"x-env\"].startsWith(\"prod\")",
        ),
        (
            "caller.credential_age < duration(\"24h\")",
            "caller.credential_age <= duration(\"24h\")",
        ),
        (
            "request.time < timestamp(\"2027-01-01T00:00:00Z\")",
            "request.time < timestamp(\"2027-01-01T00:00:01Z\")",
        ),
        ("caller.subject == \"ci\"", "caller.subject == \"cd\""),
        (
            "caller.kind == \"agent\" || caller.mfa",
            "caller.mfa || caller.kind == \"api-key\"",
        ),
    ]
    .map(|(old, new)| format!("{old}\n{new}\n{}", found(["", old], ["", new]).join("\n")));
    insta::assert_snapshot!(found.join("\n\n"));
}

#[test]
fn a_condition_of_a_role_that_changed_is_found_with_an_example() {
    let office = "caller.mfa || cidr(\"10.0.0.0/8\").containsIP(request.address)";
    let open = "caller.mfa || cidr(\"10.0.0.0/8\").containsIP(request.address) || cidr(\"192.0.2.0/24\").containsIP(request.address)";
    let found = [
        ("", office),
        (office, ""),
        (office, open),
        (office, "caller.mfa"),
    ]
    .map(|(old, new)| format!("{old}\n{new}\n{}", found([old, ""], [new, ""]).join("\n")));
    insta::assert_snapshot!(found.join("\n\n"));
}

#[test]
fn what_lies_behind_a_condition_is_compared_where_it_is_true() {
    let when = "cidr(\"10.0.0.0/8\").containsIP(request.address) && request.headers[\"x-env\"] == \"prod\" && caller.mfa";
    let rules = |requires: &str| {
        let document = format!(
            "policy: p
permissions: {{ a:read: , b:read: }}
roles: {{ admin: ['*'] }}
routes: [{{ match: GET /a, requires: a:read, cluster: {requires}, when: '{when}' }}]
"
        );
        let tables = crate::document::compile("p.yaml", &document);
        tables
            .unwrap_or_else(|report| panic!("{report}"))
            .rules()
            .clone()
    };
    let diff = between(rules("none"), rules("{ query: cluster }"));
    let lines = lines(&diff);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("allowed -> cluster-required")),
        "{lines:#?}"
    );
}
