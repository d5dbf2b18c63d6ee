//! Who calls: a base URL and, perhaps, a credential that goes with every request.

use std::sync::LazyLock;

use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, redirect::Policy};
use serde_json::Value;
use uuid::Uuid;

/// A caller. Cheap to clone.
#[derive(Clone)]
pub struct Actor {
    client: Client,
    base: String,
    /// The header of the credential, if there is one.
    pub credential: Option<(&'static str, String)>,
    /// The credential's id, where it was minted.
    pub id: Option<Uuid>,
}

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The `code` of a problem document.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Actor {
    /// A caller of the server at `base`.
    pub fn new(base: &str, credential: Option<(&'static str, String)>) -> Self {
        Self {
            client: client(),
            base: base.to_owned(),
            credential,
            id: None,
        }
    }

    /// The same, with the id of its credential.
    pub fn named(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// The value of the credential's header.
    pub fn credential_value(&self) -> &str {
        self.credential.as_ref().map_or("", |(_, value)| value)
    }

    /// A request with the credential on it, to change before it is sent.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.credential {
            Some((name, value)) => request.header(*name, value),
            None => request,
        }
    }

    /// Sends a request and reads the reply.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        let reply = request.send().await.expect("a reply");
        Reply {
            status: reply.status().as_u16(),
            headers: reply.headers().clone(),
            body: reply.text().await.expect("a body"),
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path).await
    }

    /// A request without a body.
    pub async fn call(&self, method: &str, path: &str) -> Reply {
        self.send(self.request(method, path)).await
    }

    /// `GET` with further headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = headers
            .iter()
            .fold(self.request("GET", path), |request, (name, value)| {
                request.header(*name, *value)
            });
        self.send(request).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request("POST", path).json(&body)).await
    }
}

/// One client for all: to build one takes longer than most tests do. It has no pool: a test that stops a server must
/// not meet its connections again.
fn client() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        // A server in this process would have done it, and another test may.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .expect("a client")
    });
    CLIENT.clone()
}
