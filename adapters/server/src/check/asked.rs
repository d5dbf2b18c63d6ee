//! The request that a proxy asks about, as its dialect carries it.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION},
    request::Parts,
};
use scopegate_host::{Cause, Request, headers};

use super::{Dialect, PATH};

/// The names by which a dialect says what the client asked for. `X-Forwarded-For` is none of them: it goes with the
/// request in every dialect.
struct Names {
    method: HeaderName,
    target: HeaderName,
    host: HeaderName,
}

const ORIGINAL: Names = Names {
    method: HeaderName::from_static("x-original-method"),
    target: HeaderName::from_static("x-original-uri"),
    host: HeaderName::from_static("x-original-host"),
};
const FORWARDED: Names = Names {
    method: HeaderName::from_static("x-forwarded-method"),
    target: HeaderName::from_static("x-forwarded-uri"),
    host: HeaderName::from_static("x-forwarded-host"),
};

/// A client's request, whose body stays with the proxy.
pub(super) struct Asked {
    method: String,
    path: String,
    query: String,
    authority: Option<String>,
    /// The client's own.
    pub(super) headers: HeaderMap,
}

impl Asked {
    /// Reads what was asked about. The headers of other dialects are the client's own, and say nothing.
    ///
    /// # Errors
    /// When a header of the dialect is missing, there twice, or no text.
    pub(super) fn read(dialect: Dialect, parts: &Parts) -> Result<Self, Cause> {
        check_connection(&parts.headers)?;
        let mut headers = parts.headers.clone();
        let ending = headers::HOP_BY_HOP.into_iter().chain([CONTENT_LENGTH]);
        // Of `Proxy-Authorization` the gate tells that it is to be taken off.
        for name in ending.filter(|name| name != PROXY_AUTHORIZATION) {
            headers.remove(name);
        }
        match dialect {
            Dialect::Nginx => Self::told(&ORIGINAL, headers),
            Dialect::Traefik | Dialect::Caddy => Self::told(&FORWARDED, headers),
            Dialect::Envoy => Self::itself(parts, headers),
        }
    }

    /// Of a dialect that tells of the request in headers.
    fn told(names: &Names, mut headers: HeaderMap) -> Result<Self, Cause> {
        let method = required(&mut headers, &names.method)?;
        let target = required(&mut headers, &names.target)?;
        if let Some(host) = only(&mut headers, &names.host)? {
            headers.insert(HOST, host);
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Ok(Self {
            path: path.to_owned(),
            query: query.to_owned(),
            method,
            authority: None,
            headers,
        })
    }

    /// Of a dialect that asks by the request itself.
    fn itself(parts: &Parts, headers: HeaderMap) -> Result<Self, Cause> {
        let path = parts.uri.path().strip_prefix(PATH);
        let path = path.filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| invalid("the path behind `/-/check` is missing"))?;
        check_cookies(&headers)?;
        Ok(Self {
            method: parts.method.as_str().to_owned(),
            path: path.to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            authority: parts.uri.authority().map(ToString::to_string),
            headers,
        })
    }

    /// As the gate is asked.
    pub(super) fn question(&self, peer: IpAddr, now_ms: i64) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            authority: self.authority.as_deref(),
            headers: &self.headers,
            peer,
            now_ms,
        }
    }
}

/// A proxy that passes the client's `Connection` on may drop, on its way to the upstream, headers that were judged here;
/// or keep what was not.
fn check_connection(headers: &HeaderMap) -> Result<(), Cause> {
    let is_harmless = |name: &HeaderName| name == "close" || headers::HOP_BY_HOP.contains(name);
    match headers::connection_named(headers).all(|name| is_harmless(&name)) {
        true => Ok(()),
        false => Err(invalid("`Connection` names a header of the request")),
    }
}

/// Envoy puts the lines of a repeated header into one, between commas: to whoever reads cookies, the gate's own would be a
/// part of another one's value, and go on with it.
fn check_cookies(headers: &HeaderMap) -> Result<(), Cause> {
    let is_hidden = |value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let mut pieces = value.split(',').skip(1).map(str::trim_start);
        pieces.any(|piece| {
            ["", "__host-", "__secure-"]
                .iter()
                .any(|prefix| piece.starts_with(&format!("{prefix}scopegate")))
        })
    };
    match headers.get_all(COOKIE).iter().any(is_hidden) {
        true => Err(invalid("`Cookie` is there more than once")),
        false => Ok(()),
    }
}

fn required(headers: &mut HeaderMap, name: &HeaderName) -> Result<String, Cause> {
    let value = only(headers, name)?;
    let value = value.ok_or_else(|| invalid(format!("`{name}` is missing")))?;
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(invalid(format!("`{name}` is not UTF-8"))),
    }
}

/// Takes the one value of a header: the proxy sets it, and whoever sends another one meddles.
fn only(headers: &mut HeaderMap, name: &HeaderName) -> Result<Option<HeaderValue>, Cause> {
    if headers.get_all(name).iter().nth(1).is_some() {
        return Err(invalid(format!("`{name}` is there more than once")));
    }
    Ok(headers.remove(name))
}

fn invalid(text: impl Into<String>) -> Cause {
    Cause::InvalidRequest(text.into())
}
