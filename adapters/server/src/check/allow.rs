//! The one answer that lets a request through: what the upstream is to read of the caller, in the reply's headers.

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, COOKIE},
};
use scopegate_host::{Admission, Cause};

use super::Dialect;

/// The target that was judged.
const TARGET: HeaderName = HeaderName::from_static("x-scopegate-uri");
/// What Envoy takes off the request.
const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// Where the client's cookies were all the gate's. Some proxies take a header that the reply lacks, or that is empty, for
/// one to leave alone.
const NO_COOKIES: HeaderValue = HeaderValue::from_static("-");

/// The answer: 200, no body, every identity header.
///
/// # Errors
/// When the judged target is no header.
pub(super) fn reply(
    dialect: Dialect,
    admission: &Admission,
    asked: &HeaderMap,
) -> Result<Response<Body>, Cause> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::OK;
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in admission.response.iter().chain(&admission.identity) {
        headers.insert(name, value.clone());
    }
    if let Some(cookies) = cookies(dialect, admission, asked) {
        headers.insert(COOKIE, cookies);
    }
    match dialect {
        Dialect::Nginx => {
            headers.insert(TARGET, target(admission)?);
        }
        Dialect::Envoy => {
            if let Some(names) = to_remove(admission)? {
                headers.insert(REMOVE, names);
            }
        }
        Dialect::Traefik | Dialect::Caddy => {}
    }
    Ok(reply)
}

/// The client's cookies without the gate's own. Sent whenever the client sent some: a proxy that copies the header
/// from the reply has no others. Envoy has, and asks with all lines of a repeated header in one.
fn cookies(dialect: Dialect, admission: &Admission, asked: &HeaderMap) -> Option<HeaderValue> {
    if admission.identity.iter().any(|(name, _)| name == COOKIE) {
        return None;
    }
    if admission.remove.contains(&COOKIE) {
        return Some(NO_COOKIES);
    }
    if dialect == Dialect::Envoy {
        return None;
    }
    let mut values = asked.get_all(COOKIE).iter();
    let first = values.next()?.clone();
    let rest: Vec<_> = values.collect();
    if rest.is_empty() {
        return Some(first);
    }
    let mut all = first.as_bytes().to_vec();
    for value in rest {
        all.extend_from_slice(b"; ");
        all.extend_from_slice(value.as_bytes());
    }
    Some(HeaderValue::from_bytes(&all).unwrap_or(NO_COOKIES))
}

fn target(admission: &Admission) -> Result<HeaderValue, Cause> {
    let target = match admission.query.is_empty() {
        true => admission.path.clone(),
        false => format!("{}?{}", admission.path, admission.query),
    };
    HeaderValue::from_bytes(target.as_bytes())
        .map_err(|_| Cause::InvalidRequest("the request target is no header".into()))
}

/// Credentials and reserved names. What the reply sets replaces the client's own, and taking that off as well would take
/// off the gate's.
fn to_remove(admission: &Admission) -> Result<Option<HeaderValue>, Cause> {
    let is_set =
        |name: &HeaderName| name == COOKIE || admission.identity.iter().any(|(set, _)| set == name);
    let names: Vec<&str> = admission
        .remove
        .iter()
        .filter(|name| !is_set(name))
        .map(HeaderName::as_str)
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    HeaderValue::try_from(names.join(","))
        .map(Some)
        .map_err(|_| Cause::InvalidRequest("a header's name is no text".into()))
}
