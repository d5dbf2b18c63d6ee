//! Whom a question of another caller is about: somebody of the store, nobody, or whoever it says.

use std::sync::Arc;

use scopegate_policy::{Caller, CallerKind, Clusters};
use uuid::Uuid;

use super::Evaluator;
use crate::{
    Cause, Principal,
    directory::{Known, UserName},
    refusal::cut,
    store::StoreError,
};

/// How much of a name is said back, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// How a question names its subject.
#[derive(Clone, Debug)]
pub enum SubjectName<'n> {
    /// A user, by id or e-mail address: as in a session that they have not opened.
    User(&'n str),
    /// A session, by id.
    Session(&'n str),
    /// An API key, by id.
    Key(&'n str),
    /// An agent's token, by id.
    Agent(&'n str),
    /// Whoever comes without a credential.
    Anonymous,
    /// Of a kind that no store has: nobody.
    Other {
        /// The kind.
        kind: &'n str,
        /// As it is named there.
        id: &'n str,
    },
    /// Whoever has these facts. Only those say so who may assert.
    Claimed(Claims),
}

/// Facts of a subject that a question itself says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// How they would prove who they are; never [`CallerKind::Anonymous`].
    pub kind: CallerKind,
    /// Who acts.
    pub subject: String,
    /// Names of the policy's roles.
    pub roles: Vec<String>,
    /// Permissions besides those.
    pub permissions: Vec<String>,
    /// What the credential is narrowed to; `None`: not narrowed.
    pub scopes: Option<Vec<String>>,
    /// The clusters that they may touch, at most those of the organization.
    pub clusters: Clusters,
    /// The one cluster of an agent.
    pub agent_cluster: Option<String>,
    /// Whether with a second factor.
    pub mfa: bool,
    /// When they signed in, in seconds since the epoch.
    pub auth_time: Option<i64>,
}

/// A subject that was looked for.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Nothing for nobody.
    pub(super) principal: Option<Arc<Principal>>,
    /// Why they would be refused whatever they ask for.
    pub(super) refused: Option<Cause>,
}

impl Subject {
    /// Who comes without a credential.
    pub fn anonymous() -> Self {
        Self {
            principal: None,
            refused: None,
        }
    }

    fn live(principal: Arc<Principal>) -> Self {
        Self {
            principal: Some(principal),
            refused: None,
        }
    }

    fn refused(cause: Cause) -> Self {
        Self {
            principal: None,
            refused: Some(cause),
        }
    }
}

impl Evaluator<'_> {
    /// Finds a subject, in the asker's organization and nowhere else. One that is not there is a subject too: of whom every
    /// question is answered with a refusal.
    ///
    /// # Errors
    /// When it cannot be told; and for claims of an asker who may assert none.
    pub async fn find(&self, name: &SubjectName<'_>) -> Result<Subject, Cause> {
        let directory = self.gate.directory();
        let (organization, now_ms) = (self.by.organization, self.now_ms);
        let credential = async |id: &str, kind: CallerKind| match id.parse::<Uuid>() {
            Ok(id) => {
                directory
                    .known_credential(id, kind, organization, now_ms)
                    .await
            }
            Err(_) => Ok(Known::Nobody),
        };
        let (what, id, known) = match name {
            SubjectName::Anonymous => return Ok(Subject::anonymous()),
            SubjectName::Claimed(claims) => return self.claimed(claims).await,
            SubjectName::Other { kind, id } => (*kind, id, Ok(Known::Nobody)),
            SubjectName::User(id) => {
                let name = match id.parse() {
                    Ok(id) => UserName::Id(id),
                    Err(_) => UserName::Email(id),
                };
                ("user", id, directory.known_user(name, organization).await)
            }
            SubjectName::Session(id) => {
                let known = match id.parse() {
                    Ok(id) => directory.known_session(id, organization, now_ms).await,
                    Err(_) => Ok(Known::Nobody),
                };
                ("session", id, known)
            }
            SubjectName::Key(id) => ("key", id, credential(id, CallerKind::ApiKey).await),
            SubjectName::Agent(id) => ("agent", id, credential(id, CallerKind::Agent).await),
        };
        let known = known.map_err(|error: StoreError| Cause::Unavailable(error.to_string()))?;
        Ok(match known {
            Known::Live(principal) => Subject::live(principal),
            Known::Ended => Subject::refused(Cause::Revoked),
            Known::Expired => Subject::refused(Cause::Expired),
            Known::Nobody => {
                let (what, id) = (cut(what, NAME_BYTES_MAX), cut(id, NAME_BYTES_MAX));
                Subject::refused(Cause::NotFound(format!("there is no {what} `{id}`")))
            }
        })
    }

    /// A subject as the question says, of the asker's organization whatever it says, and no operator.
    async fn claimed(&self, claims: &Claims) -> Result<Subject, Cause> {
        self.require_assert().await?;
        let organization = self.by.organization;
        let registered = self.gate.directory().registered(organization);
        let registered = registered
            .await
            .map_err(|error| Cause::Unavailable(error.to_string()))?;
        let caller = Caller {
            kind: claims.kind,
            subject: claims.subject.clone(),
            organization: organization.to_string(),
            roles: claims.roles.clone(),
            permissions: claims.permissions.clone(),
            scopes: claims.scopes.clone(),
            clusters: claims.clusters.clone(),
            allowed_clusters: Clusters::All,
            agent_cluster: claims.agent_cluster.clone(),
            operator: false,
            mfa: claims.mfa,
            auth_time: claims.auth_time,
            credential_created: None,
        };
        let principal = Principal::without_credential(caller, organization, registered);
        Ok(Subject::live(Arc::new(principal)))
    }
}
