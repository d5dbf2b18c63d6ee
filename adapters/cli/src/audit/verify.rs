//! `scopegate audit verify`.

use std::{io, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use scopegate_host::audit::{AuditPublicKey, Evidence, ExportedHeads, Report};
use serde_json::{Value, json};

use super::{
    no_key,
    place::{Place, StoreArgument, open},
};
use crate::{Common, failure::Failure};

#[derive(Args, Debug)]
pub(super) struct Verify {
    #[command(flatten)]
    store: StoreArgument,
    /// A key that heads may be signed with, or its public half; repeatable, for keys that were used before
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Exported heads, such as a copy from another machine, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Accept missing signatures and heads: verify the chain alone
    #[arg(long)]
    unsigned: bool,
}

pub(super) async fn run(verify: Verify, common: &Common) -> Result<()> {
    let is_complete = verify.store.store.is_some() && !verify.keys.is_empty();
    let place = match Place::configured(common) {
        Ok(place) => place,
        // Whoever verifies a copy elsewhere has no configuration.
        Err(_) if (is_complete || verify.unsigned) && verify.store.store.is_some() => {
            Place::default()
        }
        Err(error) => return Err(error),
    };
    let paths = verify.keys.iter().chain(&place.key).collect::<Vec<_>>();
    let mut keys = Vec::new();
    for (index, path) in paths.into_iter().enumerate() {
        match AuditPublicKey::load(path) {
            Ok(key) => keys.push(key),
            // The configuration's own may be out of reach for whoever brings the public half.
            Err(_) if index >= verify.keys.len() && !verify.keys.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if keys.is_empty() && !verify.unsigned {
        return Err(no_key());
    }
    // Before the store: what is written meanwhile must not look cut off.
    let heads = match verify.heads.as_ref().or(place.heads.as_ref()) {
        Some(path) => match ExportedHeads::read(path) {
            Ok(heads) => Some(heads),
            Err(error) if error.kind() == io::ErrorKind::NotFound && verify.heads.is_none() => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("the heads `{}` cannot be read", path.display()));
            }
        },
        None => None,
    };
    let location = verify.store.location(|| Ok(place))?;
    let evidence = Evidence {
        keys,
        heads,
        unsigned: verify.unsigned,
    };
    let report = open(&location).await?.verify_audit(evidence).await?;
    print(&report, common)
}

fn print(report: &Report, common: &Common) -> Result<()> {
    common.output.print(&shown(report), |_| text(report))?;
    if report.is_clean() {
        return Ok(());
    }
    let count = report.findings.len() as u64 + report.further;
    Err(Failure::new(format!("the audit is not what was recorded: {count} found")).into())
}

/// The report, with each finding in words as well.
fn shown(report: &Report) -> Value {
    let mut shown = json!(report);
    let findings = shown.get_mut("findings").and_then(Value::as_array_mut);
    for (shown, finding) in findings.into_iter().flatten().zip(&report.findings) {
        if let Some(members) = shown.as_object_mut() {
            members.insert("text".to_owned(), finding.to_string().into());
        }
    }
    shown
}

fn text(report: &Report) -> String {
    let pruned = match report.pruned {
        0 => String::new(),
        pruned => format!(" ({pruned} pruned)"),
    };
    let signed = match report.signed_through {
        Some(seq) if seq == report.last_seq => "all signed".to_owned(),
        Some(seq) => format!("signed up to {seq} of {}", report.last_seq),
        None => "no signature verified".to_owned(),
    };
    let mut lines = vec![format!(
        "records: {}, segments: {}{pruned}, {signed}",
        report.records, report.segments
    )];
    lines.extend(report.findings.iter().map(ToString::to_string));
    if report.further > 0 {
        lines.push(format!("and {} more", report.further));
    }
    if report.is_clean() {
        lines.push("nothing is wrong".to_owned());
    }
    lines.join("\n")
}
