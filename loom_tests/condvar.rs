//! Models of the condition variable (`sync/condvar.rs`): SYNC POINT condvar-sleepers.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::sync::Env;
use crate::sync::condvar::Condvar;
use crate::sync::mutex::{Mutex, Released};

/// A number of permits under a lock.
#[derive(Default)]
struct Permits {
    mutex: Mutex<Loom>,
    changed: Condvar<Loom>,
    count: Cell<u32>,
}

impl Permits {
    fn lock(&self, actor: &Actor) {
        let _acquired = self.mutex.lock(actor.me(), actor.env(), NEVER).unwrap();
    }

    fn unlock(&self, actor: &Actor) {
        assert_eq!(self.mutex.unlock(actor.me()), Released::Freed);
    }

    fn take(&self, actor: &Actor) {
        self.lock(actor);
        while self.count.get() == 0 {
            let awake = self
                .changed
                .wait(&self.mutex, actor.me(), actor.env(), NEVER, &())
                .unwrap();
            assert!(!awake.timed_out);
        }
        self.count.set(self.count.get() - 1);
        self.unlock(actor);
    }

    fn give(&self, actor: &Actor, permits: u32) {
        self.lock(actor);
        self.count.set(self.count.get() + permits);
        self.unlock(actor);
    }
}

fn takers(world: &Rc<World>, permits: &Rc<Permits>, threads: usize) {
    for _ in 0..threads {
        let permits = Rc::clone(permits);
        world.spawn(move |actor| permits.take(actor));
    }
}

#[test]
fn notified_waiter_wakes() {
    Model::new("condvar, 1 waiter, 1 notifier")
        .bound(3)
        .check(|world| {
            let permits = Rc::new(Permits::default());
            takers(world, &permits, 1);
            world.spawn(move |actor| {
                permits.give(actor, 1);
                permits.changed.notify_one();
            });
            world.finish();
        });
}

#[test]
fn notify_all_wakes_all() {
    Model::new("condvar, 2 waiters, notify_all")
        .bound(1)
        .check(|world| {
            let permits = Rc::new(Permits::default());
            takers(world, &permits, 2);
            world.spawn(move |actor| {
                permits.give(actor, 2);
                permits.changed.notify_all();
            });
            world.finish();
        });
}

#[test]
fn each_notify_one_wakes_one() {
    Model::new("condvar, 2 waiters, notify_one x 2")
        .bound(1)
        .check(|world| {
            let permits = Rc::new(Permits::default());
            takers(world, &permits, 2);
            world.spawn(move |actor| {
                for _ in 0..2 {
                    permits.give(actor, 1);
                    permits.changed.notify_one();
                }
            });
            world.finish();
        });
}

#[test]
fn deadline_ends_the_wait_with_the_lock_held() {
    Model::new("condvar, deadline").bound(2).check(|world| {
        let permits = Rc::new(Permits::default());
        let other = Rc::clone(&permits);
        world.spawn(move |actor| {
            permits.lock(actor);
            loop {
                let awake = permits
                    .changed
                    .wait(&permits.mutex, actor.me(), actor.env(), 7, &())
                    .unwrap();
                assert_eq!(permits.mutex.owner(), Some(actor.me()));
                if awake.timed_out {
                    break;
                }
            }
            assert!(actor.env().now() >= 7);
            permits.unlock(actor);
        });
        world.spawn(move |actor| other.give(actor, 0));
        world.finish_in_time();
    });
}

#[test]
fn killed_notifier_does_not_hold_the_waiter() {
    kill_sweep(
        Model::new("condvar, notifier killed").bound(2),
        |_, world| {
            let permits = Rc::new(Permits::default());
            let dying = Rc::clone(&permits);
            world.spawn_victim(move |actor| {
                dying.give(actor, 1);
                dying.changed.notify_one();
            });
            let notifier = world.owner(0);
            world.spawn(move |actor| {
                permits.lock(actor);
                while permits.count.get() == 0 {
                    if let crate::sync::Pulse::Dead = actor.env().thread_pulse(notifier) {
                        break;
                    }
                    let _awake = permits
                        .changed
                        .wait(&permits.mutex, actor.me(), actor.env(), NEVER, &())
                        .unwrap();
                }
                permits.unlock(actor);
            });
            world.finish_in_time();
        },
    );
}

#[test]
fn killed_waiter_does_not_hold_the_other() {
    kill_sweep(Model::new("condvar, waiter killed").bound(1), |_, world| {
        let permits = Rc::new(Permits::default());
        let dying = Rc::clone(&permits);
        world.spawn_victim(move |actor| dying.take(actor));
        takers(world, &permits, 1);
        world.spawn(move |actor| {
            permits.give(actor, 2);
            permits.changed.notify_one();
            permits.changed.notify_one();
        });
        world.finish_in_time();
    });
}

mod twins {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::loom_tests::memory::U32;
    use crate::sync::mem::{Mem, Word};

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        /// Raises the sleepers flag only after the lock is free.
        LateFlag,
        /// Wakes without moving the sequence.
        StillSequence,
    }

    fn check(flaw: Flaw) {
        Model::new("twin").bound(3).check(move |world| {
            let permits = Rc::new(Permits::default());
            let word = Rc::new(U32::default());
            let (mine, on) = (Rc::clone(&permits), Rc::clone(&word));
            world.spawn(move |actor| {
                mine.lock(actor);
                while mine.count.get() == 0 {
                    let early = if flaw == Flaw::LateFlag {
                        0
                    } else {
                        on.fetch_or(1, Ordering::Relaxed) | 1
                    };
                    mine.unlock(actor);
                    let late = on.fetch_or(1, Ordering::Relaxed) | 1;
                    let noted = if flaw == Flaw::LateFlag { late } else { early };
                    Loom::wait(Loom::cell(&on), noted, NEVER);
                    mine.lock(actor);
                }
                mine.unlock(actor);
            });
            world.spawn(move |actor| {
                permits.give(actor, 1);
                if word.load(Ordering::Relaxed) & 1 != 0 {
                    if flaw != Flaw::StillSequence {
                        word.fetch_add(2, Ordering::Relaxed);
                    }
                    Loom::wake(Loom::cell(&word), 1);
                }
            });
            world.finish();
        });
    }

    #[test]
    fn flag_raised_after_the_unlock_is_caught() {
        must_fail("condvar, flag raised after the unlock", || {
            check(Flaw::LateFlag)
        });
    }

    #[test]
    fn sequence_that_stands_still_is_caught() {
        must_fail("condvar, sequence stands still", || {
            check(Flaw::StillSequence)
        });
    }
}
