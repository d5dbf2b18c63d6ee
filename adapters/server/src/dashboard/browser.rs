//! What stands between a browser and other people's pages: headers, cookies, and the proof that a form is ours.

use axum::body::Body;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{AUTHORIZATION, CACHE_CONTROL, HOST, ORIGIN},
};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::Reached;
use crate::cookie::{self, FORM_NAME, NAME, SECURE_NAME};

/// What the proof is of.
const FORM: &[u8] = b"scopegate dashboard form";

/// Everything comes from here, nothing is inline, nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers that every page has. `Referrer-Policy` is not `no-referrer`: that would take the origin off our own forms.
pub(super) async fn harden(mut reply: Response<Body>) -> Response<Body> {
    let headers = reply.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "clipboard-write=(self)"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    reply
}

/// The session's token, if the browser has one.
pub(super) fn session(headers: &HeaderMap) -> Option<SecretString> {
    let token = cookie::value(headers, SECURE_NAME).or_else(|| cookie::value(headers, NAME))?;
    Some(SecretString::from(token))
}

/// What the proof of a visitor's forms is made from before they have a session.
pub(super) fn form_cookie(headers: &HeaderMap) -> Option<SecretString> {
    cookie::value(headers, FORM_NAME).map(SecretString::from)
}

/// A new one.
pub(super) fn new_form_cookie() -> (SecretString, HeaderValue) {
    let value = Uuid::new_v4().simple().to_string();
    let text = format!("{FORM_NAME}={value}; Path=/-/; HttpOnly; SameSite=Strict");
    (value.into(), header(&text))
}

/// Gives the browser a session. Lax, so that a link to a page of the audit opens it for whoever has signed in: reading
/// changes nothing here, and what changes something needs the form's own proof.
pub(super) fn set_session(token: &SecretString, secure: bool) -> HeaderValue {
    let token = token.expose_secret();
    let text = match secure {
        true => format!("{SECURE_NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Lax"),
        false => format!("{NAME}={token}; Path=/-/; HttpOnly; SameSite=Lax"),
    };
    let mut value = header(&text);
    value.set_sensitive(true);
    value
}

/// Puts a session on a request that is made in this process.
pub(super) fn authorize(headers: &mut HeaderMap, token: &SecretString) {
    let mut bearer = header(&format!("Bearer {}", token.expose_secret()));
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
}

/// Takes every session off the browser.
pub(super) fn clear_session() -> [HeaderValue; 2] {
    [
        format!("{SECURE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
        format!("{NAME}=; Path=/-/; HttpOnly; SameSite=Lax; Max-Age=0"),
    ]
    .map(|text| header(&text))
}

/// Tokens and names of cookies are plain ASCII.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// The proof that a form was rendered for whoever has this secret, which no other page can read.
pub(super) fn proof(secret: &SecretString) -> String {
    let tag = hmac::sign(&key(secret), FORM);
    BASE64_URL_SAFE_NO_PAD.encode(tag)
}

/// Whether a form came back from whom it was rendered for.
pub(super) fn is_proven(secret: &SecretString, proof: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD
        .decode(proof)
        .is_ok_and(|tag| hmac::verify(&key(secret), FORM, &tag).is_ok())
}

fn key(secret: &SecretString) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

/// Whether a page of ours sent this, as far as the browser says: by `Sec-Fetch-Site`, by `Origin` where there is none.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(site) => site == b"same-origin",
        None => match headers.get(ORIGIN) {
            // No browser of the last years leaves both out of a POST; what does is no browser.
            None => true,
            Some(origin) => {
                let origin = origin.to_str().unwrap_or_default();
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                authority.is_some() && authority == host(headers)
            }
        },
    }
}

/// The dashboard's own authority, as the browser calls it.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

impl Reached {
    /// Whether the browser reached the dashboard by https: `forwarded` is what a proxy that is believed says of it.
    pub(super) fn is_secure(&self, headers: &HeaderMap, forwarded: Option<&str>) -> bool {
        if let Some(scheme) = forwarded {
            return scheme == "https";
        }
        self.public_url.as_ref().is_some_and(|url| {
            url.scheme_str() == Some("https")
                && url.authority().map(http::uri::Authority::as_str) == host(headers)
        })
    }
}
