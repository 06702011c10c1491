//! Steps of the lock that come late: the thread is stopped between its load and its
//! compare-and-swap. The stop is the question in between, whether the owner lives: the
//! world there lets others go on first.

use core::cell::Cell;

use super::mutex::{Acquired, Busy, Mutex, Released};
use super::{Env, Owner, Pulse, Real};
use crate::width;

type Lock = Mutex<Real>;

/// A world in which one thread is dead, and something happens whenever it is asked for.
struct Stops<F: Fn()> {
    dead: Cell<Option<Owner>>,
    meanwhile: F,
}

impl<F: Fn()> Env<Real> for Stops<F> {
    fn now(&self) -> u64 {
        0
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Real> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        // A dead owner is asked for once: then the others have its lock.
        match self.dead.get() == Some(owner) {
            true => {
                self.dead.set(None);
                (self.meanwhile)();
                Pulse::Dead
            }
            false => Pulse::Alive(None),
        }
    }
}

fn stops<F: Fn()>(dead: Owner, meanwhile: F) -> Stops<F> {
    let dead = Cell::new(Some(dead));
    Stops { dead, meanwhile }
}

/// A thread of a slot.
fn owner(slot: u16, generation: u64) -> Owner {
    let generation = generation & width::mask(width::THREAD);
    Owner { slot, generation }
}

const ME: Owner = Owner {
    slot: 9,
    generation: 1,
};

/// After this number of threads a name agrees in what sleepers compare, or, narrow, in all of it.
const ROUND: u64 = if cfg!(feature = "narrow") {
    1 << width::THREAD
} else {
    1 << width::NAME_LOW
};

/// A lock that a dead thread owns.
fn left_by(dead: Owner) -> Lock {
    let lock = Lock::default();
    assert!(lock.take_free(dead).is_some());
    lock
}

/// The lock is handed over, and a later thread of the same slot takes it.
fn passes(lock: &Lock, dead: Owner, later: Owner) {
    assert!(lock.hand_over(dead));
    let nobody_died = stops(dead, || ());
    nobody_died.dead.set(None);
    assert!(lock.try_lock(later, &nobody_died).is_ok());
    lock.mark_consistent(later);
}

/// The taker has read the dead owner's word and knows it to be dead. Before its
/// compare-and-swap the lock passes to a later thread of that slot, whose name agrees in 16
/// bits. The width of the name is what makes the swap fail: a narrow one wraps, and
/// then there are two owners.
#[test]
fn width_guards_an_owner_against_a_late_taker() {
    let (dead, later) = (owner(3, 5), owner(3, 5 + ROUND));
    assert_eq!(dead.name() as u32, later.name() as u32);
    let lock = left_by(dead);
    let env = stops(dead, || passes(&lock, dead, later));
    let taken = lock.try_lock(ME, &env);
    if cfg!(feature = "narrow") {
        let two_owners = Ok(Acquired {
            previous_owner_died: true,
            previous_owner_panicked: false,
        });
        assert_eq!(taken, two_owners, "narrow names have come round");
        return;
    }
    assert_eq!(taken, Err(Busy::Held(later)));
    assert_eq!(lock.unlock(later), Released::Freed);
}

#[test]
fn width_guards_an_owner_against_a_late_reaper() {
    let (dead, later) = (owner(3, 5), owner(3, 5 + ROUND));
    let lock = left_by(dead);
    passes(&lock, dead, later);
    let is_same = cfg!(feature = "narrow");
    assert_eq!(lock.hand_over(dead), is_same);
    assert_eq!(lock.owner() == Some(later), !is_same);
}

/// Whatever the width: the next thread of the slot is another one.
#[test]
fn the_next_holder_of_a_slot_is_not_the_last() {
    let (dead, next) = (owner(3, 5), owner(3, 6));
    let lock = left_by(dead);
    let env = stops(dead, || passes(&lock, dead, next));
    assert_eq!(lock.try_lock(ME, &env), Err(Busy::Held(next)));
    assert!(!lock.hand_over(dead));
    lock.mark_consistent(dead);
    assert_eq!(lock.unlock(dead), Released::NotOurs);
    assert_eq!(lock.owner(), Some(next));
}

/// One that was held for dead goes on, and gives the lock back that it has no more.
#[test]
fn a_lock_that_was_taken_away_is_not_given_back() {
    let first = owner(3, 1);
    let lock = left_by(first);
    assert!(lock.hand_over(first));
    let env = stops(first, || ());
    env.dead.set(None);
    assert!(lock.try_lock(ME, &env).unwrap().previous_owner_died);
    lock.mark_consistent(first);
    assert!(lock.look().is_inconsistent, "it is not the owner");
    assert_eq!(lock.unlock(first), Released::NotOurs);
    assert_eq!(lock.owner(), Some(ME));
    // A free one likewise.
    assert_eq!(lock.unlock(ME), Released::Freed);
    assert_eq!(lock.unlock(first), Released::NotOurs);
    assert_eq!(lock.owner(), None);
}

/// A sleeper compares the low half: a word that agrees there is slept on, with WAITERS in
/// it, so its owner wakes the sleeper.
#[test]
fn a_name_that_agrees_in_the_low_half_is_waited_for_with_the_flag() {
    use super::mutex_poll::Polled;
    let lock = Lock::default();
    let (one, other) = (owner(3, 0), owner(3, 1 << width::NAME_LOW));
    let env = stops(one, || ());
    env.dead.set(None);
    let asleep_on = |holder| {
        assert!(lock.take_free(holder).is_some());
        let Polled::Asleep { on, .. } = lock.poll(ME, &env) else {
            panic!("it is held");
        };
        assert_eq!(lock.look().word as u32, on);
        assert_ne!(on, holder.name() as u32, "it has the flag");
        assert_eq!(lock.unlock(holder), Released::Freed);
        on
    };
    assert_eq!(asleep_on(one), asleep_on(other));
    assert_ne!(one, other);
}
