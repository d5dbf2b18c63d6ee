//! Somebody else's server: answers every request over TLS with what it is told to.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::authenticate::Place;

/// What it answers to a request, head and body; nothing where it never does.
type Answer = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

pub(super) struct TlsServer {
    pub(super) url: String,
    pub(super) ca: PathBuf,
    requests: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

pub(super) fn http_ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl TlsServer {
    pub(super) async fn start(folder: &Path, reply: String) -> Self {
        crate::keyring::install_cryptography();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Answer = Arc::new(move |_| Some(reply.clone()));
        let server = Self {
            url: format!("https://localhost:{port}"),
            ca,
            requests: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let (requests, answer) = (Arc::clone(&server.requests), Arc::clone(&server.answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, requests, answer) =
                    (acceptor.clone(), Arc::clone(&requests), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let request = read(&mut stream).await;
                    requests.fetch_add(1, SeqCst);
                    let answer = Arc::clone(&answer.lock());
                    let Some(reply) = answer(&request) else {
                        return std::future::pending().await;
                    };
                    let _ = stream.write_all(reply.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        server
    }

    /// The same answer to everybody from now on.
    pub(super) fn replies(&self, reply: String) {
        self.answers(move |_| Some(reply.clone()));
    }

    /// What it answers from now on.
    pub(super) fn answers(&self, answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(answer);
    }

    /// A key set of it.
    pub(super) fn place(&self) -> Place {
        Place {
            ca_file: Some(self.ca.clone()),
            ..Place::of(&format!("{}/jwks", self.url))
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

/// A request to its end.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return text,
        }
    }
}
