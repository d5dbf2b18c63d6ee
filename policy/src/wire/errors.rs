//! The parts of a contract that whoever answers a request needs: where credentials stand, limits, the shape of errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One place where a credential may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `Authorization: Bearer`: a session, a key or an agent token.
    Bearer,
    /// `Authorization: ApiKey`: a key or an agent token.
    ApiKey,
    /// `X-API-Key`: a key or an agent token.
    XApiKey,
}

/// Requests per window, by default a minute; failures and log-ins always by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// For a session.
    pub session: u32,
    /// For an API key.
    pub api_key: u32,
    /// For an agent token.
    pub agent: u32,
    /// For requests without a credential, by source address.
    pub anonymous: u32,
    /// Rejected credentials and failed log-ins, by source address.
    pub failures: u32,
    /// Log-ins by account.
    pub logins: u32,
    /// Whether sessions and keys of one user share one bucket (with the `session` limit).
    pub per_user: bool,
}

/// The shape of errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// The realm in challenges.
    pub realm: String,
    /// The content type.
    pub content_type: String,
    /// The body, with placeholders in its strings: `{type}`, `{title}`, `{status}` (a number when it stands
    /// alone), `{detail}`, `{code}`, `{instance}`, `{text}` (from `texts`, else the detail).
    pub body: Value,
    /// The product's own words, by [`super::Cause::code`] or by status (`"401"`); placeholders `{permission}`,
    /// `{cluster}`.
    pub texts: BTreeMap<String, String>,
    /// Whether several credentials are the product's 401 instead of a 400.
    pub several_credentials_401: bool,
}

impl Errors {
    /// Those of the gate's own pages in every contract: problem documents (RFC 9457).
    pub fn own() -> Self {
        Self {
            realm: "scopegate".to_owned(),
            content_type: "application/problem+json".to_owned(),
            body: json!({
                "type": "{type}",
                "title": "{title}",
                "status": "{status}",
                "detail": "{detail}",
                "code": "{code}",
                "instance": "{instance}",
            }),
            texts: BTreeMap::new(),
            several_credentials_401: false,
        }
    }

    /// The product's own words for a cause: those for its code, else those for its status. Their placeholders are
    /// still in them ([`super::template::fill_text`]).
    pub fn text(&self, code: &str, status: u16) -> Option<&str> {
        let text = self
            .texts
            .get(code)
            .or_else(|| self.texts.get(&status.to_string()));
        text.map(String::as_str)
    }
}
