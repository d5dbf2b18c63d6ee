//! Everything that is managed: one command in, one reply or one error out. The CLI, the server's socket and the
//! management API all speak in these commands.

mod agent;
mod bounds;
mod cluster;
mod command;
mod credential;
mod error;
mod find;
mod import;
mod key;
mod organization;
mod question;
mod reply;
mod role;
mod rotate;
mod session;
mod user;

use std::net::IpAddr;

use scopegate_policy::{CallerKind, Description};
use uuid::Uuid;

pub use command::{AgentRequest, Command, ImportedKey, KeyRequest, RotateRequest, UserRequest};
pub use credential::{KeyFilter, Minted, Whose};
pub use error::{AdminError, ErrorKind};
pub use key::{NewKey, Preview};
pub use question::{Who, clusters_of};
pub use reply::{Reply, RoleView};
pub use user::{Invitation, UserEdit};

use crate::{
    Contract, Directory, Principal,
    store::{
        Actor, Change, ChangeError,
        CredentialKind::{Agent, ApiKey},
        Idempotency, Origin,
    },
};

/// Executes commands by the contract's rules and with the policy's names. Cheap to make: one for each command, so that
/// it goes by the policy that is active then.
#[derive(Clone, Debug)]
pub struct Admin<'a> {
    directory: &'a Directory,
    contract: &'a Contract,
    description: &'a Description,
    origin: Origin,
    /// Who can give no more than they have; nobody for commands that are given on the machine itself.
    caller: Option<&'a Principal>,
    /// The caller's roles that are in force in this request.
    roles: &'a [String],
}

/// What a client sends so that a request which it sends again makes nothing new.
#[derive(Clone, Debug)]
pub struct Once {
    /// The key that the client chose.
    pub key: String,
    /// A hash of the whole request.
    pub fingerprint: [u8; 32],
}

impl<'a> Admin<'a> {
    /// For commands that are given on the machine itself; nobody's permissions bound them.
    pub fn new(
        directory: &'a Directory,
        contract: &'a Contract,
        description: &'a Description,
    ) -> Self {
        Self {
            directory,
            contract,
            description,
            origin: Actor::Machine.into(),
            caller: None,
            roles: &[],
        }
    }

    /// For a caller whom the policy has let through: within their organization, and with no more than they have in this
    /// request, in which these roles of theirs are in force.
    pub fn of_caller(
        directory: &'a Directory,
        contract: &'a Contract,
        description: &'a Description,
        caller: &'a Principal,
        roles: &'a [String],
        request_id: Uuid,
        address: IpAddr,
    ) -> Self {
        let actor = match (caller.kind, caller.user) {
            (CallerKind::Session, Some(user)) => Actor::User(user),
            _ => Actor::Credential(caller.credential),
        };
        Self {
            directory,
            contract,
            description,
            origin: Origin {
                actor,
                request_id: Some(request_id),
                address: Some(address),
                caller: caller.as_of_now(),
            },
            caller: Some(caller),
            roles,
        }
    }

    /// Executes a command. What it changed is on disk, and in force for every request that starts later, when this
    /// returns.
    pub async fn execute(&self, command: Command, now_ms: i64) -> Result<Reply, AdminError> {
        use Command as C;
        match command {
            C::OrganizationCreate { name } => self.create_organization(name, now_ms).await,
            C::OrganizationFound { name, admin } => self.found(name, admin, now_ms).await,
            C::OrganizationList => self.list_organizations().await,
            C::UserAdd(request) => self.add_member(request, now_ms).await,
            C::UserAddInvited(request) => self.add_invited(request, now_ms).await,
            C::UserList { organization } => self.list_users(organization).await,
            C::UserInvite { email } => self.invite_again(&email, now_ms).await,
            C::UserDisable { email } => self.disable_user(&email, now_ms).await,
            C::UserEndSessions { email } => self.end_sessions(&email, now_ms).await,
            C::SessionList { email } => self.list_sessions(&email, now_ms).await,
            C::UserRemoveFactor { email } => self.remove_factor(&email, now_ms).await,
            C::UserSetRole { email, role } => self.set_user_role(&email, role, now_ms).await,
            C::UserSetClusters { email, clusters } => {
                self.set_user_clusters(&email, clusters, now_ms).await
            }
            C::OperatorAdd { email, password } => self.add_operator(email, password, now_ms).await,
            C::OperatorList => self.list_operators().await,
            // A server does it before it comes to this; without one, nobody holds keys.
            C::KeysReload => Ok(Reply::Done { changed: false }),
            // Likewise; and without one, nothing decides.
            C::Policy(_) => Err(AdminError::conflict("no server runs here whose policy could be changed")
                .help("start it with `scopegate serve`; without one, change the policy that the configuration names")),
            C::RoleSet {
                organization,
                name,
                permissions,
            } => self.set_role(organization, name, permissions, now_ms).await,
            C::RoleDelete { organization, name } => {
                self.delete_role(organization, name, now_ms).await
            }
            C::RoleList { organization } => self.list_roles(organization).await,
            C::ClusterAdd { organization, id } => self.add_cluster(organization, id, now_ms).await,
            C::ClusterList { organization } => self.list_clusters(organization).await,
            C::ClusterDelete { organization, id } => {
                self.delete_cluster(organization, id, now_ms).await
            }
            C::KeyMint(request) => self.mint_key(request, now_ms).await,
            C::KeyRotate(request) => self.rotate_named(request, ApiKey, now_ms).await,
            C::KeyImport { organization, keys } => {
                self.import_keys(organization, keys, now_ms).await
            }
            C::KeyList { organization } => self.list(organization, ApiKey).await,
            C::KeyRevoke { organization, key } => {
                self.revoke(organization, &key, ApiKey, now_ms).await
            }
            C::AgentMint(request) => self.mint_agent(request, now_ms).await,
            C::AgentRotate(request) => self.rotate_named(request, Agent, now_ms).await,
            C::AgentList { organization } => self.list(organization, Agent).await,
            C::AgentRevoke {
                organization,
                agent,
            } => self.revoke(organization, &agent, Agent, now_ms).await,
        }
    }

    /// Where the caller's changes come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn apply(&self, change: Change, now_ms: i64) -> Result<bool, ChangeError> {
        self.directory
            .apply(change, self.origin.clone(), now_ms)
            .await
    }

    async fn done(&self, change: Change, now_ms: i64) -> Result<Reply, AdminError> {
        let changed = self.apply(change, now_ms).await?;
        Ok(Reply::Done { changed })
    }

    /// Sent again by the same actor, the request makes nothing new.
    fn idempotency(&self, once: Option<Once>) -> Option<Idempotency> {
        let Once { key, fingerprint } = once?;
        let caller = self.caller?;
        Some(Idempotency {
            // Two keys of one user mean different ones by `self`.
            actor: match caller.kind {
                CallerKind::Session => caller.user.unwrap_or(caller.credential),
                _ => caller.credential,
            },
            key,
            fingerprint,
        })
    }
}

#[cfg(test)]
mod tests;
