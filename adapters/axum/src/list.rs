//! Narrowing a list reply to the clusters that the caller may see.
//!
//! The reply is read whole, within a bound, and checked strictly; each item that names an allowed cluster is kept,
//! of the members beside the items only the declared ones. A reply of which that cannot be said with certainty is
//! an error and never passes. What a header could say about the unfiltered list (its length, its digest, its
//! validators, totals of the upstream's own invention) does not pass either: header fields are allow-listed.

use std::collections::HashSet;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, EXPIRES, LOCATION, REFERRER_POLICY,
        RETRY_AFTER, SERVER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VARY, VIA, WARNING,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use scopegate_host::ListShape;
use serde_json::value::RawValue;

use crate::json;

/// The largest list that is read, in bytes, unless the layer says otherwise.
pub const LIST_BYTES_MAX: usize = 8 << 20;

/// Larger lists are narrowed off the async threads: a megabyte takes milliseconds.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// What a list's reply may say in its header. `Access-Control-*` passes as well.
const PASSING: [HeaderName; 19] = [
    AGE,
    CACHE_CONTROL,
    CONTENT_LANGUAGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    DATE,
    EXPIRES,
    LOCATION,
    REFERRER_POLICY,
    RETRY_AFTER,
    SERVER,
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    VARY,
    VIA,
    WARNING,
    WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
];

/// Cuts a reply down to the items of `clusters`.
///
/// - 2xx: filtered, or an error. 206 is an error, for a part cannot be judged; so is anything but plain JSON.
/// - 1xx: an error; a list has no business switching protocols.
/// - 3xx and 204, 205: pass without their bodies.
/// - 4xx and 5xx: pass; they are the upstream's errors, not its lists.
///
/// # Errors
/// Why the reply cannot be narrowed, for the log.
pub async fn narrow(
    reply: Response<Body>,
    method: &Method,
    shape: &ListShape,
    clusters: &[String],
    bytes_max: usize,
) -> Result<Response<Body>, String> {
    let status = reply.status();
    if status.is_client_error() || status.is_server_error() {
        return Ok(reply);
    }
    if status.is_informational() || status == StatusCode::PARTIAL_CONTENT {
        return Err(format!("the reply is a {}", status.as_u16()));
    }
    let (mut parts, body) = reply.into_parts();
    let has_list = status.is_success()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::RESET_CONTENT
        && *method != Method::HEAD;
    if has_list {
        readable(&parts.headers)?;
    }
    parts.headers = passing(&parts.headers);
    // Two callers get two lists at one address: none is for a cache to share.
    if status.is_success() {
        parts
            .headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !has_list {
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let text = read(body, bytes_max).await?;
    let narrowed = if text.len() <= INLINE_BYTES_MAX {
        narrow_bytes(&text, shape, clusters)?
    } else {
        let (shape, clusters) = (shape.clone(), clusters.to_vec());
        tokio::task::spawn_blocking(move || narrow_bytes(&text, &shape, &clusters))
            .await
            .map_err(|error| error.to_string())??
    };
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(narrowed.len()));
    Ok(Response::from_parts(parts, Body::from(narrowed)))
}

fn narrow_bytes(text: &[u8], shape: &ListShape, clusters: &[String]) -> Result<String, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    narrow_text(text, shape, clusters)
}

/// Cuts the text of a list down to the items of `clusters`.
///
/// # Errors
/// Why it cannot be narrowed, for the log.
pub fn narrow_text(text: &str, shape: &ListShape, clusters: &[String]) -> Result<String, String> {
    json::check(text)?;
    let root: &RawValue = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
    let allowed = clusters.iter().map(String::as_str).collect();
    let path: Vec<String> = json::tokens(&shape.items).collect();
    let mut out = String::with_capacity(text.len());
    Narrowing { shape, allowed }.descend(root, &path, &mut out)?;
    Ok(out)
}

struct Narrowing<'a> {
    shape: &'a ListShape,
    allowed: HashSet<&'a str>,
}

impl Narrowing<'_> {
    /// Writes `at` with what is at the end of `path` filtered, and only declared members on the way there.
    fn descend(&self, at: &RawValue, path: &[String], out: &mut String) -> Result<(), String> {
        let Some((next, rest)) = path.split_first() else {
            return self.filter(at, out);
        };
        let members = json::members(at).ok_or_else(|| {
            format!(
                "there is no object around the items at `{}`",
                self.shape.items
            )
        })?;
        let mut found = false;
        out.push('{');
        for (name, value) in members {
            let on_the_way = name == next.as_str();
            if !on_the_way && !self.shape.keep.iter().any(|kept| *kept == name) {
                continue;
            }
            if !out.ends_with('{') {
                out.push(',');
            }
            out.push_str(&serde_json::Value::from(name.as_ref()).to_string());
            out.push(':');
            if on_the_way {
                found = true;
                self.descend(value, rest, out)?;
            } else {
                out.push_str(value.get());
            }
        }
        out.push('}');
        if found {
            Ok(())
        } else {
            Err(format!("there are no items at `{}`", self.shape.items))
        }
    }

    /// Writes the items of allowed clusters.
    fn filter(&self, items: &RawValue, out: &mut String) -> Result<(), String> {
        // What Go's encoder makes of an empty slice. There is nothing in it to leak.
        if items.get() == "null" {
            out.push_str("null");
            return Ok(());
        }
        let items = json::elements(items)
            .ok_or_else(|| format!("what is at `{}` is not a list", self.shape.items))?;
        let mut first = true;
        out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if self
                .is_allowed(item)
                .ok_or_else(|| format!("item {index} names no cluster"))?
            {
                if !first {
                    out.push(',');
                }
                first = false;
                out.push_str(item.get());
            }
        }
        out.push(']');
        Ok(())
    }

    /// Whether the item's cluster is allowed; `None` when it names none.
    fn is_allowed(&self, item: &RawValue) -> Option<bool> {
        let cluster = json::point(item, &self.shape.cluster)?;
        let cluster: String = serde_json::from_str(cluster.get()).ok()?;
        Some(self.allowed.contains(cluster.as_str()))
    }
}

/// Whether the header promises plain JSON.
fn readable(headers: &HeaderMap) -> Result<(), String> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err("it is encoded, although no encoding was accepted".into());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Err("it has no content type, or several".into());
    };
    let essence = content_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        Ok(())
    } else {
        Err("its content type is not JSON".into())
    }
}

fn passing(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| PASSING.contains(name) || name.as_str().starts_with("access-control-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .fold(HeaderMap::new(), |mut passing, (name, value)| {
            passing.append(name, value);
            passing
        })
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, String> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(format!("it is larger than {bytes_max} bytes"))
        }
        Err(_) => Err("it broke off".into()),
    }
}

#[cfg(test)]
mod tests;
