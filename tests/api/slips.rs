//! What is sent by mistake or with intent: little of it is read, and nothing of it comes back or is kept.

use serde_json::{Value, json};

use super::office::{made, named, office};

const SECRET: &str = "4711471147";

#[tokio::test]
async fn no_value_of_a_body_or_query_comes_back_or_is_recorded() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let number: u64 = SECRET.parse().unwrap();
    let mut details = Vec::new();
    for (path, body) in [
        (
            "/-/api/me/password",
            json!({ "current": number, "new": "x" }),
        ),
        ("/-/api/keys", json!({ SECRET: 1 })),
        ("/-/api/keys", json!({ "name": "ci", "expires_at": SECRET })),
    ] {
        let reply = match path {
            "/-/api/keys" => admin.post(path, body).await,
            _ => admin.send(admin.request("PUT", path).json(&body)).await,
        };
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(!reply.body.contains(SECRET), "{}", reply.body);
        details.push(reply.json()["detail"].as_str().unwrap().to_owned());
    }
    assert!(details[0].contains("`current`"), "{details:?}");
    assert!(details[1].contains("`name`"), "{details:?}");
    assert!(details[2].contains("`expires_at`"), "{details:?}");
    for query in ["limit=4711471147471147", "state=4711471147", "4711471147=1"] {
        let reply = admin.get(&format!("/-/api/keys?{query}")).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(!reply.body.contains(SECRET), "{}", reply.body);
    }
    let found = admin.get("/-/api/audit?limit=200").await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert!(!found.body.contains(SECRET), "{}", found.body);
}

#[tokio::test]
async fn bodies_are_as_large_as_they_need_to_be() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let key = made(&admin, "/-/api/keys", named("ci")).await;
    let key = world.manages(&world.with_key(key["secret"].as_str().unwrap()));

    let long = "x".repeat(65 << 10);
    let reply = key
        .post("/-/api/keys/self/rotate", json!({ long.as_str(): 1 }))
        .await;
    assert_eq!(reply.status, 413, "{}", reply.body);
    let name = &long[..60 << 10];
    let reply = key
        .post("/-/api/keys/self/rotate", json!({ name: 1 }))
        .await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(reply.body.len() < 1024, "{}", reply.body);

    for (bytes, status) in [(16 << 10, 200), (33 << 10, 413)] {
        let form = key
            .request("POST", "/-/api/introspect")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={}", &long[..bytes]));
        let reply = key.send(form).await;
        assert_eq!(reply.status, status, "{}", reply.body);
    }
    let untyped = key.request("POST", "/-/api/introspect").body("token=x");
    assert_eq!(key.send(untyped).await.status, 415);
    let twice = key
        .request("POST", "/-/api/revoke")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("token=4711471147&token=4711471147");
    let reply = key.send(twice).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(!reply.body.contains(SECRET), "{}", reply.body);
    // And the records of all this are short.
    let found = admin.get("/-/api/audit?limit=200").await.json();
    let items = found["items"].as_array().unwrap();
    assert!(items.len() > 4, "{found}");
    let is_short = |record: &Value| record.to_string().len() < 2048;
    assert!(items.iter().all(is_short), "{found}");
}
