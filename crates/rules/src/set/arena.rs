//! Conditions as one graph in which what is the same is there once, whatever macros and rules it came from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::eval::Check;

/// A place in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u32);

/// What is at a place.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(bool),
    All(Arc<[Id]>),
    Any(Arc<[Id]>),
    Not(Id),
    Check(Arc<Check>),
}

/// What makes two nodes the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Const(bool),
    All(Arc<[Id]>),
    Any(Arc<[Id]>),
    Not(Id),
    Check(Box<str>),
}

/// How deep `and`, `or` and `not` may be in one another, macros and all.
const MAX_DEPTH: u16 = 300;
/// How many different parts all conditions may have.
const MAX_NODES: usize = 400_000;

#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<(Node, u16)>,
    known: HashMap<Key, Id>,
}

/// The conditions are too large together, or one is too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    Depth,
    Nodes,
}

impl TooMuch {
    pub(super) fn message(self) -> String {
        match self {
            TooMuch::Depth => format!("more than {MAX_DEPTH} conditions in one another, macros and all"),
            TooMuch::Nodes => format!("the rules have more than {MAX_NODES} different conditions together"),
        }
    }
}

impl Arena {
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize].0
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn truth(&self, id: Id) -> Option<bool> {
        match self.node(id) {
            Node::Const(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn constant(&mut self, value: bool) -> Result<Id, TooMuch> {
        self.put(Key::Const(value), 0, || Node::Const(value))
    }

    pub(super) fn check(&mut self, check: Check) -> Result<Id, TooMuch> {
        let key = Key::Check(check.shown.clone());
        self.put(key, 0, || Node::Check(Arc::new(check)))
    }

    pub(super) fn not(&mut self, inner: Id) -> Result<Id, TooMuch> {
        match self.node(inner) {
            Node::Const(value) => {
                let value = !*value;
                self.constant(value)
            }
            Node::Not(twice) => Ok(*twice),
            _ => {
                let depth = self.depth(inner);
                self.put(Key::Not(inner), depth, || Node::Not(inner))
            }
        }
    }

    /// All of them, or any: what decides nothing is left out.
    pub(super) fn join(&mut self, of_all: bool, parts: impl IntoIterator<Item = Id>) -> Result<Id, TooMuch> {
        let mut left: Vec<Id> = Vec::new();
        let mut seen = rustc_hash::FxHashSet::default();
        for part in parts {
            match self.truth(part) {
                Some(value) if value == of_all => {}
                Some(value) => return self.constant(value),
                None => {
                    if seen.insert(part) {
                        left.push(part);
                    }
                }
            }
        }
        match left.as_slice() {
            [] => self.constant(of_all),
            [only] => Ok(*only),
            _ => {
                let depth = left.iter().map(|part| self.depth(*part)).max().unwrap_or(0);
                let left: Arc<[Id]> = left.into();
                let node = left.clone();
                if of_all {
                    self.put(Key::All(left), depth, || Node::All(node))
                } else {
                    self.put(Key::Any(left), depth, || Node::Any(node))
                }
            }
        }
    }

    fn depth(&self, id: Id) -> u16 {
        self.nodes[id.0 as usize].1
    }

    fn put(&mut self, key: Key, below: u16, node: impl FnOnce() -> Node) -> Result<Id, TooMuch> {
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        if below >= MAX_DEPTH {
            return Err(TooMuch::Depth);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(TooMuch::Nodes);
        }
        let id = Id(self.nodes.len() as u32);
        self.nodes.push((node(), below + 1));
        self.known.insert(key, id);
        Ok(id)
    }
}
