//! What the demo's store holds: one organization, three users, three clusters, keys and agent tokens. Everything is
//! made through the same commands as `scopegate user`, `key` and `agent` use, and the secrets that they answer are
//! kept here alone, to be printed.

use anyhow::{Result, bail};
use jiff::Timestamp;
use scopegate_host::{
    Gate,
    admin::{Admin, AgentRequest, Command, KeyRequest, Reply, UserRequest},
};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::upstream::CLUSTERS;
use crate::password::Password;

/// Roles of the demo's users.
const ROLES: [&str; 3] = ["admin", "editor", "viewer"];

/// The demo, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct World {
    /// Where the gate listens.
    pub(crate) url: String,
    /// Such as `k8cost`.
    pub(crate) contract: String,
    /// The organization's name.
    pub(crate) organization: String,
    /// Its id, as tokens and identity headers carry it.
    pub(crate) organization_id: String,
    /// Ids of the registered clusters.
    pub(crate) clusters: Vec<String>,
    /// Who can log in; the admin first.
    pub(crate) users: Vec<User>,
    /// Keys.
    pub(crate) api_keys: Vec<ApiKey>,
    /// A token for each cluster's agent.
    pub(crate) agent_tokens: Vec<AgentToken>,
}

/// A user of the demo.
#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) role: String,
}

/// A key of the demo.
#[derive(Debug, Serialize)]
pub(crate) struct ApiKey {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The owner's e-mail address.
    pub(crate) owner: String,
    /// Empty where the key carries none and is as wide as its authority.
    pub(crate) scopes: Vec<String>,
    /// Empty for every cluster.
    pub(crate) allowed_cluster_ids: Vec<String>,
}

/// An agent of the demo.
#[derive(Debug, Serialize)]
pub(crate) struct AgentToken {
    pub(crate) cluster: String,
    pub(crate) token: String,
}

impl World {
    /// Makes all of it in the gate's store.
    pub(crate) async fn make(gate: &Gate, url: String) -> Result<Self> {
        let policy = gate.policy();
        let machine = Machine(Admin::new(
            gate.directory(),
            gate.contract(),
            policy.description(),
        ));
        let Reply::Organization { organization } = machine
            .execute(Command::OrganizationCreate {
                name: "Demo".to_owned(),
            })
            .await?
        else {
            bail!("the organization was not made")
        };
        for (id, ..) in CLUSTERS {
            machine
                .execute(Command::ClusterAdd {
                    organization: None,
                    id: id.to_owned(),
                })
                .await?;
        }
        let contract = gate.contract().name.clone();
        let mut world = Self {
            url,
            organization: organization.name,
            organization_id: organization.id.to_string(),
            clusters: CLUSTERS.map(|(id, ..)| id.to_owned()).into(),
            users: Vec::new(),
            api_keys: Vec::new(),
            agent_tokens: Vec::new(),
            contract,
        };
        for role in ROLES {
            world.users.push(machine.user(role).await?);
        }
        for plan in plans(&world.contract) {
            world.api_keys.push(machine.key(&plan).await?);
        }
        for (id, ..) in CLUSTERS {
            world.agent_tokens.push(machine.agent(id).await?);
        }
        Ok(world)
    }

    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> &str {
        self.api_keys
            .iter()
            .find(|key| key.name == name)
            .map_or("", |key| &key.key)
    }

    /// The token of the agent of `prod`.
    pub(crate) fn agent_token(&self) -> &str {
        self.agent_tokens.first().map_or("", |agent| &agent.token)
    }
}

/// Whoever sits at this machine.
struct Machine<'a>(Admin<'a>);

impl Machine<'_> {
    async fn execute(&self, command: Command) -> Result<Reply> {
        Ok(self
            .0
            .execute(command, Timestamp::now().as_millisecond())
            .await?)
    }

    async fn user(&self, role: &str) -> Result<User> {
        let password = Password::generate();
        let email = email(role);
        let command = Command::UserAdd(UserRequest {
            organization: None,
            email: email.clone(),
            password: Some(password.hash()?),
            role: role.to_owned(),
            clusters: None,
        });
        self.execute(command).await?;
        let password = password.generated().unwrap_or_default().to_owned();
        Ok(User {
            email,
            password,
            role: role.to_owned(),
        })
    }

    async fn key(&self, Plan(name, owner, scopes, clusters): &Plan) -> Result<ApiKey> {
        let texts = |list: &[&str]| {
            list.iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<String>>()
        };
        let request = KeyRequest {
            organization: None,
            owner: Some(email(owner)),
            name: (*name).to_owned(),
            scopes: (!scopes.is_empty()).then(|| texts(scopes)),
            allowed_cluster_ids: texts(clusters),
            expires_at: None,
        };
        let key = self.secret(Command::KeyMint(request)).await?;
        Ok(ApiKey {
            name: (*name).to_owned(),
            key,
            owner: email(owner),
            scopes: texts(scopes),
            allowed_cluster_ids: texts(clusters),
        })
    }

    async fn agent(&self, cluster: &str) -> Result<AgentToken> {
        let request = AgentRequest {
            cluster: cluster.to_owned(),
            ..AgentRequest::default()
        };
        let token = self.secret(Command::AgentMint(request)).await?;
        Ok(AgentToken {
            cluster: cluster.to_owned(),
            token,
        })
    }

    async fn secret(&self, command: Command) -> Result<String> {
        match self.execute(command).await? {
            Reply::Minted { secret, .. } => Ok(secret.expose_secret().to_owned()),
            _ => bail!("nothing was minted"),
        }
    }
}

fn email(role: &str) -> String {
    format!("{role}@demo.test")
}

/// A key to mint: name, role of its owner, scopes, clusters.
struct Plan(
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// The scopes of a read-only exporter.
const EXPORTER: &[&str] = &[
    "organization:read",
    "clusters:read",
    "namespaces:read",
    "workloads:read",
    "nodes:read",
];

/// The keys of a contract: one wide, one that may do less, one restricted to `prod`.
fn plans(contract: &str) -> Vec<Plan> {
    match contract {
        "kubeadapt" => vec![
            Plan("demo-admin", "admin", EXPORTER, &[]),
            Plan("demo-viewer", "viewer", &["clusters:read"], &[]),
            Plan("demo-prod", "admin", EXPORTER, &["prod"]),
        ],
        "scopegate" => vec![
            Plan("demo-admin", "admin", &[], &[]),
            Plan("demo-viewer", "viewer", &[], &[]),
            Plan("demo-prod", "admin", &[], &["prod"]),
            Plan("demo-scoped", "admin", &["clusters:read"], &[]),
        ],
        _ => vec![
            Plan("demo-admin", "admin", &[], &[]),
            Plan("demo-viewer", "viewer", &[], &[]),
            Plan("demo-prod", "admin", &[], &["prod"]),
        ],
    }
}
