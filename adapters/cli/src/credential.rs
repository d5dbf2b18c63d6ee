//! What keys and agent tokens have in common on a terminal: how they are shown, and when they end.

use std::str::FromStr;

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{admin::Reply, store::Credential};
use scopegate_policy::Clusters;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::output::{self, Output, cell, moment};

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

/// Shows a new credential and its secret: the only time that it is shown.
pub(crate) fn print_minted(reply: &Reply, output: Output) -> Result<()> {
    let Reply::Minted { credential, secret } = reply else {
        return output::unexpected(reply);
    };
    let mut shown = view(credential);
    if let Some(object) = shown.as_object_mut() {
        object.insert("secret".to_owned(), json!(secret.expose_secret()));
    }
    if output == Output::Text {
        output::note(&format!(
            "`{}` has the id {}; its secret is shown this once:",
            credential.name, credential.id
        ));
    }
    output.print(&shown, |shown| cell(&shown["secret"]))
}

/// Shows all that there are, never the secrets.
pub(crate) fn print_list(reply: &Reply, output: Output, what: &str) -> Result<()> {
    let Reply::Credentials { credentials } = reply else {
        return output::unexpected(reply);
    };
    let shown = Value::Array(credentials.iter().map(view).collect());
    let columns: &[&str] = if what == "agents" {
        &[
            "id",
            "name",
            "cluster",
            "secret_hint",
            "created_at",
            "expires_at",
            "revoked_at",
        ]
    } else {
        &[
            "id",
            "name",
            "owner",
            "scopes",
            "allowed_cluster_ids",
            "secret_hint",
            "created_at",
            "expires_at",
            "revoked_at",
        ]
    };
    output.print(&shown, |shown| {
        output::table(columns, shown, &format!("no {what} yet"))
    })
}

/// Says whether a revocation changed anything.
pub(crate) fn print_revoked(revoked: &[(String, bool)], output: Output) -> Result<()> {
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

fn view(credential: &Credential) -> Value {
    let allowed = match &credential.allowed_clusters {
        Clusters::All => Vec::new(),
        Clusters::Only(ids) => ids.clone(),
    };
    let mut view = json!({
        "id": credential.id,
        "name": credential.name,
        "secret_hint": format!("{}…{}", credential.prefix, credential.last_four),
        "created_at": moment(Some(credential.created_at)),
        "expires_at": moment(credential.expires_at),
        "revoked_at": moment(credential.revoked_at),
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
    }
}
