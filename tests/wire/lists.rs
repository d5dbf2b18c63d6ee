//! Lists over the wire: cut down for whoever asks, and never passed as they are.

use axum::body::Body;
use http::Response;
use scopegate_host::admin::Command;
use serde_json::{Value, json};

use crate::harness::{Key, Options, World, json_reply, upstream::raw_upstream};

const PATH: &str = "/api/v1/clusters";

fn clusters() -> Value {
    json!({
        "clusters": [{ "id": "prod", "cost": 1.5 }, { "id": "dev" }, { "id": "staging" }, { "id": "elsewhere" }],
        "next_cursor": "abc",
        "total": 4,
    })
}

fn ids(list: &Value) -> Vec<&str> {
    list["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn each_caller_gets_their_own_part() {
    let mut world = World::start("k8cost").await;
    world.upstream.answers(|_| json_reply(200, clusters()));
    world
        .add_user("acme", "part@acme.example", "viewer", Some(&["dev"]))
        .await;

    let reply = world.session("admin").await.get(PATH).await;
    assert_eq!(
        ids(&reply.json()),
        ["prod", "dev", "staging"],
        "nobody sees what is not registered"
    );
    assert_eq!(reply.json()["next_cursor"], "abc");
    assert_eq!(reply.json()["total"], Value::Null);

    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let reply = key.get(PATH).await;
    assert_eq!(ids(&reply.json()), ["prod"]);
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());

    assert_eq!(
        ids(&world
            .session("part@acme.example")
            .await
            .get(PATH)
            .await
            .json()),
        ["dev"]
    );
    let both = world
        .key(Key {
            owner: "part@acme.example",
            clusters: &["dev", "prod"],
            ..Key::default()
        })
        .await;
    assert_eq!(ids(&both.get(PATH).await.json()), ["dev"]);

    world
        .command(Command::ClusterDelete {
            organization: None,
            id: "dev".into(),
        })
        .await
        .unwrap();
    assert_eq!(ids(&both.get(PATH).await.json()), Vec::<&str>::new());
}

#[tokio::test]
async fn a_key_without_restriction_sees_clusters_that_come_later() {
    let world = World::start("kubeadapt").await;
    world.upstream.answers(|_| {
        json_reply(
            200,
            json!({ "clusters": [{ "id": "prod" }, { "id": "new" }] }),
        )
    });
    let key = world
        .key(Key {
            scopes: &["clusters:read"],
            ..Key::default()
        })
        .await;
    assert_eq!(ids(&key.get("/v1/clusters").await.json()), ["prod"]);
    world.add_cluster("acme", "new").await;
    assert_eq!(ids(&key.get("/v1/clusters").await.json()), ["prod", "new"]);
}

#[tokio::test]
async fn the_upstream_is_asked_for_the_whole_list_in_plain() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|seen| {
        for name in [
            "accept-encoding",
            "range",
            "if-range",
            "if-none-match",
            "if-modified-since",
        ] {
            assert!(!seen.headers.contains_key(name), "{name} went on");
        }
        let mut reply = json_reply(200, clusters());
        for (name, value) in [
            ("etag", "\"all\""),
            ("last-modified", "x"),
            ("accept-ranges", "bytes"),
            ("x-total-count", "4"),
        ] {
            reply.headers_mut().insert(name, value.parse().unwrap());
        }
        reply
    });
    let asked = [
        ("accept-encoding", "gzip"),
        ("range", "bytes=0-10"),
        ("if-range", "\"all\""),
        ("if-none-match", "\"all\""),
        ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ];
    let reply = world.session("admin").await.get_with(PATH, &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    for name in ["etag", "last-modified", "accept-ranges", "x-total-count"] {
        assert_eq!(reply.header(name), "", "{name} came back");
    }
    assert_eq!(reply.header("cache-control"), "no-store");

    world.upstream.answers(|seen| {
        json_reply(
            200,
            json!({ "seen": seen.headers.contains_key("if-none-match") }),
        )
    });
    let other = world
        .session("admin")
        .await
        .get_with("/api/v1/clusters/prod", &[("if-none-match", "\"x\"")])
        .await;
    assert_eq!(other.json()["seen"], true);
}

#[tokio::test]
async fn head_of_a_list_says_nothing_of_its_length() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|_| {
        Response::builder()
            .header("content-type", "application/json")
            .header("content-length", "4096")
            .body(Body::empty())
            .unwrap()
    });
    let reply = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await
        .call("HEAD", PATH)
        .await;
    assert_eq!((reply.status, reply.header("content-length")), (200, ""));
}

/// What it is, and its status, headers and body.
type BadList = (
    &'static str,
    u16,
    &'static [(&'static str, &'static str)],
    String,
);

/// Whatever an upstream does by mistake or malice, an unfiltered list does not pass.
#[tokio::test]
async fn what_cannot_be_narrowed_is_502() {
    let secret = r#"{"clusters":[{"id":"dev","secret":"leak"}]}"#;
    let cases: &[BadList] = &[
        (
            "encoded",
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ],
            secret.into(),
        ),
        (
            "said to be identity",
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", "identity"),
            ],
            secret.into(),
        ),
        (
            "a part",
            206,
            &[
                ("content-type", "application/json"),
                ("content-range", "bytes 0-5/9"),
            ],
            secret.into(),
        ),
        (
            "not JSON by type",
            200,
            &[("content-type", "text/html")],
            secret.into(),
        ),
        ("without a type", 200, &[], secret.into()),
        (
            "two documents",
            200,
            &[("content-type", "application/json")],
            format!("{{\"clusters\":[]}}{secret}"),
        ),
        (
            "a name twice",
            200,
            &[("content-type", "application/json")],
            r#"{"clusters":[],"clusters":[{"id":"leak"}]}"#.into(),
        ),
        (
            "an id twice",
            200,
            &[("content-type", "application/json")],
            r#"{"clusters":[{"id":"prod","id":"leak"}]}"#.into(),
        ),
        (
            "an item without",
            200,
            &[("content-type", "application/json")],
            r#"{"clusters":[{"name":"leak"}]}"#.into(),
        ),
        (
            "another shape",
            200,
            &[("content-type", "application/json")],
            r#"{"items":[{"id":"leak"}]}"#.into(),
        ),
        (
            "no object",
            200,
            &[("content-type", "application/json")],
            r#"["leak"]"#.into(),
        ),
        (
            "cut off",
            200,
            &[("content-type", "application/json")],
            r#"{"clusters":[{"id":"leak"}"#.into(),
        ),
        (
            "too large",
            200,
            &[("content-type", "application/json")],
            format!("{{\"clusters\":[],\"leak\":\"{}\"}}", "x".repeat(5000)),
        ),
        (
            "multi-status",
            207,
            &[("content-type", "application/xml")],
            secret.into(),
        ),
    ];
    let world = World::with(Options {
        list_bytes_max: 4096,
        ..Options::of("k8cost")
    })
    .await;
    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    for (name, status, headers, body) in cases.iter().cloned() {
        world.upstream.answers(move |_| {
            let reply = headers.iter().fold(
                Response::builder().status(status),
                |reply, (name, value)| reply.header(*name, *value),
            );
            reply.body(Body::from(body.clone())).unwrap()
        });
        let reply = key.get(PATH).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (502, "unfilterable-list"),
            "{name}"
        );
        assert!(!reply.body.contains("leak"), "{name}: {}", reply.body);
        for (name, value) in &reply.headers {
            assert!(
                !["content-encoding", "content-range"].contains(&name.as_str()),
                "{name}: {value:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_502() {
    for reply in [
        &b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"clusters\":[]}"[..],
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"clusters\":[]}\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{\"clusters\":[]}",
    ] {
        let upstream = Some(raw_upstream(reply).await);
        let world = World::with(Options { upstream, ..Options::of("k8cost") }).await;
        let reply = world.key(Key::default()).await.get(PATH).await;
        assert_eq!(reply.status, 502, "{}", reply.body);
    }
}

#[tokio::test]
async fn errors_and_redirects_of_a_list() {
    let world = World::start("k8cost").await;
    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    world
        .upstream
        .answers(|_| json_reply(500, json!({ "error": "out of order" })));
    let reply = key.get(PATH).await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (500, Some("out of order"))
    );
    world.upstream.answers(|_| {
        Response::builder()
            .status(307)
            .header("location", "/api/v1/clusters?page=1")
            .body(Body::from("dev, staging"))
            .unwrap()
    });
    let reply = key.get(PATH).await;
    assert_eq!(
        (reply.status, reply.header("location"), reply.body.as_str()),
        (307, "/api/v1/clusters?page=1", "")
    );
}

#[tokio::test]
async fn a_long_list_is_narrowed_too() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|_| {
        let items: Vec<Value> = (0..20_000)
            .map(|n| json!({ "id": if n % 100 == 0 { "prod" } else { "dev" }, "n": n }))
            .collect();
        json_reply(200, json!({ "clusters": items }))
    });
    let reply = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await
        .get(PATH)
        .await;
    assert_eq!(reply.json()["clusters"].as_array().unwrap().len(), 200);
}
