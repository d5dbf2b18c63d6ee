//! From a line of the audit to what a policy was asked.

use std::{borrow::Cow, fmt, net::IpAddr};

use jiff::Timestamp;
use scopegate_policy::{Caller, CallerKind, Request, Rule};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use uuid::Uuid;

use super::{Answer, Entry, Recorded, WhyNot, answer::is_of_gate};
use crate::audit::{
    Outcome, Visible,
    told::{Named, Told},
};

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It is not JSON, or a member is of the wrong kind.
    #[error("this is no record of the audit: {0}")]
    Json(String),
    /// A member that such a record has is not there, or makes no sense. Which.
    #[error("this is no record of the audit: `{0}` is missing or makes no sense")]
    Member(&'static str),
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    time: Cow<'l, str>,
    #[serde(borrow)]
    kind: Cow<'l, str>,
    request_id: Option<Uuid>,
    #[serde(borrow)]
    organization: Option<Cow<'l, str>>,
    #[serde(borrow)]
    user: Option<Cow<'l, str>>,
    #[serde(borrow)]
    credential: Option<Cow<'l, str>>,
    #[serde(borrow)]
    facts: Option<Told<'l>>,
    address: Option<IpAddr>,
    /// Of records of questions: who asked, and about which moment.
    asked_by: Option<IgnoredAny>,
    #[serde(borrow)]
    asked_at: Option<Cow<'l, str>>,
    method: Option<String>,
    path: Option<String>,
    outcome: Option<Outcome>,
    reason: Option<String>,
    about: Option<String>,
    rule: Option<Rule>,
    visible: Option<Visible>,
    policy: Option<String>,
    #[serde(default)]
    query: Pairs,
    #[serde(default)]
    headers: Pairs,
    #[serde(default)]
    redacted: Pairs,
}

/// Names and values in the order of the line: a policy that was written by hand sees the order.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// Reads a line of the audit, numbered or not, as [`crate::Audit`] writes it.
///
/// # Errors
/// When it is no record.
pub fn read(line: &str) -> Result<Entry, BadLine> {
    let line: Line<'_> =
        serde_json::from_str(line).map_err(|error| BadLine::Json(error.to_string()))?;
    let kind = match &*line.kind {
        "change" => return Ok(Entry::Change),
        "anonymous" => CallerKind::Anonymous,
        "session" => CallerKind::Session,
        "api-key" => CallerKind::ApiKey,
        "agent" => CallerKind::Agent,
        _ => return Err(BadLine::Member("kind")),
    };
    let outcome = line.outcome.ok_or(BadLine::Member("outcome"))?;
    match (line.rule, line.policy.clone()) {
        (None, None) => undecided(line, outcome),
        (None, Some(_)) => Err(BadLine::Member("rule")),
        (Some(_), None) => Err(BadLine::Member("policy")),
        (Some(rule), Some(policy)) => decided(line, kind, policy, rule, outcome),
    }
}

/// What the gate itself made of a request. A record that a policy's answer was taken out of is none.
fn undecided(line: Line<'_>, outcome: Outcome) -> Result<Entry, BadLine> {
    if line.visible.is_some() {
        return Err(BadLine::Member("policy"));
    }
    match (outcome, line.reason) {
        (Outcome::Admit, None) => match line.path {
            Some(path) => Ok(Entry::LetIn(path)),
            None => Err(BadLine::Member("path")),
        },
        (Outcome::Refuse, Some(reason)) => {
            // Both say these: of its own pages, and of tokens that it needs for itself.
            let is_of_both = ["no-route", "not-authenticated"].contains(&reason.as_str());
            match is_of_both || is_of_gate(&reason) {
                true => Ok(Entry::Undecided(reason)),
                false => Err(BadLine::Member("policy")),
            }
        }
        _ => Err(BadLine::Member("reason")),
    }
}

fn decided(
    line: Line<'_>,
    kind: CallerKind,
    policy: String,
    rule: Rule,
    outcome: Outcome,
) -> Result<Entry, BadLine> {
    if let Some(why) = why_not(&line, kind) {
        return Ok(Entry::Unknown { policy, why });
    }
    let (member, time) = match &line.asked_at {
        Some(time) if line.asked_by.is_some() => ("asked_at", time),
        _ => ("time", &line.time),
    };
    let now = time.parse::<Timestamp>();
    let now = now.map_err(|_| BadLine::Member(member))?.as_millisecond();
    let caller = match line.facts {
        // Whoever has no credential has no facts either.
        None => Caller::anonymous(),
        Some(told) => {
            let named = Named {
                kind,
                organization: line.organization.as_deref(),
                user: line.user.as_deref(),
                credential: line.credential.as_deref(),
            };
            told.caller(named).map_err(BadLine::Member)?
        }
    };
    let method = line.method.ok_or(BadLine::Member("method"))?;
    let about_sha256 = line
        .redacted
        .0
        .into_iter()
        .find(|(place, _)| place == "about");
    let recorded = Recorded {
        request_id: line.request_id.ok_or(BadLine::Member("request_id"))?,
        policy,
        caller,
        request: Request {
            // As the gate asks.
            method: if method == "HEAD" {
                "GET".to_owned()
            } else {
                method
            },
            path: line.path.ok_or(BadLine::Member("path"))?,
            query: line.query.0,
            headers: line.headers.0,
            now: now.div_euclid(1000),
            address: match line.address {
                // Whoever asked need not have said from where.
                None if line.asked_by.is_none() => return Err(BadLine::Member("address")),
                address => address,
            },
        },
        answer: Answer {
            outcome,
            reason: line.reason,
            about: line.about,
            about_sha256: about_sha256.map(|(_, hash)| hash),
            rule,
            visible: line.visible,
        },
    };
    Ok(Entry::Decided(Box::new(recorded)))
}

/// What the question lacks. An answer that was redacted is proven by its hash.
fn why_not(line: &Line<'_>, kind: CallerKind) -> Option<WhyNot> {
    let places = line.redacted.0.iter().map(|(place, _)| place);
    let places: Vec<String> = places.filter(|place| *place != "about").cloned().collect();
    match &line.facts {
        None if kind != CallerKind::Anonymous => Some(WhyNot::NoFacts),
        Some(told) if told.is_withheld() => Some(WhyNot::FactsWithheld),
        _ if !places.is_empty() => Some(WhyNot::Redacted(places)),
        _ => None,
    }
}
