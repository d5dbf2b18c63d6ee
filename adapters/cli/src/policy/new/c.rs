//! A project for make and clang.

use anyhow::Result;
use scopegate_policy::{ClusterSource, Rules};
use wit_bindgen_core::{Files, wit_parser::Resolve};

use super::{File, WIT, as_is, each, routes};

pub(super) fn files(rules: &Rules) -> Result<Vec<File>> {
    let mut files = vec![
        as_is("Makefile", include_str!("../../../templates/c/Makefile")),
        as_is("README.md", include_str!("../../../templates/c/README.md")),
        as_is(".gitignore", "/core.wasm\n/policy.wasm\n"),
        as_is("policy.c", include_str!("../../../templates/c/policy.c")),
        as_is("routes.c", include_str!("../../../templates/c/routes.c")),
        as_is("rules.c", include_str!("../../../templates/c/rules.c")),
        as_is("names.h", include_str!("../../../templates/c/names.h")),
        as_is("routes.h", include_str!("../../../templates/c/routes.h")),
        ("tables.h", tables(rules).into_bytes()),
    ];
    files.extend(bindings()?);
    Ok(files)
}

/// What clang compiles beside the policy, as `wit-bindgen c` makes it.
fn bindings() -> Result<[File; 3]> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", WIT)?;
    let world = resolve.select_world(&[package], Some("policy"))?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files)?;
    let named = |name: &str| {
        let mut found = files.iter().filter(|(file, _)| *file == name);
        let content = found.next().map(|(_, content)| content.to_vec());
        content.ok_or_else(|| anyhow::anyhow!("the bindings have no `{name}`"))
    };
    Ok([
        ("bindings/policy.h", named("policy.h")?),
        ("bindings/policy.c", named("policy.c")?),
        (
            "bindings/policy_component_type.o",
            named("policy_component_type.o")?,
        ),
    ])
}

fn tables(rules: &Rules) -> String {
    let description = &rules.description;
    let head = include_str!("../../../templates/c/tables.h");
    let permissions = each(&description.permissions, |permission| {
        format!(
            "    {{{}, {}, {}, {}}},\n",
            text(&permission.name),
            text(&permission.category),
            text(&permission.unlocks),
            permission.scope
        )
    });
    let roles = each(&description.roles, |role| {
        format!(
            "    {{{}, {}}},\n",
            text(&role.name),
            list(&role.permissions)
        )
    });
    let routes = each(&routes(rules), |(route, options)| {
        let requires = route.requires.as_deref();
        format!(
            "    {{{}, {}, {}, {}, {}, {}, {}}},\n",
            text(&route.method),
            text(&route.pattern),
            route.public,
            requires.map_or_else(|| "NULL".to_owned(), text),
            options.operator,
            options.sign_in,
            cluster(&route.cluster)
        )
    });
    let counted = |what: &str, name: &str, items: &str| {
        format!(
            "static const {what} {name}[] = {{\n{items}}};\n#define {name}_COUNT (sizeof {name} / sizeof *{name})\n"
        )
    };
    format!(
        "{head}#define POLICY_NAME {}\n#define POLICY_VERSION {}\n\
        // Whether keys may only read, the management API aside.\n#define KEYS_READ_ONLY {}\n\n{}\n{}\n{}",
        text(&description.name),
        text(&description.version),
        rules.keys_read_only,
        counted("permission_t", "PERMISSIONS", &permissions),
        counted("role_t", "ROLES", &roles),
        counted("route_t", "ROUTES", &routes),
    )
}

fn cluster(source: &ClusterSource) -> String {
    match source {
        ClusterSource::Spans => "{.kind = CLUSTER_SPANS}".to_owned(),
        ClusterSource::Path(segment) => format!("{{.kind = CLUSTER_PATH, .segment = {segment}}}"),
        ClusterSource::Query(name) => format!("{{.kind = CLUSTER_QUERY, .name = {}}}", text(name)),
        ClusterSource::Header(name) => {
            format!("{{.kind = CLUSTER_HEADER, .name = {}}}", text(name))
        }
        ClusterSource::None => "{.kind = CLUSTER_NONE}".to_owned(),
        ClusterSource::Upstream => "{.kind = CLUSTER_UPSTREAM}".to_owned(),
        ClusterSource::Lists(shape) => format!(
            "{{CLUSTER_LISTS, 0, {}, {}, {}}}",
            text(&shape.cluster),
            text(&shape.items),
            list(&shape.keep)
        ),
    }
}

/// A pointer and a count.
fn list(texts: &[String]) -> String {
    if texts.is_empty() {
        return "NULL, 0".to_owned();
    }
    let texts: Vec<String> = texts.iter().map(|one| text(one)).collect();
    format!("LIST({})", texts.join(", "))
}

/// A string literal. What is not plain ASCII is written in octal, which ends after three digits; so is `?`, for trigraphs.
fn text(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            b' '..=b'~' if byte != b'?' => literal.push(char::from(byte)),
            _ => literal.push_str(&format!("\\{byte:03o}")),
        }
    }
    literal.push('"');
    literal
}
