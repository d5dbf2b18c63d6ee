use std::collections::BTreeSet;

use super::fragment;
use crate::document::compile;
use crate::sample::{caller, request};
use crate::{
    Caller, CallerKind, Clusters, Decision, Description, Outcome, Reason, RouteInfo, Tables,
    decide, documents,
};

use CallerKind::{Agent, ApiKey, Session};

/// A document with roles of its own and, where asked for, a catch-all that is open to everyone.
fn tables(head: &str, roles: &str) -> Tables {
    let text = format!(
        "policy: p\n{head}\npermissions: {{ a:read: , a:write: {{ scope: false }} }}\n\
         roles: {{ {roles} }}\nroutes:\n  - {{ match: GET /a, requires: a:read }}\n"
    );
    compile("p.yaml", &text).unwrap_or_else(|report| panic!("{report}"))
}

fn open() -> Tables {
    let text = "policy: p\npermissions: { a:read: }\nroles: { admin: ['*'], agent: ['*'] }\n\
                routes:\n  - { match: '* /**', public: true }\n";
    compile("p.yaml", text).unwrap_or_else(|report| panic!("{report}"))
}

fn held<'d>(description: &'d Description, role: &str) -> &'d [String] {
    let role = description.roles.iter().find(|info| info.name == role);
    &role.unwrap().permissions
}

fn decided(tables: &Tables, caller: &Caller, matched: &str) -> Decision {
    let (method, path) = matched.split_once(' ').unwrap();
    decide(tables, caller, &request(method, path))
}

fn reason(tables: &Tables, caller: &Caller, matched: &str) -> Option<Reason> {
    match decided(tables, caller, matched).outcome {
        Outcome::Allow(_) => None,
        Outcome::Deny(reason) => Some(reason),
    }
}

#[test]
fn it_is_read_without_a_problem_and_says_all_that_it_must() {
    let fragment = fragment().unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(fragment.routes.infos.len(), fragment.routes.options.len());
    for (route, options) in fragment.routes.infos.iter().zip(&fragment.routes.options) {
        let shown = format!("{} {}", route.method, route.pattern);
        assert!(
            route.is_management() && options.management && !route.public,
            "{shown}"
        );
        // A route that said nothing of clusters would refuse whoever is restricted to some.
        assert_ne!(route.cluster, crate::ClusterSource::Spans, "{shown}");
    }
    for permission in &fragment.permissions {
        assert!(permission.is_management(), "{permission:?}");
        let is_of_services = permission.name.starts_with("authorization:");
        assert_eq!(permission.scope, is_of_services, "{permission:?}");
        assert_eq!(permission.category, "Management");
        assert!(!permission.unlocks.is_empty(), "{permission:?}");
    }
    let required: BTreeSet<&String> = fragment
        .routes
        .infos
        .iter()
        .filter_map(|route| route.requires.as_ref())
        .collect();
    assert_eq!(
        required.len(),
        fragment.permissions.len(),
        "each guards a route"
    );
}

#[test]
fn it_comes_after_what_the_document_has() {
    for name in documents::names() {
        let tables = compile(name, documents::builtin(name).unwrap()).unwrap();
        let description = tables.description();
        let (own, all) = (
            description.own_routes().count(),
            description.routes.as_slice(),
        );
        assert!(all[..own].iter().all(|route| !route.is_management()));
        assert!(all[own..].iter().all(RouteInfo::is_management));
        assert_eq!(
            all.len() - own,
            fragment().unwrap().routes.infos.len(),
            "{name}"
        );
        let own = description.own_permissions().count();
        assert!(
            description.permissions[..own]
                .iter()
                .all(|info| !info.is_management())
        );
        assert_eq!(description.permissions.len() - own, 9);
    }
}

#[test]
fn roles_hold_its_permissions_by_name_and_by_pattern() {
    let tables = tables(
        "",
        "admin: ['*'], manager: ['manage:*'], keeper: ['manage:keys'], viewer: ['*:read']",
    );
    let description = tables.description();
    assert_eq!(held(description, "admin").len(), 11);
    assert_eq!(held(description, "manager").len(), 7);
    assert_eq!(held(description, "keeper"), ["manage:keys"]);
    assert_eq!(held(description, "viewer"), ["a:read"]);
    let keys = "GET /-/api/organization/keys";
    assert_eq!(reason(&tables, &caller(Session, "keeper"), keys), None);
    let missing = Reason::MissingPermission("manage:keys".to_owned());
    assert_eq!(
        reason(&tables, &caller(Session, "viewer"), keys),
        Some(missing.clone())
    );
    // As a custom role has them.
    let custom = |pattern: &str| Caller {
        permissions: vec![pattern.to_owned()],
        ..caller(Session, "none")
    };
    assert_eq!(reason(&tables, &custom("manage:*"), keys), None);
    assert_eq!(reason(&tables, &custom("*:read"), keys), Some(missing));
}

#[test]
fn nobody_is_locked_out_of_their_own() {
    let tables = tables("", "viewer: ['a:read']");
    for own in [
        "GET /-/api/me",
        "GET /-/api/keys",
        "DELETE /-/api/keys/k-1",
        "POST /-/api/keys/self/rotate",
        "GET /-/api/sessions",
        "DELETE /-/api/sessions/s-1",
        "GET /-/api/clusters",
        "GET /-/api/policy",
        "POST /-/api/revoke",
    ] {
        for kind in [Session, ApiKey] {
            let someone = Caller {
                scopes: Some(Vec::new()),
                clusters: Clusters::only(["prod"]),
                ..caller(kind, "ghost")
            };
            let decision = decided(&tables, &someone, own);
            assert_eq!(
                decision.outcome,
                Outcome::Allow(Clusters::only(["prod"])),
                "{own}"
            );
        }
        assert_eq!(
            reason(&tables, &Caller::anonymous(), own),
            Some(Reason::NotAuthenticated),
            "{own}"
        );
    }
}

#[test]
fn agents_have_no_route_there_whatever_their_role() {
    let tables = tables("", "agent: ['*']");
    let agent = caller(Agent, "agent");
    let routes = tables
        .description()
        .routes
        .iter()
        .filter(|route| route.is_management());
    for route in routes {
        let method = route.method.replace('*', "GET");
        let path = route
            .pattern
            .replace("/**", "")
            .replace("{cluster}", "prod");
        let refused = reason(&tables, &agent, &format!("{method} {path}"));
        assert_eq!(refused, Some(Reason::NoRoute), "{method} {path}");
    }
}

#[test]
fn keys_that_only_read_manage_themselves() {
    let tables = tables("keys: { read_only: true }", "admin: ['*']");
    let key = caller(ApiKey, "admin");
    for allowed in [
        "POST /-/api/keys/self/rotate",
        "DELETE /-/api/keys/k-1",
        "POST /-/api/introspect",
        "DELETE /-/api/agents/a-1",
    ] {
        assert_eq!(reason(&tables, &key, allowed), None, "{allowed}");
    }
    assert_eq!(
        reason(&tables, &key, "POST /-/api/keys"),
        Some(Reason::SignInRequired)
    );
}

#[test]
fn keys_ask_for_others_where_they_may_do_more_than_read() {
    let scopes = |head: &str| {
        let tables = tables(head, "admin: ['*']");
        let permissions = &tables.description().permissions;
        let scopes = permissions.iter().filter(|known| known.scope);
        scopes.map(|known| known.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        scopes(""),
        ["a:read", "authorization:evaluate", "authorization:assert"]
    );
    assert_eq!(scopes("keys: { read_only: true }"), ["a:read"]);
    let tables = tables("", "admin: ['*']");
    let narrowed = |scope: &str| Caller {
        scopes: Some(vec![scope.to_owned()]),
        ..caller(ApiKey, "admin")
    };
    let ask = "POST /-/api/access/v1/evaluation";
    assert_eq!(
        reason(&tables, &narrowed("authorization:evaluate"), ask),
        None
    );
    for (scope, asked, missing) in [
        ("a:read", ask, "authorization:evaluate"),
        ("authorization:assert", ask, "authorization:evaluate"),
        (
            "authorization:evaluate",
            "POST /-/api/access/assert",
            "authorization:assert",
        ),
    ] {
        let missing = Reason::MissingPermission(missing.to_owned());
        assert_eq!(reason(&tables, &narrowed(scope), asked), Some(missing));
    }
}

#[test]
fn what_changes_an_account_needs_a_recent_sign_in() {
    let tables = tables("", "admin: ['*']");
    let signed_in = |auth_time| Caller {
        auth_time: Some(auth_time),
        ..caller(Session, "admin")
    };
    let now = request("GET", "/").now;
    for matched in [
        "POST /-/api/me/password",
        "POST /-/api/keys",
        "POST /-/api/keys/k-1/rotate",
        "POST /-/api/users",
        "PUT /-/api/roles/buyer",
        "POST /-/api/clusters",
        "PATCH /-/api/organization",
    ] {
        assert_eq!(reason(&tables, &signed_in(now), matched), None, "{matched}");
        assert_eq!(
            reason(&tables, &signed_in(now - 16 * 60), matched),
            Some(Reason::SignInRequired),
            "{matched}"
        );
    }
}

#[test]
fn organizations_and_policies_are_for_operators() {
    let tables = tables("", "admin: ['*']");
    let operator = Caller {
        operator: true,
        ..caller(Session, "ghost")
    };
    for matched in [
        "GET /-/api/organizations",
        "DELETE /-/api/organizations/acme",
        "GET /-/api/policies",
        "GET /-/api/policies/shadow",
    ] {
        assert_eq!(reason(&tables, &operator, matched), None, "{matched}");
        assert_eq!(
            reason(&tables, &caller(Session, "admin"), matched),
            Some(Reason::OperatorRequired)
        );
    }
    for changing in [
        "POST /-/api/organizations",
        "POST /-/api/policies",
        "POST /-/api/policies/sha256:9f86d0/activate",
        "DELETE /-/api/policies/shadow",
    ] {
        assert_eq!(
            reason(&tables, &operator, changing),
            Some(Reason::SignInRequired),
            "{changing}"
        );
    }
}

#[test]
fn no_catch_all_of_a_document_reaches_the_management_api() {
    let tables = open();
    for unknown in [
        "GET /-/api",
        "GET /-/api/nothing",
        "PUT /-/api/organization",
    ] {
        assert_eq!(
            reason(&tables, &caller(Session, "admin"), unknown),
            Some(Reason::NoRoute),
            "{unknown}"
        );
        assert_eq!(
            reason(&tables, &Caller::anonymous(), unknown),
            Some(Reason::NotAuthenticated)
        );
        assert_eq!(
            reason(&tables, &caller(Agent, "agent"), unknown),
            Some(Reason::NoRoute)
        );
    }
    for elsewhere in ["GET /-/apis", "GET /api/-/api", "GET /-"] {
        assert_eq!(reason(&tables, &Caller::anonymous(), elsewhere), None);
    }
    assert_eq!(
        reason(&tables, &Caller::anonymous(), "GET /-/API/me"),
        Some(Reason::AmbiguousPath)
    );
}
