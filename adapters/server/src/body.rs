//! Bodies that the gate itself reads: of a type, within a bound, in good time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use scopegate_host::Cause;

/// For a body to come whole.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A body that says that it is JSON, of so many bytes at most.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Cause> {
    of_type("application/json", headers, body, bytes_max).await
}

/// A body that says that it is a form, of so many bytes at most.
pub(crate) async fn form(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Cause> {
    of_type(
        "application/x-www-form-urlencoded",
        headers,
        body,
        bytes_max,
    )
    .await
}

/// A body that says that it is a component, of so many bytes at most.
pub(crate) async fn component(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Cause> {
    of_type("application/wasm", headers, body, bytes_max).await
}

async fn of_type(
    wanted: &'static str,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Cause> {
    if !is_of_type(wanted, headers) {
        return Err(Cause::UnsupportedMediaType(wanted));
    }
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(Cause::BodyTooLarge);
    }
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, bytes_max).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Cause::BodyTooLarge),
        Ok(Err(_)) => Err(Cause::InvalidRequest("the body broke off".into())),
        Err(_) => Err(Cause::InvalidRequest("the body stopped coming".into())),
    }
}

fn is_of_type(wanted: &str, headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}
