//! An answer: a decision in 64 bits, and back.
//!
//! ```text
//! bits  0..8   what was decided (`Code`); 0 is no answer
//!       8..12  the clusters that are visible (`Visible`)
//!      12..16  what narrowed or refused
//!      16..18  what held the permission: 0 nothing, 1 a role, 2 the caller's own permissions, 3 public
//!      18      the cluster is the agent's own, which the request did not name
//!      19..32  0
//!      32..48  the route, 0xffff for none
//!      48..64  the role, where one held the permission
//! ```

use crate::description::Description;
use crate::facts::{Caller, Clusters, Decision, Grant, Outcome, Reason, Restriction, Rule};

use super::pack::RequestRef;

/// The question made no sense: it was cut off, or made for another policy.
pub(super) const MALFORMED_QUESTION: u64 = 0xf0;
/// The search for the route was given up.
const ROUTES_OVERLAP: u8 = 0xf1;
const NO_ROUTE: u16 = u16::MAX;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Allow = 1,
    NotAuthenticated = 2,
    NoRoute = 3,
    AmbiguousPath = 4,
    MissingPermission = 5,
    ClusterNotAllowed = 6,
    ClusterRequired = 7,
    ClustersRestricted = 8,
    ReadOnlyKey = 9,
    AgentOutsideCluster = 10,
    OperatorRequired = 11,
    SignInRequired = 12,
    ConditionNotMet = 13,
    /// Not a decision but a fault: the question was malformed.
    Malformed = MALFORMED_QUESTION as u8,
    /// Not a decision but a fault: the search for the route was given up.
    Overlap = ROUTES_OVERLAP,
}

/// The clusters that an allowed request may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Visible {
    /// None, in a refusal.
    Nothing = 0,
    /// The caller's effective ones.
    Effective = 1,
    /// The one that the request names, or the agent's own.
    One = 2,
}

/// A decision in small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(crate) code: Code,
    pub(crate) visible: Visible,
    pub(crate) restriction: Restriction,
    pub(crate) grant: Grant,
    /// The cluster is the agent's own, which the request did not name.
    pub(crate) implied: bool,
    pub(crate) route: Option<u16>,
}

/// An answer that makes no sense; the text says what about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

impl Answer {
    /// A refusal without a route or a grant.
    pub(crate) fn deny(code: Code) -> Self {
        Self {
            code,
            visible: Visible::Nothing,
            restriction: Restriction::None,
            grant: Grant::None,
            implied: false,
            route: None,
        }
    }

    pub(crate) fn to_bits(self) -> u64 {
        let restriction = match self.restriction {
            Restriction::None => 0_u64,
            Restriction::Scopes => 1,
            Restriction::AuthorityClusters => 2,
            Restriction::KeyClusters => 3,
            Restriction::AgentCluster => 4,
            Restriction::ReadOnly => 5,
        };
        let (grant, role) = match self.grant {
            Grant::None => (0_u64, 0),
            Grant::Role(role) => (1, u64::from(role)),
            Grant::Permission => (2, 0),
            Grant::Public => (3, 0),
        };
        self.code as u64
            | (self.visible as u64) << 8
            | restriction << 12
            | grant << 16
            | u64::from(self.implied) << 18
            | u64::from(self.route.unwrap_or(NO_ROUTE)) << 32
            | role << 48
    }

    /// Reads the bits of an answer.
    ///
    /// # Errors
    /// When they are no answer, or say that the question was malformed.
    pub fn from_bits(bits: u64) -> Result<Self, Malformed> {
        let code = code(bits as u8)?;
        let role = (bits >> 48) as u32;
        let grant = match bits >> 16 & 3 {
            1 => Grant::Role(role),
            0 => Grant::None,
            2 => Grant::Permission,
            _ => Grant::Public,
        };
        let restriction = match bits >> 12 & 15 {
            0 => Restriction::None,
            1 => Restriction::Scopes,
            2 => Restriction::AuthorityClusters,
            3 => Restriction::KeyClusters,
            4 => Restriction::AgentCluster,
            5 => Restriction::ReadOnly,
            _ => return Err(Malformed("the answer has an unknown restriction")),
        };
        let visible = match bits >> 8 & 15 {
            0 => Visible::Nothing,
            1 => Visible::Effective,
            2 => Visible::One,
            _ => {
                return Err(Malformed(
                    "the answer has an unknown kind of visible clusters",
                ));
            }
        };
        let route = Some((bits >> 32) as u16).filter(|route| *route != NO_ROUTE);
        let answer = Self {
            code,
            visible,
            restriction,
            grant,
            implied: bits >> 18 & 1 == 1,
            route,
        };
        if answer.to_bits() != bits {
            return Err(Malformed("the answer has bits set that mean nothing"));
        }
        Ok(answer)
    }

    /// The decision that the answer stands for, to this caller's request under this policy.
    ///
    /// # Errors
    /// When it stands for none: a route, role, permission or cluster that is not there.
    pub fn decision(
        &self,
        description: &Description,
        caller: &Caller,
        request: &RequestRef<'_>,
    ) -> Result<Decision, Malformed> {
        let route = match self.route {
            Some(index) => {
                let route = description.routes.get(usize::from(index));
                Some(route.ok_or(Malformed("the answer names a route that is not there"))?)
            }
            None => None,
        };
        if let Grant::Role(role) = self.grant
            && description.roles.get(role as usize).is_none()
        {
            return Err(Malformed("the answer names a role that is not there"));
        }
        let cluster = || {
            let cluster = if self.implied {
                Some(caller.agent_cluster.as_deref().unwrap_or_default())
            } else {
                route.and_then(|route| {
                    route.cluster_named_by(request.path, request.query, request.headers)
                })
            };
            cluster.map(str::to_owned).ok_or(Malformed(
                "the answer names a cluster that the request does not",
            ))
        };
        let permission = || {
            let requires = route.and_then(|route| route.requires.clone());
            requires.ok_or(Malformed(
                "the answer misses a permission where none is required",
            ))
        };
        let outcome = match (self.code, self.visible) {
            (Code::Allow, Visible::Effective) => Outcome::Allow(caller.effective_clusters()),
            (Code::Allow, Visible::One) => Outcome::Allow(Clusters::Only(vec![cluster()?])),
            (Code::Allow, Visible::Nothing) => {
                return Err(Malformed("the answer allows without clusters"));
            }
            (_, Visible::Effective | Visible::One) => {
                return Err(Malformed("the answer refuses with visible clusters"));
            }
            (Code::NotAuthenticated, _) => Outcome::Deny(Reason::NotAuthenticated),
            (Code::NoRoute, _) => Outcome::Deny(Reason::NoRoute),
            (Code::AmbiguousPath, _) => Outcome::Deny(Reason::AmbiguousPath),
            (Code::MissingPermission, _) => Outcome::Deny(Reason::MissingPermission(permission()?)),
            (Code::ClusterNotAllowed, _) => Outcome::Deny(Reason::ClusterNotAllowed(cluster()?)),
            (Code::ClusterRequired, _) => Outcome::Deny(Reason::ClusterRequired),
            (Code::ClustersRestricted, _) => Outcome::Deny(Reason::ClustersRestricted),
            (Code::ReadOnlyKey, _) => Outcome::Deny(Reason::ReadOnlyKey),
            (Code::AgentOutsideCluster, _) => {
                Outcome::Deny(Reason::AgentOutsideCluster(cluster()?))
            }
            (Code::OperatorRequired, _) => Outcome::Deny(Reason::OperatorRequired),
            (Code::SignInRequired, _) => Outcome::Deny(Reason::SignInRequired),
            (Code::ConditionNotMet, _) => Outcome::Deny(Reason::ConditionNotMet),
            (Code::Malformed | Code::Overlap, _) => return Err(Malformed("the answer is a fault")),
        };
        if matches!(outcome, Outcome::Allow(_)) && route.is_none() {
            return Err(Malformed("the answer allows without a route"));
        }
        let rule = Rule {
            route: self.route.map(u32::from),
            grant: self.grant,
            restriction: self.restriction,
        };
        Ok(Decision { outcome, rule })
    }
}

fn code(byte: u8) -> Result<Code, Malformed> {
    use Code::{
        AgentOutsideCluster, Allow, AmbiguousPath, ClusterNotAllowed, ClusterRequired,
        ClustersRestricted, ConditionNotMet, MissingPermission, NoRoute, NotAuthenticated,
        OperatorRequired, ReadOnlyKey, SignInRequired,
    };
    const CODES: [Code; 13] = [
        Allow,
        NotAuthenticated,
        NoRoute,
        AmbiguousPath,
        MissingPermission,
        ClusterNotAllowed,
        ClusterRequired,
        ClustersRestricted,
        ReadOnlyKey,
        AgentOutsideCluster,
        OperatorRequired,
        SignInRequired,
        ConditionNotMet,
    ];
    match byte {
        0 => Err(Malformed("there is no answer")),
        byte if byte == Code::Malformed as u8 => {
            Err(Malformed("the policy could not read the question"))
        }
        byte if byte == Code::Overlap as u8 => Err(Malformed(
            "the policy's routes overlap too much for this path",
        )),
        byte => CODES
            .into_iter()
            .find(|code| *code as u8 == byte)
            .ok_or(Malformed("the answer has an unknown code")),
    }
}
