//! `scopegate policy lint`: what is right in a document and probably not meant.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use scopegate_policy::{
    document::{Compiled, compile_with_places},
    lint::{Finding, lint},
    yaml::Severity,
};
use serde_json::{Value, json};

use super::file::read;
use crate::{
    failure::Failure,
    output::{Output, note},
};

const EXAMPLES: &str = "\
Examples:
  scopegate policy lint policy.yaml
  scopegate policy lint --deny warnings policies/*.yaml

  # In a document, for its own line or the next
  viewer: [\"*:read\"] # scopegate: allow(same-role)

Warnings:
  unused-permission        no route requires it
  unheld-permission        no role has it and no key can carry it
  empty-role               it gives nothing
  wildcard-grant           `*` on another role than `admin`, or `*:write`
  public-below-guard       public, within a route that is not
  public-every-method      public with the method `*`
  cluster-by-another-name  `/clusters/{id}`: no cluster is read from it
  operator-with-permission for operators, and requires what no operator holds
  constant-condition       it asks for no fact: always true, or never
Notes:
  same-role                two roles give the same
  redundant-grant          another entry of the role gives it already
  spans-by-silence         says nothing about clusters, though a list beside it does
  unused-allow             a comment that allows nothing

A document that does not compile is reported as `check` does it.";

/// Find what is right in documents and probably not meant
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lint {
    /// Policy documents
    #[arg(required = true, value_name = "DOC")]
    documents: Vec<PathBuf>,
    /// Fail when there are findings of this kind, or a worse one
    #[arg(long, value_enum, value_name = "KIND")]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    Warnings,
    Notes,
}

pub(super) fn run(arguments: &Lint, output: Output) -> Result<()> {
    let (mut shown, mut parts) = (Vec::new(), Vec::new());
    let (mut denied, mut broken) = (0, 0);
    for path in &arguments.documents {
        let name = path.display().to_string();
        let document = match compile_with_places(&name, &read(path)?) {
            Ok(document) => document,
            Err(report) => {
                if output == Output::Text {
                    note(&report.to_string());
                }
                broken += 1;
                shown.push(json!({ "file": name, "ok": false, "problems": report }));
                continue;
            }
        };
        let found = lint(&document);
        denied += found
            .iter()
            .filter(|finding| is_denied(arguments.deny, finding))
            .count();
        if output == Output::Text {
            parts.extend(found.iter().map(|finding| finding.excerpt(&document)));
            parts.push(format!("{name}: {}", counted(&found)));
        }
        let found: Vec<Value> = found.iter().map(|found| one(&document, found)).collect();
        shown.push(json!({ "file": name, "ok": true, "findings": found }));
    }
    output.print(&Value::Array(shown), |_| parts.join("\n\n"))?;
    match (broken, denied) {
        (0, 0) => Ok(()),
        (0, denied) => Err(Failure::new(format!(
            "{} denied",
            match denied {
                1 => "1 finding is".to_owned(),
                denied => format!("{denied} findings are"),
            }
        ))
        .help("change the document, or allow one with `# scopegate: allow(its-name)`")
        .into()),
        (broken, _) => {
            let broken = number(broken, "document");
            Err(Failure::new(format!("{broken} could not be read")).into())
        }
    }
}

fn is_denied(deny: Option<Deny>, finding: &Finding) -> bool {
    match deny {
        None => false,
        Some(Deny::Warnings) => finding.lint.severity() == Severity::Warning,
        Some(Deny::Notes) => true,
    }
}

fn counted(found: &[Finding]) -> String {
    let of = |severity| {
        let found = found.iter();
        found
            .filter(|finding| finding.lint.severity() == severity)
            .count()
    };
    match (of(Severity::Warning), of(Severity::Note)) {
        (0, 0) => "clean".to_owned(),
        (warnings, notes) => format!("{}, {}", number(warnings, "warning"), number(notes, "note")),
    }
}

fn number(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}

fn one(document: &Compiled, finding: &Finding) -> Value {
    let (line, column) = document.source.line_column(finding.span.start);
    json!({
        "lint": finding.lint,
        "severity": finding.lint.severity(),
        "line": line,
        "column": column,
        "message": finding.message,
        "help": finding.help,
    })
}
