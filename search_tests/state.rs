//! The state of a model, and the steps that change it.

use super::automaton::{Next, NodeId};
use super::hash;
use super::run::{Access, CLOCK_BEGINS, Id};
use super::system::System;

/// How an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Standing {
    /// It can take its next step.
    Ready,
    Asleep,
    /// Its body has ended; it lives.
    Ended,
    /// Its process was killed; the kernel has not marked its life words yet.
    Killed,
    /// The kernel has marked its life words.
    Dead,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) node: NodeId,
    pub(super) standing: Standing,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// An actor takes its next step; `variant` chooses among equal ones.
    Step { actor: u8, variant: u8 },
    /// A bounded sleep ends.
    TimesOut { actor: u8 },
    /// Time passes.
    Tick,
    /// An actor is killed (with all others of its process), and its life words are marked.
    Kill { actor: u8, variant: u8 },
    /// The life words of one more actor of a killed process are marked.
    Mark { actor: u8, variant: u8 },
    /// The kernel frees the byte locks of a process whose life words are marked.
    Bury { process: u8 },
    /// Nothing else can happen; the model's last words run.
    Finally,
}

impl Choice {
    /// The actor that goes on.
    pub(super) fn actor(self) -> Option<u8> {
        match self {
            Self::Step { actor, .. } | Self::TimesOut { actor } => Some(actor),
            _ => None,
        }
    }
}

/// Why a search ends early.
#[derive(Clone, Debug)]
pub(super) struct Failure(pub(super) String);

/// Whether the search may take a step alone, before all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// No other actor ever notices it.
    pub(super) is_private: bool,
    /// It led to a local state that was found after the one before it.
    pub(super) is_forward: bool,
}

enum Undo {
    Value(Id, u64),
    Actor(usize, Actor),
    Clock(u64, u32),
    Kills(u32),
    Buried(u32),
}

/// An access that was made, for the reader of a schedule.
pub(super) struct Logged {
    pub(super) actor: usize,
    pub(super) access: Access,
    /// None: it fell asleep.
    pub(super) result: Option<u64>,
    pub(super) is_atomic: bool,
}

/// The whole of a model at one instant.
pub(super) struct State {
    pub(super) values: Vec<u64>,
    pub(super) actors: Vec<Actor>,
    pub(super) clock: u64,
    pub(super) ticks: u32,
    pub(super) kills: u32,
    /// Processes whose byte locks the kernel has freed.
    pub(super) buried: u32,
    pub(super) hash: u128,
    undo: Vec<Undo>,
    pub(super) log: Option<Vec<Logged>>,
}

/// Where the parts of the hash have their places: words come first.
const ACTORS: u32 = u32::MAX - 100;
const TICKS: u32 = u32::MAX;
const BURIED: u32 = u32::MAX - 1;

impl State {
    pub(super) fn new(values: Vec<u64>, actors: usize) -> Self {
        Self {
            values,
            actors: vec![
                Actor {
                    node: 0,
                    standing: Standing::Ready
                };
                actors
            ],
            clock: CLOCK_BEGINS,
            ticks: 0,
            kills: 0,
            buried: 0,
            hash: 0,
            undo: Vec::new(),
            log: None,
        }
    }

    /// A point to [return](Self::restore) to.
    pub(super) fn mark(&self) -> (usize, u128) {
        (self.undo.len(), self.hash)
    }

    pub(super) fn restore(&mut self, (length, hash): (usize, u128)) {
        while self.undo.len() > length {
            match self.undo.pop().expect("longer than that") {
                Undo::Value(id, old) => self.values[id as usize] = old,
                Undo::Actor(index, old) => self.actors[index] = old,
                Undo::Clock(clock, ticks) => (self.clock, self.ticks) = (clock, ticks),
                Undo::Kills(old) => self.kills = old,
                Undo::Buried(old) => self.buried = old,
            }
        }
        self.hash = hash;
    }

    pub(super) fn set_value(&mut self, id: Id, new: u64) {
        let old = std::mem::replace(&mut self.values[id as usize], new);
        self.hash ^= hash::part(id, old) ^ hash::part(id, new);
        self.undo.push(Undo::Value(id, old));
    }

    pub(super) fn set_actor(&mut self, index: usize, new: Actor) {
        let part = |actor: Actor| {
            let value = u64::from(actor.node) << 8 | actor.standing as u64;
            hash::part(ACTORS + index as u32, value)
        };
        let old = std::mem::replace(&mut self.actors[index], new);
        self.hash ^= part(old) ^ part(new);
        self.undo.push(Undo::Actor(index, old));
    }

    fn set_clock(&mut self, clock: u64, ticks: u32) {
        let part = |clock: u64, ticks: u32| hash::mix(hash::part(TICKS, clock), ticks.into());
        self.hash ^= part(self.clock, self.ticks) ^ part(clock, ticks);
        self.undo.push(Undo::Clock(self.clock, self.ticks));
        (self.clock, self.ticks) = (clock, ticks);
    }

    pub(super) fn is_able(&self, actor: usize) -> bool {
        self.actors[actor].standing == Standing::Ready
    }

    /// Takes one step of the model.
    pub(super) fn take(&mut self, choice: Choice, system: &mut System) -> Result<Taken, Failure> {
        let mut taken = Taken {
            is_private: true,
            is_forward: true,
        };
        match choice {
            Choice::Step { actor, variant } => {
                let actor = usize::from(actor);
                let node = self.actors[actor].node;
                self.perform(actor, node, variant, system, &mut taken)?;
                return Ok(taken);
            }
            Choice::TimesOut { actor } => {
                let actor = usize::from(actor);
                let (until, _) = self.sleep(actor, system).expect("it sleeps");
                if until > self.clock {
                    self.set_clock(until, self.ticks + 1);
                }
                self.go_on(actor, 1, system, &mut taken)?;
            }
            Choice::Tick => self.set_clock(self.clock + system.unit, self.ticks + 1),
            Choice::Kill { actor, variant } => {
                self.undo.push(Undo::Kills(self.kills));
                self.kills += 1;
                let actor = usize::from(actor);
                for other in system.killed_with(actor) {
                    let node = self.actors[other].node;
                    let standing = Standing::Killed;
                    self.set_actor(other, Actor { node, standing });
                }
                self.bury_thread(actor, variant, system, &mut taken)?;
            }
            Choice::Mark { actor, variant } => {
                self.bury_thread(actor.into(), variant, system, &mut taken)?;
            }
            Choice::Bury { process } => {
                let buried = self.buried | 1 << process;
                self.hash ^= hash::part(BURIED, self.buried.into());
                self.hash ^= hash::part(BURIED, buried.into());
                self.undo.push(Undo::Buried(self.buried));
                self.buried = buried;
                for byte in system.words.bytes.clone() {
                    if self.values[byte as usize] == u64::from(process) + 1 {
                        self.set_value(byte, 0);
                    }
                }
            }
            Choice::Finally => {
                let last = self.actors.len() - 1 - usize::from(system.has_observer);
                self.begin(last, system)?;
            }
        }
        taken.is_private = false;
        Ok(taken)
    }

    /// Runs an actor from its first local state to its first step of its own.
    pub(super) fn begin(&mut self, actor: usize, system: &mut System) -> Result<(), Failure> {
        let mut taken = Taken {
            is_private: true,
            is_forward: true,
        };
        self.arrive(actor, 0, system, &mut taken)
    }

    /// Makes the access of a local state and all that belongs to the same step.
    fn perform(
        &mut self,
        actor: usize,
        node: NodeId,
        variant: u8,
        system: &mut System,
        taken: &mut Taken,
    ) -> Result<(), Failure> {
        let Next::Access { access, is_atomic } = system.automata[actor].at(node) else {
            unreachable!("an actor that is ready has a next access")
        };
        let (access, is_atomic) = (access.clone(), *is_atomic);
        taken.is_private &= system.is_private(actor, &access);
        let result = match access {
            Access::Word(id, act) => {
                let old = self.values[id as usize];
                let new = act.apply(old, system.words.is_wide[id as usize]);
                if let Some(new) = new.filter(|new| *new != old) {
                    self.set_value(id, new);
                }
                old
            }
            Access::Now => {
                if system.clock_runs {
                    self.set_clock(self.clock + 1, self.ticks);
                }
                self.clock
            }
            Access::Choose(_) => u64::from(variant),
            Access::Wake(cell, count) => {
                self.wake(cell, count, variant, system, taken)?;
                0
            }
            Access::Wait { ref cells, .. } => {
                let is_as_expected =
                    |(id, expected): &(Id, u32)| self.values[*id as usize] as u32 == *expected;
                if cells.iter().all(is_as_expected) {
                    let standing = Standing::Asleep;
                    self.set_actor(actor, Actor { node, standing });
                    self.note(actor, &access, None, is_atomic);
                    return Ok(());
                }
                0
            }
        };
        self.note(actor, &access, Some(result), is_atomic);
        let next = system.after(actor, node, result);
        taken.is_forward &= next > node;
        self.arrive(actor, next, system, taken)
    }

    fn note(&mut self, actor: usize, access: &Access, result: Option<u64>, is_atomic: bool) {
        if let Some(log) = &mut self.log {
            log.push(Logged {
                actor,
                access: access.clone(),
                result,
                is_atomic,
            });
        }
    }

    /// The access of a sleeping actor has returned.
    pub(super) fn go_on(
        &mut self,
        actor: usize,
        result: u64,
        system: &mut System,
        taken: &mut Taken,
    ) -> Result<(), Failure> {
        let node = self.actors[actor].node;
        if let Next::Access { access, .. } = system.automata[actor].at(node) {
            self.note(actor, access, Some(result), false);
        }
        let next = system.after(actor, node, result);
        self.arrive(actor, next, system, taken)
    }

    fn arrive(
        &mut self,
        actor: usize,
        node: NodeId,
        system: &mut System,
        taken: &mut Taken,
    ) -> Result<(), Failure> {
        let standing = match system.automata[actor].at(node) {
            Next::Done => Standing::Ended,
            Next::Failed(message) => {
                return Err(Failure(format!("{}: {message}", system.names[actor])));
            }
            // The step that led here goes on.
            Next::Access {
                is_atomic: true, ..
            } => return self.perform(actor, node, 0, system, taken),
            Next::Access { .. } => Standing::Ready,
        };
        self.set_actor(actor, Actor { node, standing });
        Ok(())
    }
}
