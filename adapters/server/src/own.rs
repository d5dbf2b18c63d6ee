//! The gate's own endpoints under `/-/`: health and the public halves of its keys for whoever asks; log-in, metrics and
//! the management API where the management pages are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use metrics_exporter_prometheus::PrometheusHandle;
use scopegate_axum::{Clock, refused};
use scopegate_host::{Cause, Gate, Policies, Reason, gate::FilterSecret, scanning::Partners};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use scopegate_axum::convert;

use crate::api::{self, Api};
use crate::authzen;
use crate::dashboard::{self, Dashboard, Reached};
use crate::front::Product;
use crate::login::{self, Endpoint};
use crate::{filter, scanning};

/// The gate's own endpoints.
pub(crate) struct Own {
    gate: Arc<Gate>,
    clock: Clock,
    api: Api,
    dashboard: Dashboard,
    around: Surroundings,
    /// Whether the store answered, and when it was asked.
    store_seen: Mutex<Option<(Instant, bool)>>,
}

/// What the endpoints have around them.
pub(crate) struct Surroundings {
    /// Renders the metrics.
    pub(crate) metrics: PrometheusHandle,
    /// Whether the public listener has the management pages too.
    pub(crate) shared: bool,
    /// Not ready once this is cancelled.
    pub(crate) stopping: CancellationToken,
    /// The API that new keys are tried on.
    pub(crate) product: Product,
    /// Where clients reach it.
    pub(crate) public_url: Option<http::Uri>,
    /// Programs of others.
    pub(crate) outsiders: Outsiders,
}

/// Programs of others that have endpoints of their own.
pub(crate) struct Outsiders {
    /// Secret scanners whose reports are believed.
    pub(crate) partners: Option<Partners>,
    /// What filters inside Envoy show.
    pub(crate) filters: Option<FilterSecret>,
}

/// What `/-/ready` says.
#[derive(Serialize)]
struct Checks {
    status: &'static str,
    store: bool,
    stopping: bool,
    /// Nobody has said for long which policy is active.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outdated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// Where the public halves of the signing keys are.
const JWKS_PATH: &str = "/-/jwks.json";
/// How long the store's last answer counts.
const STORE_SEEN_FOR: Duration = Duration::from_secs(1);

impl Own {
    /// The endpoints of this gate.
    pub(crate) fn new(
        gate: Arc<Gate>,
        policies: Policies,
        clock: Clock,
        around: Surroundings,
    ) -> Self {
        let api = Api::new(Arc::clone(&gate), policies, clock.clone());
        let reached = Reached {
            public_url: around.public_url.clone(),
            shared: around.shared,
        };
        let product = around.product.clone();
        Self {
            dashboard: Dashboard::new(
                Arc::clone(&gate),
                clock.clone(),
                api.clone(),
                product,
                reached,
            ),
            api,
            gate,
            clock,
            around,
            store_seen: Mutex::new(None),
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Answers on the public listener: health, and the rest only where the listeners are shared.
    pub(crate) async fn answer_public(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        if self.around.shared
            || matches!(path, "/-/healthy" | "/-/ready" | JWKS_PATH | scanning::PATH)
            || filter::is_filter(path)
        {
            self.answer_to(request, self.around.shared).await
        } else {
            self.refuse(Cause::Denied(Reason::NoRoute), request).await
        }
    }

    /// Whether the public listener has this path of the AuthZEN API: where it is shared, and nowhere else.
    pub(crate) fn shares(&self, path: &str) -> bool {
        self.around.shared && authzen::Endpoint::at(path).is_some()
    }

    /// Answers on the management listener.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.answer_to(request, true).await
    }

    async fn answer_to(&self, request: Request<Body>, is_operator: bool) -> Response<Body> {
        if api::is_api(request.uri().path()) {
            return self.api.answer(request).await;
        }
        if dashboard::is_page(request.uri().path()) {
            return self.dashboard.answer(request).await;
        }
        if let Some(endpoint) = authzen::Endpoint::at(request.uri().path()) {
            return authzen::answer(endpoint, &self.gate, &self.clock, request).await;
        }
        if let Some(endpoint) = Endpoint::own_at(request.uri().path()) {
            return login::answer(endpoint, &self.gate, &self.clock, request).await;
        }
        if request.uri().path() == scanning::PATH {
            let partners = self.around.outsiders.partners.as_ref();
            return scanning::answer(partners, &self.gate, &self.clock, request).await;
        }
        if filter::is_filter(request.uri().path())
            && let Some(secret) = &self.around.outsiders.filters
        {
            return filter::answer(secret, &self.gate, &self.clock, request).await;
        }
        let known = matches!(
            request.uri().path(),
            "/-/healthy" | "/-/ready" | "/-/metrics" | "/-/openapi.json" | JWKS_PATH
        );
        if !known {
            return self.refuse(Cause::Denied(Reason::NoRoute), request).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply = self.refuse(Cause::MethodNotAllowed, request).await;
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        let (parts, _) = request.into_parts();
        let mut reply = match parts.uri.path() {
            "/-/healthy" => reply(StatusCode::OK, "application/json", r#"{"status":"ok"}"#),
            "/-/ready" => self.ready(is_operator).await,
            "/-/openapi.json" => reply(StatusCode::OK, "application/json", self.api.openapi()),
            JWKS_PATH => self.jwks(),
            _ => reply(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                self.around.metrics.render(),
            ),
        };
        let question = convert(&parts, self.clock.now_ms());
        reply.headers_mut().extend(self.gate.own_headers(&question));
        reply
    }

    /// The public halves of the keys that sign sessions (RFC 7517).
    fn jwks(&self) -> Response<Body> {
        let set = self.gate.keys().current().jwks(self.clock.now_ms());
        let mut reply = reply(StatusCode::OK, "application/json", set.to_string());
        reply
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
        reply
    }

    /// Which policy is active is for operators alone.
    async fn ready(&self, is_operator: bool) -> Response<Body> {
        let stopping = self.around.stopping.is_cancelled();
        let store = self.is_store_there().await;
        let outdated = self.gate.is_outdated();
        // Gates that share a Redis go on with those whom they know when the store is away.
        let is_useful = store || self.gate.confirms_without_store();
        let is_ready = is_useful && !stopping && !outdated;
        let checks = Checks {
            status: if is_ready { "ready" } else { "not ready" },
            store,
            stopping,
            outdated,
            policy: is_operator.then(|| self.gate.policy().digest().to_owned()),
        };
        let checks = serde_json::to_string(&checks).unwrap_or_default();
        let status = if is_ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let mut reply = reply(status, "application/json", checks);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            reply
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        reply
    }

    /// Whether the store answers. Asked once a second at most: whoever likes may call this, and callers' credentials
    /// are looked up over the same connections.
    async fn is_store_there(&self) -> bool {
        let mut last = self.store_seen.lock().await;
        if let Some((at, is_there)) = *last
            && at.elapsed() < STORE_SEEN_FOR
        {
            return is_there;
        }
        let is_there = self.gate.directory().store().ping().await.is_ok();
        *last = Some((Instant::now(), is_there));
        is_there
    }

    async fn refuse(&self, cause: Cause, request: Request<Body>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let question = convert(&parts, self.clock.now_ms());
        let refusal = self.gate.refuse(cause, &question).await;
        refused(refusal, &parts.method)
    }
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own")
            .field("shared", &self.around.shared)
            .finish_non_exhaustive()
    }
}
