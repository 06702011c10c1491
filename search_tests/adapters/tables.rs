//! Gates, threads and resources, as models call them.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::super::memory::Searched;
use super::super::run::CLOCK_BEGINS;
use super::super::world::World;
use crate::sync::mutex::Mutex;
use crate::sync::{Env, LifeArea, Owner, Pulse, Word};
use crate::table::inflight::{Begun, Gate, Look};
use crate::table::resources::{About, Key, Moved, Resources};
use crate::table::threads::Threads;

/// A gate that counts the items of the holder of `generation`.
pub(in super::super) fn gate(world: &mut World, generation: u64) -> Rc<Gate<Searched>> {
    let gate = world.table("gate", &["word"], Gate::default);
    gate.reset(generation);
    gate
}

/// Begins an item for the holder of `generation`; `phase` reads the phase words.
pub(in super::super) fn begin(
    gate: &Gate<Searched>,
    generation: u64,
    phase: impl Fn() -> (bool, u64),
) -> bool {
    let begun = gate.begin_as(generation, || gate_look(phase()));
    begun == Begun::Counted
}

fn gate_look((refuses, epoch): (bool, u64)) -> Look {
    let epochs = (epoch, 0);
    Look { refuses, epochs }
}

pub(in super::super) fn end(gate: &Gate<Searched>, generation: u64) {
    gate.end_as(generation);
}

/// Closes the gate of the holder of `generation`; returns how many items are in flight.
pub(in super::super) fn close(gate: &Gate<Searched>, generation: u64) -> Option<u32> {
    gate.close(generation).map(|closed| closed.count)
}

pub(in super::super) fn reopen(
    gate: &Gate<Searched>,
    generation: u64,
    phase: impl Fn() -> (bool, u64),
) {
    gate.reopen(generation, || gate_look(phase()));
}

/// The next holder of the slot takes the gate.
pub(in super::super) fn take_gate(gate: &Gate<Searched>, generation: u64) {
    gate.reset(generation);
}

pub(in super::super) fn in_flight(gate: &Gate<Searched>, generation: u64) -> u32 {
    gate.count(generation)
}

pub(in super::super) fn is_closed(gate: &Gate<Searched>) -> bool {
    gate.word().load(Ordering::Acquire) >> 63 != 0
}

/// Thread slots, and the lives of their threads as `api/core.rs` asks for them.
pub(in super::super) struct Thread {
    pub(in super::super) threads: Threads<Searched, 2>,
}

impl Thread {
    pub(in super::super) fn new(world: &mut World) -> Rc<Self> {
        let first = ["high_water"].into_iter().chain(["pad"; 7]);
        let slot = |slot| {
            let names = ["life", "word"].into_iter().chain(["pad"; 7]);
            names.map(move |name| format!("{name} {slot}"))
        };
        let names: Vec<_> = first
            .map(String::from)
            .chain((0..2).flat_map(slot))
            .collect();
        world.table("threads", &names, || Self {
            threads: Threads::default(),
        })
    }

    /// Takes a slot and its life word for the calling actor.
    pub(in super::super) fn attach(&self) -> Option<Owner> {
        let owner = self.threads.attach(0)?;
        let thread = self.threads.get(owner.slot.into())?;
        thread.life.hold().unwrap();
        assert!(
            self.threads.go_live(owner, 0),
            "the slot of a living thread was taken"
        );
        Some(owner)
    }

    /// The calling actor ends in order.
    pub(in super::super) fn end(&self, owner: Owner) {
        let slot = owner.slot.into();
        let seen = self.threads.word(slot);
        self.threads.get(slot).unwrap().life.release();
        assert!(
            self.threads.free(slot, seen),
            "the slot of a living thread was freed"
        );
    }

    /// Frees the slots of threads that have ended without giving them back, and their
    /// locks; returns how many.
    pub(in super::super) fn sweep(&self, lock: &Mutex<Searched>) -> usize {
        self.threads.free_ended(
            |_, _| false,
            |dead| {
                lock.hand_over(dead);
            },
        )
    }
}

impl Env<Searched> for Thread {
    fn now(&self) -> u64 {
        CLOCK_BEGINS
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Searched> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Searched> {
        self.threads.pulse_of_thread(owner, |_| None, |_| true)
    }
}

pub(in super::super) type Table1 = Resources<Searched, 1>;

/// Names of a record's first words.
const RECORD: [&str; 5] = ["high_water", "pad", "word", "runner_generation", "about"];

pub(in super::super) fn resources(world: &mut World) -> Rc<Table1> {
    world.table("resources", &RECORD, Table1::default)
}

/// Registers a resource of a process, with an identity to be reclaimed by.
pub(in super::super) fn register(
    table: &Table1,
    process: usize,
    identity: u64,
    env: &impl Env<Searched>,
) -> Option<Key> {
    let key = table.claim(process, 0, |_, _| true)?;
    table.describe(key, About::default(), [identity, 0, 0, 0], "path");
    (table.publish(key, env.now()) == Moved::Done).then_some(key)
}
