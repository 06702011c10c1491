//! Models of the robust lock (`sync/mutex.rs`): SYNC POINT mutex-handover.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, kill_sweep};
use super::world::{Actor, NEVER, World};
use crate::limits::LOCK_BOUNDS_MICROS;
use crate::sync::mutex::{Acquired, Busy, Mutex, NotLocked, Released};
use crate::sync::{Env, Pulse};

/// A lock and what it protects; loom reports a race on the cells.
#[derive(Default)]
struct Shared {
    mutex: Mutex<Loom>,
    count: Cell<u32>,
    inside: Cell<bool>,
}

impl Shared {
    fn lock(&self, actor: &Actor) -> Acquired {
        self.mutex
            .lock(actor.me(), actor.env(), NEVER)
            .expect("no deadline, no recursion")
    }

    /// One increment in two steps, under the lock.
    fn increment(&self, actor: &Actor) {
        let acquired = self.lock(actor);
        assert!(
            acquired.previous_owner_died || !self.inside.get(),
            "left half-done, not told"
        );
        if acquired.previous_owner_died {
            self.mutex.mark_consistent(actor.me());
        }
        self.inside.set(true);
        self.count.set(self.count.get() + 1);
        self.inside.set(false);
        assert_eq!(self.mutex.unlock(actor.me()), Released::Freed);
    }

    /// Takes the lock and gives it back without a step inside.
    fn visit(&self, actor: &Actor) {
        let acquired = self.lock(actor);
        assert!(!acquired.previous_owner_died);
        assert_eq!(self.mutex.unlock(actor.me()), Released::Freed);
    }
}

fn incrementers(world: &Rc<World>, threads: u32, rounds: u32) {
    let shared = Rc::new(Shared::default());
    for _ in 0..threads {
        let shared = Rc::clone(&shared);
        world.spawn(move |actor| (0..rounds).for_each(|_| shared.increment(actor)));
    }
    world.finish();
    assert_eq!(shared.count.get(), threads * rounds);
    assert_eq!(shared.mutex.owner(), None);
}

#[test]
fn two_threads_exclude_each_other() {
    Model::new("mutex, 2 threads").check(|world| incrementers(world, 2, 1));
    Model::new("mutex, 2 threads x 2")
        .bound(3)
        .check(|world| incrementers(world, 2, 2));
}

#[test]
fn three_threads_exclude_each_other_and_lose_no_wake_up() {
    Model::new("mutex, 3 threads")
        .bound(2)
        .check(|world| incrementers(world, 3, 1));
    Model::new("mutex, 3 threads, portable")
        .portable()
        .bound(1)
        .check(|world| incrementers(world, 3, 1));
}

#[test]
fn try_lock_never_waits_and_names_the_holder() {
    Model::new("mutex, try_lock").check(|world| {
        let shared = Rc::new(Shared::default());
        let holder = Rc::clone(&shared);
        world.spawn(move |actor| holder.increment(actor));
        let taker = Rc::clone(&shared);
        let first = world.owner(0);
        world.spawn(
            move |actor| match taker.mutex.try_lock(actor.me(), actor.env()) {
                Ok(acquired) => {
                    assert!(!acquired.previous_owner_died);
                    taker.count.set(taker.count.get() + 1);
                    let again = taker.mutex.try_lock(actor.me(), actor.env());
                    assert_eq!(again, Err(Busy::Recursive));
                    assert_eq!(taker.mutex.unlock(actor.me()), Released::Freed);
                }
                Err(busy) => assert_eq!(busy, Busy::Held(first)),
            },
        );
        world.finish();
    });
}

#[test]
fn waiter_that_times_out_passes_its_wake_up_on() {
    Model::new("mutex, 3 threads, one leaves")
        .bound(2)
        .check(|world| {
            let shared = Rc::new(Shared::default());
            let owner = Rc::clone(&shared);
            world.spawn(move |actor| (0..2).for_each(|_| owner.visit(actor)));
            let leaver = Rc::clone(&shared);
            world.spawn(move |actor| {
                let until = LOCK_BOUNDS_MICROS[0];
                match leaver.mutex.lock(actor.me(), actor.env(), until) {
                    Ok(_) => assert_eq!(leaver.mutex.unlock(actor.me()), Released::Freed),
                    Err(why) => assert!(matches!(why, NotLocked::TimedOut { .. }), "{why:?}"),
                }
            });
            let waiter = Rc::clone(&shared);
            world.spawn(move |actor| waiter.visit(actor));
            world.clock_moves(LOCK_BOUNDS_MICROS[0]);
            world.finish();
            assert_eq!(shared.mutex.owner(), None);
        });
}

/// The victim and two others increment; whoever is alive must finish.
fn dying_incrementer(world: &Rc<World>, survivors: u32) {
    let shared = Rc::new(Shared::default());
    let dying = Rc::clone(&shared);
    world.spawn_victim(move |actor| {
        let acquired = dying.lock(actor);
        assert!(!acquired.previous_owner_died, "nobody else dies");
        dying.inside.set(true);
        // A step inside, so that a kill can fall between the two stores.
        assert_eq!(dying.mutex.owner(), Some(actor.me()));
        dying.inside.set(false);
        assert_eq!(dying.mutex.unlock(actor.me()), Released::Freed);
    });
    for _ in 0..survivors {
        let shared = Rc::clone(&shared);
        world.spawn(move |actor| shared.increment(actor));
    }
    world.finish_in_time();
    assert_eq!(shared.count.get(), survivors);
    let left_to = shared.mutex.owner();
    assert!(
        left_to.is_none() || left_to == Some(world.owner(0)),
        "held by a survivor that is done"
    );
}

#[test]
fn lock_of_a_killed_thread_goes_on() {
    kill_sweep(Model::new("mutex, kill 1 of 2").bound(3), |_, world| {
        dying_incrementer(world, 1)
    });
    kill_sweep(Model::new("mutex, kill 1 of 3").bound(1), |_, world| {
        dying_incrementer(world, 2)
    });
}

#[test]
fn lock_of_a_killed_thread_goes_on_without_life_words() {
    kill_sweep(
        Model::new("mutex, kill 1 of 2, portable")
            .portable()
            .bound(2),
        |_, world| dying_incrementer(world, 1),
    );
}

#[test]
fn inconsistent_stays_told_until_marked_consistent() {
    Model::new("mutex, inconsistent").bound(1).check(|world| {
        let shared = Rc::new(Shared::default());
        let dying = Rc::clone(&shared);
        world.spawn(move |actor| {
            let _held = dying.lock(actor);
            dying.inside.set(true);
            actor.die();
        });
        for _ in 0..2 {
            let shared = Rc::clone(&shared);
            world.spawn(move |actor| {
                let acquired = shared.lock(actor);
                // Whoever meets the half-done state is told, also the second one.
                assert_eq!(acquired.previous_owner_died, shared.inside.get());
                assert_eq!(shared.mutex.unlock(actor.me()), Released::Freed);
            });
        }
        world.finish_in_time();
    });
}

#[test]
fn reaper_and_waiter_may_both_take_from_the_dead() {
    kill_sweep(Model::new("mutex, kill and reap").bound(1), |_, world| {
        let shared = Rc::new(Shared::default());
        let dying = Rc::clone(&shared);
        world.spawn_victim(move |actor| {
            let _acquired = dying.lock(actor);
            dying.inside.set(true);
            let _middle = dying.mutex.owner();
            dying.inside.set(false);
            assert_eq!(dying.mutex.unlock(actor.me()), Released::Freed);
        });
        let waiter = Rc::clone(&shared);
        world.spawn(move |actor| waiter.increment(actor));
        let reaped = Rc::clone(&shared);
        let dead = world.owner(0);
        world.spawn(move |actor| {
            if let Pulse::Dead = actor.env().thread_pulse(dead) {
                reaped.mutex.hand_over(dead);
                assert_ne!(reaped.mutex.owner(), Some(dead));
            }
        });
        world.finish_in_time();
        assert_eq!(shared.count.get(), 1);
    });
}
