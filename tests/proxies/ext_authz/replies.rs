//! What a client and the upstream see of each answer.

use serde_json::Value;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Stand, anywhere, failing_open, once, unlimited};
use crate::{
    harness::{Key, World},
    shipping,
};

const PATH: &str = "/v1/clusters/prod";

#[tokio::test(flavor = "multi_thread")]
async fn an_allow_carries_the_identity_and_no_credential() {
    let stand = Stand::of("scopegate").await;
    stand.world.upstream.answers(|_| {
        let mut reply = crate::harness::json_reply(200, serde_json::json!({}));
        let headers = reply.headers_mut();
        headers.insert("x-ratelimit-limit", "upstream".parse().unwrap());
        headers.insert("x-request-id", "upstream".parse().unwrap());
        reply
    });
    let key = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let reply = stand.through(&key).get(PATH).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let seen = stand.world.upstream.last();
    assert_eq!(seen.header("x-scopegate-clusters"), "prod");
    assert_eq!(
        seen.header("x-scopegate-credential"),
        key.id.unwrap().to_string()
    );
    for name in ["subject", "organization", "roles", "scopes"] {
        assert!(
            !seen.header(&format!("x-scopegate-{name}")).is_empty(),
            "{name}"
        );
    }
    for name in [
        "authorization",
        "x-api-key",
        "proxy-authorization",
        "cookie",
    ] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    // The gate's words on the reply, and the upstream's are gone.
    assert_eq!(reply.header("x-request-id"), seen.header("x-request-id"));
    assert_eq!(reply.headers.get_all("x-request-id").iter().count(), 1);
    assert_eq!(reply.headers.get_all("x-ratelimit-limit").iter().count(), 1);
    assert_eq!(reply.header("x-ratelimit-limit"), "200");
    assert!(!reply.header("x-ratelimit-remaining").is_empty());
    assert!(!reply.header("x-ratelimit-reset").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_on_where_that_is_configured() {
    let options = crate::harness::Options {
        forward_credentials: true,
        ..unlimited()
    };
    let stand = Stand::with(World::with(options).await, anywhere(), str::to_owned).await;
    let key = stand.world.key(Key::default()).await;
    assert_eq!(stand.through(&key).get(PATH).await.status, 200);
    let seen = stand.world.upstream.last();
    let (name, value) = key.credential.clone().unwrap();
    assert_eq!(seen.header(name), value);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_what_the_gate_itself_would_say() {
    let stand = Stand::of("kubeadapt").await;
    let world = &stand.world;
    let key = world
        .key(Key {
            scopes: &["clusters:read"],
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let unknown = world.with_key("ka_live_000000000000000000000000000000000000");
    let nobody = world.anonymous();
    let asked = [
        (&nobody, "/v1/clusters/prod", 401),
        (&unknown, "/v1/clusters/prod", 401),
        (&key, "/v1/clusters/dev", 403),
        (&key, "/v1/nodes", 403),
        (&key, "/v1/nothing/of/this", 404),
        (&key, "/-/healthy", 404),
        (&key, "/v1/clusters/a;b", 400),
    ];
    for (actor, path, status) in asked {
        let own = actor.get(path).await;
        let reply = stand.through(actor).get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        let names = ["content-type", "www-authenticate", "cache-control"];
        for name in names.into_iter().filter(|_| path != "/-/healthy") {
            assert_eq!(reply.header(name), own.header(name), "{path}: {name}");
        }
        for name in ["x-ratelimit-limit", "x-ratelimit-reset", "x-request-id"] {
            assert!(!reply.header(name).is_empty(), "{path}: {name}");
        }
        assert!(!reply.body.is_empty(), "{path}");
    }
    assert_eq!(stand.passed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_says_when_to_come_back() {
    let stand = Stand::of("scopegate").await;
    let agent = stand.through(&stand.world.agent("prod").await);
    let mut last = None;
    for _ in 0..25 {
        last = Some(agent.post("/v1/metrics", serde_json::json!({})).await);
    }
    let reply = last.unwrap();
    assert_eq!(reply.status, 429, "{}", reply.body);
    assert_eq!(reply.header("x-ratelimit-remaining"), "0");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(stand.passed(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_reads_the_target_that_was_judged() {
    let stand = Stand::of("scopegate").await;
    let key = stand.through(&stand.world.key(Key::default()).await);
    for path in [
        "/v1/clusters/%70rod",
        "/v1//clusters/./prod",
        "/v1/clusters/prod/",
        "/v1/x/../clusters/prod",
    ] {
        let reply = key.get(&format!("{path}?a=%20b&a=c")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        let seen = stand.world.upstream.last();
        assert_eq!(
            seen.path.trim_end_matches('/'),
            "/v1/clusters/prod",
            "{path}"
        );
        assert_eq!(seen.query, "a=%20b&a=c");
    }
}

/// An agent that names no cluster reads its own: the gate writes that into the query.
#[tokio::test(flavor = "multi_thread")]
async fn an_agents_own_cluster_is_in_the_query_that_the_upstream_reads() {
    const POLICY: &str = "policy: own\npermissions:\n  metrics:read: { category: M, unlocks: m }\n\
        roles:\n  agent: [metrics:read]\n  admin: ['*']\n  editor: [metrics:read]\n  viewer: [metrics:read]\nroutes:\n  \
        - { match: GET /v1/usage, requires: metrics:read, cluster: { query: cluster_id } }\n";
    let options = crate::harness::Options {
        policy: Some(POLICY),
        ..unlimited()
    };
    let stand = Stand::with(World::with(options).await, anywhere(), str::to_owned).await;
    let agent = stand.through(&stand.world.agent("prod").await);
    let reply = agent.get("/v1/usage?a=1").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(stand.world.upstream.last().query, "a=1&cluster_id=prod");
    assert_eq!(agent.get("/v1/usage?cluster_id=dev").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_to_those_alone_who_may_see_all_of_it() {
    let stand = Stand::of("scopegate").await;
    let whole = stand.world.key(Key::default()).await;
    let restricted = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    assert_eq!(stand.through(&whole).get("/v1/clusters").await.status, 200);
    let reply = stand.through(&restricted).get("/v1/clusters").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "list-not-filterable")
    );
    assert_eq!(stand.passed(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_for_the_next_request() {
    let stand = Stand::of("scopegate").await;
    let key = stand.world.key(Key::default()).await;
    let through = stand.through(&key);
    for _ in 0..3 {
        assert_eq!(through.get(PATH).await.status, 200);
    }
    stand.world.revoke(&key).await;
    assert_eq!(through.get(PATH).await.status, 401);
    assert_eq!(stand.passed(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_is_in_envoys_metadata() {
    let all = "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%";
    let change = |text: &str| {
        let line = "request_id: \"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:request_id)%\"";
        once(
            text,
            line,
            &format!("{line}\n                          all: \"{all}\""),
        )
    };
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), change).await;
    let key = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    assert_eq!(stand.through(&key).get(PATH).await.status, 200);
    let seen = stand.world.upstream.last();
    let line = logged(&stand, "\"status\":200").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(text(&line["request_id"]), seen.header("x-request-id"));
    assert_eq!(text(&line["subject"]), text(&line["all"]["subject"]));
    assert_eq!(
        text(&line["organization"]),
        stand.world.organization.to_string()
    );
    assert_eq!(
        text(&line["all"]["credential"]),
        key.id.unwrap().to_string()
    );
    assert_eq!(line["all"]["clusters"], serde_json::json!(["prod"]));
    assert!(
        line["all"]["roles"].is_array() || line["all"]["roles"].is_null(),
        "{line}"
    );
    assert_eq!(text(&line["all"]["scopes"]), "*");
}

/// Envoy's access log is written now and then.
async fn logged(stand: &Stand, mark: &str) -> Value {
    for _ in 0..400 {
        let log = stand.envoy.program.log();
        if let Some(line) = log.lines().find(|line| line.contains(mark)) {
            return serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing like `{mark}` in {}", stand.envoy.program.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_answered_only_by_what_it_is_pinned_to() {
    let world = World::with(unlimited()).await;
    let digest = world.running().gate().policy().digest().to_owned();
    let hex = digest.strip_prefix("sha256:").unwrap_or(&digest).to_owned();
    let key = world.key(Key::default()).await;
    let answering = super::answering(&world, anywhere()).await;
    let pins = [
        ("contract: scopegate".to_owned(), 200),
        ("contract: scopegate, policy: scopegate".to_owned(), 200),
        (format!("policy: '{digest}'"), 200),
        (format!("policy: '{}', team: billing", &hex[..12]), 200),
        ("contract: kubeadapt".to_owned(), 503),
        ("contract: ''".to_owned(), 503),
        ("policy: kubeadapt".to_owned(), 503),
        ("policy: ''".to_owned(), 503),
        (format!("policy: '{}'", &hex[..4]), 503),
        ("policy: '000000000000'".to_owned(), 503),
        ("contract: kubeadapt, policy: scopegate".to_owned(), 503),
    ];
    for (pins, status) in pins {
        let change = |text: &str| {
            let comment = "                          # typed_per_filter_config:";
            let route = format!(
                "                          typed_per_filter_config:\n                            \
                 envoy.filters.http.ext_authz:\n                              \
                 \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute\n                              \
                 check_settings: {{ context_extensions: {{ {pins} }} }}\n{comment}"
            );
            once(text, comment, &route)
        };
        let envoy = super::envoy(&world, answering.address(), change).await;
        let through = crate::harness::Actor::new(&envoy.url(), key.credential.clone());
        let reply = through.get(PATH).await;
        assert_eq!(reply.status, status, "{pins}: {}", reply.body);
        // The gate said so itself.
        let code = if status == 503 { "unavailable" } else { "" };
        assert_eq!(reply.code(), code, "{pins}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_the_gate_can_decide() {
    let world = World::with(unlimited()).await;
    let answering = super::answering(&world, anywhere()).await;
    let url = format!("http://{}", answering.address());
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let names = ["", "envoy.service.auth.v3.Authorization"];
    for service in names.map(str::to_owned) {
        let reply = client.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(reply.into_inner().status, 1);
    }
    let service = "of nobody".to_owned();
    client
        .check(HealthCheckRequest { service })
        .await
        .unwrap_err();
    world.running().gate().directory().store().close().await;
    let mut status = 1;
    for _ in 0..200 {
        let service = String::new();
        let reply = client.check(HealthCheckRequest { service }).await.unwrap();
        status = reply.into_inner().status;
        if status == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(status, 2, "without its store it cannot decide");
}

/// What a caller may provoke is refused by an Envoy that fails open, too.
#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_gate_is_an_allow_where_envoy_fails_open() {
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), failing_open).await;
    let viewer = stand.world.session("viewer").await;
    let through = stand.through(&viewer);
    shipping::push_there(&stand.world, shipping::by_hand()).await;
    for _ in 0..5 {
        let reply = through.call("DELETE", PATH).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "policy-fault"));
        assert_eq!(reply.header("retry-after"), "1");
    }
    // Its store is away: whoever is not known already cannot be looked up, and nothing can be recorded.
    stand
        .world
        .running()
        .gate()
        .directory()
        .store()
        .close()
        .await;
    let other = stand.through(
        &stand
            .world
            .with_key("sg_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"),
    );
    for actor in [through, other] {
        let reply = actor.get(PATH).await;
        assert!(reply.status >= 400, "{}", reply.status);
    }
    assert_eq!(stand.passed(), 0);
    let count = |what| stand.envoy.counter(what);
    assert_eq!(count("cluster.api.ext_authz.failure_mode_allowed").await, 0);
    assert_eq!(count("cluster.api.ext_authz.error").await, 0);
    assert!(count("cluster.api.ext_authz.denied").await >= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_slow_decision_nor_a_panic_is_an_allow_where_envoy_fails_open() {
    let hurried = scopegate_envoy::Settings {
        check_max: std::time::Duration::ZERO,
        ..anywhere()
    };
    let stand = Stand::with(World::with(unlimited()).await, hurried, failing_open).await;
    let key = stand.through(&stand.world.key(Key::default()).await);
    let reply = key.get(PATH).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));

    // The clock is the one thing of a test's that a decision calls.
    let listener = scopegate_envoy::Listener::bind(anywhere()).await.unwrap();
    let gate = std::sync::Arc::clone(stand.world.running().gate());
    let broken = listener
        .serve(
            gate,
            std::sync::Arc::new(|| -> i64 { panic!("the clock is broken") }),
        )
        .await;
    let envoy = super::envoy(&stand.world, broken.address(), failing_open).await;
    let through = crate::harness::Actor::new(&envoy.url(), key.credential.clone());
    for _ in 0..3 {
        let reply = through.get(PATH).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    }
    assert_eq!(stand.passed(), 0);
}
