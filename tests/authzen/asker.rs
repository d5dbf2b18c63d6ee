//! Who asks: an actor on the management listener, and questions in few words.

use serde_json::{Value, json};

use crate::harness::{Actor, Key, Reply, World};

pub const EVALUATION: &str = "/access/v1/evaluation";
pub const EVALUATIONS: &str = "/access/v1/evaluations";

/// A key of the administrator's that may ask, and assert if `asserts`.
pub async fn asker(world: &World, asserts: bool) -> Actor {
    let scopes: &[&str] = match asserts {
        true => &["authorization:evaluate", "authorization:assert"],
        false => &["authorization:evaluate"],
    };
    let key = Key {
        scopes,
        ..Key::default()
    };
    on_management(world, &world.key(key).await)
}

/// The same caller on the management listener.
pub fn on_management(world: &World, actor: &Actor) -> Actor {
    Actor::new(&world.management, actor.credential.clone())
}

/// May this subject make this request?
pub fn route(subject: &Value, method: &str, path: &str) -> Value {
    json!({
        "subject": subject,
        "action": { "name": method },
        "resource": { "type": "route", "id": path },
    })
}

/// May this subject use this permission on this cluster?
pub fn cluster(subject: &Value, permission: &str, id: &str) -> Value {
    json!({
        "subject": subject,
        "action": { "name": permission },
        "resource": { "type": "cluster", "id": id },
    })
}

pub fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

/// A credential that was minted.
pub fn minted(kind: &str, actor: &Actor) -> Value {
    json!({ "type": kind, "id": actor.id.expect("a minted credential").to_string() })
}

/// Asks, and expects an answer.
pub async fn answer(asker: &Actor, path: &str, question: &Value) -> Value {
    let reply = asker.post(path, question.clone()).await;
    assert_eq!(reply.status, 200, "{question}: {}", reply.body);
    reply.json()
}

/// The decision, and the code of a denial.
pub async fn decision(asker: &Actor, question: &Value) -> (bool, String) {
    told(&answer(asker, EVALUATION, question).await)
}

/// The same of an answer.
pub fn told(answer: &Value) -> (bool, String) {
    let decision = answer["decision"].as_bool().expect("a decision");
    let code = answer["context"]["code"].as_str().unwrap_or_default();
    (decision, code.to_owned())
}

/// Sends a body as it is.
pub async fn sent(asker: &Actor, path: &str, content_type: &str, body: &str) -> Reply {
    let request = asker.request("POST", path);
    let request = request
        .header("content-type", content_type)
        .body(body.to_owned());
    asker.send(request).await
}
