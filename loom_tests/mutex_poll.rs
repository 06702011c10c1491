//! Models of a lock waited for by one that sleeps elsewhere (`sync/mutex_poll.rs`), and of
//! its giving up. Time passes in the kill sweep only; else wake-ups alone get anybody on.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::limits::LOCK_BOUNDS_MICROS;
use crate::sync::mem::ALL;
use crate::sync::mutex::{Mutex, Released};
use crate::sync::mutex_poll::Polled;
use crate::sync::{Env, Mem, Word};

#[derive(Default)]
struct Shared {
    mutex: Mutex<Loom>,
    count: Cell<u32>,
    /// The look of the sleeper was dropped by another thread.
    gone: <Loom as Mem>::U32,
    /// The inbox of the sleeper, which moves last.
    inbox: <Loom as Mem>::U32,
}

impl Shared {
    fn visit(&self, actor: &Actor) {
        let acquired = self.mutex.lock(actor.me(), actor.env(), NEVER);
        assert!(acquired.is_ok());
        self.inside(actor);
    }

    fn inside(&self, actor: &Actor) {
        self.count.set(self.count.get() + 1);
        assert_eq!(self.mutex.unlock(actor.me()), Released::Freed);
    }

    /// Looks and sleeps up to `looks` times. True if the lock was taken (and given back).
    fn poll(&self, actor: &Actor, looks: u32) -> bool {
        for _ in 0..looks {
            match self.mutex.poll(actor.me(), actor.env()) {
                Polled::Taken(_) => {
                    self.inside(actor);
                    return true;
                }
                Polled::Asleep { on, life } => {
                    let lock = (self.mutex.cell(), on);
                    // The bound is for a thread killed between its store and its wake.
                    let until = actor.env().now() + LOCK_BOUNDS_MICROS[2];
                    match life {
                        Some((word, armed)) => {
                            Loom::wait_any(&[lock, (Loom::cell(word), armed)], until)
                        }
                        None => Loom::wait(lock.0, lock.1, until),
                    };
                }
                Polled::Recursive | Polled::Corrupt { .. } => unreachable!(),
            }
        }
        false
    }
}

#[test]
fn a_poller_and_a_locker_lose_no_wake_up() {
    Model::new("mutex, 1 polls, 1 locks")
        .bound(3)
        .check(|world| {
            let shared = Rc::new(Shared::default());
            let (locks, polls) = (Rc::clone(&shared), Rc::clone(&shared));
            world.spawn(move |actor| locks.visit(actor));
            world.spawn(move |actor| assert!(polls.poll(actor, u32::MAX)));
            world.finish();
            assert_eq!(shared.count.get(), 2);
        });
}

/// One visits, one waits, and one gives up after it has slept (and perhaps been woken).
fn one_gives_up(world: &Rc<World>, give_up: fn(&Mutex<Loom>)) {
    let shared = Rc::new(Shared::default());
    let owner = Rc::clone(&shared);
    world.spawn(move |actor| owner.visit(actor));
    let leaver = Rc::clone(&shared);
    world.spawn(move |actor| {
        if !leaver.poll(actor, 1) {
            give_up(&leaver.mutex);
        }
    });
    let waiter = Rc::clone(&shared);
    world.spawn(move |actor| waiter.visit(actor));
    world.finish();
    assert_eq!(shared.mutex.owner(), None);
}

#[test]
fn one_that_gives_up_passes_its_wake_up_on() {
    Model::new("mutex, 1 gives up of 3")
        .bound(2)
        .check(|world| one_gives_up(world, Mutex::give_up));
}

#[test]
fn giving_up_without_a_word_is_caught() {
    must_fail("mutex, gives up silently", || {
        Model::new("mutex, gives up silently")
            .bound(2)
            .check(|world| one_gives_up(world, |_| ()));
    });
}

impl Shared {
    /// The waiting thread: looks as long as its look is there, asleep on the lock and on its
    /// inbox at once, and leaves in its manner when that tells it so.
    fn sleep_for_a_look(&self, actor: &Actor, leave: fn(&Mutex<Loom>)) {
        loop {
            let seen = self.inbox.load(Ordering::Acquire);
            if seen != 0 {
                return leave(&self.mutex);
            }
            let inbox = (Loom::cell(&self.inbox), seen);
            if self.gone.load(Ordering::Acquire) != 0 {
                Loom::wait(inbox.0, inbox.1, NEVER);
                continue;
            }
            match self.mutex.poll(actor.me(), actor.env()) {
                Polled::Taken(_) => return self.inside(actor),
                Polled::Asleep { on, life } => {
                    let lock = (self.mutex.cell(), on);
                    match life {
                        Some((word, armed)) => {
                            Loom::wait_any(&[inbox, lock, (Loom::cell(word), armed)], NEVER)
                        }
                        None => Loom::wait_any(&[inbox, lock], NEVER),
                    };
                }
                Polled::Recursive | Polled::Corrupt { .. } => unreachable!(),
            }
        }
    }

    /// Whoever drops the future; it holds the lock, and gives it back before the inbox moves.
    fn drop_the_look(&self, actor: &Actor) {
        let acquired = self.mutex.lock(actor.me(), actor.env(), NEVER);
        assert!(acquired.is_ok());
        self.gone.store(1, Ordering::Release);
        self.mutex.give_up();
        self.inside(actor);
        self.inbox.store(1, Ordering::Release);
        Loom::wake(Loom::cell(&self.inbox), ALL);
    }
}

/// One waits, one sleeps for a look, and the owner, another thread, drops that look.
fn another_drops(world: &Rc<World>, leave: fn(&Mutex<Loom>)) {
    let shared = Rc::new(Shared::default());
    let (sleeper, waiter) = (Rc::clone(&shared), Rc::clone(&shared));
    let dropper = Rc::clone(&shared);
    world.spawn(move |actor| sleeper.sleep_for_a_look(actor, leave));
    world.spawn(move |actor| waiter.visit(actor));
    world.spawn(move |actor| dropper.drop_the_look(actor));
    world.finish();
    assert_eq!(shared.mutex.owner(), None);
}

#[test]
fn a_sleeper_whose_look_another_dropped_passes_its_wake_up_on() {
    Model::new("mutex, 1 sleeps, another drops")
        .bound(2)
        .check(|world| another_drops(world, Mutex::give_up));
}

#[test]
fn a_dropper_that_alone_gives_up_is_caught() {
    must_fail("mutex, only the dropper gives up", || {
        Model::new("mutex, only the dropper gives up")
            .bound(2)
            .check(|world| another_drops(world, |_| ()));
    });
}

#[test]
fn a_poller_gets_the_lock_of_a_killed_thread() {
    kill_sweep(Model::new("mutex, kill 1, 1 polls").bound(2), |_, world| {
        let shared = Rc::new(Shared::default());
        let (dies, polls) = (Rc::clone(&shared), Rc::clone(&shared));
        world.spawn_victim(move |actor| {
            let acquired = dies.mutex.lock(actor.me(), actor.env(), NEVER);
            assert!(acquired.is_ok());
            assert_eq!(dies.mutex.unlock(actor.me()), Released::Freed);
        });
        world.spawn(move |actor| assert!(polls.poll(actor, u32::MAX)));
        world.finish_in_time();
    });
}
