//! What replies show.

use jiff::Timestamp;
use scopegate_host::{
    Clusters,
    admin::{Minted, RoleView},
    contract::Authority,
    store::{Cluster, Credential, Organization, State, User},
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Seconds since the epoch as a moment. What cannot be one was refused when it came in.
pub(super) fn moment(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap_or_default()
}

/// What a credential is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StateView {
    /// It opens what it opens
    Active,
    /// It still does, but ends by itself within 7 days
    Expiring,
    /// It ended by itself
    Expired,
    /// Somebody ended it
    Revoked,
}

impl From<State> for StateView {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Expiring => Self::Expiring,
            State::Expired => Self::Expired,
            State::Revoked => Self::Revoked,
        }
    }
}

impl From<StateView> for State {
    fn from(state: StateView) -> Self {
        match state {
            StateView::Active => Self::Active,
            StateView::Expiring => Self::Expiring,
            StateView::Expired => Self::Expired,
            StateView::Revoked => Self::Revoked,
        }
    }
}

/// A user by whom something is owned
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnerView {
    /// Their id
    id: Uuid,
    /// Their e-mail address
    #[schema(example = "ada@example.com")]
    email: Option<String>,
}

/// What a key may do before its scopes narrow it
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthorityView {
    /// What its owner may at the moment of a call; it ends with its owner
    Owner,
    /// What the contract gives to every key of the organization
    Organization,
    /// Exactly its scopes
    Scopes,
}

/// An API key. The key itself is nowhere
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyView {
    /// Its id
    id: Uuid,
    /// What it is for
    #[schema(example = "grafana-export")]
    name: String,
    /// How the key begins
    #[schema(example = "sg_live_")]
    prefix: String,
    /// How it ends
    #[schema(example = "Lq17")]
    last_four: String,
    /// Whose it is
    owner: Option<OwnerView>,
    /// What it may do before its scopes narrow it, by the contract
    authority: AuthorityView,
    /// What it is narrowed to; `null`: not narrowed
    #[schema(example = json!(["clusters:read"]))]
    scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to; empty: every cluster, also those added later
    #[schema(example = json!(["prod"]))]
    allowed_cluster_ids: Vec<String>,
    /// When it was minted
    created_at: Timestamp,
    /// When it was last used, to about ten seconds
    last_used_at: Option<Timestamp>,
    /// When it ends by itself
    expires_at: Option<Timestamp>,
    /// When its rotation ends it
    retires_at: Option<Timestamp>,
    /// When it was revoked
    revoked_at: Option<Timestamp>,
    /// What it is good for now
    state: StateView,
    /// The key that it follows
    predecessor: Option<Uuid>,
    /// The key that follows it
    successor: Option<Uuid>,
}

impl KeyView {
    /// A key at `now`, in seconds since the epoch.
    pub(super) fn of(key: Credential, authority: &Authority, now: i64) -> Self {
        let state = key.state(now).into();
        let email = key.owner_email;
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            last_four: key.last_four,
            owner: key.owner.map(|id| OwnerView { id, email }),
            authority: match authority {
                Authority::Owner => AuthorityView::Owner,
                Authority::Organization(_) => AuthorityView::Organization,
                Authority::Scopes => AuthorityView::Scopes,
            },
            scopes: key.scopes,
            allowed_cluster_ids: match key.allowed_clusters {
                Clusters::All => Vec::new(),
                Clusters::Only(ids) => ids,
            },
            created_at: moment(key.created_at),
            last_used_at: key.last_used_at.map(moment),
            expires_at: key.expires_at.map(moment),
            retires_at: key.retires_at.map(moment),
            revoked_at: key.revoked_at.map(moment),
            state,
            predecessor: key.predecessor,
            successor: key.successor,
        }
    }
}

/// The token of a cluster's agent. The token itself is nowhere
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentView {
    /// Its id
    id: Uuid,
    /// What it is called
    #[schema(example = "prod")]
    name: String,
    /// Its one cluster
    #[schema(example = "prod")]
    cluster: String,
    /// How the token begins
    #[schema(example = "sg_agent_")]
    prefix: String,
    /// How it ends
    #[schema(example = "Lq17")]
    last_four: String,
    /// When it was minted
    created_at: Timestamp,
    /// When it was last used, to about ten seconds
    last_used_at: Option<Timestamp>,
    /// When it ends by itself
    expires_at: Option<Timestamp>,
    /// When its rotation ends it
    retires_at: Option<Timestamp>,
    /// When it was revoked
    revoked_at: Option<Timestamp>,
    /// What it is good for now
    state: StateView,
    /// The token that it follows
    predecessor: Option<Uuid>,
    /// The token that follows it
    successor: Option<Uuid>,
}

impl AgentView {
    /// A token at `now`, in seconds since the epoch.
    pub(super) fn of(agent: Credential, now: i64) -> Self {
        let state = agent.state(now).into();
        Self {
            id: agent.id,
            name: agent.name,
            cluster: agent.cluster.unwrap_or_default(),
            prefix: agent.prefix,
            last_four: agent.last_four,
            created_at: moment(agent.created_at),
            last_used_at: agent.last_used_at.map(moment),
            expires_at: agent.expires_at.map(moment),
            retires_at: agent.retires_at.map(moment),
            revoked_at: agent.revoked_at.map(moment),
            state,
            predecessor: agent.predecessor,
            successor: agent.successor,
        }
    }
}

/// A new credential and its secret
// No `Debug`: the secret is shown to the caller alone.
#[derive(Serialize, ToSchema)]
pub(super) struct MintedView<T> {
    /// What is kept of it
    #[serde(flatten)]
    credential: T,
    /// The whole key, shown this once; `null` where the same request was sent again
    #[schema(example = "sg_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17")]
    secret: Option<String>,
}

impl<T> MintedView<T> {
    /// What was minted, by its view.
    pub(super) fn of(minted: Minted, view: impl FnOnce(Credential) -> T) -> Self {
        Self {
            credential: view(minted.credential),
            secret: minted
                .secret
                .map(|secret| secret.expose_secret().to_owned()),
        }
    }
}

/// A cluster
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClusterView {
    /// Its id, never used again once it was deleted
    #[schema(example = "prod")]
    id: String,
    /// When it was registered
    created_at: Timestamp,
}

impl From<Cluster> for ClusterView {
    fn from(cluster: Cluster) -> Self {
        Self {
            id: cluster.id,
            created_at: moment(cluster.created_at),
        }
    }
}

/// A user
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    /// Their id
    id: Uuid,
    /// Their e-mail address
    #[schema(example = "ada@example.com")]
    email: String,
    /// Their role, built in or custom
    #[schema(example = "viewer")]
    role: String,
    /// Their clusters; `null`: every cluster
    #[schema(example = json!(["prod"]))]
    clusters: Option<Vec<String>>,
    /// When they were added
    created_at: Timestamp,
    /// When they were disabled
    disabled_at: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            role: user.role.unwrap_or_default(),
            clusters: match user.clusters {
                Clusters::All => None,
                Clusters::Only(ids) => Some(ids),
            },
            created_at: moment(user.created_at),
            disabled_at: user.disabled_at.map(moment),
        }
    }
}

/// An invitation: whoever presents it at `POST /-/invitation` chooses the user's password
// No `Debug`: the secret is shown to the caller alone.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationView {
    /// Whom it is for
    user: UserView,
    /// What they present, shown this once; `null` where the same request was sent again
    #[schema(example = "q8wbQ3cNQ0H2Jp5m1TtXy7ZkLr9VdSfGaUeBiWoMnPc")]
    invitation: Option<String>,
    /// When it ends; `null` where the same request was sent again
    expires_at: Option<Timestamp>,
}

impl From<scopegate_host::admin::Invitation> for InvitationView {
    fn from(invitation: scopegate_host::admin::Invitation) -> Self {
        Self {
            user: invitation.user.into(),
            invitation: invitation
                .secret
                .map(|secret| secret.expose_secret().to_owned()),
            expires_at: invitation.expires_at.map(moment),
        }
    }
}

/// A role
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoleBody {
    /// Its name
    #[schema(example = "release-manager")]
    name: String,
    /// Its permissions; those of a built-in role are spelled out
    #[schema(example = json!(["clusters:read", "workloads:*"]))]
    permissions: Vec<String>,
    /// Whether it is the organization's own
    custom: bool,
}

impl From<RoleView> for RoleBody {
    fn from(view: RoleView) -> Self {
        Self {
            name: view.role.name,
            permissions: view.role.permissions,
            custom: view.custom,
        }
    }
}

/// An organization
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationView {
    /// Its id
    id: Uuid,
    /// Its name
    #[schema(example = "Acme")]
    name: String,
    /// When it was made
    created_at: Timestamp,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            created_at: moment(organization.created_at),
        }
    }
}
