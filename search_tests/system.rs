//! What stays the same while a model is searched: its actors' code, its limits, and which
//! actors touch which word.

use super::automaton::{Automaton, Next, NodeId};
use super::run::{Access, Act, Id, Words};

/// The bit of the kernel among the actors that touch a word.
const KERNEL: u32 = 1 << 31;

/// What dies when an actor is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mortal {
    Never,
    /// It and every other actor of its process.
    Process,
    /// It alone; its process lives.
    Thread,
}

/// Which actors touch a word, as far as the search has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    readers: u32,
    writers: u32,
    sleepers: u32,
    /// The search has relied on what is known.
    is_relied_on: bool,
}

/// The fixed parts of a model.
pub(super) struct System {
    pub(super) automata: Vec<Automaton>,
    pub(super) names: Vec<String>,
    pub(super) processes: Vec<usize>,
    pub(super) mortal: Vec<Mortal>,
    pub(super) words: Words,
    pub(super) unit: u64,
    /// Every reading of the clock is a later one.
    pub(super) clock_runs: bool,
    pub(super) max_ticks: u32,
    pub(super) max_kills: u32,
    /// Reads the words after every step; the last of the automata.
    pub(super) has_observer: bool,
    touches: Vec<Touch>,
    /// A word turned out to be shared after the search had relied on the contrary.
    pub(super) is_stale: bool,
}

impl System {
    pub(super) fn new(words: Words) -> Self {
        Self {
            touches: vec![Touch::default(); words.values.len()],
            automata: Vec::new(),
            names: Vec::new(),
            processes: Vec::new(),
            mortal: Vec::new(),
            words,
            unit: 1,
            clock_runs: false,
            max_ticks: 0,
            max_kills: 0,
            has_observer: false,
            is_stale: false,
        }
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        process: usize,
        mortal: Mortal,
        body: Box<dyn Fn()>,
    ) -> usize {
        let actor = self.automata.len();
        assert!(actor < 30, "the search has room for 30 actors");
        self.automata.push(Automaton::new(actor, body));
        self.names.push(name.into());
        self.processes.push(process);
        self.mortal.push(mortal);
        self.learn(actor, 0);
        actor
    }

    /// Words that the kernel reads and writes when actors die.
    pub(super) fn share_with_kernel(&mut self) {
        for id in self.words.lives.iter().chain(&self.words.bytes) {
            let touch = &mut self.touches[*id as usize];
            touch.readers |= KERNEL;
            touch.writers |= KERNEL;
        }
    }

    /// The actors that end when this one is killed, itself included.
    pub(super) fn killed_with(&self, actor: usize) -> Vec<usize> {
        match self.mortal[actor] {
            Mortal::Process => {
                let process = self.processes[actor];
                let all = 0..self.processes.len();
                all.filter(|other| self.processes[*other] == process)
                    .collect()
            }
            Mortal::Never | Mortal::Thread => vec![actor],
        }
    }

    /// Follows an edge; makes it where it is new.
    pub(super) fn after(&mut self, actor: usize, node: NodeId, result: u64) -> NodeId {
        let (next, is_new) = self.automata[actor].after(node, result);
        if is_new {
            self.learn(actor, next);
        }
        next
    }

    /// Whether no other actor ever notices that `actor` makes this access.
    pub(super) fn is_private(&mut self, actor: usize, access: &Access) -> bool {
        let others = !(1 << actor);
        match access {
            Access::Word(id, act) => {
                let touch = &mut self.touches[*id as usize];
                let touched = match act {
                    Act::Load => touch.writers,
                    _ => touch.readers | touch.writers | touch.sleepers,
                };
                let is_private = touched & others == 0;
                touch.is_relied_on |= is_private;
                is_private
            }
            Access::Wake(id, _) => {
                let touch = &mut self.touches[*id as usize];
                let is_private = touch.sleepers & others == 0;
                touch.is_relied_on |= is_private;
                is_private
            }
            Access::Wait { .. } => false,
            Access::Now => self.max_ticks == 0 && !self.clock_runs,
            Access::Choose(_) => true,
        }
    }

    fn learn(&mut self, actor: usize, node: NodeId) {
        let Next::Access { access, .. } = self.automata[actor].at(node) else {
            return;
        };
        let bit = 1 << actor;
        let mut touched: Vec<(Id, Touch)> = Vec::new();
        let mut touch = |id: Id, (readers, writers, sleepers): (u32, u32, u32)| {
            let more = Touch {
                readers,
                writers,
                sleepers,
                is_relied_on: false,
            };
            touched.push((id, more));
        };
        match access {
            Access::Word(id, Act::Load) => touch(*id, (bit, 0, 0)),
            Access::Word(id, Act::Store(_)) => touch(*id, (0, bit, 0)),
            Access::Word(id, _) => touch(*id, (bit, bit, 0)),
            Access::Wait { cells, .. } => {
                cells.iter().for_each(|(id, _)| touch(*id, (bit, 0, bit)));
            }
            Access::Wake(..) | Access::Now | Access::Choose(_) => {}
        }
        for (id, more) in touched {
            let known = &mut self.touches[id as usize];
            let before = (known.readers, known.writers, known.sleepers);
            known.readers |= more.readers;
            known.writers |= more.writers;
            known.sleepers |= more.sleepers;
            let after = (known.readers, known.writers, known.sleepers);
            self.is_stale |= known.is_relied_on && before != after;
        }
    }

    /// A new search relies on nothing yet.
    pub(super) fn begin(&mut self) {
        self.is_stale = false;
        for touch in &mut self.touches {
            touch.is_relied_on = false;
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.automata.iter().map(Automaton::len).sum()
    }
}
