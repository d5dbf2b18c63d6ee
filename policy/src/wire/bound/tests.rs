use crate::{PermissionInfo, Request, Restriction, RoleInfo, Rule};

use super::*;

fn description() -> Description {
    let route = |method: &str, pattern: &str, public: bool, cluster: ClusterSource| RouteInfo {
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        public,
        requires: (!public).then(|| "clusters:read".to_owned()),
        when: None,
        cluster,
    };
    Description {
        name: "bounds".to_owned(),
        version: String::new(),
        permissions: vec![PermissionInfo {
            name: "clusters:read".to_owned(),
            category: String::new(),
            unlocks: String::new(),
            scope: true,
        }],
        roles: vec![RoleInfo {
            name: "viewer".to_owned(),
            permissions: vec!["clusters:read".to_owned()],
            when: None,
        }],
        routes: vec![
            route("GET", "/v1/health", true, ClusterSource::Spans),
            route(
                "GET",
                "/v1/clusters/{cluster}/**",
                false,
                ClusterSource::Path(2),
            ),
            route(
                "GET",
                "/v1/costs",
                false,
                ClusterSource::Query("cluster".to_owned()),
            ),
            route("GET", "/v1/everything", false, ClusterSource::Spans),
            route("*", "/v1/organization", false, ClusterSource::None),
        ],
        headers: Vec::new(),
    }
}

fn caller(clusters: Clusters) -> Caller {
    Caller {
        kind: CallerKind::Session,
        clusters,
        allowed_clusters: Clusters::All,
        ..Caller::anonymous()
    }
}

fn request(path: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        now: 0,
        address: None,
    }
}

fn answer(outcome: Outcome, route: Option<u32>) -> Decision {
    Decision {
        outcome,
        rule: Rule {
            route,
            grant: Grant::Role(0),
            restriction: Restriction::None,
        },
    }
}

fn allow(route: u32) -> Decision {
    answer(Outcome::Allow(Clusters::All), Some(route))
}

fn registered() -> BTreeSet<String> {
    ["dev", "prod"].map(str::to_owned).into()
}

/// The outcome of an allow by a policy that gives everything to everybody.
fn bounded(route: u32, caller: &Caller, request: &Request) -> Result<Outcome, String> {
    bound(
        allow(route),
        &description(),
        caller,
        &request.into(),
        &registered(),
    )
    .map(|decision| decision.outcome)
}

fn sense(decision: &Decision, path: &str) -> Result<(), String> {
    let description = description();
    let vocabulary = Vocabulary::new(&description);
    let request = request(path);
    check_sense(
        decision,
        &description,
        &vocabulary,
        &caller(Clusters::All),
        &RequestRef::from(&request),
    )
}

#[test]
fn visible_clusters_are_the_callers_and_registered() {
    let mine = caller(Clusters::only(["dev", "gone"]));
    let organization = request("/v1/organization");
    assert_eq!(
        bounded(4, &mine, &organization),
        Ok(Outcome::Allow(Clusters::only(["dev"])))
    );
    assert_eq!(
        bounded(4, &caller(Clusters::All), &organization),
        Ok(Outcome::Allow(Clusters::All))
    );
    assert_eq!(
        bounded(4, &caller(Clusters::Only(Vec::new())), &organization),
        Ok(Outcome::Allow(Clusters::Only(Vec::new())))
    );
}

#[test]
fn a_named_cluster_is_one_of_the_callers_and_registered() {
    let refused = |id: &str| Ok(Outcome::Deny(Reason::ClusterNotAllowed(id.to_owned())));
    let mine = caller(Clusters::only(["dev", "gone"]));
    let path = |id: &str| request(&format!("/v1/clusters/{id}/nodes"));
    assert_eq!(
        bounded(1, &mine, &path("dev")),
        Ok(Outcome::Allow(Clusters::only(["dev"])))
    );
    assert_eq!(bounded(1, &mine, &path("prod")), refused("prod"));
    assert_eq!(bounded(1, &mine, &path("gone")), refused("gone"));
    assert_eq!(
        bounded(1, &caller(Clusters::All), &path("gone")),
        refused("gone")
    );
    assert_eq!(
        bounded(1, &caller(Clusters::All), &path("prod")),
        Ok(Outcome::Allow(Clusters::only(["prod"])))
    );
}

#[test]
fn a_restricted_caller_names_a_cluster_or_stays_out() {
    let mine = caller(Clusters::only(["dev"]));
    assert_eq!(
        bounded(3, &mine, &request("/v1/everything")),
        Ok(Outcome::Deny(Reason::ClustersRestricted))
    );
    assert_eq!(
        bounded(2, &mine, &request("/v1/costs")),
        Ok(Outcome::Deny(Reason::ClusterRequired))
    );
    assert_eq!(
        bounded(2, &caller(Clusters::All), &request("/v1/costs")),
        Ok(Outcome::Allow(Clusters::All))
    );
}

#[test]
fn an_agents_own_cluster_is_implied_and_must_exist() {
    let agent = |own: &str| Caller {
        kind: CallerKind::Agent,
        agent_cluster: Some(own.to_owned()),
        ..caller(Clusters::All)
    };
    let costs = request("/v1/costs");
    assert_eq!(
        bounded(2, &agent("dev"), &costs),
        Ok(Outcome::Allow(Clusters::only(["dev"])))
    );
    assert_eq!(
        bounded(2, &agent("gone"), &costs),
        Ok(Outcome::Deny(Reason::ClusterNotAllowed("gone".to_owned())))
    );
}

#[test]
fn nobody_passes_without_a_credential_but_on_public_routes() {
    let anonymous = Caller::anonymous();
    assert_eq!(
        bounded(0, &anonymous, &request("/v1/health")),
        Ok(Outcome::Allow(Clusters::Only(Vec::new())))
    );
    for (route, path) in [
        (1, "/v1/clusters/dev/nodes"),
        (2, "/v1/costs"),
        (3, "/v1/everything"),
        (4, "/v1/organization"),
    ] {
        assert!(
            bounded(route, &anonymous, &request(path))
                .unwrap_err()
                .contains("not public")
        );
    }
    let public = Decision {
        rule: Rule {
            grant: Grant::Public,
            ..allow(4).rule
        },
        ..allow(4)
    };
    let request = request("/v1/organization");
    let caller = caller(Clusters::All);
    assert!(
        bound(
            public,
            &description(),
            &caller,
            &RequestRef::from(&request),
            &registered()
        )
        .is_err()
    );
}

#[test]
fn nonsense_is_named() {
    let deny = |reason: Reason, route: Option<u32>| answer(Outcome::Deny(reason), route);
    let nodes = "/v1/clusters/dev/nodes";
    let nonsense = [
        (allow(9), nodes, "route 9"),
        (allow(3), nodes, "not the request's"),
        (
            answer(Outcome::Allow(Clusters::All), None),
            nodes,
            "without a route",
        ),
        (
            Decision {
                rule: Rule {
                    grant: Grant::Role(7),
                    ..allow(1).rule
                },
                ..allow(1)
            },
            nodes,
            "role 7",
        ),
        (
            deny(Reason::MissingPermission("a\"b".to_owned()), Some(1)),
            nodes,
            "catalogue",
        ),
        (
            deny(Reason::ClusterNotAllowed("prod".to_owned()), Some(1)),
            nodes,
            "does not name",
        ),
        (
            deny(Reason::AgentOutsideCluster("dev".to_owned()), None),
            nodes,
            "does not name",
        ),
        (
            deny(Reason::Other("x\r\nset-cookie: a".to_owned()), None),
            nodes,
            "not a word",
        ),
        (
            deny(Reason::Other(String::new()), None),
            nodes,
            "not a word",
        ),
    ];
    for (decision, path, word) in nonsense {
        let error = sense(&decision, path).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    for decision in [
        allow(1),
        deny(Reason::ClusterNotAllowed("dev".to_owned()), Some(1)),
        deny(
            Reason::MissingPermission("clusters:read".to_owned()),
            Some(1),
        ),
        deny(Reason::Other("office-hours".to_owned()), None),
        deny(Reason::NoRoute, None),
    ] {
        assert_eq!(sense(&decision, nodes), Ok(()));
    }
}

#[test]
fn patterns_match_whole_paths() {
    let route = |pattern: &str| RouteInfo {
        method: "GET".to_owned(),
        pattern: pattern.to_owned(),
        public: true,
        requires: None,
        when: None,
        cluster: ClusterSource::None,
    };
    let matches =
        |pattern: &str, path: &str| is_route_of(&route(pattern), &RequestRef::from(&request(path)));
    assert!(matches("/", "/"));
    assert!(matches("/**", "/"));
    assert!(matches("/v1/{a}", "/v1/x/"));
    assert!(matches("/v1/{a}/**", "/v1/x"));
    assert!(matches("/v1/{a}/**", "/v1/x/y/z"));
    assert!(!matches("/v1/{a}", "/v1"));
    assert!(!matches("/v1/{a}", "/v1/x/y"));
    assert!(!matches("/v1/a", "/v1/b"));
    assert!(!matches("/", "/v1"));
    let request = Request {
        method: "POST".to_owned(),
        ..request("/v1")
    };
    assert!(!is_route_of(&route("/v1"), &RequestRef::from(&request)));
}

/// What a policy that gives everything to everybody opens of the management API.
fn managed(pattern: &str, public: bool, caller: &Caller, path: &str) -> Result<Outcome, String> {
    let mut description = description();
    description.routes = vec![RouteInfo {
        method: "*".to_owned(),
        pattern: pattern.to_owned(),
        public,
        requires: None,
        when: None,
        cluster: ClusterSource::None,
    }];
    let grant = if public { Grant::Public } else { Grant::None };
    let decision = Decision {
        rule: Rule {
            grant,
            ..allow(0).rule
        },
        ..allow(0)
    };
    let request = request(path);
    bound(
        decision,
        &description,
        caller,
        &RequestRef::from(&request),
        &registered(),
    )
    .map(|decision| decision.outcome)
}

#[test]
fn no_policy_opens_management_to_strangers_and_agents() {
    let everything = Ok(Outcome::Allow(Clusters::All));
    let named = caller(Clusters::All);
    let agent = Caller {
        kind: CallerKind::Agent,
        agent_cluster: Some("dev".to_owned()),
        ..caller(Clusters::All)
    };
    // A key that is bound to a cluster is an agent's, by whatever name.
    let disguised = Caller {
        agent_cluster: Some("dev".to_owned()),
        ..caller(Clusters::All)
    };
    for public in [false, true] {
        for path in ["/-/api", "/-/api/", "/-/api/me", "/-/api/agents/a-1"] {
            let opened = |caller: &Caller| managed("/-/api/**", public, caller, path);
            assert_eq!(opened(&named), everything, "{path}");
            assert_eq!(
                opened(&Caller::anonymous()),
                Ok(Outcome::Deny(Reason::NotAuthenticated))
            );
            assert_eq!(opened(&agent), Ok(Outcome::Deny(Reason::NoRoute)));
            assert_eq!(opened(&disguised), Ok(Outcome::Deny(Reason::NoRoute)));
        }
        for catch_all in ["/**", "/{a}/**", "/-/**", "/-/{a}/me"] {
            assert_eq!(
                managed(catch_all, public, &named, "/-/api/me"),
                Ok(Outcome::Deny(Reason::NoRoute)),
                "{catch_all}"
            );
        }
        assert_eq!(managed("/**", public, &named, "/-/apis"), everything);
    }
}

#[test]
fn no_policy_opens_what_concerns_every_organization_to_one() {
    let named = caller(Clusters::All);
    let operator = Caller {
        operator: true,
        ..caller(Clusters::All)
    };
    for path in [
        "/-/api/organizations",
        "/-/api/organizations/other",
        "/-/api/policies",
        "/-/api/policies/shadow/promote",
    ] {
        assert_eq!(
            managed("/-/api/**", false, &named, path),
            Ok(Outcome::Deny(Reason::OperatorRequired))
        );
        assert!(matches!(
            managed("/-/api/**", false, &operator, path),
            Ok(Outcome::Allow(_))
        ));
    }
    for path in ["/-/api/organization", "/-/api/policy"] {
        assert!(matches!(
            managed("/-/api/**", false, &named, path),
            Ok(Outcome::Allow(_))
        ));
    }
}
