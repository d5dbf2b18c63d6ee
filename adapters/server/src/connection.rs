//! Connections: accepted within a number, each bounded in how slowly it may send its header and read its reply,
//! HTTP/1.1 or HTTP/2 by what the client begins with, and drained or cut when the server stops.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At once, on one listener; more wait in the kernel's queue.
    pub connections_max: usize,
    /// For sending a request's header, the wait for its first byte included.
    pub header: Duration,
    /// In bytes; more is 431.
    pub header_bytes_max: usize,
    /// Without taking a byte of what it is sent.
    pub write: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            header: Duration::from_secs(30),
            header_bytes_max: 64 << 10,
            write: Duration::from_secs(60),
        }
    }
}

/// Header fields of a request at most; more is 431.
const HEADERS_MAX: usize = 128;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    open: TaskTracker,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    /// None yet. No more are accepted once `stopping` is cancelled.
    pub fn new(limits: ConnectionLimits, stopping: CancellationToken) -> Self {
        Self {
            limits,
            open: TaskTracker::new(),
            stopping,
            cut: CancellationToken::new(),
        }
    }

    /// Accepts and serves until it is stopped, then waits for what is under way until `drain` has passed and cuts
    /// the rest. Every request carries its peer as [`ConnectInfo`].
    pub async fn serve<A, F>(self, listener: TcpListener, answer: A, drain: Duration)
    where
        A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                accepted = accepted => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: trying again at once would only spin.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let served = one(
                stream,
                peer,
                answer.clone(),
                self.limits,
                self.stopping.clone(),
            );
            let cut = self.cut.clone();
            self.open.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = served => {}
                    () = cut.cancelled() => {}
                }
            });
        }
        drop(listener);
        self.open.close();
        if tokio::time::timeout(drain, self.open.wait()).await.is_err() {
            tracing::warn!(
                open = self.open.len(),
                "connections were cut at the end of the drain"
            );
        }
        self.cut.cancel();
        self.open.wait().await;
    }
}

async fn one<A, F>(
    stream: TcpStream,
    peer: SocketAddr,
    answer: A,
    limits: ConnectionLimits,
    stopping: CancellationToken,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Small replies are the rule; one that cannot be hurried is served all the same.
    let _ = stream.set_nodelay(true);
    let begins = tokio::time::timeout(limits.header, begins_http2(&stream));
    let is_http2 = tokio::select! {
        begins = begins => match begins {
            Ok(Ok(is_http2)) => is_http2,
            Ok(Err(_)) | Err(_) => return,
        },
        // Nothing was asked yet.
        () = stopping.cancelled() => return,
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answered = answer(request.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let io = TokioIo::new(Prompt {
        stream,
        patience: limits.write,
        stalled: None,
    });
    if is_http2 {
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(limits.header))
            .keep_alive_timeout(limits.header);
        let connection = http2.serve_connection(io, service);
        finish(connection, stopping, |connection| {
            connection.graceful_shutdown();
        })
        .await;
    } else {
        let mut http1 = conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_headers(HEADERS_MAX)
            // hyper's own least is 8 KiB.
            .max_buf_size(limits.header_bytes_max.max(8 << 10));
        let connection = http1.serve_connection(io, service).with_upgrades();
        finish(connection, stopping, |connection| {
            connection.graceful_shutdown();
        })
        .await;
    }
}

/// Serves a connection to its end; when the server stops, to the end of what is under way on it.
async fn finish<C>(connection: C, stopping: CancellationToken, wind_up: impl FnOnce(Pin<&mut C>))
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = stopping.cancelled() => {
            wind_up(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Whether the client begins with HTTP/2's preface; waits until that is certain.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        let (seen, expected) = (start.get(..length), PREFACE.get(..length));
        if length == 0 || seen != expected {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        // A part of the preface: peeking gives the same part until there is more.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A connection that ends when its other side takes nothing of what it is sent for too long.
struct Prompt {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Prompt {
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buf)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = pin!(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = pin!(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}
