//! How long an admitted request may go on: until its credential is revoked or expires, whichever is first.

use std::{
    fmt,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use scopegate_host::{Admission, CallerKind, Cause, Gate, Principal};

use crate::Clock;

/// The right to go on, handed to the inner service as a request extension: whoever takes a connection over
/// (WebSocket) ends it when [`Lease::ended`] resolves.
#[derive(Clone)]
pub struct Lease {
    gate: Arc<Gate>,
    clock: Clock,
    admission: Arc<Admission>,
}

impl Lease {
    pub(crate) fn new(gate: Arc<Gate>, clock: Clock, admission: Arc<Admission>) -> Self {
        Self {
            gate,
            clock,
            admission,
        }
    }

    /// Resolves when the credential is no longer good, or nobody can tell any more: with what the caller is told. A request
    /// without a credential never ends this way.
    pub async fn ended(&self) -> Cause {
        let Some(principal) = &self.admission.principal else {
            return pending().await;
        };
        let mut principal = Arc::clone(principal);
        loop {
            tokio::select! {
                biased;
                renewed = self.gate.renewed(&principal) => match renewed {
                    // Perhaps it has an end now, or an earlier one: it was rotated.
                    Ok(current) => principal = current,
                    Err(cause) => return cause,
                },
                () = self.expired(&principal) => return match principal.kind {
                    CallerKind::Session => Cause::TokenExpired,
                    _ => Cause::Expired,
                },
            }
        }
    }

    /// Resolves at the earlier end of the token and of what it stands for.
    async fn expired(&self, principal: &Principal) {
        let ends = [self.admission.expires_at, principal.expires_at];
        match ends.into_iter().flatten().min() {
            Some(at) => self.clock.reached(at.saturating_mul(1000)).await,
            None => pending().await,
        }
    }

    /// Records that what was under way was broken off for this cause; for whoever ends a connection by
    /// [`Lease::ended`], after it is closed.
    pub async fn broken_off(&self, cause: &Cause) {
        self.gate.broken_off(cause, &self.admission).await;
    }

    /// The body, which breaks off with an error when the lease ends.
    pub(crate) fn guard(self, body: Body) -> Body {
        if self.admission.principal.is_none() || body.is_end_stream() {
            return body;
        }
        let lease = self.clone();
        let ended = Box::pin(async move { lease.ended().await });
        Body::new(Guarded {
            body,
            lease: self,
            ended: Some(ended),
        })
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

/// A body that ends with its lease.
struct Guarded {
    body: Body,
    lease: Lease,
    /// Nothing once the body is over, one way or the other.
    ended: Option<Pin<Box<dyn Future<Output = Cause> + Send>>>,
}

/// Why a body broke off.
#[derive(Debug)]
struct CredentialEnded(Cause);

impl fmt::Display for CredentialEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credential ended: {}", self.0.code())
    }
}

impl std::error::Error for CredentialEnded {}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(ended) = &mut this.ended else {
            return Poll::Ready(None);
        };
        // Asked first and every time: a body that never pauses must end as well.
        if let Poll::Ready(cause) = ended.as_mut().poll(context) {
            this.ended = None;
            let (lease, told) = (this.lease.clone(), cause.clone());
            // The stream ends now; the record may have to wait for room.
            tokio::spawn(async move { lease.broken_off(&told).await });
            return Poll::Ready(Some(Err(axum::Error::new(CredentialEnded(cause)))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            this.ended = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
