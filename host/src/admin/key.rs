//! API keys: making them by the contract's rules.

use std::collections::BTreeSet;

use scopegate_policy::{Clusters, permission};
use uuid::Uuid;

use super::{
    Admin, AdminError, ErrorKind, Minted, Once, Reply,
    command::KeyRequest,
    credential::check_expiry,
    error::{listed, quoted, suggest},
    find::require_few,
};
use crate::{
    Principal,
    contract::Authority,
    store::{Credential, CredentialKind, User},
};

/// A key that its owner asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it is narrowed to; nothing: not narrowed.
    pub scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to. Empty: every cluster, also those added later.
    pub allowed_cluster_ids: Vec<String>,
    /// When it ends by itself, in seconds since the epoch.
    pub expires_at: Option<i64>,
}

/// A key that could be minted.
#[derive(Debug)]
pub struct Preview {
    /// Why it is not minted, in the words of minting; nothing where it would be.
    pub problems: Vec<AdminError>,
    /// Who would call with it, as far as what was asked for is good.
    pub principal: Option<Principal>,
    /// The permissions of the catalogue that it would have, by its owner's roles and its scopes.
    pub permissions: Vec<String>,
}

/// A key as it is asked for, without its secret: what is wrong about it is left out of it.
struct Draft {
    key: Credential,
    problems: Vec<AdminError>,
}

impl Draft {
    /// The key, if nothing stands against it.
    fn sound(self) -> Result<Credential, AdminError> {
        match self.problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(self.key),
        }
    }
}

impl Admin<'_> {
    /// Makes a key of the caller's own, with no more in it than they hold.
    pub async fn mint_own_key(
        &self,
        key: NewKey,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Minted, AdminError> {
        let (draft, _) = self.draft_own(key, now_ms).await?;
        self.mint(draft.sound()?, once, now_ms).await
    }

    /// What [`Admin::mint_own_key`] would make of this, which makes nothing.
    ///
    /// # Errors
    /// When it cannot be told, or the caller has no keys.
    pub async fn preview_own_key(&self, key: NewKey, now_ms: i64) -> Result<Preview, AdminError> {
        let (Draft { key, problems }, owner) = self.draft_own(key, now_ms).await?;
        let principal = self.directory.key_to_be(key, owner).await?;
        let permissions = principal
            .as_ref()
            .map(|principal| self.permissions_of(principal));
        Ok(Preview {
            problems,
            permissions: permissions.unwrap_or_default(),
            principal,
        })
    }

    async fn draft_own(&self, key: NewKey, now_ms: i64) -> Result<(Draft, User), AdminError> {
        let owner = self.acting_user()?;
        let owner = self.user_of_home(owner).await?;
        let mut draft = self
            .draft(self.home()?, Some(owner.clone()), key, now_ms)
            .await?;
        draft
            .problems
            .extend(self.require_key_held(&draft.key).err());
        Ok((draft, owner))
    }

    pub(super) async fn mint_key(
        &self,
        request: KeyRequest,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let (organization, owner) = self
            .place_of_key(request.organization.as_deref(), request.owner.as_deref())
            .await?;
        let key = NewKey {
            name: request.name,
            scopes: request.scopes,
            allowed_cluster_ids: request.allowed_cluster_ids,
            expires_at: request.expires_at,
        };
        let credential = self.key(organization, owner, key, now_ms).await?;
        Ok(self.mint(credential, None, now_ms).await?.into())
    }

    /// A key by the contract's rules, without its secret.
    pub(super) async fn key(
        &self,
        organization: Uuid,
        owner: Option<User>,
        key: NewKey,
        now_ms: i64,
    ) -> Result<Credential, AdminError> {
        self.draft(organization, owner, key, now_ms).await?.sound()
    }

    /// A key, and everything in which it is not by the contract's rules.
    async fn draft(
        &self,
        organization: Uuid,
        owner: Option<User>,
        key: NewKey,
        now_ms: i64,
    ) -> Result<Draft, AdminError> {
        let mut problems: Vec<AdminError> = self.check_name(&key.name).err().into_iter().collect();
        let expiry = match key.expires_at {
            Some(_) if !self.contract.minting.expiry_allowed => {
                Err(self.not_by_contract("have no expiry; they end when they are revoked"))
            }
            expires_at => check_expiry(expires_at, now_ms),
        };
        let expires_at = key.expires_at.filter(|_| expiry.is_ok());
        problems.extend(expiry.err());
        let scopes = match self.check_scopes(key.scopes.clone()) {
            Ok(scopes) => scopes,
            Err(problem) => {
                problems.push(problem);
                self.good_scopes(key.scopes)
            }
        };
        let is_restricted = !key.allowed_cluster_ids.is_empty();
        let mut ids = key.allowed_cluster_ids;
        match self.require_clusters(organization, &ids).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
            Err(problem) => {
                problems.push(problem);
                ids = self.good_clusters(organization, &ids).await?;
            }
        }
        let blank = Self::blank(organization, CredentialKind::ApiKey, key.name, now_ms);
        let key = Credential {
            owner: owner.as_ref().map(|user| user.id),
            owner_email: owner.map(|user| user.email),
            scopes,
            // Here, and only here, an empty list is every cluster.
            allowed_clusters: match is_restricted {
                false => Clusters::All,
                true => Clusters::only(ids),
            },
            expires_at,
            ..blank
        };
        Ok(Draft { key, problems })
    }

    /// Those of the scopes that a key can carry, where the contract's keys carry any.
    fn good_scopes(&self, scopes: Option<Vec<String>>) -> Option<Vec<String>> {
        if !self.contract.minting.scopes_allowed {
            return None;
        }
        let mut scopes = scopes.unwrap_or_default();
        let carried: BTreeSet<&str> = self.carried().collect();
        scopes.retain(|scope| carried.contains(scope.as_str()));
        scopes.sort_unstable();
        scopes.dedup();
        Some(scopes)
    }

    /// The permissions that a key can carry as scopes.
    fn carried(&self) -> impl Iterator<Item = &str> {
        let known = self.description.permissions.iter();
        known
            .filter(|known| known.scope && permission::is_name(&known.name))
            .map(|known| known.name.as_str())
    }

    /// The caller holds all that the key could do.
    pub(super) fn require_key_held(&self, key: &Credential) -> Result<(), AdminError> {
        let scopes = || key.scopes.iter().flatten().map(String::as_str);
        match &self.contract.authority {
            // Such a key never has more than its owner has at the moment of a call, so a list of every cluster
            // is a list of theirs.
            Authority::Owner => {
                self.require_held(scopes())?;
                match &key.allowed_clusters {
                    Clusters::All => Ok(()),
                    only => self.require_clusters_held(only),
                }
            }
            Authority::Scopes => {
                self.require_held(scopes())?;
                self.require_clusters_held(&key.allowed_clusters)
            }
            Authority::Organization(permissions) => {
                self.require_held(self.expand(permissions))?;
                self.require_clusters_held(&key.allowed_clusters)
            }
        }
    }

    /// Where a key is minted, and for whom.
    pub(super) async fn place_of_key(
        &self,
        organization: Option<&str>,
        owner: Option<&str>,
    ) -> Result<(Uuid, Option<User>), AdminError> {
        let found = self.owner(owner).await?;
        let place = match (organization, &found) {
            (None, Some((_, own))) => *own,
            (wanted, _) => self.organization(wanted).await?.id,
        };
        let Some((user, own)) = found else {
            return Ok((place, None));
        };
        let email = owner.unwrap_or_default();
        if own != place {
            // Whoever calls from elsewhere is not told who is where.
            return Err(match self.caller {
                Some(_) => AdminError::nameless("user", email),
                None => {
                    AdminError::invalid(format!("{} is in another organization", quoted(email)))
                }
            });
        }
        match user.disabled_at {
            Some(_) => Err(AdminError::conflict(format!(
                "the user {} is disabled",
                quoted(email)
            ))),
            None => Ok((place, Some(user))),
        }
    }

    pub(super) fn check_scopes(
        &self,
        scopes: Option<Vec<String>>,
    ) -> Result<Option<Vec<String>>, AdminError> {
        let rules = &self.contract.minting;
        let mut scopes = match scopes {
            None if rules.scopes_required => Vec::new(),
            None => return Ok(None),
            Some(_) if !rules.scopes_allowed => {
                return Err(self.not_by_contract("carry no scopes"));
            }
            Some(scopes) => scopes,
        };
        require_few(&scopes, "scopes")?;
        let can_carry: Vec<&str> = self.carried().collect();
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
                true => AdminError::invalid(format!(
                    "no key can carry the permission {}",
                    quoted(wrong)
                ))
                .help(format!("keys can carry {}", listed(&can_carry))),
                false => AdminError {
                    kind: ErrorKind::Invalid,
                    message: format!("there is no scope {}", quoted(wrong)),
                    help: suggest("scope", wrong, can_carry),
                },
            });
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Some(scopes))
    }

    /// The key's owner: a user of an organization.
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
        self.member(email).await.map(Some)
    }

    pub(super) fn not_by_contract(&self, what: &str) -> AdminError {
        AdminError::invalid(format!(
            "keys of the contract `{}` {what}",
            self.contract.name
        ))
    }
}
