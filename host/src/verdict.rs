//! What the gate hands an adapter: admit or refuse. Adapters enforce it and decide nothing.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue};
use scopegate_policy::{Clusters, ListShape};
use uuid::Uuid;

use crate::{Principal, Refusal, audit::Record, engine::Policy, limit::Taken, span::RequestSpan};

/// The gate's answer.
#[derive(Debug)]
pub enum Verdict {
    /// Let it through, as the admission says.
    Admit(Arc<Admission>),
    /// Answer with this instead.
    Refuse(Box<Refusal>),
}

/// How an admitted request goes on. Its `Debug` leaves out the query, where clients put what they should not.
pub struct Admission {
    /// The request's id, also in `identity` as `X-Request-Id`.
    pub request_id: Uuid,
    /// `None` on public routes without a credential.
    pub principal: Option<Arc<Principal>>,
    /// When the credential ends, in seconds since the epoch: the token's own end, which may be before its session's.
    pub expires_at: Option<i64>,
    /// The path to forward: normalised.
    pub path: String,
    /// The query to forward, credentials and all else as it came; an agent's own cluster is written into it
    /// where the route takes the cluster from a parameter.
    pub query: String,
    /// The caller's roles that are in force in this request: those without a condition, and those whose condition is true.
    /// Told for the management API alone.
    pub roles: Vec<String>,
    /// The clusters that the caller may see in this request, already bounded by the caller's own.
    pub visible: Clusters,
    /// When set, the reply is a list: it must be read, cut down to `list_clusters` and written anew.
    pub list: Option<ListShape>,
    /// The registered clusters of `visible`; what a list's items may belong to.
    pub list_clusters: Vec<String>,
    /// Set on the upstream request, replacing whatever was there. Every identity header is always here.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// Taken off the upstream request before `identity` is set, credentials among them. Adapters also remove
    /// every spelling of an identity header (case, `_` for `-`) and what `Connection` names:
    /// [`crate::headers::is_reserved`] tells.
    pub remove: Vec<HeaderName>,
    /// Set on the response: limit state and request id.
    pub response: Vec<(HeaderName, HeaderValue)>,
    /// The state of the bucket that the request counted against, as `response` has it.
    pub limit: Taken,
    /// The client's address.
    pub client: IpAddr,
    /// Whether it is for the gate's own pages, `/-/…`, whose errors are problem documents in every contract.
    pub is_own: bool,
    /// The policy that decided. What else is to be done about the request goes by the same, whichever is active by then.
    pub policy: Arc<Policy>,
    /// What the audit was told of it, where there is one.
    pub record: Option<Arc<Record>>,
    /// Its span, which ends with this. Adapters say there what the client was answered.
    pub span: RequestSpan,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("request_id", &self.request_id)
            .field("principal", &self.principal)
            .field("path", &self.path)
            .field("visible", &self.visible)
            .field("list", &self.list)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
