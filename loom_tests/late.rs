//! A step on a dead owner's lock that comes late (`sync/mutex.rs`, "A step that comes late"):
//! the thread slot goes round while the taker or reaper is stopped. Loom stops a thread
//! wherever it may; how often the slot goes round is the model's.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::world::{NEVER, World};
use crate::sync::mutex::{Mutex, Released};
use crate::sync::{Env, LifeArea, Mem, Owner, Pulse, Word, life};
use crate::table::threads::Threads;
use crate::width;

/// Slot of the thread that comes late; the slot of the others goes round.
const LATE: u16 = 1;
const LIVES: u32 = 7;

/// One thread slot, and a lock that its first holder has left behind.
struct Shared {
    threads: Threads<Loom, 1>,
    lock: Mutex<Loom>,
    inside: Cell<u32>,
    /// Bits of a generation that a name keeps.
    bits: u32,
}

impl Shared {
    fn new(bits: u32) -> Rc<Self> {
        let shared = Self {
            threads: Threads::default(),
            lock: Mutex::default(),
            inside: Cell::new(0),
            bits,
        };
        let first = shared.attach(life::OWNER_DIED);
        assert!(shared.lock.take_free(first).is_some());
        Rc::new(shared)
    }

    /// The name that locks know a thread by.
    fn name(&self, owner: Owner) -> Owner {
        let generation = owner.generation & width::mask(self.bits);
        Owner {
            generation,
            ..owner
        }
    }

    fn life(&self) -> &<Loom as Mem>::U32 {
        self.threads.get(0).expect("there is one").life.word()
    }

    fn attach(&self, life: u32) -> Owner {
        let owner = self.threads.attach(0).expect("it is free");
        self.life().store(life, Ordering::Release);
        assert!(self.threads.go_live(owner, 0));
        self.name(owner)
    }

    fn free(&self) {
        self.life().store(0, Ordering::Release);
        assert!(self.threads.free(0, self.threads.word(0)));
    }

    /// `threads` threads attach and end, after the first was settled; the last takes the lock.
    fn goes_round(&self, threads: u32) {
        let first = self.name(self.threads.word(0).owner(0));
        self.lock.hand_over(first);
        self.free();
        for _ in 1..threads {
            self.attach(LIVES);
            self.free();
        }
        let last = self.attach(LIVES);
        if let Ok(acquired) = self.lock.try_lock(last, self) {
            if acquired.previous_owner_died {
                self.lock.mark_consistent(last);
            }
            self.visit(last);
        }
    }

    /// Inside the lock.
    fn visit(&self, me: Owner) {
        self.inside.set(self.inside.get() + 1);
        assert_eq!(self.lock.owner(), Some(me), "somebody else owns it");
        self.inside.set(self.inside.get() - 1);
        assert_eq!(self.lock.unlock(me), Released::Freed);
    }
}

impl Env<Loom> for Shared {
    fn now(&self) -> u64 {
        NEVER
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    /// As `Threads::pulse_of_thread` has it, by as many bits as names have.
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Loom> {
        if owner.slot == LATE {
            return Pulse::Alive(None);
        }
        let word = self.threads.word(0);
        let is_its = word.is_live() && self.name(word.owner(0)) == owner;
        match is_its && !life::is_marked::<Loom>(self.life()) {
            true => Pulse::Alive(None),
            false => Pulse::Dead,
        }
    }
}

fn late_taker(world: &Rc<World>, bits: u32, threads: u32) {
    let shared = Shared::new(bits);
    let late = Rc::clone(&shared);
    world.spawn(move |_| {
        let me = Owner {
            slot: LATE,
            generation: 0,
        };
        if late.lock.try_lock(me, &*late).is_ok() {
            late.visit(me);
        }
    });
    world.spawn(move |_| shared.goes_round(threads));
    world.finish();
}

fn late_reaper(world: &Rc<World>, bits: u32, threads: u32) {
    let shared = Shared::new(bits);
    let late = Rc::clone(&shared);
    let first = shared.lock.owner().expect("it was left");
    world.spawn(move |_| {
        if let Pulse::Dead = late.thread_pulse(first) {
            late.lock.hand_over(first);
        }
    });
    world.spawn(move |_| shared.goes_round(threads));
    world.finish();
}

/// As often as narrow names take to come round, and one more than names of one bit.
const ROUND: u32 = 4;

#[cfg(not(feature = "narrow"))]
#[test]
fn a_late_taker_meets_no_second_owner() {
    for threads in [1, 2, ROUND] {
        Model::new("mutex, late taker")
            .bound(2)
            .check(move |world| late_taker(world, width::THREAD, threads));
    }
}

#[cfg(not(feature = "narrow"))]
#[test]
fn a_late_reaper_takes_nothing_from_the_living() {
    for threads in [1, 2, ROUND] {
        Model::new("mutex, late reaper")
            .bound(2)
            .check(move |world| late_reaper(world, width::THREAD, threads));
    }
}

/// Width is what guards these: the shipped code, with names of two bits.
#[cfg(feature = "narrow")]
#[test]
fn narrow_names_that_come_round_are_caught() {
    must_fail("mutex, late taker, narrow names", || {
        Model::new("variant")
            .bound(2)
            .check(|world| late_taker(world, width::THREAD, ROUND));
    });
    must_fail("mutex, late reaper, narrow names", || {
        Model::new("variant")
            .bound(2)
            .check(|world| late_reaper(world, width::THREAD, ROUND));
    });
    for threads in 1..ROUND {
        Model::new("mutex, late taker, before they come round")
            .bound(2)
            .check(move |world| late_taker(world, width::THREAD, threads));
    }
}

#[test]
fn names_of_one_bit_are_caught() {
    must_fail("mutex, late taker, names of one bit", || {
        Model::new("variant")
            .bound(2)
            .check(|world| late_taker(world, 1, 2));
    });
    must_fail("mutex, late reaper, names of one bit", || {
        Model::new("variant")
            .bound(2)
            .check(|world| late_reaper(world, 1, 2));
    });
}
