//! The smallest example of a difference: who it is about, and how it looks in a file of tests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Origin;
use crate::condition::written_time;
use crate::facts::{Caller, CallerKind, Clusters, Outcome, Request};
use crate::generate::{Case, NOW, SOMEONE};

/// A case that two policies answer differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Who is concerned, such as `` `viewer` `` or `any user`.
    pub who: String,
    /// Where the case comes from that it was made of: `generated`, or the place of a recorded request or a test case. What
    /// the difference does not need is taken away.
    pub from: String,
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub request: Request,
    /// The old policy's answer.
    pub before: Outcome,
    /// The new policy's answer.
    pub after: Outcome,
    /// The caller as a line under `callers:` in a file of tests; none for who presents nothing, which every file has.
    pub test_caller: Option<String>,
    /// The question and the new policy's answer as a line under `cases:`; none where a header stands twice, which no
    /// file of tests can say.
    pub test_case: Option<String>,
}

impl Example {
    pub(super) fn new(
        case: Case,
        origin: Option<&Origin>,
        before: Outcome,
        after: Outcome,
    ) -> Self {
        Self {
            from: origin.map_or("generated", |origin| origin).to_owned(),
            who: who(&case.caller, case.request.now),
            caller: case.caller,
            request: case.request,
            before,
            after,
            test_caller: None,
            test_case: None,
        }
    }

    /// How much the example says.
    pub(super) fn facts(&self) -> usize {
        let Caller {
            kind,
            roles,
            permissions,
            scopes,
            clusters,
            allowed_clusters,
            ..
        } = &self.caller;
        let kind = match kind {
            CallerKind::Anonymous => 0,
            CallerKind::Session => 1,
            CallerKind::ApiKey | CallerKind::Agent => 2,
        };
        let ids = |clusters: &Clusters| match clusters {
            Clusters::All => 0,
            Clusters::Only(ids) => 1 + ids.len(),
        };
        kind + roles.len()
            + permissions.len()
            + scopes.as_ref().map_or(0, |scopes| 1 + scopes.len())
            + ids(clusters)
            + ids(allowed_clusters)
            + self.request.query.len()
            + self.request.headers.len()
            + usize::from(self.request.address.is_some())
            + usize::from(self.request.now != NOW)
            + usize::from(age_secs(&self.caller, self.request.now) != 0)
            + usize::from(self.caller.mfa)
            + usize::from(self.caller.subject != SOMEONE)
            + self.request.path.split('/').count()
    }
}

/// The callers of a file of tests, each under a name of its own.
#[derive(Default)]
pub(super) struct CallerNames {
    by_name: BTreeMap<String, String>,
}

impl CallerNames {
    /// Writes the example's lines.
    pub(super) fn give(&mut self, example: &mut Example) {
        let is_anonymous = example.caller.kind == CallerKind::Anonymous;
        let definition = definition(&example.caller, example.request.now);
        let base = name(&example.caller, example.request.now);
        let mut unique = base.clone();
        let mut number = 1;
        while self
            .by_name
            .get(&unique)
            .is_some_and(|other| *other != definition)
        {
            number += 1;
            unique = format!("{base}-{number}");
        }
        if !is_anonymous {
            example.test_caller = Some(format!("{unique}: {definition}"));
        }
        let Example { request, after, .. } = example;
        let asked = quoted(&format!(
            "{} {}{}",
            request.method,
            request.path,
            query(request)
        ));
        let line = format!(
            "- {{ name: {}, caller: {}, request: {asked},{} {} }}",
            quoted(&format!(
                "{} asks for {} {}",
                unique, request.method, request.path
            )),
            quoted(&unique),
            beside(request),
            expected(after)
        );
        let mut names: Vec<&String> = request.headers.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let is_sayable = names.is_sorted_by(|a, b| a < b)
            && is_sayable(&example.caller, request.now)
            && (example.caller.subject == SOMEONE
                || unique == example.caller.subject
                || is_anonymous);
        example.test_case = is_sayable.then_some(line);
        self.by_name.insert(unique, definition);
    }
}

/// What goes beside a request: headers, the address and the moment.
fn beside(request: &Request) -> String {
    let mut beside = String::new();
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", quoted(value)))
        .collect();
    if !headers.is_empty() {
        beside.push_str(&format!(" headers: {{ {} }},", headers.join(", ")));
    }
    if let Some(address) = request.address {
        beside.push_str(&format!(" address: \"{address}\","));
    }
    if request.now != NOW {
        beside.push_str(&format!(" now: \"{}\",", written_time(request.now)));
    }
    beside
}

/// Whether a file of tests can say how old the credential is.
fn is_sayable(caller: &Caller, now: i64) -> bool {
    let minutes_max = match caller.kind {
        CallerKind::Session => 7 * 24 * 60,
        _ => 365 * 24 * 60,
    };
    let age = age_secs(caller, now);
    age % 60 == 0 && (0..=minutes_max).contains(&(age / 60))
}

fn who(caller: &Caller, now: i64) -> String {
    let held = match (caller.roles.as_slice(), caller.permissions.as_slice()) {
        ([], []) => None,
        ([], permissions) => Some(format!("a custom role with {}", listed(permissions))),
        (roles, []) => Some(listed(roles)),
        (roles, permissions) => Some(format!("{} with {}", listed(roles), listed(permissions))),
    };
    let mut who = match (caller.kind, held) {
        (CallerKind::Anonymous, _) => return "anyone, without a credential".to_owned(),
        (CallerKind::Agent, _) => "agents".to_owned(),
        (CallerKind::Session, _) if caller.operator => "operators".to_owned(),
        (CallerKind::Session, None) => "any user".to_owned(),
        (CallerKind::Session, Some(held)) => held,
        (CallerKind::ApiKey, None) => "any key".to_owned(),
        (CallerKind::ApiKey, Some(held)) => format!("keys of {held}"),
    };
    match caller.scopes.as_deref() {
        None => {}
        Some([]) => who.push_str(" without a scope"),
        Some(scopes) => who.push_str(&format!(" with the scope {}", listed(scopes))),
    }
    if caller.kind != CallerKind::Agent
        && !caller.operator
        && (caller.clusters.is_restricted() || caller.allowed_clusters.is_restricted())
    {
        who.push_str(", restricted to clusters");
    }
    if caller.subject != SOMEONE {
        who.push_str(&format!(", called `{}`", caller.subject));
    }
    if age_secs(caller, now) != 0 {
        who.push_str(match caller.kind {
            CallerKind::Session => ", signed in long ago",
            _ => ", minted long ago",
        });
    }
    if caller.mfa {
        who.push_str(", with a second factor");
    }
    who
}

/// How long ago the credential was made. What is left of it in a smallest example is needed.
fn age_secs(caller: &Caller, now: i64) -> i64 {
    let time = caller.auth_time.or(caller.credential_created);
    time.map_or(0, |time| now.saturating_sub(time))
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" and ")
}

/// A name for the caller in a file of tests.
fn name(caller: &Caller, now: i64) -> String {
    let mut name = match caller.kind {
        CallerKind::Anonymous => return "anonymous".to_owned(),
        CallerKind::Session if caller.operator => "operator".to_owned(),
        _ if caller.subject != SOMEONE => return caller.subject.clone(),
        CallerKind::Agent => format!("agent-{}", caller.agent_cluster.as_deref().unwrap_or("x")),
        CallerKind::Session | CallerKind::ApiKey => {
            let held = caller.roles.iter().chain(&caller.permissions);
            match held.map(String::as_str).collect::<Vec<_>>().join("-") {
                held if held.is_empty() => "nobody".to_owned(),
                held => held.replace(':', "-").replace('*', "all"),
            }
        }
    };
    let is_restricted = caller.clusters.is_restricted() || caller.allowed_clusters.is_restricted();
    for (has, word) in [
        (caller.kind == CallerKind::ApiKey, "-key"),
        (
            is_restricted && !caller.operator && caller.kind != CallerKind::Agent,
            "-restricted",
        ),
        (age_secs(caller, now) != 0, "-stale"),
        (caller.mfa, "-mfa"),
    ] {
        if has {
            name.push_str(word);
        }
    }
    name
}

/// The caller as a file of tests defines it.
fn definition(caller: &Caller, now: i64) -> String {
    let texts = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        format!("[{}]", names.join(", "))
    };
    let mut user = match (caller.roles.as_slice(), caller.permissions.as_slice()) {
        ([role], []) => format!("role: {role}"),
        (_, permissions) => format!("permissions: {}", texts(permissions)),
    };
    if let Clusters::Only(ids) = &caller.clusters {
        user.push_str(&format!(", clusters: {}", texts(ids)));
    }
    let mut parts = Vec::new();
    match caller.kind {
        CallerKind::Session if caller.operator => parts.push("operator: true".to_owned()),
        CallerKind::Agent => {
            let own = caller.agent_cluster.as_deref().unwrap_or_default();
            parts.push(format!("agent: {}", quoted(own)));
        }
        CallerKind::Anonymous | CallerKind::Session => {
            parts.push(format!("session: {{ {user} }}"));
        }
        CallerKind::ApiKey => {
            let mut key = format!("owner: {{ {user} }}");
            if let Some(scopes) = &caller.scopes {
                key.push_str(&format!(", scopes: {}", texts(scopes)));
            }
            if let Clusters::Only(ids) = &caller.allowed_clusters {
                key.push_str(&format!(", allowed_cluster_ids: {}", texts(ids)));
            }
            parts.push(format!("key: {{ {key} }}"));
        }
    }
    let minutes = age_secs(caller, now) / 60;
    if minutes != 0 {
        let key = match caller.kind {
            CallerKind::Session => "signed_in_minutes_ago",
            _ => "minted_minutes_ago",
        };
        parts.push(format!("{key}: {minutes}"));
    }
    if caller.mfa {
        parts.push("mfa: true".to_owned());
    }
    format!("{{ {} }}", parts.join(", "))
}

fn query(request: &Request) -> String {
    let mut text = String::new();
    for (name, value) in &request.query {
        text.push(if text.is_empty() { '?' } else { '&' });
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
    }
    text
}

/// Percent-encodes all but what RFC 3986 leaves unreserved.
fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn expected(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(Clusters::All) => "expect: all".to_owned(),
        Outcome::Allow(Clusters::Only(ids)) if ids.is_empty() => "expect: none".to_owned(),
        Outcome::Allow(Clusters::Only(ids)) => {
            let ids: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
            format!("expect: [{}]", ids.join(", "))
        }
        Outcome::Deny(reason) => match reason.subject() {
            Some(subject) => format!("expect: {}, about: {}", reason.code(), quoted(subject)),
            None => format!("expect: {}", reason.code()),
        },
    }
}

/// A YAML text that needs no more care: bare where it is a word, else in double quotes.
fn quoted(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./ ".contains(&byte))
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
