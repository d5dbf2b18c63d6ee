//! `scopegate policy push`, `rollback`, `versions`: which policy decides at a gate that serves.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use scopegate_host::{
    admin::{Command, Reply},
    bundle,
    policies::{Component, PolicyCommand, PolicyReply},
    store::PolicyVersion,
};
use serde_json::{Value, json};

use super::{
    file::{extend, read, text, unreadable},
    nodes, shadow,
};
use crate::{
    Common,
    admin::Admin,
    output::{self, moment},
};

const PUSH_EXAMPLES: &str = "\
Examples:
  scopegate policy push policy.wasm
  scopegate policy push policy.yaml
  scopegate policy push policy.wasm --shadow
  scopegate policy push policy.wasm --wait 30
  scopegate policy push policy.wasm --url https://gate.example:9080

The gate checks it from every side, and only then is it active: no request is lost, and each is
answered by one policy from start to end. A policy that is refused leaves the one before. It
stays until the policy that the configuration names changes.";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  scopegate policy rollback
  scopegate policy rollback sha256:9f86d081

Without a digest: to the policy that was active before and has not failed. On the gate's own machine this always
works, whatever the active policy says.";

const VERSIONS_EXAMPLES: &str = "\
Examples:
  scopegate policy versions
  scopegate policy versions --output json

The active one comes first. The last ten are kept.";

/// Make a policy the active one of a gate that serves
#[derive(Args, Debug)]
#[command(after_help = PUSH_EXAMPLES)]
pub(crate) struct Push {
    /// A component, or a policy document, which is built first
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Let it decide in the shadow of the active one, without effect: `scopegate policy shadow` says what differs
    #[arg(long)]
    shadow: bool,
    /// Then wait until all gates of its store have it, so many seconds at most, and list them
    #[arg(long, value_name = "SECONDS", conflicts_with = "shadow", value_parser = clap::value_parser!(u64).range(..=3600))]
    wait: Option<u64>,
}

/// Go back to a policy that was active before
#[derive(Args, Debug)]
#[command(after_help = ROLLBACK_EXAMPLES)]
pub(crate) struct Rollback {
    /// The policy's digest, or as much of it as tells it from the others, 6 digits at least
    #[arg(value_name = "DIGEST")]
    digest: Option<String>,
}

/// List the policies that a gate keeps, to go back to
#[derive(Args, Debug)]
#[command(after_help = VERSIONS_EXAMPLES)]
pub(crate) struct Versions {}

pub(crate) async fn push(push: Push, common: &Common) -> Result<()> {
    // Before the gate is looked for: a document's mistakes need none.
    let component = Component(component(&push.file)?.into());
    match push.shadow {
        true => shadow::show(PolicyCommand::PushShadow { component }, common).await?,
        false => activate(PolicyCommand::Push { component }, common).await?,
    }
    match push.wait {
        Some(secs) => nodes::wait(secs, common).await,
        None => Ok(()),
    }
}

pub(crate) async fn rollback(rollback: Rollback, common: &Common) -> Result<()> {
    let to = rollback.digest;
    activate(PolicyCommand::Rollback { to }, common).await
}

pub(crate) async fn versions(common: &Common) -> Result<()> {
    match ask(PolicyCommand::Versions, common).await? {
        PolicyReply::Versions { versions } => {
            let rows = versions.iter().enumerate();
            let shown = rows.map(|(place, version)| view(version, place == 0));
            common.output.print(&shown.collect(), |shown| {
                let columns = [
                    "active",
                    "digest",
                    "name",
                    "version",
                    "activated_at",
                    "activated_by",
                    "source",
                ];
                output::table(&columns, &short(shown), "no policy was active yet")
            })
        }
        other => output::unexpected(&Reply::Policy(other)),
    }
}

/// A component as it is, or what a document is built to.
pub(super) fn component(file: &Path) -> Result<Vec<u8>> {
    let is_document = file
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_document {
        let name = file.display().to_string();
        return Ok(bundle::build(&name, &read(file)?)?);
    }
    std::fs::read(file).map_err(|error| unreadable(file, &error).into())
}

pub(super) async fn activate(command: PolicyCommand, common: &Common) -> Result<()> {
    match ask(command, common).await? {
        PolicyReply::Active { version, changed } => {
            let mut shown = view(&version, true);
            extend(&mut shown, &json!({ "changed": changed }));
            common.output.print(&shown, |_| {
                let PolicyVersion { name, digest, .. } = &version;
                match changed {
                    true => format!("policy `{name}` is active: {digest}"),
                    false => format!("policy `{name}` is active already: {digest}"),
                }
            })
        }
        other => output::unexpected(&Reply::Policy(other)),
    }
}

pub(super) async fn ask(command: PolicyCommand, common: &Common) -> Result<PolicyReply> {
    let admin = Admin::open(common).await?;
    match admin.execute(Command::Policy(command)).await? {
        Reply::Policy(reply) => Ok(reply),
        other => bail!("the server answered `{other:?}`, which was not asked for"),
    }
}

fn view(version: &PolicyVersion, active: bool) -> Value {
    json!({
        "digest": version.digest,
        "name": version.name,
        "version": version.version,
        "bytes": version.bytes,
        "active": active,
        "added_at": moment(Some(version.added_at)),
        "activated_at": moment(Some(version.activated_at)),
        "activated_by": version.activated_by,
        "source": version.source,
    })
}

/// Enough of a digest to name it by.
pub(super) fn short_digest(digest: &Value) -> Value {
    /// `sha256:` and twelve digits.
    const DIGEST_CHARS: usize = 19;
    let short: String = text(digest).chars().take(DIGEST_CHARS).collect();
    short.into()
}

/// For people: enough of each digest to name it by, and a mark instead of a word.
fn short(rows: &Value) -> Value {
    let mut rows = rows.clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        row["digest"] = short_digest(&row["digest"]);
        row["active"] = json!(if row["active"] == true { "*" } else { "" });
    }
    rows
}
