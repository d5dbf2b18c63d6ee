//! `scopegate policy shadow`: what the policy in the shadow of the active one answers otherwise, and its end.

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::{
    CallerKind,
    admin::Reply,
    policies::{
        PolicyCommand, PolicyReply, ShadowStatus,
        shadow::{Difference, Example, ExampleAnswer, ExampleCaller},
    },
};
use serde_json::{Value, json};

use super::ship::{activate, ask};
use crate::{Common, output};

const EXAMPLES: &str = "\
Examples:
  scopegate policy push policy.wasm --shadow
  scopegate policy shadow status
  scopegate policy shadow promote";

const STATUS_EXAMPLES: &str = "\
Examples:
  scopegate policy shadow status
  scopegate policy shadow status --output json

Counted since the active policy is the active one, or the server started. What would newly be
allowed comes first. Requests that did not fit beside the others are skipped, and counted.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  scopegate policy shadow promote
  scopegate policy shadow promote sha256:9f86d081

In one step, as a push. With a digest: that policy or none, whatever somebody else has pushed since. `scopegate policy rollback` goes back.";

const DROP_EXAMPLES: &str = "\
Examples:
  scopegate policy shadow drop
  scopegate policy shadow drop sha256:9f86d081

Pushing another one with `--shadow` drops the one before as well.";

/// Show, promote or drop the policy that decides beside the active one, without effect
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Shadow {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what the policy in the shadow answers otherwise than the active one
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
    /// Make the policy in the shadow the active one
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote(Meant),
    /// End the policy in the shadow
    #[command(after_help = DROP_EXAMPLES)]
    Drop(Meant),
}

/// Which policy is meant.
#[derive(Args, Debug)]
struct Meant {
    /// The policy's digest or the start of it: with another one in the shadow by now, nothing is done
    #[arg(value_name = "DIGEST")]
    digest: Option<String>,
}

pub(crate) async fn run(shadow: Shadow, common: &Common) -> Result<()> {
    match shadow.action {
        Action::Status => show(PolicyCommand::Shadow, common).await,
        Action::Promote(Meant { digest }) => {
            activate(PolicyCommand::Promote { digest }, common).await
        }
        Action::Drop(Meant { digest }) => {
            match ask(PolicyCommand::DropShadow { digest }, common).await? {
                PolicyReply::Dropped => common.output.print(&json!({ "changed": true }), |_| {
                    "no policy is in the shadow any more".to_owned()
                }),
                other => output::unexpected(&Reply::Policy(other)),
            }
        }
    }
}

/// Asks something that is answered with the policy in the shadow, and shows it.
pub(super) async fn show(command: PolicyCommand, common: &Common) -> Result<()> {
    match ask(command, common).await? {
        PolicyReply::Shadow { shadow } => {
            let shown = serde_json::to_value(&shadow)?;
            common.output.print(&shown, |_| text(&shadow))
        }
        other => output::unexpected(&Reply::Policy(other)),
    }
}

/// For people.
fn text(shadow: &ShadowStatus) -> String {
    let ShadowStatus {
        name,
        digest,
        counted,
        ..
    } = shadow;
    let since = match counted.since {
        Some(since) => format!(" since {since}"),
        None => String::new(),
    };
    let head = format!(
        "policy `{name}` is in the shadow: {digest}\n\
         pushed by {} at {}, beside {}\n\
         {} requests compared{since}: {} same, {} different, {} faults; {} skipped",
        shadow.pushed_by,
        shadow.pushed_at,
        counted.beside,
        counted.asked,
        counted.same,
        counted.different,
        counted.faults,
        counted.skipped,
    );
    let differences: String = counted.differences.iter().map(difference).collect();
    let unlisted = match counted.unlisted {
        0 => String::new(),
        count => format!("\n\n{count} more requests differ in further ways"),
    };
    format!("{head}{differences}{unlisted}")
}

fn difference(difference: &Difference) -> String {
    let route = difference.route.as_deref().unwrap_or("no route");
    let head = format!(
        "\n\n{} on {route}: {}",
        word(&difference.kind),
        difference.count
    );
    let examples: String = difference.examples.iter().map(example).collect();
    head + &examples
}

fn example(example: &Example) -> String {
    let Example {
        at,
        method,
        path,
        active,
        shadow,
        ..
    } = example;
    let told: String = example
        .query
        .iter()
        .chain(&example.headers)
        .map(|pair| format!(" {pair}"))
        .collect();
    format!(
        "\n  {at} {method} {path}{told} by {}: {} -> {}",
        caller(&example.caller),
        answer(active),
        answer(shadow)
    )
}

fn caller(caller: &ExampleCaller) -> String {
    let Some(name) = &caller.name else {
        return "nobody".to_owned();
    };
    let agent = caller.agent.as_ref();
    let agent = agent.map_or(String::new(), |agent| format!(" `{agent}`"));
    let roles = match caller.roles.as_slice() {
        [] => String::new(),
        roles => format!(" ({})", roles.join(", ")),
    };
    let kind = match caller.kind {
        CallerKind::ApiKey => "key".to_owned(),
        kind => word(&kind),
    };
    format!("{kind}{agent} of {name}{roles}")
}

fn answer(answer: &ExampleAnswer) -> String {
    match answer {
        ExampleAnswer::Allow { clusters: None, .. } => "allow, every cluster".to_owned(),
        ExampleAnswer::Allow {
            clusters: Some(ids),
            more,
        } => match (ids.as_slice(), more) {
            ([], _) => "allow, no cluster".to_owned(),
            (ids, 0) => format!("allow, {}", ids.join(" ")),
            (ids, more) => format!("allow, {} and {more} more", ids.join(" ")),
        },
        ExampleAnswer::Deny { reason, about } => match about {
            Some(about) => format!("deny, {reason} `{about}`"),
            None => format!("deny, {reason}"),
        },
    }
}

/// As it is in JSON.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
