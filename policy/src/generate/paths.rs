//! Requests: a route's pattern made concrete, and what is next to it.

use std::collections::BTreeSet;

use crate::description::{Description, RouteInfo};
use crate::facts::Request;
use crate::routing::pattern::{self, Method, Segment};
use crate::routing::{self, Found, Routes, SEGMENTS_MAX, Segments, entry};

/// Methods of requests; the last is one that only `*` matches. HEAD is not among them: it arrives as GET.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];

/// A policy whose routes can be looked up.
pub(super) struct Side<'d> {
    description: &'d Description,
    /// Nothing where a component describes routes that do not fit together.
    routes: Option<Routes>,
}

impl<'d> Side<'d> {
    pub(super) fn new(description: &'d Description) -> Self {
        let routes = description.routes.iter();
        let routes = routes.map(|route| (route.method.as_str(), route.pattern.as_str()));
        Self {
            description,
            routes: routing::build(routes).ok(),
        }
    }

    /// What may be on a key.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &'d String> {
        let permissions = self.description.permissions.iter();
        permissions.filter(|one| one.scope).map(|one| &one.name)
    }

    /// The route of a request, as compiled policies find it.
    pub(super) fn route_of(&self, method: &str, path: &str) -> Option<&'d RouteInfo> {
        let mut entries = Vec::new();
        let mut start = 1;
        for segment in path.split('/').skip(1).filter(|text| !text.is_empty()) {
            let end = start + segment.len();
            let (from, to) = (u16::try_from(start).ok()?, u16::try_from(end).ok()?);
            entries.extend_from_slice(&entry(from, to, segment.as_bytes()));
            start = end + 1;
        }
        let segments = Segments::new(&entries, path.as_bytes());
        let met = self
            .routes
            .as_ref()?
            .find(&segments, Method::of_request(method), false);
        match met.exact {
            Found::Route(index) => self.description.routes.get(usize::from(index)),
            _ => None,
        }
    }
}

/// Which cluster a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Own,
    Other,
    /// One that the organization does not have.
    Unregistered,
    /// What can be no cluster's id.
    NotAnId,
    Missing,
    Repeated,
    /// Only in the first of several parameters and headers: each policy reads its own.
    InFirst,
    /// Only in the last of them.
    InLast,
}

impl Named {
    pub(super) const IN_PATH: [Self; 4] =
        [Self::Own, Self::Other, Self::Unregistered, Self::NotAnId];
    pub(super) const IN_FIELD: [Self; 6] = [
        Self::Own,
        Self::Other,
        Self::Unregistered,
        Self::NotAnId,
        Self::Missing,
        Self::Repeated,
    ];
    pub(super) const IN_FIELDS: [Self; 8] = [
        Self::Own,
        Self::InFirst,
        Self::InLast,
        Self::Other,
        Self::Unregistered,
        Self::NotAnId,
        Self::Missing,
        Self::Repeated,
    ];
    pub(super) const NOWHERE: [Self; 1] = [Self::Own];
}

/// Names that are no literal of the routes, so that none of them matches by chance.
pub(super) struct Names {
    /// The cluster that requests name.
    pub(super) own: String,
    pub(super) other: String,
    pub(super) third: String,
    unregistered: String,
    /// No literal ends with it.
    suffix: String,
}

impl Names {
    pub(super) fn besides(routes: &[&RouteInfo]) -> Self {
        let literals: BTreeSet<&str> = routes
            .iter()
            .flat_map(|route| route.pattern.split('/'))
            .collect();
        let mut number = 1_u64;
        let mut suffix = "-1".to_owned();
        while literals.iter().any(|literal| literal.ends_with(&suffix)) {
            number += 1;
            suffix = format!("-{number}");
        }
        let free = |name: &str| {
            if literals.contains(name) {
                format!("{name}{suffix}")
            } else {
                name.to_owned()
            }
        };
        Self {
            own: free("prod"),
            other: free("dev"),
            third: free("staging"),
            unregistered: free("nowhere"),
            suffix,
        }
    }

    pub(super) fn registered(&self) -> BTreeSet<String> {
        [&self.own, &self.other, &self.third]
            .map(Clone::clone)
            .into()
    }

    pub(super) fn in_path(&self, named: Named) -> &str {
        match named {
            Named::Own | Named::Missing | Named::Repeated | Named::InFirst | Named::InLast => {
                &self.own
            }
            Named::Other => &self.other,
            Named::Unregistered => &self.unregistered,
            Named::NotAnId => "~",
        }
    }

    /// The values of a parameter or header, one for each time that it is there. It is the one at `place` of `count`.
    pub(super) fn in_field(&self, named: Named, place: usize, count: usize) -> Vec<&str> {
        match named {
            Named::Missing => Vec::new(),
            Named::InFirst if place > 0 => Vec::new(),
            Named::InLast if place + 1 < count => Vec::new(),
            Named::Repeated => vec![&self.own, &self.other],
            named => vec![self.in_path(named)],
        }
    }
}

/// The methods of requests that a route can be for, the main one first.
pub(super) fn methods(route: &RouteInfo) -> &[&'static str] {
    match METHODS.iter().position(|method| *method == route.method) {
        Some(place) => METHODS.get(place..=place).unwrap_or_default(),
        None => &METHODS,
    }
}

/// How many segments stand for `/**`, the main number first.
pub(super) fn tails(route: &RouteInfo) -> &'static [usize] {
    if route.pattern.ends_with("/**") {
        &[1, 0, 2]
    } else {
        &[0]
    }
}

/// The segments of a request to a route: nothing at the places where a cluster's id goes.
pub(super) fn pieces(
    route: &RouteInfo,
    clusters: &[usize],
    tail: usize,
    names: &Names,
) -> Vec<Option<String>> {
    let suffix = &names.suffix;
    let mut pieces = Vec::new();
    for (place, segment) in pattern::parse(&route.pattern)
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        match segment {
            Segment::Literal(text) => pieces.push(Some(text.to_owned())),
            Segment::Parameter(_) if clusters.contains(&place) => pieces.push(None),
            Segment::Parameter(name) => pieces.push(Some(format!("{name}{suffix}"))),
            Segment::Tail => {
                let below = ["below", "further"].into_iter().take(tail);
                pieces.extend(below.map(|word| Some(format!("{word}{suffix}"))));
            }
        }
    }
    // A catch-all in place of what the other policy has a parameter for: the cluster is below it.
    for place in clusters {
        if let Some(piece) = pieces.get_mut(*place)
            && piece.as_ref().is_some_and(|text| text.ends_with(suffix))
        {
            *piece = None;
        }
    }
    pieces
}

/// A path of a route, no cluster in it.
pub(super) fn concrete(route: &RouteInfo, tail: usize, names: &Names) -> String {
    let pieces = pieces(route, &[], tail, names);
    let pieces = pieces.iter().filter_map(Option::as_deref);
    let path: String = pieces.flat_map(|piece| ["/", piece]).collect();
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

/// Requests that are almost this one: by another method, with a segment more or less, in another case, with a slash
/// at the end.
pub(super) fn neighbours(route: &RouteInfo, request: &Request, names: &Names) -> Vec<Request> {
    let path = &request.path;
    let mut paths = vec![format!("{path}/")];
    if path.split('/').count() <= SEGMENTS_MAX {
        paths.push(format!(
            "{}/more{}",
            path.trim_end_matches('/'),
            names.suffix
        ));
    }
    paths.extend(
        path.rsplit_once('/')
            .map(|(less, _)| less.to_owned())
            .filter(|less| !less.is_empty()),
    );
    for other in [path.to_ascii_uppercase(), path.to_ascii_lowercase()] {
        if other != *path {
            paths.push(other);
        }
    }
    let with_path = paths.into_iter().map(|path| Request {
        path,
        ..request.clone()
    });
    let others = METHODS
        .into_iter()
        .filter(|method| route.method != "*" && route.method != *method);
    let with_method = others.map(|method| Request {
        method: method.to_owned(),
        ..request.clone()
    });
    with_path.chain(with_method).collect()
}
