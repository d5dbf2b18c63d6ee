//! One record: who, what, outcome, reason, and what is needed to decide it again.

use std::{borrow::Cow, fmt::Write as _, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use scopegate_policy::{CallerKind, ClusterSource, Description, RouteInfo, Rule};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::told::{self, Visible};
use crate::{Cause, Principal, refusal::cut};

/// Room for most lines.
const LINE_BYTES: usize = 1024;
/// How much is recorded of a text that may repeat what the caller sent, in bytes.
const ABOUT_BYTES_MAX: usize = 512;
/// And of a reason, which is a word unless a policy written by hand says more.
const REASON_BYTES_MAX: usize = 128;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was let through.
    Admit,
    /// It was refused.
    Refuse,
}

/// A record as the gate hands it in. Credentials are not in it, and of the query string only the parameters that
/// the policy was told.
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
    pub method: Cow<'static, str>,
    /// Normalised, or as received where it was refused for its shape.
    pub path: Box<str>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub cause: Option<Cause>,
    /// The rule that decided.
    pub rule: Option<Rule>,
    /// What the policy's own answer shows, where it allowed.
    pub visible: Option<Visible>,
    /// The policy that was asked.
    pub policy: Option<Arc<Judge>>,
    /// How long the gate took.
    pub micros: u64,
    /// The query parameters that the policy was told.
    pub query: Vec<(String, String)>,
    /// The headers that the policy was told.
    pub headers: Vec<(String, String)>,
    /// How many refusals this record stands for.
    pub count: u64,
    /// Set where nobody has made the request, but somebody has asked whether it would be let through.
    pub evaluation: Option<Box<Evaluation>>,
}

/// What a record says of a question besides its answer: the record's principal is then the one who was asked about.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Who asked.
    pub by: Arc<Principal>,
    /// At what moment the request was to be thought of, in milliseconds since the epoch.
    pub at_ms: i64,
    /// From which address.
    pub address: Option<IpAddr>,
}

/// Who asked, as a line says it.
#[derive(Serialize)]
struct AskedBy<'r> {
    kind: CallerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'r str>,
    credential: Uuid,
    address: IpAddr,
}

/// A policy as records name it.
#[derive(Debug)]
pub struct Judge {
    /// `sha256:` and the hash of the component in hex.
    pub digest: String,
    /// Where a rule's route has its pattern.
    pub description: Arc<Description>,
}

impl Record {
    /// The route that matched.
    fn route(&self) -> Option<&RouteInfo> {
        let index = self.rule?.route? as usize;
        self.policy.as_ref()?.description.routes.get(index)
    }

    /// The cluster that it is about: the one that the request names, else an agent's own.
    fn cluster(&self) -> Option<&str> {
        let route = self.route();
        let named =
            route.and_then(|one| one.cluster_named_by(&self.path, &self.query, &self.headers));
        let takes_one = route.is_some_and(|one| one.cluster != ClusterSource::None);
        let own = || {
            let caller = &self.principal.as_deref()?.caller;
            caller.agent_cluster.as_deref().filter(|_| takes_one)
        };
        named.or_else(own)
    }

    /// The record's line, in the order in which it is read.
    pub(super) fn line(&self, times: &mut Times) -> serde_json::Result<String> {
        let mut out = Vec::with_capacity(LINE_BYTES);
        self.write(times, &mut out)?;
        String::from_utf8(out).map_err(serde::de::Error::custom)
    }

    fn write(&self, times: &mut Times, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut line = Line { out };
        line.out.push(b'{');
        line.text("time", times.text(self.at_ms));
        line.uuid("request_id", self.request_id);
        match self.principal.as_deref() {
            Some(principal) => {
                let facts = principal.in_log.get_or_init(|| facts(principal));
                line.out.extend_from_slice(facts);
            }
            None => line.text("kind", "anonymous"),
        }
        match &self.evaluation {
            None => line.field("address", &self.client)?,
            Some(evaluation) => self.write_evaluation(evaluation, &mut line)?,
        }
        line.field("method", &self.method)?;
        let path = without_secrets(&self.path);
        line.field("path", &path)?;
        line.optional("cluster", self.cluster().map(without_secrets))?;
        line.optional("route", self.route().map(|route| &route.pattern))?;
        line.field("outcome", &self.outcome)?;
        line.optional("reason", self.cause.as_ref().map(reason))?;
        let about = self.cause.as_ref().and_then(about);
        // Cut first: what is cut off hides no secret from the search for one.
        let about = about.map(|text| cut(text, ABOUT_BYTES_MAX));
        let about = about.map(without_secrets);
        line.optional("about", about.as_ref())?;
        line.optional("rule", self.rule)?;
        line.optional("visible", self.visible.as_ref())?;
        line.optional("policy", self.policy.as_ref().map(|policy| &policy.digest))?;
        line.field("micros", &self.micros)?;
        line.fields("query", &self.query)?;
        line.fields("headers", &self.headers)?;
        line.optional("count", (self.count > 1).then_some(self.count))?;
        if self.policy.is_some() {
            line.optional("redacted", self.redacted(&path, about.as_deref()))?;
        }
        line.out.push(b'}');
        Ok(())
    }

    /// Who asked, and what else of the question is not the record's own: the address and the moment that it is about.
    fn write_evaluation(
        &self,
        evaluation: &Evaluation,
        line: &mut Line<'_>,
    ) -> serde_json::Result<()> {
        let by = &evaluation.by;
        // Whose audit it is in, also where it is about nobody.
        if self.principal.is_none() {
            line.uuid("organization", by.organization);
        }
        line.field(
            "asked_by",
            &AskedBy {
                kind: by.kind,
                user: by.user,
                name: &by.name,
                agent: by.key_name.as_deref(),
                credential: by.credential,
                address: self.client,
            },
        )?;
        let at = (evaluation.at_ms != self.at_ms).then_some(evaluation.at_ms);
        let at = at.map(|at_ms| Timestamp::from_millisecond(at_ms).unwrap_or_default());
        line.optional("asked_at", at.map(|at| at.to_string()))?;
        line.optional("address", evaluation.address)
    }

    /// Hashes of what a policy was told, or answered, and the line must not say: by where it would stand.
    fn redacted(&self, path: &str, about: Option<&str>) -> Option<Redacted> {
        let mut redacted = Redacted::default();
        let mut hide = |place: String, text: &str| {
            let hash = redacted_sha256(&self.request_id.to_string(), text);
            redacted.0.push((place, hash));
        };
        if path != &*self.path {
            hide("path".to_owned(), &self.path);
        }
        let whole = self.cause.as_ref().and_then(self::about);
        if let Some(whole) = whole.filter(|whole| about != Some(cut(whole, ABOUT_BYTES_MAX))) {
            hide("about".to_owned(), whole);
        }
        for (of, fields) in [("query", &self.query), ("headers", &self.headers)] {
            let hidden = fields.iter().filter(|(_, value)| shows_a_secret(value));
            hidden.for_each(|(name, value)| hide(format!("{of}.{name}"), value));
        }
        Some(redacted).filter(|redacted| !redacted.0.is_empty())
    }
}

/// The hash of a text that a record must not say, which proves that a text is the same: SHA-256 in hex. It is of this record
/// alone, so that it tells nobody where else the text stands, and looks like no hash of a credential.
pub(crate) fn redacted_sha256(request_id: &str, text: &str) -> String {
    let lines = format!("scopegate redacted 1\n{request_id}\n{text}");
    hex::encode(Sha256::digest(lines))
}

/// As a record says a text that it is about.
pub(crate) fn recorded_about(text: &str) -> Cow<'_, str> {
    without_secrets(cut(text, ABOUT_BYTES_MAX))
}

/// As a record says a reason.
pub(crate) fn recorded_reason(code: &str) -> &str {
    cut(code, REASON_BYTES_MAX)
}

/// What a line says of a caller: the same for every request, so it is written once for each.
fn facts(principal: &Principal) -> Box<[u8]> {
    let mut out = Vec::new();
    let mut line = Line { out: &mut out };
    // Strings and UUIDs into memory: there is nothing to fail at.
    let _ = line.field("kind", &principal.kind);
    line.uuid("organization", principal.organization);
    let _ = line.optional("user", principal.user);
    let _ = line.field("name", &principal.name);
    let _ = line.optional("agent", principal.key_name.as_deref());
    line.uuid("credential", principal.credential);
    line.json("facts", &told::facts(principal));
    out.into_boxed_slice()
}

/// A JSON object that is being written. Names are literals that need no escaping; values are serde's.
struct Line<'o> {
    out: &'o mut Vec<u8>,
}

impl Line<'_> {
    fn name(&mut self, name: &'static str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn field(&mut self, name: &'static str, value: &impl Serialize) -> serde_json::Result<()> {
        self.name(name);
        serde_json::to_writer(&mut *self.out, value)
    }

    fn optional(
        &mut self,
        name: &'static str,
        value: Option<impl Serialize>,
    ) -> serde_json::Result<()> {
        value.map_or(Ok(()), |value| self.field(name, &value))
    }

    fn fields(
        &mut self,
        name: &'static str,
        fields: &[(String, String)],
    ) -> serde_json::Result<()> {
        let fields = Some(Fields(fields)).filter(|fields| !fields.0.is_empty());
        self.optional(name, fields)
    }

    /// A value that needs no escaping.
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    /// A value that is JSON already.
    fn json(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    fn uuid(&mut self, name: &'static str, value: Uuid) {
        self.text(
            name,
            value.hyphenated().encode_lower(&mut Uuid::encode_buffer()),
        );
    }
}

/// Names and values as one JSON object.
struct Fields<'r>(&'r [(String, String)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &without_secrets(value))?;
        }
        map.end()
    }
}

/// Places and hashes as one JSON object.
#[derive(Default)]
struct Redacted(Vec<(String, String)>);

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(place, hash)| (place, hash)))
    }
}

/// Milliseconds as RFC 3339 text. Records come many to a millisecond, so the last text is kept.
#[derive(Debug, Default)]
pub(super) struct Times {
    at_ms: i64,
    text: String,
}

impl Times {
    fn text(&mut self, at_ms: i64) -> &str {
        if self.text.is_empty() || self.at_ms != at_ms {
            self.at_ms = at_ms;
            self.text.clear();
            let time = Timestamp::from_millisecond(at_ms).unwrap_or_default();
            // Into memory: there is nothing to fail at.
            let _ = write!(self.text, "{time}");
        }
        &self.text
    }
}

fn reason(cause: &Cause) -> &str {
    recorded_reason(cause.code())
}

/// What the log knows beyond the code.
fn about(cause: &Cause) -> Option<&str> {
    match cause {
        Cause::Denied(reason) => reason.subject(),
        Cause::InvalidRequest(text)
        | Cause::PolicyFault(text)
        | Cause::Unavailable(text)
        | Cause::BadGateway(text)
        | Cause::Unprocessable(text)
        | Cause::NotFound(text)
        | Cause::Conflict(text)
        | Cause::NotHeld(text)
        | Cause::Stale(text)
        | Cause::UnfilterableList(text) => Some(text),
        Cause::InvalidToken(what) => Some(what),
        _ => None,
    }
}

/// A path or a value with what looks like a key or a token taken out, because people paste them into the wrong place.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    if !shows_a_secret(text) {
        return Cow::Borrowed(text);
    }
    let segments: Vec<&str> = text
        .split('/')
        .map(|part| {
            if shows_a_secret(part) {
                "[redacted]"
            } else {
                part
            }
        })
        .collect();
    Cow::Owned(segments.join("/"))
}

/// Whether something in a text looks like a key or a token, encoded or not: a path that was refused for its shape is
/// recorded as it came.
pub(super) fn shows_a_secret(text: &str) -> bool {
    let shows_one =
        |text: &str| text.contains("_live_") || text.contains("_agent_") || text.contains("eyJ");
    shows_one(text)
        || (text.contains('%')
            && shows_one(&percent_encoding::percent_decode_str(text).decode_utf8_lossy()))
}
