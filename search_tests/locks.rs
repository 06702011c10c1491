//! Taking the lock of a dead thread over, while its slot gets other holders (F6).
//!
//! Two threads are never inside at once.

use std::rc::Rc;

use super::adapters::Thread;
use super::memory::Searched;
use super::model::{Model, scaled};
use super::system::Mortal;
use super::world::{Actor, Ghost, World};
use crate::sync::Owner;
use crate::sync::mutex::{Mutex, Released};
use crate::width;

/// Threads after which the generation of a narrow slot is the same again.
const WRAP: u64 = 4;
const IS_NARROW: bool = width::THREAD <= 2;

/// The lock, and who is inside.
struct Locked {
    threads: Rc<Thread>,
    lock: Rc<Mutex<Searched>>,
    inside: Rc<Ghost>,
}

impl Locked {
    fn new(world: &mut World) -> Rc<Self> {
        Rc::new(Self {
            threads: Thread::new(world),
            lock: world.table("lock", &["word"], Mutex::default),
            inside: world.ghost("inside"),
        })
    }

    fn enter(&self, me: Owner) -> bool {
        let is_in = self.lock.try_lock(me, &*self.threads).is_ok();
        if is_in {
            assert_eq!(self.inside.add(1), 0, "two threads are inside");
        }
        is_in
    }

    fn leave(&self, me: Owner) {
        self.inside.set(0);
        assert_eq!(self.lock.unlock(me), Released::Freed);
    }

    /// A thread takes slot 0, enters, leaves and ends.
    fn pass(&self, actor: &Actor, stays: bool) {
        let Some(me) = actor.call("attach", || self.threads.attach()) else {
            return;
        };
        let is_in = actor.call("enter", || self.enter(me));
        if is_in {
            // As the user does who has repaired what the lock protects.
            actor.call("mark consistent", || self.lock.mark_consistent(me));
        }
        if is_in && !stays {
            actor.call("leave", || self.leave(me));
        }
        if !stays {
            actor.call("end", || self.threads.end(me));
        }
    }
}

/// A thread dies inside; one that takes its lock over is stopped, and `threads` other
/// threads take the dead one's slot in turn. The last of them stays inside.
fn takeover(world: &mut World, threads: u64) {
    let locked = Locked::new(world);
    let shared = Rc::clone(&locked);
    world
        .actor("victim", move |me| {
            let owner = me.call("attach", || shared.threads.attach()).unwrap();
            // It stays inside until it dies; `inside` counts the others.
            me.call("enter", || {
                shared.lock.try_lock(owner, &*shared.threads).is_ok()
            });
        })
        .mortal(Mortal::Thread);
    let shared = Rc::clone(&locked);
    world.actor("taker", move |me| {
        // The victim comes first: it has slot 0.
        if shared.threads.threads.word(0).is_live() {
            let owner = me.call("attach", || shared.threads.attach()).unwrap();
            me.call("enter", || shared.enter(owner));
        }
    });
    world.actor("others", move |me| {
        if me.call("sweep", || locked.threads.sweep(&locked.lock)) == 0 {
            return;
        }
        for thread in 1..=threads {
            me.state_is(thread);
            locked.pass(me, thread == threads);
        }
    });
}

#[test]
fn one_that_takes_a_lock_over_is_stopped() {
    let model = |name: &str| Model::new(name).kills(1);
    model("lock takeover, 2 threads").holds(|world| takeover(world, 2));
    let around = model("lock takeover, the generation of the slot wraps if it is narrow");
    match IS_NARROW {
        true => drop(around.must_be_found(|world| takeover(world, WRAP))),
        false => around.holds(|world| takeover(world, WRAP)),
    }
}

/// A thread dies inside; `freers` others free what it leaves, and another one attaches and locks.
fn freers(world: &mut World, freers: usize) {
    let locked = Locked::new(world);
    let shared = Rc::clone(&locked);
    let victim = world.actor("victim", move |me| {
        let owner = me.call("attach", || shared.threads.attach()).unwrap();
        me.call("enter", || {
            shared.lock.try_lock(owner, &*shared.threads).is_ok()
        });
    });
    victim.mortal(Mortal::Thread);
    for freer in 0..freers {
        let shared = Rc::clone(&locked);
        world.actor(&format!("freer {freer}"), move |me| {
            me.call("sweep", || shared.threads.sweep(&shared.lock));
        });
    }
    world.actor("next", move |me| {
        for thread in 0..2 {
            me.state_is(thread);
            locked.pass(me, false);
        }
    });
}

#[test]
fn what_a_dead_thread_leaves_is_freed_by_anybody() {
    let model = |name: &str| Model::new(name).kills(1);
    model("ended thread, 1 frees").holds(|world| freers(world, 1));
    let two = model("ended thread, 2 free").stops(scaled(3, 6));
    two.holds(|world| freers(world, 2));
}
