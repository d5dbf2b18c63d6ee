//! What a record's line says, as far as records are searched by it. The columns of the store are made from the line
//! alone, so that whoever has the line can check them.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::store::{Actor, Origin};

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordKind {
    /// A request that was decided.
    #[default]
    Request,
    /// A change of the store.
    Change,
}

impl RecordKind {
    /// As the store has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Change => "change",
        }
    }
}

/// What a line says, to be searched by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) at_ms: i64,
    pub(crate) kind: RecordKind,
    pub(crate) organization: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) credential: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) reason: Option<String>,
}

#[derive(Deserialize)]
struct Read<'l> {
    #[serde(borrow)]
    time: Cow<'l, str>,
    #[serde(borrow)]
    kind: Cow<'l, str>,
    organization: Option<String>,
    user: Option<String>,
    credential: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
}

impl Facts {
    /// Of any text: what is no record says nothing.
    pub(crate) fn of_line(line: &str) -> Self {
        let Ok(read) = serde_json::from_str::<Read<'_>>(line) else {
            return Self::default();
        };
        let time: Result<Timestamp, _> = read.time.parse();
        Self {
            at_ms: time.map_or(0, Timestamp::as_millisecond),
            kind: match &*read.kind {
                "change" => RecordKind::Change,
                _ => RecordKind::Request,
            },
            organization: read.organization,
            user: read.user,
            credential: read.credential,
            action: read.action,
            subject: read.subject,
            outcome: read.outcome,
            reason: read.reason,
        }
    }
}

/// A change, as its line tells it.
#[derive(Debug)]
pub(crate) struct ChangeLine<'c> {
    pub(crate) at_ms: i64,
    pub(crate) origin: &'c Origin,
    pub(crate) organization: Option<Uuid>,
    pub(crate) action: &'c str,
    pub(crate) subject: &'c str,
    /// Further facts, an object; never a secret.
    pub(crate) detail: &'c Value,
}

impl ChangeLine<'_> {
    /// The line, in the order in which it is read.
    pub(crate) fn text(&self) -> String {
        let time = Timestamp::from_millisecond(self.at_ms).unwrap_or_default();
        let mut parts = vec![member("time", &json!(time.to_string()))];
        parts.extend(
            self.origin
                .request_id
                .map(|id| member("request_id", &json!(id))),
        );
        parts.push(member("kind", &json!("change")));
        parts.extend(
            self.organization
                .map(|id| member("organization", &json!(id))),
        );
        parts.push(member("actor", &json!(self.origin.actor.text())));
        match &self.origin.actor {
            Actor::User(id) => parts.push(member("user", &json!(id))),
            Actor::Credential(id) => parts.push(member("credential", &json!(id))),
            Actor::Machine | Actor::Gate => {}
        }
        parts.extend(
            self.origin
                .address
                .map(|address| member("address", &json!(address))),
        );
        parts.push(member("action", &json!(self.action)));
        parts.push(member("subject", &json!(self.subject)));
        if self
            .detail
            .as_object()
            .is_some_and(|detail| !Map::is_empty(detail))
        {
            parts.push(member("detail", self.detail));
        }
        format!("{{{}}}", parts.join(","))
    }
}

fn member(name: &str, value: &Value) -> String {
    format!("\"{name}\":{value}")
}

/// How a line with its number begins.
pub(crate) const NUMBER: &[u8] = b"{\"seq\":";

/// A line with the record's number, as it is written where lines are read outside the store.
pub(crate) fn numbered(seq: i64, line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(NUMBER);
    out.extend_from_slice(seq.to_string().as_bytes());
    let rest = line.strip_prefix('{').unwrap_or(line);
    if rest != "}" {
        out.push(b',');
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'\n');
}

/// The number in a line that [`numbered`] made.
pub(crate) fn number_of(line: &str) -> Option<i64> {
    let digits = line.strip_prefix("{\"seq\":")?;
    let (digits, _) = digits.split_once([',', '}'])?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_who_where_and_what() {
        let user = Uuid::from_u128(7);
        let origin = Origin {
            actor: Actor::User(user),
            request_id: Some(Uuid::from_u128(1)),
            address: Some("192.0.2.1".parse().unwrap()),
            caller: None,
        };
        let change = ChangeLine {
            at_ms: 1_775_000_040_123,
            origin: &origin,
            organization: Some(Uuid::from_u128(2)),
            action: "key.mint",
            subject: "it",
            detail: &json!({ "name": "c\"i" }),
        };
        let line = change.text();
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["time"], "2026-03-31T23:34:00.123Z");
        assert_eq!(read["detail"]["name"], "c\"i");
        assert_eq!(read["address"], "192.0.2.1");
        let facts = Facts::of_line(&line);
        assert_eq!(facts.at_ms, change.at_ms);
        assert_eq!(facts.kind, RecordKind::Change);
        assert_eq!(facts.user, Some(user.to_string()));
        assert_eq!(
            (facts.subject.as_deref(), facts.credential),
            (Some("it"), None)
        );
        let mut out = Vec::new();
        numbered(42, &line, &mut out);
        let numbered = String::from_utf8(out).unwrap();
        assert_eq!(number_of(&numbered), Some(42));
        assert_eq!(serde_json::from_str::<Value>(&numbered).unwrap()["seq"], 42);
    }

    #[test]
    fn what_is_no_record_says_nothing() {
        for line in ["", "{}", "[1]", r#"{"time":1,"kind":"x"}"#] {
            assert_eq!(Facts::of_line(line), Facts::default(), "{line}");
        }
    }
}
