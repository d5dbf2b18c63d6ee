//! From patterns to the tree.

use std::collections::BTreeMap;

use super::pattern::{self, Method, Segment};
use super::{
    Edge, NO_ROUTE, NONE, Node, PROBES_MAX, ROUTES_MAX, Routes, SEGMENTS_MAX, SHORT_BYTES,
    Terminal, Tree, first_place, next_place, segments,
};

/// The routes, each by its method and pattern, in the order of their numbers.
///
/// # Errors
/// What makes them unusable.
pub(crate) fn build<'r>(
    routes: impl ExactSizeIterator<Item = (&'r str, &'r str)> + Clone,
) -> Result<Routes, &'static str> {
    if routes.len() > ROUTES_MAX {
        return Err("there are too many routes");
    }
    let has_upper = routes.clone().any(|(_, pattern)| {
        let mut literals = pattern
            .split('/')
            .filter(|segment| !segment.starts_with('{'));
        literals.any(|literal| literal.bytes().any(|b| b.is_ascii_uppercase()))
    });
    let exact = draft(routes.clone(), false)?.finish()?;
    let folded = if has_upper {
        Some(draft(routes, true)?.finish()?)
    } else {
        None
    };
    Ok(Routes { exact, folded })
}

fn draft<'r>(
    routes: impl ExactSizeIterator<Item = (&'r str, &'r str)>,
    fold: bool,
) -> Result<Draft, &'static str> {
    let mut draft = Draft::with_room(routes.len());
    let mut segments = Vec::with_capacity(SEGMENTS_MAX);
    for (number, (method, pattern)) in routes.enumerate() {
        let number = u16::try_from(number).map_err(|_| "there are too many routes")?;
        let method = Method::of_route(method).ok_or("a route's method is not one")?;
        pattern::parse_into(pattern, &mut segments).map_err(|bad| bad.message)?;
        draft.add(&segments, method, number, fold)?;
    }
    Ok(draft)
}

/// The tree while it grows.
struct Draft {
    nodes: Vec<DraftNode>,
    literals: BTreeMap<(u32, String), u32>,
    terminals: Vec<Terminal>,
}

#[derive(Clone, Copy)]
struct DraftNode {
    parameter: u32,
    tail: u32,
    here: u32,
    has_literals: bool,
}

const EMPTY: DraftNode = DraftNode {
    parameter: NONE,
    tail: NONE,
    here: NONE,
    has_literals: false,
};

impl Draft {
    /// With room for what this many routes mostly need. In the guest nothing is freed that something else was
    /// allocated behind: what grows is in its memory several times.
    fn with_room(routes: usize) -> Self {
        let mut nodes = Vec::with_capacity(2 * routes + 1);
        nodes.push(EMPTY);
        Self {
            nodes,
            literals: BTreeMap::new(),
            terminals: Vec::with_capacity(routes),
        }
    }

    fn add(
        &mut self,
        segments: &[Segment<'_>],
        method: Method,
        route: u16,
        fold: bool,
    ) -> Result<(), &'static str> {
        let mut at = 0_u32;
        let mut is_tail = false;
        for segment in segments {
            match segment {
                Segment::Literal(text) => {
                    let text = if fold {
                        text.to_ascii_lowercase()
                    } else {
                        (*text).to_owned()
                    };
                    let next = self.nodes.len() as u32;
                    self.node(at)?.has_literals = true;
                    let child = *self.literals.entry((at, text)).or_insert(next);
                    if child == next {
                        self.nodes.push(EMPTY);
                    }
                    at = child;
                }
                Segment::Parameter(_) => {
                    let next = self.nodes.len() as u32;
                    let node = self.node(at)?;
                    if node.parameter == NONE {
                        node.parameter = next;
                        self.nodes.push(EMPTY);
                        at = next;
                    } else {
                        at = node.parameter;
                    }
                }
                Segment::Tail => is_tail = true,
            }
        }
        let fresh = self.terminals.len() as u32;
        let node = self.node(at)?;
        let slot = if is_tail {
            &mut node.tail
        } else {
            &mut node.here
        };
        if *slot == NONE {
            *slot = fresh;
            self.terminals.push([NO_ROUTE; Method::COUNT]);
        }
        let terminal = *self.slot(at, is_tail)?;
        match self
            .terminals
            .get_mut(terminal as usize)
            .and_then(|t| t.get_mut(method as usize))
        {
            Some(place) if *place == NO_ROUTE => *place = route,
            _ => return Err("two routes match the same requests"),
        }
        Ok(())
    }

    fn node(&mut self, at: u32) -> Result<&mut DraftNode, &'static str> {
        self.nodes
            .get_mut(at as usize)
            .ok_or("the routes do not form a tree")
    }

    fn slot(&mut self, at: u32, is_tail: bool) -> Result<&mut u32, &'static str> {
        let node = self.node(at)?;
        Ok(if is_tail {
            &mut node.tail
        } else {
            &mut node.here
        })
    }

    fn finish(mut self) -> Result<Tree, &'static str> {
        for terminal in &mut self.terminals {
            let any = terminal
                .get(Method::Any as usize)
                .copied()
                .unwrap_or(NO_ROUTE);
            terminal
                .iter_mut()
                .filter(|route| **route == NO_ROUTE)
                .for_each(|route| *route = any);
        }
        // Parameters' nodes move to a list of their own; literals' nodes live in the table.
        let mut parameters = Vec::new();
        let mut place_of = vec![NONE; self.nodes.len()];
        for node in &self.nodes {
            if let Some(place) = place_of.get_mut(node.parameter as usize) {
                *place = parameters.len() as u32;
                parameters.push(node.parameter);
            }
        }
        let nodes = &self.nodes;
        let to_node = |id: u32| -> Node {
            let draft = nodes.get(id as usize).copied().unwrap_or(EMPTY);
            let parameter = place_of
                .get(draft.parameter as usize)
                .copied()
                .unwrap_or(NONE);
            Node {
                id,
                parameter,
                tail: draft.tail,
                here: draft.here,
                has_literals: draft.has_literals,
            }
        };
        let mut tree = Tree {
            root: to_node(0),
            parameters: parameters.into_iter().map(to_node).collect(),
            edges: empty_edges(self.literals.len()),
            text: Vec::new(),
            terminals: self.terminals,
        };
        for ((parent, text), child) in &self.literals {
            insert(&mut tree, *parent, text, to_node(*child))?;
        }
        Ok(tree)
    }
}

/// At most half full, so that probes stay short.
fn empty_edges(count: usize) -> Vec<Edge> {
    let node = Node {
        id: NONE,
        parameter: NONE,
        tail: NONE,
        here: NONE,
        has_literals: false,
    };
    let empty = Edge {
        parent: NONE,
        hash: 0,
        start: 0,
        len: 0,
        short: [0; SHORT_BYTES],
        node,
    };
    vec![empty; count * 2]
}

fn insert(tree: &mut Tree, parent: u32, text: &str, node: Node) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let mut edge = Edge {
        parent,
        hash: segments::hash::<false>(bytes),
        start: tree.text.len() as u32,
        len: u16::try_from(bytes.len()).map_err(|_| "a segment of a route is too long")?,
        short: [0; SHORT_BYTES],
        node,
    };
    match edge.short.get_mut(..bytes.len()) {
        Some(short) => short.copy_from_slice(bytes),
        None => tree.text.extend_from_slice(bytes),
    }
    let places = tree.edges.len();
    let mut at = first_place(parent, edge.hash, places);
    for _ in 0..PROBES_MAX {
        match tree.edges.get_mut(at) {
            Some(place) if place.parent == NONE => {
                *place = edge;
                return Ok(());
            }
            _ => at = next_place(at, places),
        }
    }
    Err("too many segments of the routes share a hash")
}
