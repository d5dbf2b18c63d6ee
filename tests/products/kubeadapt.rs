//! Kubeadapt: what its two texts promise, each statement under its number.

use scopegate_host::engine::Policy;
use scopegate_policy::ClusterSource;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::world::World;
use crate::harness::Options;

const MISSING: &str = "API key required. Use 'Authorization: Bearer <api_key>'";

/// The nine scopes, exactly as the text's table has them: category, scope, what it unlocks.
const SCOPES: [(&str, &str, &str); 9] = [
    ("Organization", "organization:read", "Tenant metadata"),
    ("Clusters", "clusters:read", "Cluster inventory"),
    ("Workloads", "namespaces:read", "Namespace listing"),
    (
        "Workloads",
        "workloads:read",
        "Deployments, StatefulSets, DaemonSets, Jobs",
    ),
    (
        "Infrastructure",
        "nodes:read",
        "Node inventory and capacity",
    ),
    (
        "Recommendations",
        "recommendations:read",
        "Right-sizing and savings suggestions",
    ),
    ("Attribution", "teams:read", "Team allocations"),
    ("Attribution", "departments:read", "Department allocations"),
    ("Attribution", "cost_explorer:read", "Cost Explorer queries"),
];

fn scopes() -> Vec<&'static str> {
    SCOPES.map(|(_, scope, _)| scope).to_vec()
}

/// KA-04: read-only access is enforced by the server, whatever scopes a key has.
#[tokio::test(flavor = "multi_thread")]
async fn ka_04_keys_only_read() {
    let world = World::start("kubeadapt").await;
    let key = world.key("admin").scopes(&scopes()).mint().await;
    assert_eq!(
        world
            .get("/v1/clusters/prod")
            .bearer(&key.secret)
            .status()
            .await,
        200
    );
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in [
            "/v1/clusters",
            "/v1/clusters/prod",
            "/v1/organization",
            "/v1/metrics",
        ] {
            let answer = world
                .request(method, path)
                .bearer(&key.secret)
                .json(json!({}))
                .send()
                .await;
            // Nothing but the agents' route takes a write at all.
            if (method, path) == ("POST", "/v1/metrics") {
                assert_eq!(
                    (answer.status, answer.json()),
                    (403, json!({"detail": "API keys can only read"}))
                );
            } else {
                assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            }
            assert_eq!(world.upstream_saw().method(), "GET", "{method} {path}");
        }
    }
    let write = world
        .key("admin")
        .scopes(&["clusters:write"])
        .try_mint()
        .await;
    assert!(write.is_err(), "a write scope cannot be put on a key");
    let management = world
        .key("admin")
        .scopes(&["metrics:write"])
        .try_mint()
        .await;
    assert!(
        management.is_err(),
        "an agent's permission is not in the picker"
    );
}

/// KA-05: the nine scopes with their categories and what they unlock.
#[tokio::test(flavor = "multi_thread")]
async fn ka_05_the_nine_scopes() {
    let world = World::start("kubeadapt").await;
    let policy: std::sync::Arc<Policy> = world.policy();
    let picker: Vec<_> = policy
        .description()
        .permissions
        .iter()
        .filter(|permission| permission.scope)
        .map(|permission| {
            (
                permission.category.clone(),
                permission.name.clone(),
                permission.unlocks.clone(),
            )
        })
        .collect();
    let mut expected = SCOPES
        .map(|(c, s, u)| (c.to_owned(), s.to_owned(), u.to_owned()))
        .to_vec();
    let mut picker = picker;
    picker.sort();
    expected.sort();
    assert_eq!(picker, expected);
}

/// KA-08: a key without restriction sees every cluster, those added after it was minted included.
/// KA-16: an empty `allowed_cluster_ids` at creation means all.
#[tokio::test(flavor = "multi_thread")]
async fn ka_08_16_an_unrestricted_key_sees_clusters_added_later() {
    let world = World::start("kubeadapt").await;
    let key = world
        .key("admin")
        .scopes(&["clusters:read"])
        .clusters(&[])
        .mint()
        .await;
    let before = world
        .get("/v1/clusters/later")
        .bearer(&key.secret)
        .send()
        .await;
    assert_eq!(
        before.status, 403,
        "a cluster that nobody registered answers as a forbidden one"
    );
    world.add_cluster("later").await;
    world.upstream_lists("clusters", json!([{"id": "prod"}, {"id": "later"}]));
    assert_eq!(
        world
            .get("/v1/clusters/later")
            .bearer(&key.secret)
            .status()
            .await,
        200
    );
    let list = world.get("/v1/clusters").bearer(&key.secret).send().await;
    assert_eq!(
        list.json()["clusters"],
        json!([{"id": "prod"}, {"id": "later"}])
    );
}

/// KA-10: only an irreversible hash is stored.
#[tokio::test(flavor = "multi_thread")]
async fn ka_10_only_a_hash_is_stored() {
    let world = World::start("kubeadapt").await;
    let key = world.key("admin").scopes(&["clusters:read"]).mint().await;
    world.get("/v1/clusters").bearer(&key.secret).send().await;
    world.assert_nowhere_on_disk(&key.secret).await;
    let hash = Sha256::digest(&key.secret).to_vec();
    assert_eq!(world.stored_hashes().await, [hash]);
}

/// KA-11: the smoke test of the text.
#[tokio::test(flavor = "multi_thread")]
async fn ka_11_the_smoke_test() {
    let world = World::start("kubeadapt").await;
    let line = r#"curl -H "Authorization: Bearer ka_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
  "https://public-api.kubeadapt.io/v1/organization""#;
    let key = world
        .key("admin")
        .scopes(&["organization:read"])
        .mint()
        .await;
    assert!(key.secret.starts_with("ka_live_"));
    let answer = world
        .curl(
            line,
            &[("ka_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", &key.secret)],
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let without = world.key("admin").scopes(&["clusters:read"]).mint().await;
    let answer = world
        .curl(
            line,
            &[("ka_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", &without.secret)],
        )
        .await;
    assert_eq!(
        answer.status, 403,
        "the key works but is missing the scope: {answer:?}"
    );
    let answer = world.curl(line, &[]).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// KA-12: 401 where the header is missing, malformed, or the key was not accepted. KA-20: with the text's body.
#[tokio::test(flavor = "multi_thread")]
async fn ka_12_20_the_401() {
    let world = World::start("kubeadapt").await;
    let key = world.key("admin").scopes(&["clusters:read"]).mint().await;
    let revoked = world.key("admin").scopes(&["clusters:read"]).mint().await;
    world.revoke(&revoked).await;
    let expired = world.key("admin").scopes(&["clusters:read"]);
    let expired = expired.expires_in_secs(60).mint().await;
    world.advance_secs(60);
    let get = || world.get("/v1/clusters");
    let mut wrong = key.secret.clone();
    wrong.pop();
    let requests = [
        ("missing", get()),
        ("empty", get().bearer("")),
        (
            "another scheme",
            get().header("authorization", "Basic dTpw"),
        ),
        ("no scheme", get().header("authorization", &key.secret)),
        ("the other header", get().api_key(&key.secret)),
        ("cut off", get().bearer(&wrong)),
        ("unknown", get().bearer("ka_live_abc")),
        ("revoked", get().bearer(&revoked.secret)),
        ("expired", get().bearer(&expired.secret)),
        ("twice", get().bearer(&key.secret).bearer(&key.secret)),
    ];
    for (cause, request) in requests {
        let answer = request.send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({"detail": MISSING})),
            "{cause}"
        );
    }
    let unregistered = world.get("/v1/nothing/here").send().await;
    assert_eq!(
        (unregistered.status, unregistered.json()),
        (401, json!({"detail": MISSING}))
    );
}

/// KA-13: 403 for a missing scope or a cluster that is not on the key. KA-17: that cluster. KA-21: the text's body.
#[tokio::test(flavor = "multi_thread")]
async fn ka_13_17_21_the_403() {
    let world = World::start("kubeadapt").await;
    let narrow = world.key("admin").scopes(&["nodes:read"]).mint().await;
    let answer = world
        .get("/v1/clusters")
        .bearer(&narrow.secret)
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            403,
            json!({"detail": "Missing required permission: clusters:read"})
        )
    );

    let key = world
        .key("admin")
        .scopes(&["clusters:read", "nodes:read"])
        .clusters(&["prod"])
        .mint()
        .await;
    assert_eq!(
        world
            .get("/v1/clusters/prod")
            .bearer(&key.secret)
            .status()
            .await,
        200
    );
    for path in [
        "/v1/clusters/staging",
        "/v1/clusters/staging/nodes",
        "/v1/clusters/nowhere",
    ] {
        let answer = world.get(path).bearer(&key.secret).send().await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.json()["detail"].is_string(), "{path}: {answer:?}");
    }
    let forbidden = world
        .get("/v1/clusters/staging")
        .bearer(&key.secret)
        .send()
        .await
        .text();
    let unknown = world
        .get("/v1/clusters/nowhere")
        .bearer(&key.secret)
        .send()
        .await
        .text();
    assert_eq!(
        forbidden.replace("staging", "C"),
        unknown.replace("nowhere", "C"),
        "nothing tells which exist"
    );
}

/// KA-14: all requests need a key except health endpoints.
#[tokio::test(flavor = "multi_thread")]
async fn ka_14_only_health_is_open() {
    let world = World::start("kubeadapt").await;
    assert_eq!(world.get("/v1/health").status().await, 200);
    for route in world.routes() {
        let status = world.request(&route.method, &route.path).status().await;
        let expected = if route.path.contains("health") {
            200
        } else {
            401
        };
        assert_eq!(status, expected, "{} {}", route.method, route.path);
    }
}

/// KA-15: keys are scoped to the organization.
#[tokio::test(flavor = "multi_thread")]
async fn ka_15_a_key_sees_its_organization_only() {
    let world = World::start("kubeadapt").await;
    world.second_organization("other", &["theirs"]).await;
    let key = world.key("admin").scopes(&scopes()).mint().await;
    assert_eq!(
        world
            .get("/v1/clusters/theirs")
            .bearer(&key.secret)
            .status()
            .await,
        403
    );
    world.upstream_lists("clusters", json!([{"id": "prod"}, {"id": "theirs"}]));
    let list = world.get("/v1/clusters").bearer(&key.secret).send().await;
    assert_eq!(
        list.json()["clusters"],
        json!([{"id": "prod"}]),
        "an upstream that mixes tenants is narrowed"
    );
    assert_eq!(
        world.upstream_saw().header("x-scopegate-organization"),
        Some(world.organization_id().as_str())
    );
}

/// KA-18: lists contain only data of clusters that the key may access.
#[tokio::test(flavor = "multi_thread")]
async fn ka_18_lists_are_cut_down() {
    let world = World::start("kubeadapt").await;
    let key = world
        .key("admin")
        .scopes(&scopes())
        .clusters(&["prod", "dev"])
        .mint()
        .await;
    let policy = world.policy();
    let lists = policy
        .description()
        .routes
        .iter()
        .filter_map(|route| match &route.cluster {
            ClusterSource::Lists(shape) => Some((route.pattern.clone(), shape.clone())),
            _ => None,
        });
    let mut seen = 0;
    for (path, shape) in lists {
        seen += 1;
        let member = shape.items.trim_start_matches('/').to_owned();
        let id = shape.cluster.trim_start_matches('/').to_owned();
        let item = |cluster: &str| json!({"name": cluster, id.clone(): cluster});
        world.upstream_lists(
            &member,
            json!([item("prod"), item("staging"), item("dev"), item("theirs")]),
        );
        let answer = world.get(&path).bearer(&key.secret).send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(
            answer.json()[&member],
            json!([item("prod"), item("dev")]),
            "{path}"
        );
        assert_eq!(
            world.upstream_saw().header("x-scopegate-clusters"),
            Some("dev,prod")
        );
    }
    assert_eq!(
        seen, 7,
        "clusters, namespaces, workloads, nodes, recommendations, teams, departments"
    );
}

/// KA-19: no session and no cookie is taken on the API.
#[tokio::test(flavor = "multi_thread")]
async fn ka_19_no_session_and_no_cookie() {
    let world = World::start("kubeadapt").await;
    let login = world
        .post("/auth/login", json!({"email": "a@b.test", "password": "x"}))
        .send()
        .await;
    assert_eq!(
        (login.status, login.json()),
        (401, json!({"detail": MISSING}))
    );
    assert!(login.header("set-cookie").is_none());
    let key = world.key("admin").scopes(&["clusters:read"]).mint().await;
    let session = world.sign_session("admin").await;
    let cookies = ["scopegate", "__Host-scopegate", "session"];
    let mut requests = vec![world.get("/v1/clusters").bearer(&session)];
    for (name, value) in cookies
        .iter()
        .flat_map(|name| [(name, &key.secret), (name, &session)])
    {
        let cookie = format!("{name}={value}");
        requests.push(world.get("/v1/clusters").header("cookie", &cookie));
    }
    for request in requests {
        let answer = request.send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({"detail": MISSING}))
        );
    }
    // It is the contract that refuses it: where it takes sessions, this one is good.
    let open = World::with(Options {
        adjust: |contract| contract.sessions_on_api = true,
        ..Options::of("kubeadapt")
    })
    .await;
    let session = open.sign_session("admin").await;
    let answer = open.get("/v1/clusters").bearer(&session).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in cookies {
        let cookie = format!("{name}={session}");
        let answer = open.get("/v1/clusters").header("cookie", &cookie);
        assert_eq!(answer.send().await.status, 401, "{name}");
    }
}

/// KA-22: each scope opens its endpoints, and no other scope does.
#[tokio::test(flavor = "multi_thread")]
async fn ka_22_each_endpoint_has_its_scope() {
    let world = World::start("kubeadapt").await;
    let routes: Vec<_> = world
        .routes()
        .into_iter()
        .filter(|route| route.method == "GET")
        .filter_map(|route| Some((route.path, route.requires?)))
        .collect();
    for (path, scope) in [
        ("/v1/organization", "organization:read"),
        ("/v1/clusters", "clusters:read"),
        ("/v1/namespaces", "namespaces:read"),
        ("/v1/workloads", "workloads:read"),
        ("/v1/nodes", "nodes:read"),
        ("/v1/recommendations", "recommendations:read"),
        ("/v1/teams", "teams:read"),
        ("/v1/departments", "departments:read"),
        ("/v1/cost-explorer", "cost_explorer:read"),
    ] {
        let expected = (path.to_owned(), scope.to_owned());
        assert!(routes.contains(&expected), "{path} needs {scope}");
    }
    for (_, scope, _) in SCOPES {
        assert!(
            routes.iter().any(|(_, requires)| requires == scope),
            "no endpoint needs {scope}"
        );
        let key = world.key("admin").scopes(&[scope]).mint().await;
        for (path, requires) in &routes {
            let answer = world.get(path).bearer(&key.secret).send().await;
            if requires == scope {
                assert_eq!(answer.status, 200, "{scope} opens {path}: {answer:?}");
            } else {
                let body = json!({"detail": format!("Missing required permission: {requires}")});
                assert_eq!(
                    (answer.status, answer.json()),
                    (403, body),
                    "{scope} on {path}"
                );
            }
        }
    }
}
