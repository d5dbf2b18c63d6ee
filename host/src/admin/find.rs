//! From names in a command to what they name, or to an error that offers what was probably meant.

use std::collections::HashSet;

use scopegate_policy::{
    Clusters,
    permission::{self, Pattern},
};
use uuid::Uuid;

use super::{
    Admin, AdminError, ErrorKind, cluster,
    error::{listed, quoted, suggest},
};
use crate::{
    directory::AGENT_ROLE,
    store::{Credential, CredentialKind, Organization, User},
};

/// Names in one list of a request at most.
const LISTED_MAX: usize = 1000;

/// A list of so many names as are looked up in good time.
pub(super) fn require_few(names: &[String], what: &str) -> Result<(), AdminError> {
    match names.len() {
        ..=LISTED_MAX => Ok(()),
        _ => Err(AdminError::invalid(format!(
            "a request lists at most {LISTED_MAX} {what}"
        ))),
    }
}

impl Admin<'_> {
    /// An organization by name or id, or the only one.
    pub(super) async fn organization(
        &self,
        wanted: Option<&str>,
    ) -> Result<Organization, AdminError> {
        let mut all = self.directory.store().list_organizations().await?;
        let index = match wanted {
            Some(wanted) => {
                let id = Uuid::parse_str(wanted).ok();
                all.iter()
                    .position(|one| one.name == wanted || Some(one.id) == id)
            }
            None => Some(0).filter(|_| all.len() == 1),
        };
        match (index, wanted) {
            (Some(index), _) => Ok(all.swap_remove(index)),
            (None, Some(wanted)) => {
                let names = all.iter().map(|one| one.name.as_str());
                Err(AdminError::unknown("organization", wanted, names))
            }
            (None, None) if all.is_empty() => {
                Err(AdminError::invalid("there is no organization yet").help("create one first"))
            }
            (None, None) => {
                let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
                Err(
                    AdminError::invalid("which organization is not said, and there are several")
                        .help(format!("say one of {}", listed(&names))),
                )
            }
        }
    }

    /// A user or operator by e-mail address.
    pub(super) async fn user(&self, email: &str) -> Result<User, AdminError> {
        let store = self.directory.store();
        if let Some(found) = store.find_login(email).await? {
            return Ok(found.user);
        }
        // Whoever calls from elsewhere is not told who there is.
        if self.caller.is_some() {
            return Err(AdminError::nameless("user", email));
        }
        let mut users = store.list_users(None).await?;
        for organization in store.list_organizations().await? {
            users.extend(store.list_users(Some(organization.id)).await?);
        }
        Err(AdminError::unknown(
            "user",
            email,
            users.iter().map(|user| user.email.as_str()),
        ))
    }

    /// A user and their organization.
    pub(super) async fn member(&self, email: &str) -> Result<(User, Uuid), AdminError> {
        let user = self.user(email).await?;
        match user.organization {
            Some(organization) => Ok((user, organization)),
            None => Err(
                AdminError::invalid(format!("{} is an operator", quoted(email))).help(
                    "operators are in no organization, and have neither role, clusters nor keys",
                ),
            ),
        }
    }

    /// A role that a user may be given.
    pub(super) async fn assignable_role(
        &self,
        organization: Uuid,
        role: String,
    ) -> Result<String, AdminError> {
        if role == AGENT_ROLE {
            return Err(AdminError::invalid("the role `agent` is for agent tokens")
                .help("mint an agent token for the cluster instead"));
        }
        let custom = self.directory.store().list_roles(organization).await?;
        let built_in = self.description.roles.iter().map(|role| role.name.as_str());
        let custom = custom.iter().map(|role| role.name.as_str());
        let known = built_in.filter(|name| *name != AGENT_ROLE).chain(custom);
        // A policy that was not made from a document may call its roles what it likes; a store does not.
        let known: Vec<&str> = known.filter(|name| permission::is_word(name)).collect();
        if known.contains(&role.as_str()) {
            Ok(role)
        } else {
            Err(AdminError::unknown("role", &role, known))
        }
    }

    /// A user's clusters: every one when none are given, otherwise registered ones.
    pub(super) async fn assigned_clusters(
        &self,
        organization: Uuid,
        ids: Option<Vec<String>>,
    ) -> Result<Clusters, AdminError> {
        let Some(ids) = ids else {
            return Ok(Clusters::All);
        };
        self.require_clusters(organization, &ids).await?;
        Ok(Clusters::only(ids))
    }

    /// Checks that all of these are registered, and told apart from those that are not only by whoever sees them: what
    /// the caller may not touch is as if it were not there, in the same words.
    pub(super) async fn require_clusters(
        &self,
        organization: Uuid,
        ids: &[String],
    ) -> Result<(), AdminError> {
        if ids.is_empty() {
            return Ok(());
        }
        require_few(ids, "clusters")?;
        for id in ids {
            cluster::check_id(id)?;
        }
        let known = self.known_clusters(organization).await?;
        let is_operator = self.caller.is_some_and(|caller| caller.caller.operator);
        let registered: HashSet<&str> = known.iter().map(String::as_str).collect();
        match ids.iter().find(|id| !registered.contains(id.as_str())) {
            Some(id) if is_operator => Err(AdminError::nameless("cluster", id)),
            Some(id) => Err(AdminError::unknown(
                "cluster",
                id,
                known.iter().map(String::as_str),
            )),
            None => Ok(()),
        }
    }

    /// Those of the clusters that [`Admin::require_clusters`] finds nothing wrong about.
    pub(super) async fn good_clusters(
        &self,
        organization: Uuid,
        ids: &[String],
    ) -> Result<Vec<String>, AdminError> {
        let known = self.known_clusters(organization).await?;
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let good = known.into_iter().filter(|id| wanted.contains(id.as_str()));
        Ok(good.collect())
    }

    /// The registered clusters, as far as the caller sees them.
    async fn known_clusters(&self, organization: Uuid) -> Result<Vec<String>, AdminError> {
        let clusters = self.directory.store().list_clusters(organization).await?;
        let visible = |id: &String| {
            let caller = self.caller.map(|caller| &caller.caller);
            // An operator imports keys, for clusters that they are told of.
            caller.is_none_or(|caller| caller.operator || caller.may_touch(id))
        };
        let known = clusters
            .into_iter()
            .filter(|cluster| cluster.deleted_at.is_none());
        Ok(known.map(|cluster| cluster.id).filter(visible).collect())
    }

    /// Permissions and patterns of a custom role: each must mean something in the policy's catalogue.
    pub(super) fn known_patterns(
        &self,
        mut patterns: Vec<String>,
    ) -> Result<Vec<String>, AdminError> {
        require_few(&patterns, "permissions")?;
        let names = || {
            self.description
                .permissions
                .iter()
                .map(|known| known.name.as_str())
        };
        for text in &patterns {
            let Some(pattern) = Pattern::parse(text) else {
                return Err(
                    AdminError::invalid(format!("{} is not a permission", quoted(text))).help(
                        "permissions read like `clusters:read`, `clusters:*`, `*:read` or `*`",
                    ),
                );
            };
            if !names().any(|known| pattern.matches(known)) {
                return Err(AdminError::unknown("permission", text, names()));
            }
        }
        if patterns.is_empty() {
            return Err(AdminError::invalid("a role needs at least one permission"));
        }
        patterns.sort_unstable();
        patterns.dedup();
        Ok(patterns)
    }

    /// A key or agent token by id, or by a name that only one has which is not revoked.
    pub(super) async fn credential(
        &self,
        organization: Option<String>,
        wanted: &str,
        kind: CredentialKind,
    ) -> Result<Uuid, AdminError> {
        let store = self.directory.store();
        let what = match kind {
            CredentialKind::ApiKey => "key",
            CredentialKind::Agent => "agent token",
        };
        if let Ok(id) = Uuid::parse_str(wanted) {
            let found = store.find_credential(id).await?;
            return match found.filter(|facts| facts.credential.kind == kind) {
                Some(facts) => Ok(facts.credential.id),
                None => Err(AdminError::unknown(what, wanted, [])),
            };
        }
        let organization = self.organization(organization.as_deref()).await?;
        let all = store.list_credentials(organization.id, kind).await?;
        let active = || all.iter().filter(|one| one.revoked_at.is_none());
        let named: Vec<&Credential> = active().filter(|one| one.name == wanted).collect();
        match named.as_slice() {
            [one] => Ok(one.id),
            [] => Err(AdminError {
                kind: ErrorKind::Unknown,
                message: format!("there is no active {what} {}", quoted(wanted)),
                help: suggest(what, wanted, active().map(|one| one.name.as_str())),
            }),
            several => {
                let ids: Vec<String> = several.iter().map(|one| one.id.to_string()).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                Err(
                    AdminError::conflict(format!("several {what}s are called {}", quoted(wanted)))
                        .help(format!("say the id: one of {}", listed(&ids))),
                )
            }
        }
    }
}
