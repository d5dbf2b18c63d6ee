//! API keys and agent tokens: making them by the contract's rules, listing and revoking them.

use scopegate_policy::{Clusters, permission};
use uuid::Uuid;

use super::{
    Admin, AdminError, ErrorKind, Reply,
    command::{AgentRequest, KeyRequest},
    error::{listed, suggest},
};
use crate::{
    contract::Authority,
    directory::AGENT_ROLE,
    key::{self, KeyKind},
    name,
    store::{Change, Credential, CredentialKind, NewCredential, User},
};

/// The last second of the year 9999, in seconds since the epoch: later times cannot be written as dates.
const EXPIRY_MAX: i64 = 253_402_300_799;

impl Admin<'_> {
    pub(super) async fn mint_key(
        &self,
        request: KeyRequest,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        self.check_name(&request.name)?;
        if request.expires_at.is_some() && !self.contract.minting.expiry_allowed {
            return Err(self.not_by_contract("have no expiry; they end when they are revoked"));
        }
        check_expiry(request.expires_at, now_ms)?;
        let scopes = self.check_scopes(request.scopes)?;
        let owner = self.owner(request.owner.as_deref()).await?;
        let organization = match (&request.organization, &owner) {
            (None, Some((_, organization))) => *organization,
            (wanted, _) => self.organization(wanted.as_deref()).await?.id,
        };
        if let Some((owner, own)) = &owner
            && *own != organization
        {
            return Err(AdminError::invalid(format!(
                "`{}` is in another organization",
                owner.email
            )));
        }
        self.require_clusters(organization, &request.allowed_cluster_ids)
            .await?;
        let owner = owner.map(|(user, _)| user);
        let credential = Credential {
            id: Uuid::now_v7(),
            organization,
            kind: CredentialKind::ApiKey,
            name: request.name,
            owner: owner.as_ref().map(|user| user.id),
            owner_email: owner.map(|user| user.email),
            scopes,
            // Here, and only here, an empty list is every cluster.
            allowed_clusters: match request.allowed_cluster_ids.is_empty() {
                true => Clusters::All,
                false => Clusters::only(request.allowed_cluster_ids),
            },
            cluster: None,
            prefix: String::new(),
            last_four: String::new(),
            created_at: now_ms.div_euclid(1000),
            expires_at: request.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        self.mint(credential, now_ms).await
    }

    pub(super) async fn mint_agent(
        &self,
        request: AgentRequest,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if !self
            .description
            .roles
            .iter()
            .any(|role| role.name == AGENT_ROLE)
        {
            return Err(AdminError::conflict(format!(
                "the policy `{}` has no role `{AGENT_ROLE}`, so agents may do nothing",
                self.description.name
            ))
            .help("add the role to the policy first"));
        }
        let organization = self.organization(request.organization.as_deref()).await?;
        self.require_clusters(organization.id, std::slice::from_ref(&request.cluster))
            .await?;
        let name = request.name.unwrap_or_else(|| request.cluster.clone());
        self.check_name(&name)?;
        check_expiry(request.expires_at, now_ms)?;
        let credential = Credential {
            id: Uuid::now_v7(),
            organization: organization.id,
            kind: CredentialKind::Agent,
            name,
            owner: None,
            owner_email: None,
            scopes: None,
            allowed_clusters: Clusters::All,
            cluster: Some(request.cluster),
            prefix: String::new(),
            last_four: String::new(),
            created_at: now_ms.div_euclid(1000),
            expires_at: request.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        self.mint(credential, now_ms).await
    }

    pub(super) async fn list(
        &self,
        organization: Option<String>,
        kind: CredentialKind,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?;
        let credentials = self
            .directory
            .store()
            .list_credentials(organization.id, kind)
            .await?;
        Ok(Reply::Credentials { credentials })
    }

    pub(super) async fn revoke(
        &self,
        organization: Option<String>,
        wanted: &str,
        kind: CredentialKind,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let id = self.credential(organization, wanted, kind).await?;
        self.apply(Change::Revoke(id), now_ms).await
    }

    /// Gives the credential its secret and keeps it.
    async fn mint(&self, mut credential: Credential, now_ms: i64) -> Result<Reply, AdminError> {
        let kind = match credential.kind {
            CredentialKind::ApiKey => KeyKind::Live,
            CredentialKind::Agent => KeyKind::Agent,
        };
        let minted = key::mint(&self.contract.key_prefix, kind).map_err(|error| AdminError {
            kind: ErrorKind::Unavailable,
            message: error.to_string(),
            help: None,
        })?;
        credential.prefix = minted.prefix;
        credential.last_four = minted.last_four;
        let new = NewCredential {
            credential: credential.clone(),
            hash: minted.hash,
        };
        self.apply(Change::Mint(Box::new(new)), now_ms).await?;
        Ok(Reply::Minted {
            credential,
            secret: minted.secret,
        })
    }

    fn check_name(&self, name: &str) -> Result<(), AdminError> {
        let chars_max = self
            .contract
            .minting
            .name_chars_max
            .min(name::TITLE_CHARS_MAX);
        if name::is_title(name) && name.chars().count() <= chars_max {
            return Ok(());
        }
        Err(AdminError::invalid(format!(
            "the name of a key must have 1 to {chars_max} characters"
        ))
        .help("no control characters, and no space at either end"))
    }

    fn check_scopes(&self, scopes: Option<Vec<String>>) -> Result<Option<Vec<String>>, AdminError> {
        let rules = &self.contract.minting;
        let mut scopes = match scopes {
            None if rules.scopes_required => Vec::new(),
            None => return Ok(None),
            Some(_) if !rules.scopes_allowed => {
                return Err(self.not_by_contract("carry no scopes"));
            }
            Some(scopes) => scopes,
        };
        let can_carry = self
            .description
            .permissions
            .iter()
            .filter(|known| known.scope && permission::is_name(&known.name));
        let can_carry: Vec<&str> = can_carry.map(|known| known.name.as_str()).collect();
        if scopes.is_empty() {
            let error = AdminError::invalid("a key needs at least one scope");
            return Err(match rules.scopes_required {
                true => error.help(format!("choose among {}", listed(&can_carry))),
                false => error.help("leave scopes out for a key that is not narrowed"),
            });
        }
        if let Some(wrong) = scopes
            .iter()
            .find(|scope| !can_carry.contains(&scope.as_str()))
        {
            let known = self
                .description
                .permissions
                .iter()
                .any(|known| known.name == *wrong);
            return Err(match known {
                true => AdminError::invalid(format!("no key can carry the permission `{wrong}`"))
                    .help(format!("keys can carry {}", listed(&can_carry))),
                false => AdminError {
                    kind: ErrorKind::Invalid,
                    message: format!("there is no scope `{wrong}`"),
                    help: suggest("scope", wrong, can_carry),
                },
            });
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Some(scopes))
    }

    /// The key's owner: an active user of an organization.
    async fn owner(&self, email: Option<&str>) -> Result<Option<(User, Uuid)>, AdminError> {
        let Some(email) = email else {
            return match self.contract.authority {
                Authority::Owner => Err(AdminError::invalid("a key needs an owner").help(format!(
                    "keys of the contract `{}` act for a user",
                    self.contract.name
                ))),
                Authority::Organization(_) | Authority::Scopes => Ok(None),
            };
        };
        let (user, organization) = self.member(email).await?;
        match user.disabled_at {
            Some(_) => Err(AdminError::conflict(format!(
                "the user `{email}` is disabled"
            ))),
            None => Ok(Some((user, organization))),
        }
    }

    fn not_by_contract(&self, what: &str) -> AdminError {
        AdminError::invalid(format!(
            "keys of the contract `{}` {what}",
            self.contract.name
        ))
    }
}

fn check_expiry(expires_at: Option<i64>, now_ms: i64) -> Result<(), AdminError> {
    match expires_at {
        Some(end) if end.saturating_mul(1000) <= now_ms => {
            Err(AdminError::invalid("the expiry is not in the future"))
        }
        Some(end) if end > EXPIRY_MAX => {
            Err(AdminError::invalid("the expiry is beyond the year 9999"))
        }
        Some(_) | None => Ok(()),
    }
}
