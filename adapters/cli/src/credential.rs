//! What keys and agent tokens have in common on a terminal: when they end, how they are rotated and revoked, and how
//! they are shown.

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use scopegate_host::{
    admin::{Command, Reply, RotateRequest},
    store::{Credential, CredentialKind},
};
use scopegate_policy::Clusters;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    admin::Admin,
    organization::Within,
    output::{self, Output, cell, moment},
};

/// When a credential is to end, as it is given: `90d` from now, or `2027-01-31T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Seconds from now.
    After(i64),
    /// Seconds since the epoch.
    At(i64),
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = || {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let secs = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                "w" => 7 * 86_400,
                _ => return None,
            };
            number.parse::<u32>().ok()?.checked_mul(secs).map(i64::from)
        };
        let moment = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
        span()
            .map(Self::After)
            .or_else(|| moment().map(Self::At))
            .ok_or_else(|| {
                "write a span such as `90d` or `12h`, or a moment such as `2027-01-31T00:00:00Z`"
                    .to_owned()
            })
    }
}

impl Expiry {
    /// In seconds since the epoch.
    pub(crate) fn at(self, now: Timestamp) -> i64 {
        match self {
            Self::After(secs) => now.as_second().saturating_add(secs),
            Self::At(moment) => moment,
        }
    }
}

/// A span alone, such as `24h`.
pub(crate) fn span(text: &str) -> Result<Expiry, String> {
    match text.parse() {
        Ok(expiry @ Expiry::After(_)) => Ok(expiry),
        _ => Err("write a span such as `24h` or `7d`".to_owned()),
    }
}

/// A moment alone, such as `2027-01-31T00:00:00Z`.
fn moment_alone(text: &str) -> Result<Expiry, String> {
    match text.parse() {
        Ok(expiry @ Expiry::At(_)) => Ok(expiry),
        _ => Err("write a moment such as `2027-01-31T00:00:00Z`".to_owned()),
    }
}

/// A rotation: the new one has the same rights, and the old one stays good for a while.
#[derive(Args, Debug)]
pub(crate) struct Rotate {
    #[command(flatten)]
    within: Within,
    /// An id as `list` shows it, or a name
    #[arg(value_name = "ID|NAME")]
    credential: String,
    /// How long the old one stays good: a span such as `24h`, at most 90 days; `0s` ends it now
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "24h")]
    overlap: Expiry,
    /// Until when the old one stays good instead, such as `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "MOMENT", value_parser = moment_alone, conflicts_with = "overlap")]
    retires: Option<Expiry>,
    /// When the new one ends: a span or a moment; when the old one would have, when left out
    #[arg(long, value_name = "SPAN|MOMENT")]
    expires: Option<Expiry>,
}

/// Revocations of one or several.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    #[command(flatten)]
    within: Within,
    /// Ids as `list` shows them, or names
    #[arg(required = true, value_name = "ID|NAME")]
    credentials: Vec<String>,
}

/// Rotates a credential and shows the new one.
pub(crate) async fn rotate(
    admin: &Admin,
    rotate: Rotate,
    kind: CredentialKind,
    output: Output,
) -> Result<()> {
    let now = Timestamp::now();
    let retires_at = rotate.retires.unwrap_or(rotate.overlap).at(now);
    let request = RotateRequest {
        organization: rotate.within.organization,
        credential: rotate.credential,
        retires_at: Some(retires_at),
        expires_at: rotate.expires.map(|expiry| expiry.at(now)),
    };
    let command = match kind {
        CredentialKind::ApiKey => Command::KeyRotate(request),
        CredentialKind::Agent => Command::AgentRotate(request),
    };
    let reply = admin.execute(command).await?;
    print_minted(&reply, output)?;
    if output == Output::Text {
        output::note(&format!(
            "the old one stays good until {} at the latest",
            cell(&moment(Some(retires_at)))
        ));
    }
    Ok(())
}

/// Revokes credentials, one after the other, and says of each whether that changed anything. An error says which were
/// revoked before it.
pub(crate) async fn revoke(
    admin: &Admin,
    revoke: Revoke,
    kind: CredentialKind,
    output: Output,
) -> Result<()> {
    let mut revoked = Vec::new();
    for credential in revoke.credentials {
        let organization = revoke.within.organization.clone();
        let name = credential.clone();
        let command = match kind {
            CredentialKind::ApiKey => Command::KeyRevoke {
                organization,
                key: credential,
            },
            CredentialKind::Agent => Command::AgentRevoke {
                organization,
                agent: credential,
            },
        };
        match admin.execute(command).await {
            Ok(Reply::Done { changed }) => revoked.push((name, changed)),
            Ok(other) => return output::unexpected(&other),
            Err(error) => {
                // What was done is said all the same.
                if !revoked.is_empty() {
                    print_revoked(&revoked, output)?;
                }
                return Err(error);
            }
        }
    }
    print_revoked(&revoked, output)
}

/// Shows a new credential and its secret: the only time that it is shown.
pub(crate) fn print_minted(reply: &Reply, output: Output) -> Result<()> {
    let Reply::Minted { credential, secret } = reply else {
        return output::unexpected(reply);
    };
    let mut shown = view(credential, Timestamp::now());
    if let Some(object) = shown.as_object_mut() {
        object.insert("secret".to_owned(), json!(secret.expose_secret()));
    }
    if output == Output::Text {
        note_minted(credential);
    }
    output.print(&shown, |shown| cell(&shown["secret"]))
}

/// Says on standard error what a secret on standard output belongs to.
pub(crate) fn note_minted(credential: &Credential) {
    output::note(&format!(
        "`{}` has the id {}; its secret is shown this once:",
        credential.name, credential.id
    ));
}

/// Shows all that there are, never the secrets.
pub(crate) fn print_list(reply: &Reply, output: Output, kind: CredentialKind) -> Result<()> {
    let Reply::Credentials { credentials } = reply else {
        return output::unexpected(reply);
    };
    let now = Timestamp::now();
    let rows = credentials.iter().map(|credential| view(credential, now));
    let (columns, empty): (&[&str], _) = match kind {
        CredentialKind::ApiKey => (
            &[
                "id",
                "name",
                "owner",
                "scopes",
                "allowed_cluster_ids",
                "secret_hint",
                "state",
                "last_used_at",
                "ends_at",
                "successor",
            ],
            "no keys yet",
        ),
        CredentialKind::Agent => (
            &[
                "id",
                "name",
                "cluster",
                "secret_hint",
                "state",
                "last_used_at",
                "ends_at",
                "successor",
            ],
            "no agents yet",
        ),
    };
    output.print(&rows.collect(), |shown| {
        output::table(columns, shown, empty)
    })
}

/// Says whether a revocation changed anything.
fn print_revoked(revoked: &[(String, bool)], output: Output) -> Result<()> {
    let shown = Value::Array(
        revoked
            .iter()
            .map(|(name, changed)| json!({ "revoked": name, "changed": changed }))
            .collect(),
    );
    output.print(&shown, |_| {
        let lines = revoked.iter().map(|(name, changed)| match changed {
            true => format!("revoked `{name}`"),
            false => format!("`{name}` was revoked before"),
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// A credential without its secret; `ends_at` is the earlier of its expiry and the end that its rotation set.
pub(crate) fn view(credential: &Credential, now: Timestamp) -> Value {
    let allowed = match &credential.allowed_clusters {
        Clusters::All => Vec::new(),
        Clusters::Only(ids) => ids.clone(),
    };
    let mut view = json!({
        "id": credential.id,
        "name": credential.name,
        "secret_hint": format!("{}…{}", credential.prefix, credential.last_four),
        "state": credential.state(now.as_second()),
        "created_at": moment(Some(credential.created_at)),
        "last_used_at": moment(credential.last_used_at),
        "expires_at": moment(credential.expires_at),
        "retires_at": moment(credential.retires_at),
        "ends_at": moment(credential.ends_at()),
        "revoked_at": moment(credential.revoked_at),
        "predecessor": credential.predecessor,
        "successor": credential.successor,
    });
    let more = match &credential.cluster {
        Some(cluster) => json!({ "cluster": cluster }),
        None => {
            json!({ "owner": credential.owner_email, "scopes": credential.scopes, "allowed_cluster_ids": allowed })
        }
    };
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_span_or_a_moment() {
        let now = Timestamp::from_second(1_000).unwrap();
        let at = |text: &str| text.parse::<Expiry>().map(|expiry| expiry.at(now));
        assert_eq!(at("90s"), Ok(1_090));
        assert_eq!(at("2d"), Ok(173_800));
        assert_eq!(at("1970-01-01T01:00:00Z"), Ok(3_600));
        for wrong in ["", "d", "-1d", "90", "99999999w", "tomorrow", "1é"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(span("1970-01-01T01:00:00Z").is_err() && moment_alone("2d").is_err());
    }
}
