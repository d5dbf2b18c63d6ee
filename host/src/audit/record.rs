//! One record: who, what, outcome, reason, and what is needed to decide it again.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use scopegate_policy::{CallerKind, Rule};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use crate::{Cause, Principal};

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was let through.
    Admit,
    /// It was refused.
    Refuse,
}

/// A record as the gate hands it in. Query strings and credentials are not in it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// The request's id.
    pub request_id: Uuid,
    /// Who called, if they were known.
    pub principal: Option<Arc<Principal>>,
    /// The client's address.
    pub client: IpAddr,
    /// As received.
    pub method: Box<str>,
    /// Normalised, or as received where it was refused for its shape.
    pub path: Box<str>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub cause: Option<Cause>,
    /// The rule that decided.
    pub rule: Option<Rule>,
    /// The pattern of the route that matched.
    pub route: Option<Box<str>>,
    /// The digest of the policy that was asked.
    pub policy: Option<Box<str>>,
    /// How long the gate took.
    pub micros: u64,
    /// The headers that the policy was told.
    pub headers: Vec<(String, String)>,
    /// How many refusals this record stands for.
    pub count: u64,
}

/// The line, in the order in which it is read.
#[derive(Serialize)]
struct Line<'r> {
    time: String,
    request_id: Uuid,
    kind: CallerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Uuid>,
    address: IpAddr,
    method: &'r str,
    path: Cow<'r, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'r str>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'r str>,
    micros: u64,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    headers: Fields<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// Headers as one JSON object.
struct Fields<'r>(&'r [(String, String)]);

impl Fields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Record {
    /// Appends the record's line.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let principal = self.principal.as_deref();
        let line = Line {
            time: Timestamp::from_millisecond(self.at_ms)
                .unwrap_or_default()
                .to_string(),
            request_id: self.request_id,
            kind: principal.map_or(CallerKind::Anonymous, |principal| principal.kind),
            organization: principal.map(|principal| principal.organization),
            name: principal.map(|principal| principal.name.as_str()),
            agent: principal.and_then(|principal| principal.key_name.as_deref()),
            credential: principal.map(|principal| principal.credential),
            address: self.client,
            method: &self.method,
            path: without_secrets(&self.path),
            route: self.route.as_deref(),
            outcome: self.outcome,
            reason: self.cause.as_ref().map(Cause::code),
            about: self.cause.as_ref().and_then(about),
            rule: self.rule,
            policy: self.policy.as_deref(),
            micros: self.micros,
            headers: Fields(&self.headers),
            count: (self.count > 1).then_some(self.count),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }
}

/// What the log knows beyond the code.
fn about(cause: &Cause) -> Option<&str> {
    match cause {
        Cause::Denied(reason) => reason.subject(),
        Cause::InvalidRequest(text)
        | Cause::PolicyFault(text)
        | Cause::Unavailable(text)
        | Cause::BadGateway(text)
        | Cause::UnfilterableList(text) => Some(text),
        Cause::InvalidToken(what) => Some(what),
        _ => None,
    }
}

/// A path with what looks like a key or a token taken out, because people paste them into the wrong place.
pub(crate) fn without_secrets(path: &str) -> Cow<'_, str> {
    let is_secret = |segment: &str| {
        segment.contains("_live_") || segment.contains("_agent_") || segment.contains("eyJ")
    };
    if !path.split('/').any(is_secret) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> = path
        .split('/')
        .map(|part| if is_secret(part) { "[redacted]" } else { part })
        .collect();
    Cow::Owned(segments.join("/"))
}
