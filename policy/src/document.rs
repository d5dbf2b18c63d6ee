//! A policy document in YAML, read and checked: every mistake at once, each with its place.
//!
//! ```yaml
//! policy: kubeadapt
//! version: "1"                       # optional, in the author's own scheme
//! permissions:                       # the catalogue: the only names that roles, scopes and routes may use
//!   clusters:read: { category: Clusters, unlocks: Cluster inventory }
//!   metrics:write: { category: Agents, unlocks: Submit metrics, scope: false }   # never on a key
//! roles:
//!   admin: ["*"]                     # wildcards: `*`, `clusters:*`, `*:read`
//!   agent: [metrics:write]
//! keys: { read_only: true }          # API keys may only GET
//! routes:                            # the most specific one wins, in whatever order they stand
//!   - { match: GET /v1/health, public: true }
//!   - { match: GET /v1/clusters, requires: clusters:read, lists: { items: /clusters, cluster: /id, keep: [total] } }
//!   - { match: "GET /v1/clusters/{cluster}/**", requires: clusters:read }    # `/**`: nothing or anything below
//!   - { match: POST /v1/metrics, requires: metrics:write, cluster: { header: x-cluster-id } }
//!   - { match: "* /v1/admin/**", operator: true, cluster: none }
//! ```
//!
//! A route has `public: true`, or `requires` a permission, or is for an `operator`; `sign_in: true` asks for a
//! session whose user signed in a short while ago. `cluster` is `{ query: name }`, `{ header: name }`, `none` or
//! `upstream`; where it, `lists` and `{cluster}` in the path are all missing, the route spans every cluster and
//! callers restricted to some are refused. HEAD is decided as GET. `when` is a condition in CEL that a route asks for
//! besides; a role that has one, `viewer: { permissions: [clusters:read], when: 'caller.mfa' }`, grants what it does
//! only while the condition is true.
//!
//! Each document gets the permissions and routes of the gate's own management API, which are appended to its own.
//! Its roles may hold `manage:…`, and `*` does; it cannot define them, or routes under `/-/`.

mod catalogue;
mod format;
pub(crate) mod header;
mod management;
mod places;
mod route;
mod schema;
mod shapes;
mod when;

use crate::condition::Condition;
use crate::description::{Description, PermissionInfo, RouteInfo};
use crate::permission;
use crate::tables::{RouteOptions, Rules, Tables};
use crate::yaml::{Fields, Node, Reader, Report, Source};

use management::Fragment;
use shapes::Shapes;

pub use format::format;
pub use places::{Places, RoleEntry, RolePlaces, RoutePlaces};
pub use schema::SCHEMA;

/// Characters of a policy's version at most.
const VERSION_CHARS_MAX: usize = 64;

/// Reads and checks a document; `name` is what the report calls it, usually the path of its file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(name: &str, text: &str) -> Result<Tables, Report> {
    let management = management::fragment()?;
    let (reader, root) = Reader::open(name, text)?;
    let tables = tables(&reader, &root, management);
    reader.finish(tables)
}

/// A document that was compiled, and where everything in it stands.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What decides.
    pub tables: Tables,
    /// The document.
    pub source: Source,
    /// Where its parts stand in the source.
    pub places: Places,
}

/// As [`compile`], with the places of what was compiled.
///
/// # Errors
/// As [`compile`].
pub fn compile_with_places(name: &str, text: &str) -> Result<Compiled, Report> {
    let management = management::fragment()?;
    let (reader, root) = Reader::open(name, text)?;
    let source = reader.source().clone();
    let tables = tables(&reader, &root, management);
    let tables = reader.finish(tables)?;
    Ok(Compiled {
        tables,
        source,
        places: Places::of(&root),
    })
}

fn tables(reader: &Reader, root: &Node, management: &Fragment) -> Option<Tables> {
    let rules = read(reader, root, management)?;
    // Mistakes have been found already, with their places. What is left are limits of the tables as a whole.
    match Tables::new(rules) {
        Ok(tables) => Some(tables),
        Err(wrong) => {
            reader.problem(root.span, wrong);
            None
        }
    }
}

/// Which part of a policy is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What its author wrote.
    Document,
    /// What every policy gets.
    Management,
}

fn read(reader: &Reader, root: &Node, management: &Fragment) -> Option<Rules> {
    let known = [
        "policy",
        "version",
        "permissions",
        "roles",
        "keys",
        "routes",
    ];
    let fields = reader.fields(root, "a policy", &known)?;
    let name = policy_name(reader, &fields);
    let version = version(reader, &fields);
    let keys = fields.fields("keys", "`keys`", &["read_only"]);
    let keys_read_only = keys
        .and_then(|keys| keys.boolean("read_only"))
        .unwrap_or_default();
    let permissions =
        catalogue::permissions(reader, &fields, Part::Document).map(|mut permissions| {
            // Where keys may only read, the picker has what they read and nothing else.
            let appended = management.permissions.iter().cloned();
            permissions.extend(appended.map(|info| PermissionInfo {
                scope: info.scope && !keys_read_only,
                ..info
            }));
            permissions
        });
    let roles = catalogue::roles(reader, &fields, permissions.as_deref());

    let mut routes = self::routes(reader, &fields, permissions.as_deref(), Part::Document);
    let (permissions, (roles, mut conditions)) = (permissions?, roles?);
    conditions.append(&mut routes.conditions);
    let conditions = when::distinct(conditions);
    if keys_read_only {
        catalogue::check_scopes_read(reader, &fields, &permissions, &routes.infos);
    }
    routes.infos.extend_from_slice(&management.routes.infos);
    routes.options.extend_from_slice(&management.routes.options);
    let description = Description {
        name: name?,
        version: version?,
        permissions,
        roles,
        routes: routes.infos,
        headers: when::headers(&conditions),
    };
    Some(Rules {
        description,
        conditions,
        options: routes.options,
        keys_read_only,
    })
    .filter(|_| !reader.has_problems())
}

/// Routes, and for each what else it asks for.
#[derive(Default)]
struct Routes {
    infos: Vec<RouteInfo>,
    options: Vec<RouteOptions>,
    conditions: Vec<Condition>,
}

fn routes(
    reader: &Reader,
    fields: &Fields<'_>,
    catalogue: Option<&[PermissionInfo]>,
    part: Part,
) -> Routes {
    let nodes = fields
        .required("routes")
        .and_then(|node| reader.list(node, "`routes`"));
    let mut shapes = Shapes::default();
    let mut routes = Routes::default();
    for node in nodes.unwrap_or_default() {
        if let Some(route) = route::read(reader, node, catalogue, part) {
            shapes.add(reader, &route.info, route.place);
            routes.infos.push(route.info);
            routes.options.push(route.options);
            routes.conditions.extend(route.condition);
        }
    }
    shapes.check_reachable(reader);
    routes
}

fn policy_name(reader: &Reader, fields: &Fields<'_>) -> Option<String> {
    let name = fields.required_text("policy")?;
    if permission::is_word(&name) {
        return Some(name.to_string());
    }
    reader
        .problem(name.span, format!("`{name}` cannot be a policy's name"))
        .help("a name has lower-case letters, digits, `_` and `-`");
    None
}

fn version(reader: &Reader, fields: &Fields<'_>) -> Option<String> {
    if !fields.has("version") {
        return Some(String::new());
    }
    let version = fields.text("version")?;
    if version.chars().count() <= VERSION_CHARS_MAX && !version.contains(char::is_control) {
        return Some(version.to_string());
    }
    reader.problem(
        version.span,
        format!(
            "`version` must have at most {VERSION_CHARS_MAX} characters, all of them printable"
        ),
    );
    None
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;
