//! Where the parts of a document stand in its source.

use crate::permission::Pattern;
use crate::yaml::{Entry, Node, Span, Value};

/// Where the parts of a document stand. Indexes are those of the [`crate::Description`] that it compiled to; the
/// management API's part, which is appended there, has no places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// For each of the document's own permissions, its name.
    pub permissions: Vec<Span>,
    /// For each role.
    pub roles: Vec<RolePlaces>,
    /// For each of the document's own routes.
    pub routes: Vec<RoutePlaces>,
    /// `keys`, with its value, where the document has it.
    pub keys: Option<Span>,
}

/// Where a role stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePlaces {
    /// Its name.
    pub name: Span,
    /// What it gives.
    pub entries: Vec<RoleEntry>,
    /// `when`, with its value, where it has it.
    pub when: Option<Span>,
}

/// One permission or pattern of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleEntry {
    /// As it was written, such as `clusters:*`.
    pub pattern: String,
    /// Where.
    pub span: Span,
}

/// Where a route stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePlaces {
    /// All of it.
    pub whole: Span,
    /// For each of its keys, the name of the key, and key and value together.
    pub keys: Vec<(String, Span)>,
    /// The value of `match`.
    pub matched: Span,
}

impl RoutePlaces {
    /// A key with its value, or the route's `match` where it does not have the key.
    pub fn key_or_match(&self, key: &str) -> Span {
        let place = self.keys.iter().find(|(known, _)| known == key);
        place.map_or(self.matched, |(_, span)| *span)
    }
}

impl RolePlaces {
    /// The first entry that stands for a permission.
    pub fn entry_for(&self, permission: &str) -> Option<&RoleEntry> {
        self.entries.iter().find(|entry| {
            Pattern::parse(&entry.pattern).is_some_and(|pattern| pattern.matches(permission))
        })
    }
}

impl Places {
    /// The places of a document that compiled: every entry of it is in the description, in its order.
    pub(super) fn of(root: &Node) -> Self {
        let mut places = Self::default();
        for Entry { key, value } in entries(root) {
            match key.text.as_str() {
                "permissions" => {
                    places.permissions =
                        entries(value).iter().map(|entry| entry.key.span).collect();
                }
                "roles" => places.roles = entries(value).iter().map(role).collect(),
                "routes" => places.routes = items(value).iter().map(route).collect(),
                "keys" => places.keys = Some(key.span.to(value.span)),
                _ => {}
            }
        }
        places
    }
}

fn role(entry: &Entry) -> RolePlaces {
    // Either its permissions, or these and a condition.
    let key = |name: &str| {
        entries(&entry.value)
            .iter()
            .find(|part| part.key.text == name)
    };
    let permissions = key("permissions").map_or(&entry.value, |part| &part.value);
    let written = items(permissions).iter().filter_map(Node::as_text);
    RolePlaces {
        name: entry.key.span,
        entries: written
            .map(|text| RoleEntry {
                pattern: text.to_string(),
                span: text.span,
            })
            .collect(),
        when: key("when").map(|part| part.key.span.to(part.value.span)),
    }
}

fn route(node: &Node) -> RoutePlaces {
    let place = |entry: &Entry| (entry.key.text.clone(), entry.key.span.to(entry.value.span));
    let matched = entries(node).iter().find(|entry| entry.key.text == "match");
    RoutePlaces {
        whole: node.span,
        keys: entries(node).iter().map(place).collect(),
        matched: matched.map_or(node.span, |entry| entry.value.span),
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use crate::document::compile_with_places;
    use crate::documents;

    #[test]
    fn every_part_of_the_built_in_documents_has_its_place() {
        for name in documents::names() {
            let text = documents::builtin(name).unwrap();
            let compiled = compile_with_places(name, text).unwrap();
            let (description, places) = (compiled.tables.description(), &compiled.places);
            assert_eq!(
                description.own_permissions().count(),
                places.permissions.len()
            );
            for (info, span) in description.permissions.iter().zip(&places.permissions) {
                assert_eq!(compiled.source.slice(*span), info.name);
            }
            assert_eq!(description.roles.len(), places.roles.len());
            for (role, place) in description.roles.iter().zip(&places.roles) {
                assert_eq!(compiled.source.slice(place.name), role.name);
                for permission in &role.permissions {
                    assert!(place.entry_for(permission).is_some(), "{permission}");
                }
            }
            assert_eq!(description.own_routes().count(), places.routes.len());
            for (route, place) in description.routes.iter().zip(&places.routes) {
                let written = compiled.source.slice(place.matched).trim_matches('"');
                assert_eq!(written, format!("{} {}", route.method, route.pattern));
                let key = compiled.source.slice(place.key_or_match("requires"));
                match &route.requires {
                    Some(permission) => assert_eq!(key, format!("requires: {permission}")),
                    None => assert_eq!(key.trim_matches('"'), written),
                }
            }
        }
    }
}
