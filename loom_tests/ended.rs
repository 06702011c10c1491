//! Models of freeing the slot of a thread that has ended (`table/threads.rs`): SYNC POINT
//! thread-ended.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::World;
use crate::sync::mutex::{Mutex, Released};
use crate::sync::{LifeArea, Owner, Word, life};
use crate::table::threads::Threads;
use crate::table::waits::Waits;

const LIVES: u32 = 7;

/// One thread slot, and what its holder has.
#[derive(Default)]
struct Shared {
    threads: Threads<Loom, 1>,
    waits: Waits<Loom, 1>,
    lock: Mutex<Loom>,
    /// How many freed it; not part of the model.
    freed: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As shipped.
    Exact,
    /// Frees whatever word is there.
    FreesBlindly,
    /// Clears the wait that is there, if it was the dead thread's when it was read.
    ClearsBlindly,
}

impl Shared {
    /// Its thread has ended; it held the lock, and waited for another.
    fn of_the_ended() -> Rc<Self> {
        let shared = Self::default();
        let owner = shared.attach(life::OWNER_DIED).expect("it is free");
        assert!(shared.lock.take_free(owner).is_some());
        shared.waits.write(owner, 0, 0);
        Rc::new(shared)
    }

    fn attach(&self, life: u32) -> Option<Owner> {
        let owner = self.threads.attach(0)?;
        let area = &self.threads.get(0)?.life;
        area.word().store(life, Ordering::Release);
        assert!(self.threads.go_live(owner, 0), "somebody freed it");
        Some(owner)
    }

    /// What a thread without a slot does for itself.
    fn free(&self, manner: Manner) {
        let hand_over = |dead: Owner| {
            if manner == Manner::ClearsBlindly {
                self.waits.clear_dead_blindly(dead);
            } else {
                let is_still = || self.threads.word(0).is_of(dead);
                self.waits.clear_dead(dead, is_still);
            }
            self.lock.hand_over(dead);
            if manner == Manner::FreesBlindly {
                self.threads.free_blindly(0);
            }
        };
        let freed = self.threads.free_ended(|_, _| false, hand_over);
        self.freed.set(self.freed.get() + freed);
    }

    /// The life of the next holder, if the slot is free already.
    fn live(&self, env: &World) -> bool {
        let Some(me) = self.attach(LIVES) else {
            return false;
        };
        assert!(self.waits.is_clear(0), "the wait of the dead was left");
        self.waits.write(me, 1, 0);
        let acquired = self.lock.try_lock(me, env).expect("it was handed over");
        assert!(acquired.previous_owner_died);
        assert!(self.waits.of(me).is_some(), "its wait was cleared");
        assert_eq!(self.lock.unlock(me), Released::Freed);
        self.waits.clear(me);
        let mine = self.threads.word(0);
        assert!(mine.is_of(me), "its slot was freed");
        assert!(self.threads.free(0, mine));
        true
    }
}

fn two_free_and_one_attaches(world: &Rc<World>, manner: Manner) {
    let shared = Shared::of_the_ended();
    let has_lived = Rc::new(Cell::new(false));
    for _ in 0..2 {
        let shared = Rc::clone(&shared);
        world.spawn(move |_| shared.free(manner));
    }
    let (next, lived) = (Rc::clone(&shared), Rc::clone(&has_lived));
    world.spawn(move |actor| lived.set(next.live(actor.env())));
    world.finish();
    if manner == Manner::Exact {
        assert_eq!(shared.freed.get(), 1, "one has freed it");
    }
    let word = shared.threads.word(0);
    let generation = 1 + u64::from(has_lived.get());
    assert!(word.is_free() && word.generation() == generation);
    assert_eq!(shared.lock.owner(), None);
}

#[test]
fn a_slot_of_the_ended_is_freed_once_and_its_next_holder_is_left_alone() {
    Model::new("thread ended, 2 free, 1 attaches")
        .bound(2)
        .check(|world| two_free_and_one_attaches(world, Manner::Exact));
}

#[test]
fn freeing_whatever_is_there_is_caught() {
    must_fail("thread ended, freed by a store", || {
        Model::new("variant")
            .bound(2)
            .check(|world| two_free_and_one_attaches(world, Manner::FreesBlindly));
    });
}

#[test]
fn clearing_whatever_is_there_is_caught() {
    must_fail("thread ended, its wait cleared by a store", || {
        Model::new("variant")
            .bound(2)
            .check(|world| two_free_and_one_attaches(world, Manner::ClearsBlindly));
    });
}

/// A process that is killed at any point while it frees leaves all of it to the next one.
#[test]
fn a_freer_killed_anywhere_leaves_it_to_the_next() {
    kill_sweep(
        Model::new("thread ended, freer killed").bound(2),
        |_, world| {
            let shared = Shared::of_the_ended();
            let dies = Rc::clone(&shared);
            world.spawn_victim(move |_| dies.free(Manner::Exact));
            let frees = Rc::clone(&shared);
            world.spawn(move |_| frees.free(Manner::Exact));
            world.finish_in_time();
            world.spawn(move |actor| assert!(shared.live(actor.env()), "it is lost"));
            world.finish_in_time();
        },
    );
}
