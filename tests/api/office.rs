//! A gate with people at work, and the callers of its management API.

use serde_json::{Value, json};

use crate::harness::{Actor, Options, PASSWORD, Reply, World, unlimited};

/// A world whose limits do not stand in a test's way.
pub async fn office(contract: &'static str) -> World {
    World::with(Options {
        adjust: unlimited,
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

    /// A session of this role, or of anyone by the whole address, on the management listener.
    pub async fn manager(&self, who: &str) -> Actor {
        let email = if who.contains('@') {
            who.to_owned()
        } else {
            format!("{who}@acme.example")
        };
        self.sign_in(&email, PASSWORD).await
    }

    /// A session on the management listener.
    pub async fn sign_in(&self, email: &str, password: &str) -> Actor {
        let reply = self.try_sign_in(email, password, None).await;
        assert_eq!(reply.status, 200, "log-in of {email}: {}", reply.body);
        self.manager_with(reply.json()["token"].as_str().expect("a token"))
    }

    /// What a log-in on the management listener answers.
    pub async fn try_sign_in(&self, email: &str, password: &str, otp: Option<&str>) -> Reply {
        let mut body = json!({ "email": email, "password": password });
        if let Some(otp) = otp {
            body["otp"] = json!(otp);
        }
        Actor::new(&self.management, None)
            .post("/-/login", body)
            .await
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
