//! What there is: the catalogue, the roles, the routes. Those under `/-/api` are the gate's own management API; without them
//! its users could not manage their keys.

pub struct Permission {
    pub name: &'static str,
    pub category: &'static str,
    pub unlocks: &'static str,
    /// Whether a key may carry it.
    pub scope: bool,
}

pub struct Role {
    pub name: &'static str,
    pub permissions: &'static [&'static str],
}

pub struct Route {
    /// Upper-case, or `*`.
    pub method: &'static str,
    pub pattern: &'static str,
    /// Open to everyone.
    pub public: bool,
    pub requires: Option<&'static str>,
    /// Only for operators of the gate.
    pub operator: bool,
    /// Only for a session that signed in a short while ago.
    pub sign_in: bool,
    pub cluster: Cluster,
}

/// Which clusters a route touches.
#[allow(dead_code, reason = "not every policy has a route of each kind")]
pub enum Cluster {
    /// All of them.
    Spans,
    /// The segment of the path, from 0.
    Path(u32),
    Query(&'static str),
    Header(&'static str),
    /// No cluster's data.
    None,
    /// The upstream narrows by the header that it is given.
    Upstream,
    /// JSON Pointers to the items and to the cluster within one, and what stands beside the items and passes.
    Lists {
        items: &'static str,
        cluster: &'static str,
        keep: &'static [&'static str],
    },
}

