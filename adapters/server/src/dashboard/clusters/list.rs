//! The list of clusters, a page at a time, with their agents.

use askama::Template;
use axum::{body::Body, response::Response};

use super::{
    Cluster, PAGE,
    agent::{self, Agent, Shown},
};
use crate::dashboard::{
    calls::query,
    keys::Listed,
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "clusters/list.html")]
struct Page {
    shell: Shell,
    clusters: Vec<Row>,
    may_connect: bool,
    may_see_agents: bool,
    /// Whether older tokens were not looked at.
    more_agents: bool,
    /// The address of the next page.
    next: Option<String>,
    /// Whether this is not the first one.
    later: bool,
}

#[derive(Debug)]
struct Row {
    page: String,
    id: String,
    connected: Moment,
    /// Those that open something.
    agents: Vec<Shown>,
}

impl Row {
    fn of(cluster: Cluster, agents: &[Agent], visitor: &Visitor) -> Self {
        let alive = agents
            .iter()
            .filter(|agent| agent.cluster == cluster.id && agent.is_alive());
        Self {
            page: cluster.page(),
            connected: visitor.moment(cluster.created_at),
            agents: alive.map(|agent| agent.clone().shown(visitor)).collect(),
            id: cluster.id,
        }
    }
}

/// The page of the list that the address asks for.
pub(super) async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let cursor = visitor.query.one("cursor");
    let asked = query([("cursor", cursor)]);
    let found: Listed<Cluster> = visitor.calls.read(format!("/clusters{asked}")).await?;
    let next = found.next_cursor.as_deref();
    let next = next.map(|next| format!("{PAGE}{}", query([("cursor", next)])));
    let may_see_agents = visitor.may("manage:agents");
    let (agents, more_agents) = match may_see_agents && !found.items.is_empty() {
        true => agent::all(&visitor).await?,
        false => (Vec::new(), false),
    };
    let clusters = found.items.into_iter();
    let clusters = clusters.map(|cluster| Row::of(cluster, &agents, &visitor));
    Ok(ok(&Page {
        shell: visitor.shell("Clusters"),
        clusters: clusters.collect(),
        may_connect: may_connect(&visitor),
        may_see_agents,
        more_agents,
        next,
        later: !cursor.is_empty(),
    }))
}

/// Whether the visitor may connect clusters: a new one is beyond the bounds of whoever is restricted to some.
pub(super) fn may_connect(visitor: &Visitor) -> bool {
    visitor.may("manage:clusters") && visitor.me.clusters.is_none()
}
