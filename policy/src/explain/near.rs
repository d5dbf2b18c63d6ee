//! Routes that nearly matched a request.

use serde::Serialize;

use crate::routing::pattern::{self, Method, Segment};
use crate::{Decision, Description, Request, RouteInfo, is_management_path};

/// Near misses that are shown at most.
const NEAR_MAX: usize = 5;

/// A route that nearly matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// Its index in the description.
    pub route: usize,
    /// Its method.
    pub method: String,
    /// Its pattern.
    pub pattern: String,
    /// What keeps it from matching.
    pub why: Why,
    /// The path that it would match, the nearest to the request's.
    #[serde(skip)]
    pub(super) path: Option<String>,
}

/// What keeps a route from being a request's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It matches the path with another method.
    OtherMethod,
    /// It matches too, and another route is more specific.
    LessSpecific,
    /// A literal differs in case.
    OtherCase,
    /// One segment of the path is another than its literal.
    OtherSegment {
        /// The segment of the path.
        written: String,
        /// The literal of the route.
        expected: String,
    },
    /// It goes on where the path ends.
    PathTooShort,
    /// It ends before the path does.
    PathTooLong,
}

/// The routes that nearly matched, the nearest first.
pub(super) fn near_misses(
    description: &Description,
    decision: &Decision,
    request: &Request,
) -> Vec<NearMiss> {
    let matched = decision.rule.route.map(|index| index as usize);
    let path = request.path.strip_suffix('/').unwrap_or(&request.path);
    let written: Vec<&str> = path.split('/').skip(1).collect();
    let is_management = is_management_path(&request.path);
    let mut near: Vec<(usize, NearMiss)> = description
        .routes
        .iter()
        .enumerate()
        .filter(|(index, route)| Some(*index) != matched && route.is_management() == is_management)
        .filter_map(|(index, route)| {
            let (distance, why, path) = compare(route, &request.method, &written)?;
            let (method, pattern) = (route.method.clone(), route.pattern.clone());
            let near = NearMiss {
                route: index,
                method,
                pattern,
                why,
                path,
            };
            Some((distance, near))
        })
        .collect();
    // A typing error is no explanation where a route was found.
    if matched.is_some() {
        near.retain(|(_, near)| matches!(near.why, Why::OtherMethod | Why::LessSpecific));
    }
    near.sort_by_key(|(distance, _)| *distance);
    near.truncate(NEAR_MAX);
    near.into_iter().map(|(_, near)| near).collect()
}

/// How far a route is from a request, why, and the nearest path that it matches; nothing where it is far.
fn compare(
    route: &RouteInfo,
    method: &str,
    written: &[&str],
) -> Option<(usize, Why, Option<String>)> {
    let segments = pattern::parse(&route.pattern).ok()?;
    let (expected, has_tail) = match segments.split_last() {
        Some((Segment::Tail, rest)) => (rest, true),
        _ => (segments.as_slice(), false),
    };
    let is_method =
        route.method == "*" || Method::of_route(&route.method) == Some(Method::of_request(method));
    let pairs = || expected.iter().zip(written);
    let mut wrong = pairs()
        .enumerate()
        .filter_map(|(place, (expected, written))| match expected {
            Segment::Literal(literal) if literal != written => Some((place, *literal, *written)),
            _ => None,
        });
    let (first, second) = (wrong.next(), wrong.next());
    let fits = written.len() == expected.len() || (has_tail && written.len() > expected.len());
    match (first, second) {
        (None, _) if fits && is_method => Some((0, Why::LessSpecific, None)),
        (None, _) if fits => Some((1, Why::OtherMethod, Some(join(written)))),
        (None, _) if is_method => off_by_one(expected, written),
        (Some((place, literal, wrong)), None) if fits && is_method => {
            let mut path = written.to_vec();
            *path.get_mut(place)? = literal;
            if literal.eq_ignore_ascii_case(wrong) {
                return Some((1, Why::OtherCase, Some(join(&path))));
            }
            let is_like = crate::yaml::did_you_mean(wrong, [literal]).is_some();
            let alike = pairs().filter(|(e, w)| matches!(e, Segment::Literal(l) if l == *w));
            let (alike, literals) = (
                alike.count(),
                expected
                    .iter()
                    .filter(|e| matches!(e, Segment::Literal(_)))
                    .count(),
            );
            // Most of what stands in the route must be right, or the one wrong word must resemble.
            let distance = if is_like { 2 } else { 4 };
            (is_like || alike * 2 > literals).then(|| {
                let why = Why::OtherSegment {
                    written: wrong.to_owned(),
                    expected: literal.to_owned(),
                };
                (distance, why, Some(join(&path)))
            })
        }
        _ => None,
    }
}

/// A route that has one segment more or fewer than the path, and matches otherwise.
fn off_by_one(expected: &[Segment<'_>], written: &[&str]) -> Option<(usize, Why, Option<String>)> {
    if expected.len() == written.len() + 1 {
        let mut path = written.to_vec();
        let path = match expected.last()? {
            Segment::Literal(literal) => {
                path.push(literal);
                Some(join(&path))
            }
            _ => None,
        };
        return Some((3, Why::PathTooShort, path));
    }
    let (_, shorter) = written.split_last()?;
    (expected.len() == shorter.len() && !shorter.is_empty())
        .then(|| (3, Why::PathTooLong, Some(join(shorter))))
}

fn join(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}
