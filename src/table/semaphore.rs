//! A semaphore: one robust lock per permit, and a word to sleep on.
//!
//! There is no count. A permit is taken by taking any one of the first `permits` locks,
//! so whose it is stands in its lock word, and a dead holder's permit is taken over or
//! handed over like any lock: nothing can be lost or made twice by a kill.
//!
//! ```text
//! signal: [ moves:31 | WAITERS:1 ]
//! ```
//! Names of holders are as wide as those of all locks (`sync/owner.rs`). `moves` wraps in 10
//! minutes of nothing else (each is a system call): a waiter that was stopped between look
//! and sleep for exactly that long loses one wake-up for one bounded sleep.
//!
//! # No wake-up is lost
//! SYNC POINT semaphore-signal (models: `loom_tests/semaphore.rs`): a waiter sets WAITERS,
//! fences, and looks at every permit again before it sleeps on exactly that word; who
//! gives a permit back frees the lock, fences, and looks at WAITERS. At least one sees
//! the other. All sleepers are woken and WAITERS is cleared in the same store, so a woken
//! one that is killed loses nothing for the others.
//!
//! A sleeper also watches the life words of *all* holders (one kernel wait on at most 65
//! words): unlike a laggard's, each holder's death is by itself what is waited for. The
//! kernel wakes one sleeper of a dead thread; that one wakes the rest. A giver killed
//! between store and wake costs one bounded sleep.

use core::sync::atomic::Ordering;

use crate::limits::{LOCK_BOUNDS_MICROS, MAX_PERMITS, PORTABLE_POLL_MICROS};
use crate::segment::shared;
use crate::sync::mem::{ALL, Next};
use crate::sync::mutex::{Busy, Mutex, Released};
use crate::sync::{Env, Mem, Owner, Pulse, Word, life};

use super::Corrupt;

pub(super) const WAITERS: u32 = 0b1;
const MOVE: u32 = 0b10;

/// A semaphore of up to `N` permits.
#[repr(C)]
pub(crate) struct Semaphore<M: Mem, const N: usize = MAX_PERMITS> {
    pub(super) signal: M::U32,
    /// How many there are; 0: nobody has said so yet.
    pub(super) permits: M::U32,
    pub(super) held: [Mutex<M>; N],
}

impl<M: Mem, const N: usize> Semaphore<M, N> {
    /// Fixes the number of permits, if nobody has. Answers the number.
    pub(crate) fn fix(&self, wanted: u32) -> Result<u32, Corrupt> {
        let fixed = self
            .permits
            .compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire);
        match fixed {
            Ok(_) => Ok(wanted),
            Err(there) if there as usize <= N => Ok(there),
            Err(_) => Err(Corrupt("semaphore: more permits than there is room for")),
        }
    }

    pub(super) fn slots(&self) -> &[Mutex<M>] {
        let permits = self.permits.load(Ordering::Acquire) as usize;
        &self.held[..permits.min(N)]
    }

    /// How many permits there are; none before they are fixed.
    pub(crate) fn permits(&self) -> usize {
        self.slots().len()
    }

    /// Takes a permit if one is free (or its holder dead); answers which.
    pub(crate) fn try_acquire(
        &self,
        me: Owner,
        env: &impl Env<M>,
    ) -> Result<Option<usize>, Corrupt> {
        for (index, lock) in self.slots().iter().enumerate() {
            match lock.try_lock(me, env) {
                Ok(acquired) => {
                    if acquired.previous_owner_died {
                        // A permit protects nothing that this table knows of.
                        lock.mark_consistent(me);
                    }
                    return Ok(Some(index));
                }
                // Held by us: another permit of ours.
                Err(Busy::Held(_) | Busy::Recursive) => {}
                Err(Busy::Corrupt { .. }) => {
                    return Err(Corrupt("semaphore: a permit's lock word"));
                }
            }
        }
        Ok(None)
    }

    /// Takes a permit, sleeping until the absolute instant `until` at most.
    pub(crate) fn acquire(
        &self,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<Option<usize>, Corrupt> {
        if let Some(index) = self.try_acquire(me, env)? {
            return Ok(Some(index));
        }
        let mut bounds = LOCK_BOUNDS_MICROS.into_iter();
        let mut bound = bounds.next().unwrap_or(PORTABLE_POLL_MICROS);
        // Ends: every round returns or sleeps for a bounded time before the deadline.
        loop {
            let asleep_on = self.signal.fetch_or(WAITERS, Ordering::AcqRel) | WAITERS;
            // SYNC POINT semaphore-signal: pairs with `tell`.
            M::fence(Ordering::SeqCst);
            if let Some(index) = self.try_acquire(me, env)? {
                return Ok(Some(index));
            }
            let now = env.now();
            if env.ends_wait(now, until) {
                return Ok(None);
            }
            self.sleep(asleep_on, env, until.min(now.saturating_add(bound)), now);
            bound = bounds.next().unwrap_or(bound);
        }
    }

    fn sleep(&self, asleep_on: u32, env: &impl Env<M>, until: u64, now: u64) {
        let mut lives: Vec<(&M::U32, u32)> = Vec::new();
        let mut soon = until;
        for owner in self.slots().iter().map(Mutex::owner) {
            match owner.map(|owner| env.thread_pulse(owner)) {
                Some(Pulse::Alive(Some(word))) => match life::arm::<M>(word) {
                    Some(_) if lives.iter().any(|(known, _)| core::ptr::eq(*known, word)) => {}
                    Some(value) => lives.push((word, value)),
                    // Marked this instant: look again.
                    None => return,
                },
                // Nothing tells of this one's death: probe again soon.
                Some(Pulse::Alive(None)) => soon = until.min(now + PORTABLE_POLL_MICROS),
                // Free, or to be had: look again.
                Some(Pulse::Dead) | None => return,
            }
        }
        let signal = (M::cell(&self.signal), asleep_on);
        if lives.is_empty() {
            M::wait(signal.0, signal.1, soon);
            return;
        }
        let mut cells = vec![signal];
        cells.extend(lives.iter().map(|(word, value)| (M::cell(word), *value)));
        M::wait_any(&cells, soon);
        life::pass_on::<M>(lives.into_iter().map(|(word, _)| word));
    }

    /// Gives a permit back; nothing if it is not the caller's.
    pub(crate) fn release(&self, permit: usize, me: Owner) {
        let released = self.held.get(permit).map(|lock| lock.unlock(me));
        if released == Some(Released::Freed) {
            self.tell();
        }
    }

    /// The reaper's step: gives back what a thread known to be dead holds.
    pub(crate) fn hand_over(&self, dead: Owner) {
        let mut any = false;
        for lock in self.slots() {
            any |= lock.hand_over(dead);
        }
        if any {
            self.tell();
        }
    }

    fn tell(&self) {
        // SYNC POINT semaphore-signal: pairs with `acquire`.
        M::fence(Ordering::SeqCst);
        let waited = self.signal.update(|word| match word & WAITERS {
            0 => Next::Leave(false),
            _ => Next::Store(word.wrapping_add(MOVE) & !WAITERS, true),
        });
        if waited {
            M::wake(M::cell(&self.signal), ALL);
        }
    }

    /// The threads that hold permits now, dead ones too.
    pub(crate) fn holders(&self) -> impl Iterator<Item = Owner> {
        self.slots().iter().filter_map(Mutex::owner)
    }

    /// Permits that nobody who lives holds. Stale as soon as it is known.
    pub(crate) fn available(&self, env: &impl Env<M>) -> usize {
        let alive = |owner: &Owner| matches!(env.thread_pulse(*owner), Pulse::Alive(_));
        self.slots().len() - self.holders().filter(alive).count().min(self.slots().len())
    }
}

#[cfg(test)]
impl<M: Mem, const N: usize> Default for Semaphore<M, N> {
    fn default() -> Self {
        Self {
            signal: M::U32::default(),
            permits: M::U32::default(),
            held: core::array::from_fn(|_| Mutex::default()),
        }
    }
}

shared!(Semaphore<M, const N> { signal, permits, held });

#[cfg(test)]
mod tests {
    use super::super::semaphore_poll::{Polled, Watched};
    use super::*;
    use crate::sync::Real;
    use crate::table::known::{Known, owner};

    type Three = Semaphore<Real, 3>;

    fn of(permits: u32) -> Three {
        let semaphore = Three::default();
        assert_eq!(semaphore.fix(permits), Ok(permits));
        semaphore
    }

    fn signal(semaphore: &Three) -> u32 {
        semaphore.signal.load(Ordering::Acquire)
    }

    /// The look, and how many signals and life words there are to sleep on.
    fn poll(semaphore: &Three, env: &Known, slot: u16) -> (Polled, usize, usize) {
        let (mut signals, mut lives) = (0, 0);
        let count = |on: Watched<'_, Real>, value| match on {
            Watched::Signal(_) => {
                signals += 1;
                assert_eq!(value, signal(semaphore), "it would not sleep");
            }
            Watched::Life(_) => lives += 1,
        };
        let polled = semaphore.poll(owner(slot), env, count).unwrap();
        (polled, signals, lives)
    }

    #[test]
    fn the_number_of_permits_is_fixed_once_and_bounded() {
        let semaphore = Three::default();
        assert_eq!(semaphore.permits(), 0);
        assert_eq!(semaphore.fix(3), Ok(3));
        assert_eq!((semaphore.fix(2), semaphore.permits()), (Ok(3), 3));
        semaphore.permits.store(4, Ordering::Relaxed);
        assert!(semaphore.fix(2).is_err());
        assert_eq!(semaphore.permits(), 3);
    }

    #[test]
    fn permits_are_taken_one_by_one_and_given_back_by_their_holder() {
        let (semaphore, env) = (of(2), Known::default());
        let take = |slot| semaphore.try_acquire(owner(slot), &env).unwrap();
        assert_eq!((take(1), take(1), take(2)), (Some(0), Some(1), None));
        assert_eq!(semaphore.acquire(owner(2), &env, 0), Ok(None));
        assert_eq!(semaphore.available(&env), 0);
        semaphore.release(1, owner(2));
        semaphore.release(2, owner(1));
        assert_eq!(semaphore.available(&env), 0);
        semaphore.release(1, owner(1));
        assert_eq!(semaphore.available(&env), 1);
        assert!(semaphore.holders().eq([owner(1)]));
        assert_eq!(semaphore.acquire(owner(2), &env, 0), Ok(Some(1)));
    }

    #[test]
    fn a_dead_holders_permit_is_to_be_had_and_tells_nobody_of_the_death() {
        let (semaphore, env) = (of(1), Known::default());
        assert_eq!(semaphore.acquire(owner(1), &env, 0), Ok(Some(0)));
        env.dead.set(Some(owner(1)));
        assert_eq!(semaphore.available(&env), 1);
        assert_eq!(semaphore.acquire(owner(2), &env, 0), Ok(Some(0)));
        env.dead.set(None);
        semaphore.release(0, owner(2));
        let next = semaphore.held[0].try_lock(owner(2), &env).unwrap();
        assert!(!next.previous_owner_died, "it is whole");
        semaphore.hand_over(owner(1));
        assert_eq!(semaphore.holders().count(), 1);
        semaphore.hand_over(owner(2));
        assert_eq!(semaphore.holders().count(), 0);
    }

    #[test]
    fn a_permit_given_back_wakes_those_who_said_that_they_wait() {
        let (semaphore, env) = (of(1), Known::default());
        let take = |slot| semaphore.try_acquire(owner(slot), &env).unwrap();
        take(1);
        semaphore.release(0, owner(1));
        assert_eq!(signal(&semaphore), 0, "nobody waits");
        take(1);
        assert_eq!(poll(&semaphore, &env, 2).0, Polled::AsleepSoon);
        assert_eq!(signal(&semaphore), WAITERS);
        semaphore.release(0, owner(2));
        assert_eq!(signal(&semaphore), WAITERS, "it was not its own");
        semaphore.release(0, owner(1));
        assert_eq!(signal(&semaphore), MOVE);
        take(1);
        assert_eq!(semaphore.acquire(owner(2), &env, 0), Ok(None));
        assert_eq!(signal(&semaphore), MOVE | WAITERS);
        semaphore.hand_over(owner(2));
        assert_eq!(signal(&semaphore), MOVE | WAITERS, "it held nothing");
        semaphore.hand_over(owner(1));
        assert_eq!(signal(&semaphore), 2 * MOVE);
    }

    #[test]
    fn a_look_names_each_holders_life_once() {
        let (semaphore, mut env) = (of(3), Known::default());
        env.life = Some(core::sync::atomic::AtomicU32::new(5));
        for _ in 0..3 {
            assert!(semaphore.try_acquire(owner(1), &env).unwrap().is_some());
        }
        assert_eq!(poll(&semaphore, &env, 2), (Polled::Asleep, 1, 1));
        semaphore.release(1, owner(1));
        assert_eq!(poll(&semaphore, &env, 2), (Polled::Taken(1), 0, 0));
        assert_eq!(poll(&semaphore, &env, 3).0, Polled::AsleepSoon);
        env.life = Some(core::sync::atomic::AtomicU32::new(life::OWNER_DIED));
        assert_eq!(
            poll(&semaphore, &env, 3).0,
            Polled::Again,
            "it was marked just now"
        );
    }

    /// The real clock, and how often it was asked: once before each sleep.
    #[derive(Default)]
    struct Asked(core::cell::Cell<usize>);

    impl Env<Real> for Asked {
        fn now(&self) -> u64 {
            self.0.set(self.0.get() + 1);
            crate::os::clock::now()
        }
        fn process_pulse(&self, _process: usize) -> Pulse<'_, Real> {
            Pulse::Alive(None)
        }
        fn thread_pulse(&self, _owner: Owner) -> Pulse<'_, Real> {
            Pulse::Alive(None)
        }
    }

    #[test]
    fn one_that_waits_sleeps_between_its_looks() {
        let (semaphore, env) = (of(1), Asked::default());
        semaphore.signal.store(3 * MOVE, Ordering::Relaxed);
        assert_eq!(semaphore.acquire(owner(1), &env, 0), Ok(Some(0)));
        let until = env.now() + 20_000;
        assert_eq!(semaphore.acquire(owner(2), &env, until), Ok(None));
        // 5 ms, then 10 at a time; a sleep may end early for a signal to the process.
        assert!(env.0.get() < 50, "{} looks", env.0.get());
    }
}
