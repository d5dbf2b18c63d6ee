//! `scopegate policy inspect`: what a policy is, what it says of itself and what it carries.

mod carried;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scopegate_host::engine::Isolation;
use scopegate_policy::{ClusterSource, Description, RouteInfo, RouteOptions};
use serde_json::{Value, json};

use super::{
    file::{extend, text},
    sign::trusted,
    subject::{POLICY_HELP, Subject, load},
};
use crate::output::{Output, cell, table};

const EXAMPLES: &str = "\
Examples:
  scopegate policy inspect policy.wasm
  scopegate policy inspect scopegate --all
  scopegate policy inspect policy.wasm --trust policy-key.pub
  scopegate policy inspect policy.yaml --output json | jq -r .digest

A document is compiled for it, so that its digest is that of the component which `build` writes.";

/// Show what a policy is and carries: digest, tests, signatures, catalogue, roles and routes
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    #[arg(value_name = "POLICY", help = POLICY_HELP)]
    policy: PathBuf,
    /// Show the permissions and routes of the management API too, which are in every policy
    #[arg(long)]
    all: bool,
    /// Public keys: say of each signature whether it is good
    #[arg(long, num_args = 1.., value_name = "FILE")]
    trust: Vec<PathBuf>,
}

pub(super) fn run(inspect: &Inspect, output: Output) -> Result<()> {
    let trust = match inspect.trust.is_empty() {
        true => None,
        false => Some(trusted(&inspect.trust)?),
    };
    let subject = Subject::open(&inspect.policy)?;
    let component = subject.component()?;
    let policy = load(&component, Isolation::Fresh)?;
    let description = policy.description();
    let is_shown = |is_management: bool| inspect.all || !is_management;
    let permissions = description
        .permissions
        .iter()
        .filter(|info| is_shown(info.is_management()));
    let routes = description
        .routes
        .iter()
        .filter(|route| is_shown(route.is_management()));
    let mut shown = json!({
        "file": subject.name,
        "policy": description.name,
        "version": description.version,
        "digest": policy.digest(),
        "bytes": component.len(),
        "from_document": policy.is_from_document(),
        // One that imports anything was refused before it got here.
        "imports": [],
        "exports": policy.exports(),
        "permissions": permissions.map(|info| json!({
            "name": info.name,
            "category": info.category,
            "unlocks": info.unlocks,
            "scope": info.scope,
            "roles": roles_with(description, &info.name),
        })).collect::<Vec<_>>(),
        "roles": description.roles,
        "routes": routes.map(|route| json!({
            "method": route.method,
            "pattern": route.pattern,
            "public": route.public,
            "requires": route.requires,
            "when": route.when,
            "cluster": route.cluster,
        })).collect::<Vec<_>>(),
    });
    extend(
        &mut shown,
        &carried::carried(&component, &policy, trust.as_ref()),
    );
    output.print(&shown, |shown| {
        // What only the rules of a document say; a component that was written by hand says it to nobody.
        let options = subject
            .document
            .as_ref()
            .map(|document| document.tables.rules());
        let routes = description.routes.iter().enumerate();
        let routes = routes.filter(|(_, route)| is_shown(route.is_management()));
        let routes = routes.map(|(index, route)| {
            let options = options.and_then(|rules| rules.options.get(index));
            row(route, options.copied().unwrap_or_default())
        });
        let routes: Vec<Value> = routes.collect();
        for_people(shown, &Value::Array(routes))
    })
}

fn roles_with<'d>(description: &'d Description, permission: &str) -> Vec<&'d str> {
    let has = |held: &[String]| held.iter().any(|name| name == permission);
    let roles = description.roles.iter();
    roles
        .filter(|role| has(&role.permissions))
        .map(|role| role.name.as_str())
        .collect()
}

fn row(route: &RouteInfo, options: RouteOptions) -> Value {
    let cluster = match &route.cluster {
        _ if route.public => "-".to_owned(),
        ClusterSource::Spans => "every one".to_owned(),
        ClusterSource::Path(_) => "in the path".to_owned(),
        ClusterSource::Query(name) => format!("?{name}="),
        ClusterSource::Header(name) => format!("header {name}"),
        ClusterSource::None => "none".to_owned(),
        ClusterSource::Upstream => "upstream".to_owned(),
        ClusterSource::Lists(shape) => format!("items of `{}`", shape.items),
    };
    let mut needs: Vec<String> = route.requires.iter().cloned().collect();
    needs.extend(route.public.then(|| "public".to_owned()));
    needs.extend(options.operator.then(|| "an operator".to_owned()));
    needs.extend(options.sign_in.then(|| "a recent sign-in".to_owned()));
    needs.extend(route.when.iter().map(|when| format!("when {when}")));
    let needs = match needs.is_empty() {
        true => "-".to_owned(),
        false => needs.join(", "),
    };
    json!({ "route": format!("{} {}", route.method, route.pattern), "needs": needs, "cluster": cluster })
}

fn for_people(shown: &Value, routes: &Value) -> String {
    let document = match shown["from_document"] == true {
        true => "yes: it is exactly what this program makes of the document that it carries",
        false => "no: it runs in fresh instances",
    };
    let head = [
        ("policy", cell(&shown["policy"])),
        ("version", cell(&shown["version"])),
        ("digest", cell(&shown["digest"])),
        ("bytes", cell(&shown["bytes"])),
        ("from a document", document.to_owned()),
        ("imports", "none".to_owned()),
        ("exports", cell(&shown["exports"])),
    ];
    let mut head: Vec<String> = head
        .into_iter()
        .chain(carried::rows(shown))
        .map(|(name, value)| format!("{name:<17}{value}").trim_end().to_owned())
        .collect();
    let lies = shown["contradictions"].as_array().into_iter().flatten();
    head.extend(lies.map(|lie| format!("warning: {}", text(lie))));
    let permissions = shown["permissions"].as_array().into_iter().flatten();
    let permissions = permissions.map(|info| {
        json!({
            "permission": info["name"],
            "category": info["category"],
            "scope": if info["scope"] == true { "yes" } else { "no" },
            "held by": info["roles"],
        })
    });
    let roles = shown["roles"].as_array().into_iter().flatten();
    let has_conditions = roles.clone().any(|role| role["when"].is_string());
    let role_columns: &[&str] = match has_conditions {
        true => &["role", "permissions", "when"],
        false => &["role", "permissions"],
    };
    let roles = roles.map(|role| {
        let held = role["permissions"].as_array().map_or(0, Vec::len);
        json!({ "role": text(&role["name"]), "permissions": held, "when": role["when"] })
    });
    let rows = |rows: &mut dyn Iterator<Item = Value>| Value::Array(rows.collect());
    [
        head.join("\n"),
        table(
            &["permission", "category", "scope", "held by"],
            &rows(&mut { permissions }),
            "no permissions",
        ),
        table(role_columns, &rows(&mut { roles }), "no roles"),
        table(&["route", "needs", "cluster"], routes, "no routes"),
    ]
    .join("\n\n")
}
