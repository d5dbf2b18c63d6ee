//! What an admission carries: identity, path and query, clusters, lists, and what is taken off.

use std::collections::BTreeMap;

use scopegate_policy::{Clusters, Reason};

use super::world::{World, ask, get, only};
use crate::{
    Admission, Cause,
    store::{Change, Credential},
};

fn identity(admission: &Admission) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    admission
        .identity
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn removes(admission: &Admission, name: &str) -> bool {
    admission.remove.iter().any(|removed| removed == name)
}

#[tokio::test]
async fn every_identity_header_is_always_there_and_never_empty() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let key = world
        .key(Some(owner), |key| {
            key.scopes = Some(vec!["clusters:read".into()]);
            key.allowed_clusters = only(&["dev", "prod"]);
        })
        .await;
    let admission = get("/v1/upstream").bearer(&key).admitted(&world).await;
    let headers = identity(&admission);
    assert_eq!(headers["x-scopegate-subject"], owner.to_string());
    assert_eq!(
        headers["x-scopegate-organization"],
        world.fixture.organization.to_string()
    );
    assert_eq!(
        headers["x-scopegate-credential"],
        admission.principal.as_ref().unwrap().credential.to_string()
    );
    assert_eq!(headers["x-scopegate-roles"], "admin");
    assert_eq!(headers["x-scopegate-scopes"], "clusters:read");
    assert_eq!(headers["x-scopegate-clusters"], "dev,prod");
    assert_eq!(headers["x-request-id"], admission.request_id.to_string());

    let whole = world.key(Some(owner), |_| {}).await;
    let headers = identity(
        &get("/v1/organization")
            .bearer(&whole)
            .admitted(&world)
            .await,
    );
    assert_eq!(
        (
            headers["x-scopegate-scopes"].as_str(),
            headers["x-scopegate-clusters"].as_str()
        ),
        ("*", "*")
    );

    let headers = identity(&get("/v1/health").admitted(&world).await);
    assert_eq!(headers["x-scopegate-subject"], "anonymous");
    assert_eq!(headers["x-scopegate-clusters"], "!none");
    assert_eq!(headers.len(), 7);
    assert!(headers.values().all(|value| !value.is_empty()));
}

#[tokio::test]
async fn what_the_client_may_not_send_is_taken_off() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let request = get("/v1/organization")
        .bearer(&key)
        .header("X-Scopegate-Subject", "root")
        .header("x_scopegate_clusters", "*")
        .header("X-Request-Id", "1")
        .header("X-HTTP-Method-Override", "DELETE")
        .header("X-Original-URL", "/admin")
        .header("X-Rewrite-URL", "/admin")
        .header("x_api_key", "a")
        .header("X_Cluster_Id", "prod")
        .header("Connection", "close, X-Secret")
        .header("X-Secret", "1")
        .header("Accept", "*/*");
    let admission = request.admitted(&world).await;
    for name in [
        "authorization",
        "x-api-key",
        "x-scopegate-subject",
        "x_scopegate_clusters",
        "x-request-id",
        "x-http-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x_api_key",
        "x_cluster_id",
        "x-secret",
    ] {
        assert!(removes(&admission, name), "{name}");
    }
    assert!(!removes(&admission, "accept"));
    let forwarding = World::with("scopegate", |parts| parts.forward_credentials = true).await;
    let key = forwarding.key(Some(forwarding.admin().await), |_| {}).await;
    let admission = get("/v1/organization")
        .bearer(&key)
        .header("x_api_key", "a")
        .admitted(&forwarding)
        .await;
    assert!(!removes(&admission, "authorization"));
    assert!(removes(&admission, "x_api_key"));
}

#[tokio::test]
async fn the_gates_own_cookie_is_never_forwarded() {
    let world = World::new("scopegate").await;
    let request = get("/v1/health")
        .header("cookie", "a=1; __Host-scopegate=secret")
        .header("cookie", "b=2");
    let headers = identity(&request.admitted(&world).await);
    assert_eq!(headers["cookie"], "a=1; b=2");
    let headers = identity(
        &get("/v1/health")
            .header("cookie", "a=1")
            .admitted(&world)
            .await,
    );
    assert!(!headers.contains_key("cookie"), "left as it is");
    let admission = get("/v1/health")
        .header("cookie", "__Secure-scopegate-session=secret")
        .admitted(&world)
        .await;
    assert!(removes(&admission, "cookie"), "none of its own is left");
    assert!(!identity(&admission).contains_key("cookie"));
}

#[tokio::test]
async fn the_normalised_path_is_decided_and_forwarded() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    for raw in ["//v1/./clusters/pr%6Fd/x", "/v1/y/../clusters/prod//x"] {
        let admission = get(&format!("{raw}?b=%31"))
            .bearer(&key)
            .admitted(&world)
            .await;
        assert_eq!(
            (admission.path.as_str(), admission.query.as_str()),
            ("/v1/clusters/prod/x", "b=%31")
        );
        assert_eq!(admission.visible, only(&["prod"]));
    }
}

#[tokio::test]
async fn an_agents_own_cluster_overwrites_what_it_declares() {
    let world = World::new("scopegate").await;
    let agent = world.agent("prod").await;
    for target in [
        "/v1/samples",
        "/v1/samples?a=1",
        "/v1/samples?cluster=prod&a=1",
    ] {
        let admission = ask("POST", target).bearer(&agent).admitted(&world).await;
        assert!(
            admission
                .query
                .split('&')
                .any(|pair| pair == "cluster=prod"),
            "{}",
            admission.query
        );
        assert_eq!(admission.visible, only(&["prod"]));
    }
    let other = ask("POST", "/v1/samples?cluster=dev")
        .bearer(&agent)
        .cause(&world)
        .await;
    assert_eq!(
        other,
        Cause::Denied(Reason::AgentOutsideCluster("dev".into()))
    );
    let metrics = || ask("POST", "/v1/metrics").bearer(&agent);
    for request in [
        metrics(),
        metrics()
            .header("x-cluster-id", "prod")
            .header("connection", "x-cluster-id"),
    ] {
        let headers = identity(&request.admitted(&world).await);
        assert_eq!(headers["x-cluster-id"], "prod");
    }
    let other = metrics().header("x-cluster-id", "dev").cause(&world).await;
    assert_eq!(
        other,
        Cause::Denied(Reason::AgentOutsideCluster("dev".into()))
    );
    // Another spelling of the header does not reach the upstream.
    assert!(removes(
        &metrics()
            .header("x_cluster_id", "dev")
            .admitted(&world)
            .await,
        "x_cluster_id"
    ));
    // And it may do nothing else.
    assert_eq!(get("/v1/clusters").bearer(&agent).status(&world).await, 403);
}

#[tokio::test]
async fn lists_carry_what_their_items_may_belong_to() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    world.fixture.make(world.fixture.cluster("gone")).await;
    let restricted = world
        .key(Some(owner), |key: &mut Credential| {
            key.allowed_clusters = only(&["prod", "gone"]);
        })
        .await;
    let delete = Change::DeleteCluster {
        organization: world.fixture.organization,
        id: "gone".to_owned(),
    };
    world.fixture.make(delete).await;
    let admission = get("/v1/clusters")
        .bearer(&restricted)
        .admitted(&world)
        .await;
    assert_eq!(admission.list.unwrap().items, "/clusters");
    assert_eq!(admission.list_clusters, ["prod"]);
    assert_eq!(admission.visible, only(&["prod"]));
    // Lists are cut down for those without a restriction too: to what is registered.
    let whole = world.key(Some(owner), |_| {}).await;
    let admission = get("/v1/clusters").bearer(&whole).admitted(&world).await;
    assert_eq!(admission.list_clusters, ["dev", "prod", "staging"]);
    assert_eq!(admission.visible, Clusters::All);
    let admission = get("/v1/organization")
        .bearer(&whole)
        .admitted(&world)
        .await;
    assert!(admission.list.is_none() && admission.list_clusters.is_empty());
}

#[tokio::test]
async fn clusters_that_do_not_exist_answer_as_forbidden_ones() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let whole = world.key(Some(owner), |_| {}).await;
    let restricted = world
        .key(Some(owner), |key| key.allowed_clusters = only(&["prod"]))
        .await;
    let ask = |key: &str, cluster: &str| get(&format!("/v1/clusters/{cluster}/x")).bearer(key);
    assert_eq!(ask(&whole, "prod").status(&world).await, 200);
    let unknown = ask(&whole, "nowhere").refused(&world).await;
    let forbidden = ask(&restricted, "dev").refused(&world).await;
    assert_eq!(
        unknown.cause,
        Cause::Denied(Reason::ClusterNotAllowed("nowhere".into()))
    );
    assert_eq!(
        (unknown.status, forbidden.status),
        (forbidden.status, unknown.status)
    );
    assert_eq!(
        get("/v1/everything")
            .bearer(&restricted)
            .cause(&world)
            .await,
        Cause::Denied(Reason::ClustersRestricted)
    );
    assert_eq!(
        get("/v1/costs").bearer(&restricted).cause(&world).await,
        Cause::Denied(Reason::ClusterRequired)
    );
    assert_eq!(
        get("/v1/costs?cluster=prod")
            .bearer(&restricted)
            .status(&world)
            .await,
        200
    );
}

#[tokio::test]
async fn head_is_decided_as_get() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    assert_eq!(
        ask("HEAD", "/v1/organization")
            .bearer(&key)
            .status(&world)
            .await,
        200
    );
    assert_eq!(ask("HEAD", "/v1/organization").status(&world).await, 401);
    // A preflight is a request like any other.
    assert_eq!(
        ask("OPTIONS", "/v1/organization")
            .header("origin", "https://a")
            .status(&world)
            .await,
        401
    );
    assert_eq!(get("/v1/nothing").bearer(&key).status(&world).await, 404);
    assert_eq!(get("/v1/nothing").status(&world).await, 401);
}

/// KV-09, KV-16.
#[tokio::test]
async fn the_record_names_the_owner_and_the_key_as_the_agent() {
    let world = World::new("kubevision").await;
    let owner = world.fixture.user("ada@example.com", "admin").await;
    let key = world
        .key(Some(owner), |key| key.name = "github-actions-deploy".into())
        .await;
    let by_key = |target: &str| get(target).header("authorization", &format!("ApiKey {key}"));
    let admission = by_key("/v1/clusters/prod/x?secret=1")
        .admitted(&world)
        .await;
    by_key("/v1/clusters/nowhere/x").refused(&world).await;
    ask("POST", "/v1/metrics")
        .bearer(&world.agent("prod").await)
        .header("x-cluster-id", "prod")
        .admitted(&world)
        .await;
    get("/v1/organization").bearer("bad").refused(&world).await;
    let log = world.log().await;
    let line = &log[0];
    assert_eq!(line["time"], "2027-01-15T08:00:00Z");
    assert_eq!(line["request_id"], admission.request_id.to_string());
    assert_eq!(line["organization"], world.fixture.organization.to_string());
    assert_eq!(line["name"], "ada@example.com");
    assert_eq!(line["agent"], "github-actions-deploy");
    assert_eq!(
        line["credential"],
        admission.principal.as_ref().unwrap().credential.to_string()
    );
    assert_eq!(
        (&line["kind"], &line["address"]),
        (&"api-key".into(), &"192.0.2.1".into())
    );
    assert_eq!(
        (&line["method"], &line["path"]),
        (&"GET".into(), &"/v1/clusters/prod/x".into())
    );
    assert_eq!(line["route"], "/v1/clusters/{cluster}/**");
    assert_eq!(line["outcome"], "admit");
    assert_eq!(line["policy"], world.gate.policy().digest());
    assert!(line["rule"]["route"].is_number() && line["micros"].is_number());
    assert_eq!(
        (&log[1]["reason"], &log[1]["about"]),
        (&"cluster-not-allowed".into(), &"nowhere".into())
    );
    assert_eq!(log[2]["headers"]["x-cluster-id"], "prod");
    assert_eq!(
        (&log[3]["kind"], &log[3]["reason"]),
        (&"anonymous".into(), &"unknown-credential".into())
    );
}
