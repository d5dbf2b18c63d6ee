//! Callers that a gate can have: no store holds an operator with a role, or a session with scopes.

use crate::facts::{Caller, CallerKind, Clusters};
use crate::permission;

use super::paths::Names;

/// When every case happens, in seconds since the epoch.
pub const NOW: i64 = 1_767_225_600;
/// Whom every case is about, unless a condition asks for others.
pub const SOMEONE: &str = "someone";
/// Longer ago than [`crate::SIGN_IN_SECS_MAX`].
const STALE_SECS: i64 = 20 * 60;

/// How the caller proved who they are, and what restricts them to clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credential {
    kind: CallerKind,
    authority: Within,
    key: Within,
    is_operator: bool,
}

/// A set of clusters, as seen from a request that names its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    All,
    Own,
    Other,
    None,
    OwnAndThird,
    OwnAndOther,
}

impl Credential {
    pub(super) const ANONYMOUS: Self = Self::new(CallerKind::Anonymous, Within::None, Within::None);
    pub(super) const SESSION: Self = Self::new(CallerKind::Session, Within::All, Within::All);
    pub(super) const KEY: Self = Self::new(CallerKind::ApiKey, Within::All, Within::All);
    /// Of the cluster that the request names.
    pub(super) const AGENT: Self = Self::new(CallerKind::Agent, Within::All, Within::Own);
    /// In no organization, so without a cluster.
    pub(super) const OPERATOR: Self = Self {
        is_operator: true,
        ..Self::new(CallerKind::Session, Within::None, Within::All)
    };
    pub(super) const ALL: [Self; 16] = [
        Self::ANONYMOUS,
        Self::OPERATOR,
        Self::SESSION,
        Self::new(CallerKind::Session, Within::Own, Within::All),
        Self::new(CallerKind::Session, Within::Other, Within::All),
        Self::new(CallerKind::Session, Within::None, Within::All),
        Self::KEY,
        Self::new(CallerKind::ApiKey, Within::Own, Within::All),
        Self::new(CallerKind::ApiKey, Within::All, Within::Own),
        Self::new(CallerKind::ApiKey, Within::All, Within::Other),
        Self::new(CallerKind::ApiKey, Within::Own, Within::Other),
        Self::new(CallerKind::ApiKey, Within::OwnAndThird, Within::OwnAndOther),
        Self::new(CallerKind::ApiKey, Within::Other, Within::OwnAndOther),
        Self::new(CallerKind::ApiKey, Within::None, Within::All),
        Self::AGENT,
        Self::new(CallerKind::Agent, Within::All, Within::Other),
    ];

    const fn new(kind: CallerKind, authority: Within, key: Within) -> Self {
        Self {
            kind,
            authority,
            key,
            is_operator: false,
        }
    }

    /// A caller with this credential. What its kind cannot have is left out.
    pub(super) fn caller(
        self,
        names: &Names,
        holds: &Holds,
        scopes: &Scopes,
        facts: Facts,
    ) -> Caller {
        let is_session = self.kind == CallerKind::Session;
        let opened = if facts.fresh { NOW } else { NOW - STALE_SECS };
        let known = Caller {
            kind: self.kind,
            subject: SOMEONE.to_owned(),
            organization: "organization".to_owned(),
            clusters: self.authority.clusters(names),
            allowed_clusters: Clusters::All,
            mfa: is_session && facts.mfa,
            auth_time: is_session.then_some(opened),
            // A session is as old as its sign-in; what is minted is new.
            credential_created: Some(if is_session { opened } else { NOW }),
            ..Caller::anonymous()
        };
        match self.kind {
            CallerKind::Anonymous => Caller::anonymous(),
            CallerKind::Session if self.is_operator => Caller {
                operator: true,
                organization: String::new(),
                ..known
            },
            CallerKind::Session => holds.give(known),
            CallerKind::ApiKey => Caller {
                allowed_clusters: self.key.clusters(names),
                scopes: scopes.list(),
                ..holds.give(known)
            },
            CallerKind::Agent => Caller {
                roles: vec!["agent".to_owned()],
                agent_cluster: Some(if self.key == Within::Own {
                    names.own.clone()
                } else {
                    names.other.clone()
                }),
                ..known
            },
        }
    }
}

impl Within {
    fn clusters(self, names: &Names) -> Clusters {
        match self {
            Self::All => Clusters::All,
            Self::Own => Clusters::only([&names.own]),
            Self::Other => Clusters::only([&names.other]),
            Self::None => Clusters::Only(Vec::new()),
            Self::OwnAndThird => Clusters::only([&names.own, &names.third]),
            Self::OwnAndOther => Clusters::only([&names.own, &names.other]),
        }
    }
}

/// Where a caller's permissions come from.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    Nothing,
    /// A role of either policy.
    Role(String),
    /// A custom role with these.
    Permissions(Vec<String>),
    /// A custom role with everything.
    All,
}

impl Holds {
    /// Every way that matters where these permissions are required.
    pub(super) fn all(roles: &[&str], requires: &[String]) -> Vec<Self> {
        let mut all = vec![Self::Nothing, Self::All];
        all.extend(roles.iter().map(|role| Self::Role((*role).to_owned())));
        let exact = requires.iter().map(|name| vec![name.clone()]);
        all.extend(exact.map(Self::Permissions));
        let of_resource = requires.iter().filter_map(|name| resource(name));
        all.extend(of_resource.map(|pattern| Self::Permissions(vec![pattern])));
        if requires.len() > 1 {
            all.push(Self::Permissions(requires.to_vec()));
        }
        all
    }

    fn give(&self, caller: Caller) -> Caller {
        let (roles, permissions) = match self {
            Self::Nothing => (Vec::new(), Vec::new()),
            Self::Role(name) => (vec![name.clone()], Vec::new()),
            Self::Permissions(names) => (Vec::new(), names.clone()),
            Self::All => (Vec::new(), vec!["*".to_owned()]),
        };
        Caller {
            roles,
            permissions,
            ..caller
        }
    }
}

/// What a key carries.
#[derive(Clone, Debug)]
pub(super) enum Scopes {
    /// Nothing that narrows.
    None,
    Only(Vec<String>),
}

impl Scopes {
    /// Every way that matters where these permissions are required; `other` is a scope that is not.
    pub(super) fn all(requires: &[String], other: Option<&String>) -> Vec<Self> {
        let mut all = vec![Self::None];
        all.extend(requires.iter().map(|name| Self::Only(vec![name.clone()])));
        if requires.len() > 1 {
            all.push(Self::Only(requires.to_vec()));
        }
        all.push(Self::Only(other.into_iter().cloned().collect()));
        all
    }

    fn list(&self) -> Option<Vec<String>> {
        match self {
            Self::None => None,
            Self::Only(names) => Some(names.clone()),
        }
    }
}

fn resource(name: &str) -> Option<String> {
    let (resource, _) = name.split_once(':')?;
    permission::is_name(name).then(|| format!("{resource}:*"))
}

/// What else a session can prove.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    fresh: bool,
    mfa: bool,
}

impl Facts {
    /// Signed in just now, without a second factor.
    pub(super) const FRESH: Self = Self {
        fresh: true,
        mfa: false,
    };
    pub(super) const ALL: [Self; 4] = [
        Self::FRESH,
        Self {
            fresh: false,
            mfa: false,
        },
        Self {
            fresh: true,
            mfa: true,
        },
        Self {
            fresh: false,
            mfa: true,
        },
    ];
}
