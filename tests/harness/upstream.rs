//! The product's API behind the gate: it records what reaches it and answers as a test wants.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What tells the upstream who calls.
pub const IDENTITY: [&str; 7] = [
    "x-scopegate-subject",
    "x-scopegate-organization",
    "x-scopegate-credential",
    "x-scopegate-roles",
    "x-scopegate-scopes",
    "x-scopegate-clusters",
    "x-request-id",
];

/// A request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Such as `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// All of them.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
}

impl Seen {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// Who calls is told, and told once.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn has_one_identity(&self, shown: &str) {
        for name in IDENTITY {
            let count = self.headers.get_all(name).iter().count();
            assert_eq!(count, 1, "{shown}: {name}");
            assert!(!self.headers[name].is_empty(), "{shown}: {name} is empty");
        }
    }
}

type Answer = Arc<dyn Fn(Seen) -> Response<Body> + Send + Sync>;
type Streaming = Arc<
    dyn Fn(Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync,
>;

#[derive(Clone)]
enum How {
    Recording(Answer),
    Streaming(Streaming),
}

/// An upstream.
#[derive(Clone)]
pub struct Upstream {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    how: Arc<Mutex<How>>,
}

impl Upstream {
    /// An upstream that answers with what it saw, in JSON.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self {
            url: format!("http://{address}"),
            seen: Arc::default(),
            how: Arc::new(Mutex::new(How::Recording(Arc::new(echo)))),
        };
        let answering = upstream.clone();
        let app = axum::Router::new().fallback(move |request: Request<Body>| {
            let upstream = answering.clone();
            async move { upstream.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        upstream
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let how = self.how.lock().expect("no panic").clone();
        match how {
            How::Streaming(answer) => answer(request).await,
            How::Recording(answer) => {
                let (parts, body) = request.into_parts();
                let seen = Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    headers: parts.headers,
                    body: body
                        .collect()
                        .await
                        .map(|body| body.to_bytes())
                        .unwrap_or_default(),
                };
                self.seen.lock().expect("no panic").push(seen.clone());
                answer(seen)
            }
        }
    }

    /// Answers so from now on.
    pub fn answers(&self, answer: impl Fn(Seen) -> Response<Body> + Send + Sync + 'static) {
        *self.how.lock().expect("no panic") = How::Recording(Arc::new(answer));
    }

    /// Answers so from now on, and records nothing.
    pub fn streams<F>(&self, answer: impl Fn(Request<Body>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        *self.how.lock().expect("no panic") =
            How::Streaming(Arc::new(move |request| Box::pin(answer(request))));
    }

    /// How many requests have reached it.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }

    /// The request that reached it as this one, counted from 0.
    pub fn seen(&self, number: usize) -> Seen {
        self.seen.lock().expect("no panic")[number].clone()
    }

    /// All requests that reached it so far, which it forgets.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no panic"))
    }

    /// The last request that reached it.
    pub fn last(&self) -> Seen {
        self.seen
            .lock()
            .expect("no panic")
            .last()
            .expect("a request")
            .clone()
    }
}

/// What it saw, in JSON.
fn echo(seen: Seen) -> Response<Body> {
    let headers: serde_json::Map<String, Value> = seen
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    json_reply(
        200,
        json!({
            "method": seen.method,
            "path": seen.path,
            "query": seen.query,
            "headers": headers,
            "body": String::from_utf8_lossy(&seen.body),
        }),
    )
}

/// A reply of JSON.
pub fn json_reply(status: u16, body: Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a reply")
}

/// An upstream that answers every connection's first request with exactly these bytes and hangs up. Gives its URL.
pub async fn raw_upstream(reply: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut more = [0; 1024];
                    match stream.read(&mut more).await {
                        Ok(length @ 1..) => head.extend_from_slice(&more[..length]),
                        _ => return,
                    }
                }
                let _ = stream.write_all(reply).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("http://{address}")
}
