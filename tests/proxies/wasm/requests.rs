//! What the upstream sees of a request that came through the filter: what was judged, and who calls, and nothing else
//! that pretends to say so.

use super::envoy::{Envoy, Setup, answers_filters};
use crate::harness::{
    Options, World,
    raw::{raw_request, status_of},
};

const POLICY: &str = "\
policy: seen
permissions:
  clusters:read: { category: Clusters, unlocks: Clusters }
roles:
  viewer: [clusters:read]
  editor: [clusters:read]
  admin: [\"*\"]
routes:
  - { match: GET /v1/open, public: true }
  - { match: GET /v1/things, requires: clusters:read, cluster: none }
  - { match: \"GET /v1/clusters/{cluster}/nodes\", requires: clusters:read }
  - { match: GET /v1/metrics, requires: clusters:read, cluster: { query: cluster } }
  - { match: GET /v1/list, requires: clusters:read, lists: { items: /items, cluster: /id } }
";

struct Scene {
    world: World,
    envoy: Envoy,
    credential: String,
}

async fn scene() -> Scene {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let envoy = Envoy::start(&world, Setup::of(POLICY)).await;
    let viewer = world.session("viewer").await;
    let credential = format!("Authorization: {}", viewer.credential_value());
    Scene {
        world,
        envoy,
        credential,
    }
}

impl Scene {
    /// The status of a request with the viewer's credential, and whether it reached the upstream.
    async fn ask(&self, line: &str, headers: &[&str]) -> (u16, bool) {
        let before = self.world.upstream.count();
        let mut all = vec![self.credential.as_str()];
        all.extend_from_slice(headers);
        let reply = raw_request(self.envoy.address, line, &all).await;
        (status_of(&reply), self.world.upstream.count() > before)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sends_says_who_calls() {
    let scene = scene().await;
    let lies = [
        "X-Scopegate-Subject: root",
        "x-scopegate-subject: second",
        "X_Scopegate_Subject: root",
        "X-Scopegate_Clusters: *",
        "X-SCOPEGATE-ROLES: admin",
        "X-Scopegate-Anything: x",
        "X-Request-Id: mine",
        "X_Request_Id: mine",
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /v1/other",
        "X-Rewrite-URL: /v1/other",
        "X_Api_Key: k",
        "Proxy-Authorization: Basic x",
        "Cookie: scopegate=a.b.c; kept=1; __Host-scopegate_x=2",
    ];
    assert_eq!(
        scene.ask("GET /v1/things HTTP/1.1", &lies).await,
        (200, true)
    );
    let seen = scene.world.upstream.last();
    let viewer = scene.world.user("viewer@acme.example").to_string();
    assert_eq!(seen.header("x-scopegate-subject"), viewer);
    assert_eq!(
        seen.header("x-scopegate-organization"),
        scene.world.organization.to_string()
    );
    assert_eq!(seen.header("x-scopegate-roles"), "viewer");
    assert_eq!(seen.header("x-scopegate-scopes"), "*");
    assert_eq!(seen.header("x-scopegate-clusters"), "*");
    assert_ne!(seen.header("x-request-id"), "mine");
    assert_eq!(seen.header("cookie"), "kept=1");
    for name in seen.headers.keys() {
        let name = name.as_str();
        assert!(!name.contains('_'), "{name}");
        let count = seen.headers.get_all(name).iter().count();
        assert!(!name.starts_with("x-scopegate-") || count == 1, "{name}");
        let gone = [
            "authorization",
            "x-api-key",
            "proxy-authorization",
            "x-scopegate-anything",
            "x-http-method-override",
            "x-original-url",
            "x-rewrite-url",
        ];
        assert!(!gone.contains(&name), "{name}");
    }

    let before = scene.world.upstream.count();
    let open = raw_request(scene.envoy.address, "GET /v1/open HTTP/1.1", &lies).await;
    // The key in another spelling is none, and says so to nobody.
    assert_eq!(
        (status_of(&open), scene.world.upstream.count()),
        (200, before + 1)
    );
    assert_eq!(
        scene.world.upstream.last().header("x-scopegate-subject"),
        "anonymous"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_connection_names_ends_at_envoy_and_takes_no_identity_with_it() {
    let scene = scene().await;
    for named in [
        "X-Scopegate-Subject",
        "X-Secret",
        "X-Scopegate-Clusters, close",
    ] {
        let connection = format!("Connection: {named}");
        let (status, reached) = scene
            .ask("GET /v1/things HTTP/1.1", &[&connection, "X-Secret: s"])
            .await;
        if reached {
            let seen = scene.world.upstream.last();
            assert_eq!(seen.header("x-scopegate-clusters"), "*", "{named}");
            assert!(!seen.header("x-scopegate-subject").is_empty(), "{named}");
        } else {
            assert_eq!(status, 400, "{named}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_reads_the_path_that_was_judged() {
    let scene = scene().await;
    for (asked, read) in [
        ("/v1/things", "/v1/things"),
        ("//v1///things", "/v1/things"),
        ("/v1/./x/../things", "/v1/things"),
        ("/%76%31/things", "/v1/things"),
        ("/v1/%2e/things", "/v1/things"),
    ] {
        let got = scene.ask(&format!("GET {asked} HTTP/1.1"), &[]).await;
        assert_eq!(got, (200, true), "{asked}");
        assert_eq!(scene.world.upstream.last().path, read, "{asked}");
    }
    for wrong in [
        "/v1/things;x=1",
        "/v1%2fthings",
        "/v1/x%5c..%5cthings",
        "/v1/%252e%252e/things",
        "/../v1/things",
        "/v1/things%00",
        "/V1/things",
    ] {
        let got = scene.ask(&format!("GET {wrong} HTTP/1.1"), &[]).await;
        assert_eq!(got, (400, false), "{wrong}");
    }
    for line in ["TRACE /v1/things HTTP/1.1", "get /v1/things HTTP/1.1"] {
        let (status, reached) = scene.ask(line, &[]).await;
        assert!(status >= 400 && !reached, "{line}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_credentials_are_refused_and_bad_ones_not_rescued() {
    let scene = scene().await;
    let (status, reached) = scene
        .ask("GET /v1/things HTTP/1.1", &["X-API-Key: sg_live_x"])
        .await;
    assert_eq!((status, reached), (400, false));
    // Envoy makes one of two: it is none.
    let again = scene.credential.clone();
    let (status, reached) = scene.ask("GET /v1/things HTTP/1.1", &[&again]).await;
    assert!(matches!(status, 400 | 401) && !reached, "{status}");
    for headers in [
        &["Authorization: Bearer"][..],
        &["Authorization: Basic dTpw"],
        &["Authorization: Bearer a, Bearer b"],
        &["X-API-Key:"],
        &["X-API-Key: sg_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"],
        &["Authorization: Bearer \u{e9}\u{e9}"],
    ] {
        let reply = raw_request(scene.envoy.address, "GET /v1/things HTTP/1.1", headers).await;
        assert_eq!(status_of(&reply), 401, "{headers:?}");
        assert!(
            reply
                .to_ascii_lowercase()
                .contains("www-authenticate: bearer"),
            "{reply}"
        );
    }
    let long = format!("X-Long: {}", "x".repeat(70_000));
    let (status, reached) = scene.ask("GET /v1/things HTTP/1.1", &[&long]).await;
    assert!(status >= 400 && !reached, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_its_own_cluster_and_no_list() {
    let scene = scene().await;
    let agent = scene.envoy.through(&scene.world.agent("prod").await);
    assert_eq!(
        agent.get("/v1/clusters/prod/nodes").await.status,
        403,
        "agents have no such role"
    );
    let viewer = scene.envoy.through(&scene.world.session("viewer").await);
    assert_eq!(
        viewer.get("/v1/list").await.status,
        200,
        "who is not restricted needs no narrowing"
    );
    assert_eq!(viewer.get("/v1/clusters/dev/nodes").await.status, 200);
    assert_eq!(
        scene.world.upstream.last().header("x-scopegate-clusters"),
        "dev"
    );
    assert_eq!(viewer.get("/v1/clusters/none/nodes").await.status, 403);
    let twice = viewer.get("/v1/metrics?cluster=dev&cluster=prod").await;
    assert_eq!(twice.status, 400);
    let key = scene
        .world
        .key(crate::harness::Key {
            scopes: &["clusters:read"],
            clusters: &["prod"],
            ..crate::harness::Key::default()
        })
        .await;
    let key = scene.envoy.through(&key);
    let list = key.get("/v1/list").await;
    assert_eq!(
        (list.status, list.code().as_str()),
        (403, "list-not-filterable")
    );
    assert_eq!(key.get("/v1/metrics?cluster=prod").await.status, 200);
    assert_eq!(key.get("/v1/metrics?cluster=dev").await.status, 403);
    let head = key.call("HEAD", "/v1/metrics?cluster=dev").await;
    assert_eq!((head.status, head.body.as_str()), (403, ""));
}
