//! The management API under `/-/api/`: people at work on organizations, users, roles, clusters, keys and agents.
//!
//! The policy decides every request, as it decides those to the product. What a handler does then is bounded by the
//! caller's organization and by what the caller holds: that is [`scopegate_host::admin`]'s. Handlers turn HTTP into
//! its calls and its answers into JSON. Errors are problem documents (RFC 9457), whatever the contract says.

mod agents;
mod audit;
mod caller;
mod clusters;
mod document;
mod error;
mod explain;
mod keys;
mod me;
mod once;
mod organizations;
mod page;
mod policies;
mod policy;
mod preview;
mod roles;
mod sessions;
mod shadow;
mod slip;
mod summary;
mod tokens;
mod users;
mod version;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::ALLOW};
use scopegate_axum::{Clock, GateLayer, GateService, convert, refused};
use scopegate_host::{Admission, Cause, Gate, Policies, Reason};
use tower::{Layer, ServiceExt};
use utoipa_axum::{router::OpenApiRouter, routes};

use error::Failed;

/// Where the API is.
pub(crate) const PREFIX: &str = "/-/api";

/// The management API. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    gated: GateService<Handlers>,
    /// The same for what is asked in this process to answer somebody who has been counted.
    parts: GateService<Handlers>,
    gate: Arc<Gate>,
    clock: Clock,
    paths: Arc<document::Paths>,
    /// The document that was last asked for, and the digest of the policy whose names are in it.
    document: Arc<Mutex<Option<(String, Bytes)>>>,
}

/// What handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct State {
    gate: Arc<Gate>,
    policies: Policies,
    clock: Clock,
}

/// Whether a path is the API's.
pub(crate) fn is_api(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Every endpoint, with what the document says of it.
fn endpoints() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(keys::list, keys::mint))
        .routes(routes!(keys::read, keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(preview::preview))
        .routes(routes!(keys::list_all))
        .routes(routes!(keys::read_any, keys::revoke_any))
        .routes(routes!(agents::list, agents::mint))
        .routes(routes!(agents::read, agents::revoke))
        .routes(routes!(agents::rotate))
        .routes(routes!(clusters::list, clusters::connect))
        .routes(routes!(clusters::delete))
        .routes(routes!(users::list, users::invite))
        .routes(routes!(users::read, users::edit))
        .routes(routes!(users::disable))
        .routes(routes!(users::invite_again))
        .routes(routes!(roles::list))
        .routes(routes!(roles::read, roles::put, roles::delete))
        .routes(routes!(organizations::read_own, organizations::rename_own))
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(organizations::read, organizations::rename))
        .routes(routes!(organizations::import))
        .routes(routes!(policy::read))
        .routes(routes!(explain::explain))
        .routes(routes!(policies::list, policies::push))
        .routes(routes!(policies::activate))
        .routes(routes!(policies::nodes))
        .routes(routes!(shadow::read, shadow::push, shadow::drop))
        .routes(routes!(shadow::promote))
        .routes(routes!(audit::search))
        .routes(routes!(summary::read))
        .routes(routes!(me::read))
        .routes(routes!(me::change_password))
        .routes(routes!(me::begin_factor, me::remove_factor))
        .routes(routes!(me::confirm_factor))
        .routes(routes!(me::make_recovery_codes))
        .routes(routes!(sessions::list, sessions::end_all))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::list_of_user, sessions::end_of_user))
        .routes(routes!(sessions::reset_factor_of_user))
        .routes(routes!(tokens::introspect))
        .routes(routes!(tokens::revoke))
}

impl Api {
    /// The API of this gate.
    pub(crate) fn new(gate: Arc<Gate>, policies: Policies, clock: Clock) -> Self {
        let (router, openapi) = endpoints().split_for_parts();
        let handlers = Handlers {
            router: router.with_state(State {
                gate: Arc::clone(&gate),
                policies,
                clock: clock.clone(),
            }),
            gate: Arc::clone(&gate),
        };
        // A key that revokes itself is told so.
        let layer = GateLayer::new(Arc::clone(&gate), clock.clone()).without_breaking_off();
        Self {
            parts: layer.clone().without_counting().layer(handlers.clone()),
            gated: layer.layer(handlers),
            gate,
            clock,
            paths: Arc::new(document::Paths::of(&openapi)),
            document: Arc::default(),
        }
    }

    /// The OpenAPI document, with the names of the gate's active policy and contract in it. Whoever likes may ask for
    /// it, so it is made once for each policy.
    pub(crate) fn openapi(&self) -> Bytes {
        let policy = self.gate.policy();
        let mut kept = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((digest, document)) = kept.as_ref()
            && digest == policy.digest()
        {
            return document.clone();
        }
        let made = document::render(endpoints().into_openapi(), self.gate.contract(), &policy);
        let document = Bytes::from(made);
        *kept = Some((policy.digest().to_owned(), document.clone()));
        document
    }

    /// Answers a request to it.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.answer_by(&self.gated, request).await
    }

    /// Answers a request that is made in this process to answer another one, which has been counted.
    pub(crate) async fn answer_part(&self, request: Request<Body>) -> Response<Body> {
        self.answer_by(&self.parts, request).await
    }

    async fn answer_by(
        &self,
        gated: &GateService<Handlers>,
        request: Request<Body>,
    ) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = request.into_parts();
        let again = parts.clone();
        let reply = gated.answer(Request::from_parts(parts, body)).await;
        // The policy has no route for a method that an endpoint does not have. Those whom it knows are told more.
        let is_unrouted = reply
            .extensions()
            .get::<Cause>()
            .is_some_and(|cause| *cause == Cause::Denied(Reason::NoRoute));
        match self.paths.methods(&path) {
            Some(allowed) if is_unrouted && !allowed.contains(&method) => {
                let question = convert(&again, self.clock.now_ms());
                let refusal = self.gate.refuse(Cause::MethodNotAllowed, &question).await;
                let mut refusal = refused(refusal, &method);
                let names: Vec<&str> = allowed.iter().map(http::Method::as_str).collect();
                if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
                    refusal.headers_mut().insert(ALLOW, names);
                }
                refusal
            }
            _ => reply,
        }
    }
}

/// Routes what the gate admitted, and words what failed.
#[derive(Clone, Debug)]
struct Handlers {
    router: Router,
    gate: Arc<Gate>,
}

impl tower::Service<Request<Body>> for Handlers {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { router, gate } = self.clone();
        Box::pin(async move { Ok(handle(router, &gate, request).await) })
    }
}

async fn handle(router: Router, gate: &Gate, request: Request<Body>) -> Response<Body> {
    let method = request.method().clone();
    let admission = request.extensions().get::<Arc<Admission>>().cloned();
    let Ok(mut reply) = router.oneshot(request).await;
    let cause = match reply.extensions_mut().remove::<Failed>() {
        Some(Failed(cause)) => cause,
        // A route of the policy's that no handler has, or a method.
        None if reply.status() == http::StatusCode::NOT_FOUND => Cause::Denied(Reason::NoRoute),
        None if reply.status() == http::StatusCode::METHOD_NOT_ALLOWED => Cause::MethodNotAllowed,
        None => return reply,
    };
    match admission {
        Some(admission) => {
            let mut refusal = refused(gate.refuse_admitted(cause, &admission).await, &method);
            if let Some(allow) = reply.headers().get(ALLOW) {
                refusal.headers_mut().insert(ALLOW, allow.clone());
            }
            refusal
        }
        // The gate puts an admission into every request that it lets through.
        None => Failed(cause).into_response(),
    }
}
