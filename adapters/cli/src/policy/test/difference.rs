//! Expected and got, field by field, in words.

use scopegate_host::trial::{Answer, Outcome, Ran, TestFile, Verdict};
use scopegate_policy::{Description, Grant, Restriction, Rule};

/// A field of an outcome that differs.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) expected: String,
    pub(super) got: String,
}

/// What is wrong with a case that did not pass: a heading, the fields that differ, and the rule that decided.
pub(super) struct Difference {
    pub(super) heading: &'static str,
    pub(super) fields: Vec<Field>,
    pub(super) because: String,
}

/// What is wrong with a case; nothing if it passed.
pub(super) fn of(file: &TestFile, ran: &Ran<'_>) -> Option<Difference> {
    let description = file.subject.description();
    let because = ran
        .answer()
        .map(|answer| in_words(&answer.rule, description))
        .unwrap_or_default();
    match ran.verdict() {
        Verdict::Passed => None,
        Verdict::Differs => Some(Difference {
            heading: "it came out differently",
            fields: ran
                .answer()
                .map(|answer| fields(&ran.case.expected, &answer.outcome))
                .unwrap_or_default(),
            because,
        }),
        Verdict::Disagree => Some(Difference {
            heading: "natively and compiled it came out differently, which is a mistake of scopegate",
            fields: disagreement(ran, description),
            because: String::new(),
        }),
        Verdict::Fault => {
            let faults = [&ran.native, &ran.compiled].into_iter().flatten();
            Some(Difference {
                heading: "the policy failed, which a server refuses with 503",
                fields: Vec::new(),
                because: faults
                    .filter_map(|answer| answer.as_ref().err().cloned())
                    .collect::<Vec<_>>()
                    .join("; "),
            })
        }
    }
}

fn fields(expected: &Outcome, got: &Outcome) -> Vec<Field> {
    let (expected, got) = (parts(expected), parts(got));
    let names = ["outcome", "reason", "about", "clusters"];
    let all = names.into_iter().zip(expected.into_iter().zip(got));
    all.filter(|(_, (expected, got))| expected != got)
        .map(|(name, (expected, got))| Field {
            name,
            expected,
            got,
        })
        .collect()
}

/// Outcome, reason, what it is about, visible clusters.
fn parts(outcome: &Outcome) -> [String; 4] {
    let none = || "-".to_owned();
    match outcome {
        Outcome::Allow(visible) if visible.is_empty() => {
            ["allowed".to_owned(), none(), none(), "none".to_owned()]
        }
        Outcome::Allow(visible) => {
            let ids: Vec<&str> = visible.iter().map(String::as_str).collect();
            ["allowed".to_owned(), none(), none(), ids.join(", ")]
        }
        Outcome::Deny { reason, about } => [
            "refused".to_owned(),
            reason.clone(),
            about.clone().unwrap_or_else(none),
            none(),
        ],
    }
}

fn disagreement(ran: &Ran<'_>, description: &Description) -> Vec<Field> {
    let shown = |answer: &Option<Result<Answer, String>>| match answer {
        Some(Ok(answer)) => format!(
            "{}; {}",
            answer.outcome,
            in_words(&answer.rule, description)
        ),
        Some(Err(why)) => why.clone(),
        None => "-".to_owned(),
    };
    let case = |name, answer| Field {
        name,
        expected: ran.case.expected.to_string(),
        got: shown(answer),
    };
    vec![case("native", &ran.native), case("compiled", &ran.compiled)]
}

/// The rule that decided, such as ``route `GET /v1/nodes`, granted by the role `viewer` ``.
pub(super) fn in_words(rule: &Rule, description: &Description) -> String {
    let route = rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let Some(route) = route else {
        return "no route".to_owned();
    };
    let mut words = vec![format!("route `{} {}`", route.method, route.pattern)];
    match rule.grant {
        Grant::None => {}
        Grant::Role(index) => {
            let role = description.roles.get(index as usize);
            let name = role.map(|role| role.name.as_str()).unwrap_or_default();
            words.push(format!("granted by the role `{name}`"));
        }
        Grant::Permission => words.push("granted by the caller's own permissions".to_owned()),
        Grant::Public => words.push("which is public".to_owned()),
    }
    words.extend(restriction(rule.restriction).map(str::to_owned));
    words.join(", ")
}

fn restriction(restriction: Restriction) -> Option<&'static str> {
    match restriction {
        Restriction::None => None,
        Restriction::Scopes => Some("restricted by the key's scopes"),
        Restriction::AuthorityClusters => Some("restricted by the user's clusters"),
        Restriction::KeyClusters => Some("restricted by the key's clusters"),
        Restriction::AgentCluster => Some("restricted to the agent's cluster"),
        Restriction::ReadOnly => Some("where keys may only read"),
    }
}
