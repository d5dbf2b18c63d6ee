//! Explanations of a small policy, and that every suggestion holds, whatever is asked.

use std::convert::Infallible;

use proptest::prelude::*;

use super::{Change, Explanation, Question, Why, explain, is_allowed};
use crate::sample::{caller, request, sample};
use crate::{Caller, CallerKind, Clusters, Tables, decide, document, documents};

fn asked(tables: &Tables, question: &Question) -> Explanation {
    let ask = |question: &Question| {
        Ok::<_, Infallible>(decide(tables, &question.caller, &question.request))
    };
    explain(tables.description(), question, ask).unwrap_or_else(|never| match never {})
}

/// Each suggestion gives the other answer, and none of its changes can be left out.
fn hold(
    tables: &Tables,
    question: &Question,
    explanation: &Explanation,
) -> Result<(), TestCaseError> {
    for suggestion in &explanation.otherwise {
        let with = |without: Option<usize>| {
            let mut other = question.clone();
            let changes = suggestion.changes.iter().enumerate();
            changes
                .filter(|(place, _)| Some(*place) != without)
                .for_each(|(_, change)| change.apply(&mut other));
            is_allowed(&decide(tables, &other.caller, &other.request))
        };
        let (before, text) = (explanation.is_allowed(), &suggestion.text);
        prop_assert_ne!(with(None), before, "{:?} {}", question, text);
        for place in 0..suggestion.changes.len() {
            prop_assert_eq!(with(Some(place)), before, "{:?} {}", question, text);
        }
    }
    Ok(())
}

fn of(caller: Caller, method: &str, path: &str) -> Explanation {
    let question = Question {
        caller,
        request: request(method, path),
        registered: None,
    };
    asked(&sample(), &question)
}

fn texts(explanation: &Explanation) -> Vec<&str> {
    explanation
        .otherwise
        .iter()
        .map(|suggestion| suggestion.text.as_str())
        .collect()
}

#[test]
fn a_missing_permission_says_which_role_has_it() {
    let viewer = caller(CallerKind::Session, "viewer");
    let refused = of(viewer, "DELETE", "/v1/clusters/prod");
    assert_eq!(
        refused.because,
        "nothing that the caller has holds `clusters:write`"
    );
    assert_eq!(
        texts(&refused),
        [
            "give the caller the role `admin`",
            "give the caller `clusters:write` by a custom role"
        ]
    );
    let grants = refused.grants.expect("the route requires one");
    assert!(grants.roles[0].is_known && !grants.roles[0].has);
    assert_eq!(refused.near_misses[0].why, Why::OtherMethod);
}

#[test]
fn what_is_wrong_at_once_is_repaired_together() {
    let key = Caller {
        scopes: Some(vec!["nodes:read".to_owned()]),
        allowed_clusters: Clusters::only(["dev"]),
        ..caller(CallerKind::ApiKey, "viewer")
    };
    let refused = of(key.clone(), "GET", "/v1/clusters/prod/nodes");
    assert_eq!(
        refused.because,
        "the key does not carry the scope `clusters:read`"
    );
    assert_eq!(
        texts(&refused)[0],
        "put the scope `clusters:read` on the key, and put the cluster `prod` on the key's list"
    );
    assert!(texts(&refused).contains(
        &"put the scope `clusters:read` on the key, and ask for `GET /v1/clusters/dev/nodes`"
    ));
    let costs = of(key, "GET", "/v1/nodes");
    assert_eq!(
        costs.because,
        "a caller restricted to clusters must name one with `?cluster_id=`"
    );
    assert_eq!(
        costs.otherwise[0].changes,
        [Change::Query {
            name: "cluster_id".to_owned(),
            value: "dev".to_owned()
        }]
    );
}

#[test]
fn an_allow_says_what_it_rests_on() {
    let allowed = of(
        caller(CallerKind::Session, "viewer"),
        "GET",
        "/v1/clusters/prod",
    );
    assert_eq!(allowed.because, "the role `viewer` has `clusters:read`");
    assert_eq!(
        texts(&allowed),
        [
            "take the role `viewer` from the caller",
            "restrict the caller to clusters without `prod`",
            "leave the credential out"
        ]
    );
    let public = of(Caller::anonymous(), "GET", "/health");
    assert_eq!(public.because, "the route is public");
    assert!(public.otherwise.is_empty());
}

#[test]
fn a_path_that_no_route_has_shows_the_nearest() {
    let viewer = caller(CallerKind::Session, "viewer");
    let refused = of(viewer.clone(), "GET", "/v1/clustres/prod");
    assert_eq!(refused.because, "no route matches");
    assert_eq!(refused.near_misses[0].pattern, "/v1/clusters/{cluster}/**");
    assert_eq!(texts(&refused)[0], "ask for `GET /v1/clusters/prod`");
    let method = of(viewer.clone(), "PUT", "/v1/nodes");
    assert_eq!(texts(&method), ["ask for `GET /v1/nodes`"]);
    let case = of(viewer, "GET", "/V1/nodes");
    assert_eq!(texts(&case), ["ask for `GET /v1/nodes`"]);
}

#[test]
fn strangers_agents_operators_and_stale_sessions() {
    let stranger = of(Caller::anonymous(), "GET", "/v1/nodes");
    assert_eq!(
        texts(&stranger)[0],
        "sign in as somebody with the role `viewer`"
    );
    let agent = of(caller(CallerKind::Agent, "agent"), "GET", "/v1/nodes");
    assert_eq!(
        texts(&agent)[0],
        "sign in as somebody with the role `viewer`"
    );
    let operator = of(caller(CallerKind::Session, "admin"), "POST", "/v1/policy");
    assert_eq!(texts(&operator), ["sign in as an operator of the gate"]);
    let stale = Caller {
        auth_time: Some(0),
        ..caller(CallerKind::Session, "admin")
    };
    let stale = of(stale, "POST", "/v1/users");
    assert_eq!(texts(&stale), ["sign in again"]);
    let other = Caller {
        agent_cluster: Some("dev".to_owned()),
        ..caller(CallerKind::Agent, "agent")
    };
    let mut question = Question {
        caller: other,
        request: request("POST", "/v1/metrics"),
        registered: None,
    };
    question.request.headers = vec![("x-cluster-id".to_owned(), "prod".to_owned())];
    let outside = asked(&sample(), &question);
    assert_eq!(
        texts(&outside),
        [
            "use the token of the agent of `prod`",
            "ask with the header `x-cluster-id: dev`"
        ]
    );
}

fn clusters() -> impl Strategy<Value = Clusters> {
    prop_oneof![
        Just(Clusters::All),
        prop::collection::vec(prop::sample::select(vec!["prod", "dev", "staging"]), 0..3)
            .prop_map(Clusters::only),
    ]
}

prop_compose! {
    fn callers()(
        kind in prop::sample::select(vec![CallerKind::Anonymous, CallerKind::Session, CallerKind::ApiKey, CallerKind::Agent]),
        roles in prop::collection::vec(prop::sample::select(vec!["admin", "editor", "viewer", "nobody"]), 0..3),
        permissions in prop::collection::vec(prop::sample::select(vec!["*", "clusters:*", "*:read", "alerts:write"]), 0..2),
        scopes in prop::option::of(prop::collection::vec(prop::sample::select(vec!["clusters:read", "alerts:write", "nodes:read"]), 0..3)),
        (clusters, allowed_clusters) in (clusters(), clusters()),
        operator in prop::bool::weighted(0.1),
        auth_time in prop::option::of(prop::sample::select(vec![0_i64, 999_999])),
    ) -> Caller {
        let owned = |names: Vec<&str>| -> Vec<String> { names.into_iter().map(str::to_owned).collect() };
        if kind == CallerKind::Anonymous {
            return Caller::anonymous();
        }
        let is_agent = kind == CallerKind::Agent;
        Caller {
            roles: if is_agent { vec!["agent".to_owned()] } else { owned(roles) },
            permissions: owned(permissions),
            scopes: scopes.filter(|_| kind == CallerKind::ApiKey).map(owned),
            clusters,
            allowed_clusters,
            operator,
            auth_time,
            ..caller(kind, "viewer")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_suggestion_gives_the_other_answer_and_nothing_of_it_can_be_left_out(
        which in 0..5_usize,
        caller in callers(),
        route in any::<prop::sample::Index>(),
        words in prop::collection::vec(prop::sample::select(vec!["prod", "dev", "x", "Prod"]), 8),
        spoil in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        query in prop::option::of(prop::sample::select(vec!["prod", "other"])),
    ) {
        let name = documents::names().nth(which).unwrap();
        let tables = document::compile(name, documents::builtin(name).unwrap()).unwrap();
        let routes = &tables.description().routes;
        let route = &routes[route.index(routes.len())];
        let mut words = words.into_iter();
        let mut path: String = route.pattern.split('/').skip(1).map(|segment| {
            let written = segment.starts_with('{') || segment == "**";
            format!("/{}", if written { words.next().unwrap_or("y") } else { segment })
        }).collect();
        if let Some(place) = spoil {
            path.remove(1 + place.index(path.len() - 1));
        }
        let method = if route.method == "*" { "GET" } else { &route.method };
        let mut asked_for = request(method, &path);
        if let Some(cluster) = query {
            asked_for.query = vec![("cluster_id".to_owned(), cluster.to_owned())];
        }
        let question = Question { caller, request: asked_for, registered: None };
        let explanation = asked(&tables, &question);
        hold(&tables, &question, &explanation)?;
        // Whoever asks for what is there can be helped.
        if spoil.is_none() && !explanation.is_allowed() {
            prop_assert!(!explanation.otherwise.is_empty(), "{:?}: {}", question, explanation.because);
        }
    }
}

mod conditions;
