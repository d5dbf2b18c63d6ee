//! How one product speaks: its credentials, lifetimes, limits, log-in reply and error bodies.
//!
//! A contract is a YAML file. Five are built in and chosen by name; `contracts/scopegate.yaml` explains every key.

mod dashboard;
mod read;
#[cfg(test)]
mod refusals;

use jsonwebtoken::Algorithm;
use scopegate_policy::{wire::credential::Accepted, yaml::Report};
use serde_json::{Value, json};

pub use dashboard::{Preset, Section, Words};

pub(crate) use scopegate_policy::wire::template;
pub use scopegate_policy::wire::{
    Errors, Limits, Scheme,
    template::{fill, fill_text},
};

/// The built-in contracts, which are also the names of the policy documents that go with them.
pub const BUILTIN_NAMES: [&str; 5] = [
    "scopegate",
    "k8cost",
    "kubewatch",
    "kubeadapt",
    "kubevision",
];

const BUILTIN_TEXTS: [(&str, &str); 5] = [
    ("scopegate", include_str!("../contracts/scopegate.yaml")),
    ("k8cost", include_str!("../contracts/k8cost.yaml")),
    ("kubewatch", include_str!("../contracts/kubewatch.yaml")),
    ("kubeadapt", include_str!("../contracts/kubeadapt.yaml")),
    ("kubevision", include_str!("../contracts/kubevision.yaml")),
];

/// Where a server ends a session, in every contract that has a log-in.
pub const LOGOUT_PATH: &str = "/auth/logout";

/// A checked contract. Made from YAML only.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Such as `k8cost`.
    pub name: String,
    /// The built-in policy document that goes with it.
    pub policy: String,
    /// Where credentials may stand.
    pub schemes: Vec<Scheme>,
    /// The prefix of its keys without `_`: `k8c` makes `k8c_live_…` and `k8c_agent_…`.
    pub key_prefix: String,
    /// What a key may do.
    pub authority: Authority,
    /// Rules for minting.
    pub minting: Minting,
    /// Whether JWT sessions are accepted on the API.
    pub sessions_on_api: bool,
    /// Lifetimes of sessions.
    pub session: SessionRules,
    /// The log-in endpoint, if the API has one.
    pub login: Option<Login>,
    /// The refresh endpoint, if there is one.
    pub refresh_path: Option<String>,
    /// Limits.
    pub limits: Limits,
    /// The shape of errors.
    pub errors: Errors,
    /// What the dashboard calls things.
    pub dashboard: Words,
}

impl Contract {
    /// The YAML of a built-in contract, to print or to start one's own from.
    pub fn builtin_text(name: &str) -> Option<&'static str> {
        BUILTIN_TEXTS
            .iter()
            .find(|(builtin, _)| *builtin == name)
            .map(|(_, text)| *text)
    }

    /// A built-in contract, by one of [`BUILTIN_NAMES`].
    pub fn builtin(name: &str) -> Option<Self> {
        // That each of them reads is a test.
        Self::from_yaml(&format!("{name}.yaml"), Self::builtin_text(name)?).ok()
    }

    /// Reads a contract; `name` is what errors call it, usually the path of its file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, Report> {
        read::contract(name, text)
    }

    /// The credentials that it takes on its API.
    pub fn accepted(&self) -> Accepted<'_> {
        Accepted {
            schemes: &self.schemes,
            tokens: self.sessions_on_api,
        }
    }

    /// How a key is presented, up to the key itself: in lines that are shown to be copied.
    pub fn key_header(&self) -> &'static str {
        match self.dashboard.scheme {
            Scheme::Bearer => "Authorization: Bearer ",
            Scheme::ApiKey => "Authorization: ApiKey ",
            Scheme::XApiKey => "X-API-Key: ",
        }
    }

    /// Whether one logs in, refreshes or logs out at this path, a slash at its end or not.
    pub fn is_session_path(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_refresh = self.refresh_path.as_deref() == Some(path);
        let login = self.login.as_ref();
        login.is_some_and(|login| login.path == path || is_refresh || path == LOGOUT_PATH)
    }
}

/// What authority a key has, before its scopes narrow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// What its owner may, as of now.
    Owner,
    /// A fixed set of permissions (patterns) in its organization.
    Organization(Vec<String>),
    /// Exactly its scopes.
    Scopes,
}

/// Rules for minting keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minting {
    /// Whether a key must carry at least one scope.
    pub scopes_required: bool,
    /// Whether a key may be given scopes at all (`organization` keys may not in some contracts).
    pub scopes_allowed: bool,
    /// Whether a key may be given an expiry.
    pub expiry_allowed: bool,
    /// Name length at most, in characters.
    pub name_chars_max: usize,
}

/// Lifetimes of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRules {
    /// A token's life.
    pub ttl_secs: i64,
    /// A session's whole life, whatever is refreshed.
    pub life_secs_max: i64,
    /// The algorithm that its tokens are signed with, where the product promises one.
    pub algorithm: Option<Algorithm>,
}

/// The log-in endpoint.
#[derive(Clone, Debug)]
pub struct Login {
    /// Such as `/auth/login`.
    pub path: String,
    /// The reply, with placeholders in its strings: `{token}`, `{expires_at}`, `{user_id}`, `{email}`, `{role}`,
    /// `{organization_id}`.
    pub reply: Value,
}

impl Login {
    /// The log-in of the gate's own pages, in every contract.
    pub fn own() -> Self {
        Self {
            path: "/-/login".to_owned(),
            reply: json!({
                "token": "{token}",
                "expires_at": "{expires_at}",
                "user": {
                    "id": "{user_id}",
                    "email": "{email}",
                    "role": "{role}",
                    "organization_id": "{organization_id}",
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests;
