//! Rotating a key, with an overlap, and revoking one.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::{
    Key, Minted, Shown, find,
    list::{Choice, choices},
    shown,
};
use crate::dashboard::{
    calls::Call,
    fields::Fields,
    page::{Shell, html, ok, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// How long the old key lives on, in seconds, and how it reads.
const OVERLAPS: [(&str, &str); 5] = [
    ("0", "At once"),
    ("3600", "In an hour"),
    ("86400", "In a day"),
    ("604800", "In a week"),
    ("2592000", "In 30 days"),
];
/// What is chosen at first.
pub(in crate::dashboard) const OVERLAP: &str = "86400";

#[derive(Template)]
#[template(path = "keys/revoke.html")]
struct Revoke {
    shell: Shell,
    key: Shown,
    back: String,
}

/// Asks whether a key is really meant.
pub(super) async fn ask_revoke(
    visitor: Visitor,
    Path(key): Path<String>,
) -> Result<Response<Body>, Stop> {
    let (key, path) = find(&visitor, &key).await?;
    let back = back(&visitor, &visitor.query, &path, &key);
    Ok(ok(&Revoke {
        shell: visitor.shell(format!("Revoke {}", key.name)),
        back,
        key: Shown::of(key, &visitor),
    }))
}

/// The list that one came from.
fn back(visitor: &Visitor, fields: &Fields, path: &str, key: &Key) -> String {
    let owner = key.owner.as_ref().map(|owner| owner.id);
    match (fields.one("from"), owner) {
        ("user", Some(owner)) if visitor.may("manage:users") => format!("/-/users/{owner}/keys"),
        _ if path.starts_with("/keys/") => "/-/keys".to_owned(),
        _ => "/-/keys/all".to_owned(),
    }
}

/// Revokes it.
pub(super) async fn revoke(
    Path(key): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (key, path) = find(&visitor, &key).await?;
    let call = Call::new(Method::DELETE, path.clone());
    visitor.calls.make(call).await?;
    Ok(see_done(
        &back(&visitor, &fields, &path, &key),
        "key-revoked",
    ))
}

#[derive(Template)]
#[template(path = "keys/rotate.html")]
struct Rotate {
    shell: Shell,
    key: Shown,
    overlaps: Vec<Choice>,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

impl Rotate {
    fn of(visitor: &Visitor, key: Key, overlap: &str, problem: Option<Problem>) -> Self {
        Self {
            shell: visitor.shell(format!("Rotate {}", key.name)),
            key: Shown::of(key, visitor),
            overlaps: overlaps(overlap),
            once: visitor.once(),
            problem: problem.map(|problem| problem.detail),
        }
    }
}

/// Asks how long the old key lives on.
pub(super) async fn ask_rotate(
    visitor: Visitor,
    Path(key): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let key: Key = visitor
        .calls
        .read(format!("/keys/{}", super::part(&key)))
        .await?;
    Ok(ok(&Rotate::of(&visitor, key, OVERLAP, None)))
}

/// Makes its successor and shows that once.
pub(super) async fn rotate(
    Path(key): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let path = format!("/keys/{}", super::part(&key));
    let old: Key = visitor.calls.read(&path).await?;
    let overlap = fields.one("overlap");
    let (once, shown_at) = visitor.shown_at(fields.one("once"));
    let Some(retires_at) = ends(shown_at, overlap) else {
        let problem = Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not a time",
            "Choose when the old key ends.",
        );
        return Ok(html(
            problem.status,
            &Rotate::of(&visitor, old, OVERLAP, Some(problem)),
        ));
    };
    let call = Call::post(
        format!("{path}/rotate"),
        &json!({ "retires_at": retires_at }),
    );
    match visitor.calls.make(call.once(&once.to_string())).await {
        Ok(answer) => {
            let minted: Minted<Key> = answer.read()?;
            shown::page(&visitor, minted, Some(visitor.moment(retires_at)))
        }
        Err(problem) if problem.is_of_form() => Ok(html(
            problem.status,
            &Rotate::of(&visitor, old, overlap, Some(problem)),
        )),
        Err(problem) => Err(problem.into()),
    }
}

/// The choices, one of them chosen.
pub(in crate::dashboard) fn overlaps(chosen: &str) -> Vec<Choice> {
    choices(&OVERLAPS, chosen)
}

/// When an overlap that begins now is over, if it is one of those that are offered.
pub(in crate::dashboard) fn ends(now: Timestamp, overlap: &str) -> Option<Timestamp> {
    let (known, _) = OVERLAPS.iter().find(|(known, _)| *known == overlap)?;
    let seconds = known.parse().ok()?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}
