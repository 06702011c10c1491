//! Models of the look for deadlocks (`table/waits.rs`): SYNC POINTs deadlock-look and
//! deadlock-mark.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::graph::cycle;
use crate::sync::Mem;
use crate::sync::mutex::{Acquired, CalledOff, Mutex, NotLocked, Released, Watch};
use crate::table::waits::{Waiter, Waits};

type Locks = [Mutex<Loom>; 3];

/// Locks and waits of a few threads.
#[derive(Default)]
struct Shared {
    locks: Locks,
    waits: Waits<Loom, 3>,
    /// How many gave up; not part of the model.
    victims: Cell<u32>,
}

impl Shared {
    /// Thread `slot` owns the lock of its number from the beginning.
    fn in_a_ring(world: &Rc<World>, threads: usize) -> Rc<Self> {
        let shared = Rc::new(Self::default());
        for slot in 0..threads {
            let _ = shared.locks[slot].lock(world.owner(slot), &**world, NEVER);
        }
        shared
    }

    fn waiter<'a>(&'a self, actor: &'a Actor, lock: usize) -> Waiter<'a, Loom, World, 3> {
        Waiter {
            waits: &self.waits,
            locks: &self.locks,
            env: actor.env(),
            me: actor.me(),
            lock,
            is_published: Cell::new(false),
            deadlock: RefCell::default(),
        }
    }

    fn lock(&self, actor: &Actor, lock: usize) -> Result<Acquired, NotLocked> {
        let waiter = self.waiter(actor, lock);
        let result = self.locks[lock].lock_watched(actor.me(), actor.env(), NEVER, &waiter);
        let cycle = waiter.end();
        assert_eq!(cycle.is_empty(), result != Err(NotLocked::CalledOff));
        result
    }

    fn unlock(&self, actor: &Actor, lock: usize) {
        assert_eq!(self.locks[lock].unlock(actor.me()), Released::Freed);
    }

    /// Takes the next lock of the ring, or gives up; then gives back what it has.
    fn take_next(&self, actor: &Actor, threads: usize) {
        let own = usize::from(actor.me().slot);
        let next = (own + 1) % threads;
        match self.lock(actor, next) {
            Ok(_) => self.unlock(actor, next),
            Err(why) => {
                assert_eq!(why, NotLocked::CalledOff);
                self.victims.set(self.victims.get() + 1);
            }
        }
        self.unlock(actor, own);
    }
}

fn ring(world: &Rc<World>, threads: usize) {
    let shared = Shared::in_a_ring(world, threads);
    for _ in 0..threads {
        let shared = Rc::clone(&shared);
        world.spawn(move |actor| shared.take_next(actor, threads));
    }
    world.finish();
    assert_eq!(shared.victims.get(), 1, "exactly one gives up");
    assert!(shared.locks.iter().all(|lock| lock.owner().is_none()));
}

#[test]
fn of_two_exactly_one_gives_up() {
    Model::new("deadlock of 2")
        .bound(3)
        .check(|world| ring(world, 2));
    Model::new("deadlock of 2, portable")
        .portable()
        .bound(2)
        .check(|world| ring(world, 2));
}

#[test]
fn of_three_exactly_one_gives_up() {
    Model::new("deadlock of 3")
        .bound(1)
        .check(|world| ring(world, 3));
}

#[test]
fn a_killed_member_harms_nobody() {
    kill_sweep(
        Model::new("deadlock of 2, kill one").bound(1),
        |_, world| {
            let shared = Shared::in_a_ring(world, 2);
            let dying = Rc::clone(&shared);
            world.spawn_victim(move |actor| dying.take_next(actor, 2));
            let survivor = Rc::clone(&shared);
            world.spawn(move |actor| survivor.take_next(actor, 2));
            world.finish_in_time();
            assert!(shared.victims.get() <= 1);
            // What the survivor gave back may have gone to the dead.
            let survivor = Some(world.owner(1));
            assert!(shared.locks.iter().all(|lock| lock.owner() != survivor));
        },
    );
}

/// One holds the first lock and wants the second; the other gives the second back before
/// it wants the first. There is no deadlock, though each edge is seen at some time.
fn hand_over_hand(
    world: &Rc<World>,
    lock: impl Fn(&Shared, &Actor, usize) -> Result<Acquired, NotLocked> + Clone + 'static,
) {
    let shared = Shared::in_a_ring(world, 2);
    let (first, take) = (Rc::clone(&shared), lock.clone());
    world.spawn(move |actor| {
        assert!(take(&first, actor, 1).is_ok(), "no deadlock");
        first.unlock(actor, 1);
        first.unlock(actor, 0);
    });
    world.spawn(move |actor| {
        shared.unlock(actor, 1);
        assert!(lock(&shared, actor, 0).is_ok(), "no deadlock");
        shared.unlock(actor, 0);
    });
    world.finish();
}

#[test]
fn what_only_looks_like_a_cycle_is_none() {
    Model::new("no deadlock, hand over hand")
        .bound(1)
        .check(|world| hand_over_hand(world, Shared::lock));
}

#[test]
fn publishing_without_a_fence_is_caught() {
    must_fail("deadlock, no fence after the want", || {
        Model::new("twin").bound(3).check(|world| {
            let shared = Shared::in_a_ring(world, 2);
            for _ in 0..2 {
                let shared = Rc::clone(&shared);
                world.spawn(move |actor| {
                    let own = usize::from(actor.me().slot);
                    let waiter = shared.waiter(actor, 1 - own);
                    shared.waits.write(actor.me(), 1 - own, 0);
                    waiter.is_published.set(true);
                    let word = &shared.locks[1 - own];
                    if word
                        .lock_watched(actor.me(), actor.env(), NEVER, &waiter)
                        .is_ok()
                    {
                        shared.unlock(actor, 1 - own);
                    }
                    waiter.end();
                    shared.unlock(actor, own);
                });
            }
            world.finish();
        });
    });
}

/// Believes the first walk.
struct Hasty<'a>(Waiter<'a, Loom, World, 3>, &'a Shared);

impl Watch<Loom> for Hasty<'_> {
    fn before_sleep(&self) -> Result<Option<(<Loom as Mem>::Cell<'_>, u32)>, CalledOff> {
        let edge = |owner| self.1.waits.edge(owner, &self.1.locks);
        if !self.0.is_published.get() {
            return self.0.before_sleep();
        }
        let start = edge(self.0.me).ok_or(CalledOff)?;
        match cycle::back_to(start, 3, |seen| edge(seen.holder)) {
            Some(_) => Err(CalledOff),
            None => Ok(None),
        }
    }
}

#[test]
fn believing_one_walk_is_caught() {
    must_fail("deadlock, one walk only", || {
        Model::new("twin").bound(3).check(|world| {
            hand_over_hand(world, |shared, actor, lock| {
                let waiter = shared.waiter(actor, lock);
                shared.waits.write(actor.me(), lock, 0);
                Loom::fence(core::sync::atomic::Ordering::SeqCst);
                waiter.is_published.set(true);
                let hasty = Hasty(waiter, shared);
                let word = &shared.locks[lock];
                let result = word.lock_watched(actor.me(), actor.env(), NEVER, &hasty);
                let _ = hasty.0.end();
                result
            });
        });
    });
}
