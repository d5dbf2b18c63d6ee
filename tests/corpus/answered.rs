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
    /// The reply's body, where nothing is recorded.
    pub told: Option<String>,
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
        (Some(clusters), None) if answer.told.is_some() => {
            Some(Outcome::Allow(visible(clusters, &file.clusters)))
        }
        (None, None) => answer.told.as_deref().map(|told| refused(told, expected)),
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

/// A refusal by the words of its body, where they carry a reason; what is not in them is as expected.
fn refused(body: &str, expected: &Outcome) -> Outcome {
    let code = serde_json::from_str::<Value>(body).ok();
    let code = code.and_then(|body| body["code"].as_str().map(str::to_owned));
    match (code, expected) {
        (Some(reason), Outcome::Deny { about, .. }) => Outcome::Deny {
            reason,
            about: about.clone(),
        },
        (None, Outcome::Deny { .. }) => expected.clone(),
        (reason, Outcome::Allow(_)) => Outcome::Deny {
            reason: reason.unwrap_or_default(),
            about: None,
        },
    }
}

/// The clusters that the header stands for.
pub fn visible(header: &str, registered: &BTreeSet<String>) -> BTreeSet<String> {
    match header {
        "*" => registered.clone(),
        "!none" => BTreeSet::new(),
        ids => ids.split(',').map(str::to_owned).collect(),
    }
}
