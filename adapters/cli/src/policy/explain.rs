//! `scopegate policy explain`: why a request is answered as it is, and what would change the answer.

mod met;
mod question;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use scopegate_host::explain;
use scopegate_policy::{
    Outcome, Reason,
    document::Compiled,
    explain::{Explanation, Question, explain as explained},
    yaml::Span,
};
use serde_json::{Value, json};

use self::{met::Met, question::Asked};
use super::subject::{POLICY_HELP, Subject};
use crate::Common;

const EXAMPLES: &str = "\
Examples:
  scopegate policy explain policy.yaml --request 'GET /v1/clusters/prod' --role viewer
  scopegate policy explain policy.wasm --request 'DELETE /v1/clusters/prod' --role editor --cluster dev
  scopegate policy explain scopegate --request 'GET /v1/costs?cluster_id=prod' \\
    --key --role admin --scope clusters:read --allowed-cluster prod
  scopegate policy explain scopegate --request 'POST /v1/metrics' --agent prod --header x-cluster-id=dev
  scopegate policy explain scopegate --request 'GET /v1/users' --anonymous --output json
  scopegate policy explain --record audit.jsonl:12
  scopegate policy explain policy.yaml --record audit.jsonl:12
  scopegate policy explain --case 'policy.test.yaml:viewers may read'
  scopegate policy explain --case policy.test.yaml:12

Nothing is sent anywhere, and no server is needed. What it suggests has been tried: with those
changes the answer is the other one. The exit code is 0 for both answers.";

/// Say why a request is answered as it is, and what would change the answer
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    #[arg(value_name = "POLICY", help = POLICY_HELP, required_unless_present_any = ["record", "case"])]
    policy: Option<PathBuf>,
    #[command(flatten)]
    met: Met,
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn run(explain_this: &Explain, common: &Common) -> Result<()> {
    let Explain { policy, met, asked } = explain_this;
    let output = common.output;
    let (subject, question) = match met.question(policy.as_deref(), &common.config)? {
        Some(met) => met,
        None => {
            let subject = Subject::open(policy.as_deref().unwrap_or(Path::new("")))?;
            let question = asked.question(&subject.description)?;
            (subject, question)
        }
    };
    let explanation = explained(&subject.description, &question, |question| {
        subject.ask(question)
    })?;
    let shown = shown(&subject, &question, &explanation);
    let named = explain::Subject {
        description: &subject.description,
        document: subject.document.as_ref(),
    };
    output.print(&shown, |_| explain::text(&named, &question, &explanation))
}

/// The explanation for programs.
fn shown(subject: &Subject, question: &Question, explanation: &Explanation) -> Value {
    let description = &subject.description;
    let (reason, visible) = match &explanation.decision.outcome {
        Outcome::Allow(visible) => (None, Some(visible)),
        Outcome::Deny(reason) => (Some(reason), None),
    };
    let document = subject.document.as_ref();
    let route_place = |index: usize| {
        let document = document?;
        let route = document.places.routes.get(index)?;
        Some(place(document, route.matched))
    };
    let near_misses: Vec<Value> = explanation
        .near_misses
        .iter()
        .map(|near| {
            json!({
                "method": near.method,
                "pattern": near.pattern,
                "why": near.why,
                "place": route_place(near.route),
            })
        })
        .collect();
    let route = explanation.route().and_then(|index| {
        let route = description.routes.get(index)?;
        Some(json!({
            "method": route.method,
            "pattern": route.pattern,
            "public": route.public,
            "requires": route.requires,
            "when": route.when,
            "cluster": route.cluster,
            "place": route_place(index),
        }))
    });
    json!({
        "policy": description.name,
        "version": description.version,
        "caller": question.caller,
        "request": question.request,
        "registered": question.registered,
        "allowed": explanation.is_allowed(),
        "visible_clusters": visible,
        "reason": reason.map(Reason::code),
        "about": reason.and_then(Reason::subject),
        "because": explanation.because,
        "place": document.and_then(|document| {
            Some(place(document, explanation.place(&document.places)?))
        }),
        "route": route,
        "near_misses": near_misses,
        "grants": grants(subject, explanation),
        "clusters": explanation.clusters,
        "otherwise": explanation.otherwise,
    })
}

/// What holds the permission, with the places of the roles' conditions.
fn grants(subject: &Subject, explanation: &Explanation) -> Value {
    let mut shown = json!(explanation.grants);
    let seen = explanation.grants.iter().flat_map(|grants| &grants.roles);
    let roles = shown.pointer_mut("/roles").and_then(Value::as_array_mut);
    for (role, seen) in roles.into_iter().flatten().zip(seen) {
        let found = subject.document.as_ref().and_then(|document| {
            let span = document.places.roles.get(seen.index?)?.when?;
            Some(place(document, span))
        });
        let condition = role.pointer_mut("/condition");
        if let Some(condition) = condition.and_then(Value::as_object_mut) {
            condition.insert("place".to_owned(), json!(found));
        }
    }
    shown
}

fn place(document: &Compiled, span: Span) -> Value {
    let (line, column) = document.source.line_column(span.start);
    json!({ "file": document.source.name(), "line": line, "column": column })
}
