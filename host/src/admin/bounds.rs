//! What a caller may give, and whom they may change: nobody gives more than they hold at that moment, and nobody
//! changes a user who may do more than they. Commands that are given on the machine itself are not bounded.

use std::collections::BTreeSet;

use scopegate_policy::{CallerKind, Clusters, permission::Pattern};
use uuid::Uuid;

use super::{Admin, AdminError};
use crate::{Principal, store::User};

impl Admin<'_> {
    /// The caller's organization.
    ///
    /// # Errors
    /// When they are in none: operators.
    pub(super) fn home(&self) -> Result<Uuid, AdminError> {
        match self.caller {
            Some(caller) if !caller.caller.operator => Ok(caller.organization),
            Some(_) => Err(AdminError::forbidden(
                "operators are in no organization, and have nothing of their own in one",
            )),
            None => Err(AdminError::invalid("which organization is not said")),
        }
    }

    /// The user who acts, with a session of this gate.
    pub(super) fn acting_user(&self) -> Result<Uuid, AdminError> {
        match self.caller {
            Some(Principal {
                kind: CallerKind::Session,
                user: Some(user),
                ..
            }) => Ok(*user),
            _ => Err(AdminError::forbidden(
                "only a user of this gate who has signed in may do this",
            )),
        }
    }

    /// Every permission of the catalogue that the caller holds in this request, in which a role whose condition is not true
    /// gives nothing; nothing said for the machine, which holds all.
    pub fn held(&self) -> Option<BTreeSet<&str>> {
        let caller = &self.caller?.caller;
        let granted = |name: &str| {
            let by_role = self.description.roles.iter().any(|role| {
                self.roles.contains(&role.name) && role.permissions.iter().any(|held| held == name)
            });
            by_role
                || caller
                    .permissions
                    .iter()
                    .filter_map(|held| Pattern::parse(held))
                    .any(|pattern| pattern.matches(name))
        };
        let carried = |name: &str| {
            let scopes = caller.scopes.as_ref();
            scopes.is_none_or(|scopes| scopes.iter().any(|scope| scope == name))
        };
        let names = self
            .description
            .permissions
            .iter()
            .map(|known| known.name.as_str());
        Some(
            names
                .filter(|name| granted(name) && carried(name))
                .collect(),
        )
    }

    /// The caller holds all of these.
    pub(super) fn require_held<'n>(
        &self,
        given: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), AdminError> {
        let Some(held) = self.held() else {
            return Ok(());
        };
        match given.into_iter().find(|name| !held.contains(name)) {
            Some(name) => Err(AdminError::forbidden(format!(
                "you do not hold the permission `{name}`, so you cannot give it"
            ))),
            None => Ok(()),
        }
    }

    /// The caller may touch all of these clusters; every cluster only if they may.
    pub(super) fn require_clusters_held(&self, given: &Clusters) -> Result<(), AdminError> {
        let Some(caller) = self.caller else {
            return Ok(());
        };
        match given {
            Clusters::All if caller.caller.is_restricted() => Err(AdminError::forbidden(
                "you are restricted to clusters, so you must list those that you give",
            )),
            Clusters::All => Ok(()),
            Clusters::Only(ids) => match ids.iter().find(|id| !caller.caller.may_touch(id)) {
                // In the words for one that does not exist; of those that do, only the caller's own are offered.
                Some(id) => {
                    let visible = self.visible_clusters().unwrap_or_default();
                    let known = visible.iter().map(String::as_str);
                    Err(AdminError::unknown("cluster", id, known))
                }
                None => Ok(()),
            },
        }
    }

    /// The caller is not restricted to clusters, which roles and new clusters reach beyond.
    pub(super) fn require_unrestricted(&self) -> Result<(), AdminError> {
        match self.caller {
            Some(caller) if caller.caller.is_restricted() => Err(AdminError::forbidden(
                "you are restricted to clusters, and this reaches beyond them",
            )),
            _ => Ok(()),
        }
    }

    /// The clusters that the caller sees; nothing said where they see all.
    pub(super) fn visible_clusters(&self) -> Option<Vec<String>> {
        let caller = self.caller.filter(|caller| caller.caller.is_restricted())?;
        match caller.caller.effective_clusters() {
            Clusters::All => None,
            Clusters::Only(ids) => Some(ids),
        }
    }

    /// The permissions of the catalogue that these patterns stand for.
    pub(super) fn expand<'d>(&'d self, patterns: &[String]) -> Vec<&'d str> {
        let patterns: Vec<Pattern<'_>> = patterns
            .iter()
            .filter_map(|text| Pattern::parse(text))
            .collect();
        let names = self.description.permissions.iter();
        names
            .map(|known| known.name.as_str())
            .filter(|name| patterns.iter().any(|pattern| pattern.matches(name)))
            .collect()
    }

    /// What a role gives, built in or custom.
    pub(super) async fn role_gives(
        &self,
        organization: Uuid,
        role: &str,
    ) -> Result<Vec<&str>, AdminError> {
        let built_in = self
            .description
            .roles
            .iter()
            .find(|known| known.name == role);
        if let Some(built_in) = built_in {
            return Ok(built_in.permissions.iter().map(String::as_str).collect());
        }
        let custom = self.directory.store().find_role(organization, role).await?;
        Ok(custom.map_or_else(Vec::new, |role| self.expand(&role.permissions)))
    }

    /// A user of the caller's organization who may do no more than the caller.
    pub(super) async fn user_within_bounds(&self, id: Uuid) -> Result<User, AdminError> {
        let user = self.user_of_home(id).await?;
        if self.caller.is_some_and(|caller| caller.user == Some(id)) {
            return Ok(user);
        }
        let role = user.role.as_deref().unwrap_or_default();
        let gives = self.role_gives(self.home()?, role).await?;
        let more = |error: AdminError| AdminError {
            message: "the user may do more than you".to_owned(),
            ..error
        };
        self.require_held(gives).map_err(more)?;
        self.require_clusters_held(&user.clusters)
            .map_err(|_| AdminError::forbidden("the user has clusters that you do not have"))?;
        Ok(user)
    }

    /// It is not the caller.
    pub(super) fn require_other(&self, user: Uuid) -> Result<(), AdminError> {
        match self.caller {
            Some(caller) if caller.user == Some(user) => {
                Err(AdminError::conflict("nobody takes their own rights away")
                    .help("another administrator of the organization can"))
            }
            _ => Ok(()),
        }
    }

    /// A user of the caller's organization.
    pub(super) async fn user_of_home(&self, id: Uuid) -> Result<User, AdminError> {
        let home = self.home()?;
        let found = self.directory.store().find_user(id).await?;
        found
            .filter(|user| user.organization == Some(home))
            .ok_or_else(|| AdminError::no_such("user"))
    }
}
