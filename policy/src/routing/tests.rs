//! The tree against a plain search through all routes, and its bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::pattern::{Method, Segment, parse};
use super::{Found, Met, PROBES_MAX, Routes, Segments, build, first_place};
use crate::packed::{RequestRef, pack_request, request_segments};

type Route = (String, String);

fn build_all(routes: &[Route]) -> Result<Routes, &'static str> {
    build(
        routes
            .iter()
            .map(|(method, pattern)| (method.as_str(), pattern.as_str())),
    )
}

fn find(routes: &Routes, method: &str, path: &str) -> Met {
    let mut bytes = Vec::new();
    pack_request(
        &mut bytes,
        &RequestRef {
            method,
            path,
            query: &[],
            headers: &[],
            now: 0,
            address: None,
        },
    );
    let segments: Segments<'_> = request_segments(&bytes).unwrap();
    let has_upper = path.bytes().any(|b| b.is_ascii_uppercase());
    routes.find(&segments, Method::of_request(method), has_upper)
}

/// How a pattern meets a path, the more specific the smaller; nothing when it does not.
fn ranks(pattern: &str, path: &[&str], fold: bool) -> Option<Vec<u8>> {
    let mut ranks = Vec::new();
    let mut path = path.iter();
    for segment in parse(pattern).unwrap() {
        match segment {
            Segment::Tail => {
                ranks.push(3);
                return Some(ranks);
            }
            Segment::Parameter(_) => {
                path.next()?;
                ranks.push(2);
            }
            Segment::Literal(text) => {
                let found = path.next()?;
                let is_same = if fold {
                    text.eq_ignore_ascii_case(found)
                } else {
                    text == *found
                };
                ranks.push(is_same.then_some(1)?);
            }
        }
    }
    ranks.push(0);
    path.next().is_none().then_some(ranks)
}

/// The most specific of all routes, by looking at every one.
fn search(routes: &[Route], method: &str, path: &str, fold: bool) -> Option<Route> {
    let path: Vec<&str> = path
        .split('/')
        .skip(1)
        .filter(|segment| !segment.is_empty())
        .collect();
    let candidates = routes.iter().filter(|(m, _)| m == method || m == "*");
    let ranked = candidates.filter_map(|route| {
        let ranks = ranks(&route.1, &path, fold)?;
        Some(((ranks, route.0 == "*"), route))
    });
    ranked
        .min_by_key(|(rank, _)| rank.clone())
        .map(|(_, route)| route.clone())
}

fn any_routes() -> impl Strategy<Value = Vec<Route>> {
    let segment = prop::sample::select(vec![
        "a",
        "b",
        "Cc",
        "{p}",
        "a-literal-longer-than-twenty-bytes",
    ]);
    let method = prop::sample::select(vec!["GET", "POST", "*"]);
    let pattern =
        (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, tail)| {
            let mut pattern = String::new();
            for (index, segment) in segments.iter().enumerate() {
                pattern += &format!("/{}", segment.replace("{p}", &format!("{{p{index}}}")));
            }
            if tail {
                pattern + "/**"
            } else if pattern.is_empty() {
                "/".to_owned()
            } else {
                pattern
            }
        });
    let routes = prop::collection::vec((method.prop_map(str::to_owned), pattern), 0..20);
    routes.prop_map(|mut routes| {
        routes.sort();
        routes.dedup();
        routes
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a",
        "b",
        "A",
        "Cc",
        "cc",
        "z",
        "a-literal-longer-than-twenty-bytes",
    ]);
    prop::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_most_specific_route_wins_whatever_their_order(
        routes in any_routes(),
        shuffled in any::<prop::sample::Index>(),
        method in prop::sample::select(vec!["GET", "POST", "DELETE"]),
        path in any_path(),
    ) {
        let mut other = routes.clone();
        if !other.is_empty() {
            let middle = shuffled.index(other.len());
            other.rotate_left(middle);
            other.reverse();
        }
        let expected = search(&routes, method, &path, false);
        let folded = search(&routes, method, &path, true);
        for routes in [&routes, &other] {
            let met = find(&build_all(routes).unwrap(), method, &path);
            let found = match met.exact {
                Found::Route(number) => Some(routes[usize::from(number)].clone()),
                Found::Nothing => None,
                Found::TooMany => panic!("too many"),
            };
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(met.ambiguous, folded != expected, "{:?}", folded);
        }
    }
}

#[test]
fn ten_thousand_routes_are_found_in_as_few_steps_as_ten() {
    let many: Vec<Route> = (0..10_000)
        .map(|n| {
            (
                "GET".to_owned(),
                format!("/api/v1/resource-{n}/{{cluster}}/items/{n}"),
            )
        })
        .collect();
    let routes = build_all(&many).unwrap();
    let tree = &routes.exact;
    let places = tree.edges.len();
    let mut lengths = BTreeMap::<usize, usize>::new();
    for (place, edge) in tree
        .edges
        .iter()
        .enumerate()
        .filter(|(_, edge)| edge.parent != super::NONE)
    {
        let first = first_place(edge.parent, edge.hash, places);
        *lengths
            .entry((place + places - first) % places)
            .or_default() += 1;
    }
    let total: usize = lengths.values().sum();
    let steps: usize = lengths.iter().map(|(length, count)| length * count).sum();
    assert_eq!(total, 30_002);
    assert!(
        steps < total,
        "on average less than one step beyond the first place: {steps} of {total}"
    );
    assert!(
        lengths.keys().all(|length| *length < PROBES_MAX / 4),
        "{lengths:?}"
    );
    for (number, (method, pattern)) in many.iter().enumerate() {
        let met = find(&routes, method, &pattern.replace("{cluster}", "prod"));
        assert_eq!(met.exact, Found::Route(number as u16));
    }
}

/// Every mix of a literal and a parameter at each of 13 levels, and a path that follows each of them in vain.
#[test]
fn a_search_among_routes_that_overlap_without_end_is_given_up() {
    let routes: Vec<Route> = (0..1 << 13)
        .map(|mix| {
            let level = |bit: u32| {
                if mix >> bit & 1 == 1 {
                    "/a".to_owned()
                } else {
                    format!("/{{p{bit}}}")
                }
            };
            (
                "GET".to_owned(),
                (0..13).map(level).collect::<String>() + "/end",
            )
        })
        .collect();
    let routes = build_all(&routes).unwrap();
    assert_eq!(
        find(&routes, "GET", &format!("{}/other", "/a".repeat(13))).exact,
        Found::TooMany
    );
    assert_eq!(
        find(&routes, "GET", &format!("{}/end", "/b".repeat(13))).exact,
        Found::Route(0)
    );
    let shorter = find(&routes, "GET", &format!("{}/other", "/a".repeat(5))).exact;
    assert_eq!(shorter, Found::Nothing);
}

#[test]
fn texts_of_every_length_are_compared_whole() {
    for len in 0..40 {
        let text = vec![b'x'; len];
        assert!(super::is_same(&text, &text.clone()));
        assert!(!super::is_same(&text, &vec![b'x'; len + 1]));
        for place in 0..len {
            let mut other = text.clone();
            other[place] = b'y';
            assert!(!super::is_same(&text, &other), "{place} of {len}");
        }
    }
}

#[test]
fn routes_that_match_the_same_requests_are_refused() {
    let refused = |routes: &[(&str, &str)]| {
        let routes: Vec<Route> = routes
            .iter()
            .map(|(m, p)| (m.to_string(), p.to_string()))
            .collect();
        build_all(&routes).is_err()
    };
    assert!(refused(&[("GET", "/a/{b}"), ("GET", "/a/{c}")]));
    assert!(refused(&[("GET", "/A"), ("GET", "/a")]));
    assert!(refused(&[("HEAD", "/a")]));
    assert!(refused(&[("GET", "a")]));
    assert!(!refused(&[
        ("GET", "/a"),
        ("*", "/a"),
        ("GET", "/a/**"),
        ("GET", "/{a}")
    ]));
}
