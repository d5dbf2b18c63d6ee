//! Workloads with the tokens of their service accounts: each is its cluster's agent, and nothing else whatever it says.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey};
use scopegate_policy::wire::filter::{Answer, Stale};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    cluster::{ACCOUNT, Cluster, ISSUER, gate_of, metrics},
    issuers::Provider,
    tls_server::{TlsServer, http_ok},
    tokens::{NOW, cause, token, with},
    world::{NOW_MS, World, ask, get, limits, only},
};
use crate::{
    CallerKind, Cause,
    authenticate::{IssuerKeys, Issuers, KubernetesConfig, Place, ProofConfig, TokenReview},
    store::Change,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_the_agent_of_its_cluster() {
    let cluster = Cluster::new();
    let world = gate_of("scopegate", vec![cluster.config()], Vec::new()).await;
    let good = cluster.token(json!({}));
    let admission = metrics(&good).admitted(&world).await;
    assert_eq!(admission.expires_at, Some(NOW + 3540));
    let own = |name: &str| {
        let set = admission.identity.iter().find(|(known, _)| known == name);
        set.unwrap().1.to_str().unwrap().to_owned()
    };
    assert_eq!(own("x-cluster-id"), "prod");
    assert_eq!(own("x-scopegate-clusters"), "prod");
    assert_eq!(own("x-scopegate-roles"), "agent");
    assert_eq!(own("x-scopegate-subject"), own("x-scopegate-credential"));
    let principal = admission.principal.unwrap();
    assert_eq!(principal.kind, CallerKind::Agent);
    assert_eq!(principal.organization, world.fixture.organization);
    assert_eq!((principal.user, principal.expires_at), (None, None));
    assert_eq!(principal.name, ACCOUNT);
    let caller = &principal.caller;
    assert_eq!(caller.roles, ["agent"]);
    assert_eq!(caller.clusters, only(&["prod"]));
    assert_eq!(caller.agent_cluster.as_deref(), Some("prod"));
    assert!(!caller.operator && !caller.mfa && caller.permissions.is_empty());

    // What agents may not, it may not.
    let refused = get("/v1/organization").bearer(&good).refused(&world).await;
    assert_eq!(refused.status, 403);
    let elsewhere = metrics(&good).header("x-cluster-id", "staging");
    assert_eq!(
        elsewhere.cause(&world).await.code(),
        "agent-outside-cluster"
    );
    assert_eq!(get("/-/api/me").bearer(&good).status(&world).await, 404);

    // One account has one credential and one bucket, whatever its pods and tokens are.
    let pod = cluster.token(Cluster::claims_of("monitoring", "agent", "agent-x2x2"));
    let other_pod = metrics(&pod).admitted(&world).await.principal.unwrap();
    assert_eq!(other_pod.credential, principal.credential);
    let other = cluster.token(Cluster::claims_of("agents", "any", "any-1"));
    let other = metrics(&other).admitted(&world).await.principal.unwrap();
    assert_ne!(other.credential, principal.credential);
    for n in 0..20 {
        metrics(&cluster.token(json!({ "jti": n.to_string() })))
            .on(&world)
            .await;
    }
    let full = metrics(&pod).refused(&world).await;
    assert_eq!(
        (full.cause, limits(&full.headers).0),
        (Cause::RateLimited, 20)
    );

    let log = world.log().await;
    assert_eq!(log[0]["kind"], "agent");
    assert_eq!(log[0]["name"], ACCOUNT);
    assert_eq!(log[0]["agent"], "agent-7d9f");
    assert_eq!(log[0]["cluster"], "prod");
    let of_pod = log
        .iter()
        .find(|line| line["agent"] == "agent-x2x2")
        .unwrap();
    assert_eq!(of_pod["credential"], log[0]["credential"]);
    assert!(!world.text_of_log().await.contains("eyJ"));
}

/// Claims that mean something in a session's token, or in an issuer's.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_claims_it_is_an_agent() {
    let cluster = Cluster::new();
    let people = Provider::new();
    let people_config = people.config(people.fixed());
    let world = gate_of("scopegate", vec![cluster.config()], vec![people_config]).await;
    let session = world.claims(world.admin().await).await;
    let more = json!({
        "groups": ["platform"], "roles": ["admin"], "org_id": Uuid::new_v4(), "operator": true,
        "sid": session.sid, "auth_time": NOW, "mfa": true, "clusters": ["staging"], "scope": "*",
    });
    let more = cluster.token(more);
    let principal = metrics(&more).admitted(&world).await.principal.unwrap();
    assert_eq!(principal.kind, CallerKind::Agent);
    assert_eq!(principal.caller.roles, ["agent"]);
    assert_eq!(principal.caller.clusters, only(&["prod"]));
    assert_eq!(
        get("/v1/organization").bearer(&more).status(&world).await,
        403
    );

    // A person whom an issuer gives the subject and the claims of a service account is a person.
    let claims = Cluster::claims();
    let posing = people.token(json!({
        "sub": claims["sub"], "kubernetes.io": claims["kubernetes.io"], "groups": ["staff"],
    }));
    let person = get("/v1/organization")
        .bearer(&posing)
        .admitted(&world)
        .await;
    let person = person.principal.unwrap();
    assert_eq!(person.kind, CallerKind::Session);
    assert_eq!(person.caller.roles, ["viewer"]);
    assert_ne!(person.credential, principal.credential);
    assert_eq!(metrics(&posing).status(&world).await, 403);
    // Neither key signs for the other.
    let header = json!({ "alg": "ES256", "kid": "e" });
    for forged in [
        people.sign(&header, &claims),
        cluster.token(with(&Provider::claims(), json!({ "aud": "costs" }))),
    ] {
        assert_eq!(
            cause(&world, &forged).await,
            Cause::InvalidToken("signature")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_quite_such_a_token_is_refused() {
    let cluster = Cluster::new();
    let world = gate_of("kubewatch", vec![cluster.config()], Vec::new()).await;
    let invalid = Cause::InvalidToken;
    let public = std::fs::read(cluster.0.folder.path().join("public.pem")).unwrap();
    let by_secret = |key: &[u8]| {
        let header = json!({ "alg": "HS256", "kid": "e" });
        let key = EncodingKey::from_secret(key);
        token(&header, &Cluster::claims(), &key, Algorithm::HS256)
    };
    let good = cluster.token(json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    let other_account = Cluster::claims_of("monitoring", "other", "x");
    // KW-12 to KW-14: what cannot be believed comes before what is over, and that before the rest.
    let over = json!({ "exp": NOW, "iat": NOW - 60 });
    for (token, expected) in [
        (by_secret(&public), invalid("algorithm")),
        (by_secret(b"x"), invalid("algorithm")),
        (format!("{message}."), invalid("signature")),
        (Cluster::new().token(json!({})), invalid("signature")),
        (Cluster::new().token(over.clone()), invalid("signature")),
        (
            cluster
                .0
                .sign(&json!({ "alg": "ES256", "kid": "o" }), &Cluster::claims()),
            invalid("key"),
        ),
        (
            cluster
                .0
                .sign(&json!({ "alg": "none", "kid": "e" }), &Cluster::claims()),
            invalid("algorithm"),
        ),
        (cluster.token(json!({ "aud": ISSUER })), invalid("audience")),
        (cluster.token(json!({ "aud": null })), invalid("audience")),
        (cluster.token(json!({ "aud": [] })), invalid("audience")),
        (
            cluster.token(json!({ "iss": "https://other" })),
            invalid("issuer"),
        ),
        (cluster.token(json!({ "iss": null })), invalid("issuer")),
        (cluster.token(json!({ "exp": null })), invalid("no expiry")),
        (cluster.token(json!({ "iat": null })), invalid("lifetime")),
        (
            cluster.token(json!({ "exp": NOW + 86_400 * 365 })),
            invalid("lifetime"),
        ),
        (cluster.token(other_account), invalid("service account")),
        (
            cluster.token(json!({ "sub": "system:serviceaccount:kube-system:agent" })),
            invalid("service account"),
        ),
        (
            cluster.token(json!({ "kubernetes.io": null })),
            invalid("service account"),
        ),
        (cluster.token(over), Cause::TokenExpired),
        (
            cluster.token(json!({ "nbf": NOW + 1 })),
            Cause::UnknownCredential,
        ),
    ] {
        assert_eq!(cause(&world, &token).await, expected, "{token}");
    }
    // It is no key, and no session that could be refreshed.
    let in_key_header = ask("POST", "/v1/metrics").header("x-api-key", &good);
    assert_eq!(in_key_header.cause(&world).await, Cause::UnknownCredential);
    assert_eq!(metrics(&good).status(&world).await, 200);
}

/// Kubeadapt has no sessions on its API, and takes agents there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn every_contract_takes_workloads_where_it_takes_agents() {
    for contract in crate::contract::BUILTIN_NAMES {
        let cluster = Cluster::new();
        let world = gate_of(contract, vec![cluster.config()], Vec::new()).await;
        let good = cluster.token(json!({}));
        assert_eq!(metrics(&good).status(&world).await, 200, "{contract}");
        let bad = cluster.token(json!({ "aud": "other" }));
        assert_eq!(metrics(&bad).status(&world).await, 401, "{contract}");
        let session = world.session(world.admin().await).await;
        let takes_sessions = world.gate.contract().sessions_on_api;
        let status = get("/v1/organization")
            .bearer(&session)
            .status(&world)
            .await;
        assert_eq!(status == 200, takes_sessions, "{contract}");
    }
    let people = Provider::new();
    let config = people.config(people.fixed());
    let world = gate_of("kubeadapt", vec![Cluster::new().config()], vec![config]).await;
    let token = people.token(json!({}));
    assert_eq!(cause(&world, &token).await, Cause::UnknownCredential);
    // Without such a cluster, no token is looked at there.
    let world = World::new("kubeadapt").await;
    let token = Cluster::new().token(json!({}));
    assert_eq!(cause(&world, &token).await, Cause::UnknownCredential);
}

/// Clusters that were set up alike call themselves the same.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_one_name_are_told_apart_by_audience() {
    let (prod, staging) = (Cluster::new(), Cluster::new());
    let of = |cluster: &Cluster, id: &str| KubernetesConfig {
        cluster: id.into(),
        audiences: vec![format!("scopegate-{id}")],
        ..cluster.config()
    };
    let clusters = vec![of(&prod, "prod"), of(&staging, "staging")];
    let world = gate_of("scopegate", clusters, Vec::new()).await;
    for (cluster, id, other) in [(&prod, "prod", "staging"), (&staging, "staging", "prod")] {
        let token = cluster.token(json!({ "aud": [format!("scopegate-{id}")] }));
        let principal = metrics(&token).admitted(&world).await.principal.unwrap();
        assert_eq!(principal.caller.agent_cluster.as_deref(), Some(id));
        // Whoever may have tokens made in one of them cannot have one made of the other.
        let crossed = cluster.token(json!({ "aud": [format!("scopegate-{other}")] }));
        assert_eq!(
            cause(&world, &crossed).await,
            Cause::InvalidToken("signature")
        );
        let of_none = cluster.token(json!({ "aud": ["scopegate"] }));
        assert!(matches!(
            cause(&world, &of_none).await,
            Cause::InvalidToken(_)
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_cluster_ends_its_workloads() {
    let cluster = Cluster::new();
    let unregistered = KubernetesConfig {
        cluster: "other".into(),
        issuer: "https://other".into(),
        ..cluster.config()
    };
    let configs = vec![cluster.config(), unregistered];
    let world = gate_of("scopegate", configs, Vec::new()).await;
    let nowhere = cluster.token(json!({ "iss": "https://other" }));
    assert_eq!(cause(&world, &nowhere).await, Cause::Revoked);

    let good = cluster.token(json!({}));
    let under_way = metrics(&good).admitted(&world).await.principal.unwrap();
    let soon = Duration::from_millis(50);
    assert!(timeout(soon, world.gate.renewed(&under_way)).await.is_err());
    // Another change in its organization goes past it.
    world.fixture.make(world.fixture.cluster("new")).await;
    let renewed = world.gate.renewed(&under_way).await.unwrap();
    assert_eq!(renewed.credential, under_way.credential);
    assert_eq!(renewed.name, ACCOUNT);
    assert!(renewed.registered.contains("new"));
    assert!(!renewed.standing.is_stale());
    let next = metrics(&good).admitted(&world).await.principal.unwrap();
    assert!(Arc::ptr_eq(&next, &renewed));

    let delete = Change::DeleteCluster {
        organization: world.fixture.organization,
        id: "prod".into(),
    };
    world.fixture.make(delete).await;
    assert_eq!(cause(&world, &good).await, Cause::Revoked);
    let ended = world.gate.renewed(&renewed).await;
    assert_eq!(ended.unwrap_err(), Cause::Revoked);
}

/// A filter inside Envoy asks about it as about any token.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_told_whose_agent_it_is() {
    let cluster = Cluster::new();
    let world = gate_of("kubeadapt", vec![cluster.config()], Vec::new()).await;
    let session = world.session(world.admin().await).await;
    let asking = get("/-/filter/introspect");
    let told = async |kind: &str, credential: &str| {
        let question = json!({ "kind": kind, "credential": credential }).to_string();
        let request = asking.request();
        let told = world.gate.tell_filter(&request, question.as_bytes());
        told.await.unwrap().answer
    };
    let good = cluster.token(json!({}));
    let Answer::Known(facts) = told("token", &good).await else {
        panic!("it is not known");
    };
    assert_eq!(facts.caller.agent_cluster.as_deref(), Some("prod"));
    assert_eq!((facts.ends_at, facts.counted.limit), (Some(NOW + 3540), 20));
    assert!(Stale::Organization(world.fixture.organization).is(&facts));
    for (kind, credential) in [("key", &good), ("token", &session)] {
        let refused = Answer::Refused("unknown-credential".to_owned());
        assert_eq!(told(kind, credential).await, refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_keys_are_fetched_as_the_gate_itself() {
    let cluster = Cluster::new();
    let folder = cluster.0.folder.path();
    let reply = http_ok(&cluster.0.jwks().to_string());
    let server = TlsServer::start(folder, reply.clone()).await;
    let token_file = folder.join("token");
    std::fs::write(&token_file, "first\n").unwrap();
    server.answers(move |request| {
        let is_known = request
            .to_lowercase()
            .contains("authorization: bearer second\r\n");
        let unauthorized = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned();
        Some(if is_known {
            reply.clone()
        } else {
            unauthorized
        })
    });
    let keys = IssuerKeys::Jwks(Place {
        token_file: Some(token_file.clone()),
        ..server.place()
    });
    let config = Cluster::proven_by(ProofConfig::Signature {
        algorithms: vec![Algorithm::ES256],
        keys,
    });
    let world = gate_of("scopegate", vec![config], Vec::new()).await;
    let good = cluster.token(json!({}));
    let refused = metrics(&good).cause(&world).await;
    assert!(matches!(refused, Cause::Unavailable(_)));
    // It was rotated.
    std::fs::write(&token_file, "second\n").unwrap();
    let later = metrics(&good).at(NOW_MS + 30_000);
    assert_eq!(later.status(&world).await, 200);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_careless_cluster_is_not_configured() {
    let cluster = Cluster::new();
    let good = || cluster.config();
    let people = || vec![cluster.0.config(cluster.0.fixed())];
    let review = |url: &str, cache_secs| {
        let api = Place::of(url);
        Cluster::proven_by(ProofConfig::TokenReview(TokenReview { api, cache_secs }))
    };
    let refused = |configs: Vec<KubernetesConfig>| {
        let problems = Issuers::with_clusters(people(), configs).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        texts.join("; ")
    };
    assert!(Issuers::with_clusters(people(), vec![good()]).is_ok());
    let changed = |change: fn(&mut KubernetesConfig)| {
        let mut config = good();
        change(&mut config);
        vec![config]
    };
    for (configs, says) in [
        (changed(|it| it.issuer.clear()), "name is empty"),
        (
            changed(|it| it.issuer = "https://id.example.com".into()),
            "configured twice",
        ),
        (changed(|it| it.audiences.clear()), "at least one audience"),
        (
            changed(|it| it.audiences.push(ISSUER.into())),
            "the API server's own",
        ),
        (
            changed(|it| it.cluster = "a b".into()),
            "not the id of a cluster",
        ),
        (
            changed(|it| it.service_accounts.clear()),
            "`service_accounts`",
        ),
        (
            changed(|it| it.service_accounts.push("*/agent".into())),
            "every namespace",
        ),
        (changed(|it| it.leeway_secs = 3600), "at most 300"),
        (vec![good(), good()], "an audience in common"),
        (vec![review("http://api", 10)], "https"),
        (vec![review("https://api", 61)], "at most 60 seconds"),
    ] {
        let text = refused(configs);
        assert!(text.contains(says), "{text}");
    }
    let mut symmetric = good();
    symmetric.proof = ProofConfig::Signature {
        algorithms: vec![Algorithm::HS256],
        keys: cluster.0.fixed(),
    };
    assert!(refused(vec![symmetric]).contains("shared secret"));
}
