//! Policies that change while a gate serves: pushed, refused, gone back to, taken from a file, kept over a restart.

pub mod candidates;
mod carried;
mod faults;
mod file;
mod shadow;

use scopegate_host::{
    Reason,
    bundle::PolicyPublicKey,
    engine::build_document,
    policies::{Component, PolicyCommand, PolicyReply},
    store::{Actor as By, PolicyVersion},
};
use scopegate_policy::{Decision, Grant, Outcome, Restriction, Rule};
use serde_json::Value;

use crate::{
    harness::{Actor, Options, Reply, World},
    sandbox::guest::{Guest, description},
};

/// One route, for those who read; `extra` is what tells versions apart.
pub fn document(version: u32, extra: &str) -> String {
    format!(
        "policy: shipped\nversion: '{version}'\npermissions:\n  clusters:read: {{ category: Clusters, unlocks: Cluster inventory }}\n\
         roles:\n  admin: ['*']\n  editor: [clusters:read]\n  viewer: [clusters:read]\nroutes:\n  \
         - {{ match: \"GET /v1/clusters/{{cluster}}\", requires: clusters:read }}\n{extra}"
    )
}

/// What a document is built to.
pub fn component(version: u32, extra: &str) -> Vec<u8> {
    build_document("policy.yaml", &document(version, extra)).expect("a policy")
}

/// Written by hand: refuses everything, but traps where it is asked for `DELETE`, which no probe of it is.
pub fn by_hand() -> Vec<u8> {
    by_hand_of("by-hand")
}

/// The same under another name.
pub fn by_hand_of(name: &str) -> Vec<u8> {
    // The length of the method, in the record that it is asked with (canonical ABI).
    let is_delete = "(i32.eq (i32.load offset=108 (local.get 0)) (i32.const 6))";
    let mut description = description();
    description.name = name.to_owned();
    Guest {
        description,
        decision: Decision {
            outcome: Outcome::Deny(Reason::NoRoute),
            rule: Rule {
                route: None,
                grant: Grant::None,
                restriction: Restriction::None,
            },
        },
        ..Guest::deciding(&format!("(if {is_delete} (then unreachable))"))
    }
    .build()
}

/// A world that serves the first version.
async fn world() -> World {
    world_that_trusts(Vec::new()).await
}

/// The same, where policies are signed by one of these keys.
async fn world_that_trusts(policy_keys: Vec<PolicyPublicKey>) -> World {
    World::with(Options {
        policy_keys,
        policy: Some(
            "policy: first\npermissions:\n  clusters:read: { category: C, unlocks: c }\nroles:\n  admin: ['*']\n  editor: [clusters:read]\n  viewer: [clusters:read]\nroutes:\n  - { match: \"GET /v1/clusters/{cluster}\", requires: clusters:read }\n",
        ),
        ..Options::of("scopegate")
    })
    .await
}

/// An operator, just signed in.
async fn operator(world: &World) -> Actor {
    world.add_operator("ops@example.com").await;
    world.manager("ops@example.com").await
}

async fn push(operator: &Actor, component: Vec<u8>) -> Reply {
    let request = operator.request("POST", "/-/api/policies");
    let request = request.header("content-type", "application/wasm");
    operator.send(request.body(component)).await
}

async fn versions(operator: &Actor) -> Vec<Value> {
    let listed = operator.get("/-/api/policies").await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    listed.json()["items"].as_array().expect("items").clone()
}

/// The digest of the active policy, as the gate says it to whoever asks.
fn active(world: &World) -> String {
    world.running().gate().policy().digest().to_owned()
}

/// What the command line does on the machine itself.
async fn on_the_machine(world: &World, command: PolicyCommand) -> PolicyVersion {
    let policies = world.running().policies();
    let done = policies.execute(command, By::Machine.into(), world.clock.now_ms());
    match done.await.expect("executed") {
        PolicyReply::Active { version, .. } => version,
        other => panic!("{other:?}"),
    }
}

/// Pushes from the machine itself, which works whatever the active policy says.
pub async fn push_there(world: &World, component: Vec<u8>) {
    let component = Component(component.into());
    on_the_machine(world, PolicyCommand::Push { component }).await;
}

#[tokio::test]
async fn a_pushed_policy_decides_and_the_one_before_is_one_step_away() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    assert_eq!(viewer.get("/v1/nodes").await.code(), "no-route");

    let extra = "  - { match: GET /v1/nodes, requires: clusters:read, cluster: none }\n";
    let pushed = push(&operator, component(2, extra)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let pushed = pushed.json();
    assert_eq!(
        (
            &pushed["name"],
            &pushed["version"],
            &pushed["changed"],
            &pushed["source"]
        ),
        (&"shipped".into(), &"2".into(), &true.into(), &"push".into())
    );
    assert_eq!(pushed["digest"], active(&world));
    assert_eq!(viewer.get("/v1/nodes").await.status, 200);
    let again = push(&operator, component(2, extra)).await.json();
    assert_eq!(again["changed"], false);

    let listed = versions(&operator).await;
    let digests: Vec<&Value> = listed.iter().map(|version| &version["digest"]).collect();
    assert_eq!(digests, [&pushed["digest"], &first.as_str().into()]);
    assert_eq!(
        (&listed[0]["active"], &listed[1]["active"]),
        (&true.into(), &false.into())
    );
    assert_eq!(listed[1]["source"], "start");

    let path = format!("/-/api/policies/{}/activate", &first[..20]);
    let back = operator.call("POST", &path).await;
    assert_eq!(
        (back.status, back.json()["digest"].as_str()),
        (200, Some(first.as_str()))
    );
    assert_eq!(viewer.get("/v1/nodes").await.code(), "no-route");
    for unknown in ["sha256:0000000000", "sha256", "x"] {
        let path = format!("/-/api/policies/{unknown}/activate");
        assert_eq!(operator.call("POST", &path).await.status, 404, "{unknown}");
    }

    // On the machine, without a name: the one before.
    let version = on_the_machine(&world, PolicyCommand::Rollback { to: None }).await;
    assert_eq!(
        (version.version.as_str(), version.activated_by.as_str()),
        ("2", "machine")
    );
}

#[tokio::test]
async fn who_activated_what_is_in_the_audit() {
    let world = world().await;
    let operator = operator(&world).await;
    let first = active(&world);
    let digest = push(&operator, component(2, "")).await.json()["digest"].clone();
    on_the_machine(&world, PolicyCommand::Rollback { to: None }).await;
    let lines = world.audit_lines().await;
    let activations: Vec<&Value> = lines
        .iter()
        .filter(|line| line["action"] == "policy.activate")
        .collect();
    let told: Vec<_> = activations
        .iter()
        .map(|line| {
            (
                &line["subject"],
                &line["detail"]["source"],
                &line["detail"]["replaces"],
            )
        })
        .collect();
    let first = Value::from(first);
    assert_eq!(
        told,
        [
            (&first, &"start".into(), &Value::Null),
            (&digest, &"push".into(), &first),
            (&first, &"rollback".into(), &digest),
        ]
    );
    let me = operator.get("/-/api/me").await.json();
    let by: Vec<&Value> = activations.iter().map(|line| &line["actor"]).collect();
    assert_eq!(by, [&"gate".into(), &me["user"], &"machine".into()], "{me}");
}

#[tokio::test]
async fn the_last_ten_are_kept() {
    let world = world().await;
    let operator = operator(&world).await;
    for version in 0..11 {
        assert_eq!(push(&operator, component(version, "")).await.status, 201);
    }
    let listed = versions(&operator).await;
    assert_eq!(listed.len(), 10);
    assert_eq!(listed[0]["version"], "10");
    assert_eq!(listed[9]["version"], "1");
}
