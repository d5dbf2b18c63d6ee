//! Clusters: choosing among them.

use jiff::Timestamp;
use serde::Deserialize;

use super::{calls::query, keys::Listed, problem::Problem, visitor::Visitor};

/// As many as a picker shows: further ones are for the API and the command line.
const PICKED_MAX: usize = 1000;

/// A cluster, as the API shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) created_at: Timestamp,
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
