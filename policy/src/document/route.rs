//! One route.

use crate::condition::Condition;
use crate::description::{ClusterSource, ListShape, PermissionInfo, RouteInfo};
use crate::routing::pattern::{self, Method, Segment};
use crate::tables::RouteOptions;
use crate::yaml::{Fields, Node, Reader, Span, Text, did_you_mean};

use super::{Part, catalogue::check_known, header, when};

/// The name of the parameter that is a cluster.
const CLUSTER: &str = "cluster";
/// Bytes of the name of a query parameter at most.
const FIELD_BYTES_MAX: usize = 128;

/// What was read of a route.
pub(super) struct Route {
    pub(super) info: RouteInfo,
    pub(super) options: RouteOptions,
    pub(super) condition: Option<Condition>,
    /// The place of its `match`.
    pub(super) place: Span,
}

/// A route. Nothing when its `match` cannot be read; other mistakes leave a route
/// that takes part in the checks of all routes together.
pub(super) fn read(
    reader: &Reader,
    node: &Node,
    catalogue: Option<&[PermissionInfo]>,
    part: Part,
) -> Option<Route> {
    let known = [
        "match", "public", "requires", "when", "cluster", "lists", "operator", "sign_in",
    ];
    let fields = reader.fields(node, "a route", &known)?;
    let matched = fields
        .required_text("match")
        .map(|text| (text, read_match(reader, text, part)));
    let is_public = fields.boolean("public");
    let public = is_public.unwrap_or_default();
    let options = RouteOptions {
        operator: fields.boolean("operator").unwrap_or_default(),
        sign_in: fields.boolean("sign_in").unwrap_or_default(),
        management: part == Part::Management,
    };
    let requires = fields.text("requires");
    if let (Some(name), Some(catalogue)) = (requires, catalogue) {
        check_known(reader, name, catalogue);
    }
    check_guard(&fields, is_public, options);
    let condition = when::read(reader, &fields);
    let parts = matched.as_ref().and_then(|(_, parts)| *parts);
    let cluster = cluster(reader, &fields, parts);
    let (text, _) = matched?;
    let (method, pattern) = parts?;
    let info = RouteInfo {
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        public,
        requires: requires.map(|name| name.to_string()),
        when: condition.as_ref().map(|condition| condition.text.clone()),
        cluster: if public {
            ClusterSource::None
        } else {
            cluster.unwrap_or(ClusterSource::Spans)
        },
    };
    Some(Route {
        info,
        options,
        condition,
        place: text.span,
    })
}

/// Whether the route says who passes, and only one thing about it.
fn check_guard(fields: &Fields<'_>, public: Option<bool>, options: RouteOptions) {
    if public == Some(true) {
        for key in ["requires", "cluster", "lists", "operator", "sign_in"] {
            if fields.has(key) {
                fields
                    .problem(key, format!("a public route cannot have `{key}`"))
                    .help("a public route is open to everyone, with or without a credential");
            }
        }
    } else if !fields.has("requires") && !options.operator && !options.management {
        if public == Some(false) {
            fields
                .problem("public", "a route that is not public requires a permission")
                .help("add `requires`");
        } else if !fields.has("public") {
            fields
                .problem("match", "the route says nothing about who may call it")
                .help("add `requires` with a permission, or `public: true`");
        }
    }
}

/// Method and pattern of a `match`.
fn read_match<'n>(reader: &Reader, text: Text<'n>, part: Part) -> Option<(&'n str, &'n str)> {
    let Some((method, pattern)) = text.text.split_once(' ') else {
        reader
            .problem(text.span, format!("`{text}` is not a method and a pattern"))
            .help("such as `GET /v1/clusters/{cluster}/**`, or `*` for every method");
        return None;
    };
    let place = |from: usize, to: usize| {
        // Within quotes the text stands one byte further; with escapes in it there is no telling.
        let shift = reader.source().slice(text.span).find(text.text);
        shift.map_or(text.span, |shift| text.span.part(shift + from, shift + to))
    };
    if Method::of_route(method).is_none() {
        let slot = reader.problem(
            place(0, method.len()),
            format!("`{method}` is not a method"),
        );
        if method == "HEAD" {
            slot.help("HEAD is decided as GET: write `GET`");
        } else {
            match did_you_mean(
                method,
                Method::NAMES.into_iter().filter(|name| *name != "*"),
            ) {
                Some(near) => slot.help(format!("did you mean `{near}`?")),
                None => slot.help(
                    "it may be GET, POST, PUT, PATCH, DELETE, OPTIONS, or `*` for every method",
                ),
            }
        }
    }
    let start = method.len() + 1;
    match pattern::parse(pattern) {
        Ok(segments) => {
            if part == Part::Document && segments.first() == Some(&Segment::Literal("-")) {
                reader
                    .problem(
                        place(start, start + pattern.len()),
                        format!("`{pattern}` is reserved"),
                    )
                    .help("everything under `/-/` is the gate's own");
            }
            Some((method, pattern)).filter(|_| Method::of_route(method).is_some())
        }
        Err(bad) => {
            reader
                .problem(place(start + bad.at.start, start + bad.at.end), bad.message)
                .help(bad.help);
            None
        }
    }
}

/// The clusters that the route touches.
fn cluster(
    reader: &Reader,
    fields: &Fields<'_>,
    parts: Option<(&str, &str)>,
) -> Option<ClusterSource> {
    let parameter = parts.and_then(|(_, pattern)| {
        let segments = pattern::parse(pattern).ok()?;
        segments
            .iter()
            .position(|segment| *segment == Segment::Parameter(CLUSTER))
    });
    if parameter.is_some() {
        for key in ["cluster", "lists"] {
            if fields.has(key) {
                fields
                    .problem(
                        key,
                        format!("a route with `{{cluster}}` in its path cannot have `{key}`"),
                    )
                    .help("the path names the one cluster that the route touches");
            }
        }
    } else if fields.has("cluster") && fields.has("lists") {
        fields
            .problem("cluster", "a route with `lists` cannot have `cluster`")
            .help("each item of the list names its own cluster");
    }
    if fields.has("lists") && parts.is_some_and(|(method, _)| method != "GET") {
        fields
            .problem("lists", "only a GET can have `lists`")
            .help("lists are filtered in replies to GET");
    }
    let listed = fields.fields("lists", "`lists`", &["items", "cluster", "keep"]);
    let listed = listed.and_then(|lists| list_shape(reader, &lists));
    let named = fields
        .get("cluster")
        .and_then(|node| cluster_field(reader, node));
    match parameter {
        Some(index) => Some(ClusterSource::Path(u32::try_from(index).ok()?)),
        None => listed.map(ClusterSource::Lists).or(named),
    }
}

fn cluster_field(reader: &Reader, node: &Node) -> Option<ClusterSource> {
    if node.as_text().is_some() {
        let choices = [
            ("none", ClusterSource::None),
            ("upstream", ClusterSource::Upstream),
        ];
        return reader.choice(node, "`cluster`", &choices);
    }
    let fields = reader.fields(node, "`cluster`", &["query", "header"])?;
    let query = fields
        .text("query")
        .filter(|name| check_query(reader, *name));
    let header = fields
        .text("header")
        .and_then(|name| check_header(reader, name));
    match (fields.has("query"), fields.has("header")) {
        (true, true) => {
            fields
                .problem(
                    "header",
                    "`cluster` is in a query parameter or in a header, not in both",
                )
                .help("keep one of them");
            None
        }
        (false, false) => {
            reader
                .problem(node.span, "`cluster` does not say where the cluster is")
                .help("it may be `{ query: name }`, `{ header: name }`, `none` or `upstream`");
            None
        }
        (true, false) => Some(ClusterSource::Query(query?.to_string())),
        (false, true) => Some(ClusterSource::Header(header?)),
    }
}

fn check_query(reader: &Reader, name: Text<'_>) -> bool {
    let is_fine =
        !name.is_empty() && name.len() <= FIELD_BYTES_MAX && !name.contains(char::is_control);
    if !is_fine {
        reader.problem(
            name.span,
            format!("`{name}` cannot be a query parameter's name"),
        );
    } else if name.text == "access_token" {
        reader
            .problem(name.span, format!("a policy cannot read `{name}`"))
            .help("it carries a credential (RFC 6750)");
        return false;
    }
    is_fine
}

fn check_header(reader: &Reader, name: Text<'_>) -> Option<String> {
    match header::check(name.text) {
        Ok(name) => Some(name),
        Err((message, help)) => {
            reader.problem(name.span, message).help(help);
            None
        }
    }
}

fn list_shape(reader: &Reader, lists: &Fields<'_>) -> Option<ListShape> {
    let pointer = |key: &str| {
        lists
            .required_text(key)
            .filter(|text| check_pointer(reader, *text))
    };
    let items = pointer("items");
    let cluster = pointer("cluster");
    let keep = lists.texts("keep").unwrap_or_default();
    let (items, cluster) = (items?, cluster?);
    if items.is_empty() && lists.has("keep") {
        lists
            .problem("keep", "there is nothing beside the items to keep")
            .help("the reply itself is the list");
    }
    let own = items.rsplit('/').next().unwrap_or_default();
    for name in keep
        .iter()
        .filter(|name| !items.is_empty() && name.text == own)
    {
        reader.problem(name.span, format!("`{name}` is the list itself"));
    }
    Some(ListShape {
        items: items.to_string(),
        cluster: cluster.to_string(),
        keep: keep.iter().map(ToString::to_string).collect(),
    })
}

/// JSON Pointers are RFC 6901: empty, or `/` before each token, with `~0` and `~1` as the only escapes.
fn check_pointer(reader: &Reader, text: Text<'_>) -> bool {
    let starts = text.is_empty() || text.starts_with('/');
    let mut after_tildes = text.split('~').skip(1);
    if starts && after_tildes.all(|rest| rest.starts_with(['0', '1'])) {
        return true;
    }
    let slot = reader.problem(text.span, format!("`{text}` is not a JSON Pointer"));
    if starts {
        slot.help("write `~` as `~0` and `/` within a name as `~1`");
    } else {
        slot.help(format!("did you mean `/{}`?", text.replace('.', "/")));
    }
    false
}
