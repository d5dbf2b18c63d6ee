//! Searches: who may, on what, and how; and that they say what evaluations say.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::{
    asker::{EVALUATIONS, answer, asker, cluster, decision, minted, route, told, user},
    corpus,
};
use crate::{
    corpus::files,
    harness::{Actor, Key, World},
};

/// Every result of a search, page by page.
pub async fn found(asker: &Actor, what: &str, question: &Value) -> Vec<Value> {
    let path = format!("/access/v1/search/{what}");
    let mut question = question.clone();
    let mut results = Vec::new();
    loop {
        let page = answer(asker, &path, &question).await;
        let these = page["results"].as_array().expect("results");
        assert_eq!(page["page"]["count"], these.len());
        results.extend(these.iter().cloned());
        let token = page["page"]["next_token"].as_str().expect("a token");
        if token.is_empty() {
            return results;
        }
        question["page"]["token"] = json!(token);
    }
}

/// What each result is called.
fn names(results: &[Value], member: &str) -> Vec<String> {
    let name = |result: &Value| result[member].as_str().expect("a name").to_owned();
    results.iter().map(name).collect()
}

fn of_clusters(subject: &Value, permission: &str) -> Value {
    json!({ "subject": subject, "action": { "name": permission }, "resource": { "type": "cluster" } })
}

#[tokio::test]
async fn the_clusters_that_a_caller_may_see() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let restricted = Key {
        scopes: &["clusters:read"],
        clusters: &["prod", "staging"],
        ..Key::default()
    };
    let key = minted("key", &world.key(restricted).await);
    let viewer = user("viewer@acme.example");
    for (subject, permission, expected) in [
        (&key, "clusters:read", vec!["prod", "staging"]),
        (&key, "nodes:read", vec![]),
        (&viewer, "clusters:read", vec!["dev", "prod", "staging"]),
        (&viewer, "clusters:write", vec![]),
        (&user("ghost@acme.example"), "clusters:read", vec![]),
    ] {
        let results = found(&asker, "resource", &of_clusters(subject, permission)).await;
        assert_eq!(names(&results, "id"), expected, "{subject} {permission}");
        assert!(results.iter().all(|result| result["type"] == "cluster"));
    }
    let mut paged = of_clusters(&viewer, "clusters:read");
    paged["page"] = json!({ "limit": 1 });
    assert_eq!(
        names(&found(&asker, "resource", &paged).await, "id"),
        ["dev", "prod", "staging"]
    );
    // A token is of its search.
    let page = answer(&asker, "/access/v1/search/resource", &paged).await;
    paged["page"]["token"] = page["page"]["next_token"].clone();
    paged["action"]["name"] = json!("nodes:read");
    let reply = asker.post("/access/v1/search/resource", paged).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    for wrong in [
        json!({ "limit": 0 }),
        json!({ "limit": "x" }),
        json!({ "token": "x" }),
        json!(1),
    ] {
        let mut question = of_clusters(&viewer, "clusters:read");
        question["page"] = wrong;
        let reply = asker.post("/access/v1/search/resource", question).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
    }
}

#[tokio::test]
async fn who_may() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let restricted = Key {
        scopes: &["clusters:read"],
        clusters: &["prod"],
        ..Key::default()
    };
    let key = world.key(restricted).await;
    let gone = world.key(Key::default()).await;
    world.revoke(&gone).await;
    let agent = world.agent("prod").await;
    let who = async |kind: &str, method: &str, path: &str| {
        let mut question = route(&json!({ "type": kind }), method, path);
        question["page"] = json!({ "limit": 1 });
        found(&asker, "subject", &question).await
    };
    let emails = |results: &[Value]| -> Vec<String> {
        let email = |one: &Value| {
            one["properties"]["email"]
                .as_str()
                .expect("text")
                .to_owned()
        };
        results.iter().map(email).collect()
    };
    let readers = who("user", "GET", "/v1/clusters").await;
    assert_eq!(
        emails(&readers),
        [
            "admin@acme.example",
            "editor@acme.example",
            "viewer@acme.example"
        ]
    );
    let writers = who("user", "POST", "/v1/alerts").await;
    assert_eq!(
        emails(&writers),
        ["admin@acme.example", "editor@acme.example"]
    );
    let id = |actor: &Actor| actor.id.expect("an id").to_string();
    let keys = names(&who("key", "GET", "/v1/clusters/prod").await, "id");
    assert_eq!(keys, [id(&key)]);
    assert_eq!(
        who("key", "GET", "/v1/clusters/dev").await,
        Vec::<Value>::new()
    );
    let agents = names(
        &who("agent", "POST", "/v1/clusters/prod/metrics").await,
        "id",
    );
    assert_eq!(agents, [id(&agent)]);
    assert_eq!(who("anonymous", "GET", "/v1/health").await.len(), 1);
    assert_eq!(who("anonymous", "GET", "/v1/clusters").await.len(), 0);
    // Types that are not known have no results, and are no mistakes.
    assert_eq!(who("robot", "GET", "/v1/clusters").await.len(), 0);
    let mut question = cluster(&json!({ "type": "user" }), "alerts:write", "prod");
    assert_eq!(found(&asker, "subject", &question).await.len(), 2);
    question["resource"]["type"] = json!("planet");
    assert_eq!(found(&asker, "subject", &question).await.len(), 0);
    for lacking in ["subject", "action", "resource"] {
        let mut question = cluster(&json!({ "type": "user" }), "alerts:write", "prod");
        question.as_object_mut().expect("an object").remove(lacking);
        let reply = asker.post("/access/v1/search/subject", question).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
    }
}

#[tokio::test]
async fn what_they_may_do() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let actions = async |subject: &Value, kind: &str, id: &str| {
        let question = json!({ "subject": subject, "resource": { "type": kind, "id": id } });
        names(&found(&asker, "action", &question).await, "name")
    };
    let viewer = user("viewer@acme.example");
    assert_eq!(
        actions(&viewer, "route", "/v1/clusters/prod").await,
        ["GET"]
    );
    let admin = user("admin@acme.example");
    assert_eq!(
        actions(&admin, "route", "/v1/clusters/prod").await,
        ["DELETE", "GET", "PATCH"]
    );
    let on_cluster = actions(&viewer, "cluster", "prod").await;
    assert!(
        on_cluster.contains(&"clusters:read".to_owned()),
        "{on_cluster:?}"
    );
    assert!(
        !on_cluster.iter().any(|name| name.ends_with(":write")),
        "{on_cluster:?}"
    );
    assert_eq!(
        actions(&viewer, "planet", "prod").await,
        Vec::<String>::new()
    );
    let routes = json!({ "subject": viewer, "action": { "name": "PATCH" }, "resource": { "type": "route" } });
    assert_eq!(
        found(&asker, "resource", &routes).await,
        Vec::<Value>::new()
    );
}

/// Whatever is searched for, the answer is what evaluations say one by one: for callers of the corpus.
#[tokio::test(flavor = "multi_thread")]
async fn searches_agree_with_evaluations() {
    const FILES: [&str; 3] = ["scopegate.yaml", "kubevision.yaml", "edge-clusters.yaml"];
    let mut tried = 0;
    for file in files().iter().filter(|file| FILES.contains(&&*file.name)) {
        let asked = corpus::world(file).await;
        let description = file.subject.description();
        let permissions: Vec<String> = description
            .own_permissions()
            .map(|known| known.name.clone())
            .collect();
        let paths: Vec<(String, String)> = file
            .cases
            .iter()
            .filter(|case| !case.request.path.starts_with("/-/"))
            .map(|case| (case.request.method.clone(), case.request.path.clone()))
            .collect();
        let subjects: Vec<&Value> = asked.subjects.values().collect();
        let any = (
            0..subjects.len(),
            proptest::sample::select(permissions),
            proptest::sample::select(paths),
        );
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        for _ in 0..24 {
            let tree = any.new_tree(&mut runner).expect("a value");
            let (index, permission, (method, path)) = tree.current();
            let subject = subjects[index];
            agree_on_clusters(&asked, subject, &permission).await;
            agree_on_actions(&asked, subject, &method, &path).await;
            tried += 1;
        }
        for subject in &subjects {
            agree_on_routes(&asked, subject).await;
        }
    }
    assert_eq!(tried, 24 * FILES.len());
}

async fn agree_on_clusters(asked: &corpus::Asked, subject: &Value, permission: &str) {
    let results = found(&asked.asker, "resource", &of_clusters(subject, permission)).await;
    let results: BTreeSet<String> = names(&results, "id").into_iter().collect();
    let mut evaluated = BTreeSet::new();
    for id in &asked.clusters {
        let (decision, _) = decision(&asked.asker, &cluster(subject, permission, id)).await;
        evaluated.extend(decision.then(|| id.clone()));
        let question = json!({ "subject": subject, "resource": { "type": "cluster", "id": id } });
        let actions = names(&found(&asked.asker, "action", &question).await, "name");
        assert_eq!(actions.iter().any(|name| name == permission), decision);
    }
    assert_eq!(results, evaluated, "{subject} {permission}");
}

async fn agree_on_actions(asked: &corpus::Asked, subject: &Value, method: &str, path: &str) {
    let (decision, _) = decision(&asked.asker, &route(subject, method, path)).await;
    let question = json!({ "subject": subject, "resource": { "type": "route", "id": path } });
    let actions = names(&found(&asked.asker, "action", &question).await, "name");
    // HEAD is decided as GET, and is no action of its own.
    let method = if method == "HEAD" { "GET" } else { method };
    if actions.iter().any(|name| name == method) {
        assert!(decision, "{subject} {method} {path}");
    } else {
        assert!(!decision, "{subject} {method} {path}: {actions:?}");
    }
}

/// Each route that is found may be used with each of its clusters, and with no other.
async fn agree_on_routes(asked: &corpus::Asked, subject: &Value) {
    let question =
        json!({ "subject": subject, "action": { "name": "GET" }, "resource": { "type": "route" } });
    for found in found(&asked.asker, "resource", &question).await {
        let id = found["id"].as_str().expect("a template");
        let Some(clusters) = found["properties"]["clusters"].as_array() else {
            continue;
        };
        let questions: Vec<Value> = asked
            .clusters
            .iter()
            .map(|cluster| {
                let segments = id.split('/').filter_map(|segment| {
                    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
                    let value = if name == "cluster" { cluster } else { "~" };
                    Some((name.to_owned(), json!(value)))
                });
                let parameters: serde_json::Map<String, Value> = segments.collect();
                json!({ "resource": { "type": "route", "id": id, "properties": { "parameters": parameters } } })
            })
            .collect();
        let several =
            json!({ "subject": subject, "action": { "name": "GET" }, "evaluations": questions });
        let answers = answer(&asked.asker, EVALUATIONS, &several).await;
        let answers = answers["evaluations"].as_array().expect("answers");
        for (cluster, answer) in asked.clusters.iter().zip(answers) {
            let is_found = clusters.contains(&json!(cluster));
            assert_eq!(told(answer).0, is_found, "{subject} {id} {cluster}");
        }
    }
}
