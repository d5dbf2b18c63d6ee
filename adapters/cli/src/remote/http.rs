//! Requests to a gate, with one more try where that is safe.

use std::{error::Error, time::Duration};

use anyhow::Result;
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use scopegate_host::keyring;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Access, address,
    trouble::{Problem, Trouble},
    view::Listed,
};
use crate::failure::Failure;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// For a whole request; the largest import takes some.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The largest answer, in bytes. A page of a list is far smaller.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Items on a page: as many as the API gives.
const PAGE: &str = "200";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A gate's management listener.
#[derive(Debug)]
pub(super) struct Gate {
    client: Client,
    base: Url,
    credential: Option<(HeaderName, HeaderValue)>,
}

impl Gate {
    /// The gate at this URL, for requests without a credential.
    pub(super) fn new(url: &str, access: &Access) -> Result<Self> {
        keyring::install_cryptography();
        let base = address::base(url, access.insecure_http)?;
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("scopegate/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // A proxy would read the credential; through one, https is a tunnel.
            client = client.no_proxy();
        }
        if let Some(path) = &access.ca {
            let wrong =
                |what: String| Failure::usage(format!("cannot use `{}`: {what}", path.display()));
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| wrong(error.to_string()))?;
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()).into());
            }
            client = client.tls_certs_only(roots);
        }
        let client = client
            .build()
            .map_err(|error| Failure::new(format!("TLS cannot be set up: {}", told(&error))))?;
        Ok(Self {
            client,
            base,
            credential: None,
        })
    }

    /// With the credential of the environment.
    pub(super) fn with_credential(mut self) -> Result<Self> {
        self.credential = Some(address::credential_for(&self.base)?);
        Ok(self)
    }

    /// Reads from the management API.
    pub(super) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, &["-", "api"], path, None)
    }

    /// Makes something.
    pub(super) fn post(&self, path: &[&str], body: Option<Value>) -> Call<'_> {
        self.call(Method::POST, &["-", "api"], path, body)
    }

    /// Puts something in the place of what is there.
    pub(super) fn put(&self, path: &[&str], body: Value) -> Call<'_> {
        self.call(Method::PUT, &["-", "api"], path, Some(body))
    }

    /// Changes something.
    pub(super) fn patch(&self, path: &[&str], body: Value) -> Call<'_> {
        self.call(Method::PATCH, &["-", "api"], path, Some(body))
    }

    /// Ends something.
    pub(super) fn delete(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::DELETE, &["-", "api"], path, None)
    }

    /// One of the gate's own pages outside the API.
    pub(super) fn get_own(&self, page: &str) -> Call<'_> {
        self.call(Method::GET, &["-"], &[page], None)
    }

    /// One of the gate's own endpoints outside the API.
    pub(super) fn post_own(&self, page: &str, body: Option<Value>) -> Call<'_> {
        self.call(Method::POST, &["-"], &[page], body)
    }

    /// All pages of a list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<Vec<T>, Trouble> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = self.get(path).query("limit", PAGE);
            for (name, value) in filter {
                call = call.query(name, value);
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page: Listed<T> = call.json().await?;
            let was_empty = page.items.is_empty();
            all.extend(page.items);
            match page.next_cursor {
                // A page of nothing that another one follows would go on for ever.
                Some(next) if !was_empty => cursor = Some(next),
                _ => return Ok(all),
            }
        }
    }

    fn call(&self, method: Method, root: &[&str], path: &[&str], body: Option<Value>) -> Call<'_> {
        let mut url = self.base.clone();
        let is_nameable = path.iter().all(|part| is_name(part));
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root).extend(path);
        }
        Call {
            gate: self,
            url: is_nameable.then_some(url),
            is_repeatable: method != Method::POST && method != Method::PATCH,
            method,
            body,
            component: None,
            headers: Vec::new(),
        }
    }
}

/// A request that is put together.
pub(super) struct Call<'g> {
    gate: &'g Gate,
    method: Method,
    /// Nothing, where a part of the path names nothing.
    url: Option<Url>,
    body: Option<Value>,
    /// In place of a body of JSON.
    component: Option<Vec<u8>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether doing it twice is as good as doing it once.
    is_repeatable: bool,
}

/// What a gate answered that it did.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which version of something this is.
    pub(super) etag: Option<HeaderValue>,
    body: Vec<u8>,
}

impl Call<'_> {
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        if let Some(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sent again, it makes nothing new: so it is sent again where the connection broke.
    pub(super) fn once(mut self) -> Self {
        let key = Uuid::new_v4().to_string();
        if let Ok(key) = HeaderValue::from_str(&key) {
            self.headers.push((IDEMPOTENCY_KEY, key));
            self.is_repeatable = true;
        }
        self
    }

    /// Sends a policy component. Pushed twice, it is active once: so it is sent again where the connection broke.
    pub(super) fn component(mut self, component: Vec<u8>) -> Self {
        self.component = Some(component);
        self.is_repeatable = true;
        self
    }

    /// Changes whatever is there.
    pub(super) fn anything(self) -> Self {
        self.version(Some(HeaderValue::from_static("*")))
    }

    /// Changes this version, or makes what is not there yet.
    pub(super) fn version(mut self, version: Option<HeaderValue>) -> Self {
        self.headers.push(match version {
            Some(version) => (IF_MATCH, version),
            None => (IF_NONE_MATCH, HeaderValue::from_static("*")),
        });
        self
    }

    /// Sends it and reads the answer.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        self.send().await?.json()
    }

    /// Sends it, and once more where the connection broke and that does no harm.
    pub(super) async fn send(self) -> Result<Answer, Trouble> {
        match self.attempt().await {
            Err(Broken::Connection(_)) if self.is_repeatable => self.attempt().await,
            other => other,
        }
        .map_err(|broken| match broken {
            Broken::Connection(why) | Broken::Otherwise(why) => {
                Trouble::NoAnswer(format!("`{}`: {why}", self.gate.base))
            }
            Broken::Refused(problem) => Trouble::Refused(problem),
        })
    }

    async fn attempt(&self) -> Result<Answer, Broken> {
        let Some(url) = self.url.clone() else {
            return Err(Broken::Refused(Problem {
                status: 404,
                detail: "there is nothing of this name".to_owned(),
                ..Problem::default()
            }));
        };
        let mut request = self.gate.client.request(self.method.clone(), url);
        for (name, value) in self.gate.credential.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        if let Some(component) = &self.component {
            request = request
                .header(CONTENT_TYPE, "application/wasm")
                .body(component.clone());
        }
        let mut response = request.send().await?;
        let status = response.status();
        let etag = response.headers().get(ETAG).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Broken::Otherwise(format!(
                    "the answer has more than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Answer { etag, body });
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        Err(Broken::Refused(Problem {
            status: status.as_u16(),
            ..problem
        }))
    }
}

impl Answer {
    /// What it says.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        // No text of the answer, which may hold a secret.
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::NoAnswer(format!(
                "the gate answered something else than this command understands: {} at line {} column {}",
                match error.classify() {
                    serde_json::error::Category::Data => "another shape",
                    _ => "not JSON",
                },
                error.line(),
                error.column()
            ))
        })
    }
}

/// Why an attempt came to nothing.
enum Broken {
    /// The connection was there and broke.
    Connection(String),
    Otherwise(String),
    Refused(Problem),
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        let why = told(&error);
        if error.is_connect() || error.is_timeout() || error.is_builder() {
            Self::Otherwise(why)
        } else {
            Self::Connection(why)
        }
    }
}

/// Whether a part of a path can be the id or the name of something. URLs drop dot segments, and the gate refuses what can
/// be read in two ways: so another thing would be meant than was named, or none.
fn is_name(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    !matches!(part, "" | "." | "..") && part.bytes().all(is_plain)
}

/// An error and what is behind it: reqwest's own text says only where it happened.
fn told(error: &reqwest::Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        deepest.to_string()
    }
}
