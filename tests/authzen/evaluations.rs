//! Several questions at once.

use serde_json::{Value, json};

use super::asker::{EVALUATIONS, answer, asker, told, user};
use crate::harness::{Actor, World};

fn resource(path: &str) -> Value {
    json!({ "type": "route", "id": path })
}

async fn decisions(asker: &Actor, question: &Value) -> Vec<(bool, String)> {
    let answer = answer(asker, EVALUATIONS, question).await;
    assert_eq!(answer["decision"], Value::Null);
    let answers = answer["evaluations"].as_array().expect("answers");
    answers.iter().map(told).collect()
}

fn yes() -> (bool, String) {
    (true, String::new())
}

fn no(code: &str) -> (bool, String) {
    (false, code.to_owned())
}

#[tokio::test]
async fn defaults_are_replaced_whole() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let question = json!({
        "subject": user("viewer@acme.example"),
        "action": { "name": "GET" },
        "resource": { "type": "route", "id": "/v1/costs", "properties": { "query": "cluster_id=ghost" } },
        "evaluations": [
            {},
            // The default's query is not this resource's.
            { "resource": resource("/v1/costs") },
            { "action": { "name": "POST" }, "resource": resource("/v1/alerts") },
            { "subject": user("admin@acme.example"), "action": { "name": "POST" }, "resource": resource("/v1/alerts") },
            { "resource": { "type": "route" } },
            { "resource": 7 },
            7,
            { "resource": resource("/v1/clusters"), "context": { "time": 7 } },
            { "resource": resource("/v1/clusters") },
        ],
    });
    let answer = answer(&asker, EVALUATIONS, &question).await;
    let answers = answer["evaluations"].as_array().expect("answers");
    let expected = [
        no("cluster-not-allowed"),
        yes(),
        no("missing-permission"),
        yes(),
        no(""),
        no(""),
        no(""),
        no(""),
        yes(),
    ];
    let got: Vec<_> = answers.iter().map(told).collect();
    assert_eq!(got, expected, "{answer}");
    for failed in &answers[4..8] {
        let error = &failed["context"]["error"];
        assert_eq!(error["status"], 400, "{failed}");
        assert!(!error["message"].as_str().expect("text").is_empty());
    }
}

#[tokio::test]
async fn the_three_semantics() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let with = |options: Value, paths: &[&str]| {
        let items: Vec<Value> = paths
            .iter()
            .map(|path| json!({ "resource": resource(path) }))
            .collect();
        json!({
            "subject": user("viewer@acme.example"),
            "action": { "name": "GET" },
            "options": options,
            "evaluations": items,
        })
    };
    let semantic = |word: &str| json!({ "evaluations_semantic": word });
    let (good, bad) = ("/v1/clusters", "/v1/users");
    let denied = || no("missing-permission");
    let table = [
        (
            json!({}),
            vec![good, bad, good],
            vec![yes(), denied(), yes()],
        ),
        (
            semantic("execute_all"),
            vec![bad, good],
            vec![denied(), yes()],
        ),
        (
            semantic("deny_on_first_deny"),
            vec![good, bad, good],
            vec![yes(), denied()],
        ),
        (
            semantic("deny_on_first_deny"),
            vec![good, good],
            vec![yes(), yes()],
        ),
        (
            semantic("permit_on_first_permit"),
            vec![bad, good, bad],
            vec![denied(), yes()],
        ),
        (
            semantic("permit_on_first_permit"),
            vec![bad, bad],
            vec![denied(), denied()],
        ),
    ];
    for (options, paths, expected) in table {
        let question = with(options, &paths);
        assert_eq!(decisions(&asker, &question).await, expected, "{question}");
    }
    // What fails is a denial.
    let mut question = with(semantic("deny_on_first_deny"), &[good, good]);
    question["evaluations"][0] = json!({ "resource": 1 });
    assert_eq!(decisions(&asker, &question).await, [no("")]);
    for wrong in [
        semantic("first"),
        json!({ "evaluations_semantic": 1 }),
        json!(1),
    ] {
        let reply = asker.post(EVALUATIONS, with(wrong.clone(), &[good])).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn without_questions_it_is_one() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let one = json!({
        "subject": user("viewer@acme.example"),
        "action": { "name": "GET" },
        "resource": resource("/v1/clusters"),
    });
    let mut none = one.clone();
    none["evaluations"] = json!([]);
    for question in [one.clone(), none] {
        let answer = answer(&asker, EVALUATIONS, &question).await;
        assert_eq!(told(&answer), yes());
        assert_eq!(answer["evaluations"], Value::Null);
    }
    let mut wrong = one.clone();
    wrong["evaluations"] = json!({});
    assert_eq!(asker.post(EVALUATIONS, wrong).await.status, 400);
    let mut many = one;
    many["evaluations"] = json!(vec![json!({}); 256]);
    assert_eq!(decisions(&asker, &many).await, vec![yes(); 256]);
    many["evaluations"] = json!(vec![json!({}); 257]);
    let reply = asker.post(EVALUATIONS, many).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
}
