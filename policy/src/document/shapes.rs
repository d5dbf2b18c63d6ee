//! What routes are to each other: the same, different only in case, or hidden behind others.

use std::collections::BTreeMap;

use crate::description::RouteInfo;
use crate::routing::pattern::{self, Method, Segment};
use crate::yaml::{Reader, Span};

/// How a parameter is written in a shape, whatever its name.
const PARAMETER: &str = "/{}";
const TAIL: &str = "/**";

/// The shapes of all routes: patterns in which parameters have no names.
#[derive(Default)]
pub(super) struct Shapes {
    /// By shape and method, the place and pattern of the first route.
    routes: BTreeMap<(String, Method), (Span, String)>,
    /// By prefix in lower case, as the first route spells it, and the place of that route.
    spellings: BTreeMap<String, (String, Span)>,
}

impl Shapes {
    /// Takes a route, reporting when it is there already or differs from one only in case.
    pub(super) fn add(&mut self, reader: &Reader, route: &RouteInfo, place: Span) {
        let (Some(method), Ok(segments)) = (
            Method::of_route(&route.method),
            pattern::parse(&route.pattern),
        ) else {
            return;
        };
        let line_of = |span: Span| reader.source().line_column(span.start).0;
        let mut shape = String::new();
        for segment in &segments {
            match segment {
                Segment::Literal(text) => shape = format!("{shape}/{text}"),
                Segment::Parameter(_) => shape.push_str(PARAMETER),
                Segment::Tail => shape.push_str(TAIL),
            }
            if let Segment::Literal(text) = segment {
                let first = self.spellings.entry(shape.to_ascii_lowercase());
                let (spelling, first) = first.or_insert_with(|| (shape.clone(), place));
                if *spelling != shape {
                    reader
                        .problem(place, format!("`{text}` differs only in case from line {}", line_of(*first)))
                        .help("a path that matches only when case is ignored is refused: spell both alike");
                    return;
                }
            }
        }
        match self.routes.get(&(shape.clone(), method)) {
            Some((first, pattern)) => {
                let line = line_of(*first);
                let slot = reader.problem(
                    place,
                    format!("the route on line {line} matches the same requests"),
                );
                if *pattern == route.pattern {
                    slot.help("remove one of the two");
                } else {
                    slot.help(
                        "names of parameters do not tell routes apart: remove one of the two",
                    );
                }
            }
            None => {
                self.routes
                    .insert((shape, method), (place, route.pattern.clone()));
            }
        }
    }

    /// Reports the routes that more specific ones leave nothing to. Only a tail can be hidden so: by a route that
    /// ends where it begins, together with routes for everything longer.
    pub(super) fn check_reachable(&self, reader: &Reader) {
        for ((shape, method), (place, _)) in &self.routes {
            let Some(base) = shape.strip_suffix(TAIL) else {
                continue;
            };
            let is_hidden = |method: Method| {
                self.has(base, method) && self.covers(format!("{base}{PARAMETER}"), method)
            };
            let mut methods = (0..).map_while(Method::from_code);
            let hidden = match method {
                Method::Any => methods.all(|m| {
                    let has_exact =
                        m != Method::Any && self.routes.contains_key(&(shape.clone(), m));
                    has_exact || is_hidden(m)
                }),
                method => is_hidden(*method),
            };
            if hidden {
                reader
                    .problem(*place, "no request reaches this route")
                    .help("more specific routes match every request that it matches");
            }
        }
    }

    fn has(&self, shape: &str, method: Method) -> bool {
        let has = |method| self.routes.contains_key(&(shape.to_owned(), method));
        has(method) || has(Method::Any)
    }

    /// Whether every path from this shape on has a route.
    fn covers(&self, mut shape: String, method: Method) -> bool {
        loop {
            if self.has(&format!("{shape}{TAIL}"), method) {
                return true;
            }
            if !self.has(&shape, method) {
                return false;
            }
            shape.push_str(PARAMETER);
        }
    }
}
