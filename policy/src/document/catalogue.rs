//! `permissions` and `roles`.

use std::collections::BTreeSet;

use crate::condition::Condition;
use crate::description::{PermissionInfo, RoleInfo, RouteInfo};
use crate::permission::{self, Pattern};
use crate::tables::{PERMISSIONS_MAX, ROLES_MAX};
use crate::yaml::{Entry, Fields, ProblemSlot, Reader, Text, Value, did_you_mean};

use super::{Part, when};

const MANAGEMENT_HELP: &str = "the permissions of `manage` and `authorization` are the gate's own: roles may hold them, documents define none";
/// Permissions of a document at most: those that are appended to it have their room.
const OWN_PERMISSIONS_MAX: usize = PERMISSIONS_MAX - 96;
/// Words that logs, headers and commands use for other things than roles.
const RESERVED_ROLES: [&str; 4] = ["anonymous", "none", "operator", "public"];

/// The catalogue of a part. What is wrong with one entry does not hide it from the roles and routes that use it.
pub(super) fn permissions(
    reader: &Reader,
    fields: &Fields<'_>,
    part: Part,
) -> Option<Vec<PermissionInfo>> {
    fields.required("permissions")?;
    let entries = fields.entries("permissions")?;
    if entries.len() > OWN_PERMISSIONS_MAX {
        fields.problem(
            "permissions",
            format!("there are more than {OWN_PERMISSIONS_MAX} permissions"),
        );
    }
    Some(
        entries
            .iter()
            .map(|entry| permission(reader, entry, part))
            .collect(),
    )
}

fn permission(reader: &Reader, entry: &Entry, part: Part) -> PermissionInfo {
    let name = entry.key.as_text();
    if !permission::is_name(&name) {
        let slot = reader.problem(name.span, format!("`{name}` cannot be a permission's name"));
        if name.contains('*') {
            slot.help("wildcards are for roles; the catalogue has `resource:action` alone");
        } else {
            grammar_help(slot, name);
        }
    } else if part == Part::Document && permission::is_management(&name) {
        reader
            .problem(name.span, format!("`{name}` is reserved"))
            .help(MANAGEMENT_HELP);
    }
    let known = ["category", "unlocks", "scope"];
    let fields = if entry.value.is_null() {
        None
    } else {
        reader.fields(&entry.value, "a permission", &known)
    };
    let text = |key: &str| {
        fields
            .and_then(|f| f.text(key))
            .map(|text| text.to_string())
    };
    PermissionInfo {
        name: name.to_string(),
        category: text("category").unwrap_or_else(|| category_of(&name)),
        unlocks: text("unlocks").unwrap_or_default(),
        scope: fields
            .and_then(|fields| fields.boolean("scope"))
            .unwrap_or(true),
    }
}

/// `cost_explorer:read` is of the category `Cost explorer` when it says nothing else.
fn category_of(name: &str) -> String {
    let resource = name
        .split(':')
        .next()
        .unwrap_or_default()
        .replace(['_', '-'], " ");
    let mut chars = resource.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(chars)
        .collect()
}

fn grammar_help(slot: ProblemSlot<'_>, name: Text<'_>) {
    let lower = name.to_lowercase();
    if permission::is_name(&lower) {
        slot.help(format!("did you mean `{lower}`?"));
    } else {
        slot.help(
            "a permission is `resource:action`, each of lower-case letters, digits, `_` and `-`",
        );
    }
}

/// The roles, expanded, and their conditions. `catalogue` is missing when it could not be read at all.
pub(super) fn roles(
    reader: &Reader,
    fields: &Fields<'_>,
    catalogue: Option<&[PermissionInfo]>,
) -> Option<(Vec<RoleInfo>, Vec<Condition>)> {
    fields.required("roles")?;
    let entries = fields.entries("roles")?;
    if entries.len() > ROLES_MAX {
        fields.problem("roles", format!("there are more than {ROLES_MAX} roles"));
    }
    let mut conditions = Vec::new();
    let roles = entries.iter().map(|entry| {
        check_role_name(reader, entry.key.as_text());
        let what = format!("the role `{}`", entry.key.text);
        let (patterns, condition) = match &entry.value.value {
            Value::Map(_) => {
                let fields = reader.fields(&entry.value, &what, &["permissions", "when"]);
                let patterns = fields
                    .and_then(|fields| fields.required("permissions"))
                    .and_then(|node| reader.texts(node, &what));
                (
                    patterns,
                    fields.and_then(|fields| when::read(reader, &fields)),
                )
            }
            _ => (reader.texts(&entry.value, &what), None),
        };
        let when = condition
            .as_ref()
            .map(|condition: &Condition| condition.text.clone());
        conditions.extend(condition);
        let mut held = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for pattern in patterns.unwrap_or_default() {
            if !seen.insert(pattern.text) {
                reader.problem(pattern.span, format!("the role has `{pattern}` twice"));
            } else if let Some(catalogue) = catalogue {
                held.extend(expand(reader, pattern, catalogue));
            }
        }
        RoleInfo {
            name: entry.key.text.clone(),
            permissions: held.into_iter().map(str::to_owned).collect(),
            when,
        }
    });
    let roles = roles.collect();
    Some((roles, conditions))
}

fn check_role_name(reader: &Reader, name: Text<'_>) {
    if !permission::is_word(&name) {
        reader
            .problem(name.span, format!("`{name}` cannot be a role's name"))
            .help("a name has lower-case letters, digits, `_` and `-`");
    } else if RESERVED_ROLES.contains(&name.text) {
        reader
            .problem(name.span, format!("`{name}` cannot be a role's name"))
            .help("the word is reserved: it means something else in logs and headers");
    }
}

fn expand<'c>(reader: &Reader, written: Text<'_>, catalogue: &'c [PermissionInfo]) -> Vec<&'c str> {
    let Some(pattern) = Pattern::parse(written.text) else {
        let slot = reader.problem(written.span, format!("`{written}` is not a permission"));
        if written.contains('*') {
            slot.help("wildcards are `*`, `resource:*` and `*:action`");
        } else {
            grammar_help(slot, written);
        }
        return Vec::new();
    };
    if let Pattern::Exact(name) = pattern {
        check_known(
            reader,
            Text {
                text: name,
                ..written
            },
            catalogue,
        );
    }
    let names = catalogue.iter().map(|info| info.name.as_str());
    let held: Vec<&str> = names.clone().filter(|name| pattern.matches(name)).collect();
    if held.is_empty() && !matches!(pattern, Pattern::Exact(_)) {
        let slot = reader.problem(
            written.span,
            format!("`{written}` matches no permission of the catalogue"),
        );
        let halves = names
            .filter(|name| permission::is_name(name))
            .filter_map(|name| name.split_once(':'));
        let near = match pattern {
            Pattern::Resource(word) => did_you_mean(word, halves.map(|(resource, _)| resource))
                .map(|near| format!("{near}:*")),
            Pattern::Action(word) => {
                did_you_mean(word, halves.map(|(_, action)| action)).map(|near| format!("*:{near}"))
            }
            _ => None,
        };
        if let Some(near) = near {
            slot.help(format!("did you mean `{near}`?"));
        }
    }
    held
}

/// Whether the catalogue has a permission; a problem when it has not.
pub(super) fn check_known(reader: &Reader, name: Text<'_>, catalogue: &[PermissionInfo]) -> bool {
    if catalogue.iter().any(|info| info.name == name.text) {
        return true;
    }
    let slot = if permission::is_name(&name) {
        reader.problem(name.span, format!("unknown permission `{name}`"))
    } else {
        reader.problem(name.span, format!("`{name}` is not a permission"))
    };
    let names = catalogue.iter().map(|info| info.name.as_str());
    match did_you_mean(name.text, names) {
        Some(near) => slot.help(format!("did you mean `{near}`?")),
        None if permission::is_management(&name) => {
            slot.help(MANAGEMENT_HELP);
        }
        None if permission::is_name(&name) => slot.help("add it to `permissions`"),
        None if name.contains('*') => {
            slot.help("a route requires one permission, not all that match");
        }
        None => grammar_help(slot, name),
    }
    false
}

/// Where keys may only read, a scope that no GET asks for would be a tick in the picker that does nothing.
pub(super) fn check_scopes_read(
    reader: &Reader,
    fields: &Fields<'_>,
    permissions: &[PermissionInfo],
    routes: &[RouteInfo],
) {
    let entries = fields.entries("permissions").unwrap_or_default();
    for (info, entry) in permissions
        .iter()
        .zip(entries)
        .filter(|(info, _)| info.scope)
    {
        let mut asking = routes
            .iter()
            .filter(|route| route.requires.as_ref() == Some(&info.name))
            .peekable();
        if asking.peek().is_some()
            && !asking.any(|route| route.method == "GET" || route.method == "*")
        {
            reader
                .problem(
                    entry.key.span,
                    format!("a key could do nothing with the scope `{}`", info.name),
                )
                .help("keys are `read_only` and no GET requires it: say `scope: false`");
        }
    }
}
