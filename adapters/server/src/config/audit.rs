//! Where the audit goes: one word for its lines, or a map with everything.

use std::{path::Path, time::Duration};

use scopegate_host::audit::Sink;
use scopegate_policy::yaml::{Fields, Text, Value};

use super::{AuditConfig, SealConfig, read::Context};

const KEYS: [&str; 5] = ["lines", "store", "key", "heads", "keep"];

/// Without a word of it: lines to standard output, and an unsigned chain that is kept for ever.
const DEFAULT: AuditConfig = AuditConfig {
    lines: Sink::Stdout,
    store: true,
    seal: None,
    keep: None,
};

pub(super) fn audit(context: &Context<'_>, fields: &Fields<'_>) -> AuditConfig {
    let Some(node) = fields.get("audit") else {
        return DEFAULT;
    };
    if !matches!(node.value, Value::Map(_)) {
        let lines = context.reader.text(node, "`audit`");
        return AuditConfig {
            lines: lines.map_or(Sink::Stdout, |text| sink(context, text)),
            ..DEFAULT
        };
    }
    let Some(fields) = context.reader.fields(node, "`audit`", &KEYS) else {
        return DEFAULT;
    };
    let keep = fields.seconds("keep").map(Duration::from_secs);
    if keep == Some(Duration::ZERO) {
        fields
            .problem("keep", "`keep` must be at least `1s`")
            .help("leave the key out to keep everything");
    }
    AuditConfig {
        lines: fields
            .text("lines")
            .map_or(Sink::Stdout, |text| sink(context, text)),
        store: fields.boolean("store").unwrap_or(true),
        seal: seal(context, &fields),
        keep,
    }
}

fn sink(context: &Context<'_>, text: Text<'_>) -> Sink {
    match text.text {
        "stdout" => Sink::Stdout,
        "none" => Sink::None,
        _ => {
            beside(
                context,
                text,
                "write `stdout`, `none`, or the path of a file in a directory that exists",
            );
            Sink::File(context.path(text))
        }
    }
}

/// A key without an exported head could not show a cut-off tail, and heads need a key.
fn seal(context: &Context<'_>, fields: &Fields<'_>) -> Option<SealConfig> {
    let key = fields
        .get("key")
        .map(|node| context.secret_file(node, "`key`"));
    let heads = fields.text("heads").map(|text| {
        beside(context, text, "name a file in a directory that exists");
        context.path(text)
    });
    match (key, heads) {
        (Some(key), Some(heads)) => Some(SealConfig { key: key?, heads }),
        (None, None) => None,
        _ => {
            context
                .reader
                .problem(fields.span(), "`key` and `heads` of `audit` go together")
                .help("`heads` names the file that signed heads are exported to; `scopegate init` writes both");
            None
        }
    }
}

/// A file that may be made: its directory must be there.
fn beside(context: &Context<'_>, text: Text<'_>, help: &str) {
    let path = context.path(text);
    if !path.parent().is_some_and(Path::is_dir) {
        context
            .reader
            .problem(
                text.span,
                format!("there is no directory for the file `{}`", path.display()),
            )
            .help(help);
    }
}
