//! What answers a request on the public listener: the gate's own endpoints, or the upstream behind the gate.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Request, Response};
use scopegate_axum::{Answering, Clock, GateLayer, GateService, refused};
use scopegate_host::{Admission, Cause, Gate, Reason, path};
use tower::{Layer, Service};

use crate::{
    check::Check,
    login::{self, Endpoint},
    own::Own,
    proxy::Proxy,
};

/// The public side of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    own: Arc<Own>,
    check: Option<Check>,
    product: Product,
}

/// The product's API: the upstream behind the gate. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Product(GateService<Forward>);

impl Product {
    /// Lists of more than `list_bytes_max` are 502.
    pub(crate) fn new(gate: Arc<Gate>, clock: Clock, proxy: Proxy, list_bytes_max: usize) -> Self {
        let layer = GateLayer::new(Arc::clone(&gate), clock).with_list_bytes_max(list_bytes_max);
        Self(layer.layer(Forward { gate, proxy }))
    }

    /// Answers one request to it.
    pub(crate) fn answer(&self, request: Request<Body>) -> Answering {
        self.0.answer(request)
    }
}

impl Front {
    /// The gate's endpoints, and the product's API.
    pub(crate) fn new(own: Arc<Own>, product: Product) -> Self {
        Self {
            own,
            check: None,
            product,
        }
    }

    /// With an answer for a proxy that asks.
    pub(crate) fn with_check(mut self, check: Option<Check>) -> Self {
        self.check = check;
        self
    }

    /// Answers one request.
    pub(crate) fn answer(&self, request: Request<Body>) -> Answering {
        if let Some(check) = self.check.as_ref().filter(|check| check.is_asked(&request)) {
            let check = check.clone();
            return Box::pin(async move { check.answer(request).await });
        }
        let asked = request.uri().path();
        if let Some(endpoint) = Endpoint::at(asked, self.own.gate().contract()) {
            let own = Arc::clone(&self.own);
            return Box::pin(async move {
                login::answer(endpoint, own.gate(), own.clock(), request).await
            });
        }
        if path::is_own(asked) || self.own.shares(asked) {
            let own = Arc::clone(&self.own);
            return Box::pin(async move { own.answer_public(request).await });
        }
        self.product.answer(request)
    }
}

/// Sends on what the gate admitted.
#[derive(Clone, Debug)]
struct Forward {
    gate: Arc<Gate>,
    proxy: Proxy,
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { gate, proxy } = self.clone();
        Box::pin(async move { Ok(forward(&gate, &proxy, request).await) })
    }
}

async fn forward(gate: &Gate, proxy: &Proxy, request: Request<Body>) -> Response<Body> {
    let method = request.method().clone();
    let admission = request.extensions().get::<Arc<Admission>>().cloned();
    // `/%2D/healthy` is `/-/healthy` by now. Whatever the policy says of it, it is not the upstream's.
    let is_own = path::is_own(request.uri().path())
        || Endpoint::at(request.uri().path(), gate.contract()).is_some();
    let reply = if is_own {
        Err(Cause::Denied(Reason::NoRoute))
    } else {
        proxy.forward(request).await
    };
    if let Err(cause) = &reply {
        metrics::counter!("scopegate_proxy_refusals_total", "reason" => cause.code().to_owned())
            .increment(1);
    }
    match (reply, admission) {
        (Ok(reply), _) => reply,
        (Err(cause), Some(admission)) => {
            refused(gate.refuse_admitted(cause, &admission).await, &method)
        }
        // The gate puts an admission into every request that it lets through.
        (Err(cause), None) => {
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = cause.status();
            reply
        }
    }
}
