//! Agents' tokens, as pages show them.

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::dashboard::{
    calls::{part, query},
    keys::{Badge, Listed, named},
    moment::Moment,
    problem::Problem,
    visitor::Visitor,
};

/// As many as are looked through for those of a cluster: the API lists the newest first.
const LOOKED_THROUGH_MAX: usize = 1000;

/// A token, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Agent {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) cluster: String,
    prefix: String,
    last_four: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    retires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    state: String,
    successor: Option<Uuid>,
}

/// A token as pages show it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// How it begins and ends.
    pub(super) hint: String,
    pub(super) created: Moment,
    pub(super) last_seen: Option<Moment>,
    /// When it ends or has ended.
    pub(super) ends: Option<Moment>,
    pub(super) badge: Badge,
    /// Whether it opens anything.
    pub(super) is_alive: bool,
    pub(super) has_successor: bool,
}

impl Agent {
    /// Whether it opens anything.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state.as_str(), "active" | "expiring")
    }

    /// How it begins and ends.
    pub(super) fn hint(&self) -> String {
        format!("{}…{}", self.prefix, self.last_four)
    }

    /// As this visitor sees it now.
    pub(super) fn shown(self, visitor: &Visitor) -> Shown {
        let ends = self.revoked_at.or(self.retires_at).or(self.expires_at);
        Shown {
            id: self.id,
            hint: self.hint(),
            created: visitor.moment(self.created_at),
            last_seen: self.last_seen(visitor),
            ends: visitor.moment_of(ends),
            badge: Badge::of(&self.state),
            is_alive: self.is_alive(),
            has_successor: self.successor.is_some(),
            name: self.name,
        }
    }

    /// When the agent was last heard of.
    pub(super) fn last_seen(&self, visitor: &Visitor) -> Option<Moment> {
        visitor.moment_of(self.last_used_at)
    }
}

/// Those of every cluster that the visitor sees, newest first; and whether there are more.
///
/// # Errors
/// What the API says instead.
pub(super) async fn all(visitor: &Visitor) -> Result<(Vec<Agent>, bool), Problem> {
    let mut agents = Vec::new();
    let mut cursor = String::new();
    loop {
        let asked = query([("limit", "200"), ("cursor", &cursor)]);
        let found: Listed<Agent> = visitor.calls.read(format!("/agents{asked}")).await?;
        agents.extend(found.items);
        match found.next_cursor {
            None => return Ok((agents, false)),
            Some(_) if agents.len() >= LOOKED_THROUGH_MAX => return Ok((agents, true)),
            Some(next) => cursor = next,
        }
    }
}

/// The token that an address names, which is this cluster's.
///
/// # Errors
/// What the API says instead.
pub(super) async fn find(visitor: &Visitor, cluster: &str, agent: &str) -> Result<Agent, Problem> {
    let path = format!("/agents/{}", part(agent));
    let found: Agent = visitor.calls.read(path).await.map_err(named)?;
    match found.cluster == cluster {
        true => Ok(found),
        false => Err(Problem::nothing()),
    }
}
