//! Calls of the management API in this process, on a visitor's behalf: with their session, from their address.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, ETAG},
    request::Parts,
};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{browser, problem::Problem};
use crate::api::Api;

/// What says who a client is behind the proxies that it came through.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request came from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    peer: Option<ConnectInfo<SocketAddr>>,
    forwarded: Vec<HeaderValue>,
}

impl Source {
    /// Of this request.
    pub(super) fn of(parts: &Parts) -> Self {
        let forwarded = parts.headers.get_all(FORWARDED_FOR).iter().cloned();
        Self {
            peer: parts.extensions.get().copied(),
            forwarded: forwarded.collect(),
        }
    }

    /// Its address on the connection.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer.as_ref().map(|ConnectInfo(peer)| *peer)
    }

    /// A request that comes from there too. Nothing else of the visitor's request is on it.
    pub(super) fn request(&self, method: Method, path: &str, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // Paths are put together of encoded parts.
        *request.uri_mut() = path.parse().unwrap_or_default();
        for value in &self.forwarded {
            request.headers_mut().append(FORWARDED_FOR, value.clone());
        }
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(*peer);
        }
        request
    }
}

/// Makes a visitor's calls.
#[derive(Debug)]
pub(super) struct Calls {
    api: Api,
    source: Source,
    token: SecretString,
    /// Whether a call has been counted: what one page takes, counts once.
    counted: AtomicBool,
}

/// What the API answered, when it did what was asked.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its headers.
    pub(super) headers: HeaderMap,
    body: Bytes,
}

/// A call to make.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<(&'static str, Bytes)>,
    headers: Vec<(HeaderName, String)>,
}

impl Call {
    /// `GET`.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Of any method.
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: format!("{}{}", crate::api::PREFIX, path.into()),
            body: None,
            headers: Vec::new(),
        }
    }

    /// `POST` of JSON.
    pub(super) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path).json(body)
    }

    /// With a body of JSON.
    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(("application/json", body.to_string().into()));
        self
    }

    /// With a header, whose value is plain.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// That is made once, however often it is sent with this.
    pub(super) fn once(self, key: &str) -> Self {
        self.header(HeaderName::from_static("idempotency-key"), key)
    }

    fn into_request(self, source: &Source, token: &SecretString) -> Request<Body> {
        let kind = self.body.as_ref().map(|(kind, _)| *kind);
        let body = self.body.map(|(_, bytes)| Body::from(bytes));
        let mut request = source.request(self.method, &self.path, body.unwrap_or_default());
        let headers = request.headers_mut();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in self.headers {
            // What cannot stand in a header was never a value that the API gave.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        browser::authorize(headers, token);
        request
    }
}

impl Calls {
    /// Calls with this session, on behalf of a request that came from there.
    pub(super) fn new(api: Api, source: Source, token: SecretString) -> Self {
        Self {
            api,
            source,
            token,
            counted: AtomicBool::new(false),
        }
    }

    /// Makes a call.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn make(&self, call: Call) -> Result<Answer, Problem> {
        let request = call.into_request(&self.source, &self.token);
        let reply = match self.counted.swap(true, Relaxed) {
            false => self.api.answer(request).await,
            true => self.api.answer_part(request).await,
        };
        let (parts, body) = reply.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Err(Problem::unreadable()),
        };
        match parts.status.is_success() {
            true => Ok(Answer {
                headers: parts.headers,
                body,
            }),
            false => Err(Problem::read(parts.status, &parts.headers, &body)),
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
    ) -> Result<T, Problem> {
        self.make(Call::get(path)).await?.read()
    }
}

impl Answer {
    /// What is in it.
    ///
    /// # Errors
    /// When it is something else: then pages and API are not of one version.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            tracing::error!(%error, "the management API answered something that its pages do not know");
            Problem::unreadable()
        })
    }

    /// Which version it is, for a change of it.
    pub(super) fn etag(&self) -> String {
        let tag = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        tag.unwrap_or_default().to_owned()
    }
}

/// A part of a path, whatever is in it.
pub(super) fn part(text: &str) -> String {
    // A dot that stood alone would be another path.
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A query of these, without those that say nothing.
pub(super) fn query<'v>(pairs: impl IntoIterator<Item = (&'v str, &'v str)>) -> String {
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let text: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish();
    match text.is_empty() {
        true => text,
        false => format!("?{text}"),
    }
}

/// Whether something failed for who asks rather than for what was asked.
pub(super) fn is_sign_in(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED
}
