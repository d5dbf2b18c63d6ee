//! A client with one connection that it keeps, as a busy program has it.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::harness::Actor;

/// What is asked, again and again.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The header of the credential.
    pub(crate) credential: (&'static str, String),
}

impl Question {
    /// What this caller asks.
    pub(crate) fn of(actor: &Actor, method: &'static str, path: &str) -> Self {
        let credential = actor.credential.clone().expect("a credential");
        Self {
            method,
            path: path.to_owned(),
            credential,
        }
    }

    /// The same with a query.
    pub(crate) fn with_query(&self, query: &str) -> Self {
        Self {
            path: format!("{}?{query}", self.path),
            ..self.clone()
        }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let body = match self.method {
            "POST" => Bytes::from_static(b"{}"),
            _ => Bytes::new(),
        };
        Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("host", "gate.example")
            .header(self.credential.0, &self.credential.1)
            .body(Full::new(body))
            .expect("a request")
    }
}

/// A client.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
}

impl Client {
    /// One that is not connected yet.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Sends a request; when it was begun, and the reply's head. A connection that the server closed meanwhile is
    /// opened again, and the request begins anew.
    pub(crate) async fn send(&mut self, question: &Question) -> (Instant, Response<Incoming>) {
        for _ in 0..10 {
            let started = Instant::now();
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await,
            };
            if connection.ready().await.is_err() {
                continue;
            }
            if let Ok(reply) = connection.send_request(question.request()).await {
                self.connection = Some(connection);
                return (started, reply);
            }
        }
        panic!("`{}` is not answered", question.path);
    }

    /// Sends a request and reads the reply to its end; when it was begun, and its status.
    pub(crate) async fn ask(&mut self, question: &Question) -> (Instant, u16) {
        let (started, reply) = self.send(question).await;
        let status = reply.status().as_u16();
        if reply.into_body().collect().await.is_err() {
            // Broken off: the connection with it.
            self.connection = None;
        }
        (started, status)
    }

    async fn connect(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("a server");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        tokio::spawn(connection);
        sender
    }
}
