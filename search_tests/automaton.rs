//! The code of one actor as an automaton, made lazily from the shipped code.
//!
//! A node is a local state: all that the actor has learned, and the access that comes
//! next. An edge bears the result of that access. An edge that the search needs for the
//! first time is made by one run of the body, on the results along the way to the node;
//! afterwards the search only follows it. So the shipped code runs once for each *local*
//! situation (thousands), and not once for each state of the whole model (millions); no
//! stack has to be kept, copied or replayed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::hash;
use super::run::{self, Access, Event, Ran, Suspended};

pub(super) type NodeId = u32;

/// What an actor does next in a local state.
#[derive(Debug)]
pub(super) enum Next {
    /// An access; `is_atomic` if it belongs to the step before it.
    Access {
        access: Access,
        is_atomic: bool,
    },
    Done,
    /// The body panicked.
    Failed(String),
}

#[derive(Debug)]
struct Node {
    next: Next,
    edges: Vec<(u64, NodeId)>,
    parent: Option<(NodeId, u64)>,
    /// Another way here, of a body that stated what it goes on by.
    other: Option<(NodeId, u64)>,
}

/// The local states of one actor that are known so far.
pub(super) struct Automaton {
    actor: usize,
    body: Box<dyn Fn()>,
    nodes: Vec<Node>,
    keys: HashMap<u128, NodeId, hash::Build>,
}

impl Automaton {
    /// The first local state is node 0.
    pub(super) fn new(actor: usize, body: Box<dyn Fn()>) -> Self {
        let mut automaton = Self {
            actor,
            body,
            nodes: Vec::new(),
            keys: HashMap::default(),
        };
        automaton.add(Vec::new(), None);
        automaton
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn at(&self, node: NodeId) -> &Next {
        &self.nodes[node as usize].next
    }

    /// The local state after the access of `node` returned `result`, and whether it is new.
    pub(super) fn after(&mut self, node: NodeId, result: u64) -> (NodeId, bool) {
        let edges = &self.nodes[node as usize].edges;
        if let Some((_, next)) = edges.iter().find(|(with, _)| *with == result) {
            return (*next, false);
        }
        let mut script = self.script(node);
        script.push(result);
        let known = self.nodes.len();
        let next = self.add(script, Some((node, result)));
        self.nodes[node as usize].edges.push((result, next));
        self.compare(node, result, next);
        let is_new = next as usize == known;
        if !is_new && self.nodes[next as usize].other.is_none() {
            self.nodes[next as usize].other = Some((node, result));
            for (result, after) in self.nodes[next as usize].edges.clone() {
                self.compare(next, result, after);
            }
        }
        (next, is_new)
    }

    /// The results that lead to a node.
    fn script(&self, node: NodeId) -> Vec<u64> {
        let mut script = match self.nodes[node as usize].parent {
            Some((parent, _)) => self.script(parent),
            None => Vec::new(),
        };
        script.extend(self.nodes[node as usize].parent.map(|(_, result)| result));
        script
    }

    /// The same on another way, if one is known.
    fn other_script(&self, node: NodeId) -> Option<Vec<u64>> {
        let Node { parent, other, .. } = &self.nodes[node as usize];
        let (mut script, result) = match (other, parent) {
            (Some((before, result)), _) => (self.script(*before), *result),
            (None, Some((parent, result))) => (self.other_script(*parent)?, *result),
            (None, None) => return None,
        };
        script.push(result);
        Some(script)
    }

    /// Asserts that `next` follows on the other way to `node`, too: that the body goes on by
    /// what it stated, and by nothing else.
    fn compare(&self, node: NodeId, result: u64, next: NodeId) {
        let Some(mut script) = self.other_script(node) else {
            return;
        };
        script.push(result);
        let (found, ran) = self.run(script);
        let same = self.keys.get(&key(&found, &ran)) == Some(&next);
        assert!(same, "the body goes on by more than it stated");
    }

    fn add(&mut self, script: Vec<u64>, parent: Option<(NodeId, u64)>) -> NodeId {
        let (next, ran) = self.run(script);
        let id = self.nodes.len() as NodeId;
        let known = *self.keys.entry(key(&next, &ran)).or_insert(id);
        if known == id {
            self.nodes.push(Node {
                next,
                edges: Vec::new(),
                parent,
                other: None,
            });
        }
        known
    }

    fn run(&self, script: Vec<u64>) -> (Next, Ran) {
        let (panic, mut ran) = run::run(self.actor, script, || catch(&self.body));
        let next = match (ran.next.take(), panic) {
            (Some((access, is_atomic)), _) => Next::Access { access, is_atomic },
            (None, None) => Next::Done,
            (None, Some(message)) => Next::Failed(message),
        };
        (next, ran)
    }

    /// What the body does on these results, for the reader of a schedule.
    pub(super) fn events(&self, script: Vec<u64>) -> Vec<Event> {
        self.run(script).1.events
    }
}

/// Identifies a local state: what the actor goes on by, and what it does next.
fn key(next: &Next, ran: &Ran) -> u128 {
    match next {
        Next::Access { access, .. } => hash::text(ran.key, &format!("{access:?}")),
        Next::Done => hash::mix(ran.key, 1),
        Next::Failed(_) => hash::mix(ran.key, 2),
    }
}

thread_local! {
    static IS_HUSHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a body; returns the message of its panic. Suspension is no panic.
fn catch(body: &dyn Fn()) -> Option<String> {
    watch_panics();
    let was_hushed = IS_HUSHED.replace(true);
    let end = catch_unwind(AssertUnwindSafe(body));
    IS_HUSHED.set(was_hushed);
    match end {
        Ok(()) => None,
        Err(payload) if payload.is::<Suspended>() => None,
        Err(payload) => Some(format!("{} ({})", message(payload.as_ref()), PLACE.take())),
    }
}

pub(super) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("panic without text")
        .into()
}

/// Runs `steps`; a panic of theirs prints nothing.
pub(super) fn hushed<T>(steps: impl FnOnce() -> T) -> Result<T, String> {
    watch_panics();
    let was_hushed = IS_HUSHED.replace(true);
    let end = catch_unwind(AssertUnwindSafe(steps));
    IS_HUSHED.set(was_hushed);
    end.map_err(|payload| message(payload.as_ref()))
}

/// The panic hook belongs to the process; tests of other threads keep their output.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_HUSHED.get() {
                return loud(info);
            }
            let place = info.location().map(ToString::to_string);
            PLACE.set(place.unwrap_or_default());
        }));
    });
}
