//! What is right in a document and probably not meant: findings for people, each with its place, that a comment can
//! allow.
//!
//! `# scopegate: allow(unused-permission)` on the line of a finding, or on the line before it, silences it; several
//! names are separated by commas.

mod allowed;
mod conditions;
mod rules;

use serde::Serialize;

use crate::document::Compiled;
use crate::yaml::{Severity, Span, excerpt};

use allowed::Allowed;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lint {
    /// No route requires a permission of the catalogue.
    UnusedPermission,
    /// A route requires a permission that no role has and no key can carry.
    UnheldPermission,
    /// A role gives nothing.
    EmptyRole,
    /// Two roles give the same.
    SameRole,
    /// An entry of a role gives nothing that another entry does not give.
    RedundantGrant,
    /// A role other than `admin` has `*`, or one has an action other than reading on everything.
    WildcardGrant,
    /// A route is public, and the one that would match without it is not.
    PublicBelowGuard,
    /// A public route is open for every method.
    PublicEveryMethod,
    /// A parameter under `clusters` is not called `{cluster}`, so that no cluster is read from it.
    ClusterByAnotherName,
    /// A route says nothing about clusters, and those beside it do.
    SpansBySilence,
    /// A route is for operators and requires a permission, which no operator has.
    OperatorWithPermission,
    /// A condition asks for nothing: it is always true, or never.
    ConstantCondition,
    /// A comment allows what is not there.
    UnusedAllow,
}

impl Lint {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::UnusedPermission,
        Self::UnheldPermission,
        Self::EmptyRole,
        Self::SameRole,
        Self::RedundantGrant,
        Self::WildcardGrant,
        Self::PublicBelowGuard,
        Self::PublicEveryMethod,
        Self::ClusterByAnotherName,
        Self::SpansBySilence,
        Self::OperatorWithPermission,
        Self::ConstantCondition,
        Self::UnusedAllow,
    ];

    /// Its name, as comments allow it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnusedPermission => "unused-permission",
            Self::UnheldPermission => "unheld-permission",
            Self::EmptyRole => "empty-role",
            Self::SameRole => "same-role",
            Self::RedundantGrant => "redundant-grant",
            Self::WildcardGrant => "wildcard-grant",
            Self::PublicBelowGuard => "public-below-guard",
            Self::PublicEveryMethod => "public-every-method",
            Self::ClusterByAnotherName => "cluster-by-another-name",
            Self::SpansBySilence => "spans-by-silence",
            Self::OperatorWithPermission => "operator-with-permission",
            Self::ConstantCondition => "constant-condition",
            Self::UnusedAllow => "unused-allow",
        }
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::SameRole | Self::RedundantGrant | Self::SpansBySilence | Self::UnusedAllow => {
                Severity::Note
            }
            _ => Severity::Warning,
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub lint: Lint,
    /// Where.
    pub span: Span,
    /// In words: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Finding {
    /// With its line and a caret, for people.
    pub fn excerpt(&self, document: &Compiled) -> String {
        let message = format!("{} ({})", self.message, self.lint.name());
        let severity = self.lint.severity();
        excerpt(
            severity,
            &message,
            &document.source,
            self.span,
            Some(&self.help),
        )
    }
}

/// What is found in a document and not allowed by a comment, in the order of its places.
pub fn lint(document: &Compiled) -> Vec<Finding> {
    let mut found = Vec::new();
    rules::permissions(document, &mut found);
    rules::roles(document, &mut found);
    rules::routes(document, &mut found);
    conditions::routes(document, &mut found);
    conditions::roles(document, &mut found);
    let mut allowed = Allowed::read(&document.source);
    found.retain(|finding| !allowed.allows(&document.source, finding));
    allowed.report(&mut found);
    found.sort_by_key(|finding| (finding.span, finding.lint));
    found
}

#[cfg(test)]
mod tests;
