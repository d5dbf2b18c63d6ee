//! Bodies on their way through: how far a request's has come, and a reply's that must not fall silent.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use scopegate_host::Cause;
use tokio::time::{Instant, Sleep};

use super::ProxyLimits;

/// How far a request's body has come.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    /// Milliseconds from `started` to the last byte.
    last_ms: AtomicU64,
    over: AtomicBool,
    /// Whether the upstream waits for the client, and not the other way round.
    wanted: AtomicBool,
    too_large: AtomicBool,
}

impl Progress {
    /// Whether the body was cut for its size.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }

    /// Resolves when nothing has moved for too long: the client's fault while its body is waited for, else the
    /// upstream's.
    pub(super) async fn stalled(&self, limits: &ProxyLimits) -> Cause {
        loop {
            let over = self.over.load(Ordering::Acquire);
            let patience = if over { limits.response } else { limits.idle };
            let last = self.started + Duration::from_millis(self.last_ms.load(Ordering::Acquire));
            if last.elapsed() < patience {
                tokio::time::sleep_until(last + patience).await;
            } else if !over && self.wanted.load(Ordering::Acquire) {
                return Cause::InvalidRequest("the body stopped coming".into());
            } else {
                return Cause::GatewayTimeout;
            }
        }
    }

    fn moved(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Release);
    }
}

/// A request's body of bounded size whose progress can be watched.
pub(super) fn watched(body: Body, bytes_max: u64) -> (Body, Arc<Progress>) {
    let progress = Arc::new(Progress {
        started: Instant::now(),
        last_ms: AtomicU64::new(0),
        over: AtomicBool::new(false),
        wanted: AtomicBool::new(false),
        too_large: AtomicBool::new(false),
    });
    let watched = Watched {
        body,
        left: bytes_max,
        progress: Arc::clone(&progress),
    };
    (Body::new(watched), progress)
}

struct Watched {
    body: Body,
    left: u64,
    progress: Arc<Progress>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Pending => {
                // The upstream took what there was and asks for more.
                if !this.progress.wanted.swap(true, Ordering::AcqRel) {
                    this.progress.moved();
                }
                return Poll::Pending;
            }
            // Trailers: fields that nobody judged, and readers that take them for headers exist.
            Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {
                this.progress.over.store(true, Ordering::Release);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(bytes) {
                    Some(left) => this.left = left,
                    None => {
                        this.progress.too_large.store(true, Ordering::Release);
                        return Poll::Ready(Some(Err(axum::Error::new(Broken(
                            "the body is too large",
                        )))));
                    }
                }
            }
            Poll::Ready(Some(Err(_)) | None) => this.progress.over.store(true, Ordering::Release),
        }
        this.progress.wanted.store(false, Ordering::Release);
        this.progress.moved();
        if this.body.is_end_stream() {
            this.progress.over.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A reply's body that breaks off when it is silent for so long.
pub(super) fn idle(body: Incoming, patience: Duration) -> Body {
    Body::new(Idle {
        body,
        patience,
        silence: None,
    })
}

struct Idle {
    body: Incoming,
    patience: Duration,
    /// Running while a byte is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Idle {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let patience = this.patience;
        let silence = this
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        silence
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(axum::Error::new(Broken("the upstream fell silent")))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body broke off.
#[derive(Debug)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_requests_trailers_end_here() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-scopegate-clusters", HeaderValue::from_static("*"));
        let frames = [
            Ok::<_, axum::Error>(Frame::data(Bytes::from_static(b"data"))),
            Ok(Frame::trailers(trailers)),
        ];
        let (body, _) = watched(Body::new(StreamBody::new(stream::iter(frames))), 100);
        let collected = body.collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "data");
    }
}
