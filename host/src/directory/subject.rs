//! Somebody whom another caller asks about: found by id instead of by a secret, in the asker's own organization.
//!
//! Nothing of it is kept: whoever asks about many must not push out those who call.

use std::{collections::BTreeSet, sync::Arc};

use scopegate_policy::CallerKind;
use uuid::Uuid;

use super::{Directory, facts, is_over};
use crate::{
    Principal,
    key::KeyHash,
    store::{Credential, CredentialFacts, LoginFacts, Owner, StoreError, User},
};

/// Who somebody is.
#[derive(Debug)]
pub(crate) enum Known {
    /// They could call now.
    Live(Arc<Principal>),
    /// Ended, disabled, or without the owner whom the contract's authority needs.
    Ended,
    /// Past its expiry.
    Expired,
    /// Nobody, or of another organization: the two are not told apart.
    Nobody,
}

/// How a user is named.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UserName<'n> {
    /// By their id.
    Id(Uuid),
    /// By their e-mail address, in whatever case.
    Email(&'n str),
}

impl Directory {
    /// The API key or agent token of this id.
    pub(crate) async fn known_credential(
        &self,
        id: Uuid,
        kind: CallerKind,
        organization: Uuid,
        now_ms: i64,
    ) -> Result<Known, StoreError> {
        let Some(found) = self.inner.store.find_credential(id).await? else {
            return Ok(Known::Nobody);
        };
        if found.credential.organization != organization {
            return Ok(Known::Nobody);
        }
        let authority = &self.inner.authority;
        match facts::credential_principal(found, authority, &self.inner.registered) {
            Ok(principal) if principal.kind != kind => Ok(Known::Nobody),
            found => Ok(known(found.ok(), now_ms)),
        }
    }

    /// The session of this id.
    pub(crate) async fn known_session(
        &self,
        id: Uuid,
        organization: Uuid,
        now_ms: i64,
    ) -> Result<Known, StoreError> {
        match self.inner.store.find_session(id).await? {
            Some(found) if found.owner.user.organization == Some(organization) => {
                let principal = facts::session_principal(found, &self.inner.registered);
                Ok(known(principal.ok(), now_ms))
            }
            _ => Ok(Known::Nobody),
        }
    }

    /// A user as in a session that they have not opened: with the second factor that they have, for none is opened without
    /// it, and without a moment at which they signed in.
    pub(crate) async fn known_user(
        &self,
        name: UserName<'_>,
        organization: Uuid,
    ) -> Result<Known, StoreError> {
        let store = &self.inner.store;
        let found = match name {
            UserName::Id(id) => store.find_login_of(id).await?,
            UserName::Email(email) => store.find_login(email).await?,
        };
        let Some(LoginFacts { user, factor, .. }) = found else {
            return Ok(Known::Nobody);
        };
        if user.organization != Some(organization) {
            return Ok(Known::Nobody);
        }
        if user.disabled_at.is_some() {
            return Ok(Known::Ended);
        }
        let mfa = factor.is_some_and(|factor| factor.confirmed_at.is_some());
        let custom_role = self.custom_role(&user, organization).await?;
        let registered = self.registered(organization).await?;
        let owner = Owner { user, custom_role };
        let principal = facts::user_principal(owner, organization, mfa, registered);
        Ok(Known::Live(Arc::new(principal)))
    }

    /// [`Directory::known_user`] by their id.
    pub(crate) async fn known_user_id(
        &self,
        id: Uuid,
        organization: Uuid,
    ) -> Result<Known, StoreError> {
        self.known_user(UserName::Id(id), organization).await
    }

    /// A user whom nobody has added, as in a session that they have not opened.
    pub(crate) async fn user_to_be(
        &self,
        user: User,
        organization: Uuid,
    ) -> Result<Principal, StoreError> {
        let custom_role = self.custom_role(&user, organization).await?;
        let registered = self.registered(organization).await?;
        let owner = Owner { user, custom_role };
        Ok(facts::user_principal(
            owner,
            organization,
            false,
            registered,
        ))
    }

    /// A key that nobody has minted, as a policy would be told of it.
    pub(crate) async fn key_to_be(
        &self,
        key: Credential,
        owner: User,
    ) -> Result<Option<Principal>, StoreError> {
        let organization = key.organization;
        let custom_role = self.custom_role(&owner, organization).await?;
        let registered = self.registered(organization).await?;
        let facts = CredentialFacts {
            // Of no key's text.
            hash: KeyHash::from_bytes([0; 32]),
            credential: key,
            owner: Some(Owner {
                user: owner,
                custom_role,
            }),
            registered: BTreeSet::clone(&registered),
            version: String::new(),
        };
        let authority = &self.inner.authority;
        Ok(facts::credential_principal(facts, authority, &self.inner.registered).ok())
    }

    /// What a user's role grants where it is one of the organization's own.
    async fn custom_role(
        &self,
        user: &User,
        organization: Uuid,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let Some(name) = &user.role else {
            return Ok(None);
        };
        let role = self.inner.store.find_role(organization, name).await?;
        Ok(role.map(|role| role.permissions))
    }
}

fn known(principal: Option<Principal>, now_ms: i64) -> Known {
    match principal {
        None => Known::Ended,
        Some(principal) if is_over(&principal, now_ms) => Known::Expired,
        Some(principal) => Known::Live(Arc::new(principal)),
    }
}
