//! `when`: the condition of a route or a role.

use crate::condition::{Condition, check};
use crate::yaml::{Fields, Reader};

/// Reads the condition, if there is one. What is wrong inside it is reported at its place there.
pub(super) fn read(reader: &Reader, fields: &Fields<'_>) -> Option<Condition> {
    let text = fields.text("when")?;
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    match check::compile(trimmed) {
        Ok(condition) => Some(condition),
        Err(wrong) => {
            for wrong in wrong {
                let part = start + wrong.at.start..start + wrong.at.end;
                let slot = reader.problem(reader.source().place(text, part), wrong.message);
                if let Some(help) = wrong.help {
                    slot.help(help);
                }
            }
            None
        }
    }
}

/// Each condition once, in the order of their texts.
pub(super) fn distinct(mut conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.sort_by(|a, b| a.text.cmp(&b.text));
    conditions.dedup();
    conditions
}

/// The headers that conditions read, sorted.
pub(super) fn headers(conditions: &[Condition]) -> Vec<String> {
    let mut names: Vec<String> = conditions
        .iter()
        .flat_map(|condition| condition.headers().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
