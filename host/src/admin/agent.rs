//! Agent tokens: each for one cluster, and good for nothing but what the policy's role `agent` may do there.

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::{
    Admin, AdminError, Minted, Once, Reply, command::AgentRequest, credential::check_expiry,
};
use crate::{
    directory::AGENT_ROLE,
    store::{Credential, CredentialKind},
};

impl Admin<'_> {
    /// Makes a token for the agent of a cluster of the caller's.
    pub async fn mint_agent_of_home(
        &self,
        cluster: String,
        name: Option<String>,
        expires_at: Option<i64>,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Minted, AdminError> {
        let home = self.home()?;
        self.require_clusters(home, std::slice::from_ref(&cluster))
            .await?;
        self.require_clusters_held(&Clusters::only([cluster.as_str()]))?;
        let credential = self.agent(home, cluster, name, expires_at, now_ms)?;
        self.mint(credential, once, now_ms).await
    }

    pub(super) async fn mint_agent(
        &self,
        request: AgentRequest,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(request.organization.as_deref()).await?;
        self.require_clusters(organization.id, std::slice::from_ref(&request.cluster))
            .await?;
        let AgentRequest {
            cluster,
            name,
            expires_at,
            ..
        } = request;
        let credential = self.agent(organization.id, cluster, name, expires_at, now_ms)?;
        Ok(self.mint(credential, None, now_ms).await?.into())
    }

    /// A token without its secret.
    pub(super) fn agent(
        &self,
        organization: Uuid,
        cluster: String,
        name: Option<String>,
        expires_at: Option<i64>,
        now_ms: i64,
    ) -> Result<Credential, AdminError> {
        let role = self
            .description
            .roles
            .iter()
            .find(|role| role.name == AGENT_ROLE);
        let Some(role) = role else {
            return Err(AdminError::conflict(format!(
                "the policy `{}` has no role `{AGENT_ROLE}`, so agents may do nothing",
                self.description.name
            ))
            .help("add the role to the policy first"));
        };
        self.require_held(role.permissions.iter().map(String::as_str))?;
        let name = name.unwrap_or_else(|| cluster.clone());
        self.check_name(&name)?;
        check_expiry(expires_at, now_ms)?;
        let blank = Self::blank(organization, CredentialKind::Agent, name, now_ms);
        Ok(Credential {
            cluster: Some(cluster),
            expires_at,
            ..blank
        })
    }
}
