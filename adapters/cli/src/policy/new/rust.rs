//! A project for cargo.

use scopegate_policy::{ClusterSource, Rules};

use super::{File, WIT, as_is, each, routes};

pub(super) fn files(rules: &Rules) -> Vec<File> {
    vec![
        as_is(
            "Cargo.toml",
            include_str!("../../../templates/rust/Cargo.toml.template"),
        ),
        as_is(
            "README.md",
            include_str!("../../../templates/rust/README.md"),
        ),
        as_is(".gitignore", "/target\n/policy.wasm\n"),
        as_is("wit/policy.wit", WIT),
        as_is(
            "src/lib.rs",
            include_str!("../../../templates/rust/src/lib.rs"),
        ),
        as_is(
            "src/routes.rs",
            include_str!("../../../templates/rust/src/routes.rs"),
        ),
        as_is(
            "src/rules.rs",
            include_str!("../../../templates/rust/src/rules.rs"),
        ),
        ("src/tables.rs", tables(rules).into_bytes()),
    ]
}

fn tables(rules: &Rules) -> String {
    let description = &rules.description;
    let head = include_str!("../../../templates/rust/src/tables.rs");
    let permissions = each(&description.permissions, |permission| {
        format!(
            "    Permission {{ name: {:?}, category: {:?}, unlocks: {:?}, scope: {} }},\n",
            permission.name, permission.category, permission.unlocks, permission.scope
        )
    });
    let roles = each(&description.roles, |role| {
        format!(
            "    Role {{ name: {:?}, permissions: &{:?} }},\n",
            role.name, role.permissions
        )
    });
    let routes = each(&routes(rules), |(route, options)| {
        format!(
            "    Route {{ method: {:?}, pattern: {:?}, public: {}, requires: {:?}, operator: {}, sign_in: {}, cluster: {} }},\n",
            route.method,
            route.pattern,
            route.public,
            route.requires,
            options.operator,
            options.sign_in,
            cluster(&route.cluster)
        )
    });
    format!(
        "{head}pub const NAME: &str = {:?};\npub const VERSION: &str = {:?};\n\
        /// Whether keys may only read, the management API aside.\npub const KEYS_READ_ONLY: bool = {};\n\n\
        pub const PERMISSIONS: &[Permission] = &[\n{permissions}];\n\n\
        pub const ROLES: &[Role] = &[\n{roles}];\n\n\
        pub const ROUTES: &[Route] = &[\n{routes}];\n",
        description.name, description.version, rules.keys_read_only
    )
}

fn cluster(source: &ClusterSource) -> String {
    match source {
        ClusterSource::Spans => "Cluster::Spans".to_owned(),
        ClusterSource::Path(segment) => format!("Cluster::Path({segment})"),
        ClusterSource::Query(name) => format!("Cluster::Query({name:?})"),
        ClusterSource::Header(name) => format!("Cluster::Header({name:?})"),
        ClusterSource::None => "Cluster::None".to_owned(),
        ClusterSource::Upstream => "Cluster::Upstream".to_owned(),
        ClusterSource::Lists(shape) => format!(
            "Cluster::Lists {{ items: {:?}, cluster: {:?}, keep: &{:?} }}",
            shape.items, shape.cluster, shape.keep
        ),
    }
}
