//! `ETag` and `If-Match` (RFC 9110, section 13): what two people may edit says which version it is, and a change says
//! which version it changes.

use axum::extract::FromRequestParts;
use http::{
    HeaderName, HeaderValue,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};
use scopegate_host::{Cause, store::Expected};

use super::{State, error::Failed};

/// What nothing has: epochs count up from 0.
const NO_EPOCH: i64 = -1;

/// The `ETag` of a version.
pub(super) fn etag(epoch: i64) -> [(HeaderName, HeaderValue); 1] {
    let value = HeaderValue::from_str(&format!("\"{epoch}\""));
    [(ETAG, value.unwrap_or(HeaderValue::from_static("\"\"")))]
}

/// The version that a request changes, which it must say.
pub(super) struct Changes(pub(super) Expected);

impl FromRequestParts<State> for Changes {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Failed> {
        match if_match(parts)? {
            Some(expected) => Ok(Self(expected)),
            None => Err(Failed(Cause::PreconditionRequired)),
        }
    }
}

/// The version that a request changes, or nothing for what it makes anew: `If-Match`, or `If-None-Match: *`.
pub(super) struct ChangesOrMakes(pub(super) Expected);

impl FromRequestParts<State> for ChangesOrMakes {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Failed> {
        if let Some(expected) = if_match(parts)? {
            return Ok(Self(expected));
        }
        match parts.headers.get(IF_NONE_MATCH).map(HeaderValue::as_bytes) {
            None | Some(b"") => Err(Failed(Cause::PreconditionRequired)),
            Some(b"*") => Ok(Self(Expected::Nothing)),
            Some(_) => Err(Failed::invalid("`If-None-Match` can only be `*` here")),
        }
    }
}

fn if_match(parts: &Parts) -> Result<Option<Expected>, Failed> {
    let mut values = parts.headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let Some(text) = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|_| values.next().is_none())
    else {
        return Err(Failed::invalid("`If-Match` is one `ETag`"));
    };
    // An empty one says nothing.
    if text.is_empty() {
        return Ok(None);
    }
    if text == "*" {
        return Ok(Some(Expected::Something));
    }
    // Tags are opaque: one that the gate has never given matches nothing, and is well-formed all the same.
    let is_tag = |tag: &&str| tag.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    let tag = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(is_tag)
        .ok_or_else(|| Failed::invalid("`If-Match` is one `ETag`, in quotes"))?;
    Ok(Some(Expected::Epoch(tag.parse().unwrap_or(NO_EPOCH))))
}
