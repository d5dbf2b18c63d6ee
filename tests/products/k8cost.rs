//! K8Cost: what `k8cost-authentication.txt` promises, each statement under its number.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::world::{World, jwt_claims};
use crate::cli::{
    binary::{run_ok, run_with, shell, text},
    own_gate::{gate, serve_managed},
};

/// K8C-01: two ways in. K8C-03: the token goes in `Authorization: Bearer`. K8C-06: keys go in `X-API-Key` and look
/// like `k8c_live_…`.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_01_03_06_sessions_and_keys_both_get_in() {
    let world = World::start("k8cost").await;
    let token = world.login("admin").await;
    let answer = world
        .curl(r#"curl https://app.k8cost.com/api/v1/clusters -H "Authorization: Bearer eyJhbGciOi...""#, &[
            ("eyJhbGciOi...", &token),
        ])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let key = world.key("admin").mint().await;
    assert!(
        key.secret.starts_with("k8c_live_"),
        "a key that starts otherwise"
    );
    let answer = world
        .curl(
            r#"curl https://app.k8cost.com/api/v1/clusters -H "X-API-Key: k8c_live_abc123...""#,
            &[("k8c_live_abc123...", &key.secret)],
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// K8C-02: the log-in reply.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_02_log_in_answers_token_expiry_and_user() {
    let world = World::start("k8cost").await;
    let (email, password) = world.password_of("admin");
    let answer = world
        .curl(
            r#"curl -X POST https://app.k8cost.com/auth/login -H "Content-Type: application/json" -d '{"email": "you@company.com", "password": "your-password"}'"#,
            &[("you@company.com", &email), ("your-password", &password)],
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let members: Vec<_> = body
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(members, ["expires_at", "token", "user"]);
    assert_eq!(body["user"]["email"], email.as_str());
    assert_eq!(body["user"]["role"], "admin");
    uuid::Uuid::parse_str(body["user"]["id"].as_str().expect("an id")).expect("the id is a UUID");
    let user = body["user"].as_object().expect("an object");
    assert_eq!(user.keys().collect::<Vec<_>>(), ["email", "id", "role"]);
    assert_eq!(body["expires_at"], "2026-04-01T12:00:00Z", "a day later");
    assert_eq!(answer.header("x-ratelimit-limit"), Some("20"));
    assert!(body["token"].as_str().expect("a token").starts_with("eyJ"));
}

/// K8C-02, the other side: a wrong password and an unknown address get the same answer, and no token.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_02_a_failed_log_in_tells_nothing() {
    let world = World::start("k8cost").await;
    let (email, _) = world.password_of("admin");
    let wrong = world
        .post("/auth/login", json!({"email": email, "password": "wrong"}))
        .send()
        .await;
    let unknown = world
        .post(
            "/auth/login",
            json!({"email": "nobody@nowhere.test", "password": "wrong"}),
        )
        .send()
        .await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    let poor = |answer: &super::call::Answer| {
        let mut body = answer.json();
        body.as_object_mut().expect("an object").remove("instance");
        body
    };
    assert_eq!(poor(&wrong), poor(&unknown));
    assert!(wrong.json().get("token").is_none());
}

/// K8C-04: tokens expire after 24 hours.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_04_a_token_lives_24_hours() {
    let world = World::start("k8cost").await;
    let token = world.login("viewer").await;
    let claims = jwt_claims(&token);
    assert_eq!(
        claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"),
        24 * 3600
    );
    world.advance_secs(24 * 3600 - 1);
    assert_eq!(
        world.get("/api/v1/clusters").bearer(&token).status().await,
        200
    );
    world.advance_secs(1);
    assert_eq!(
        world.get("/api/v1/clusters").bearer(&token).status().await,
        401
    );
}

/// K8C-05: the refresh endpoint gives a new token, which outlives the first; the session itself ends after 7 days.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_05_refresh_gives_a_new_token() {
    let world = World::start("k8cost").await;
    let token = world.login("viewer").await;
    world.advance_secs(23 * 3600);
    let answer = world
        .curl(
            r#"curl -X POST https://app.k8cost.com/auth/refresh -H "Authorization: Bearer eyJhbGciOi...""#,
            &[("eyJhbGciOi...", &token)],
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let fresh = answer.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(
        jwt_claims(&fresh)["sid"],
        jwt_claims(&token)["sid"],
        "the session stays the same"
    );
    world.advance_secs(2 * 3600);
    assert_eq!(
        world.get("/api/v1/clusters").bearer(&token).status().await,
        401
    );
    assert_eq!(
        world.get("/api/v1/clusters").bearer(&fresh).status().await,
        200
    );

    let mut current = fresh;
    for _ in 0..6 {
        world.advance_secs(20 * 3600);
        let answer = world
            .post("/auth/refresh", json!({}))
            .bearer(&current)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        current = answer.json()["token"].as_str().expect("a token").to_owned();
    }
    world.advance_secs(23 * 3600);
    assert_eq!(
        world
            .post("/auth/refresh", json!({}))
            .bearer(&current)
            .status()
            .await,
        401
    );
    assert_eq!(
        world
            .get("/api/v1/clusters")
            .bearer(&current)
            .status()
            .await,
        401
    );
}

/// K8C-09: a key inherits the permissions of the user who created it, as they are when it is used.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_09_a_key_follows_its_creator() {
    let world = World::start("k8cost").await;
    let key = world.key("editor").mint().await;
    let update = || {
        world
            .patch("/api/v1/clusters/prod", json!({"name": "p"}))
            .api_key(&key.secret)
    };
    assert_eq!(update().status().await, 200);
    world.set_role("editor", "viewer").await;
    assert_eq!(update().status().await, 403);
    assert_eq!(
        world
            .get("/api/v1/clusters/prod")
            .api_key(&key.secret)
            .status()
            .await,
        200
    );
    world.set_clusters("editor", &["staging"]).await;
    assert_eq!(
        world
            .get("/api/v1/clusters/prod")
            .api_key(&key.secret)
            .status()
            .await,
        403
    );
    world.set_role("editor", "admin").await;
    world.set_all_clusters("editor").await;
    assert_eq!(update().status().await, 200);
    world.disable("editor").await;
    assert_eq!(update().status().await, 401);
}

/// K8C-10: the agent's token is cluster-specific. K8C-12: it may submit metrics for that cluster and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_10_12_an_agent_submits_metrics_for_its_cluster_only() {
    let world = World::start("k8cost").await;
    let agent = world.agent("prod").await;
    assert!(agent.secret.starts_with("k8c_agent_"));
    let submit = |cluster: Option<&str>| {
        let request = world.post("/api/v1/metrics", json!({"samples": []}));
        match cluster {
            Some(cluster) => request.header("x-cluster-id", cluster),
            None => request,
        }
    };
    for named in [None, Some("prod")] {
        let answer = submit(named).bearer(&agent.secret).send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let seen = world.upstream_saw();
        assert_eq!(seen.header("x-scopegate-clusters"), Some("prod"));
        assert_eq!(
            seen.header("x-cluster-id"),
            Some("prod"),
            "its own cluster is what the upstream hears"
        );
    }
    assert_eq!(
        submit(None).api_key(&agent.secret).status().await,
        202,
        "also in the key's header"
    );
    for other in ["staging", "nowhere"] {
        assert_eq!(
            submit(Some(other)).bearer(&agent.secret).status().await,
            403,
            "{other}"
        );
    }
    let own = world
        .post("/api/v1/clusters/prod/metrics", json!({}))
        .bearer(&agent.secret)
        .send()
        .await;
    assert_eq!(own.status, 202);
    let other = world
        .post("/api/v1/clusters/staging/metrics", json!({}))
        .bearer(&agent.secret)
        .send()
        .await;
    assert_eq!(other.status, 403);
    for path in [
        "/api/v1/clusters",
        "/api/v1/clusters/prod",
        "/api/v1/users",
        "/api/v1/budgets",
        "/api/v1/billing",
    ] {
        assert_eq!(
            world.get(path).bearer(&agent.secret).status().await,
            403,
            "{path}"
        );
    }
    world
        .assert_may(&agent.secret, |permission| permission == "metrics:write")
        .await;
}

/// K8C-11: the agent reads its token from a Kubernetes Secret, `k8cost-agent`, key `api-token`, as `K8COST_API_TOKEN`.
/// K8C-10: the token is generated during setup, on the gate's machine or over its API.
#[test]
fn k8c_10_11_the_agents_secret_is_printed_ready_to_apply() {
    let gate = gate("k8cost");
    let variables = [("SCOPEGATE_PASSWORD", "correct horse battery staple")];
    let add = ["user", "add", "root@example.com", "--role", "admin"];
    let added = run_with(gate.path(), &variables, "", &add);
    assert!(added.status.success(), "{}", text(&added.stderr));
    run_ok(gate.path(), &["cluster", "add", "prod", "staging"]);
    let (server, url, management) = serve_managed(gate.path());
    let mint = [
        "agent",
        "mint",
        "--cluster",
        "prod",
        "--format",
        "kubernetes-secret",
    ];
    let here = run_ok(gate.path(), &mint);

    let elsewhere = tempfile::tempdir().expect("a directory");
    let gate_url = ("SCOPEGATE_URL", management.as_str());
    let login = ["login", "--email", "root@example.com"];
    let token = run_with(elsewhere.path(), &[variables[0], gate_url], "", &login);
    let token = text(&token.stdout);
    let credential = ("SCOPEGATE_TOKEN", token.trim());
    let over_the_api = run_with(elsewhere.path(), &[gate_url, credential], "", &mint);

    for printed in [here, text(&over_the_api.stdout)] {
        let secret: Value = serde_saphyr::from_str(&printed).expect("a manifest");
        assert_eq!(
            (&secret["apiVersion"], &secret["kind"]),
            (&json!("v1"), &json!("Secret"))
        );
        assert_eq!(secret["metadata"], json!({ "name": "k8cost-agent" }));
        let data = secret["data"].as_object().expect("an object");
        assert_eq!(data.keys().collect::<Vec<_>>(), ["api-token"]);
        let value = data["api-token"].as_str().expect("base64");
        // What Kubernetes puts into the agent's environment.
        let read = BASE64_STANDARD.decode(value).expect("base64");
        let read = String::from_utf8(read).expect("a text");
        assert!(read.starts_with("k8c_agent_") && read.trim() == read);
        let submit = |cluster: &str| {
            let call = format!(
                "K8COST_API_TOKEN='{read}'; curl -s -o /dev/null -w '%{{http_code}}' {url}/api/v1/metrics \
                 -H \"Authorization: Bearer $K8COST_API_TOKEN\" -H 'X-Cluster-ID: {cluster}' -d '{{}}'"
            );
            text(&shell(&call).stdout)
        };
        // Admitted; nobody is at the upstream's address.
        assert_eq!(submit("prod"), "502");
        assert_eq!(submit("staging"), "403", "only its assigned cluster");
    }
    server.interrupt();
}

/// K8C-13: 100, 200 and 20 requests a minute. K8C-14: the three headers on every response, refusals included.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_13_14_limits_by_kind_with_headers_on_every_response() {
    let world = World::start("k8cost").await;
    let token = world.login("admin").await;
    let key = world.key("admin").mint().await;
    let agent = world.agent("prod").await;
    let kinds = [
        (token.as_str(), 100, "/api/v1/clusters"),
        (&key.secret, 200, "/api/v1/clusters"),
        (&agent.secret, 20, "/api/v1/clusters/prod"),
    ];
    for (credential, limit, path) in kinds {
        for call in 1..=limit {
            let request = world.get(path);
            let request = if credential.starts_with("k8c_live") {
                request.api_key(credential)
            } else {
                request.bearer(credential)
            };
            let answer = request.send().await;
            assert!(
                matches!(answer.status, 200 | 403),
                "call {call} of {limit}: {answer:?}"
            );
            assert_eq!(
                answer.header("x-ratelimit-limit"),
                Some(limit.to_string().as_str())
            );
            assert_eq!(
                answer.header("x-ratelimit-remaining"),
                Some((limit - call).to_string().as_str())
            );
            let reset: i64 = answer
                .header("x-ratelimit-reset")
                .expect("a reset")
                .parse()
                .expect("epoch seconds");
            assert!(reset > world.now_secs() && reset <= world.now_secs() + 60 && reset % 60 == 0);
        }
        let request = world.get(path);
        let request = if credential.starts_with("k8c_live") {
            request.api_key(credential)
        } else {
            request.bearer(credential)
        };
        let answer = request.send().await;
        assert_eq!(answer.status, 429, "call {} of {limit}", limit + 1);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
        let wait: i64 = answer
            .header("retry-after")
            .expect("a Retry-After")
            .parse()
            .expect("seconds");
        assert!(wait >= 1);
    }
    for refused in [
        world.get("/api/v1/clusters"),
        world.get("/api/v1/clusters").bearer("k8c_live_nonsense"),
    ] {
        let answer = refused.send().await;
        assert_eq!(answer.status, 401);
        for name in [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ] {
            assert!(answer.header(name).is_some(), "{name} on a 401");
        }
    }
    world.advance_secs(120);
    assert_eq!(
        world.get("/api/v1/clusters").bearer(&token).status().await,
        200
    );
}

/// K8C-15: admin, full access. K8C-16: editor, no billing and no user management. K8C-17: viewer, read-only.
#[tokio::test(flavor = "multi_thread")]
async fn k8c_15_16_17_what_the_roles_may_do() {
    let world = World::start("k8cost").await;
    let reads = [
        "/api/v1/clusters",
        "/api/v1/clusters/prod",
        "/api/v1/recommendations",
        "/api/v1/alerts",
        "/api/v1/budgets",
    ];
    let views = ["/api/v1/dashboards", "/api/v1/reports"];
    let writes = [
        ("PATCH", "/api/v1/clusters/prod"),
        ("PATCH", "/api/v1/clusters/prod/recommendations/r1"),
        ("POST", "/api/v1/clusters/prod/alerts"),
    ];
    let closed = [
        ("GET", "/api/v1/billing"),
        ("PUT", "/api/v1/billing"),
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/users"),
        ("DELETE", "/api/v1/users/u1"),
        ("GET", "/api/v1/settings"),
        ("PUT", "/api/v1/settings"),
    ];
    let expected = |is_allowed| if is_allowed { 200 } else { 403 };
    for (role, writes_allowed, closed_allowed) in [
        ("admin", true, true),
        ("editor", true, false),
        ("viewer", false, false),
    ] {
        let token = world.login(role).await;
        let status = async |method: &str, path: &str| {
            let request = world.request(method, path).bearer(&token);
            let request = if method == "GET" {
                request
            } else {
                request.json(json!({}))
            };
            request.status().await
        };
        for path in reads.iter().chain(&views) {
            assert_eq!(status("GET", path).await, 200, "{role} reads {path}");
        }
        for (method, path) in writes {
            let answered = status(method, path).await;
            assert_eq!(
                answered,
                expected(writes_allowed),
                "{role}: {method} {path}"
            );
        }
        for (method, path) in closed {
            let answered = status(method, path).await;
            assert_eq!(
                answered,
                expected(closed_allowed),
                "{role}: {method} {path}"
            );
        }
    }
}
