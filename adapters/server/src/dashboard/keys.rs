//! API keys: lists, one key, making one, what is shown once, rotating and revoking.

mod create;
mod end;
mod list;
mod one;
mod shown;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Site,
    calls::part,
    moment::Moment,
    problem::{Problem, Stop},
    visitor::Visitor,
};

pub(super) use end::{OVERLAP, ends, overlaps};
pub(super) use list::{Choice, Listed, Table, choices, of_user};

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/-/keys", get(list::own))
        .route("/-/keys/all", get(list::all))
        .route("/-/keys/new", get(create::ask).post(create::make))
        .route("/-/keys/new/preview", post(create::preview))
        .route("/-/keys/try", post(shown::attempt))
        .route("/-/keys/{key}", get(one::show))
        .route(
            "/-/keys/{key}/rotate",
            get(end::ask_rotate).post(end::rotate),
        )
        .route(
            "/-/keys/{key}/revoke",
            get(end::ask_revoke).post(end::revoke),
        )
}

/// A key, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: Uuid,
    pub(super) name: String,
    prefix: String,
    last_four: String,
    owner: Option<Owner>,
    scopes: Option<Vec<String>>,
    allowed_cluster_ids: Vec<String>,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    retires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    state: String,
    predecessor: Option<Uuid>,
    successor: Option<Uuid>,
}

/// Whose it is.
#[derive(Clone, Debug, Deserialize)]
struct Owner {
    id: Uuid,
    email: Option<String>,
}

/// A new credential.
#[derive(Deserialize)]
pub(super) struct Minted<T> {
    #[serde(flatten)]
    pub(super) credential: T,
    /// `None` where the form was sent again.
    pub(super) secret: Option<String>,
}

/// A state as a badge: its class and its words.
#[derive(Clone, Debug)]
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) words: &'static str,
}

impl Badge {
    /// Of a credential's state.
    pub(super) fn of(state: &str) -> Self {
        let (class, words) = match state {
            "active" => ("active", "Active"),
            "expiring" => ("expiring", "Expires soon"),
            "expired" => ("expired", "Expired"),
            _ => ("revoked", "Revoked"),
        };
        Self { class, words }
    }
}

/// A key as pages show it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// How it begins and ends.
    pub(super) hint: String,
    pub(super) owner: Option<(Uuid, String)>,
    /// Empty where it is not narrowed.
    pub(super) scopes: Vec<String>,
    /// Empty: every cluster.
    pub(super) clusters: Vec<String>,
    pub(super) created: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) retires: Option<Moment>,
    pub(super) revoked: Option<Moment>,
    pub(super) badge: Badge,
    /// Whether it opens anything.
    pub(super) is_alive: bool,
    pub(super) predecessor: Option<Uuid>,
    pub(super) successor: Option<Uuid>,
}

impl Shown {
    /// As this visitor sees it now.
    pub(super) fn of(key: Key, visitor: &Visitor) -> Self {
        Self {
            id: key.id,
            hint: format!("{}…{}", key.prefix, key.last_four),
            owner: key.owner.map(|owner| {
                let email = owner.email.unwrap_or_else(|| owner.id.to_string());
                (owner.id, email)
            }),
            scopes: key.scopes.unwrap_or_default(),
            clusters: key.allowed_cluster_ids,
            created: visitor.moment(key.created_at),
            last_used: visitor.moment_of(key.last_used_at),
            expires: visitor.moment_of(key.expires_at),
            retires: visitor.moment_of(key.retires_at),
            revoked: visitor.moment_of(key.revoked_at),
            is_alive: matches!(key.state.as_str(), "active" | "expiring"),
            badge: Badge::of(&key.state),
            name: key.name,
            predecessor: key.predecessor,
            successor: key.successor,
        }
    }
}

/// A key that the visitor may look at: their own, or for administrators anybody's; and where the API has it.
async fn find(visitor: &Visitor, key: &str) -> Result<(Key, String), Stop> {
    let own = format!("/keys/{}", part(key));
    let problem = match visitor.calls.read(&own).await {
        Ok(found) => return Ok((found, own)),
        Err(problem) => problem,
    };
    if problem.status == http::StatusCode::NOT_FOUND && visitor.may("manage:keys") {
        let anybodys = format!("/organization/keys/{}", part(key));
        let found = visitor.calls.read(&anybodys).await.map_err(named)?;
        return Ok((found, anybodys));
    }
    Err(named(problem).into())
}

/// An id that is none names nothing.
pub(super) fn named(problem: Problem) -> Problem {
    match problem.status {
        http::StatusCode::NOT_FOUND => Problem::nothing(),
        _ => problem,
    }
}
