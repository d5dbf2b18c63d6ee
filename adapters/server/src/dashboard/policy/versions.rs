//! Which policies were active, going back to one, and the one in the shadow: for operators.

use askama::Template;
use axum::{body::Body, response::Response};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::PAGE;
use crate::dashboard::{
    calls::{Call, part, query},
    moment::Moment,
    page::{Shell, ok, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// A policy that is kept.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) active: bool,
    pub(super) activated: Moment,
    pub(super) by: String,
    pub(super) source: &'static str,
}

#[derive(Deserialize)]
struct Kept {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    digest: String,
    name: String,
    version: String,
    active: bool,
    activated_at: Timestamp,
    activated_by: String,
    source: String,
}

/// Those that are kept, the active one first.
///
/// # Errors
/// What the API says instead.
pub(super) async fn kept(visitor: &Visitor) -> Result<Vec<Version>, Problem> {
    let kept: Kept = visitor.calls.read("/policies").await?;
    let versions = kept.items.into_iter().map(|item| Version {
        name: item.name,
        version: item.version,
        digest: item.digest,
        active: item.active,
        activated: visitor.moment(item.activated_at),
        by: item.activated_by,
        source: match item.source.as_str() {
            "start" => "the configuration, at a start",
            "file" => "its file, which had changed",
            "push" => "pushed",
            "rollback" => "gone back to",
            "promote" => "promoted from the shadow",
            _ => "gone back to by the gate, because the one after it failed",
        },
    });
    Ok(versions.collect())
}

/// A gate that serves from the same store.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) policy: String,
    pub(super) since: Moment,
    pub(super) seen: Moment,
    pub(super) here: bool,
    pub(super) follows: bool,
    pub(super) problem: Option<String>,
}

/// The gates that serve from the same store, if there are several.
///
/// # Errors
/// What the API says instead.
pub(super) async fn gates(visitor: &Visitor) -> Result<Vec<Gate>, Problem> {
    #[derive(Deserialize)]
    struct Nodes {
        items: Vec<Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        name: String,
        version: String,
        policy: String,
        since: Timestamp,
        seen_at: Timestamp,
        here: bool,
        follows: bool,
        problem: Option<String>,
    }
    let nodes: Nodes = visitor.calls.read("/policies/nodes").await?;
    if nodes.items.len() < 2 {
        return Ok(Vec::new());
    }
    let gates = nodes.items.into_iter().map(|node| Gate {
        name: node.name,
        version: node.version,
        policy: node.policy,
        since: visitor.moment(node.since),
        seen: visitor.moment(node.seen_at),
        here: node.here,
        follows: node.follows,
        problem: node.problem,
    });
    Ok(gates.collect())
}

/// The policy in the shadow, and what it answers otherwise.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) pushed: Moment,
    pub(super) by: String,
    pub(super) asked: u64,
    pub(super) same: u64,
    pub(super) different: u64,
    pub(super) faults: u64,
    pub(super) skipped: u64,
    pub(super) unlisted: u64,
    pub(super) differences: Vec<Difference>,
}

/// A kind of difference on a route.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) kind: &'static str,
    pub(super) class: &'static str,
    pub(super) route: String,
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

#[derive(Deserialize)]
struct Status {
    digest: String,
    name: String,
    version: String,
    pushed_at: Timestamp,
    pushed_by: String,
    asked: u64,
    same: u64,
    different: u64,
    faults: u64,
    skipped: u64,
    unlisted: u64,
    differences: Vec<Differs>,
}

#[derive(Deserialize)]
struct Differs {
    kind: String,
    route: Option<String>,
    count: u64,
    examples: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    method: String,
    path: String,
    caller: ExampleCaller,
    active: Value,
    shadow: Value,
}

#[derive(Deserialize)]
struct ExampleCaller {
    kind: String,
    name: Option<String>,
    roles: Vec<String>,
}

/// What is in the shadow, if anything is.
///
/// # Errors
/// What the API says instead.
pub(super) async fn shadow(visitor: &Visitor) -> Result<Option<Shadow>, Problem> {
    let status: Status = match visitor.calls.read("/policies/shadow").await {
        Ok(status) => status,
        Err(problem) if problem.status == StatusCode::NOT_FOUND => return Ok(None),
        Err(problem) => return Err(problem),
    };
    Ok(Some(Shadow {
        name: status.name,
        version: status.version,
        digest: status.digest,
        pushed: visitor.moment(status.pushed_at),
        by: status.pushed_by,
        asked: status.asked,
        same: status.same,
        different: status.different,
        faults: status.faults,
        skipped: status.skipped,
        unlisted: status.unlisted,
        differences: status.differences.into_iter().map(Into::into).collect(),
    }))
}

impl From<Differs> for Difference {
    fn from(differs: Differs) -> Self {
        let (kind, class) = match differs.kind.as_str() {
            "newly-allowed" => ("Newly allowed", "revoked"),
            "newly-refused" => ("Newly refused", "expiring"),
            "other-clusters" => ("Other clusters", "expiring"),
            "other-list" => ("Another list", "expiring"),
            "other-reason" => ("Another reason", "expired"),
            _ => ("Failed", "revoked"),
        };
        Self {
            kind,
            class,
            route: differs.route.unwrap_or_else(|| "no route".to_owned()),
            count: differs.count,
            examples: differs.examples.iter().map(example).collect(),
        }
    }
}

fn example(example: &Example) -> String {
    let Example {
        method,
        path,
        caller,
        ..
    } = example;
    let who = caller.name.as_deref().unwrap_or(&caller.kind);
    let roles = match caller.roles.is_empty() {
        true => String::new(),
        false => format!(" ({})", caller.roles.join(", ")),
    };
    let (active, shadow) = (answer(&example.active), answer(&example.shadow));
    format!("{method} {path} by {who}{roles}: {active} now, {shadow} then")
}

/// One of two answers in words.
fn answer(answer: &Value) -> String {
    let member = |name: &str| answer.get(name).and_then(Value::as_str);
    match member("outcome") {
        Some("allow") => match answer.get("clusters").and_then(Value::as_array) {
            None => "allowed".to_owned(),
            Some(ids) => {
                let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
                format!("allowed for {}", ids.join(", "))
            }
        },
        _ => match member("about") {
            Some(about) => format!("refused ({} {about})", member("reason").unwrap_or("?")),
            None => format!("refused ({})", member("reason").unwrap_or("?")),
        },
    }
}

#[derive(Template)]
#[template(path = "policy/activate.html")]
struct Activate {
    shell: Shell,
    to: Version,
    from: Option<Version>,
}

/// Asks whether one really goes back to a policy.
pub(super) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let digest = visitor.query.one("digest");
    let (mut from, mut to) = (None, None);
    for version in kept(&visitor).await? {
        if version.digest == digest {
            to = Some(version);
        } else if version.active {
            from = Some(version);
        }
    }
    let to = to.ok_or_else(Problem::nothing)?;
    Ok(ok(&Activate {
        shell: visitor.shell("Go back to this policy?"),
        to,
        from,
    }))
}

/// Makes it the active one.
pub(super) async fn activate(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let digest = fields.one("digest");
    let path = format!("/policies/{}/activate", part(digest));
    visitor.calls.make(Call::new(Method::POST, path)).await?;
    Ok(see_done(PAGE, "activated"))
}

/// Makes the one in the shadow the active one: the one that was looked at, no other.
pub(super) async fn promote(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let meant = query([("digest", fields.one("digest"))]);
    let promote = Call::new(Method::POST, format!("/policies/shadow/promote{meant}"));
    visitor.calls.make(promote).await?;
    Ok(see_done(PAGE, "activated"))
}

/// Empties the shadow.
pub(super) async fn drop(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let meant = query([("digest", fields.one("digest"))]);
    let drop = Call::new(Method::DELETE, format!("/policies/shadow{meant}"));
    visitor.calls.make(drop).await?;
    Ok(see_done(PAGE, "dropped"))
}
