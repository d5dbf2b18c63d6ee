//! What keys and agent tokens have in common: finding, listing and revoking them, and giving a new one its secret.

use secrecy::SecretString;
use uuid::Uuid;

use super::{Admin, AdminError, ErrorKind, Once, Reply};
use crate::{
    key::{self, KeyKind},
    name,
    store::{
        Change, ChangeError, Conflict, Credential, CredentialFilter, CredentialKind,
        CredentialOrder, CredentialPlace, NewCredential, Page, State,
    },
};

/// The last second of the year 9999, in seconds since the epoch: later times cannot be written as dates.
const EXPIRY_MAX: i64 = 253_402_300_799;

/// What minting gives.
#[derive(Debug)]
pub struct Minted {
    /// All that is kept of it.
    pub credential: Credential,
    /// The whole key, shown this once. Nothing for a request that was sent again.
    pub secret: Option<SecretString>,
}

/// Whose credentials are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The caller's own: a user's keys, or the key itself.
    Own,
    /// Anybody's of the caller's organization, as far as the caller's clusters reach.
    Anybodys,
}

/// Which credentials to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only this user's.
    pub owner: Option<Uuid>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those whose name has this in it.
    pub name: Option<String>,
    /// In which order.
    pub order: CredentialOrder,
}

impl Admin<'_> {
    /// A page of credentials of the caller's organization, in the filter's order.
    pub async fn credentials(
        &self,
        kind: CredentialKind,
        whose: Whose,
        filter: KeyFilter,
        page: &Page<CredentialPlace>,
        now_ms: i64,
    ) -> Result<Vec<Credential>, AdminError> {
        let store = self.directory.store();
        let mut owner = filter.owner;
        if whose == Whose::Own {
            let Ok(user) = self.acting_user() else {
                // A key knows of no other.
                return Ok(match page.after {
                    None => vec![self.own_credential(kind).await?],
                    Some(_) => Vec::new(),
                });
            };
            owner = Some(user);
        }
        let filter = CredentialFilter {
            organization: self.home()?,
            kind,
            owner,
            state: filter.state,
            clusters: match kind {
                CredentialKind::Agent => self.visible_clusters(),
                CredentialKind::ApiKey => None,
            },
            name: filter.name,
            order: filter.order,
            now: now_ms.div_euclid(1000),
        };
        Ok(store.page_credentials(&filter, page).await?)
    }

    /// The key that the caller called with.
    pub async fn own_credential(&self, kind: CredentialKind) -> Result<Credential, AdminError> {
        let caller = self.caller.filter(|caller| caller.key_name.is_some());
        let found = match caller {
            Some(caller) => {
                self.directory
                    .store()
                    .find_credential_row(caller.credential)
                    .await?
            }
            None => None,
        };
        found
            .filter(|credential| credential.kind == kind)
            .ok_or_else(|| AdminError::no_such(what(kind)))
    }

    /// A credential by its id, if the caller may know of it.
    pub async fn credential_by_id(
        &self,
        id: Uuid,
        kind: CredentialKind,
        whose: Whose,
    ) -> Result<Credential, AdminError> {
        let home = self.home()?;
        let found = self.directory.store().find_credential_row(id).await?;
        let found = found.filter(|found| found.organization == home && found.kind == kind);
        let is_visible = |found: &Credential| match (whose, kind) {
            (Whose::Own, _) => match self.acting_user() {
                Ok(user) => found.owner == Some(user),
                Err(_) => self.caller.is_some_and(|caller| caller.credential == id),
            },
            (Whose::Anybodys, CredentialKind::ApiKey) => true,
            (Whose::Anybodys, CredentialKind::Agent) => self.caller.is_none_or(|caller| {
                let cluster = found.cluster.as_deref().unwrap_or_default();
                caller.caller.may_touch(cluster)
            }),
        };
        found
            .filter(is_visible)
            .ok_or_else(|| AdminError::no_such(what(kind)))
    }

    /// Revokes a credential that the caller may know of. `false`: it was revoked before. From the return on, no
    /// request that starts with it is admitted.
    pub async fn revoke_by_id(
        &self,
        id: Uuid,
        kind: CredentialKind,
        whose: Whose,
        now_ms: i64,
    ) -> Result<bool, AdminError> {
        let found = self.credential_by_id(id, kind, whose).await?;
        Ok(self.apply(Change::Revoke(found.id), now_ms).await?)
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
        self.done(Change::Revoke(id), now_ms).await
    }

    /// Gives the credential its secret.
    pub(super) fn with_secret(
        &self,
        mut credential: Credential,
        once: Option<Once>,
    ) -> Result<(NewCredential, SecretString), AdminError> {
        let kind = match credential.kind {
            CredentialKind::ApiKey => KeyKind::Live,
            CredentialKind::Agent => KeyKind::Agent,
        };
        let minted = key::mint(&self.contract.key_prefix, kind).map_err(no_randomness)?;
        credential.prefix = minted.prefix;
        credential.last_four = minted.last_four;
        let new = NewCredential {
            credential,
            hash: minted.hash,
            idempotency: self.idempotency(once),
        };
        Ok((new, minted.secret))
    }

    /// Gives the credential its secret and keeps it.
    pub(super) async fn mint(
        &self,
        credential: Credential,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Minted, AdminError> {
        let (new, secret) = self.with_secret(credential, once)?;
        let credential = new.credential.clone();
        let made = self.apply(Change::Mint(Box::new(new)), now_ms).await;
        self.minted(made, credential, secret).await
    }

    /// What was made just now, or by the same request before.
    pub(super) async fn minted(
        &self,
        made: Result<bool, ChangeError>,
        credential: Credential,
        secret: SecretString,
    ) -> Result<Minted, AdminError> {
        match made {
            Ok(_) => Ok(Minted {
                credential,
                secret: Some(secret),
            }),
            Err(ChangeError::Conflict(Conflict::Replayed(id))) => {
                let id = Uuid::parse_str(&id).unwrap_or_default();
                let found = self.directory.store().find_credential_row(id).await?;
                let credential = found.ok_or_else(|| AdminError::no_such(what(credential.kind)))?;
                Ok(Minted {
                    credential,
                    secret: None,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A new credential of this organization, with nothing in it yet.
    pub(super) fn blank(
        organization: Uuid,
        kind: CredentialKind,
        name: String,
        now_ms: i64,
    ) -> Credential {
        Credential {
            id: Uuid::now_v7(),
            organization,
            kind,
            name,
            owner: None,
            owner_email: None,
            scopes: None,
            allowed_clusters: scopegate_policy::Clusters::All,
            cluster: None,
            prefix: String::new(),
            last_four: String::new(),
            created_at: now_ms.div_euclid(1000),
            expires_at: None,
            revoked_at: None,
            predecessor: None,
            successor: None,
            retires_at: None,
            last_used_at: None,
        }
    }

    pub(super) fn check_name(&self, name: &str) -> Result<(), AdminError> {
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
}

impl From<Minted> for Reply {
    fn from(Minted { credential, secret }: Minted) -> Self {
        // Commands carry no idempotency key, so what they mint is new.
        Self::Minted {
            credential,
            secret: secret.unwrap_or_default(),
        }
    }
}

fn what(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "key",
        CredentialKind::Agent => "agent token",
    }
}

pub(super) fn no_randomness(error: key::NoRandomness) -> AdminError {
    AdminError {
        kind: ErrorKind::Unavailable,
        message: error.to_string(),
        help: None,
    }
}

pub(super) fn check_expiry(expires_at: Option<i64>, now_ms: i64) -> Result<(), AdminError> {
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
