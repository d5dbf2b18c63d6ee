//! Each lint where it is right, and where it would be noise.

use super::{Lint, lint};
use crate::document::compile_with_places;
use crate::documents;

/// `line:column name` of each finding.
fn found(text: &str) -> Vec<String> {
    let document = compile_with_places("p.yaml", text).unwrap_or_else(|report| panic!("{report}"));
    let place = |finding: super::Finding| {
        let (line, column) = document.source.line_column(finding.span.start);
        assert!(!finding.message.is_empty() && !finding.help.is_empty());
        assert!(finding.excerpt(&document).contains(finding.lint.name()));
        format!("{line}:{column} {}", finding.lint.name())
    };
    lint(&document).into_iter().map(place).collect()
}

/// A document with these roles and routes, whose own permissions are used and held.
fn with(roles: &str, routes: &[&str]) -> Vec<String> {
    let mut text = format!(
        "policy: p\npermissions: {{ a:read: , a:write: }}\nroles:\n  admin: [\"*\"]\n{roles}routes:\n  - {{ match: GET /used, requires: a:read, cluster: none }}\n  - {{ match: POST /used, requires: a:write, cluster: none }}\n"
    );
    routes
        .iter()
        .for_each(|route| text += &format!("  - {{ {route} }}\n"));
    found(&text)
}

#[test]
fn the_built_in_documents_are_clean() {
    for name in documents::names() {
        assert_eq!(
            found(documents::builtin(name).unwrap()),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn permissions_that_nothing_requires_or_nobody_has() {
    let text = "policy: p\npermissions:\n  a:read:\n  a:write: { scope: false }\n  b:read:\nroles: { viewer: [b:read] }\nroutes:\n  - { match: GET /a, requires: a:read, cluster: none }\n  - { match: POST /a, requires: a:write, cluster: none }\n";
    assert_eq!(
        found(text),
        ["4:3 unheld-permission", "5:3 unused-permission"]
    );
}

#[test]
fn roles_that_give_nothing_the_same_or_too_much() {
    let roles = "  empty: []\n  one: [a:read]\n  two: [a:read]\n  boss: [\"*\"]\n  writer: [\"*:write\"]\n  reader: [\"*:read\"]\n  both: [\"a:*\", a:read]\n";
    assert_eq!(
        with(roles, &[]),
        [
            "5:3 empty-role",
            "7:3 same-role",
            "8:3 same-role",
            "8:10 wildcard-grant",
            "9:12 wildcard-grant",
            "10:3 same-role",
            "11:17 redundant-grant",
        ]
    );
}

#[test]
fn public_routes_within_guarded_ones() {
    let guarded = "match: 'GET /in/**', requires: a:read, cluster: none";
    assert_eq!(
        with("", &[guarded, "match: GET /in/open, public: true"]),
        ["9:28 public-below-guard"]
    );
    for fine in [
        "match: GET /out/open, public: true",
        "match: POST /in/open, public: true",
        "match: 'GET /{x}/open', public: true",
    ] {
        assert_eq!(with("", &[guarded, fine]), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(
        with("", &["match: '* /hook', public: true"]),
        ["8:25 public-every-method"]
    );
}

#[test]
fn clusters_that_are_not_read() {
    assert_eq!(
        with("", &["match: 'GET /clusters/{id}/nodes', requires: a:read"]),
        ["8:14 cluster-by-another-name"]
    );
    assert_eq!(
        with("", &["match: 'GET /of/{cluster_id}', requires: a:read"]),
        ["8:14 cluster-by-another-name"]
    );
    let narrows = "match: GET /v1/nodes, requires: a:read, cluster: { query: cluster_id }";
    assert_eq!(
        with("", &[narrows, "match: GET /v1/pods, requires: a:read"]),
        ["9:14 spans-by-silence"]
    );
    for fine in [
        "match: POST /v1/pods, requires: a:write",
        "match: 'GET /v1/pods/{pod}', requires: a:read",
        "match: GET /v2/pods, requires: a:read",
        "match: GET /v1/pods, requires: a:read, cluster: none",
    ] {
        assert_eq!(with("", &[narrows, fine]), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn routes_that_nobody_passes_and_conditions_of_nothing() {
    assert_eq!(
        with("", &["match: GET /m, operator: true, requires: a:read"]),
        ["8:22 operator-with-permission"]
    );
    let of = |when: &str| {
        with(
            "",
            &[&format!("match: GET /m, operator: true, when: '{when}'")],
        )
    };
    assert_eq!(of("1 < 2 || false"), ["8:38 constant-condition"]);
    assert_eq!(of("size(\"abc\") == 4"), ["8:38 constant-condition"]);
    assert_eq!(of("caller.mfa || false"), Vec::<String>::new());
    // A role that gives the same only sometimes is another one.
    let roles = "  viewer: [a:read]\n  onsite: { permissions: [a:read], when: 'caller.mfa' }\n  never: { permissions: [a:read], when: 'false' }\n";
    assert_eq!(with(roles, &[]), ["7:3 constant-condition"]);
}

#[test]
fn a_comment_allows_what_it_names_on_its_line_or_the_next() {
    let allowed = "  # scopegate: allow(empty-role)\n  empty: []\n  boss: [\"*\"] # scopegate: allow(wildcard-grant, same-role)\n";
    assert_eq!(with(allowed, &[]), Vec::<String>::new());
    let stale = "  # scopegate: allow(empty-role, emtpy-role)\n  viewer: [a:read]\n  empty: []\n";
    assert_eq!(
        with(stale, &[]),
        ["5:22 unused-allow", "5:34 unused-allow", "7:3 empty-role"]
    );
}

#[test]
fn names_are_those_of_the_json() {
    for lint in Lint::ALL {
        assert_eq!(serde_json::to_value(lint).unwrap(), lint.name());
    }
}
