//! Models of the semaphore (`table/semaphore.rs`): SYNC POINT semaphore-signal.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER};
use crate::table::semaphore::Semaphore;

/// A semaphore and how many are inside.
struct Room<const N: usize> {
    semaphore: Semaphore<Loom, N>,
    inside: std::cell::Cell<usize>,
    /// Under proof only where there is one permit.
    data: Cell<u32>,
}

fn room<const N: usize>() -> Rc<Room<N>> {
    let semaphore = Semaphore::default();
    semaphore.fix(N as u32).unwrap();
    Rc::new(Room {
        semaphore,
        inside: std::cell::Cell::new(0),
        data: Cell::new(0),
    })
}

impl<const N: usize> Room<N> {
    fn visit(&self, actor: &Actor) {
        let taken = self.semaphore.acquire(actor.me(), actor.env(), NEVER);
        let permit = taken.unwrap().expect("there is no deadline");
        self.inside.set(self.inside.get() + 1);
        assert!(self.inside.get() <= N, "too many inside");
        if N == 1 {
            self.data.set(self.data.get() + 1);
        }
        self.inside.set(self.inside.get() - 1);
        self.semaphore.release(permit, actor.me());
    }
}

#[test]
fn one_permit_excludes_and_no_wake_up_is_lost() {
    Model::new("semaphore, 1 permit, 2 threads")
        .bound(2)
        .check(|world| {
            let room = room::<1>();
            for _ in 0..2 {
                let room = Rc::clone(&room);
                world.spawn(move |actor| room.visit(actor));
            }
            world.finish();
        });
}

#[test]
fn three_threads_share_two_permits() {
    Model::new("semaphore, 2 permits, 3 threads")
        .bound(1)
        .check(|world| {
            let room = room::<2>();
            for _ in 0..3 {
                let room = Rc::clone(&room);
                world.spawn(move |actor| room.visit(actor));
            }
            world.finish();
        });
}

/// All permits are taken by who dies, unless the survivor was there first. To sleep it must
/// come after all of them and before the first death: as many preemptions as there are.
fn holders_die<const N: usize>(bound: usize) {
    Model::new("semaphore, all holders die")
        .bound(bound)
        .check(|world| {
            let room = room::<N>();
            for _ in 0..N {
                let room = Rc::clone(&room);
                world.spawn(move |actor| {
                    let taken = room.semaphore.try_acquire(actor.me(), actor.env());
                    // Dies with the permit, if the survivor left one.
                    if taken.unwrap().is_some() {
                        actor.die();
                    }
                });
            }
            world.spawn(move |actor| {
                let taken = room.semaphore.acquire(actor.me(), actor.env(), NEVER);
                assert!(taken.unwrap().is_some());
            });
            world.finish();
        });
}

#[test]
fn a_holders_death_wakes_who_waits_without_any_time() {
    holders_die::<1>(1);
}

#[test]
fn the_death_of_any_holder_wakes_who_waits_without_any_time() {
    holders_die::<2>(2);
}

#[test]
fn who_is_killed_anywhere_takes_no_permit_along() {
    for portable in [false, true] {
        let model = Model::new("semaphore, killed").bound(1);
        let model = if portable { model.portable() } else { model };
        kill_sweep(model, |_, world| {
            let room = room::<1>();
            let dying = Rc::clone(&room);
            world.spawn_victim(move |actor| {
                let taken = dying.semaphore.acquire(actor.me(), actor.env(), NEVER);
                dying.semaphore.release(taken.unwrap().unwrap(), actor.me());
            });
            world.spawn(move |actor| {
                let taken = room.semaphore.acquire(actor.me(), actor.env(), NEVER);
                let permit = taken.unwrap().expect("it comes back");
                room.semaphore.release(permit, actor.me());
            });
            world.finish_in_time();
        });
    }
}

#[test]
fn a_reapers_step_gives_the_permit_to_who_waits() {
    Model::new("semaphore, handed over")
        .bound(2)
        .check(|world| {
            let room = room::<1>();
            let holder = world.owner(3);
            let reaper = Rc::clone(&room);
            world.spawn(move |actor| {
                let taken = room.semaphore.acquire(actor.me(), actor.env(), NEVER);
                assert!(taken.unwrap().is_some());
            });
            world.spawn(move |_| reaper.semaphore.hand_over(holder));
            world.finish();
        });
}

mod twins {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::loom_tests::memory::U32;
    use crate::sync::Env;
    use crate::sync::mem::{ALL, Mem, Next, Word};

    /// The usual semaphore: a count and a flag.
    #[derive(Default)]
    struct Count {
        word: U32,
        waiters: U32,
    }

    impl Count {
        fn acquire(&self, actor: &Actor) {
            loop {
                let waiters = self.waiters.fetch_or(1, Ordering::AcqRel) | 1;
                let taken = self.word.update(|count| match count {
                    0 => Next::Store(1, true),
                    _ => Next::Leave(false),
                });
                if taken {
                    return;
                }
                let until = actor.env().now() + 1;
                Loom::wait(Loom::cell(&self.waiters), waiters, until);
                assert!(actor.env().now() < 20, "the permit never comes back");
            }
        }

        fn release(&self) {
            self.word.store(0, Ordering::Release);
            self.waiters.swap(0, Ordering::AcqRel);
            Loom::wake(Loom::cell(&self.waiters), ALL);
        }
    }

    #[test]
    fn a_count_that_dies_with_its_holder_is_caught() {
        must_fail("semaphore, a count instead of owners", || {
            kill_sweep(Model::new("twin").bound(1), |_, world| {
                let count = Rc::new(Count::default());
                let dying = Rc::clone(&count);
                world.spawn_victim(move |actor| {
                    dying.acquire(actor);
                    dying.release();
                });
                world.spawn(move |actor| {
                    count.acquire(actor);
                    count.release();
                });
                world.finish_in_time();
            });
        });
    }

    #[test]
    fn a_waiter_that_does_not_look_again_is_caught() {
        must_fail("semaphore, flag after the look", || {
            Model::new("twin").bound(3).check(|world| {
                let (word, flag) = (Rc::new(U32::default()), Rc::new(U32::default()));
                word.store(1, Ordering::Relaxed);
                let (held, asleep) = (Rc::clone(&word), Rc::clone(&flag));
                world.spawn(move |_| {
                    while held.load(Ordering::Acquire) != 0 {
                        asleep.fetch_or(1, Ordering::AcqRel);
                        Loom::wait(Loom::cell(&asleep), 1, NEVER);
                    }
                });
                world.spawn(move |_| {
                    word.store(0, Ordering::Release);
                    Loom::fence(Ordering::SeqCst);
                    if flag.swap(0, Ordering::AcqRel) != 0 {
                        Loom::wake(Loom::cell(&flag), ALL);
                    }
                });
                world.finish();
            });
        });
    }
}
