//! A key that was just made: shown this once, with a line to copy and a way to try it.

use askama::Template;
use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{Key, Minted};
use crate::dashboard::{
    moment::Moment,
    page::{Shell, ok},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// How much of a reply to a trial is read, in bytes.
const TRIAL_BYTES_MAX: usize = 4 << 10;
/// How much of it is shown, in characters.
const TRIAL_CHARS_MAX: usize = 600;

#[derive(Template)]
#[template(path = "keys/shown.html")]
struct Page {
    shell: Shell,
    name: String,
    secret: Option<String>,
    curl: Curl,
    /// When the key before ends.
    old_ends: Option<Moment>,
    trial: Option<Trial>,
}

/// A line that tries a credential, and where it goes.
#[derive(Debug)]
pub(in crate::dashboard) struct Curl {
    /// The path that is asked for, where the contract names one.
    pub(in crate::dashboard) path: Option<String>,
    /// The whole line.
    pub(in crate::dashboard) line: String,
}

impl Curl {
    /// The line for this secret.
    pub(in crate::dashboard) fn of(visitor: &Visitor, secret: &str) -> Self {
        let contract = visitor.site.gate.contract();
        let path = contract.dashboard.smoke_test.clone();
        let line = format!(
            "curl -H '{}{secret}' \\\n  '{}{}'",
            contract.key_header(),
            visitor.product_url(),
            path.as_deref().unwrap_or("/"),
        );
        Self { path, line }
    }
}

/// What the API answered to the key.
#[derive(Debug)]
struct Trial {
    status: u16,
    means: &'static str,
    good: bool,
    body: String,
}

/// A page with what was minted.
pub(super) fn page(
    visitor: &Visitor,
    minted: Minted<Key>,
    old_ends: Option<Moment>,
) -> Result<Response<Body>, Stop> {
    let secret = minted.secret.unwrap_or_default();
    Ok(ok(&Page {
        shell: visitor.shell("Copy the key now"),
        name: minted.credential.name,
        curl: Curl::of(visitor, &secret),
        secret: Some(secret).filter(|secret| !secret.is_empty()),
        old_ends,
        trial: None,
    }))
}

/// Tries the key on the product's API, as a program would, and shows it again with what came of it.
pub(super) async fn attempt(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let secret = fields.one("secret").to_owned();
    let curl = Curl::of(&visitor, &secret);
    let Some(path) = &curl.path else {
        return Err(Problem::nothing().into());
    };
    let trial = ask(&visitor, path, &secret).await?;
    Ok(ok(&Page {
        shell: visitor.shell("Copy the key now"),
        name: fields.one("name").to_owned(),
        curl,
        secret: Some(secret),
        old_ends: None,
        trial: Some(trial),
    }))
}

async fn ask(visitor: &Visitor, path: &str, secret: &str) -> Result<Trial, Problem> {
    let mut request = visitor.source.request(Method::GET, path, Body::empty());
    let header = visitor.site.gate.contract().key_header();
    // `X-API-Key: ` and the like: a name, and what stands before the key.
    let (name, before) = header.split_once(": ").unwrap_or((header, ""));
    let (Ok(name), Ok(mut value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(&format!("{before}{secret}")),
    ) else {
        return Err(Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not a key",
            "This can stand in no header.",
        ));
    };
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    let reply = visitor.site.product.answer(request).await;
    let status = reply.status();
    let read = Limited::new(reply.into_body(), TRIAL_BYTES_MAX)
        .collect()
        .await;
    let body = read
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    Ok(Trial {
        status: status.as_u16(),
        good: status.is_success(),
        means: means(status),
        body: text.chars().take(TRIAL_CHARS_MAX).collect(),
    })
}

/// What a status says of the key.
fn means(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "The key was not accepted.",
        StatusCode::FORBIDDEN => "The key works and lacks a permission or a cluster for this.",
        StatusCode::TOO_MANY_REQUESTS => "The key works; its limit is used up for this minute.",
        _ if status.is_success() => "The key works.",
        _ if status.is_server_error() => {
            "The gate let the key through; what is behind it did not answer as it should."
        }
        _ => "The key works; what is behind the gate answers something else.",
    }
}
