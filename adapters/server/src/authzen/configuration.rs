//! `/.well-known/authzen-configuration`: where the endpoints are, as their client sees them.

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, header::HOST, uri::Authority};
use scopegate_axum::{Clock, convert, refused};
use scopegate_host::{Cause, Gate};
use serde_json::json;

use super::{json, not_allowed, read::invalid};

pub(super) const PATH: &str = "/.well-known/authzen-configuration";

/// Answers whoever asks: there is nothing in it but the name that they asked for.
pub(super) async fn answer(gate: &Gate, clock: &Clock, request: Request<Body>) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let question = convert(&parts, clock.now_ms());
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return not_allowed(gate, &question, &parts.method, "GET, HEAD").await;
    }
    let is_proxied = gate.trusts(question.peer);
    let Some(base) = base(&parts.headers, question.authority, is_proxied) else {
        let cause: Cause = invalid("the request names no host");
        return refused(gate.refuse(cause, &question).await, &parts.method);
    };
    let endpoint = |path: &str| format!("{base}/access/v1/{path}");
    let mut reply = json(&json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": endpoint("evaluation"),
        "access_evaluations_endpoint": endpoint("evaluations"),
        "search_subject_endpoint": endpoint("search/subject"),
        "search_resource_endpoint": endpoint("search/resource"),
        "search_action_endpoint": endpoint("search/action"),
    }));
    reply.headers_mut().extend(gate.own_headers(&question));
    if parts.method == Method::HEAD {
        *reply.body_mut() = Body::empty();
    }
    reply
}

/// Scheme and host under which the client asked. A client compares them with its own, so they are what it sent; what a
/// proxy says of them counts if the proxy is trusted.
fn base(headers: &HeaderMap, authority: Option<&str>, is_proxied: bool) -> Option<String> {
    let forwarded = |name: &str| {
        let mut values = headers.get_all(name).iter().filter(|_| is_proxied);
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    };
    let host = forwarded("x-forwarded-host")
        .or(authority)
        .or_else(|| headers.get(HOST)?.to_str().ok())?;
    let host: Authority = host.parse().ok()?;
    let is_plain = !host.as_str().contains('@');
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    is_plain.then(|| format!("{scheme}://{host}"))
}
