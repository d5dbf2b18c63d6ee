//! The layer: asks the gate about every request and enforces the answer.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt as _, future};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header::CONTENT_LENGTH};
use scopegate_host::{Admission, Cause, Gate, Refusal, Verdict};
use tower::{Layer, Service, ServiceExt};

use crate::{Clock, Lease, list, request};

/// Puts a gate in front of a service.
///
/// Lay it around the whole application, before routing, so that the path which the gate judged is the one that is
/// routed: `gate_layer.layer(router)`. Inside a router (`Router::layer`) it works as well, but answers 400 to
/// paths that are not in their normal form; inside a nested router the policy sees the stripped path.
///
/// The inner service finds in the request's extensions an `Arc<Admission>`, an `Arc<Principal>` if there was a
/// credential, and a [`Lease`].
#[derive(Clone)]
pub struct GateLayer {
    gate: Arc<Gate>,
    clock: Clock,
    list_bytes_max: usize,
    breaks_off: bool,
    counts: bool,
}

impl GateLayer {
    /// A layer that asks this gate, at the times that this clock shows.
    pub fn new(gate: Arc<Gate>, clock: Clock) -> Self {
        Self {
            gate,
            clock,
            list_bytes_max: list::LIST_BYTES_MAX,
            breaks_off: true,
            counts: true,
        }
    }

    /// Lets a request that was admitted end, whatever becomes of its credential meanwhile: for services that end
    /// credentials themselves, and must be able to say so.
    #[must_use]
    pub fn without_breaking_off(mut self) -> Self {
        self.breaks_off = false;
        self
    }

    /// Takes nothing from its callers' limits: for requests that are made in this process to answer one that came, which has
    /// been counted.
    #[must_use]
    pub fn without_counting(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Reads lists of at most so many bytes; larger ones are 502.
    #[must_use]
    pub fn with_list_bytes_max(mut self, bytes: usize) -> Self {
        self.list_bytes_max = bytes;
        self
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService {
            inner,
            layer: self.clone(),
        }
    }
}

impl fmt::Debug for GateLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct GateService<S> {
    inner: S,
    layer: GateLayer,
}

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl<S> GateService<S> {
    /// Answers a request: what [`Service::call`] does, which cannot fail.
    pub fn answer<B>(&self, request: Request<B>) -> Answering
    where
        S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send,
        B: Send + 'static,
    {
        Box::pin(self.layer.clone().answer(self.inner.clone(), request))
    }
}

impl<S, B> Service<Request<B>> for GateService<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = future::Map<Answering, fn(Response<Body>) -> Result<Response<Body>, Infallible>>;

    // The inner service is made ready only for what is admitted.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.answer(request).map(Ok)
    }
}

impl GateLayer {
    async fn answer<S, B>(self, inner: S, request: Request<B>) -> Response<Body>
    where
        S: Service<Request<B>, Error = Infallible>,
        S::Response: axum::response::IntoResponse,
    {
        let (mut parts, body) = request.into_parts();
        request::end_connection(&mut parts.headers);
        let question = request::convert(&parts, self.clock.now_ms());
        let verdict = match self.counts {
            true => self.gate.check(&question).await,
            false => self.gate.check_part(&question).await,
        };
        let admission = match verdict {
            Verdict::Admit(admission) => admission,
            Verdict::Refuse(refusal) => return refused(*refusal, &parts.method),
        };
        if let Err(cause) = request::apply(&mut parts, &admission) {
            return self.taken_back(cause, &admission, &parts.method).await;
        }
        let lease = Lease::new(
            Arc::clone(&self.gate),
            self.clock.clone(),
            Arc::clone(&admission),
        );
        parts.extensions.insert(lease.clone());
        let method = parts.method.clone();
        let answered = async {
            let Ok(reply) = inner.oneshot(Request::from_parts(parts, body)).await;
            self.narrowed(
                axum::response::IntoResponse::into_response(reply),
                &method,
                &admission,
            )
            .await
        };
        let reply = if self.breaks_off {
            tokio::select! {
                biased;
                cause = lease.ended() => Err(cause),
                reply = answered => reply,
            }
        } else {
            answered.await
        };
        match reply {
            Ok(mut reply) => {
                set(reply.headers_mut(), &admission.response);
                admission.span.answered(reply.status());
                match self.breaks_off {
                    true => reply.map(|body| lease.guard(body)),
                    false => reply,
                }
            }
            Err(cause) => self.taken_back(cause, &admission, &method).await,
        }
    }

    /// The answer to a request that was admitted and is refused after all.
    async fn taken_back(
        &self,
        cause: Cause,
        admission: &Admission,
        method: &Method,
    ) -> Response<Body> {
        let refusal = self.gate.refuse_admitted(cause, admission).await;
        admission.span.answered(refusal.status);
        refused(refusal, method)
    }

    /// The reply, cut down to what the caller may see where it is a list.
    async fn narrowed(
        &self,
        reply: Response<Body>,
        method: &Method,
        admission: &Admission,
    ) -> Result<Response<Body>, Cause> {
        let Some(shape) = &admission.list else {
            return Ok(reply);
        };
        list::narrow(
            reply,
            method,
            shape,
            &admission.list_clusters,
            self.list_bytes_max,
        )
        .await
        .map_err(Cause::UnfilterableList)
    }
}

/// A refusal as an answer to a request of this method: exactly its status, headers and body, the body's length
/// alone for HEAD. Its cause is in the extensions.
pub fn refused(refusal: Refusal, method: &Method) -> Response<Body> {
    if let Cause::BadGateway(why) | Cause::UnfilterableList(why) = &refusal.cause {
        tracing::warn!(
            code = refusal.cause.code(),
            why,
            "the upstream's reply was refused"
        );
    }
    let length = refusal.body.len();
    let body = if *method == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(refusal.body)
    };
    let mut reply = Response::new(Body::from(body));
    *reply.status_mut() = refusal.status;
    *reply.headers_mut() = refusal.headers;
    reply
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    reply.extensions_mut().insert(refusal.cause);
    reply
}

fn set(headers: &mut HeaderMap, fields: &[(HeaderName, HeaderValue)]) {
    for (name, value) in fields {
        headers.insert(name, value.clone());
    }
}
