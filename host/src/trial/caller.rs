//! Callers as a store holds them, and the facts that a gate makes of them.

use scopegate_policy::permission::Pattern;
use scopegate_policy::yaml::{Fields, Node, Text};
use scopegate_policy::{Caller as Facts, CallerKind, Clusters};

use super::file::{World, suggest_or};
use crate::contract::Authority;

/// A caller of a file.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Presents nothing.
    Anonymous,
    /// A session.
    Session {
        /// Whose it is.
        user: User,
        /// How long ago the user signed in.
        signed_in_minutes_ago: i64,
        /// Whether with a second factor.
        mfa: bool,
    },
    /// A session of an operator of the gate itself, who is in no organization.
    Operator {
        /// How long ago the operator signed in.
        signed_in_minutes_ago: i64,
        /// Whether with a second factor.
        mfa: bool,
    },
    /// An API key.
    Key {
        /// Whose it is, where the contract's keys follow their owner.
        owner: Option<User>,
        /// Its scopes, where it carries any.
        scopes: Option<Vec<String>>,
        /// `allowed_cluster_ids`; empty is every cluster, as when it is minted.
        allowed: Vec<String>,
        /// How long ago it was minted.
        minted_minutes_ago: i64,
    },
    /// The token of a cluster's agent.
    Agent {
        /// The cluster.
        cluster: String,
        /// How long ago it was minted.
        minted_minutes_ago: i64,
    },
}

/// A user of the organization.
#[derive(Clone, Debug)]
pub struct User {
    /// What the user may do.
    pub role: Role,
    /// The clusters that the user is assigned to; nothing is every cluster.
    pub clusters: Option<Vec<String>>,
}

/// A user's one role.
#[derive(Clone, Debug)]
pub enum Role {
    /// One that the policy defines.
    Builtin(String),
    /// One of the organization's own, with these permissions.
    Custom(Vec<String>),
}

/// Reads a caller; what a store of the contract could not hold is a problem.
pub(super) fn read(world: &World<'_>, node: &Node) -> Option<Caller> {
    let fields = world.reader.fields(
        node,
        "a caller",
        &[
            "session",
            "operator",
            "key",
            "agent",
            "signed_in_minutes_ago",
            "mfa",
            "minted_minutes_ago",
        ],
    )?;
    let named = ["session", "operator", "key", "agent"]
        .into_iter()
        .filter(|key| fields.has(key))
        .count();
    if named != 1 {
        world
            .reader
            .problem(
                node.span,
                "a caller is one of `session`, `operator`, `key` and `agent`",
            )
            .help("such as `{ session: { role: viewer } }`");
        return None;
    }
    check_beside(&fields);
    let signed_in_minutes_ago = fields
        .integer("signed_in_minutes_ago", 0..=7 * 24 * 60)
        .unwrap_or(0);
    let minted_minutes_ago = fields
        .integer("minted_minutes_ago", 0..=365 * 24 * 60)
        .unwrap_or(0);
    let mfa = fields.boolean("mfa").unwrap_or(false);
    for key in ["session", "operator"] {
        if fields.has(key) && !world.contract.sessions_on_api {
            fields
                .problem(
                    key,
                    format!("`{}` has no sessions on its API", world.contract.name),
                )
                .help("callers there are a `key` or an `agent`");
        }
    }
    if fields.has("operator") {
        if fields.boolean("operator") == Some(false) {
            fields
                .problem("operator", "an operator is one")
                .help("write `operator: true`, or `session` for a user of the organization");
        }
        return Some(Caller::Operator {
            signed_in_minutes_ago,
            mfa,
        });
    }
    if let Some(session) = fields.get("session") {
        return user(world, session).map(|user| Caller::Session {
            user,
            signed_in_minutes_ago,
            mfa,
        });
    }
    if let Some(cluster) = fields.text("agent") {
        check_clusters(world, &[cluster]);
        return Some(Caller::Agent {
            cluster: cluster.to_string(),
            minted_minutes_ago,
        });
    }
    let key = fields.fields("key", "a key", &["owner", "scopes", "allowed_cluster_ids"])?;
    self::key(world, &key, minted_minutes_ago)
}

/// Sessions are signed in to, keys and tokens are minted: what a credential does not have would change nothing.
fn check_beside(fields: &Fields<'_>) {
    let is_session = fields.has("session") || fields.has("operator");
    let (beside, help): (&[&str], _) = if is_session {
        (
            &["minted_minutes_ago"],
            "a session is as old as its sign-in: write `signed_in_minutes_ago`",
        )
    } else {
        (
            &["signed_in_minutes_ago", "mfa"],
            "it is for sessions; keys and agents have `minted_minutes_ago`",
        )
    };
    for key in beside.iter().filter(|key| fields.has(key)) {
        let kinds = if is_session {
            "a session"
        } else {
            "keys and agents"
        };
        fields
            .problem(key, format!("`{key}` says nothing of {kinds}"))
            .help(help);
    }
}

fn key(world: &World<'_>, key: &Fields<'_>, minted_minutes_ago: i64) -> Option<Caller> {
    let contract = world.contract;
    let owner = key.get("owner").and_then(|owner| user(world, owner));
    match (&contract.authority, key.has("owner")) {
        (Authority::Owner, true) | (Authority::Organization(_) | Authority::Scopes, false) => {}
        (Authority::Owner, false) => {
            key.problem("owner", "missing key `owner`: keys follow their owner");
        }
        (_, true) => {
            let name = &contract.name;
            key.problem("owner", format!("keys of `{name}` do not follow an owner"))
                .help("take it out: what such a key may do is its own");
        }
    }
    let scopes = key.texts("scopes");
    let minting = &contract.minting;
    let wrong = match &scopes {
        None => minting
            .scopes_required
            .then_some("a key needs a scope here"),
        Some(_) if !minting.scopes_allowed => Some("keys carry no scopes here"),
        Some(scopes) => scopes
            .is_empty()
            .then_some("a key without a scope could do nothing"),
    };
    if let Some(wrong) = wrong {
        key.problem("scopes", wrong).help(match &scopes {
            None => "such as `scopes: [\"clusters:read\"]`",
            Some(scopes) if scopes.is_empty() => "name its scopes, or leave `scopes` out",
            Some(_) => "take `scopes` out",
        });
    }
    for scope in scopes.iter().flatten() {
        check_scope(world, *scope);
    }
    let allowed = key.texts("allowed_cluster_ids").unwrap_or_default();
    check_clusters(world, &allowed);
    Some(Caller::Key {
        owner,
        scopes: scopes.map(|scopes| owned(&scopes)),
        allowed: owned(&allowed),
        minted_minutes_ago,
    })
}

fn user(world: &World<'_>, node: &Node) -> Option<User> {
    let fields = world
        .reader
        .fields(node, "a user", &["role", "permissions", "clusters"])?;
    let role = match (fields.text("role"), fields.texts("permissions")) {
        (Some(role), None) => {
            let names = || {
                world
                    .description
                    .roles
                    .iter()
                    .map(|role| role.name.as_str())
            };
            if !names().any(|name| name == role.text) {
                world
                    .reader
                    .problem(role.span, format!("the policy has no role `{role}`"))
                    .suggest(&role, names());
            }
            Role::Builtin(role.to_string())
        }
        (None, Some(permissions)) => {
            for pattern in permissions
                .iter()
                .filter(|pattern| Pattern::parse(pattern).is_none())
            {
                world
                    .reader
                    .problem(pattern.span, format!("`{pattern}` is not a permission"))
                    .help("a permission is `resource:action`; wildcards are `*`, `resource:*` and `*:action`");
            }
            Role::Custom(owned(&permissions))
        }
        _ => {
            let message = "a user has either a `role` or, of a custom role, `permissions`";
            world
                .reader
                .problem(node.span, message)
                .help("such as `{ role: viewer }` or `{ permissions: [\"clusters:read\"] }`");
            return None;
        }
    };
    let clusters = fields.texts("clusters");
    check_clusters(world, clusters.as_deref().unwrap_or_default());
    Some(User {
        role,
        clusters: clusters.map(|clusters| owned(&clusters)),
    })
}

fn check_scope(world: &World<'_>, scope: Text<'_>) {
    let permissions = &world.description.permissions;
    match permissions
        .iter()
        .find(|permission| permission.name == scope.text)
    {
        Some(permission) if permission.scope => {}
        Some(_) => {
            world
                .reader
                .problem(scope.span, format!("no key can carry `{scope}`"))
                .help("the policy says `scope: false`: only a role gives it");
        }
        None => {
            world
                .reader
                .problem(
                    scope.span,
                    format!("the policy has no permission `{scope}`"),
                )
                .suggest(&scope, permissions.iter().map(|p| p.name.as_str()));
        }
    }
}

fn check_clusters(world: &World<'_>, ids: &[Text<'_>]) {
    for id in ids.iter().filter(|id| !world.clusters.contains(id.text)) {
        let slot = world.reader.problem(
            id.span,
            format!("the organization never had a cluster `{id}`"),
        );
        let names = world.clusters.iter().map(String::as_str);
        suggest_or(
            slot,
            id,
            names,
            "add it to `clusters`, or to `retired` if it was removed",
        );
    }
}

fn owned(texts: &[Text<'_>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

impl Caller {
    /// What the gate tells the policy of this caller, at a moment in seconds since the epoch.
    pub fn facts(&self, name: &str, authority: &Authority, now: i64) -> Facts {
        let known = Facts {
            subject: name.to_owned(),
            organization: "acme".to_owned(),
            clusters: Clusters::All,
            allowed_clusters: Clusters::All,
            credential_created: Some(now),
            ..Facts::anonymous()
        };
        match self {
            Self::Anonymous => Facts::anonymous(),
            Self::Session {
                user,
                signed_in_minutes_ago,
                mfa,
            } => Facts {
                kind: CallerKind::Session,
                mfa: *mfa,
                auth_time: Some(now - signed_in_minutes_ago * 60),
                credential_created: Some(now - signed_in_minutes_ago * 60),
                ..with_user(known, user)
            },
            Self::Operator {
                signed_in_minutes_ago,
                mfa,
            } => Facts {
                kind: CallerKind::Session,
                mfa: *mfa,
                organization: String::new(),
                clusters: Clusters::Only(Vec::new()),
                operator: true,
                auth_time: Some(now - signed_in_minutes_ago * 60),
                credential_created: Some(now - signed_in_minutes_ago * 60),
                ..known
            },
            Self::Key {
                owner,
                scopes,
                allowed,
                minted_minutes_ago,
            } => {
                let key = Facts {
                    kind: CallerKind::ApiKey,
                    credential_created: Some(now - minted_minutes_ago * 60),
                    scopes: scopes.clone(),
                    allowed_clusters: match allowed.as_slice() {
                        [] => Clusters::All,
                        ids => Clusters::only(ids),
                    },
                    ..known
                };
                match (authority, owner) {
                    (Authority::Owner, Some(owner)) => with_user(key, owner),
                    (Authority::Organization(patterns), _) => Facts {
                        permissions: patterns.clone(),
                        ..key
                    },
                    (Authority::Scopes, _) => Facts {
                        permissions: scopes.clone().unwrap_or_default(),
                        ..key
                    },
                    (Authority::Owner, None) => key,
                }
            }
            Self::Agent {
                cluster,
                minted_minutes_ago,
            } => Facts {
                kind: CallerKind::Agent,
                credential_created: Some(now - minted_minutes_ago * 60),
                roles: vec!["agent".to_owned()],
                agent_cluster: Some(cluster.clone()),
                ..known
            },
        }
    }
}

fn with_user(facts: Facts, user: &User) -> Facts {
    let clusters = match &user.clusters {
        Some(ids) => Clusters::only(ids),
        None => Clusters::All,
    };
    let (roles, permissions) = match &user.role {
        Role::Builtin(name) => (vec![name.clone()], Vec::new()),
        Role::Custom(permissions) => (Vec::new(), permissions.clone()),
    };
    Facts {
        roles,
        permissions,
        clusters,
        ..facts
    }
}
