//! Every mistake that a document can make, in the words in which it is reported.

use insta::assert_snapshot;

use super::compile;
use crate::sample::{caller, request};
use crate::{
    Caller, CallerKind, ClusterSource, ConditionOf, Outcome, Request, Tables, asked_conditions,
    decide,
};

/// A document around some routes.
fn with_routes(routes: &str) -> String {
    let head = "policy: p\npermissions: { clusters:read: , clusters:write: }\nroles: {}\nroutes:\n";
    format!("{head}{routes}\n")
}

/// `line:column message / help` of each problem; empty when there is none.
fn problems(text: &str) -> String {
    let Err(report) = compile("p.yaml", text) else {
        return String::new();
    };
    let place = |place: crate::yaml::Place<'_>| {
        let help = place
            .help
            .map(|help| format!(" / {help}"))
            .unwrap_or_default();
        format!("{}:{} {}{help}", place.line, place.column, place.message)
    };
    report.places().map(place).collect::<Vec<_>>().join("\n")
}

/// The problems of one route, without their lines.
fn of_route(route: &str) -> String {
    problems(&with_routes(&format!("  - {{ {route} }}")))
}

#[test]
fn a_document_with_many_mistakes_shows_them_all_in_order() {
    let report = compile("policy.yaml", include_str!("tests/mistakes.yaml")).unwrap_err();
    assert_eq!(format!("{report}\n"), include_str!("tests/mistakes.txt"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json[2]["line"], 4);
    assert_eq!(json[2]["help"], "did you mean `unlocks`?");
}

#[test]
fn what_is_missing() {
    assert_snapshot!(problems(""), @"1:1 a policy must be a map, not nothing");
    assert_snapshot!(problems("{}"), @"
    1:1 missing key `policy` in a policy
    1:1 missing key `permissions` in a policy
    1:1 missing key `roles` in a policy
    1:1 missing key `routes` in a policy
    ");
    assert_snapshot!(problems("policy: a\npermissions: []\nroles: x\nroutes: {}"), @"
    2:14 `permissions` must be a map, not a list
    3:8 `roles` must be a map, not the text `x`
    4:9 `routes` must be a list, not a map
    ");
}

#[test]
fn names_and_permissions() {
    let text = "policy: p\nversion: \"\\x07\"\npermissions:\n  read:\n  clusters:*:\n  clusters:Read:\n  a:b: { scope: no }\n  a:c: { category: [x] }\nroles:\n  Admin: [\"*\"]\n  none: []\n  x: [\"a:*:b\", a, \"*:reed\", \"A:b\", 5]\nroutes: []";
    assert_snapshot!(problems(text), @r#"
    2:10 `version` must have at most 64 characters, all of them printable
    4:3 `read` cannot be a permission's name / a permission is `resource:action`, each of lower-case letters, digits, `_` and `-`
    5:3 `clusters:*` cannot be a permission's name / wildcards are for roles; the catalogue has `resource:action` alone
    6:3 `clusters:Read` cannot be a permission's name / did you mean `clusters:read`?
    7:17 `scope` must be `true` or `false`, not the text `no`
    8:20 `category` must be text, not a list
    10:3 `Admin` cannot be a role's name / a name has lower-case letters, digits, `_` and `-`
    11:3 `none` cannot be a role's name / the word is reserved: it means something else in logs and headers
    12:7 `a:*:b` is not a permission / wildcards are `*`, `resource:*` and `*:action`
    12:16 `a` is not a permission / a permission is `resource:action`, each of lower-case letters, digits, `_` and `-`
    12:19 `*:reed` matches no permission of the catalogue
    12:29 `A:b` is not a permission / did you mean `a:b`?
    12:36 each of the role `x` must be text, not the number `5` / put it in quotes: `"5"`
    "#);
}

#[test]
fn who_may_call_a_route() {
    assert_snapshot!(of_route("match: GET /a"), @"5:7 the route says nothing about who may call it / add `requires` with a permission, or `public: true`");
    assert_snapshot!(of_route("match: GET /a, public: false"), @"5:22 a route that is not public requires a permission / add `requires`");
    assert_snapshot!(of_route("match: GET /a, public: yes"), @"5:30 `public` must be `true` or `false`, not the text `yes`");
    assert_snapshot!(of_route("match: GET /a, public: true, cluster: none, operator: true, sign_in: true"), @"
    5:36 a public route cannot have `cluster` / a public route is open to everyone, with or without a credential
    5:51 a public route cannot have `operator` / a public route is open to everyone, with or without a credential
    5:67 a public route cannot have `sign_in` / a public route is open to everyone, with or without a credential
    ");
    assert_snapshot!(of_route("match: GET /a, requires: nodes:delete"), @"5:32 unknown permission `nodes:delete` / add it to `permissions`");
    assert_snapshot!(of_route("match: GET /a, requires: '*'"), @"5:32 `*` is not a permission / a route requires one permission, not all that match");
    assert_eq!(of_route("match: GET /a, operator: true"), "");
    assert_eq!(
        of_route("match: GET /a, requires: clusters:read, sign_in: true, operator: true"),
        ""
    );
}

#[test]
fn methods_and_patterns() {
    let of = |matched: &str| of_route(&format!("match: {matched}, public: true"));
    assert_snapshot!(of("/a"), @"5:14 `/a` is not a method and a pattern / such as `GET /v1/clusters/{cluster}/**`, or `*` for every method");
    assert_snapshot!(of("get /a"), @"5:14 `get` is not a method / did you mean `GET`?");
    assert_snapshot!(of("HEAD /a"), @"5:14 `HEAD` is not a method / HEAD is decided as GET: write `GET`");
    assert_snapshot!(of("PURGE /a"), @"5:14 `PURGE` is not a method / it may be GET, POST, PUT, PATCH, DELETE, OPTIONS, or `*` for every method");
    assert_snapshot!(of("GET a"), @"5:18 a pattern starts with `/` / write the path from its root");
    assert_snapshot!(of("GET  /a"), @"5:18 a pattern starts with `/` / write the path from its root");
    assert_snapshot!(of("GET /a/"), @"5:20 an empty segment never matches / paths are normalised: no doubled slash, none at the end");
    assert_snapshot!(of("GET /a//b"), @"5:20 an empty segment never matches / paths are normalised: no doubled slash, none at the end");
    assert_snapshot!(of("GET /a/../b"), @"5:21 a dot segment never matches / paths are normalised before they are matched");
    assert_snapshot!(of("GET /a%2Fb"), @"5:19 an encoded octet cannot stand in a pattern / paths are decoded before they are matched");
    assert_snapshot!(of("GET /a?b=c"), @"5:19 a query is not part of a pattern / name a query parameter with `cluster: { query: … }`");
    assert_snapshot!(of("GET /a;b"), @"5:19 this character cannot stand in a path / a segment has letters, digits and `-._~!$&'()+,=:@`");
    assert_snapshot!(of("GET /ä"), @"5:19 this character cannot stand in a path / a segment has letters, digits and `-._~!$&'()+,=:@`");
    assert_snapshot!(of("GET /-/api/users"), @"5:18 `/-/api/users` is reserved / everything under `/-/` is the gate's own");
    assert_snapshot!(of("'GET /a/**/b'"), @"5:25 nothing can follow `**` / `**` is the last segment: it matches all that is left");
    assert_snapshot!(of("'GET /a/b*'"), @"5:22 a star is not a whole segment / `{name}` matches one segment, `**` at the end all that is left");
    assert_snapshot!(of("'GET /a/{b'"), @"5:22 a brace is not closed or not a whole segment / a parameter is a whole segment, such as `{cluster}`");
    assert_snapshot!(of("'GET /a/x{b}'"), @"5:22 a brace is not closed or not a whole segment / a parameter is a whole segment, such as `{cluster}`");
    assert_snapshot!(of("'GET /a/{}'"), @"5:22 this is not a parameter's name / a parameter is a whole segment, such as `{cluster}`");
    assert_snapshot!(of("'GET /{cluster}/{cluster}'"), @"5:30 a parameter's name stands twice in one pattern / give each its own name");
    for fine in [
        "GET /",
        "'* /**'",
        "OPTIONS /a.b~c",
        "'GET /{a}/{b}/**'",
        "GET /a/-/b",
    ] {
        assert_eq!(of(fine), "", "{fine}");
    }
}

#[test]
fn where_the_cluster_is() {
    let of = |rest: &str| of_route(&format!("match: GET /a, requires: clusters:read, {rest}"));
    assert_snapshot!(of("cluster: non"), @"5:56 `non` is not a value of `cluster` / did you mean `none`?");
    assert_snapshot!(of("cluster: {}"), @"5:56 `cluster` does not say where the cluster is / it may be `{ query: name }`, `{ header: name }`, `none` or `upstream`");
    assert_snapshot!(of("cluster: [a]"), @"5:56 `cluster` must be a map, not a list");
    assert_snapshot!(of("cluster: { query: a, header: b }"), @"5:68 `cluster` is in a query parameter or in a header, not in both / keep one of them");
    assert_snapshot!(of("cluster: { querry: a }"), @"
    5:56 `cluster` does not say where the cluster is / it may be `{ query: name }`, `{ header: name }`, `none` or `upstream`
    5:58 unknown key `querry` in `cluster` / did you mean `query`?
    ");
    assert_snapshot!(of("cluster: { query: access_token }"), @"5:65 a policy cannot read `access_token` / it carries a credential (RFC 6750)");
    assert_snapshot!(of("cluster: { query: '' }"), @"5:65 `` cannot be a query parameter's name");
    assert_snapshot!(of("cluster: { header: 'x y' }"), @"5:66 `x y` cannot be a header's name / a name has letters, digits and `-`");
    assert_snapshot!(of("cluster: { header: Cookie }"), @"5:66 a policy cannot read the header `Cookie` / it carries credentials");
    assert_snapshot!(of("cluster: { header: X-Scopegate-Clusters }"), @"5:66 a policy cannot read the header `X-Scopegate-Clusters` / identity headers are the gate's own and removed from requests");
    assert_snapshot!(of("cluster: none, lists: { items: /a, cluster: /b }"), @"5:47 a route with `lists` cannot have `cluster` / each item of the list names its own cluster");
    assert_snapshot!(of_route("match: 'GET /{cluster}', requires: clusters:read, cluster: none"), @"5:57 a route with `{cluster}` in its path cannot have `cluster` / the path names the one cluster that the route touches");
    assert_snapshot!(of_route("match: 'GET /{cluster}', requires: clusters:read, lists: { items: '', cluster: '' }"), @"5:57 a route with `{cluster}` in its path cannot have `lists` / the path names the one cluster that the route touches");
}

#[test]
fn lists_of_items() {
    let of = |lists: &str| {
        of_route(&format!(
            "match: GET /a, requires: clusters:read, lists: {lists}"
        ))
    };
    assert_snapshot!(of("{}"), @"
    5:54 missing key `items` in `lists`
    5:54 missing key `cluster` in `lists`
    ");
    assert_snapshot!(of("{ items: data.items, cluster: /a~b }"), @"
    5:63 `data.items` is not a JSON Pointer / did you mean `/data/items`?
    5:84 `/a~b` is not a JSON Pointer / write `~` as `~0` and `/` within a name as `~1`
    ");
    assert_snapshot!(of("{ items: '', cluster: /id, keep: [total] }"), @"5:81 there is nothing beside the items to keep / the reply itself is the list");
    assert_snapshot!(of("{ items: /a/items, cluster: /id, keep: [items] }"), @"5:94 `items` is the list itself");
    assert_snapshot!(of_route("match: POST /a, requires: clusters:read, lists: { items: /a, cluster: /b }"), @"5:48 only a GET can have `lists` / lists are filtered in replies to GET");
    assert_eq!(of("{ items: '', cluster: '' }"), "");
}

#[test]
fn routes_that_stand_in_each_others_way() {
    let routes = |matches: &[&str]| {
        let lines = matches
            .iter()
            .map(|m| format!("  - {{ match: '{m}', public: true }}\n"));
        problems(&with_routes(&lines.collect::<String>()))
    };
    assert_snapshot!(routes(&["GET /a", "POST /a", "GET /a"]), @"7:14 the route on line 5 matches the same requests / remove one of the two");
    assert_snapshot!(routes(&["GET /a/{b}/c", "GET /a/{c}/c"]), @"6:14 the route on line 5 matches the same requests / names of parameters do not tell routes apart: remove one of the two");
    assert_snapshot!(routes(&["GET /a/{b}", "POST /A/{b}/c"]), @"6:14 `A` differs only in case from line 5 / a path that matches only when case is ignored is refused: spell both alike");
    assert_snapshot!(routes(&["GET /a/**", "GET /a", "GET /a/{b}", "GET /a/{b}/{c}/**"]), @"5:14 no request reaches this route / more specific routes match every request that it matches");
    assert_snapshot!(routes(&["* /a/**", "* /a", "* /a/{b}/**"]), @"5:14 no request reaches this route / more specific routes match every request that it matches");
    assert_eq!(
        routes(&["GET /a/**", "GET /a", "GET /a/{b}", "POST /a/{b}/{c}/**"]),
        ""
    );
    assert_eq!(routes(&["* /a/**", "GET /a", "GET /a/{b}/**"]), "");
    assert_eq!(
        routes(&["GET /a", "* /a", "GET /{a}", "GET /**", "GET /"]),
        ""
    );
}

#[test]
fn scopes_of_read_only_keys_can_read() {
    let text = "policy: p\nkeys: { read_only: true }\npermissions: { a:read: , a:write: , b:write: { scope: false }, c:write: }\nroles: {}\nroutes:\n  - { match: GET /a, requires: a:read }\n  - { match: POST /a, requires: a:write }\n  - { match: POST /b, requires: b:write }\n";
    assert_snapshot!(problems(text), @"3:26 a key could do nothing with the scope `a:write` / keys are `read_only` and no GET requires it: say `scope: false`");
}

#[test]
fn the_gates_own_permissions_are_held_and_not_defined() {
    let document = |permissions: &str, roles: &str| {
        problems(&format!(
            "policy: p\npermissions: {{ {permissions} }}\nroles: {{ {roles} }}\nroutes: []"
        ))
    };
    assert_snapshot!(document("a:read: , manage:keys: , 'manage:own': { scope: false }", "admin: ['*'], b: ['a:raed']"), @"
    2:26 `manage:keys` is reserved / the permissions of `manage` and `authorization` are the gate's own: roles may hold them, documents define none
    2:41 `manage:own` is reserved / the permissions of `manage` and `authorization` are the gate's own: roles may hold them, documents define none
    3:28 unknown permission `a:raed` / did you mean `a:read`?
    ");
    assert_snapshot!(document("a:read: ", "keeper: ['manage:kyes', 'manage:billing']"), @"
    3:19 unknown permission `manage:kyes` / did you mean `manage:keys`?
    3:34 unknown permission `manage:billing` / the permissions of `manage` and `authorization` are the gate's own: roles may hold them, documents define none
    ");
    assert_eq!(
        document(
            "a:read: , manages:keys: , a:manage: ",
            "keeper: ['manage:keys', 'manage:audit'], boss: ['manage:*']"
        ),
        ""
    );
    assert_eq!(
        of_route("match: GET /admin, requires: 'manage:users', cluster: none"),
        ""
    );
    // A document may have as many permissions as before, and no more.
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("a:p{n}: ")).collect();
        document(&names.join(", "), "")
    };
    assert_eq!(many(4000), "");
    assert_snapshot!(many(4001), @"2:1 there are more than 4000 permissions");
}

#[test]
fn a_document_becomes_tables() {
    let text = "
policy: sample
version: 2026-01
permissions:
  cost_explorer:read:
  clusters:read: { category: Clusters, unlocks: Cluster inventory }
  clusters:write: { scope: false }
roles:
  admin: ['*']
  viewer: ['*:read']
routes:
  - { match: GET /health, public: true }
  - { match: 'GET /v1/clusters/{cluster}/**', requires: clusters:read }
  - { match: GET /v1/costs, requires: cost_explorer:read, cluster: { header: X-Cluster-Id } }
  - match: GET /v1/clusters
    requires: clusters:read
    lists: { items: /clusters, cluster: /id, keep: [total] }
";
    let tables = compile("sample.yaml", text).unwrap();
    let description = tables.description();
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("sample", "2026-01")
    );
    let first = &description.permissions[0];
    assert_eq!(
        (first.category.as_str(), first.unlocks.as_str(), first.scope),
        ("Cost explorer", "", true)
    );
    assert!(!description.permissions[2].scope);
    assert_eq!(
        description.roles[1].permissions,
        ["clusters:read", "cost_explorer:read"]
    );
    assert_eq!(description.routes[0].cluster, ClusterSource::None);
    assert_eq!(description.routes[1].cluster, ClusterSource::Path(2));
    assert_eq!(
        description.routes[2].cluster,
        ClusterSource::Header("x-cluster-id".to_owned())
    );
    assert_eq!(tables.vocabulary().header_names(), ["x-cluster-id"]);
    let decision = decide(&tables, &Caller::anonymous(), &request("GET", "/health"));
    assert!(matches!(decision.outcome, Outcome::Allow(_)));
}

#[test]
fn conditions_of_routes_and_roles() {
    let of = |when: &str| {
        of_route(&format!(
            "match: GET /a, requires: clusters:read, when: {when}"
        ))
    };
    assert_eq!(of("'caller.mfa && request.path == \"/a\"'"), "");
    // The place is within the condition, whichever way YAML wrote it.
    assert_snapshot!(of("'caller.mfa && callr.mfa'"), @"5:68 unknown variable `callr` / did you mean `caller`?");
    assert_snapshot!(of("\"request.path == \\\"/a\\\" && callr.mfa\""), @"5:80 unknown variable `callr` / did you mean `caller`?");
    assert_snapshot!(of("'request.path == ''/a'' && callr.mfa'"), @"5:80 unknown variable `callr` / did you mean `caller`?");
    assert_snapshot!(of("caller.mfa && callr.mfa"), @"5:67 unknown variable `callr` / did you mean `caller`?");
    assert_snapshot!(of("[caller.mfa]"), @"5:53 `when` must be text, not a list");
    assert_snapshot!(of("true"), @r#"5:53 `when` must be text, not the boolean `true` / put it in quotes: `"true"`"#);
    assert_snapshot!(of("''"), @"5:54 the condition ends too early / something is missing behind an operator, or a bracket is not closed");
    assert_snapshot!(problems(&with_routes("  - match: GET /a\n    requires: clusters:read\n    when: |\n      caller.mfa &&\n      callr.mfa\n")), @"9:7 unknown variable `callr` / did you mean `caller`?");
    assert_snapshot!(problems(&with_routes("  - match: GET /a\n    requires: clusters:read\n    when: >-\n      caller.mfa\n      && callr.mfa\n")), @"9:10 unknown variable `callr` / did you mean `caller`?");
    let roles = |roles: &str| {
        problems(&format!(
            "policy: p\npermissions: {{ a:read: }}\nroles: {{ {roles} }}\nroutes: []"
        ))
    };
    assert_eq!(
        roles("x: { permissions: [a:read], when: caller.mfa }, y: { permissions: [] }"),
        ""
    );
    assert_snapshot!(roles("x: { when: caller.mfa }, y: { permissions: [a:raed], wen: caller.mfa }, z: { permissions: [], when: caller.mf }"), @"
    3:13 missing key `permissions` in the role `x`
    3:54 unknown permission `a:raed` / did you mean `a:read`?
    3:63 unknown key `wen` in the role `y` / did you mean `when`?
    3:117 `caller` has no `mf` / did you mean `mfa`?
    ");
}

#[test]
fn a_condition_decides() {
    let text = "
policy: sample
permissions: { a:read: }
roles:
  viewer: { permissions: [a:read], when: 'caller.mfa' }
  plain: [a:read]
routes:
  - { match: GET /open, public: true, when: 'request.headers[\"X-Env\"] == \"dev\"' }
  - { match: GET /a, requires: a:read, cluster: none, when: 'request.headers[\"x-env\"] == \"dev\" && \"x-also\" in request.headers' }
  - { match: GET /b, requires: a:read, cluster: none }
";
    let tables = compile("sample.yaml", text).unwrap();
    assert_eq!(tables.vocabulary().header_names(), ["x-also", "x-env"]);
    assert_eq!(tables.rules().conditions.len(), 3);
    let again = Tables::decode(&tables.encode()).unwrap();
    let outcome = |role: &str, mfa: bool, path: &str, headers: &[(&str, &str)]| {
        let caller = Caller {
            mfa,
            ..caller(CallerKind::Session, role)
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let request = Request {
            headers: headers.collect(),
            ..request("GET", path)
        };
        let decision = decide(&tables, &caller, &request);
        assert_eq!(decide(&again, &caller, &request), decision);
        match decision.outcome {
            Outcome::Allow(_) => "allow".to_owned(),
            Outcome::Deny(reason) => reason.code().to_owned(),
        }
    };
    let (dev, prod) = ([("x-env", "dev"), ("x-also", "")], [("x-env", "prod")]);
    assert_eq!(outcome("plain", false, "/open", &dev), "allow");
    assert_eq!(outcome("plain", false, "/open", &prod), "condition-not-met");
    assert_eq!(outcome("plain", false, "/open", &[]), "condition-not-met");
    assert_eq!(outcome("plain", false, "/a", &dev), "allow");
    assert_eq!(outcome("plain", false, "/a", &prod), "condition-not-met");
    assert_eq!(outcome("viewer", true, "/a", &dev), "allow");
    assert_eq!(outcome("viewer", false, "/a", &dev), "missing-permission");
    assert_eq!(outcome("viewer", false, "/b", &[]), "missing-permission");
    assert_eq!(outcome("viewer", true, "/b", &[]), "allow");
}

#[test]
fn a_decision_tells_which_conditions_were_asked() {
    let text = "
policy: sample
permissions: { a:read: , b:read: }
roles:
  careful: { permissions: [a:read], when: 'caller.mfa' }
  plain: [a:read]
  other: { permissions: [b:read], when: 'caller.mfa' }
routes:
  - { match: GET /a, requires: a:read, when: 'request.path == \"/a\"' }
  - { match: 'GET /a/{b}', requires: a:read, when: 'request.path == \"/a\"' }
  - { match: GET /open, public: true, when: 'caller.mfa' }
";
    let tables = compile("sample.yaml", text).unwrap();
    let asked = |roles: &[&str], mfa: bool, path: &str| {
        let caller = Caller {
            mfa,
            roles: roles.iter().map(ToString::to_string).collect(),
            ..caller(CallerKind::Session, "")
        };
        let decision = decide(&tables, &caller, &request("GET", path));
        let refused = match &decision.outcome {
            Outcome::Allow(_) => None,
            Outcome::Deny(reason) => Some(reason.code()),
        };
        asked_conditions(tables.description(), &caller, &decision.rule, refused)
    };
    let (role, route) = (ConditionOf::Role, ConditionOf::Route);
    assert_eq!(
        asked(&["careful"], true, "/a"),
        [(role(0), true), (route(0), true)]
    );
    assert_eq!(asked(&["careful"], false, "/a"), [(role(0), false)]);
    let both = [(role(0), false), (route(0), true)];
    assert_eq!(asked(&["other", "careful", "plain"], false, "/a"), both);
    assert_eq!(
        asked(&["plain", "careful"], false, "/a"),
        [(route(0), true)]
    );
    assert_eq!(asked(&["plain"], false, "/a/x"), [(route(1), false)]);
    assert_eq!(asked(&[], true, "/open"), [(route(2), true)]);
    assert_eq!(asked(&[], false, "/open"), [(route(2), false)]);
    assert_eq!(asked(&["plain"], false, "/none"), []);
}
