//! KubeWatch: what `kubewatch-authentication.txt` promises, each statement under its number.

use serde_json::json;

use super::world::{World, jwt_claims, jwt_header, tampered};

/// KW-01: sessions for people, keys for programs. KW-04: Bearer on every request. KW-07: keys look like `kw_live_…`
/// and go in `X-API-Key`.
#[tokio::test(flavor = "multi_thread")]
async fn kw_01_04_07_sessions_and_keys_both_get_in() {
    let world = World::start("kubewatch").await;
    let token = world.login("admin").await;
    let answer = world
        .curl(
            r#"curl -H "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..." https://YOUR_KUBEWATCH_URL/api/v1/agents"#,
            &[("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...", &token)],
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let key = world.key("admin").mint().await;
    assert!(key.secret.starts_with("kw_live_"));
    let answer = world
        .curl(r#"curl -H "X-API-Key: kw_live_abc123xyz456..." https://YOUR_KUBEWATCH_URL/api/v1/agents"#, &[
            ("kw_live_abc123xyz456...", &key.secret),
        ])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// KW-02: the log-in reply, and the token is HS256.
#[tokio::test(flavor = "multi_thread")]
async fn kw_02_log_in_answers_token_expiry_and_user() {
    let world = World::start("kubewatch").await;
    let (email, password) = world.password_of("viewer");
    let answer = world
        .curl(
            r#"curl -X POST https://YOUR_KUBEWATCH_URL/auth/login -H "Content-Type: application/json" -d '{"email": "you@example.com", "password": "your-password"}'"#,
            &[("you@example.com", &email), ("your-password", &password)],
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
    assert_eq!(members, ["expiresAt", "token", "user"]);
    let user: Vec<_> = body["user"]
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(user, ["email", "id", "orgId"]);
    assert_eq!(body["expiresAt"], "2026-04-01T12:00:00Z", "a day later");
    assert_eq!(body["user"]["email"], email.as_str());
    let id = body["user"]["id"].as_str().expect("an id");
    assert!(id.starts_with("user_"), "{id}");
    assert_eq!(
        body["user"]["orgId"],
        format!("org_{}", world.organization_id())
    );
    assert_eq!(
        jwt_header(body["token"].as_str().expect("a token"))["alg"],
        "HS256"
    );
}

/// KW-03: tokens expire after 24 hours, and there is no refresh.
#[tokio::test(flavor = "multi_thread")]
async fn kw_03_a_token_lives_24_hours_and_is_not_refreshed() {
    let world = World::start("kubewatch").await;
    let token = world.login("viewer").await;
    let claims = jwt_claims(&token);
    assert_eq!(
        claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"),
        24 * 3600
    );
    let refresh = world
        .post("/auth/refresh", json!({}))
        .bearer(&token)
        .send()
        .await;
    assert_eq!(refresh.status, 404, "{refresh:?}");
    let status = async |token: &str| {
        let request = world.get("/api/v1/agents").bearer(token);
        request.status().await
    };
    world.advance_secs(24 * 3600 - 1);
    assert_eq!(status(&token).await, 200);
    world.advance_secs(1);
    assert_eq!(status(&token).await, 401);
    let again = world.login("viewer").await;
    assert_eq!(status(&again).await, 200);
}

/// KW-08: a key is scoped to the organization that it was created in.
#[tokio::test(flavor = "multi_thread")]
async fn kw_08_a_key_sees_its_organization_only() {
    let world = World::start("kubewatch").await;
    world.second_organization("other", &["theirs"]).await;
    let key = world.key("admin").mint().await;
    assert_eq!(
        world
            .get("/api/v1/clusters/prod/metrics")
            .api_key(&key.secret)
            .status()
            .await,
        200
    );
    assert_eq!(
        world.upstream_saw().header("x-scopegate-organization"),
        Some(world.organization_id().as_str())
    );
    assert_eq!(
        world
            .get("/api/v1/clusters/theirs/metrics")
            .api_key(&key.secret)
            .status()
            .await,
        403
    );
    let (own, theirs) = (
        json!({"cluster_id": "prod"}),
        json!({"cluster_id": "theirs"}),
    );
    world.upstream_lists("items", json!([own, theirs]));
    let list = world.get("/api/v1/agents").api_key(&key.secret);
    assert_eq!(list.send().await.json()["items"], json!([own]));
}

/// KW-09: an admin's permissions for reading metrics and managing agents, and only those.
#[tokio::test(flavor = "multi_thread")]
async fn kw_09_a_key_reads_metrics_and_manages_agents_only() {
    let world = World::start("kubewatch").await;
    let key = world.key("viewer").mint().await;
    let status = async |method: &str, path: &str| {
        let request = world.request(method, path).api_key(&key.secret);
        let request = if method == "GET" || method == "DELETE" {
            request
        } else {
            request.json(json!({}))
        };
        request.status().await
    };
    assert_eq!(status("GET", "/api/v1/clusters/prod/metrics").await, 200);
    assert_eq!(status("GET", "/api/v1/agents").await, 200);
    assert!(status("POST", "/api/v1/agents").await < 300);
    assert!(status("DELETE", "/api/v1/agents/a1").await < 300);
    for path in ["/api/v1/users", "/api/v1/settings"] {
        assert_eq!(status("GET", path).await, 403, "{path}");
        let admin = world.login("admin").await;
        assert_eq!(
            world.get(path).bearer(&admin).status().await,
            200,
            "{path} for an admin's session"
        );
    }
    world
        .assert_may(&key.secret, |permission| {
            permission == "metrics:read" || permission.starts_with("agents:")
        })
        .await;
    world.disable("viewer").await;
    assert_eq!(
        status("GET", "/api/v1/agents").await,
        200,
        "the key is the organization's, not its maker's"
    );
}

/// KW-10: revoking takes effect at the next request, with `unauthorized`; no other key is touched.
#[tokio::test(flavor = "multi_thread")]
async fn kw_10_a_revoked_key_is_unauthorized_at_once() {
    let world = World::start("kubewatch").await;
    let key = world.key("admin").mint().await;
    let other = world.key("admin").mint().await;
    let get = |secret: &str| world.get("/api/v1/agents").api_key(secret);
    assert_eq!(get(&key.secret).status().await, 200);
    world.revoke(&key).await;
    let answer = get(&key.secret).send().await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, json!({"error": "unauthorized"}))
    );
    assert_eq!(get(&other.secret).status().await, 200);
}

/// KW-11: `unauthorized` for what is missing, expired or not valid.
#[tokio::test(flavor = "multi_thread")]
async fn kw_11_unauthorized() {
    let world = World::start("kubewatch").await;
    let key = world.key("admin").mint().await;
    let path = "/api/v1/agents";
    let expired = world.agent_for_secs("prod", 60).await;
    world.advance_secs(60);
    let ended = world.login("viewer").await;
    let logout = world.post("/auth/logout", json!({})).bearer(&ended);
    assert_eq!(logout.status().await, 204);
    let causes = [
        ("expired", world.get(path).bearer(&expired.secret)),
        ("ended session", world.get(path).bearer(&ended)),
        ("missing", world.get(path)),
        (
            "unknown key",
            world
                .get(path)
                .api_key("kw_live_000000000000000000000000000000000000"),
        ),
        ("empty key", world.get(path).api_key("")),
        (
            "unknown scheme",
            world.get(path).header("authorization", "Basic dTpw"),
        ),
        (
            "two credentials",
            world.get(path).api_key(&key.secret).bearer("kw_live_x"),
        ),
    ];
    for (cause, request) in causes {
        let answer = request.send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({"error": "unauthorized"})),
            "{cause}"
        );
        assert!(answer.header("www-authenticate").is_some(), "{cause}");
    }
}

/// KW-12: `invalid token` for a signature that does not hold, whatever else is wrong with the token.
#[tokio::test(flavor = "multi_thread")]
async fn kw_12_invalid_token() {
    let world = World::start("kubewatch").await;
    let token = world.login("admin").await;
    let expired_and_tampered =
        tampered(&world.sign_claims(&token, |claims| claims["exp"] = json!(1)));
    let wrong_issuer = world.sign_claims(&token, |claims| claims["iss"] = json!("somebody else"));
    let wrong_audience =
        world.sign_claims(&token, |claims| claims["aud"] = json!("something else"));
    let none = world.unsigned(&token);
    let tokens = [
        ("tampered", tampered(&token)),
        ("expired and tampered", expired_and_tampered),
        ("issuer", wrong_issuer),
        ("audience", wrong_audience),
        ("alg none", none),
        ("unparsable", "eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned()),
    ];
    for (cause, token) in tokens {
        let answer = world.get("/api/v1/agents").bearer(&token).send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({"error": "invalid token"})),
            "{cause}"
        );
    }
}

/// KW-13: `missing org_id claim`.
#[tokio::test(flavor = "multi_thread")]
async fn kw_13_missing_org_id_claim() {
    let world = World::start("kubewatch").await;
    let token = world.login("admin").await;
    let without = world.sign_claims(&token, |claims| {
        claims.as_object_mut().expect("an object").remove("org_id");
    });
    let answer = world.get("/api/v1/agents").bearer(&without).send().await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, json!({"error": "missing org_id claim"}))
    );
}

/// KW-14: `token expired`, also when the `org_id` is missing as well.
#[tokio::test(flavor = "multi_thread")]
async fn kw_14_token_expired() {
    let world = World::start("kubewatch").await;
    let token = world.login("admin").await;
    let both = world.sign_claims(&token, |claims| {
        claims["exp"] = json!(1);
        claims.as_object_mut().expect("an object").remove("org_id");
    });
    world.advance_secs(24 * 3600);
    for token in [token, both] {
        let answer = world.get("/api/v1/agents").bearer(&token).send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({"error": "token expired"}))
        );
    }
}
