//! The request on its way in: what ends at this hop is taken off, the gate is asked about the rest, and what it
//! admits is written for the upstream.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::extract::{ConnectInfo, MatchedPath};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        ACCEPT_ENCODING, CONNECTION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        IF_UNMODIFIED_SINCE, RANGE, UPGRADE,
    },
    request::Parts,
    uri::PathAndQuery,
};
use scopegate_host::{Admission, Cause, Request, headers};

/// What the gate needs to know of a request.
///
/// The connection's other end comes from [`ConnectInfo`]; where the application is served without it (a Unix
/// socket), every client is one: 0.0.0.0.
pub fn convert(parts: &Parts, now_ms: i64) -> Request<'_> {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| {
            address.ip()
        });
    Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        headers: &parts.headers,
        peer,
        now_ms,
    }
}

/// Takes off what the client's `Connection` header names, before anybody reads it: a header that the policy
/// judged must not vanish before the upstream reads it.
///
/// `Connection` itself stays only as `upgrade`. `X-Forwarded-For` stays, for the client's address is read from it.
pub(crate) fn end_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers::connection_named(headers).collect();
    headers.remove(CONNECTION);
    for name in named {
        if name == UPGRADE && headers.contains_key(UPGRADE) {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        } else if name != "x-forwarded-for" {
            headers.remove(name);
        }
    }
    if !headers.contains_key(CONNECTION) {
        headers.remove(UPGRADE);
    }
}

/// Writes an admitted request for whoever answers it: the normalised target, no credential, the identity headers,
/// and of a list's request nothing that asks for less than the whole list as plain text.
///
/// # Errors
/// When the admitted target is no URI; or when the application has routed the raw path already and that differs
/// from the one that was judged.
pub(crate) fn apply(parts: &mut Parts, admission: &Arc<Admission>) -> Result<(), Cause> {
    if parts.uri.path() != admission.path {
        if parts.extensions.get::<MatchedPath>().is_some() {
            return Err(Cause::InvalidRequest(
                "the path is not in its normal form".into(),
            ));
        }
        parts.uri = with_target(&parts.uri, admission)?;
    } else if parts.uri.query().unwrap_or_default() != admission.query {
        parts.uri = with_target(&parts.uri, admission)?;
    }
    for name in &admission.remove {
        parts.headers.remove(name);
    }
    if admission.list.is_some() {
        // A list is read here: whole, and as it is.
        for name in [
            ACCEPT_ENCODING,
            RANGE,
            IF_RANGE,
            IF_MATCH,
            IF_NONE_MATCH,
            IF_MODIFIED_SINCE,
            IF_UNMODIFIED_SINCE,
            CONNECTION,
            UPGRADE,
        ] {
            parts.headers.remove(name);
        }
    }
    for (name, value) in &admission.identity {
        parts.headers.insert(name, value.clone());
    }
    if let Some(principal) = &admission.principal {
        parts.extensions.insert(Arc::clone(principal));
    }
    parts.extensions.insert(Arc::clone(admission));
    Ok(())
}

fn with_target(uri: &Uri, admission: &Admission) -> Result<Uri, Cause> {
    let target = if admission.query.is_empty() {
        PathAndQuery::try_from(admission.path.as_str())
    } else {
        PathAndQuery::try_from(format!("{}?{}", admission.path, admission.query))
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.map_err(|_| not_a_target())?);
    Uri::from_parts(parts).map_err(|_| not_a_target())
}

fn not_a_target() -> Cause {
    Cause::InvalidRequest("the request target is not a URI".into())
}

#[cfg(test)]
mod tests;
