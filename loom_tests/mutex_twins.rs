//! The lock of `sync/mutex.rs` again, in small, with one flaw each: all must be caught.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::cell::Cell;

use super::memory::{Loom, U32};
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER};
use crate::sync::life;
use crate::sync::mem::{Mem, Next, Word};
use crate::sync::{Env, Pulse};

const WAITERS: u32 = 1 << 31;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Takes the lock after a sleep without WAITERS.
    DropsWaiters,
    /// Frees the lock without a wake.
    NeverWakes,
    /// Frees the lock without releasing what it wrote.
    RelaxedUnlock,
    /// Sleeps without a bound.
    NoBound,
    /// Leaves at its deadline without setting WAITERS.
    LeavesSilently,
}

struct Twin {
    word: U32,
    count: Cell<u32>,
    flaw: Flaw,
}

impl Twin {
    /// Answers whether it got the lock before the deadline.
    fn lock(&self, actor: &Actor, deadline: u64) -> bool {
        let mine = u32::from(actor.me().slot) + 1;
        let mut duty = 0;
        loop {
            let held = self.word.update(|seen| {
                let holder = seen & !WAITERS;
                if holder == 0 {
                    return Next::Store(mine | duty | seen & WAITERS, None);
                }
                match actor
                    .env()
                    .thread_pulse(actor.env().owner(holder as usize - 1))
                {
                    Pulse::Dead => Next::Store(mine | WAITERS, None),
                    Pulse::Alive(life)
                        if self.flaw == Flaw::LeavesSilently && actor.env().now() >= deadline =>
                    {
                        Next::Leave(Some((seen, life)))
                    }
                    Pulse::Alive(life) => Next::Store(seen | WAITERS, Some((seen | WAITERS, life))),
                }
            });
            let Some((on, life)) = held else { return true };
            if actor.env().now() >= deadline {
                return false;
            }
            let until = if self.flaw == Flaw::NoBound {
                NEVER
            } else {
                actor.env().now() + 1
            };
            let life = life.expect("not portable");
            if let Some(armed) = life::arm::<Loom>(life) {
                Loom::wait_any(
                    &[(Loom::cell(&self.word), on), (Loom::cell(life), armed)],
                    until,
                );
                if life::is_marked::<Loom>(life) {
                    Loom::wake(Loom::cell(life), u32::MAX);
                }
            }
            duty = if self.flaw == Flaw::DropsWaiters {
                0
            } else {
                WAITERS
            };
        }
    }

    fn unlock(&self) {
        let order = if self.flaw == Flaw::RelaxedUnlock {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        if self.word.swap(0, order) & WAITERS != 0 && self.flaw != Flaw::NeverWakes {
            Loom::wake(Loom::cell(&self.word), 1);
        }
    }

    fn increment(&self, actor: &Actor) {
        self.lock(actor, NEVER);
        self.count.set(self.count.get() + 1);
        self.unlock();
    }
}

fn twin(flaw: Flaw) -> Rc<Twin> {
    Rc::new(Twin {
        word: U32::default(),
        count: Cell::new(0),
        flaw,
    })
}

fn check(name: &str, flaw: Flaw, threads: usize) {
    Model::new(name).bound(3).check(move |world| {
        let shared = twin(flaw);
        for _ in 0..threads {
            let shared = Rc::clone(&shared);
            world.spawn(move |actor| shared.increment(actor));
        }
        world.finish();
    });
}

/// The unlocker lives; the waiter it wakes is killed; the third must go on.
fn woken_waiter_killed(name: &str, flaw: Flaw) {
    kill_sweep(Model::new(name).bound(1), move |_, world| {
        let shared = twin(flaw);
        let dying = Rc::clone(&shared);
        world.spawn_victim(move |actor| {
            dying.lock(actor, NEVER);
            dying.unlock();
        });
        for _ in 0..2 {
            let shared = Rc::clone(&shared);
            world.spawn(move |actor| {
                shared.lock(actor, NEVER);
                shared.unlock();
            });
        }
        world.finish_in_time();
    });
}

/// One of the waiters leaves at a deadline that passes while it waits.
fn waiter_leaves(name: &str, flaw: Flaw) {
    Model::new(name).bound(2).check(move |world| {
        let shared = twin(flaw);
        let owner = Rc::clone(&shared);
        world.spawn(move |actor| (0..2).for_each(|_| owner.increment(actor)));
        let leaver = Rc::clone(&shared);
        world.spawn(move |actor| {
            if leaver.lock(actor, 1) {
                leaver.unlock();
            }
        });
        world.spawn(move |actor| shared.increment(actor));
        world.clock_moves(1);
        world.finish();
    });
}

#[test]
fn leaver_that_keeps_its_wake_up_is_caught() {
    must_fail("mutex, leaves without WAITERS", || {
        waiter_leaves("twin", Flaw::LeavesSilently)
    });
}

#[test]
fn sound_twin_passes() {
    check("mutex twin, sound", Flaw::None, 2);
    woken_waiter_killed("mutex twin, sound, kill", Flaw::None);
}

#[test]
fn dropped_waiters_flag_is_caught() {
    must_fail("mutex, WAITERS dropped after a sleep", || {
        check("twin", Flaw::DropsWaiters, 3)
    });
}

#[test]
fn missing_wake_is_caught() {
    must_fail("mutex, missing wake", || check("twin", Flaw::NeverWakes, 2));
}

#[test]
fn relaxed_unlock_is_caught() {
    must_fail("mutex, relaxed unlock", || {
        check("twin", Flaw::RelaxedUnlock, 2)
    });
}

#[test]
fn sleep_without_bound_is_caught() {
    must_fail("mutex, no bound, woken waiter killed", || {
        woken_waiter_killed("twin", Flaw::NoBound)
    });
}
