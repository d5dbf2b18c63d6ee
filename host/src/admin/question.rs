//! Whom a question is about that somebody asks of the policy: somebody of the asker's own organization, whoever has a role in
//! it, or nobody.

use std::sync::Arc;

use scopegate_policy::{Caller, CallerKind, Clusters};
use uuid::Uuid;

use super::{Admin, AdminError, Whose};
use crate::{
    Cause, Principal,
    directory::Known,
    store::{CredentialKind, StoreError, User},
};

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user, as in a session that they open now.
    User(Uuid),
    /// Whoever has an API key.
    Key(Uuid),
    /// Whoever has an agent's token.
    Agent(Uuid),
    /// A user who has this role, and these clusters or all, and opens a session now.
    Role {
        /// Built in or custom.
        name: String,
        /// Registered ones; nothing: every cluster.
        clusters: Option<Vec<String>>,
    },
    /// Whoever has no credential.
    Anonymous,
}

impl Who {
    /// The permission without which nobody asks about them: that for reading them.
    pub fn permission(&self) -> Option<&'static str> {
        match self {
            Self::User(_) | Self::Role { .. } => Some("manage:users"),
            Self::Key(_) => Some("manage:keys"),
            Self::Agent(_) => Some("manage:agents"),
            // What those may do who have no credential, everybody can find out.
            Self::Anonymous => None,
        }
    }
}

impl Admin<'_> {
    /// Who would call; or why they would be refused, whatever they ask for.
    ///
    /// # Errors
    /// When there is nobody of that name whom the asker may know of, or it cannot be told.
    pub async fn bearer(
        &self,
        who: Who,
        now_ms: i64,
    ) -> Result<Result<Arc<Principal>, Cause>, AdminError> {
        let home = self.home()?;
        let directory = self.directory;
        let now = now_ms.div_euclid(1000);
        let known = match who {
            Who::User(id) => {
                self.user_of_home(id).await?;
                directory.known_user_id(id, home).await?
            }
            Who::Key(id) => {
                let kind = CredentialKind::ApiKey;
                self.credential_by_id(id, kind, Whose::Anybodys).await?;
                let kind = CallerKind::ApiKey;
                directory.known_credential(id, kind, home, now_ms).await?
            }
            Who::Agent(id) => {
                let kind = CredentialKind::Agent;
                self.credential_by_id(id, kind, Whose::Anybodys).await?;
                let kind = CallerKind::Agent;
                directory.known_credential(id, kind, home, now_ms).await?
            }
            Who::Role { name, clusters } => {
                let user = self.user_to_be(home, name, clusters, now).await?;
                let principal = directory.user_to_be(user, home).await?;
                Known::Live(Arc::new(principal))
            }
            Who::Anonymous => Known::Live(Arc::new(self.nobody(home).await?)),
        };
        Ok(match known {
            Known::Live(principal) => Ok(signed_in(principal, now)),
            Known::Expired => Err(Cause::Expired),
            Known::Ended | Known::Nobody => Err(Cause::Revoked),
        })
    }

    /// Every permission of the catalogue that somebody has, by their roles and scopes, whatever the conditions of those roles
    /// are.
    pub fn permissions_of(&self, principal: &Principal) -> Vec<String> {
        let bearer = Admin {
            caller: Some(principal),
            roles: &principal.caller.roles,
            origin: self.origin.clone(),
            ..*self
        };
        let held = bearer.held().into_iter().flatten();
        held.map(str::to_owned).collect()
    }

    /// A user whom nobody has added.
    async fn user_to_be(
        &self,
        home: Uuid,
        role: String,
        clusters: Option<Vec<String>>,
        now: i64,
    ) -> Result<User, AdminError> {
        let role = self.assignable_role(home, role).await?;
        Ok(User {
            id: Uuid::nil(),
            organization: Some(home),
            email: String::new(),
            role: Some(role),
            clusters: self.assigned_clusters(home, clusters).await?,
            created_at: now,
            disabled_at: None,
            epoch: 0,
        })
    }

    async fn nobody(&self, home: Uuid) -> Result<Principal, StoreError> {
        let registered = self.directory.registered(home).await?;
        let caller = Caller::anonymous();
        Ok(Principal::without_credential(caller, home, registered))
    }
}

/// Whoever is asked about as a user has signed in now.
fn signed_in(principal: Arc<Principal>, now: i64) -> Arc<Principal> {
    let caller = &principal.caller;
    if caller.kind != CallerKind::Session || caller.auth_time.is_some() {
        return principal;
    }
    let caller = Caller {
        auth_time: Some(now),
        credential_created: Some(now),
        ..caller.clone()
    };
    let registered = Arc::clone(&principal.registered);
    Arc::new(Principal::without_credential(
        caller,
        principal.organization,
        registered,
    ))
}

/// The clusters that somebody may touch; nothing: every cluster.
pub fn clusters_of(principal: &Principal) -> Option<Vec<String>> {
    match principal.caller.effective_clusters() {
        Clusters::All => None,
        Clusters::Only(ids) => Some(ids),
    }
}
