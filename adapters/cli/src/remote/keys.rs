//! API keys and agent tokens over the API. Keys are minted and rotated for oneself alone; who may manage everybody's can
//! list and revoke them too.

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{
    admin::{AgentRequest, KeyRequest, Reply, RotateRequest},
    store::CredentialKind,
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Remote,
    trouble::Trouble,
    view::{Changed, CredentialView, MintedView, done},
};
use crate::{failure::Failure, output};

/// The name that the API has for the key that a request is made with.
const SELF: &str = "self";
/// The caller may not manage such things of others.
const NOT_PERMITTED: &str = "missing-permission";
const OWN: &[&str] = &["keys"];
const EVERYBODYS: &[&str] = &["organization", "keys"];
const AGENTS: &[&str] = &["agents"];

impl Remote {
    pub(super) async fn mint_key(&self, request: KeyRequest) -> Result<Reply> {
        self.require_home(request.organization.as_deref()).await?;
        if let Some(owner) = &request.owner {
            self.require_self(owner).await?;
        }
        let body = json!({
            "name": request.name,
            "scopes": request.scopes,
            "allowed_cluster_ids": request.allowed_cluster_ids,
            "expires_at": moment(request.expires_at)?,
        });
        let minted = self.gate.post(OWN, Some(body)).once().json().await?;
        minted_reply(minted, CredentialKind::ApiKey)
    }

    pub(super) async fn mint_agent(&self, request: AgentRequest) -> Result<Reply> {
        self.require_home(request.organization.as_deref()).await?;
        let body = json!({
            "cluster": request.cluster,
            "name": request.name,
            "expires_at": moment(request.expires_at)?,
        });
        let minted = self.gate.post(AGENTS, Some(body)).once().json().await?;
        minted_reply(minted, CredentialKind::Agent)
    }

    pub(super) async fn rotate(
        &self,
        request: RotateRequest,
        kind: CredentialKind,
    ) -> Result<Reply> {
        self.require_home(request.organization.as_deref()).await?;
        let collection = match kind {
            CredentialKind::ApiKey => OWN,
            CredentialKind::Agent => AGENTS,
        };
        let wanted = request.credential.as_str();
        let id = match Uuid::parse_str(wanted) {
            Ok(_) => wanted.to_owned(),
            Err(_) if kind == CredentialKind::ApiKey && wanted == SELF => wanted.to_owned(),
            Err(_) => {
                let all = self.gate.list(collection, &[("name", wanted)]).await?;
                one(all, wanted, kind)?.to_string()
            }
        };
        let body = json!({
            "retires_at": moment(request.retires_at)?,
            "expires_at": moment(request.expires_at)?,
        });
        let path = [collection, &[&id, "rotate"]].concat();
        match self.gate.post(&path, Some(body)).once().json().await {
            Ok(minted) => minted_reply(minted, kind),
            Err(Trouble::Refused(problem))
                if problem.status == 404 && kind == CredentialKind::ApiKey =>
            {
                Err(Failure::new(problem.to_string())
                    .help(
                        "over the API keys are rotated by their owner, or by themselves as `self`",
                    )
                    .into())
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) async fn list(
        &self,
        organization: Option<String>,
        kind: CredentialKind,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let (found, collection) = self.find(kind, &[]).await?;
        if collection == OWN {
            output::note("these are your own keys: everybody's need the permission `manage:keys`");
        }
        let credentials = found.into_iter().rev();
        Ok(Reply::Credentials {
            // The API has the newest first.
            credentials: credentials.map(|one| one.into_credential(kind)).collect(),
        })
    }

    pub(super) async fn revoke(
        &self,
        organization: Option<String>,
        wanted: &str,
        kind: CredentialKind,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let is_id = Uuid::parse_str(wanted).is_ok();
        let revoke = async |collection: &[&str], id: &str| {
            let path = [collection, &[id]].concat();
            self.gate.delete(&path).json::<Changed>().await
        };
        let changed = match kind {
            CredentialKind::Agent if is_id => revoke(AGENTS, wanted).await,
            CredentialKind::ApiKey if is_id || wanted == SELF => match revoke(OWN, wanted).await {
                // It may be somebody else's.
                Err(Trouble::Refused(problem)) if problem.status == 404 && is_id => {
                    revoke(EVERYBODYS, wanted).await
                }
                other => other,
            },
            _ => {
                let (found, collection) = self.find(kind, &[("name", wanted)]).await?;
                let id = one(found, wanted, kind)?.to_string();
                revoke(collection, &id).await
            }
        };
        Ok(done(changed?))
    }

    /// Credentials and where they were found: everybody's keys, or one's own where those are not for the caller.
    async fn find(
        &self,
        kind: CredentialKind,
        filter: &[(&str, &str)],
    ) -> Result<(Vec<CredentialView>, &'static [&'static str]), Trouble> {
        if kind == CredentialKind::Agent {
            return Ok((self.gate.list(AGENTS, filter).await?, AGENTS));
        }
        match self.gate.list(EVERYBODYS, filter).await {
            Err(trouble) if trouble.is(NOT_PERMITTED) => {
                Ok((self.gate.list(OWN, filter).await?, OWN))
            }
            found => Ok((found?, EVERYBODYS)),
        }
    }

    /// Keys are minted for oneself.
    async fn require_self(&self, email: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Me {
            name: String,
        }
        let me: Me = self.gate.get(&["me"]).json().await?;
        if me.name.eq_ignore_ascii_case(email) {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "over the API a key is minted for oneself, and you are `{}`",
            me.name
        ))
        .help("leave `--owner` out")
        .into())
    }
}

/// The one of this name that is not revoked.
fn one(found: Vec<CredentialView>, wanted: &str, kind: CredentialKind) -> Result<Uuid> {
    let what = match kind {
        CredentialKind::ApiKey => "key",
        CredentialKind::Agent => "agent token",
    };
    let named = found.into_iter();
    let named = named.filter(|one| one.name == wanted && one.revoked_at.is_none());
    let ids: Vec<Uuid> = named.map(|one| one.id).collect();
    match ids.as_slice() {
        [one] => Ok(*one),
        [] => Err(
            Failure::new(format!("there is no active {what} `{wanted}`"))
                .help("`list` shows those that there are")
                .into(),
        ),
        several => {
            let ids: Vec<String> = several.iter().map(|id| format!("`{id}`")).collect();
            Err(
                Failure::new(format!("several {what}s are called `{wanted}`"))
                    .help(format!("say the id: one of {}", ids.join(", ")))
                    .into(),
            )
        }
    }
}

fn minted_reply(minted: MintedView, kind: CredentialKind) -> Result<Reply> {
    let credential = minted.credential.into_credential(kind);
    match minted.secret {
        Some(secret) => Ok(Reply::Minted { credential, secret }),
        None => Err(Failure::new(format!(
            "`{}` was minted with the id {}, and its secret was lost with the connection",
            credential.name, credential.id
        ))
        .help("revoke it and mint another one")
        .into()),
    }
}

/// Seconds since the epoch as the API takes them.
fn moment(secs: Option<i64>) -> Result<Value> {
    let Some(secs) = secs else {
        return Ok(Value::Null);
    };
    match Timestamp::from_second(secs) {
        Ok(moment) => Ok(json!(moment)),
        Err(_) => Err(Failure::usage("the expiry is beyond the year 9999").into()),
    }
}
