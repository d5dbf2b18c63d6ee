//! KubeVision: what `kubevision-api-keys.txt` promises, each statement under its number.

use serde_json::json;

use super::world::World;

const CLUSTERS: &str = r#"curl https://kubevision.example.com/api/v1/clusters -H "Authorization: ApiKey kv_live_abc123xyz...""#;

/// KV-03: `Authorization: ApiKey kv_live_…`, the scheme's name in any case.
#[tokio::test(flavor = "multi_thread")]
async fn kv_03_the_apikey_scheme() {
    let world = World::start("kubevision").await;
    let key = world.key("viewer").mint().await;
    assert!(key.secret.starts_with("kv_live_"));
    let answer = world
        .curl(CLUSTERS, &[("kv_live_abc123xyz...", &key.secret)])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for scheme in ["apikey", "APIKEY"] {
        let value = format!("{scheme} {}", key.secret);
        assert_eq!(
            world
                .get("/api/v1/clusters")
                .header("authorization", &value)
                .status()
                .await,
            200
        );
    }
    assert_eq!(
        world
            .get("/api/v1/clusters")
            .api_key(&key.secret)
            .status()
            .await,
        401
    );
}

/// KV-04: the key resolves to its owner and proceeds as with a JWT: the upstream hears the same caller.
#[tokio::test(flavor = "multi_thread")]
async fn kv_04_a_key_proceeds_as_its_owner() {
    let world = World::start("kubevision").await;
    let token = world.login("editor").await;
    let key = world.key("editor").mint().await;
    let mut heard = Vec::new();
    let value = format!("ApiKey {}", key.secret);
    for request in [
        world.get("/api/v1/clusters/prod").bearer(&token),
        world
            .get("/api/v1/clusters/prod")
            .header("authorization", &value),
    ] {
        assert_eq!(request.status().await, 200);
        let seen = world.upstream_saw();
        heard.push(
            [
                "x-scopegate-subject",
                "x-scopegate-organization",
                "x-scopegate-roles",
                "x-scopegate-clusters",
            ]
            .map(|name| {
                seen.header(name)
                    .expect("identity headers are always there")
                    .to_owned()
            }),
        );
        assert_eq!(
            seen.header("authorization"),
            None,
            "the credential stays at the gate"
        );
    }
    assert_eq!(heard[0], heard[1]);
}

/// KV-05: SHA-256 in the database, the plaintext nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn kv_05_sha_256_at_rest() {
    use sha2::{Digest, Sha256};
    let world = World::start("kubevision").await;
    let key = world.key("viewer").mint().await;
    world
        .get("/api/v1/clusters")
        .header("authorization", &format!("ApiKey {}", key.secret))
        .send()
        .await;
    let hash = Sha256::digest(key.secret.as_bytes());
    assert_eq!(
        world
            .stored_hashes()
            .await
            .iter()
            .filter(|stored| stored[..] == hash[..])
            .count(),
        1
    );
    world.assert_nowhere_on_disk(&key.secret).await;
}

/// KV-06: permissions identical to the owner's role and cluster assignments. KV-15: RBAC applies to key requests.
#[tokio::test(flavor = "multi_thread")]
async fn kv_06_15_a_key_has_its_owners_role_and_clusters() {
    let world = World::start("kubevision").await;
    let key = world.key("viewer").mint().await;
    let value = format!("ApiKey {}", key.secret);
    let deployment = |cluster: &str| {
        format!("/api/v1/clusters/{cluster}/namespaces/default/deployments/api-server")
    };
    let patch = async |cluster: &str| {
        let request = world.patch(&deployment(cluster), json!({"spec": {"replicas": 5}}));
        request.header("authorization", &value).status().await
    };
    assert_eq!(patch("prod").await, 403, "a viewer scales nothing");
    world.set_role("viewer", "editor").await;
    assert_eq!(patch("prod").await, 200);
    world.set_clusters("viewer", &["staging"]).await;
    assert_eq!((patch("prod").await, patch("staging").await), (403, 200));
    let token = world.login("viewer").await;
    let session = world
        .patch(&deployment("prod"), json!({}))
        .bearer(&token)
        .send()
        .await;
    assert_eq!(session.status, 403, "as for the owner's own session");
    let list = || world.get("/api/v1/clusters");
    let by_key = list().header("authorization", &value).send().await.json();
    assert_eq!(by_key["clusters"], json!([{"id": "staging"}]));
    assert_eq!(list().bearer(&token).send().await.json(), by_key);
    world.disable("viewer").await;
    assert_eq!(patch("staging").await, 401);
}

/// KV-07: expiry is optional; an expired key is refused.
#[tokio::test(flavor = "multi_thread")]
async fn kv_07_expiry_is_optional_and_holds() {
    let world = World::start("kubevision").await;
    let forever = world.key("viewer").mint().await;
    let hour = world.key("viewer").expires_in_secs(3600).mint().await;
    let status = async |secret: &str| {
        world
            .get("/api/v1/clusters")
            .header("authorization", &format!("ApiKey {secret}"))
            .status()
            .await
    };
    world.advance_secs(3599);
    assert_eq!(
        (status(&forever.secret).await, status(&hour.secret).await),
        (200, 200)
    );
    world.advance_secs(1);
    assert_eq!(
        (status(&forever.secret).await, status(&hour.secret).await),
        (200, 401)
    );
    world.advance_secs(10 * 365 * 24 * 3600);
    assert_eq!(status(&forever.secret).await, 200);
}

/// KV-08: sessions and keys of one user share one bucket.
#[tokio::test(flavor = "multi_thread")]
async fn kv_08_one_bucket_for_each_user() {
    let world = World::start("kubevision").await;
    let token = world.login("viewer").await;
    let keys = [
        world.key("viewer").mint().await,
        world.key("viewer").mint().await,
    ];
    let get = || world.get("/api/v1/clusters");
    let first = get().bearer(&token).send().await;
    let limit: i64 = first
        .header("x-ratelimit-limit")
        .expect("a limit")
        .parse()
        .expect("a number");
    let mut remaining = limit - 1;
    assert_eq!(
        first.header("x-ratelimit-remaining"),
        Some(remaining.to_string().as_str())
    );
    while remaining > 0 {
        let turn = usize::try_from(remaining).expect("small") % 3;
        let request = match keys.get(turn) {
            Some(key) => get().header("authorization", &format!("ApiKey {}", key.secret)),
            None => get().bearer(&token),
        };
        let answer = request.send().await;
        remaining -= 1;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("x-ratelimit-remaining"),
            Some(remaining.to_string().as_str())
        );
    }
    for key in &keys {
        assert_eq!(
            get()
                .header("authorization", &format!("ApiKey {}", key.secret))
                .status()
                .await,
            429
        );
    }
    assert_eq!(get().bearer(&token).status().await, 429);
    let other = world.login("editor").await;
    assert_eq!(
        get().bearer(&other).status().await,
        200,
        "another user has a bucket of their own"
    );
}

/// KV-09: key requests are logged under the owner's name with the key's name as the agent. KV-16: in the audit log.
#[tokio::test(flavor = "multi_thread")]
async fn kv_09_16_the_audit_names_owner_and_key() {
    let world = World::start("kubevision").await;
    let key = world
        .key("editor")
        .name("github-actions-deploy")
        .mint()
        .await;
    let value = format!("ApiKey {}", key.secret);
    world
        .get("/api/v1/clusters/prod?token=in-the-query")
        .header("authorization", &value)
        .send()
        .await;
    let refused = world.get("/api/v1/users").header("authorization", &value);
    assert_eq!(refused.status().await, 403);
    let (email, _) = world.password_of("editor");
    let records = world.audit().await;
    let outcomes: Vec<_> = records
        .iter()
        .filter(|record| record["agent"] == "github-actions-deploy" && record["name"] == *email)
        .map(|record| record["outcome"].as_str().expect("an outcome"))
        .collect();
    assert_eq!(outcomes, ["admit", "refuse"]);
    let record = records
        .iter()
        .find(|record| record["agent"] == "github-actions-deploy")
        .expect("a record of the key");
    assert_eq!(record["name"], email.as_str());
    assert_eq!(record["outcome"], "admit");
    assert_eq!(record["path"], "/api/v1/clusters/prod");
    let all = serde_json::to_string(&records).expect("JSON");
    assert!(
        !all.contains(&key.secret) && !all.contains("in-the-query"),
        "neither credential nor query is recorded"
    );
}

/// KV-13: the CI/CD example of the text.
#[tokio::test(flavor = "multi_thread")]
async fn kv_13_the_cicd_example() {
    let world = World::start("kubevision").await;
    let key = world.key("editor").mint().await;
    let line = r#"curl -X PATCH https://kubevision.example.com/api/v1/clusters/prod/namespaces/default/deployments/api-server \
-H "Authorization: ApiKey $KUBEVISION_API_KEY" \
-H "Content-Type: application/json" \
-d '{"spec": {"replicas": 5}}'"#;
    let answer = world
        .curl(line, &[("$KUBEVISION_API_KEY", &key.secret)])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = world.upstream_saw();
    let path = "/api/v1/clusters/prod/namespaces/default/deployments/api-server";
    assert_eq!((seen.method(), seen.path()), ("PATCH", path));
    assert_eq!(seen.json(), json!({"spec": {"replicas": 5}}));
    let viewer = world.key("viewer").mint().await;
    let answer = world
        .curl(line, &[("$KUBEVISION_API_KEY", &viewer.secret)])
        .await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

/// KV-14: API keys bypass the second factor; sessions do not.
#[tokio::test(flavor = "multi_thread")]
async fn kv_14_keys_bypass_the_second_factor() {
    let world = World::start("kubevision").await;
    let key = world.key("viewer").mint().await;
    let before = world.login("viewer").await;
    let by_key = async || {
        let value = format!("ApiKey {}", key.secret);
        let request = world.get("/api/v1/clusters");
        request.header("authorization", &value).status().await
    };
    let by_session = async |token: &str| world.get("/api/v1/clusters").bearer(token).status().await;
    assert_eq!((by_key().await, by_session(&before).await), (200, 200));
    let factor = world.enrol("viewer").await;
    assert_eq!((by_key().await, by_session(&before).await), (200, 401));
    let (email, password) = world.password_of("viewer");
    let mut body = json!({ "email": email, "password": password });
    let asked = world.post("/auth/login", body.clone()).send().await;
    assert_eq!(asked.status, 401, "{asked:?}");
    assert_eq!(asked.json()["code"], "otp_required");
    world.advance_secs(60);
    body["otp"] = json!(factor.code(world.now_secs() * 1000));
    let granted = world.post("/auth/login", body).send().await;
    assert_eq!(granted.status, 200, "{granted:?}");
    let token = granted.json()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!((by_key().await, by_session(&token).await), (200, 200));
}
