//! Models of a condition variable one of whose sleepers waits for other things besides, and
//! is not there any more when it is woken (`sync/condvar.rs`, SHARED). The clock stands
//! still, except where somebody is killed.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::{Loom, U32};
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::condvar::Condvar;
use crate::sync::mutex::{Mutex, Released};
use crate::sync::{Env, Mem, Word};

#[derive(Default)]
struct Shared {
    mutex: Mutex<Loom>,
    changed: Condvar<Loom>,
    permits: Cell<u32>,
    /// What the thread of the task waits for besides.
    inbox: U32,
}

impl Shared {
    fn lock(&self, actor: &Actor) {
        let _acquired = self.mutex.lock(actor.me(), actor.env(), NEVER).unwrap();
    }

    fn unlock(&self, actor: &Actor) {
        assert_eq!(self.mutex.unlock(actor.me()), Released::Freed);
    }

    /// A thread that waits here only.
    fn take(&self, actor: &Actor) {
        self.lock(actor);
        while self.permits.get() == 0 {
            let awake = self
                .changed
                .wait(&self.mutex, actor.me(), actor.env(), NEVER, &());
            assert!(awake.is_ok());
        }
        self.permits.set(self.permits.get() - 1);
        self.unlock(actor);
    }

    /// One permit, for whoever waits.
    fn give(&self, actor: &Actor) {
        self.lock(actor);
        self.permits.set(self.permits.get() + 1);
        self.unlock(actor);
        self.changed.notify_one();
    }

    /// Waits as a task does, with other things, and is dropped as soon as its thread wakes
    /// up, whatever woke it.
    fn wait_and_be_dropped(&self, actor: &Actor, note: fn(&Condvar<Loom>) -> u32) {
        self.lock(actor);
        let noted = note(&self.changed);
        self.unlock(actor);
        if !self.changed.is_notified(noted) {
            let until = actor.env().now() + WAIT_BOUND_MICROS;
            let cells = [(self.changed.cell(), noted), (Loom::cell(&self.inbox), 0)];
            Loom::wait_any(&cells, until);
        }
    }
}

/// A task that is dropped, a thread that waits, and one notification.
fn one_is_dropped(world: &Rc<World>, note: fn(&Condvar<Loom>) -> u32) {
    let shared = Rc::new(Shared::default());
    let [task, taker, giver] = [(); 3].map(|()| Rc::clone(&shared));
    world.spawn(move |actor| task.wait_and_be_dropped(actor, note));
    world.spawn(move |actor| taker.take(actor));
    world.spawn(move |actor| {
        giver.give(actor);
        // Lets the task go, if nothing else did.
        giver.inbox.store(1, core::sync::atomic::Ordering::Release);
        Loom::wake(Loom::cell(&giver.inbox), 1);
    });
    world.finish();
    assert_eq!(shared.permits.get(), 0);
}

#[test]
fn a_dropped_task_swallows_no_notification() {
    Model::new("condvar, a dropped task, a waiter, notify_one")
        .bound(2)
        .check(|world| one_is_dropped(world, Condvar::note_shared));
}

#[test]
fn without_the_flag_the_notification_is_lost() {
    must_fail("condvar, a dropped task that set no flag", || {
        Model::new("twin")
            .bound(2)
            .check(|world| one_is_dropped(world, Condvar::note_as_if_alone));
    });
}

/// The next notification after one that cleared the flags reaches a thread that came
/// meanwhile, though the task's thread was queued before it.
#[test]
fn two_notifications_reach_two() {
    Model::new("condvar, a dropped task, a waiter, notify_one x 2")
        .bound(1)
        .check(|world| {
            let shared = Rc::new(Shared::default());
            let [task, giver] = [(); 2].map(|()| Rc::clone(&shared));
            world.spawn(move |actor| task.wait_and_be_dropped(actor, Condvar::note_shared));
            for _ in 0..2 {
                let taker = Rc::clone(&shared);
                world.spawn(move |actor| taker.take(actor));
            }
            world.spawn(move |actor| {
                giver.give(actor);
                giver.give(actor);
                giver.inbox.store(1, core::sync::atomic::Ordering::Release);
                Loom::wake(Loom::cell(&giver.inbox), 1);
            });
            world.finish();
        });
}

#[test]
fn a_killed_task_keeps_nobody() {
    kill_sweep(Model::new("condvar, a task killed").bound(1), |_, world| {
        let shared = Rc::new(Shared::default());
        let [task, taker, giver] = [(); 3].map(|()| Rc::clone(&shared));
        world.spawn_victim(move |actor| task.wait_and_be_dropped(actor, Condvar::note_shared));
        world.spawn(move |actor| taker.take(actor));
        world.spawn(move |actor| giver.give(actor));
        world.finish_in_time();
    });
}
