//! A question from the command line: a caller as a store could hold it, and a request as a client sends it.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use scopegate_host::path;
use scopegate_policy::{
    Caller, CallerKind, Clusters, Description, Request, Vocabulary, explain::Question,
    is_cluster_id, permission::Pattern, yaml::did_you_mean,
};

use crate::failure::Failure;

/// Who asks for what.
#[derive(Args, Debug)]
pub(in crate::policy) struct Asked {
    /// What is asked for, as a client sends it: `GET /v1/costs?cluster_id=prod`
    #[arg(long, value_name = "METHOD PATH", required_unless_present_any = ["record", "case"])]
    request: Option<String>,
    /// A header of the request that the policy reads, repeatable
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// A role of the caller, or of a key's owner, repeatable; without `--key` the caller has a session
    #[arg(long = "role", value_name = "ROLE", conflicts_with_all = ["anonymous", "agent"])]
    roles: Vec<String>,
    /// A permission that the caller has by a custom role, repeatable; patterns as in roles
    #[arg(long = "permission", value_name = "PERMISSION", conflicts_with_all = ["anonymous", "agent"])]
    permissions: Vec<String>,
    /// A cluster that the user is assigned to, repeatable; without one, every cluster
    #[arg(long = "cluster", value_name = "ID", conflicts_with_all = ["anonymous", "agent"])]
    clusters: Vec<String>,
    /// The caller has an API key; without `--role` and `--permission` its scopes are all that it may
    #[arg(long, conflicts_with_all = ["anonymous", "agent", "operator"])]
    key: bool,
    /// A scope that the key carries, repeatable; without one it is as wide as its owner
    #[arg(long = "scope", value_name = "PERMISSION", requires = "key")]
    scopes: Vec<String>,
    /// A cluster that the key is restricted to, repeatable; without one, none
    #[arg(long = "allowed-cluster", value_name = "ID", requires = "key")]
    allowed_clusters: Vec<String>,
    /// The caller is the agent of this cluster
    #[arg(long, value_name = "CLUSTER", conflicts_with_all = ["anonymous", "operator"])]
    agent: Option<String>,
    /// The caller presents no credential
    #[arg(long, conflicts_with = "operator")]
    anonymous: bool,
    /// The caller is an operator of the gate itself
    #[arg(long)]
    operator: bool,
    /// A registered cluster, repeatable; without one, every cluster that is named is
    #[arg(long = "registered", value_name = "ID")]
    registered: Vec<String>,
    /// How long ago the session's user signed in
    #[arg(long, value_name = "N", default_value_t = 0)]
    signed_in_minutes_ago: u32,
    /// How long ago the key or token was minted
    #[arg(long, value_name = "N", default_value_t = 0)]
    minted_minutes_ago: u32,
    /// The session was opened with a second factor
    #[arg(long, conflicts_with_all = ["anonymous", "agent", "key"])]
    mfa: bool,
    /// The client's address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// When it happens, such as `2027-01-31T00:00:00Z`; otherwise now
    #[arg(long, value_name = "MOMENT")]
    now: Option<Timestamp>,
}

impl Asked {
    /// The question to a policy.
    ///
    /// # Errors
    /// What no request or caller can be under this policy.
    pub(in crate::policy) fn question(&self, description: &Description) -> Result<Question> {
        let now = self.now.unwrap_or_else(Timestamp::now).as_second();
        let named = [&self.clusters, &self.allowed_clusters, &self.registered];
        let ids = named.into_iter().flatten().chain(&self.agent);
        for id in ids {
            if !is_cluster_id(id) {
                return Err(wrong(format!("`{id}` cannot be a cluster's id"), None));
            }
        }
        let registered: BTreeSet<String> = self.registered.iter().cloned().collect();
        Ok(Question {
            caller: self.caller(description, now)?,
            request: self.request(&Vocabulary::new(description), now)?,
            registered: (!registered.is_empty()).then_some(registered),
        })
    }

    fn caller(&self, description: &Description, now: i64) -> Result<Caller> {
        if self.anonymous {
            return Ok(Caller::anonymous());
        }
        let is_said = self.key || self.agent.is_some() || self.operator;
        if !is_said && self.roles.is_empty() && self.permissions.is_empty() {
            let help =
                "say `--role`, `--permission`, `--key`, `--agent`, `--operator` or `--anonymous`";
            return Err(wrong("nothing says who is calling", Some(help.to_owned())));
        }
        self.check_names(description)?;
        let some = |ids: &[String]| match ids {
            [] => Clusters::All,
            ids => Clusters::only(ids),
        };
        let known = Caller {
            kind: CallerKind::Session,
            subject: "explained".to_owned(),
            organization: "explained".to_owned(),
            roles: self.roles.clone(),
            permissions: self.permissions.clone(),
            clusters: some(&self.clusters),
            allowed_clusters: some(&self.allowed_clusters),
            credential_created: Some(now - i64::from(self.minted_minutes_ago) * 60),
            ..Caller::anonymous()
        };
        if let Some(cluster) = &self.agent {
            return Ok(Caller {
                kind: CallerKind::Agent,
                roles: vec!["agent".to_owned()],
                agent_cluster: Some(cluster.clone()),
                ..known
            });
        }
        if self.key {
            let scopes = (!self.scopes.is_empty()).then(|| self.scopes.clone());
            let follows_owner = !self.roles.is_empty() || !self.permissions.is_empty();
            return Ok(Caller {
                kind: CallerKind::ApiKey,
                permissions: if follows_owner {
                    self.permissions.clone()
                } else {
                    self.scopes.clone()
                },
                scopes,
                ..known
            });
        }
        Ok(Caller {
            operator: self.operator,
            mfa: self.mfa,
            auth_time: Some(now - i64::from(self.signed_in_minutes_ago) * 60),
            credential_created: Some(now - i64::from(self.signed_in_minutes_ago) * 60),
            ..known
        })
    }

    /// Roles, permissions and scopes that the policy has: a slip of the hand would explain something else.
    fn check_names(&self, description: &Description) -> Result<()> {
        let roles = || description.roles.iter().map(|role| role.name.as_str());
        let names = || {
            description
                .permissions
                .iter()
                .map(|info| info.name.as_str())
        };
        let near = |near: Option<&str>| near.map(|near| format!("did you mean `{near}`?"));
        for role in &self.roles {
            if !roles().any(|known| known == role) {
                let message = format!("the policy has no role `{role}`");
                return Err(wrong(message, near(did_you_mean(role, roles()))));
            }
        }
        for written in self.permissions.iter().chain(&self.scopes) {
            let pattern = Pattern::parse(written);
            let is_known = |pattern: &Pattern<'_>| names().any(|name| pattern.matches(name));
            if !pattern.as_ref().is_some_and(is_known) {
                let message = format!("the policy has no permission `{written}`");
                return Err(wrong(message, near(did_you_mean(written, names()))));
            }
        }
        for scope in &self.scopes {
            let info = description.permissions.iter().find(|p| p.name == *scope);
            if !info.is_some_and(|info| info.scope) {
                return Err(wrong(format!("no key can carry `{scope}`"), None));
            }
        }
        Ok(())
    }

    fn request(&self, vocabulary: &Vocabulary, now: i64) -> Result<Request> {
        let help = || Some("such as `GET /v1/clusters/prod?page=2`".to_owned());
        let asked = self.request.as_deref().unwrap_or_default();
        let bad = |what: &str| {
            let message = format!("`{asked}` is not a request: {what}");
            wrong(message, help())
        };
        let (method, target) = asked
            .trim()
            .split_once(' ')
            .ok_or_else(|| bad("it is a method and a path"))?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(bad("a method is an upper-case word"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let unreadable = |bad_path: path::BadPath| bad(&bad_path.to_string());
        let query = path::declared_parameters(query, vocabulary.query_names());
        Ok(Request {
            method: if method == "HEAD" { "GET" } else { method }.to_owned(),
            path: path::normalise(path).map_err(unreadable)?.into_owned(),
            query: query.map_err(unreadable)?,
            headers: self.headers(vocabulary)?,
            now,
            address: self.address,
        })
    }

    /// The headers that the policy reads; others change nothing, and are refused here for that.
    fn headers(&self, vocabulary: &Vocabulary) -> Result<Vec<(String, String)>> {
        let known = vocabulary.header_names();
        let header = |written: &String| {
            let (name, value) = written.split_once('=').ok_or_else(|| {
                let message = format!("`{written}` is not a header");
                wrong(message, Some("such as `x-cluster-id=prod`".to_owned()))
            })?;
            let name = name.trim().to_ascii_lowercase();
            if known.contains(&name) {
                return Ok((name, value.trim().to_owned()));
            }
            let help = match known {
                [] => "it reads none".to_owned(),
                known => format!("it reads {}", known.join(", ")),
            };
            Err(wrong(
                format!("the policy does not read the header `{name}`"),
                Some(help),
            ))
        };
        self.headers.iter().map(header).collect()
    }
}

fn wrong(message: impl Into<String>, help: Option<String>) -> anyhow::Error {
    let failure = Failure::usage(message);
    match help {
        Some(help) => failure.help(help).into(),
        None => failure.into(),
    }
}
