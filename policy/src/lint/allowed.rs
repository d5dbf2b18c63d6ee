//! Comments that allow a finding.

use crate::yaml::{Source, Span, did_you_mean};

use super::{Finding, Lint};

const MARK: &str = "# scopegate: allow(";

/// The allowing comments of a document.
pub(super) struct Allowed(Vec<Allow>);

struct Allow {
    /// From 1.
    line: usize,
    span: Span,
    name: String,
    is_used: bool,
}

impl Allowed {
    /// Finds the comments.
    pub(super) fn read(source: &Source) -> Self {
        let mut allowed = Vec::new();
        let mut start = 0;
        for (number, line) in source.text().split_inclusive('\n').enumerate() {
            let comment = line.find(MARK).map(|at| at + MARK.len());
            let names = comment.and_then(|from| {
                Some((
                    from,
                    line.get(from..)?.split(')').next().unwrap_or_default(),
                ))
            });
            if let Some((from, names)) = names {
                let mut at = start + from;
                for name in names.split(',') {
                    let indent = name.len() - name.trim_start().len();
                    let from = at + indent;
                    at += name.len() + 1;
                    let name = name.trim().to_owned();
                    allowed.push(Allow {
                        line: number + 1,
                        span: Span::new(from, from + name.len()),
                        name,
                        is_used: false,
                    });
                }
            }
            start += line.len();
        }
        Self(allowed)
    }

    /// Whether a comment on the finding's line or the one before allows it.
    pub(super) fn allows(&mut self, source: &Source, finding: &Finding) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let (line, _) = source.line_column(finding.span.start);
        let mut allowing = self.0.iter_mut().filter(|allow| {
            allow.name == finding.lint.name() && (allow.line == line || allow.line + 1 == line)
        });
        match allowing.next() {
            Some(allow) => {
                allow.is_used = true;
                true
            }
            None => false,
        }
    }

    /// Finds the comments that allowed nothing.
    pub(super) fn report(self, found: &mut Vec<Finding>) {
        let unused = self.0.into_iter().filter(|allow| !allow.is_used);
        found.extend(unused.map(|Allow { span, name, .. }| {
            let mut names = Lint::ALL.iter().map(|lint| lint.name());
            let (message, help) = if names.any(|known| known == name) {
                (
                    format!("there is no `{name}` here to allow"),
                    "take the comment away".to_owned(),
                )
            } else {
                let names = Lint::ALL.iter().map(|lint| lint.name());
                let help = match did_you_mean(&name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`scopegate policy lint --help` lists them".to_owned(),
                };
                (format!("there is no lint `{name}`"), help)
            };
            Finding {
                lint: Lint::UnusedAllow,
                span,
                message,
                help,
            }
        }));
    }
}
