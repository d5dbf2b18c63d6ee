//! Header names that the gate owns, and the shape that a request's method, host and headers must have.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Cause, Request};

/// Most header lines in a request.
pub const HEADERS_MAX: usize = 128;
/// Most bytes of header names and values in a request.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Longest value of a header that a policy reads, in bytes.
pub const DECLARED_BYTES_MAX: usize = 1024;

/// Who acts.
pub const SUBJECT: HeaderName = HeaderName::from_static("x-scopegate-subject");
/// Whose data it is about.
pub const ORGANIZATION: HeaderName = HeaderName::from_static("x-scopegate-organization");
/// The credential's id.
pub const CREDENTIAL: HeaderName = HeaderName::from_static("x-scopegate-credential");
/// The caller's roles.
pub const ROLES: HeaderName = HeaderName::from_static("x-scopegate-roles");
/// What the credential carries.
pub const SCOPES: HeaderName = HeaderName::from_static("x-scopegate-scopes");
/// The clusters that are visible in this request: `*`, a comma list, or `!none`.
pub const CLUSTERS: HeaderName = HeaderName::from_static("x-scopegate-clusters");
/// The request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The key header of contracts that have one.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Headers that belong to one connection (RFC 9110, section 7.6.1, and what practice added).
pub const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that carry credentials.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    X_API_KEY,
];

/// Headers that say where a message goes and how long it is.
const FRAMING: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::FORWARDED,
    header::VIA,
];

/// Whether a header of this name carries a credential, in any spelling.
pub fn is_credential(name: &HeaderName) -> bool {
    let spells = |known: &HeaderName| name == known || is_misspelling(name, known);
    CREDENTIALS.iter().any(spells)
}

/// Whether no policy may read a header of this name. The gate writes what it judged by: never over its own words, and
/// never into what frames a message.
pub fn is_withheld(name: &HeaderName) -> bool {
    is_credential(name)
        || is_reserved(name)
        || HOP_BY_HOP.contains(name)
        || FRAMING.contains(name)
        || name.as_str().starts_with("x-forwarded-")
}

/// Whether a client may not send a header of this name to the upstream, in any spelling: identity headers, method
/// and path overrides, credentials in a spelling that the gate does not read (`X_Api_Key`). What the gate reads
/// credentials from is not among them: whether those are forwarded is configured.
pub fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // Nearly every header is ruled out by its first letter.
    if !matches!(name.first(), Some(b'x' | b'p')) {
        return false;
    }
    const EXACT: [&[u8]; 5] = [
        b"x-request-id",
        b"x-http-method-override",
        b"x-original-url",
        b"x-rewrite-url",
        b"proxy-authorization",
    ];
    let prefix = b"x-scopegate-";
    name.get(..prefix.len())
        .is_some_and(|start| same(start, prefix))
        || EXACT.iter().any(|known| same(name, known))
        || METHOD_OVERRIDES.iter().any(|known| same(name, known))
        || (name != X_API_KEY.as_str().as_bytes() && same(name, X_API_KEY.as_str().as_bytes()))
}

/// The names that frameworks besides the common one read.
const METHOD_OVERRIDES: [&[u8]; 2] = [b"x-http-method", b"x-method-override"];

/// Whether two names are one to a reader that ignores case and takes `_` for `-`.
fn same(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: &u8| {
        if *byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    name.len() == known.len() && name.iter().map(fold).eq(known.iter().map(fold))
}

/// Whether a header of this name is another spelling of `known`: equal when `_` counts as `-`, but not equal.
pub fn is_misspelling(name: &HeaderName, known: &HeaderName) -> bool {
    name != known && same(name.as_str().as_bytes(), known.as_str().as_bytes())
}

/// The names that the `Connection` headers list: they end at this hop, whatever they are.
pub fn connection_named(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> + '_ {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
}

/// What must not reach the upstream from these headers, hop-by-hop headers aside: reserved names as they are
/// spelled here, and what `Connection` names.
pub fn to_remove(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_reserved(name))
        .cloned()
        .collect();
    names.extend(connection_named(headers).filter(|name| !HOP_BY_HOP.contains(name)));
    names
}

/// Checks method, host and headers of a request as it came.
///
/// # Errors
/// [`Cause::InvalidRequest`] with the place.
pub fn check_shape(request: &Request<'_>) -> Result<(), Cause> {
    check_method(request.method)?;
    check_host(request)?;
    let headers = request.headers;
    if headers.len() > HEADERS_MAX {
        return Err(invalid(format!("more than {HEADERS_MAX} headers")));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(invalid(format!(
            "more than {HEADER_BYTES_MAX} bytes of headers"
        )));
    }
    Ok(())
}

fn invalid(text: impl Into<String>) -> Cause {
    Cause::InvalidRequest(text.into())
}

/// Methods are case-sensitive tokens (RFC 9110, section 9.1); one in lower case is read as two different ones by
/// two readers.
fn check_method(method: &str) -> Result<(), Cause> {
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(invalid(format!("the method `{method}` is not served")));
    }
    let plain = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if method.is_empty() || method.len() > 32 || !method.bytes().all(plain) {
        return Err(invalid("the method is not a plain upper-case word"));
    }
    Ok(())
}

/// One host at most, and the one that the request target names, if it names one.
fn check_host(request: &Request<'_>) -> Result<(), Cause> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(invalid("more than one Host header"));
    }
    let Some(host) = host else { return Ok(()) };
    let plain = |byte: &u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'@' | b'/' | b'\\' | b'?' | b'#' | b',')
    };
    if !host.as_bytes().iter().all(plain) {
        return Err(invalid("the Host header is not a host"));
    }
    match request.authority {
        Some(authority) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => Err(
            invalid("the Host header differs from the authority of the request"),
        ),
        _ => Ok(()),
    }
}

/// Reads from the headers those that a policy declares, in the order of `declared`.
///
/// # Errors
/// [`Cause::InvalidRequest`] when one is there twice, is too long, or is not visible ASCII.
pub fn declared_headers(
    headers: &HeaderMap,
    declared: &[HeaderName],
) -> Result<Vec<(String, String)>, Cause> {
    let mut found = Vec::new();
    for name in declared {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(invalid(format!(
                "the header `{name}` is there more than once"
            )));
        }
        let text = readable(value).ok_or_else(|| {
            invalid(format!(
                "the header `{name}` is too long or has unusual characters"
            ))
        })?;
        found.push((name.as_str().to_owned(), text.to_owned()));
    }
    Ok(found)
}

fn readable(value: &HeaderValue) -> Option<&str> {
    value
        .to_str()
        .ok()
        .filter(|text| text.len() <= DECLARED_BYTES_MAX)
        .map(str::trim)
}

#[cfg(test)]
mod tests;
