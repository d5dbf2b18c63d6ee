//! Where credentials stand in a request, and which one it is.

use http::{HeaderMap, HeaderValue, header};

use super::{Scheme, headers::X_API_KEY};

/// What a request wants of the gate: credentials are not taken everywhere alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The API behind it: as the contract says.
    Api,
    /// The gate's own pages, `/-/…`: sessions as well, whatever the contract takes on its API.
    Own,
}

/// What a contract takes on its API.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'c> {
    /// Where a credential may stand.
    pub schemes: &'c [Scheme],
    /// Whether tokens (JWT) are taken: those of sessions, or of workloads.
    pub tokens: bool,
}

/// Longest key that is looked up, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// A secret on its way from the request to the function that hashes or verifies it. It is borrowed from the request,
/// so that no copy stays anywhere, and has no way to be printed, cloned or serialised.
pub struct Secret<'r>(&'r str);

impl<'r> Secret<'r> {
    /// The secret.
    pub fn expose(&self) -> &'r str {
        self.0
    }
}

/// What a request presents.
pub enum Presented<'r> {
    /// No credential.
    Nothing,
    /// More than one, or the header of one more than once.
    Several,
    /// One that cannot be any: empty, of a scheme that the contract does not have, or malformed.
    Unusable,
    /// A key or agent token.
    Key(Secret<'r>),
    /// A JWT.
    Token(Secret<'r>),
}

/// Finds the credential. Only headers that the contract reads count: in others, nothing is presented. At the gate's own
/// door, a session as `Authorization: Bearer` counts in every contract.
pub fn presented<'r>(contract: Accepted<'_>, door: Door, headers: &'r HeaderMap) -> Presented<'r> {
    let takes = |scheme: Scheme| contract.schemes.contains(&scheme);
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let mut api_keys = headers.get_all(X_API_KEY).iter();
    let reads_authorization = door == Door::Own || takes(Scheme::Bearer) || takes(Scheme::ApiKey);
    let authorization = authorizations.next().filter(|_| reads_authorization);
    let api_key = api_keys.next().filter(|_| takes(Scheme::XApiKey));
    let repeated = (authorization.is_some() && authorizations.next().is_some())
        || (api_key.is_some() && api_keys.next().is_some());
    match (authorization, api_key) {
        _ if repeated => Presented::Several,
        (Some(_), Some(_)) => Presented::Several,
        (None, None) => Presented::Nothing,
        (None, Some(value)) => key(value.to_str().ok()),
        (Some(value), None) => of_authorization(contract, door, value),
    }
}

/// `scheme SP secret` (RFC 9110, section 11.4).
fn of_authorization<'r>(
    contract: Accepted<'_>,
    door: Door,
    value: &'r HeaderValue,
) -> Presented<'r> {
    let Ok(text) = value.to_str() else {
        return Presented::Unusable;
    };
    let text = text.trim();
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    let secret = secret.trim_start();
    let is = |name: &str, wanted: Scheme| {
        scheme.eq_ignore_ascii_case(name) && contract.schemes.contains(&wanted)
    };
    if door == Door::Own && scheme.eq_ignore_ascii_case("bearer") && looks_like_token(secret) {
        return Presented::Token(Secret(secret));
    }
    if is("bearer", Scheme::Bearer) {
        if !looks_like_token(secret) {
            return key(Some(secret));
        }
        return match contract.tokens {
            true => Presented::Token(Secret(secret)),
            false => Presented::Unusable,
        };
    }
    if is("apikey", Scheme::ApiKey) {
        return key(Some(secret));
    }
    Presented::Unusable
}

/// A credential by itself: a token or a key.
pub fn of_text(text: &str) -> Presented<'_> {
    match looks_like_token(text) {
        true => Presented::Token(Secret(text)),
        false => key(Some(text)),
    }
}

/// A credential by itself that is to be a key, whatever it looks like.
pub fn of_key(text: &str) -> Presented<'_> {
    key(Some(text))
}

fn looks_like_token(secret: &str) -> bool {
    secret.starts_with("eyJ") && secret.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn key(secret: Option<&str>) -> Presented<'_> {
    match secret.map(str::trim) {
        Some(secret)
            if !secret.is_empty()
                && secret.len() <= KEY_BYTES_MAX
                && secret
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b',') =>
        {
            Presented::Key(Secret(secret))
        }
        _ => Presented::Unusable,
    }
}
