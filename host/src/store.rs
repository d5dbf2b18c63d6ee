//! What must last: organizations, users, custom roles, clusters, credentials, sessions, and what was changed by whom.
//!
//! A store is read by questions and changed only by [`Change`]s, each one transaction together with its audit record.
//! Every row that is read is checked; a damaged one is an error that names it. Changes go through
//! [`crate::Directory`], which empties what it holds before a change returns; so only it can apply one.

mod backup;
mod change;
mod conflict;
mod copy;
mod database;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod location;
mod node;
mod origin;
mod page;
mod precondition;
mod records;
mod sql;

pub use backup::{BackupError, InPlace, back_up, restore};
pub use change::{
    Change, Code, Confirmation, LogIn, NewCredential, NewInvitation, NewUser, PolicyActivation,
    PolicyChange, PolicyRefusal, PolicyShadow, Touch,
};
pub use conflict::Conflict;
pub use copy::{Copied, CopyError, copy};
pub use error::{ChangeError, OpenError, StoreError};
pub use location::{
    CONNECTIONS_MAX, CONNECTIONS_MIN, CONTACT_MAX, Location, STATEMENT_TIMEOUT, Server, path_of_url,
};
pub use node::Node;
pub(crate) use node::Standing;
pub use origin::{Actor, CallerVersion, Origin};
pub use page::{
    CredentialColumn, CredentialFilter, CredentialOrder, CredentialPlace, CredentialValue, Page,
};
pub use precondition::{Expected, Idempotency};
pub use records::{
    Cluster, Credential, CredentialFacts, CredentialKind, EXPIRING_SECS, Factor, LoginFacts,
    OpenSession, Organization, Owner, PolicySource, PolicyVersion, Role, Session, SessionFacts,
    ShadowVersion, State, User,
};

pub(crate) use database::Listener;
use std::time::Duration;

use database::{Database, postgres, sqlite};
use sql::Ledger;
pub(crate) use sql::{Applied, Beat};

/// What a store is for. A store made for a demonstration is never served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Real use.
    Serve,
    /// A throwaway demonstration, whose secrets were printed.
    Demo,
}

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make one, readable by its owner alone.
    Create,
    /// Refuse.
    Refuse,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    ledger: Ledger,
    /// Where many gates serve from it: how long one may go on without it.
    contact_max: Option<Duration>,
}

impl Store {
    /// Opens the store at `url` ([`Location::parse`]) and brings it to the schema of this version.
    ///
    /// Whoever opens a file that a server may be using holds its [`crate::lock::StoreLock`].
    pub async fn open(url: &str, purpose: Purpose, missing: Missing) -> Result<Self, OpenError> {
        Self::open_at(&Location::parse(url)?, purpose, missing).await
    }

    /// [`Self::open`], where more is to be said than a URL can.
    pub async fn open_at(
        location: &Location,
        purpose: Purpose,
        missing: Missing,
    ) -> Result<Self, OpenError> {
        let database = match location {
            Location::Sqlite(path) => Database::Sqlite(sqlite::open(path, purpose, missing).await?),
            Location::Postgres(server) => {
                Database::Postgres(postgres::open(server, purpose, missing).await?)
            }
        };
        let mut store = Self::over(database);
        store.contact_max = location.contact_max();
        let ready = async {
            store.carry_over().await?;
            store.find_audit_end().await
        };
        ready.await.map_err(|error| damaged(location, &error))?;
        Ok(store)
    }

    /// Opens the store at `url` for questions alone, also while a server runs on it, or a copy of it. It takes no lock and
    /// changes nothing, whatever the store was made for.
    pub async fn open_to_read(url: &str) -> Result<Self, OpenError> {
        Self::open_to_read_at(&Location::parse(url)?).await
    }

    /// [`Self::open_to_read`], where more is to be said than a URL can.
    pub async fn open_to_read_at(location: &Location) -> Result<Self, OpenError> {
        let database = match location {
            Location::Sqlite(path) => Database::Sqlite(sqlite::open_to_read(path).await?),
            Location::Postgres(server) => Database::Postgres(postgres::open_to_read(server).await?),
        };
        let store = Self::over(database);
        let ready = store.find_audit_end().await;
        ready.map_err(|error| damaged(location, &error))?;
        Ok(store)
    }

    fn over(database: Database) -> Self {
        Self {
            database,
            ledger: Ledger::default(),
            contact_max: None,
        }
    }

    /// Where many gates may serve from this store: how long one that cannot reach it goes on deciding by the policy that was
    /// active there last.
    pub(crate) fn contact_max(&self) -> Option<Duration> {
        self.contact_max
    }

    /// Ends all connections, after writing what is left to write.
    pub async fn close(&self) {
        self.sync_heads();
        self.database.close().await;
    }
}

fn damaged(location: &Location, error: &StoreError) -> OpenError {
    OpenError::Unusable {
        store: location.name(),
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
