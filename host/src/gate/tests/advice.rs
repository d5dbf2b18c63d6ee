//! What a proxy that only asks is not told to do, because it could not.

use scopegate_policy::{Clusters, Reason};

use super::world::{Ask, World, ask, get, only};
use crate::{Admission, Cause, Rewriting, Verdict, store::Credential};

async fn advised(world: &World, asked: &Ask, rewriting: Rewriting) -> Result<Admission, Cause> {
    match world.gate.advise(&asked.request(), rewriting).await {
        Verdict::Admit(admission) => Ok(std::sync::Arc::into_inner(admission).unwrap()),
        Verdict::Refuse(refusal) => Err(refusal.cause),
    }
}

#[tokio::test]
async fn nobody_would_filter_the_list_of_a_restricted_caller() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let restricted = world
        .key(Some(owner), |key: &mut Credential| {
            key.allowed_clusters = only(&["prod"]);
        })
        .await;
    let whole = world.key(Some(owner), |_| {}).await;
    for rewriting in [Rewriting::Target, Rewriting::Nothing] {
        let refused = advised(&world, &get("/v1/clusters").bearer(&restricted), rewriting).await;
        assert_eq!(refused.unwrap_err(), Cause::ListNotFilterable);
        let one = get("/v1/clusters/prod").bearer(&restricted);
        assert!(advised(&world, &one, rewriting).await.is_ok());
        let all = get("/v1/clusters").bearer(&whole);
        let all = advised(&world, &all, rewriting).await.unwrap();
        assert_eq!(all.visible, Clusters::All);
    }
}

#[tokio::test]
async fn the_gates_own_paths_are_no_upstreams() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let key = world.key(Some(owner), |_| {}).await;
    for path in ["/-/api/keys", "/%2D/api/keys"] {
        let refused = advised(&world, &get(path).bearer(&key), Rewriting::Target).await;
        assert_eq!(
            refused.unwrap_err(),
            Cause::Denied(Reason::NoRoute),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_path_that_is_forwarded_as_it_came_must_be_as_it_was_judged() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let key = world.key(Some(owner), |_| {}).await;
    for path in [
        "/v1//clusters/prod",
        "/v1/./clusters/prod",
        "/v1/%63lusters/prod",
    ] {
        let ask = get(path).bearer(&key);
        let admission = advised(&world, &ask, Rewriting::Target).await.unwrap();
        assert_eq!(admission.path, "/v1/clusters/prod");
        let refused = advised(&world, &ask, Rewriting::Nothing).await.unwrap_err();
        assert!(matches!(refused, Cause::InvalidRequest(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn an_agents_own_cluster_must_reach_the_upstream() {
    let world = World::new("scopegate").await;
    let agent = world.agent("prod").await;
    let unnamed = ask("POST", "/v1/samples").bearer(&agent);
    let admission = advised(&world, &unnamed, Rewriting::Target).await.unwrap();
    assert_eq!(admission.query, "cluster=prod");
    let refused = advised(&world, &unnamed, Rewriting::Nothing).await;
    assert_eq!(refused.unwrap_err(), Cause::Denied(Reason::ClusterRequired));
    let named = ask("POST", "/v1/samples?cluster=prod").bearer(&agent);
    assert!(advised(&world, &named, Rewriting::Nothing).await.is_ok());
}
