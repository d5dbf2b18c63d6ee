//! What a component may say of itself. Everything later trusts these bounds: indexes into the description, names in
//! pickers, patterns that requests are held against.

use std::collections::BTreeSet;

use http::HeaderName;
use scopegate_policy::{ClusterSource, Description, ListShape, RouteInfo, permission, routing};

use crate::headers;

const PERMISSIONS_MAX: usize = scopegate_policy::PERMISSIONS_MAX;
const ROLES_MAX: usize = scopegate_policy::ROLES_MAX;
const ROUTES_MAX: usize = routing::ROUTES_MAX;
/// Names of the policy, of roles and of parameters.
const NAME_BYTES_MAX: usize = 128;
/// Texts for people, and JSON Pointers.
const TEXT_BYTES_MAX: usize = 1024;
const KEPT_MAX: usize = 256;
/// Headers that a policy reads besides those of its routes.
const HEADERS_MAX: usize = 64;

/// Checks a description.
///
/// # Errors
/// What about it makes no sense.
pub(super) fn check(description: &Description) -> Result<(), String> {
    check_name("the policy's name", &description.name)?;
    check_text("the policy's version", &description.version)?;
    at_most(
        "permissions",
        description.permissions.len(),
        PERMISSIONS_MAX,
    )?;
    at_most("roles", description.roles.len(), ROLES_MAX)?;
    at_most("routes", description.routes.len(), ROUTES_MAX)?;

    let mut catalogue = BTreeSet::new();
    for permission in &description.permissions {
        if !permission::is_name(&permission.name) {
            return Err(format!("`{}` is not a permission", shown(&permission.name)));
        }
        check_text("a permission's category", &permission.category)?;
        check_text("what a permission unlocks", &permission.unlocks)?;
        if !catalogue.insert(permission.name.as_str()) {
            return Err(format!(
                "the permission `{}` is in the catalogue twice",
                permission.name
            ));
        }
    }
    let mut roles = BTreeSet::new();
    for role in &description.roles {
        check_name("a role's name", &role.name)?;
        if !roles.insert(role.name.as_str()) {
            return Err(format!("the role `{}` is there twice", role.name));
        }
        at_most(
            "permissions of a role",
            role.permissions.len(),
            PERMISSIONS_MAX,
        )?;
        check_condition("a role's condition", role.when.as_deref())?;
        if let Some(unknown) = role
            .permissions
            .iter()
            .find(|name| !catalogue.contains(name.as_str()))
        {
            return Err(format!(
                "the role `{}` has `{}`, which is not in the catalogue",
                role.name,
                shown(unknown)
            ));
        }
    }
    for route in &description.routes {
        check_route(route, &catalogue).map_err(|why| {
            format!(
                "the route `{} {}`: {why}",
                shown(&route.method),
                shown(&route.pattern)
            )
        })?;
    }
    at_most("headers", description.headers.len(), HEADERS_MAX)?;
    description
        .headers
        .iter()
        .try_for_each(|name| check_header(name))
}

fn check_route(route: &RouteInfo, catalogue: &BTreeSet<&str>) -> Result<(), String> {
    if routing::pattern::Method::of_route(&route.method).is_none() {
        return Err("its method is none that a route may have".to_owned());
    }
    let segments = routing::pattern::parse(&route.pattern).map_err(|bad| bad.message.to_owned())?;
    if route.public && route.requires.is_some() {
        return Err("it is public and requires a permission".to_owned());
    }
    check_condition("its condition", route.when.as_deref())?;
    if let Some(name) = &route.requires
        && !catalogue.contains(name.as_str())
    {
        return Err(format!(
            "it requires `{}`, which is not in the catalogue",
            shown(name)
        ));
    }
    match &route.cluster {
        ClusterSource::Path(index) => match segments.get(*index as usize) {
            Some(routing::pattern::Segment::Parameter(_)) => Ok(()),
            _ => Err("its cluster is not a parameter of its pattern".to_owned()),
        },
        ClusterSource::Query(name) => check_name("its query parameter", name),
        ClusterSource::Header(name) => check_header(name),
        ClusterSource::Lists(shape) => check_list(shape),
        ClusterSource::Spans | ClusterSource::None | ClusterSource::Upstream => Ok(()),
    }
}

fn check_header(name: &str) -> Result<(), String> {
    check_name("its header", name)?;
    if name
        .bytes()
        .any(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    {
        return Err(format!(
            "`{}` is not a header's name in lower case",
            shown(name)
        ));
    }
    let known = HeaderName::from_bytes(name.as_bytes());
    let known = known.map_err(|_| format!("`{}` is not a header's name", shown(name)))?;
    if headers::is_credential(&known) {
        return Err(format!(
            "`{name}` carries credentials, which a policy never reads"
        ));
    }
    if headers::is_withheld(&known) {
        return Err(format!("`{name}` is not a policy's to read"));
    }
    Ok(())
}

fn check_list(shape: &ListShape) -> Result<(), String> {
    for pointer in [&shape.items, &shape.cluster] {
        check_text("a JSON Pointer", pointer)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!("`{}` is not a JSON Pointer", shown(pointer)));
        }
    }
    at_most("members kept", shape.keep.len(), KEPT_MAX)?;
    shape
        .keep
        .iter()
        .try_for_each(|name| check_text("a member kept", name))
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("{what} is empty, too long or not printable"));
    }
    Ok(())
}

/// A condition may have several lines.
fn check_condition(what: &str, condition: Option<&str>) -> Result<(), String> {
    let one_line = condition.unwrap_or_default().replace(['\n', '\t'], " ");
    check_text(what, &one_line)
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("{what} is too long or not printable"));
    }
    Ok(())
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count > max {
        return Err(format!("there are {count} {what}, more than {max}"));
    }
    Ok(())
}

/// The start of a text that a component chose, fit for a log.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control())
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use scopegate_policy::{PermissionInfo, RoleInfo};

    use super::*;

    fn good() -> Description {
        Description {
            name: "small".to_owned(),
            version: String::new(),
            permissions: vec![PermissionInfo {
                name: "clusters:read".to_owned(),
                category: String::new(),
                unlocks: String::new(),
                scope: true,
            }],
            roles: vec![RoleInfo {
                name: "viewer".to_owned(),
                permissions: vec!["clusters:read".to_owned()],
                when: None,
            }],
            routes: vec![RouteInfo {
                method: "GET".to_owned(),
                pattern: "/v1/clusters/{cluster}".to_owned(),
                public: false,
                requires: Some("clusters:read".to_owned()),
                when: None,
                cluster: ClusterSource::Path(2),
            }],
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_description_that_makes_sense_passes() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn each_lie_is_named() {
        type Lie = (fn(&mut Description), &'static str);
        let lies: [Lie; 21] = [
            (|d| d.headers = vec!["x-api-key".to_owned()], "credentials"),
            (|d| d.headers = vec!["x-env".to_owned(); 65], "more than"),
            (
                |d| d.routes[0].when = Some("true\u{1}".to_owned()),
                "condition",
            ),
            (|d| d.name = "x".repeat(129), "the policy's name"),
            (|d| d.name = "a\nb".to_owned(), "not printable"),
            (|d| d.permissions.push(d.permissions[0].clone()), "twice"),
            (
                |d| d.permissions[0].name = "Clusters".to_owned(),
                "not a permission",
            ),
            (|d| d.roles.push(d.roles[0].clone()), "twice"),
            (
                |d| d.roles[0].permissions.push("x:y".to_owned()),
                "not in the catalogue",
            ),
            (
                |d| d.routes[0].requires = Some("x:y".to_owned()),
                "not in the catalogue",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Path(7),
                "not a parameter",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("authorization".to_owned()),
                "credentials",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("x_api_key".to_owned()),
                "credentials",
            ),
            (
                |d| {
                    d.routes[0].cluster =
                        ClusterSource::Header("x-scopegate-organization".to_owned());
                },
                "not a policy's",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("x_scopegate_roles".to_owned()),
                "not a policy's",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("host".to_owned()),
                "not a policy's",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("connection".to_owned()),
                "not a policy's",
            ),
            (
                |d| d.routes[0].cluster = ClusterSource::Header("x-forwarded-for".to_owned()),
                "not a policy's",
            ),
            (|d| d.routes[0].public = true, "public"),
            (|d| d.routes[0].method = "get".to_owned(), "method"),
            (
                |d| d.routes = vec![d.routes[0].clone(); ROUTES_MAX + 1],
                "more than",
            ),
        ];
        for (lie, word) in lies {
            let mut description = good();
            lie(&mut description);
            let error = check(&description).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
