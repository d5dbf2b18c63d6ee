//! A gate with people at work, and the callers of its management API.

use serde_json::{Value, json};

use crate::harness::{Actor, Options, Reply, World};

/// A world whose limits do not stand in a test's way.
pub async fn office(contract: &'static str) -> World {
    World::with(Options {
        adjust: |contract| {
            let limits = &mut contract.limits;
            for limit in [
                &mut limits.session,
                &mut limits.api_key,
                &mut limits.agent,
                &mut limits.anonymous,
                &mut limits.failures,
                &mut limits.logins,
            ] {
                *limit = 100_000;
            }
        },
        ..Options::of(contract)
    })
    .await
}

impl World {
    /// The same caller on the management listener.
    pub fn manages(&self, actor: &Actor) -> Actor {
        let mut actor = Actor::new(&self.management, actor.credential.clone());
        actor.id = None;
        actor
    }

    /// A session of this role on the management listener.
    pub async fn manager(&self, who: &str) -> Actor {
        let session = self.session(who).await;
        self.manages(&session)
    }
}

/// Asks for something to be made; what came back, which must be 201.
pub async fn made(actor: &Actor, path: &str, body: Value) -> Value {
    let reply = actor.post(path, body).await;
    assert_eq!(reply.status, 201, "POST {path}: {}", reply.body);
    reply.json()
}

/// A request with a body of JSON and headers.
pub async fn sent(
    actor: &Actor,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    let request = headers
        .iter()
        .fold(actor.request(method, path), |request, (name, value)| {
            request.header(*name, *value)
        });
    actor.send(request.json(&body)).await
}

/// A key's name, and nothing else.
pub fn named(name: &str) -> Value {
    json!({ "name": name })
}
