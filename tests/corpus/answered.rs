//! What came of a case on the wire, beside what was to come of it.

use std::collections::BTreeSet;

use scopegate_host::trial::{Case, Outcome, TestFile};
use serde_json::Value;

/// What a client and the upstream saw of a case.
pub struct Answered {
    /// The status.
    pub status: u16,
    /// What the gate recorded of it.
    pub records: Vec<Value>,
    /// Why it was refused, if it was, where that is in another log.
    pub reason: Option<String>,
    /// What `X-Scopegate-Clusters` told the upstream, if the request reached it.
    pub clusters: Option<String>,
}

/// What came out differently.
pub fn difference(
    file: &TestFile,
    case: &Case,
    expected: &Outcome,
    answer: &Answered,
) -> Option<String> {
    let text = |record: &Value, member: &str| record[member].as_str().map(str::to_owned);
    let record = match answer.records.as_slice() {
        [record] => Some(record),
        _ => None,
    };
    let got = match (&answer.clusters, record) {
        (Some(clusters), Some(record)) if record["outcome"] == "admit" => {
            Some(Outcome::Allow(visible(clusters, &file.clusters)))
        }
        (None, Some(record)) if record["outcome"] == "refuse" => Some(Outcome::Deny {
            reason: text(record, "reason").unwrap_or_default(),
            about: text(record, "about"),
        }),
        (Some(clusters), None) if answer.reason.as_deref() == Some("") => {
            Some(Outcome::Allow(visible(clusters, &file.clusters)))
        }
        (None, None) => answer.reason.as_ref().map(|reason| Outcome::Deny {
            reason: reason.clone(),
            // Such a log does not say.
            about: match expected {
                Outcome::Deny { about, .. } => about.clone(),
                Outcome::Allow(_) => None,
            },
        }),
        _ => None,
    };
    let status = match expected {
        Outcome::Allow(_) => 200,
        Outcome::Deny { reason, .. } => match reason.as_str() {
            "not-authenticated" => 401,
            "no-route" => 404,
            "ambiguous-path" => 400,
            _ => 403,
        },
    };
    let same = got.as_ref() == Some(expected) && answer.status == status;
    (!same).then(|| {
        format!(
            "{case}\n    expected {status} {expected:?}\n    got      {} {got:?} of {} records",
            answer.status,
            answer.records.len()
        )
    })
}

/// The clusters that the header stands for.
pub fn visible(header: &str, registered: &BTreeSet<String>) -> BTreeSet<String> {
    match header {
        "*" => registered.clone(),
        "!none" => BTreeSet::new(),
        ids => ids.split(',').map(str::to_owned).collect(),
    }
}
