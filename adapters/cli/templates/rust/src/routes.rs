//! The route of a request: the most specific one. Literals before `{name}` before `**`, from left to right; then an exact
//! method before `*`.

use crate::tables::ROUTES;

/// Deeper paths have no route.
const SEGMENTS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An index into `ROUTES`.
    Route(usize),
    Nothing,
    /// Another route, or one at all, only when case is ignored: refused, because upstreams differ about it.
    Ambiguous,
}

pub fn find(method: &str, path: &str) -> Found {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.len() > SEGMENTS_MAX {
        return Found::Nothing;
    }
    let exact = best(method, &segments, |literal, segment| literal == segment);
    let folded = best(method, &segments, str::eq_ignore_ascii_case);
    match exact {
        _ if exact != folded => Found::Ambiguous,
        Some(index) => Found::Route(index),
        None => Found::Nothing,
    }
}

fn best(method: &str, path: &[&str], is_same: impl Fn(&str, &str) -> bool) -> Option<usize> {
    let mut best: Option<(Vec<u8>, usize)> = None;
    for (index, route) in ROUTES.iter().enumerate() {
        if route.method != "*" && route.method != method {
            continue;
        }
        let Some(mut rank) = matched(route.pattern, path, &is_same) else {
            continue;
        };
        rank.push(u8::from(route.method == "*"));
        if best.as_ref().is_none_or(|(other, _)| rank < *other) {
            best = Some((rank, index));
        }
    }
    best.map(|(_, index)| index)
}

/// How specific the match is, segment by segment, the most specific first in order; nothing if it is none.
fn matched(pattern: &str, path: &[&str], is_same: impl Fn(&str, &str) -> bool) -> Option<Vec<u8>> {
    let mut rank = Vec::new();
    let mut rest = path.iter();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if part == "**" {
            rank.push(3);
            return Some(rank);
        }
        let segment = rest.next()?;
        if part.starts_with('{') {
            rank.push(2);
        } else if is_same(part, segment) {
            rank.push(1);
        } else {
            return None;
        }
    }
    rest.next().is_none().then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_match_is_first() {
        let rank = |pattern: &str| matched(pattern, &["a", "b"], |a, b| a == b);
        assert!(rank("/a/b") < rank("/a/{name}"));
        assert!(rank("/a/{name}") < rank("/a/**"));
        assert_eq!(rank("/a"), None);
        assert_eq!(rank("/a/b/c"), None);
        assert!(rank("/a/b/**").is_some());
    }

    #[test]
    fn every_route_is_found_under_its_own_pattern() {
        for route in ROUTES {
            let path = route.pattern.replace("/**", "").replace(['{', '}'], "_");
            let found = find(route.method, &path);
            assert!(matches!(found, Found::Route(_)), "{} {path}: {found:?}", route.method);
        }
    }
}
