//! Finding the route of a request: the most specific one, whatever the order of the document.
//!
//! Routes form a tree over the segments of their patterns. A segment is a literal, a parameter (`{name}`) or, as the
//! last one, the tail `**`, which matches whatever is left, nothing included. At each segment a literal is tried
//! before a parameter and a parameter before a tail; the method decides last, an exact one before `*`. Where that
//! leads nowhere the search goes back to the last alternative.
//!
//! Literals of all nodes are in one open-addressed table, keyed by node and segment, so that a look-up costs the
//! same with 10 routes as with 10,000. A match is confirmed by comparing the bytes: a hash only finds the place. The
//! hash is fixed, which is safe because only the policy decides what is in the table, and probes are bounded when it
//! is built. Since the routes form a tree, a search visits each node at most once; a count of visits keeps even a
//! hostile document from making that many.

mod build;
pub mod pattern;
mod segments;

pub(crate) use build::build;
pub(crate) use segments::{Entry, Segments, entry};

use pattern::Method;

/// Segments of a path at most; a longer one has no route.
pub const SEGMENTS_MAX: usize = 64;
/// Routes of a policy at most.
pub const ROUTES_MAX: usize = 65_000;
/// Nodes that one search visits at most. Reaching it takes a dozen levels at each of which the request matches a
/// literal and a parameter.
const VISITS_MAX: u32 = 4096;
/// Places of the literal table that one look-up reads at most.
const PROBES_MAX: usize = 256;
/// Bytes of a literal that are kept in the table itself.
const SHORT_BYTES: usize = 20;
/// No such node, terminal or route.
const NONE: u32 = u32::MAX;
const NO_ROUTE: u16 = u16::MAX;

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route.
    Route(u16),
    /// None.
    Nothing,
    /// The search was given up: the policy's routes overlap too much.
    TooMany,
}

/// A node of the tree: its place in the literal table is by `id`.
#[derive(Clone, Copy, Debug)]
struct Node {
    id: u32,
    /// The parameter's node.
    parameter: u32,
    /// The terminal of a tail below this node.
    tail: u32,
    /// The terminal of routes that end here.
    here: u32,
    /// Whether literals are below this node.
    has_literals: bool,
}

/// A literal segment below a node. An empty place has the parent `NONE`.
#[derive(Clone, Copy, Debug)]
struct Edge {
    parent: u32,
    hash: u32,
    /// The start of a long literal in `text`.
    start: u32,
    len: u16,
    short: [u8; SHORT_BYTES],
    node: Node,
}

/// Routes by method, `*` filled in where nothing is exact.
type Terminal = [u16; Method::COUNT];

/// The tree, for exact paths or for folded ones.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Node,
    parameters: Vec<Node>,
    /// The places of the literal table.
    edges: Vec<Edge>,
    text: Vec<u8>,
    terminals: Vec<Terminal>,
}

/// The routes of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    exact: Tree,
    /// With literals in lower case; only where one has an upper-case letter.
    folded: Option<Tree>,
}

/// How a request's path and method met the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) exact: Found,
    /// Ignoring case leads to another route, or to one where there was none.
    pub(crate) ambiguous: bool,
}

impl Routes {
    /// The route of a request. `has_upper` says whether the path has an upper-case ASCII letter.
    pub(crate) fn find(&self, segments: &Segments<'_>, method: Method, has_upper: bool) -> Met {
        let exact = self.exact.find::<false>(segments, method);
        if !has_upper && self.folded.is_none() {
            return Met {
                exact,
                ambiguous: false,
            };
        }
        let folded = self
            .folded
            .as_ref()
            .unwrap_or(&self.exact)
            .find::<true>(segments, method);
        Met {
            exact,
            ambiguous: folded != exact,
        }
    }
}

impl Tree {
    fn find<const FOLD: bool>(&self, segments: &Segments<'_>, method: Method) -> Found {
        let mut visits = VISITS_MAX;
        match self.descend::<FOLD>(self.root, segments, 0, method, &mut visits) {
            NO_ROUTE if visits == 0 => Found::TooMany,
            NO_ROUTE => Found::Nothing,
            route => Found::Route(route),
        }
    }

    /// Calls itself only where a literal has an alternative, so at most once for each segment.
    fn descend<const FOLD: bool>(
        &self,
        mut node: Node,
        segments: &Segments<'_>,
        mut index: usize,
        method: Method,
        visits: &mut u32,
    ) -> u16 {
        // Tails on the way down, the deepest last: the one to fall back on.
        let mut tail = NO_ROUTE;
        loop {
            if *visits == 0 {
                return NO_ROUTE;
            }
            *visits -= 1;
            if node.tail != NONE {
                let route = self.route(node.tail, method);
                tail = if route == NO_ROUTE { tail } else { route };
            }
            let Some((segment, hash)) = segments.get(index) else {
                let here = self.route(node.here, method);
                return if here == NO_ROUTE { tail } else { here };
            };
            index += 1;
            let literal = if node.has_literals {
                self.literal::<FOLD>(node.id, segment, hash)
            } else {
                None
            };
            let parameter = self.parameters.get(node.parameter as usize);
            node = match (literal, parameter) {
                (Some(literal), Some(parameter)) => {
                    let route = self.descend::<FOLD>(literal, segments, index, method, visits);
                    if route != NO_ROUTE {
                        return route;
                    }
                    *parameter
                }
                (Some(literal), None) => literal,
                (None, Some(parameter)) => *parameter,
                (None, None) => return tail,
            };
        }
    }

    fn route(&self, terminal: u32, method: Method) -> u16 {
        let Some(terminal) = self.terminals.get(terminal as usize) else {
            return NO_ROUTE;
        };
        terminal.get(method as usize).copied().unwrap_or(NO_ROUTE)
    }

    fn literal<const FOLD: bool>(&self, parent: u32, segment: &[u8], hash: u32) -> Option<Node> {
        let hash = if FOLD {
            segments::hash::<true>(segment)
        } else {
            hash
        };
        let mut place = first_place(parent, hash, self.edges.len());
        for _ in 0..PROBES_MAX {
            let edge = self.edges.get(place)?;
            if edge.parent == parent && edge.hash == hash && self.is_text::<FOLD>(edge, segment) {
                return Some(edge.node);
            }
            if edge.parent == NONE {
                return None;
            }
            place = next_place(place, self.edges.len());
        }
        None
    }

    fn is_text<const FOLD: bool>(&self, edge: &Edge, segment: &[u8]) -> bool {
        let len = usize::from(edge.len);
        let text = if len <= SHORT_BYTES {
            edge.short.get(..len)
        } else {
            self.text
                .get(edge.start as usize..)
                .and_then(|text| text.get(..len))
        };
        match text {
            Some(text) if FOLD => text.eq_ignore_ascii_case(segment),
            Some(text) => is_same(text, segment),
            None => false,
        }
    }
}

/// `a == b` without a call: in the guest, comparing short texts byte by byte took most of a look-up.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0..4 => a.iter().zip(b).all(|(a, b)| a == b),
        4..8 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        _ => a == b,
    }
}

/// Where the search for a literal begins in a table of this many places: any number of them, because rounding up to
/// a power of two could double the memory that every fresh instance pays for.
fn first_place(parent: u32, hash: u32, places: usize) -> usize {
    let mixed = (hash ^ parent.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    let mixed = u64::from(mixed ^ (mixed >> 15));
    ((mixed * places as u64) >> 32) as usize
}

fn next_place(place: usize, places: usize) -> usize {
    if place + 1 < places { place + 1 } else { 0 }
}

#[cfg(test)]
mod tests;
