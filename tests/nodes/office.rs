//! Whoever gives keys out and ends them, through whichever gate; and what comes of a key.

use std::{
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use http::Method;
use reqwest::Client;
use serde_json::{Value, json};

use super::gate::PASSWORD;

/// Longer than anybody waits for a gate.
const PATIENCE: Duration = Duration::from_secs(30);
/// What keys are tried on.
pub(super) const PATH: &str = "/v1/clusters/prod";

/// Query of a request for which the API takes a second.
pub(super) const SLOW: &str = "?slow";
/// Of one that it has under way for longer than anybody waits.
pub(super) const STUCK: &str = "?stuck";

/// An administrator.
pub(super) struct Office {
    client: Client,
    token: Mutex<String>,
}

/// A key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

/// An answer, or status 0 where there was none.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Why it was refused.
    pub(super) code: String,
    pub(super) body: Value,
    headers: http::HeaderMap,
    pub(super) took: Duration,
}

impl Answer {
    /// A number in a header.
    pub(super) fn number(&self, name: &str) -> i64 {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        let value = value.unwrap_or_else(|| panic!("`{name}` is missing: {self:?}"));
        value.parse().expect("a number")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub(super) fn is(&self, status: u16, code: &str) -> bool {
        (self.status, self.code.as_str()) == (status, code)
    }
}

impl Office {
    pub(super) fn new() -> Self {
        // A server in this process would have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Each request has a connection of its own: one that a gate closes at the same moment is nobody's fault.
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0);
        Self {
            client: client.build().expect("a client"),
            token: Mutex::default(),
        }
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        credential: &str,
        body: Option<&Value>,
    ) -> Answer {
        let begun = Instant::now();
        let mut request = self.client.request(method, url);
        if !credential.is_empty() {
            request = request.bearer_auth(credential);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let Ok(reply) = request.send().await else {
            return Answer::default();
        };
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        // An answer that broke off is none.
        let Ok(bytes) = reply.bytes().await else {
            return Answer::default();
        };
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer {
            status,
            code: body["code"].as_str().unwrap_or_default().to_owned(),
            body,
            headers,
            took: begun.elapsed(),
        }
    }

    /// Signs in, as long as it takes.
    pub(super) async fn sign_in(&self, gate: SocketAddr) {
        let body = json!({ "email": "admin@example.com", "password": PASSWORD });
        let url = format!("http://{gate}/auth/login");
        let patience = Patience::default();
        loop {
            let answer = self.send(Method::POST, url.clone(), "", Some(&body)).await;
            if answer.status == 200 {
                let token = answer.body["token"].as_str().expect("a token");
                token.clone_into(&mut self.token.lock().expect("no panic"));
                return;
            }
            patience.again(&answer).await;
        }
    }

    /// What the administrator gets, who signs in again where the last time was too long ago.
    pub(super) async fn manage(
        &self,
        gate: SocketAddr,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let url = format!("http://{gate}/-/api{path}");
        let token = self.token();
        let answer = self
            .send(method.clone(), url.clone(), &token, body.as_ref())
            .await;
        if !matches!(answer.status, 401 | 403) {
            return answer;
        }
        self.sign_in(gate).await;
        let token = self.token();
        self.send(method, url, &token, body.as_ref()).await
    }

    fn token(&self) -> String {
        self.token.lock().expect("no panic").clone()
    }

    pub(super) async fn try_mint(&self, gate: SocketAddr, name: &str) -> Answer {
        let body = json!({ "name": name });
        self.manage(gate, Method::POST, "/keys", Some(body)).await
    }

    /// A new key, whatever it takes.
    pub(super) async fn mint(&self, gate: SocketAddr, name: &str) -> Key {
        let patience = Patience::default();
        loop {
            let answer = self.try_mint(gate, name).await;
            if answer.status == 201 {
                return answer.key();
            }
            patience.again(&answer).await;
        }
    }

    pub(super) async fn try_revoke(&self, gate: SocketAddr, id: &str) -> Answer {
        let path = format!("/organization/keys/{id}");
        self.manage(gate, Method::DELETE, &path, None).await
    }

    /// Revokes until that is confirmed: how often it was only pending, or not made.
    pub(super) async fn revoke(&self, gate: SocketAddr, id: &str) -> usize {
        let patience = Patience::default();
        for repeated in 0.. {
            let answer = self.try_revoke(gate, id).await;
            if answer.status == 200 {
                return repeated;
            }
            patience.again(&answer).await;
        }
        unreachable!("patience ends")
    }

    /// What comes of a request with a key.
    pub(super) async fn ask(&self, gate: SocketAddr, key: &Key) -> Answer {
        self.ask_to(gate, key, Method::GET, "").await
    }

    /// What comes of another one, on the same path; the API takes its time for [`SLOW`] or [`STUCK`].
    pub(super) async fn ask_to(
        &self,
        gate: SocketAddr,
        key: &Key,
        method: Method,
        query: &str,
    ) -> Answer {
        let url = format!("http://{gate}{PATH}{query}");
        self.send(method, url, &key.secret, None).await
    }

    /// Asks until this is the answer.
    pub(super) async fn until_asked(&self, gate: SocketAddr, key: &Key, status: u16) -> Answer {
        let patience = Patience::default();
        loop {
            let answer = self.ask(gate, key).await;
            if answer.status == status {
                return answer;
            }
            patience.again(&answer).await;
        }
    }
}

/// Of somebody who tries again and again.
struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Patience {
    async fn again(&self, answer: &Answer) {
        assert!(self.0.elapsed() < PATIENCE, "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Answer {
    /// The key that it gives out.
    pub(super) fn key(&self) -> Key {
        let text = |name: &str| {
            let text = self.body[name].as_str();
            text.unwrap_or_else(|| panic!("`{name}` of {self:?}"))
                .to_owned()
        };
        Key {
            id: text("id"),
            secret: text("secret"),
        }
    }
}
