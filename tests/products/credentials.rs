//! What the products tell their users about making, rotating and ending credentials: over the management API, as the
//! screens of Settings and Profile will do it.

mod k8cost;
mod kubeadapt;
mod kubevision;
mod kubewatch;

use serde_json::{Value, json};

use crate::{
    api::office::made,
    harness::{Actor, World},
};

/// Where one's own keys are.
const KEYS: &str = "/-/api/keys";

/// The statements about credentials.
pub(super) const STATEMENTS: &[&str] = &[
    "K8C-07", "K8C-08", "K8C-10", "K8C-18", "KW-05", "KW-06", "KW-15", "KW-16", "KA-02", "KA-03",
    "KA-07", "KA-09", "KA-16", "KA-23", "KA-25", "KV-01", "KV-02", "KV-07", "KV-09", "KV-10",
    "KV-11", "KV-12", "KV-16", "KV-17",
];

#[test]
fn every_statement_has_its_test() {
    let suites = [
        include_str!("credentials/k8cost.rs"),
        include_str!("credentials/kubewatch.rs"),
        include_str!("credentials/kubeadapt.rs"),
        include_str!("credentials/kubevision.rs"),
    ];
    super::assert_each_has_its_test(STATEMENTS, &suites);
}

/// A product whose limits do not stand in a test's way.
async fn office(contract: &'static str) -> World {
    let world = crate::api::office::office(contract).await;
    world.upstream.answers(super::world::product);
    world
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// A new key of one's own; its text too.
async fn minted(actor: &Actor, body: Value) -> (Value, String) {
    let key = made(actor, KEYS, body).await;
    let secret = text(&key["secret"]);
    (key, secret)
}

/// Rotates a key of one's own; the successor and its text.
async fn rotated(actor: &Actor, key: &Value, body: Value) -> (Value, String) {
    let path = format!("{KEYS}/{}/rotate", text(&key["id"]));
    let successor = made(actor, &path, body).await;
    let secret = text(&successor["secret"]);
    (successor, secret)
}

/// Whether any reply but the one that minted it shows the secret.
async fn is_shown_again(world: &World, actor: &Actor, key: &Value, secret: &str) -> bool {
    let path = format!("{KEYS}/{}", text(&key["id"]));
    let mut shown = false;
    for path in [KEYS, path.as_str()] {
        shown |= actor.get(path).await.body.contains(secret);
    }
    let records = world.audit().await;
    shown || json!(records).to_string().contains(secret)
}
