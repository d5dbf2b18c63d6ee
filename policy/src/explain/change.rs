//! One thing that could be different about a question.

use core::net::IpAddr;
use std::fmt;

use serde::Serialize;

use crate::condition::written_time;
use crate::{Caller, CallerKind, Clusters, SIGN_IN_SECS_MAX};

use super::Question;

/// One thing that could be different about a question; [`Change::apply`] makes it so. `Display` says it as an advice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// The caller has a role besides its own.
    Role {
        /// Its name.
        role: String,
    },
    /// The caller holds a permission besides its own, by a custom role.
    Permission {
        /// Its name.
        permission: String,
    },
    /// The key carries a scope besides its own.
    Scope {
        /// The permission.
        permission: String,
    },
    /// The key carries no scopes, so that it has all that its owner has.
    NoScopes,
    /// A stranger signs in, or somebody else than an agent: a session with these roles.
    SignInAs {
        /// The role, where one is needed.
        role: Option<String>,
    },
    /// The same user, by a session that was opened just now.
    Session,
    /// The user signs in again.
    SignInAgain,
    /// An operator of the gate.
    Operator,
    /// The user is assigned to a cluster.
    Assign {
        /// Its id.
        cluster: String,
    },
    /// The key may be used for a cluster.
    AllowCluster {
        /// Its id.
        cluster: String,
    },
    /// The user is assigned to every cluster.
    AssignAll,
    /// The key may be used for every cluster.
    AllowAllClusters,
    /// The token of another cluster's agent.
    AgentOf {
        /// Its cluster.
        cluster: String,
    },
    /// The cluster is registered.
    Register {
        /// Its id.
        cluster: String,
    },
    /// Another method or path is asked for.
    Request {
        /// Upper-case.
        method: String,
        /// Normalised.
        path: String,
    },
    /// A query parameter has this value.
    Query {
        /// Its name.
        name: String,
        /// Its value, decoded.
        value: String,
    },
    /// A header has this value.
    Header {
        /// Its name, in lower case.
        name: String,
        /// Its value.
        value: String,
    },
    /// There is no credential.
    Anonymous,
    /// The caller does not have a role.
    WithoutRole {
        /// Its name.
        role: String,
    },
    /// The caller does not hold a permission of its own.
    WithoutPermission {
        /// The permission or pattern.
        permission: String,
    },
    /// The key does not carry a scope.
    WithoutScope {
        /// The permission or pattern.
        permission: String,
    },
    /// The caller may not touch a cluster, or, without one, is restricted to some.
    WithoutCluster {
        /// Its id.
        cluster: Option<String>,
    },
    /// The cluster is not registered.
    Unregister {
        /// Its id.
        cluster: String,
    },
    /// The user signed in longer ago than a route with `sign_in` takes.
    SignInLapsed,
    /// Not an operator of the gate.
    NotOperator,
    /// The session was opened with a second factor.
    SecondFactor,
    /// The session was opened without a second factor.
    NoSecondFactor,
    /// The client has another address.
    Address {
        /// Such as this one.
        address: IpAddr,
    },
    /// It happens at another time, with credentials as old as now.
    Time {
        /// Such as this one, in seconds since the epoch.
        time: i64,
    },
    /// The key or token is of another age.
    CredentialAge {
        /// Such as this one.
        secs: i64,
    },
    /// The session was opened by a sign-in so long ago.
    SignInAge {
        /// 0: just now.
        secs: i64,
    },
    /// A header is not sent.
    WithoutHeader {
        /// Its name, in lower case.
        name: String,
    },
    /// Another user, key or agent with the same rights.
    Subject {
        /// Its id.
        subject: String,
    },
    /// A key of the same user, as wide as its owner.
    Key,
}

impl Change {
    /// Makes it so.
    pub fn apply(&self, question: &mut Question) {
        let by_scopes = question.has_authority_of_scopes();
        let Question {
            caller,
            request,
            registered,
        } = question;
        match self {
            Self::Request { method, path } => {
                request.method.clone_from(method);
                request.path.clone_from(path);
            }
            Self::Query { name, value } => set(&mut request.query, name, value),
            Self::Header { name, value } => set(&mut request.headers, name, value),
            Self::WithoutHeader { name } => request.headers.retain(|(known, _)| known != name),
            Self::Address { address } => request.address = Some(*address),
            Self::Time { time } => {
                let later = time - request.now;
                request.now = *time;
                for moment in [&mut caller.auth_time, &mut caller.credential_created] {
                    *moment = moment.map(|moment| moment + later);
                }
            }
            Self::Register { cluster } => {
                registered.get_or_insert_default().insert(cluster.clone());
            }
            Self::Unregister { cluster } => {
                registered.get_or_insert_default().remove(cluster);
            }
            Self::SignInAs { .. }
            | Self::Session
            | Self::SignInAgain
            | Self::Operator
            | Self::AgentOf { .. }
            | Self::Anonymous
            | Self::SignInLapsed
            | Self::SecondFactor
            | Self::NoSecondFactor
            | Self::CredentialAge { .. }
            | Self::SignInAge { .. }
            | Self::Subject { .. }
            | Self::Key
            | Self::NotOperator => self.change_credential(caller, request.now),
            _ => self.change_rights(caller, by_scopes),
        }
    }

    /// What the caller shows.
    fn change_credential(&self, caller: &mut Caller, now: i64) {
        match self {
            Self::SignInAs { role } => {
                *caller = Caller {
                    kind: CallerKind::Session,
                    roles: role.iter().cloned().collect(),
                    scopes: None,
                    clusters: Clusters::All,
                    allowed_clusters: Clusters::All,
                    agent_cluster: None,
                    auth_time: Some(now),
                    ..caller.clone()
                };
            }
            Self::Session => {
                caller.kind = CallerKind::Session;
                caller.scopes = None;
                caller.allowed_clusters = Clusters::All;
                caller.auth_time = Some(now);
            }
            Self::SignInAgain => caller.auth_time = Some(now),
            Self::SignInLapsed => caller.auth_time = Some(now - SIGN_IN_SECS_MAX - 1),
            Self::Operator => {
                caller.kind = CallerKind::Session;
                caller.agent_cluster = None;
                caller.operator = true;
            }
            Self::NotOperator => caller.operator = false,
            Self::AgentOf { cluster } => {
                caller.kind = CallerKind::Agent;
                caller.agent_cluster = Some(cluster.clone());
            }
            Self::Anonymous => *caller = Caller::anonymous(),
            // Only sessions have one, and nobody without a credential has an age or a name.
            Self::SecondFactor => caller.mfa = caller.kind == CallerKind::Session,
            Self::NoSecondFactor => caller.mfa = false,
            _ if caller.kind == CallerKind::Anonymous => {}
            Self::CredentialAge { secs } => caller.credential_created = Some(now - secs),
            Self::SignInAge { secs } => {
                caller.credential_created = Some(now - secs);
                caller.auth_time = Some(now - secs);
            }
            Self::Subject { subject } => caller.subject.clone_from(subject),
            Self::Key => {
                caller.kind = CallerKind::ApiKey;
                caller.scopes = None;
                caller.operator = false;
                caller.mfa = false;
                caller.auth_time = None;
            }
            _ => {}
        }
    }

    /// What the caller may. `by_scopes`: of a key whose scopes are its permissions.
    fn change_rights(&self, caller: &mut Caller, by_scopes: bool) {
        match self {
            Self::Role { role } => caller.roles.push(role.clone()),
            Self::WithoutRole { role } => caller.roles.retain(|held| held != role),
            Self::Permission { permission } => caller.permissions.push(permission.clone()),
            Self::WithoutPermission { permission } => {
                caller.permissions.retain(|held| held != permission);
            }
            Self::Scope { permission } => {
                let scopes = caller.scopes.get_or_insert_default();
                scopes.push(permission.clone());
                if by_scopes {
                    caller.permissions.clone_from(scopes);
                }
            }
            Self::WithoutScope { permission } => {
                let scopes = caller.scopes.get_or_insert_default();
                scopes.retain(|scope| scope != permission);
                if by_scopes {
                    caller.permissions.clone_from(scopes);
                }
            }
            Self::NoScopes => caller.scopes = None,
            Self::Assign { cluster } => add(&mut caller.clusters, cluster),
            Self::AssignAll => caller.clusters = Clusters::All,
            Self::AllowCluster { cluster } => add(&mut caller.allowed_clusters, cluster),
            Self::AllowAllClusters => caller.allowed_clusters = Clusters::All,
            Self::WithoutCluster { cluster } => {
                let clusters = match caller.kind {
                    CallerKind::ApiKey => &mut caller.allowed_clusters,
                    _ => &mut caller.clusters,
                };
                match (&mut *clusters, cluster) {
                    (Clusters::Only(ids), Some(cluster)) => ids.retain(|id| id != cluster),
                    _ => *clusters = Clusters::Only(Vec::new()),
                }
            }
            _ => {}
        }
    }
}

fn add(clusters: &mut Clusters, cluster: &str) {
    if let Clusters::Only(ids) = clusters {
        let with = ids.iter().map(String::as_str).chain([cluster]);
        *clusters = Clusters::only(with);
    }
}

fn set(fields: &mut Vec<(String, String)>, name: &str, value: &str) {
    fields.retain(|(known, _)| known != name);
    fields.push((name.to_owned(), value.to_owned()));
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { role } => write!(f, "give the caller the role `{role}`"),
            Self::Permission { permission } => {
                write!(f, "give the caller `{permission}` by a custom role")
            }
            Self::Scope { permission } => write!(f, "put the scope `{permission}` on the key"),
            Self::NoScopes => f.write_str("use a key without scopes"),
            Self::SignInAs { role: Some(role) } => {
                write!(f, "sign in as somebody with the role `{role}`")
            }
            Self::SignInAs { role: None } => f.write_str("sign in"),
            Self::Session => f.write_str("sign in, and use the session in place of the key"),
            Self::SignInAgain => f.write_str("sign in again"),
            Self::Operator => f.write_str("sign in as an operator of the gate"),
            Self::Assign { cluster } => write!(f, "assign the user to the cluster `{cluster}`"),
            Self::AllowCluster { cluster } => {
                write!(f, "put the cluster `{cluster}` on the key's list")
            }
            Self::AssignAll => f.write_str("assign the user to every cluster"),
            Self::AllowAllClusters => f.write_str("use a key that is restricted to no clusters"),
            Self::AgentOf { cluster } => write!(f, "use the token of the agent of `{cluster}`"),
            Self::Register { cluster } => write!(f, "register the cluster `{cluster}`"),
            Self::Request { method, path } => write!(f, "ask for `{method} {path}`"),
            Self::Query { name, value } => write!(f, "ask with `?{name}={value}`"),
            Self::Header { name, value } => write!(f, "ask with the header `{name}: {value}`"),
            Self::Anonymous => f.write_str("leave the credential out"),
            Self::WithoutRole { role } => write!(f, "take the role `{role}` from the caller"),
            Self::WithoutPermission { permission } => {
                write!(f, "take the permission `{permission}` from the caller")
            }
            Self::WithoutScope { permission } => {
                write!(f, "take the scope `{permission}` from the key")
            }
            Self::WithoutCluster {
                cluster: Some(cluster),
            } => write!(f, "restrict the caller to clusters without `{cluster}`"),
            Self::WithoutCluster { cluster: None } => {
                f.write_str("restrict the caller to some clusters")
            }
            Self::SecondFactor
            | Self::NoSecondFactor
            | Self::Address { .. }
            | Self::Time { .. }
            | Self::CredentialAge { .. }
            | Self::SignInAge { .. }
            | Self::WithoutHeader { .. }
            | Self::Subject { .. }
            | Self::Key => self.fmt_fact(f),
            Self::Unregister { cluster } => write!(f, "remove the cluster `{cluster}`"),
            Self::SignInLapsed => write!(
                f,
                "ask more than {} minutes after the sign-in",
                SIGN_IN_SECS_MAX / 60
            ),
            Self::NotOperator => f.write_str("ask as somebody who is not an operator"),
        }
    }
}

impl Change {
    /// What conditions ask for.
    fn fmt_fact(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecondFactor => f.write_str("ask with a second factor"),
            Self::NoSecondFactor => f.write_str("ask without a second factor"),
            Self::Address { address } => write!(f, "ask from an address such as {address}"),
            Self::Time { time } => {
                write!(f, "ask at another time, such as {}", written_time(*time))
            }
            Self::CredentialAge { secs: 0 } => {
                f.write_str("use a key or token that was minted just now")
            }
            Self::CredentialAge { secs } => {
                let age = written_age(*secs);
                write!(f, "use a key or token of another age, such as {age}")
            }
            Self::SignInAge { secs: 0 } => f.write_str("sign in again"),
            Self::SignInAge { secs } => {
                let age = written_age(*secs);
                write!(f, "ask at another time after the sign-in, such as {age}")
            }
            Self::WithoutHeader { name } => write!(f, "leave the header `{name}` out"),
            Self::Subject { subject } => write!(f, "ask as `{subject}`"),
            Self::Key => f.write_str("use an API key in place of the session"),
            _ => Ok(()),
        }
    }
}

/// A length of time, in seconds, in words, such as `89 days 23 hours 59 minutes`.
pub fn written_age(secs: i64) -> String {
    let units = [
        (secs / 86_400, "day"),
        (secs / 3600 % 24, "hour"),
        (secs / 60 % 60, "minute"),
        (secs % 60, "second"),
    ];
    let words: Vec<String> = units
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| match count {
            1 => format!("1 {unit}"),
            _ => format!("{count} {unit}s"),
        })
        .collect();
    match words.as_slice() {
        [] => "0 seconds".to_owned(),
        words => words.join(" "),
    }
}
