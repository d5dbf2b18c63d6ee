//! The Unix socket beside the store, through which the command line's changes reach a running server, so that a
//! revocation from a terminal empties the server's cache as one over HTTP does.
//!
//! One request in HTTP/1.1, `POST /command`, a command of [`scopegate_host::admin`] in JSON; the answer is its reply
//! or its error. Only the user that the server runs as, and root, get an answer.

use std::{
    convert::Infallible,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use scopegate_axum::Clock;
use scopegate_host::{
    Gate, Policies,
    admin::{Admin, AdminError, Command, ErrorKind, Reply},
    store::{Actor, Origin},
};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The largest command, in bytes. An import of 10,000 keys fits, and the largest policy that any sandbox takes, in base64.
const COMMAND_BYTES_MAX: usize = 48 << 20;
/// The largest reply, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// For a command's header to come.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long a command may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the socket `{}`: {error}", path.display())]
pub struct BadSocket {
    path: PathBuf,
    error: io::Error,
}

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens on the socket.
    #[error("no server listens on `{}`: {error}", path.display())]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What connecting gave.
        error: io::Error,
    },
    /// The server broke off, or is of another version. Whether the command was executed is not known.
    #[error("the server on `{}` gave no answer that can be read: {why}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

/// What commands are executed on.
pub type Served = (Arc<Gate>, Policies, Clock);

/// A socket that is listened on. Removed when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Makes the socket, readable and writable by this user alone, in place of one that is left from before: call
    /// it under the store's lock, which says that no other server runs.
    ///
    /// # Errors
    /// When the path is too long for a socket (107 bytes), or the directory cannot be written.
    pub fn bind(path: PathBuf) -> Result<Self, BadSocket> {
        // Nobody may connect between the making and the mode, so it is made under another name and moved.
        let made = path.with_extension("sock.new");
        let bound = (|| {
            match std::fs::remove_file(&made) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&made)?;
            std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&made, &path)?;
            Ok(listener)
        })();
        match bound {
            Ok(listener) => Ok(Self { listener, path }),
            Err(error) => Err(BadSocket { path, error }),
        }
    }

    /// Executes commands until it is stopped; those under way finish.
    pub async fn serve(self, served: Served, stopping: CancellationToken) {
        let open = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    open.spawn(serve_one(stream, served.clone()));
                }
                Ok(_) => tracing::warn!("another user tried the command line's socket"),
                Err(error) => {
                    tracing::warn!(%error, "a command could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        open.close();
        open.wait().await;
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the other side is this user or root.
fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw())
}

async fn serve_one(stream: UnixStream, served: Served) {
    let service = service_fn(move |request: Request<Incoming>| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(answer(request, &served).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "the command line broke off");
    }
}

async fn answer(
    request: Request<Incoming>,
    (gate, policies, clock): &Served,
) -> Response<Full<Bytes>> {
    if request.method() != Method::POST || request.uri().path() != "/command" {
        return text(StatusCode::NOT_FOUND, "this socket takes `POST /command`");
    }
    let read = Limited::new(request.into_body(), COMMAND_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the command is too large"),
        // A shutdown waits for commands.
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the command stopped coming"),
    };
    let command: Command = match serde_json::from_slice(&body.to_bytes()) {
        Ok(command) => command,
        // The message may quote the command, and that may have a password in it.
        Err(_) => {
            return text(
                StatusCode::BAD_REQUEST,
                "the command is not one of this server's version",
            );
        }
    };
    let command = match command {
        Command::KeysReload => return reply_of(reload_keys(gate).await),
        Command::Policy(command) => {
            let origin = Origin::from(Actor::Machine);
            let done = policies.execute(command, origin, clock.now_ms()).await;
            return reply_of(done.map(Reply::Policy));
        }
        other => other,
    };
    // Each command goes by the policy that is active when it comes.
    let policy = gate.policy();
    let admin = Admin::new(gate.directory(), gate.contract(), policy.description());
    reply_of(admin.execute(command, clock.now_ms()).await)
}

/// The gate's keys are no matter of the store's, so they are read again here.
async fn reload_keys(gate: &Gate) -> Result<Reply, AdminError> {
    let keys = gate.keys().clone();
    let reloaded = tokio::task::spawn_blocking(move || keys.reload()).await;
    let why = match reloaded {
        Ok(Ok(())) => return Ok(Reply::Done { changed: true }),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(AdminError {
        kind: ErrorKind::Unavailable,
        message: format!("the server keeps its keys: {why}"),
        help: None,
    })
}

fn reply_of(answer: Result<Reply, AdminError>) -> Response<Full<Bytes>> {
    let (status, body) = match answer {
        Ok(reply) => (StatusCode::OK, serde_json::to_vec(&reply)),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, serde_json::to_vec(&error)),
    };
    let Ok(body) = body else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the reply cannot be written",
        );
    };
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    reply
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(text));
    *reply.status_mut() = status;
    reply
}

/// Has the server that listens on this socket execute a command; the answer is what [`Admin::execute`] gave there.
///
/// # Errors
/// When nobody listens there (the command was not executed), or no answer came (it may have been).
pub async fn send(path: &Path, command: &Command) -> Result<Result<Reply, AdminError>, SendError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|error| SendError::NoServer {
            path: path.to_owned(),
            error,
        })?;
    let no_answer = |why: String| SendError::NoAnswer {
        path: path.to_owned(),
        why,
    };
    let body = serde_json::to_vec(command).map_err(|error| no_answer(error.to_string()))?;
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::post("/command")
            .header(HOST, "scopegate")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::<Bytes>::from(body))?;
        let (reply, ()) = tokio::join!(sender.send_request(request), async {
            // What goes wrong with the connection shows in the reply.
            let _ = connection.await;
        });
        let (parts, body) = reply?.into_parts();
        let body = Limited::new(body, REPLY_BYTES_MAX)
            .collect()
            .await?
            .to_bytes();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((parts.status, body))
    };
    let (status, body) = exchange
        .await
        .map_err(|error| no_answer(error.to_string()))?;
    let read = |error: serde_json::Error| no_answer(error.to_string());
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map(Ok).map_err(read),
        StatusCode::UNPROCESSABLE_ENTITY => serde_json::from_slice(&body).map(Err).map_err(read),
        _ => Err(no_answer(String::from_utf8_lossy(&body).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_left_over_is_replaced_and_goes_with_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.db.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead server leaves its socket");
        let socket = AdminSocket::bind(path.clone()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(socket);
        assert!(!path.exists());
        let error = send(&path, &Command::OrganizationList).await.unwrap_err();
        assert!(matches!(error, SendError::NoServer { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = AdminSocket::bind(directory.path().join("x".repeat(120))).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot make the socket"),
            "{error}"
        );
    }
}
