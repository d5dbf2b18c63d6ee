//! One organization never sees, lists, guesses or changes anything of another's, over every endpoint of the document:
//! whatever acme has is put in every place of the other organization's requests, and each gets what it gets with a
//! twin that nobody has.

mod foreign;
mod rows;

use serde_json::{Value, json};

use super::{
    endpoints::{Endpoint, document, endpoints},
    table::{Call, Kind, OTHER, Stage},
};
use crate::harness::Reply;
use foreign::{EMAIL, Foreign, furnish};

/// What is unique in the whole gate cannot be taken twice, and whoever tries learns that it is taken. Both need a
/// permission of the organization's administrators and a recent sign-in, are limited a minute and audited.
const TELLS: [(&str, &str); 2] = [
    ("POST /-/api/users", "email"),
    ("PATCH /-/api/organization", "name"),
];

/// A place in a request.
#[derive(Clone, Debug)]
enum Slot {
    Path(String),
    Query(String),
    Body(String),
}

#[tokio::test]
async fn another_organizations_things_are_as_if_they_were_not_there() {
    let mut stage = Stage::set().await;
    let (all, ids) = furnish(&mut stage).await;
    let before = rows::rows(&stage.world, &ids).await;
    assert!(before.len() > 15, "{before:#?}");
    let endpoints = endpoints(&document(&stage.world).await);
    // What reads comes first: what is made later may be called as acme's things are. And first of all the audit, which
    // has what was asked for.
    let (mut reads, changes): (Vec<_>, Vec<_>) =
        endpoints.iter().partition(|one| one.method == "GET");
    reads.sort_by_key(|one| !one.template.starts_with("/-/api/audit"));
    let mut tried = 0;
    for endpoint in reads.iter().chain(&changes) {
        for kind in [Kind::OtherKey, Kind::Other] {
            tried += try_all(&mut stage, kind, endpoint, &all).await;
        }
    }
    println!("{tried} requests");
    assert!(tried > 1_000, "only {tried} requests");
    let after = rows::rows(&stage.world, &ids).await;
    let changed = |one: &[String], other: &[String]| -> Vec<String> {
        let rows = one.iter().filter(|row| !other.contains(row));
        rows.cloned().collect()
    };
    let (gone, new) = (changed(&before, &after), changed(&after, &before));
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}, new: {new:#?}"
    );
}

#[tokio::test]
async fn an_operator_sees_organizations_and_nothing_in_them() {
    let mut stage = Stage::set().await;
    let (all, _) = furnish(&mut stage).await;
    // Operators know organizations by their ids.
    let organization = stage.world.organization.to_string();
    let all: Vec<Foreign> = all
        .into_iter()
        .filter(|one| one.text != organization)
        .collect();
    for endpoint in endpoints(&document(&stage.world).await) {
        let operator = stage.caller(Kind::Operator).await;
        let mut call = stage.call(&endpoint, &operator).await;
        call.places
            .insert("organization".to_owned(), organization.clone());
        if endpoint.method == "GET" || !endpoint.template.starts_with("/-/api/organizations") {
            tells_none_of(&call.send(&operator.actor).await, &all, "", &endpoint);
        }
    }
}

#[tokio::test]
async fn an_import_tells_an_operator_nothing_of_who_and_what_is_there() {
    let mut stage = Stage::set().await;
    let (all, _) = furnish(&mut stage).await;
    let operator = stage.caller(Kind::Operator).await;
    let path = format!(
        "/-/api/organizations/{}/keys/import",
        stage.world.organization
    );
    let key = json!({ "name": "ci", "sha256": "00".repeat(32), "owner": EMAIL });
    for (name, slip) in [
        ("owner", json!("opz@acme.example")),
        ("allowed_cluster_ids", json!(["zq-vault-l"])),
    ] {
        let mut key = key.clone();
        key[name] = slip;
        let reply = operator.actor.post(&path, json!({ "keys": [key] })).await;
        assert_eq!(reply.status, 422, "{}", reply.body);
        for foreign in all.iter().filter(|one| one.is_secret) {
            assert!(!reply.body.contains(&foreign.text), "{}", reply.body);
        }
    }
    // Another organization's user is as one who is not there.
    let mut replies = Vec::new();
    for owner in ["ops@globex.example", "ops@globez.example"] {
        let mut key = key.clone();
        key["owner"] = json!(owner);
        let reply = operator.actor.post(&path, json!({ "keys": [key] })).await;
        replies.push((
            reply.status,
            reply.json()["detail"].to_string().replace(owner, ""),
        ));
    }
    assert_eq!(replies[0], replies[1]);
}

/// Everything of acme's in every place of requests to an endpoint. How many requests that were.
async fn try_all(stage: &mut Stage, kind: Kind, endpoint: &Endpoint, all: &[Foreign]) -> usize {
    let mut caller = stage.caller(kind).await;
    let mut call = stage.call_in(OTHER, endpoint, &caller).await;
    let own = call.send(&caller.actor).await;
    tells_none_of(&own, all, "", endpoint);
    let mut count = 1;
    // What a request has changed is made anew for the next one.
    let mut is_spent = own.status < 300 && endpoint.method != "GET";
    for slot in slots(endpoint) {
        for foreign in all {
            let is_cursor = matches!(&slot, Slot::Query(name) if name == "cursor");
            if foreign.twin == foreign.text && !is_cursor {
                continue;
            }
            let mut statuses = Vec::new();
            for text in [&foreign.text, &foreign.twin] {
                if is_spent {
                    caller = stage.caller(kind).await;
                    call = stage.call_in(OTHER, endpoint, &caller).await;
                }
                let tried = put(&call, &slot, text, endpoint);
                let reply = tried.send(&caller.actor).await;
                tells_none_of(&reply, all, text, endpoint);
                statuses.push((reply.status, comparable(&reply, &tried, text)));
                is_spent = reply.status < 300 && endpoint.method != "GET";
                count += 1;
                if endpoint.template == "/-/api/organization" && reply.status < 300 {
                    // Called as before again: the others go by its name.
                    call.send(&caller.actor).await;
                }
            }
            let what = format!("{endpoint} {slot:?} {}", foreign.text);
            // A cursor is a place among one's own things, whoever it was made for.
            let tells = match &slot {
                Slot::Query(_) => is_cursor,
                Slot::Body(name) => TELLS.contains(&(endpoint.to_string().as_str(), name.as_str())),
                _ => false,
            };
            if !tells {
                assert_eq!(statuses[0], statuses[1], "{what}");
            }
        }
    }
    count
}

/// Every place where a request of this kind names something.
fn slots(endpoint: &Endpoint) -> Vec<Slot> {
    let mut slots: Vec<Slot> = endpoint
        .placeholders()
        .into_iter()
        .map(Slot::Path)
        .collect();
    let parameters = endpoint.parameters.iter();
    let queries = parameters.filter(|(place, _)| place == "query");
    slots.extend(queries.map(|(_, name)| Slot::Query(name.clone())));
    let properties = endpoint.body_schema["properties"].as_object();
    let names = properties.into_iter().flatten();
    slots.extend(names.map(|(name, _)| Slot::Body(name.clone())));
    slots
}

fn put(call: &Call, slot: &Slot, text: &str, endpoint: &Endpoint) -> Call {
    let mut call = call.clone();
    match slot {
        Slot::Path(name) => {
            call.places.insert(name.clone(), text.to_owned());
        }
        Slot::Query(name) => call.query.push((name.clone(), text.to_owned())),
        Slot::Body(name) => {
            let kind = &endpoint.body_schema["properties"][name]["type"];
            let is_list = *kind == "array"
                || kind
                    .as_array()
                    .is_some_and(|kinds| kinds.contains(&json!("array")));
            let body = call.body.as_mut().expect("a body");
            body[name] = if is_list { json!([text]) } else { json!(text) };
        }
    }
    call
}

/// A refusal, or what was read, without what differs from request to request. What was made has ids and secrets of
/// its own, and its status says enough.
fn comparable(reply: &Reply, call: &Call, text: &str) -> Value {
    // What is malformed was never looked for.
    if reply.status == 400 {
        return Value::Null;
    }
    if reply.status < 300 && call.endpoint.method != "GET" {
        return Value::Null;
    }
    let mut names: Vec<&str> = call.places.values().map(String::as_str).collect();
    names.push(text);
    let body = names.iter().fold(reply.body.clone(), |body, name| {
        body.replace(name, "<name>")
    });
    let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("instance");
    }
    body
}

/// A reply has nothing of acme's in it but what was asked for.
fn tells_none_of(reply: &Reply, all: &[Foreign], asked: &str, endpoint: &Endpoint) {
    for foreign in all
        .iter()
        .filter(|foreign| foreign.is_secret && foreign.text != asked)
    {
        assert!(
            !reply.body.contains(&foreign.text),
            "{endpoint} with `{asked}` told of `{}`: {}",
            foreign.text,
            reply.body
        );
    }
}
