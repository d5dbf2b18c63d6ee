//! One thing that could be different about a question.

use std::fmt;

use serde::Serialize;

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
