//! Whatever the bytes, an answer; and what is packed comes out as it went in.

use proptest::prelude::*;

use super::{Answer, answer, pack_caller, pack_request};
use crate::packed::RequestRef;
use crate::sample::{caller, request, sample, sample_rules};
use crate::{Caller, CallerKind, Clusters, Outcome, Request, Tables, Vocabulary, decide};

fn question(tables: &Tables, caller: &Caller, request: &Request) -> Vec<u8> {
    let mut bytes = pack_caller(tables.vocabulary(), caller);
    pack_request(&mut bytes, &RequestRef::from(request));
    bytes
}

fn is_fault(bits: u64) -> bool {
    Answer::from_bits(bits).is_ok_and(|answer| {
        let description = sample_rules().description;
        let nobody = Caller::anonymous();
        answer
            .decision(
                &description,
                &nobody,
                &RequestRef::from(&request("GET", "/")),
            )
            .is_err()
    }) || Answer::from_bits(bits).is_err()
}

#[test]
fn a_question_for_another_policy_is_a_fault() {
    let tables = sample();
    let mut other = sample_rules();
    other.description.roles.swap(0, 1);
    let vocabulary = Vocabulary::new(&other.description);
    let mut bytes = pack_caller(&vocabulary, &caller(CallerKind::Session, "viewer"));
    pack_request(&mut bytes, &RequestRef::from(&request("GET", "/health")));
    assert!(is_fault(answer(&tables, &bytes)));
}

#[test]
fn a_question_that_is_cut_off_is_never_an_allow() {
    let tables = sample();
    let mut someone = caller(CallerKind::ApiKey, "viewer");
    someone.clusters = Clusters::only(["prod", "dev"]);
    someone.scopes = Some(vec!["*".to_owned()]);
    let mut asked = request("GET", "/v1/nodes");
    asked
        .query
        .push(("cluster_id".to_owned(), "prod".to_owned()));
    let bytes = question(&tables, &someone, &asked);
    for cut in 0..bytes.len() {
        let bits = answer(&tables, &bytes[..cut]);
        assert_ne!(bits as u8, 1, "{cut}");
        assert_ne!(bits, 0);
    }
}

#[test]
fn unsorted_lists_of_clusters_are_sorted_when_packed() {
    let tables = sample();
    let mut someone = caller(CallerKind::ApiKey, "viewer");
    someone.allowed_clusters = Clusters::Only(
        ["z", "a", "m", "a", "not an id"]
            .map(str::to_owned)
            .to_vec(),
    );
    for (cluster, allowed) in [("z", true), ("a", true), ("m", true), ("b", false)] {
        let decision = decide(
            &tables,
            &someone,
            &request("GET", &format!("/v1/clusters/{cluster}")),
        );
        assert_eq!(
            matches!(decision.outcome, Outcome::Allow(_)),
            allowed,
            "{cluster}"
        );
    }
}

#[test]
fn a_path_of_any_length_is_answered() {
    let tables = sample();
    let admin = caller(CallerKind::Session, "admin");
    for (path, found) in [
        (format!("/v1/clusters/prod{}", "/x".repeat(61)), true),
        (format!("/v1/clusters/prod{}", "/x".repeat(62)), false),
        (format!("/v1/clusters/prod/{}", "x".repeat(65_000)), true),
        (format!("/v1/clusters/prod/{}", "x".repeat(66_000)), false),
    ] {
        let decision = decide(&tables, &admin, &request("GET", &path));
        assert_eq!(
            matches!(decision.outcome, Outcome::Allow(_)),
            found,
            "{}",
            path.len()
        );
    }
}

#[test]
fn the_codec_gives_the_same_tables_back() {
    let tables = sample();
    let bytes = tables.encode();
    assert_eq!(Tables::decode(&bytes).unwrap().rules(), tables.rules());
    for cut in 0..bytes.len() {
        assert!(Tables::decode(&bytes[..cut]).is_err());
    }
    assert!(Tables::decode(&[bytes.clone(), vec![0]].concat()).is_err());
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    let break_with = |change: fn(&mut crate::Rules)| {
        let mut rules = sample_rules();
        change(&mut rules);
        let bytes = [vec![3], postcard::to_allocvec(&rules).unwrap()].concat();
        Tables::decode(&bytes).err()
    };
    assert!(break_with(|_| {}).is_none());
    let breaks: [fn(&mut crate::Rules); 15] = [
        |r| r.options.truncate(3),
        // Conditions that nobody compiled.
        |r| r.description.routes[0].when = Some("true".to_owned()),
        |r| r.description.roles[0].when = Some("true".to_owned()),
        |r| r.description.routes[0].method = "HEAD".to_owned(),
        |r| r.description.routes[1].requires = Some("no:such".to_owned()),
        |r| r.description.routes[1].requires = None,
        |r| r.description.routes[0].pattern = "/v1/{a}x".to_owned(),
        |r| r.description.routes[2].cluster = crate::ClusterSource::Path(9),
        |r| r.description.routes[4].pattern = "/v1/CLUSTERS".to_owned(),
        |r| r.description.roles[0].permissions.push("*".to_owned()),
        |r| r.description.permissions[0].name = "nodes:read".to_owned(),
        // Management is what is under `/-/api`, and public to nobody.
        |r| r.options[1].management = true,
        |r| r.description.routes[1].pattern = "/-/api/clusters".to_owned(),
        |r| r.description.routes[0].pattern = "/-/api".to_owned(),
        |r| {
            r.description.routes[0].pattern = "/-/api/health".to_owned();
            r.options[0].management = true;
        },
    ];
    let requires_nothing = break_with(|r| {
        r.description.routes[1].requires = None;
        r.description.routes[1].pattern = "/-/api/clusters".to_owned();
        r.options[1].management = true;
    });
    assert_eq!(requires_nothing, None);
    for (number, change) in breaks.into_iter().enumerate() {
        assert!(break_with(change).is_some(), "{number}");
    }
}

fn any_clusters() -> impl Strategy<Value = Clusters> {
    let ids = prop::sample::subsequence(vec!["dev", "prod", "staging", "test"], 0..=4);
    prop_oneof![Just(Clusters::All), ids.prop_map(Clusters::only)]
}

fn any_caller() -> impl Strategy<Value = Caller> {
    let kind = prop_oneof![
        Just(CallerKind::Anonymous),
        Just(CallerKind::Session),
        Just(CallerKind::ApiKey),
        Just(CallerKind::Agent)
    ];
    let names = || {
        let all = vec![
            "clusters:read",
            "*:read",
            "metrics:*",
            "*",
            "nodes:read",
            "users:write",
            "x:y",
        ];
        prop::sample::subsequence(all, 0..=3)
            .prop_map(|names| names.into_iter().map(str::to_owned).collect())
    };
    let roles = prop::sample::subsequence(vec!["viewer", "agent", "admin", "ghost"], 0..=2)
        .prop_map(|names| {
            names
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<String>>()
        });
    let facts = (
        any::<bool>(),
        any::<bool>(),
        prop::option::of(999_000..1_000_100_i64),
        prop::option::of(0..1_000_100_i64),
    );
    (
        kind,
        roles,
        names(),
        prop::option::of(names()),
        any_clusters(),
        any_clusters(),
        prop::option::of(Just("prod")),
        facts,
    )
        .prop_map(
            |(kind, roles, permissions, scopes, clusters, allowed_clusters, own, facts)| Caller {
                roles,
                permissions,
                scopes,
                clusters,
                allowed_clusters,
                agent_cluster: own.filter(|_| kind == CallerKind::Agent).map(str::to_owned),
                operator: facts.0,
                mfa: facts.1,
                auth_time: facts.2,
                credential_created: facts.3,
                ..caller(kind, "")
            },
        )
}

fn any_request() -> impl Strategy<Value = Request> {
    let segment = prop::sample::select(vec![
        "v1",
        "clusters",
        "Clusters",
        "prod",
        "dev",
        "nodes",
        "metrics",
        "costs",
        "organization",
        "policy",
        "users",
        "report",
        "Report",
        "health",
        "",
        "x y",
    ]);
    let known = prop::sample::select(vec![
        "/health",
        "/v1/clusters",
        "/v1/clusters/prod",
        "/v1/clusters/dev/nodes",
        "/v1/costs",
        "/v1/nodes",
        "/v1/metrics",
        "/v1/organization",
        "/v1/policy",
        "/v1/users",
        "/v1/Report",
    ])
    .prop_map(str::to_owned);
    let any_path =
        prop::collection::vec(segment, 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "DELETE", "PURGE"]);
    let cluster = || prop::option::of(prop::sample::select(vec!["prod", "dev", "", "?"]));
    (method, prop_oneof![known, any_path], cluster(), cluster()).prop_map(
        |(method, path, query, header)| {
            let field = |name: &str, value: Option<&str>| {
                value
                    .map(|value| (name.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect()
            };
            Request {
                query: field("cluster_id", query),
                headers: field("x-cluster-id", header),
                ..request(method, &path)
            }
        },
    )
}

/// Whether what is visible in `narrow` is in `wide` too.
fn is_within(narrow: &Clusters, wide: &Clusters) -> bool {
    narrow.intersect(wide) == *narrow
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bits = answer(&sample(), &bytes);
        prop_assert_ne!(bits, 0);
        prop_assert_ne!(bits as u8, 1);
    }

    #[test]
    fn changed_bytes_have_an_answer(
        someone in any_caller(),
        asked in any_request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let tables = sample();
        let mut bytes = question(&tables, &someone, &asked);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assert_ne!(answer(&tables, &bytes), 0);
    }

    #[test]
    fn any_bits_are_an_answer_or_malformed(bits in any::<u64>(), low in 0..0x40000_u64) {
        for bits in [bits, low, low | 0xffff << 32] {
            if let Ok(answer) = Answer::from_bits(bits) {
                prop_assert_eq!(answer.to_bits(), bits);
                let asked = request("GET", "/v1/nodes");
                let _ = answer.decision(&sample_rules().description, &Caller::anonymous(), &RequestRef::from(&asked));
            }
        }
    }

    #[test]
    fn the_answer_says_what_the_decision_says(someone in any_caller(), asked in any_request()) {
        let tables = Tables::decode(&sample().encode()).unwrap();
        let bits = answer(&tables, &question(&tables, &someone, &asked));
        let decision = Answer::from_bits(bits)
            .unwrap()
            .decision(tables.description(), &someone, &RequestRef::from(&asked));
        prop_assert_eq!(decision, Ok(decide(&sample(), &someone, &asked)));
    }

    #[test]
    fn narrowing_never_widens(
        wide in any_caller(),
        asked in any_request(),
        scopes in prop::collection::vec(prop::sample::select(vec!["clusters:read", "*:read", "metrics:write"]), 0..3),
        clusters in any_clusters(),
        which in 0..4,
    ) {
        let mut narrow = wide.clone();
        match which {
            0 => {
                let had = wide.scopes.clone();
                let vocabulary = Vocabulary::new(&sample_rules().description);
                let expand = |patterns: &[String]| -> Vec<String> {
                    patterns.iter().flat_map(|p| vocabulary.expand(p).map(str::to_owned).collect::<Vec<_>>()).collect()
                };
                let new = expand(&scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
                narrow.scopes = Some(match had {
                    Some(had) => expand(&had).into_iter().filter(|name| new.contains(name)).collect(),
                    None => new,
                });
            }
            1 => narrow.clusters = wide.clusters.intersect(&clusters),
            2 => narrow.allowed_clusters = wide.allowed_clusters.intersect(&clusters),
            _ => { narrow.roles.pop(); }
        }
        let tables = sample();
        if let Outcome::Allow(visible) = decide(&tables, &narrow, &asked).outcome {
            match decide(&tables, &wide, &asked).outcome {
                Outcome::Allow(before) => prop_assert!(is_within(&visible, &before)),
                Outcome::Deny(reason) => prop_assert!(false, "widened what was refused: {:?}", reason),
            }
        }
    }

    #[test]
    fn what_is_visible_is_the_callers(someone in any_caller(), asked in any_request()) {
        if let Outcome::Allow(visible) = decide(&sample(), &someone, &asked).outcome {
            prop_assert!(is_within(&visible, &someone.effective_clusters()));
        }
    }
}
