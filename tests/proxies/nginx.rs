//! nginx, where it is unlike the others: it forwards the target that the gate gives it.

use super::{Kind, modes::through};
use crate::harness::{Key, raw};

#[tokio::test]
async fn the_target_that_was_judged_is_the_one_that_is_forwarded() {
    let (world, proxy) = Kind::Nginx.world("scopegate").await;
    let key = world.key(Key::default()).await;
    let credential = format!("X-Api-Key: {}", key.credential_value());
    for raw_target in [
        "/v1//clusters/prod?a=%20b&c",
        "/v1/x/../clusters/./prod?a=%20b&c",
        "/%761/clusters/%70rod?a=%20b&c",
        "http://gate.example/v1/clusters/prod?a=%20b&c",
    ] {
        let line = format!("GET {raw_target} HTTP/1.1");
        let reply = raw::raw_request(proxy.address, &line, &[&credential]).await;
        assert_eq!(raw::status_of(&reply), 200, "{raw_target}: {reply}");
        let seen = world.upstream.last();
        assert_eq!(
            (seen.path.as_str(), seen.query.as_str()),
            ("/v1/clusters/prod", "a=%20b&c"),
            "{raw_target}"
        );
    }
}

/// An agent's own cluster, in the parameter that the upstream reads it from.
#[tokio::test]
async fn an_agents_own_cluster_is_written_into_the_target() {
    const POLICY: &str = "policy: samples\npermissions:\n  metrics:write: { category: All, unlocks: All }\nroles: { agent: ['metrics:write'] }\nroutes:\n  - { match: POST /samples, requires: 'metrics:write', cluster: { query: cluster } }\n";
    for kind in Kind::ALL {
        let mut options = kind.options("scopegate");
        options.policy = Some(POLICY);
        options.people = false;
        let world = crate::harness::World::with(options).await;
        let proxy = kind.before(&world).await;
        let agent = through(&proxy, &world.agent("prod").await);
        let reply = agent.call("POST", "/samples?x=1").await;
        if kind == Kind::Nginx {
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(world.upstream.last().query, "x=1&cluster=prod");
        } else {
            // Nobody could tell the upstream.
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "cluster-required"),
                "{kind:?}"
            );
        }
        let reply = agent.call("POST", "/samples?cluster=prod").await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        assert_eq!(world.upstream.last().query, "cluster=prod", "{kind:?}");
    }
}

/// The reason's code is all that nginx can carry of a body, in every contract.
#[tokio::test]
async fn a_refusal_has_its_reason_in_every_contract() {
    let (world, proxy) = Kind::Nginx.world("kubeadapt").await;
    let key = world
        .key(Key {
            scopes: &["clusters:read"],
            ..Key::default()
        })
        .await;
    let reply = through(&proxy, &key).get("/v1/nodes").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "missing-permission"),
        "{reply:?}"
    );
}

/// What the API answers is the API's: none of its statuses is taken for one of the gate's.
#[tokio::test]
async fn the_upstreams_own_refusals_are_left_alone() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = through(&proxy, &world.key(Key::default()).await);
        for status in [401, 403, 404, 429, 500, 503] {
            world.upstream.answers(move |_| {
                crate::harness::json_reply(status, serde_json::json!({ "own": status }))
            });
            let reply = key.get("/v1/clusters/prod").await;
            assert_eq!(
                (reply.status, reply.json()["own"].as_u64()),
                (status, Some(status.into())),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_its_page_shows() {
    let (world, proxy) = Kind::Nginx.world("scopegate").await;
    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let prelude = format!(
        "export PROXY=http://{} KEY={}",
        proxy.address,
        key.credential_value()
    );
    let shown = tokio::task::spawn_blocking(move || {
        crate::cli::pages::run("docs/proxies.md", std::path::Path::new("."), &prelude);
    });
    shown.await.expect("as shown");
}
