//! A request of these suites and what came back.

use serde_json::Value;

use crate::harness::{Actor, Reply};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body.
    pub fn text(&self) -> String {
        self.body.clone()
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = reply
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        Self {
            status: reply.status,
            headers,
            body: reply.body,
        }
    }
}

/// A request that is being made.
pub struct Call {
    pub(super) actor: Actor,
    pub(super) request: reqwest::RequestBuilder,
}

impl Call {
    /// With a further header, beside those that are there.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// `X-API-Key`.
    pub fn api_key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// With a body.
    pub fn json(mut self, body: Value) -> Self {
        self.request = self.request.json(&body);
        self
    }

    /// Sends it, for the status alone.
    pub async fn status(self) -> u16 {
        self.send().await.status
    }

    /// Sends it.
    pub async fn send(self) -> Answer {
        self.actor.send(self.request).await.into()
    }
}
