//! The words of a question and of its answer: who calls, what they ask for, what was decided and by which rule.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How the caller proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerKind {
    /// No credential was presented.
    Anonymous,
    /// A user's session (JWT).
    Session,
    /// An API key.
    ApiKey,
    /// An agent token, bound to one cluster.
    Agent,
}

/// Whether this can be a cluster's id: `[A-Za-z0-9._:-]{1,253}`.
pub fn is_cluster_id(id: &str) -> bool {
    is_cluster_id_bytes(id.as_bytes())
}

pub(crate) fn is_cluster_id_bytes(id: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    (1..=253).contains(&id.len()) && id.iter().all(allowed)
}

/// A set of clusters. `Only` of nothing is no cluster at all: it never means "all".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clusters {
    /// Every cluster of the caller's organization.
    All,
    /// These clusters, sorted and without duplicates when made by [`Clusters::only`].
    Only(Vec<String>),
}

impl Clusters {
    /// A set of exactly these clusters.
    pub fn only(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        ids.sort_unstable();
        ids.dedup();
        Self::Only(ids)
    }

    /// Whether the set has this cluster.
    pub fn contains(&self, cluster: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.binary_search_by(|id| id.as_str().cmp(cluster)).is_ok(),
        }
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, set) | (set, Self::All) => set.clone(),
            (Self::Only(mine), set) => {
                Self::Only(mine.iter().filter(|id| set.contains(id)).cloned().collect())
            }
        }
    }

    /// Whether the set is narrower than "every cluster".
    pub fn is_restricted(&self) -> bool {
        matches!(self, Self::Only(_))
    }
}

/// Who is calling, as facts that the host has verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// How they proved it.
    pub kind: CallerKind,
    /// The user, key or agent that acts. Empty for anonymous callers.
    pub subject: String,
    /// The organization that everything about this request belongs to. Empty for anonymous callers.
    pub organization: String,
    /// Names of roles that the policy defines. Unknown names grant nothing.
    pub roles: Vec<String>,
    /// Permissions held besides those roles; wildcards as in roles.
    pub permissions: Vec<String>,
    /// What the credential carries; `None` when it does not narrow its authority.
    pub scopes: Option<Vec<String>>,
    /// The clusters of the authority behind the credential.
    pub clusters: Clusters,
    /// The clusters that the credential itself is restricted to.
    pub allowed_clusters: Clusters,
    /// The one cluster of an agent.
    pub agent_cluster: Option<String>,
    /// An operator of the gate itself. No role and no `*` grants that.
    pub operator: bool,
    /// Whether the session was opened with a second factor.
    pub mfa: bool,
    /// When the user last signed in, in seconds since the epoch.
    pub auth_time: Option<i64>,
    /// When the credential was made, in seconds since the epoch.
    pub credential_created: Option<i64>,
}

impl Caller {
    /// The caller who presented no credential.
    pub fn anonymous() -> Self {
        Self {
            kind: CallerKind::Anonymous,
            subject: String::new(),
            organization: String::new(),
            roles: Vec::new(),
            permissions: Vec::new(),
            scopes: None,
            clusters: Clusters::Only(Vec::new()),
            allowed_clusters: Clusters::Only(Vec::new()),
            agent_cluster: None,
            operator: false,
            mfa: false,
            auth_time: None,
            credential_created: None,
        }
    }

    /// Authority's clusters ∩ the credential's, and for an agent its one cluster.
    pub fn effective_clusters(&self) -> Clusters {
        let both = self.clusters.intersect(&self.allowed_clusters);
        match &self.agent_cluster {
            Some(own) => both.intersect(&Clusters::only([own.as_str()])),
            None if self.kind == CallerKind::Agent => Clusters::Only(Vec::new()),
            None => both,
        }
    }

    /// Whether the effective clusters have this one; builds no set.
    pub fn may_touch(&self, cluster: &str) -> bool {
        let is_own = match &self.agent_cluster {
            Some(own) => own == cluster,
            None => self.kind != CallerKind::Agent,
        };
        is_own && self.clusters.contains(cluster) && self.allowed_clusters.contains(cluster)
    }

    /// Whether the effective clusters are fewer than "every cluster".
    pub fn is_restricted(&self) -> bool {
        self.kind == CallerKind::Agent
            || self.agent_cluster.is_some()
            || self.clusters.is_restricted()
            || self.allowed_clusters.is_restricted()
    }
}

/// What is asked for. Everything is normalised before it gets here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Upper-case; HEAD arrives as GET.
    pub method: String,
    /// Starts with `/`; no dot segments, no doubled slashes, no query.
    pub path: String,
    /// The query parameters that the policy's routes name, decoded.
    pub query: Vec<(String, String)>,
    /// The headers that the policy's routes and conditions name, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// Seconds since the epoch.
    pub now: i64,
    /// The client's address.
    pub address: Option<IpAddr>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The route needs a caller and nobody presented a credential.
    NotAuthenticated,
    /// No route of the policy matches.
    NoRoute,
    /// The path matches a route's literal only when case is ignored.
    AmbiguousPath,
    /// The permission that the caller lacks.
    MissingPermission(String),
    /// The cluster that the caller may not touch.
    ClusterNotAllowed(String),
    /// A caller restricted to clusters must name one here.
    ClusterRequired,
    /// The route spans every cluster and the caller is restricted to some.
    ClustersRestricted,
    /// Keys may only read here.
    ReadOnlyKey,
    /// The cluster, not its own, that an agent asked for.
    AgentOutsideCluster(String),
    /// Only an operator of the gate may do this.
    OperatorRequired,
    /// A fresh sign-in is needed.
    SignInRequired,
    /// The route's condition is not true.
    ConditionNotMet,
    /// A reason of a hand-written policy, in its own word.
    Other(String),
}

impl Reason {
    /// The machine-readable word, such as `missing-permission`.
    pub fn code(&self) -> &str {
        match self {
            Self::NotAuthenticated => "not-authenticated",
            Self::NoRoute => "no-route",
            Self::AmbiguousPath => "ambiguous-path",
            Self::MissingPermission(_) => "missing-permission",
            Self::ClusterNotAllowed(_) => "cluster-not-allowed",
            Self::ClusterRequired => "cluster-required",
            Self::ClustersRestricted => "clusters-restricted",
            Self::ReadOnlyKey => "read-only-key",
            Self::AgentOutsideCluster(_) => "agent-outside-cluster",
            Self::OperatorRequired => "operator-required",
            Self::SignInRequired => "sign-in-required",
            Self::ConditionNotMet => "condition-not-met",
            Self::Other(code) => code,
        }
    }

    /// The permission or cluster that the reason is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::MissingPermission(name)
            | Self::ClusterNotAllowed(name)
            | Self::AgentOutsideCluster(name) => Some(name),
            _ => None,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Allowed, for these clusters.
    Allow(Clusters),
    /// Refused.
    Deny(Reason),
}

/// What held the permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Nothing did.
    None,
    /// A role, as an index into [`crate::Description::roles`].
    Role(u32),
    /// One of the caller's own permissions.
    Permission,
    /// The route is public.
    Public,
}

/// What narrowed or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restriction {
    /// Nothing did.
    None,
    /// The credential's scopes.
    Scopes,
    /// The clusters of the authority behind the credential.
    AuthorityClusters,
    /// The clusters on the credential.
    KeyClusters,
    /// The agent's one cluster.
    AgentCluster,
    /// Keys may only read.
    ReadOnly,
}

/// The rule that decided, as indexes into the policy's [`crate::Description`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The route that matched.
    pub route: Option<u32>,
    /// What held the permission.
    pub grant: Grant,
    /// What narrowed or refused.
    pub restriction: Restriction,
}

/// An outcome and the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allow or deny.
    pub outcome: Outcome,
    /// Why.
    pub rule: Rule,
}
