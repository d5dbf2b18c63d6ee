//! Clusters and the agents in them: lists, connecting one, its agents' tokens, removing it; and choosing among them.

mod agent;
mod connect;
mod install;
mod list;
mod one;
mod token;

use std::sync::Arc;

use axum::{Router, routing::get};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Site, calls::query, keys::Listed, page::part, problem::Problem, visitor::Visitor};

/// Where the list is.
const PAGE: &str = "/-/clusters";

/// As many as a picker shows: further ones are for the API and the command line.
const PICKED_MAX: usize = 1000;

/// A cluster, as the API shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) created_at: Timestamp,
}

impl Cluster {
    /// Its page.
    fn page(&self) -> String {
        format!("{PAGE}/{}", part(&self.id, &["connect"]))
    }
}

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(list::show))
        .route(
            "/-/clusters/connect",
            get(connect::ask).post(connect::connect),
        )
        .route("/-/clusters/{cluster}", get(one::show))
        .route(
            "/-/clusters/{cluster}/remove",
            get(one::ask_remove).post(one::remove),
        )
        .route(
            "/-/clusters/{cluster}/agents/new",
            get(token::ask).post(token::mint),
        )
        .route(
            "/-/clusters/{cluster}/agents/{agent}/rotate",
            get(token::ask_rotate).post(token::rotate),
        )
        .route(
            "/-/clusters/{cluster}/agents/{agent}/revoke",
            get(token::ask_revoke).post(token::revoke),
        )
}

/// The cluster of this id, if the visitor sees one. The API shows none alone, but all in a list.
async fn find(visitor: &Visitor, id: &str) -> Result<Cluster, Problem> {
    let mut cursor = String::new();
    loop {
        let asked = query([("id", id), ("limit", "200"), ("cursor", &cursor)]);
        let found: Listed<Cluster> = visitor.calls.read(format!("/clusters{asked}")).await?;
        let mut clusters = found.items.into_iter();
        if let Some(cluster) = clusters.find(|cluster| cluster.id == id) {
            return Ok(cluster);
        }
        match found.next_cursor {
            Some(next) => cursor = next,
            None => return Err(Problem::nothing()),
        }
    }
}

/// A cluster to choose.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) id: String,
    pub(super) chosen: bool,
}

impl Picked {
    /// Those that the visitor sees; some are chosen.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn all(visitor: &Visitor, chosen: &[String]) -> Result<Vec<Self>, Problem> {
        let mut picked = Vec::new();
        let mut cursor = String::new();
        loop {
            let asked = query([("limit", "200"), ("cursor", &cursor)]);
            let found: Listed<Cluster> = visitor.calls.read(format!("/clusters{asked}")).await?;
            picked.extend(found.items.into_iter().map(|cluster| Self {
                chosen: chosen.contains(&cluster.id),
                id: cluster.id,
            }));
            match found.next_cursor {
                Some(next) if picked.len() < PICKED_MAX => cursor = next,
                _ => return Ok(picked),
            }
        }
    }
}
