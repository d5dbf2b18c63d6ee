//! Everything that is managed: one command in, one reply or one error out. The CLI, the server's socket and the
//! management API all speak in these commands.

mod command;
mod credential;
mod error;
mod find;
mod organization;
mod reply;
mod user;

pub use command::{AgentRequest, Command, KeyRequest, UserRequest};
pub use error::{AdminError, ErrorKind};
pub use reply::{Reply, RoleView};

use scopegate_policy::Description;

use crate::{
    Contract, Directory,
    store::{
        Actor, Change,
        CredentialKind::{Agent, ApiKey},
    },
};

/// Executes commands by the contract's rules and with the policy's names. Cheap to make: one for each command, so that
/// it goes by the policy that is active then.
#[derive(Clone, Copy, Debug)]
pub struct Admin<'a> {
    directory: &'a Directory,
    contract: &'a Contract,
    description: &'a Description,
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
        }
    }

    /// Executes a command. What it changed is on disk, and in force for every request that starts later, when this
    /// returns.
    pub async fn execute(&self, command: Command, now_ms: i64) -> Result<Reply, AdminError> {
        use Command as C;
        match command {
            C::OrganizationCreate { name } => self.create_organization(name, now_ms).await,
            C::OrganizationList => self.list_organizations().await,
            C::UserAdd(request) => self.add_member(request, now_ms).await,
            C::UserList { organization } => self.list_users(organization).await,
            C::UserDisable { email } => self.disable_user(&email, now_ms).await,
            C::UserRemoveFactor { email } => self.remove_factor(&email, now_ms).await,
            C::UserSetRole { email, role } => self.set_user_role(&email, role, now_ms).await,
            C::UserSetClusters { email, clusters } => {
                self.set_user_clusters(&email, clusters, now_ms).await
            }
            C::OperatorAdd { email, password } => self.add_operator(email, password, now_ms).await,
            C::OperatorList => self.list_operators().await,
            // A server does it before it comes to this; without one, nobody holds keys.
            C::KeysReload => Ok(Reply::Done { changed: false }),
            C::RoleSet {
                organization,
                name,
                permissions,
            } => self.set_role(organization, name, permissions, now_ms).await,
            C::RoleList { organization } => self.list_roles(organization).await,
            C::ClusterAdd { organization, id } => self.add_cluster(organization, id, now_ms).await,
            C::ClusterList { organization } => self.list_clusters(organization).await,
            C::ClusterDelete { organization, id } => {
                self.delete_cluster(organization, id, now_ms).await
            }
            C::KeyMint(request) => self.mint_key(request, now_ms).await,
            C::KeyList { organization } => self.list(organization, ApiKey).await,
            C::KeyRevoke { organization, key } => {
                self.revoke(organization, &key, ApiKey, now_ms).await
            }
            C::AgentMint(request) => self.mint_agent(request, now_ms).await,
            C::AgentList { organization } => self.list(organization, Agent).await,
            C::AgentRevoke {
                organization,
                agent,
            } => self.revoke(organization, &agent, Agent, now_ms).await,
        }
    }

    async fn apply(&self, change: Change, now_ms: i64) -> Result<Reply, AdminError> {
        let changed = self.directory.apply(change, Actor::Machine, now_ms).await?;
        Ok(Reply::Done { changed })
    }
}

#[cfg(test)]
mod tests;
