//! What must last: organizations, users, custom roles, clusters, credentials, sessions, and what was changed by whom.
//!
//! A store is read by questions and changed only by [`Change`]s, each one transaction together with its audit record.
//! Every row that is read is checked; a damaged one is an error that names it. Changes go through
//! [`crate::Directory`], which empties what it holds before a change returns; so only it can apply one.

mod backup;
mod change;
mod conflict;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod origin;
mod page;
mod precondition;
mod records;
mod sqlite;

use uuid::Uuid;

pub use backup::{BackupError, InPlace, back_up, restore};
pub use change::{
    Change, Code, Confirmation, LogIn, NewCredential, NewInvitation, NewUser, PolicyActivation,
    PolicyChange, PolicyRefusal, PolicyShadow, Touch,
};
pub use conflict::Conflict;
pub use error::{ChangeError, OpenError, StoreError};
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
pub use sqlite::path_of_url;

use crate::{
    audit::{Evidence, Filter, Found, Pruned, Report, Seal, SealError, Searched, Summary, Window},
    key::KeyHash,
};

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
pub enum Store {
    /// One SQLite file, for one gate.
    Sqlite(sqlite::Sqlite),
}

impl Store {
    /// Opens the store at `url` (`sqlite://PATH`) and brings it to the schema of this version.
    ///
    /// Whoever opens a store that a server may be using holds its [`crate::lock::StoreLock`].
    pub async fn open(url: &str, purpose: Purpose, missing: Missing) -> Result<Self, OpenError> {
        let path = path_of_url(url)?;
        let sqlite = sqlite::Sqlite::open(&path, purpose, missing).await?;
        Ok(Self::Sqlite(sqlite))
    }

    /// Opens the store at `url` for questions alone, also while a server runs on it, or a copy of it. It takes no lock and
    /// changes nothing, whatever the store was made for.
    pub async fn open_to_read(url: &str) -> Result<Self, OpenError> {
        let sqlite = sqlite::Sqlite::open_to_read(&path_of_url(url)?).await?;
        Ok(Self::Sqlite(sqlite))
    }

    /// Signs the audit's chain from here on, and exports its heads. To be called before the store is used.
    ///
    /// # Errors
    /// When the heads that were exported before are not of this chain: then the store was put back to an older copy, or
    /// cut off, and the newer heads stay.
    pub async fn seal_audit(&mut self, seal: Seal) -> Result<(), SealError> {
        match self {
            Self::Sqlite(store) => store.seal_audit(seal).await,
        }
    }

    /// Ends all connections, after writing what is left to write.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
        }
    }

    /// Makes one change and its audit record, in one transaction that is on disk when this returns. `false`: there was
    /// nothing to change, such as for a key that is revoked already.
    pub(crate) async fn apply(
        &self,
        change: &Change,
        origin: &Origin,
        now_ms: i64,
    ) -> Result<bool, ChangeError> {
        match self {
            Self::Sqlite(store) => store.apply(change, origin, now_ms).await,
        }
    }

    /// The credential with this hash, and all that its meaning depends on, as of one moment.
    pub async fn find_credential_by_hash(
        &self,
        hash: &KeyHash,
    ) -> Result<Option<CredentialFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_credential_by_hash(hash).await,
        }
    }

    /// The credential with this id, and all that its meaning depends on, as of one moment.
    pub async fn find_credential(&self, id: Uuid) -> Result<Option<CredentialFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_credential(id).await,
        }
    }

    /// The session with this id, and all that its meaning depends on, as of one moment.
    pub async fn find_session(&self, id: Uuid) -> Result<Option<SessionFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_session(id).await,
        }
    }

    /// Who logs in with this e-mail address, in whatever case it is written.
    pub async fn find_login(&self, email: &str) -> Result<Option<LoginFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_login(email).await,
        }
    }

    /// What this user logs in with.
    pub async fn find_login_of(&self, user: Uuid) -> Result<Option<LoginFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_login_of(user).await,
        }
    }

    /// Whether the store answers at all.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.ping().await,
        }
    }

    /// All organizations, by name.
    pub async fn list_organizations(&self) -> Result<Vec<Organization>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_organizations().await,
        }
    }

    /// The users of an organization, or the operators, by e-mail address.
    pub async fn list_users(&self, organization: Option<Uuid>) -> Result<Vec<User>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_users(organization).await,
        }
    }

    /// The custom roles of an organization, by name.
    pub async fn list_roles(&self, organization: Uuid) -> Result<Vec<Role>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_roles(organization).await,
        }
    }

    /// The clusters of an organization by id, deleted ones too.
    pub async fn list_clusters(&self, organization: Uuid) -> Result<Vec<Cluster>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_clusters(organization).await,
        }
    }

    /// The credentials of one kind in an organization, oldest first, revoked ones too.
    pub async fn list_credentials(
        &self,
        organization: Uuid,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_credentials(organization, kind).await,
        }
    }

    /// Audit records that are all of what the filter says, newest first, at most `limit`. `before` is [`Searched::older`] of
    /// the page before. One call looks at a bounded number of records: go on until there is no `older`.
    pub async fn search_audit(
        &self,
        filter: &Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Searched, StoreError> {
        match self {
            Self::Sqlite(store) => store.search_audit(filter, before, limit).await,
        }
    }

    /// What happened to an organization's requests in a span of time. It is counted as their records are added, and costs
    /// no search.
    pub async fn audit_summary(
        &self,
        organization: Uuid,
        window: Window,
    ) -> Result<Summary, StoreError> {
        match self {
            Self::Sqlite(store) => store.audit_summary(organization, window).await,
        }
    }

    /// The audit records after this number, oldest first, at most `limit`.
    pub async fn audit_after(&self, seq: i64, limit: u32) -> Result<Vec<Found>, StoreError> {
        match self {
            Self::Sqlite(store) => store.audit_after(seq, limit).await,
        }
    }

    /// Verifies the audit's chain, as of one moment, in batches. The exported heads must have been read before: what is
    /// written meanwhile is not seen.
    pub async fn verify_audit(&self, evidence: Evidence) -> Result<Report, StoreError> {
        match self {
            Self::Sqlite(store) => store.verify_audit(evidence).await,
        }
    }

    /// The number of the last audit record that this process has written or found.
    pub(crate) fn audit_end(&self) -> i64 {
        match self {
            Self::Sqlite(store) => store.audit_end(),
        }
    }

    /// Adds audit records in one transaction that is on disk when this returns; gives the number of the first.
    pub(crate) async fn append_audit(&self, lines: &[String]) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(store) => store.append_audit(lines).await,
        }
    }

    /// Deletes the audit's segments that were closed before this moment.
    pub(crate) async fn prune_audit(
        &self,
        before_ms: i64,
        now_ms: i64,
    ) -> Result<Pruned, StoreError> {
        match self {
            Self::Sqlite(store) => store.prune_audit(before_ms, now_ms).await,
        }
    }

    /// Deletes what was counted of requests before this moment, and what nobody may look at any more.
    pub(crate) async fn prune_rollup(
        &self,
        before_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.prune_rollup(before_ms, now_ms).await,
        }
    }

    /// Notes when credentials were last admitted, in seconds since the epoch.
    pub(crate) async fn set_last_uses(&self, uses: &[(Uuid, i64)]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.set_last_uses(uses).await,
        }
    }

    /// Forgets the last uses of sessions that ended long ago.
    pub(crate) async fn prune_last_uses(&self, now_ms: i64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.prune_last_uses(now_ms).await,
        }
    }

    /// A page of an organization's credentials, in the filter's order.
    pub async fn page_credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page<CredentialPlace>,
    ) -> Result<Vec<Credential>, StoreError> {
        match self {
            Self::Sqlite(store) => store.page_credentials(filter, page).await,
        }
    }

    /// The credential with this id alone, revoked or not.
    pub async fn find_credential_row(&self, id: Uuid) -> Result<Option<Credential>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_credential_row(id).await,
        }
    }

    /// A page of an organization's users, by e-mail address: those that have `email` in theirs, whatever its case.
    pub async fn page_users(
        &self,
        organization: Uuid,
        email: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<User>, StoreError> {
        match self {
            Self::Sqlite(store) => store.page_users(organization, email, page).await,
        }
    }

    /// The user with this id.
    pub async fn find_user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_user(id).await,
        }
    }

    /// Whom an invitation is for, if it is good at `now`, in seconds since the epoch.
    pub async fn find_invitation(
        &self,
        hash: &KeyHash,
        now: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_invitation(hash, now).await,
        }
    }

    /// A page of an organization's clusters, by id, without deleted ones: those that have `id` in theirs, whatever its
    /// case.
    pub async fn page_clusters(
        &self,
        organization: Uuid,
        id: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<Cluster>, StoreError> {
        match self {
            Self::Sqlite(store) => store.page_clusters(organization, id, page).await,
        }
    }

    /// A page of the organizations, by name.
    pub async fn page_organizations(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Organization>, StoreError> {
        match self {
            Self::Sqlite(store) => store.page_organizations(page).await,
        }
    }

    /// The organization with this id.
    pub async fn find_organization(&self, id: Uuid) -> Result<Option<Organization>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_organization(id).await,
        }
    }

    /// An organization's custom role.
    pub async fn find_role(
        &self,
        organization: Uuid,
        name: &str,
    ) -> Result<Option<Role>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_role(organization, name).await,
        }
    }

    /// A page of a user's open sessions, newest first, each with its place in that order.
    pub async fn open_sessions(
        &self,
        user: Uuid,
        now: i64,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, OpenSession)>, StoreError> {
        match self {
            Self::Sqlite(store) => store.open_sessions(user, now, page).await,
        }
    }

    /// The policies that are kept, the active one first and then by when each was last active.
    pub async fn list_policies(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        match self {
            Self::Sqlite(store) => store.list_policies().await,
        }
    }

    /// The component of a policy that is kept.
    pub async fn find_component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_component(digest).await,
        }
    }

    /// The policy in the shadow of the active one, and its component.
    pub async fn find_shadow(&self) -> Result<Option<(ShadowVersion, Vec<u8>)>, StoreError> {
        match self {
            Self::Sqlite(store) => store.find_shadow().await,
        }
    }
}
