//! Changes: each one transaction, its audit record included. What a change needs is checked inside it, so that nothing
//! can come between check and change.

mod credential;
mod factor;
mod organization;
mod policy;
pub(in crate::store) mod require;
mod session;
mod user;

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::untold;
use crate::{
    audit::line::ChangeLine,
    counters::redis::Touched,
    store::{
        Actor, Change, ChangeError, Conflict, Origin, Store, StoreError,
        database::{Query, Transaction},
    },
};

/// What a change did, and where.
struct Done {
    changed: bool,
    organization: Option<Uuid>,
}

impl Done {
    fn new(organization: Option<Uuid>) -> Self {
        Self {
            changed: true,
            organization,
        }
    }
}

struct Tx<'t> {
    tx: Transaction,
    now: i64,
    by: &'t Actor,
}

/// What became of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    /// Whether there was anything to change; not so for a key that is revoked already.
    pub(crate) changed: bool,
    /// The note that it is to be told of.
    pub(crate) untold: Option<i64>,
}

impl Store {
    /// Makes one change and its audit record, in one transaction that is on disk when this returns; with a note in it, where
    /// others are to be told.
    pub(crate) async fn apply(
        &self,
        change: &Change,
        origin: &Origin,
        now_ms: i64,
        told: Option<Touched>,
    ) -> Result<Applied, ChangeError> {
        let tx = self.database.change().await?;
        let mut tx = Tx {
            tx,
            now: now_ms.div_euclid(1000),
            by: &origin.actor,
        };
        if let Some(caller) = &origin.caller {
            tx.require_caller(caller).await?;
        }
        let done = tx.make(change).await?;
        if !done.changed {
            return Ok(Applied {
                changed: false,
                untold: None,
            });
        }
        let record = ChangeLine {
            at_ms: now_ms,
            origin,
            organization: done.organization,
            action: change.action(),
            subject: &change.subject(),
            detail: &change.detail(),
        };
        let appended = self.ledger.append(&mut tx.tx, [record.text()]).await?;
        let untold = match told {
            Some(touched) => untold::note(&mut tx.tx, touched).await?,
            None => None,
        };
        tx.tx.commit().await?;
        self.ledger.committed(&appended);
        Ok(Applied {
            changed: true,
            untold,
        })
    }
}

impl Tx<'_> {
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each change, and nothing else"
    )]
    async fn make(&mut self, change: &Change) -> Result<Done, ChangeError> {
        match change {
            Change::CreateOrganization { id, name, admin } => {
                self.create_organization(*id, name, admin.as_deref()).await
            }
            Change::AddUser(user) => self.add_user(user).await,
            Change::DisableUser(user) => self.disable_user(*user).await,
            Change::SetRole { user, role } => self.set_role(*user, role).await,
            Change::SetClusters { user, clusters } => self.set_clusters(*user, clusters).await,
            Change::EditUser {
                user,
                role,
                clusters,
                expected,
            } => {
                self.edit_user(*user, role.as_deref(), clusters.as_ref(), *expected)
                    .await
            }
            Change::Invite { user, invitation } => self.invite(*user, *invitation).await,
            Change::AcceptInvitation {
                user,
                hash,
                password,
            } => self.accept_invitation(*user, hash, password).await,
            Change::RenameOrganization { id, name, expected } => {
                self.rename_organization(*id, name, *expected).await
            }
            Change::SetCustomRole {
                organization,
                name,
                permissions,
                expected,
            } => {
                self.set_custom_role(*organization, name, permissions, *expected)
                    .await
            }
            Change::DeleteCustomRole {
                organization,
                name,
                expected,
            } => {
                self.delete_custom_role(*organization, name, *expected)
                    .await
            }
            Change::AddCluster {
                organization,
                id,
                agent,
            } => self.add_cluster(*organization, id, agent.as_deref()).await,
            Change::DeleteCluster { organization, id } => {
                self.delete_cluster(*organization, id).await
            }
            Change::Mint(new) => self.mint(new).await,
            Change::Rotate {
                old,
                retires_at,
                new,
            } => self.rotate(*old, *retires_at, new).await,
            Change::Import {
                organization,
                credentials,
            } => self.import(*organization, credentials).await,
            Change::Revoke(id) => self.revoke(*id, false).await,
            Change::RevokeLeaked { credential, .. } => self.revoke(*credential, true).await,
            Change::OpenSession(session) => self.open_session(session).await,
            Change::LogIn(log_in) => self.log_in(log_in).await,
            Change::EndSession(id) => self.end_session(*id).await,
            Change::EndSessions { user, except } => self.end_sessions(*user, *except).await,
            Change::SetPassword {
                user,
                password,
                replaces,
                except,
            } => {
                self.set_password(*user, password, replaces.as_ref(), *except)
                    .await
            }
            Change::BeginFactor { user, secret } => self.begin_factor(*user, secret).await,
            Change::ConfirmFactor(confirmation) => self.confirm_factor(confirmation).await,
            Change::RemoveFactor(user) => self.remove_factor(*user).await,
            Change::ResetFactor(user) => {
                self.end_all(*user, None).await?;
                self.remove_factor(*user).await
            }
            Change::SetRecoveryCodes { user, codes } => self.set_recovery_codes(*user, codes).await,
            Change::FailFactor(user) => self.fail_factor(*user).await,
            Change::Policy(change) => self.change_policy(change).await,
        }
    }

    /// Runs a statement; tells how many rows it changed.
    async fn run(&mut self, statement: Query) -> Result<u64, StoreError> {
        statement.execute(&mut self.tx).await
    }

    /// Runs an insertion; a value that must be unique and is not, is the given conflict.
    async fn insert(
        &mut self,
        statement: Query,
        taken: impl FnOnce() -> Conflict,
    ) -> Result<(), ChangeError> {
        match statement.insert(&mut self.tx).await? {
            true => Ok(()),
            false => Err(taken().into()),
        }
    }
}

fn clusters_text(clusters: &Clusters) -> Option<String> {
    match clusters {
        Clusters::All => None,
        Clusters::Only(ids) => Some(list_text(ids)),
    }
}

fn list_text(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}
