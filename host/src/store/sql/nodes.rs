//! The gates that serve from a store that many share, and what all of them are to serve. Times are by the server's clock, so that
//! those of the gates do not matter.

use uuid::Uuid;

use super::row;
use crate::store::{
    Node, Standing, Store, StoreError,
    database::{postgres::Listener, query},
};

/// How long a gate is listed that is not heard of any more.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3_600_000;

/// What a gate says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Beat<'b> {
    /// Of the process.
    pub(crate) id: Uuid,
    pub(crate) name: &'b str,
    pub(crate) version: &'b str,
    /// The policy that decides there.
    pub(crate) digest: &'b str,
    /// Why it is not the active one.
    pub(crate) problem: Option<&'b str>,
}

/// Now, in milliseconds.
macro_rules! now {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}

impl Store {
    /// What all gates are to serve.
    pub(crate) async fn standing(&self) -> Result<Standing, StoreError> {
        let query = query(
            "SELECT (SELECT digest FROM policies ORDER BY activation DESC LIMIT 1) AS active, \
                    (SELECT source FROM policies ORDER BY activation DESC LIMIT 1) AS source, \
                    (SELECT digest FROM shadow) AS shadow",
        );
        let found = self.look_up(query, row::standing).await?;
        Ok(found.unwrap_or_default())
    }

    /// Hears when what all gates are to serve has changed.
    pub(crate) async fn listen(&self) -> Result<Option<Listener>, StoreError> {
        self.database.listen().await
    }

    /// Says that a gate serves, and what.
    pub(crate) async fn beat(&self, beat: &Beat<'_>) -> Result<(), StoreError> {
        let say = query(concat!(
            "INSERT INTO nodes (id, name, version, started_at, seen_at, digest, since, problem) \
             VALUES ($1, $2, $3, ",
            now!(),
            ", ",
            now!(),
            ", $4, ",
            now!(),
            ", $5) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, digest = excluded.digest, \
             problem = excluded.problem, \
             since = CASE WHEN nodes.digest = excluded.digest THEN nodes.since ELSE excluded.since END",
        ))
        .bind(beat.id)
        .bind(beat.name)
        .bind(beat.version)
        .bind(beat.digest)
        .bind(beat.problem.map(str::to_owned));
        self.database.note(say).await
    }

    /// Takes a gate out that does not serve any more, and those of which nothing was heard for long.
    pub(crate) async fn leave(&self, id: Uuid) -> Result<(), StoreError> {
        let leave = query(concat!(
            "DELETE FROM nodes WHERE id = $1 OR seen_at < ",
            now!(),
            " - $2"
        ));
        self.database
            .note(leave.bind(id).bind(FORGOTTEN_AFTER_MS))
            .await
    }

    /// The gates that serve from this store, by name.
    pub(crate) async fn list_nodes(&self) -> Result<Vec<Node>, StoreError> {
        let query = query(concat!(
            "SELECT id, name, version, started_at, seen_at, digest, since, problem, ",
            now!(),
            " - seen_at AS silent FROM nodes ORDER BY name, started_at, id"
        ));
        self.search(query, row::node).await
    }
}
