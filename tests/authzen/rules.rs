//! One question: what it must have, what is ignored, how it is answered.

use serde_json::{Value, json};

use super::asker::{
    EVALUATION, EVALUATIONS, answer, asker, cluster, decision, minted, route, sent, user,
};
use crate::harness::{Key, Options, World};

/// What a question lacks or has wrong, and what the problem says of it.
const WRONG: [(&str, &str); 20] = [
    ("", "not JSON"),
    ("nonsense", "not JSON"),
    ("[]", "not an object"),
    ("{}", "`subject` is missing"),
    (r#"{"subject":7}"#, "`subject` is not an object"),
    (r#"{"subject":null}"#, "`subject` is not an object"),
    (r#"{"subject":{"id":"a"}}"#, "`subject.type` is missing"),
    (r#"{"subject":{"type":"user"}}"#, "`subject.id` is missing"),
    (
        r#"{"subject":{"type":1,"id":"a"}}"#,
        "`subject.type` is not a text",
    ),
    (
        r#"{"subject":{"type":"user","id":1}}"#,
        "`subject.id` is not a text",
    ),
    (
        r#"{"subject":{"type":"user","id":"a","properties":[]}}"#,
        "`subject.properties` is not an object",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"}}"#,
        "`action` is missing",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":"GET"}"#,
        "`action` is not an object",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{}}"#,
        "`action.name` is missing",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"}}"#,
        "`resource` is missing",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"},"resource":{"type":"route"}}"#,
        "`resource.id` is missing",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"},"resource":{"type":"route","id":"/"},"context":1}"#,
        "`context` is not an object",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"},"resource":{"type":"route","id":"/"},"context":{"time":"noon"}}"#,
        "`context.time`",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"},"resource":{"type":"route","id":"/"},"context":{"ip":"here"}}"#,
        "`context.ip`",
    ),
    (
        r#"{"subject":{"type":"user","id":"a"},"action":{"name":"GET"},"resource":{"type":"route","id":"/v1/clusters/{cluster}"}}"#,
        "`resource.id` is a template",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_a_question_is_a_400_that_names_it() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    for (body, said) in WRONG {
        for path in [EVALUATION, EVALUATIONS] {
            let reply = sent(&asker, path, "application/json", body).await;
            assert_eq!(reply.status, 400, "{body}: {}", reply.body);
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let problem = reply.json();
            assert_eq!(problem["code"], "invalid_request");
            let detail = problem["detail"].as_str().expect("text");
            assert!(detail.contains(said), "{body}: {detail}");
        }
    }
    let good = route(&user("admin@acme.example"), "GET", "/v1/clusters").to_string();
    for (content_type, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
    ] {
        let reply = sent(&asker, EVALUATION, content_type, &good).await;
        assert_eq!(reply.status, status, "{content_type}: {}", reply.body);
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(300 << 10));
    let reply = sent(&asker, EVALUATION, "application/json", &large).await;
    assert_eq!(reply.status, 413);
    let reply = asker.get(EVALUATION).await;
    assert_eq!((reply.status, reply.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn a_denial_is_a_200_and_says_why() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let viewer = user("viewer@acme.example");
    let denied = answer(&asker, EVALUATION, &route(&viewer, "POST", "/v1/alerts")).await;
    assert_eq!(
        denied,
        json!({ "decision": false, "context": {
            "code": "missing-permission",
            "status": 403,
            "reason_admin": { "en": "the permission `alerts:write` is missing" },
            "reason_user": { "en": "Permission missing" },
        } })
    );
    let allowed = answer(&asker, EVALUATION, &route(&viewer, "GET", "/v1/clusters")).await;
    assert_eq!(allowed["decision"], true);
    assert_eq!(allowed["context"]["clusters"], "*");
    let headers = &allowed["context"]["headers"];
    assert_eq!(headers["x-scopegate-clusters"], "*");
    assert_eq!(headers["x-scopegate-roles"], "viewer");
    assert_eq!(
        headers["x-scopegate-subject"],
        world.user("viewer@acme.example").to_string()
    );
    assert_eq!(headers["x-request-id"], Value::Null);
}

#[tokio::test]
async fn subjects_are_those_of_the_store() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let restricted = Key {
        scopes: &["clusters:read"],
        clusters: &["prod"],
        ..Key::default()
    };
    let key = world.key(restricted).await;
    let agent = world.agent("prod").await;
    let id = world.user("viewer@acme.example").to_string();
    let anonymous = json!({ "type": "anonymous", "id": "-" });
    let nobody = |kind: &str| json!({ "type": kind, "id": "00000000-0000-4000-8000-000000000000" });
    let yes = (true, String::new());
    let no = |code: &str| (false, code.to_owned());
    let table = [
        (user(&id), "GET", "/v1/clusters", yes.clone()),
        (
            user("VIEWER@acme.example"),
            "GET",
            "/v1/clusters",
            yes.clone(),
        ),
        (minted("key", &key), "GET", "/v1/clusters/prod", yes.clone()),
        (
            minted("api_key", &key),
            "GET",
            "/v1/clusters/dev",
            no("cluster-not-allowed"),
        ),
        (
            minted("key", &key),
            "GET",
            "/v1/nodes",
            no("missing-permission"),
        ),
        // Nobody would narrow it.
        (
            minted("key", &key),
            "GET",
            "/v1/clusters",
            no("list-not-filterable"),
        ),
        // A key is no agent.
        (
            minted("agent", &key),
            "GET",
            "/v1/clusters/prod",
            no("not-found"),
        ),
        (minted("agent", &agent), "POST", "/v1/metrics", yes.clone()),
        (
            minted("agent", &agent),
            "POST",
            "/v1/clusters/dev/metrics",
            no("agent-outside-cluster"),
        ),
        (anonymous.clone(), "GET", "/v1/health", yes.clone()),
        (anonymous, "GET", "/v1/clusters", no("not-authenticated")),
        (
            user("nobody@acme.example"),
            "GET",
            "/v1/clusters",
            no("not-found"),
        ),
        (nobody("user"), "GET", "/v1/clusters", no("not-found")),
        (nobody("key"), "GET", "/v1/clusters", no("not-found")),
        (nobody("session"), "GET", "/v1/clusters", no("not-found")),
        (
            json!({ "type": "robot", "id": "r2" }),
            "GET",
            "/v1/clusters",
            no("not-found"),
        ),
        (user(&id), "GET", "/v1/nothing", no("no-route")),
        // The gate's own pages are no upstream's.
        (
            user("admin@acme.example"),
            "GET",
            "/-/api/me",
            no("no-route"),
        ),
        // Two readers could read these in two ways.
        (user(&id), "GET", "/v1//clusters", no("invalid_request")),
        (
            user(&id),
            "GET",
            "/v1/clusters%2Fprod",
            no("invalid_request"),
        ),
        (user(&id), "GET", "/v1/clusters?x=1", no("invalid_request")),
        (user(&id), "get", "/v1/clusters", no("invalid_request")),
        (user(&id), "TRACE", "/v1/clusters", no("invalid_request")),
        (user(&id), "GET", "/V1/clusters", no("ambiguous-path")),
    ];
    for (subject, method, path, expected) in table {
        let question = route(&subject, method, path);
        assert_eq!(decision(&asker, &question).await, expected, "{question}");
    }
    world.revoke(&key).await;
    let revoked = route(&minted("key", &key), "GET", "/v1/clusters/prod");
    assert_eq!(decision(&asker, &revoked).await, no("revoked"));
}

#[tokio::test]
async fn paths_queries_and_headers_come_as_they_would_be_sent() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let restricted = Key {
        clusters: &["prod"],
        ..Key::default()
    };
    let key = minted("key", &world.key(restricted).await);
    let with = |id: &str, properties: Value| {
        json!({
            "subject": key,
            "action": { "name": "GET" },
            "resource": { "type": "route", "id": id, "properties": properties },
        })
    };
    let template = "/v1/clusters/{cluster}/nodes/**";
    let table = [
        (
            with("/v1/costs", json!({ "query": "cluster_id=prod&x=1" })),
            "",
        ),
        (
            with("/v1/costs", json!({ "query": "?cluster_id=prod" })),
            "",
        ),
        (
            with("/v1/costs", json!({ "query": { "cluster_id": "prod" } })),
            "",
        ),
        (
            with("/v1/costs", json!({ "query": { "cluster_id": "dev" } })),
            "cluster-not-allowed",
        ),
        (
            with(
                "/v1/costs",
                json!({ "query": { "cluster_id": ["prod", "prod"] } }),
            ),
            "invalid_request",
        ),
        (with("/v1/costs", json!({})), "cluster-required"),
        (
            with(template, json!({ "parameters": { "cluster": "prod" } })),
            "",
        ),
        (
            with(template, json!({ "parameters": { "cluster": "dev" } })),
            "cluster-not-allowed",
        ),
        (
            with(
                template,
                json!({ "parameters": { "cluster": "prod/../dev" } }),
            ),
            "invalid_request",
        ),
        (with("anything", json!({ "path": "/v1/clusters/prod" })), ""),
        (
            with("anything", json!({ "path": "/v1/clusters/dev" })),
            "cluster-not-allowed",
        ),
    ];
    for (question, code) in table {
        let expected = (code.is_empty(), code.to_owned());
        assert_eq!(decision(&asker, &question).await, expected, "{question}");
    }
    for missing in [
        json!({}),
        json!({ "cluster": "" }),
        json!({ "cluster": ".." }),
    ] {
        let question = with(template, json!({ "parameters": missing }));
        assert_eq!(asker.post(EVALUATION, question).await.status, 400);
    }
    let sample = |headers: Value| {
        let mut question = route(&key, "POST", "/v1/metrics");
        question["context"] = json!({ "headers": headers });
        question
    };
    // Nobody holds `metrics:write` but agents and administrators.
    for (headers, code) in [
        (json!({ "X-Cluster-Id": "prod" }), ""),
        (json!({ "x-cluster-id": "dev" }), "cluster-not-allowed"),
        (json!({ "x_cluster_id": "prod" }), "invalid_request"),
        (
            json!({ "X-Cluster-Id": "prod", "x-cluster-id": "prod" }),
            "invalid_request",
        ),
        (json!({}), "cluster-required"),
    ] {
        let expected = (code.is_empty(), code.to_owned());
        let question = sample(headers);
        assert_eq!(decision(&asker, &question).await, expected, "{question}");
    }
}

/// A permission on a cluster is what requests with it would get.
#[tokio::test]
async fn permissions_on_clusters() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let restricted = Key {
        scopes: &["clusters:read", "costs:read"],
        clusters: &["prod"],
        ..Key::default()
    };
    let key = minted("key", &world.key(restricted).await);
    let admin = user("admin@acme.example");
    for (subject, permission, id, code) in [
        (&key, "clusters:read", "prod", ""),
        (&key, "costs:read", "prod", ""),
        (&key, "clusters:read", "dev", "cluster-not-allowed"),
        (&key, "nodes:read", "prod", "missing-permission"),
        (&key, "clusters:read", "ghost", "cluster-not-allowed"),
        (&admin, "clusters:read", "dev", ""),
        (&admin, "clusters:read", "ghost", "cluster-not-allowed"),
        (&admin, "clusters:read", "../dev", "cluster-not-allowed"),
        // No route with it touches a cluster.
        (&admin, "organization:read", "dev", "no-route"),
        (&admin, "manage:keys", "dev", "no-route"),
        (&admin, "nonsense", "dev", "no-route"),
    ] {
        let question = cluster(subject, permission, id);
        let expected = (code.is_empty(), code.to_owned());
        assert_eq!(decision(&asker, &question).await, expected, "{question}");
    }
    let mut unknown = cluster(&admin, "clusters:read", "dev");
    unknown["resource"]["type"] = json!("planet");
    assert_eq!(
        decision(&asker, &unknown).await,
        (false, "not-found".to_owned())
    );
}

#[tokio::test]
async fn equal_requests_get_equal_answers_and_keep_their_id() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let mut question = route(&user("viewer@acme.example"), "GET", "/v1/clusters");
    // What is not known is ignored.
    question["unknown"] = json!({ "anything": [1] });
    question["subject"]["also"] = json!(1);
    question["subject"]["properties"] = json!({ "department": "Sales" });
    question["context"] = json!({ "time": "2026-03-31T12:00-07:00", "schema": 4 });
    let mut bodies = Vec::new();
    for id in ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "any text, they say"] {
        let request = asker.request("POST", EVALUATION).json(&question);
        let reply = asker.send(request.header("x-request-id", id)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.header("x-request-id"), id);
        assert_eq!(reply.header("content-type"), "application/json");
        assert!(!reply.header("x-scopegate-request-id").is_empty());
        assert!(!reply.header("x-ratelimit-remaining").is_empty());
        bodies.push(reply.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    // Refusals keep it too.
    let request = asker
        .request("POST", EVALUATION)
        .header("x-request-id", "7");
    let reply = asker.send(request).await;
    assert_eq!((reply.status, reply.header("x-request-id")), (400, "7"));
}

#[tokio::test]
async fn the_configuration_names_where_it_was_asked_for() {
    const PATH: &str = "/.well-known/authzen-configuration";
    let world = World::with(Options {
        trusted_proxies: &["127.0.0.0/8"],
        ..Options::of("scopegate")
    })
    .await;
    let anyone = super::asker::on_management(&world, &world.anonymous());
    let told = anyone.get(PATH).await;
    assert_eq!(
        (told.status, told.header("content-type")),
        (200, "application/json")
    );
    let base = world.management.clone();
    assert_eq!(
        told.json(),
        json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": format!("{base}{EVALUATION}"),
            "access_evaluations_endpoint": format!("{base}{EVALUATIONS}"),
            "search_subject_endpoint": format!("{base}/access/v1/search/subject"),
            "search_resource_endpoint": format!("{base}/access/v1/search/resource"),
            "search_action_endpoint": format!("{base}/access/v1/search/action"),
        })
    );
    let behind = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "pdp.example.com"),
    ];
    let told = anyone.get_with(PATH, &behind).await.json();
    assert_eq!(told["policy_decision_point"], "https://pdp.example.com");
    assert_eq!(anyone.post(PATH, json!({})).await.status, 405);
}

#[tokio::test]
async fn it_is_where_the_management_pages_are() {
    let question = route(&user("viewer@acme.example"), "GET", "/v1/clusters");
    let apart = World::start("scopegate").await;
    let on_public = apart.key(Key::default()).await;
    let reply = on_public.post(EVALUATION, question.clone()).await;
    assert_eq!((reply.status, reply.code()), (404, "no-route".to_owned()));
    let shared = World::with(Options {
        shared: true,
        ..Options::of("scopegate")
    })
    .await;
    let on_public = shared.key(Key::default()).await;
    let reply = on_public.post(EVALUATION, question).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let seen = shared.upstream.count();
    assert_eq!(seen, 0, "nothing is forwarded");
}
