//! The condition variable: one word, a sequence number and a flag.
//!
//! ```text
//!  31                      1    0
//! ┌─────────────────────────┬─────────┐
//! │ sequence                │SLEEPERS │
//! └─────────────────────────┴─────────┘
//! ```
//! A waiter, still holding the lock, notes the word with SLEEPERS set, frees the
//! lock, and sleeps while the word is as noted. A notifier moves the sequence and
//! wakes. There is no count of waiters: a count cannot be repaired after a kill.
//!
//! # No wake-up is lost
//! A notifier that changed the predicate under the lock comes after every waiter
//! that found it false: it sees their flag, moves the sequence, and each of them
//! either sleeps (and is woken) or finds the sequence moved (and does not sleep).
//! SLEEPERS is sticky: only `notify_all` clears it, in the same store that moves the
//! sequence, when it wakes everybody; without it a notifier makes no system call.
//! A sequence that wraps all of its 2^31 values between note and sleep would hide a
//! notification; the bound below covers that too.
//!
//! # Faults
//! A notifier killed between store and wake, or a woken waiter killed, takes that
//! one notification along. Every sleep is bounded by a second and may end for no
//! reason, so callers look at their predicate again. The lock is the robust one:
//! re-taking it tells whether an owner died.
//!
//! Orderings: the lock orders predicate, flag and notification; the word itself
//! needs none beyond coherence. Models: `loom_tests/condvar.rs`.

use core::sync::atomic::Ordering;

use super::mem::{ALL, Mem, Next, Word};
use super::mutex::{Acquired, Mutex, NotLocked, Released, Watch};
use super::{Env, Owner};
use crate::limits;

const SLEEPERS: u32 = 0b1;
const SEQUENCE: u32 = 0b10;

/// A process-shared condition variable, used with one [`Mutex`].
#[repr(C)]
pub(crate) struct Condvar<M: Mem> {
    /// `sequence:31 | SLEEPERS:1`
    word: M::U32,
}

/// Why a sleep ended. The lock is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the lock is not held now"]
pub(crate) enum Slept {
    /// Notified, or for no reason: look at the predicate.
    Look,
    /// The caller's deadline passed.
    TimedOut,
    /// The caller did not hold the lock; nothing was done.
    NotOurs,
}

/// The lock is held again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the lock is held again"]
pub(crate) struct Awake {
    pub(crate) acquired: Acquired,
    /// The caller's deadline passed during the sleep.
    pub(crate) timed_out: bool,
}

impl<M: Mem> Default for Condvar<M> {
    fn default() -> Self {
        Self {
            word: M::U32::default(),
        }
    }
}

impl<M: Mem> Condvar<M> {
    /// Frees the lock, sleeps until notified or `until`, takes the lock again.
    ///
    /// May return for no reason. The deadline bounds the sleep; the lock is taken
    /// again however long its owner keeps it (as in POSIX), unless `watch` calls it off.
    pub(crate) fn wait(
        &self,
        mutex: &Mutex<M>,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
        watch: &impl Watch<M>,
    ) -> Result<Awake, NotLocked> {
        let timed_out = match self.sleep(mutex, me, env, until) {
            Slept::Look => false,
            Slept::TimedOut => true,
            Slept::NotOurs => return Err(NotLocked::NotOurs),
        };
        let acquired = mutex.lock_watched(me, env, u64::MAX, watch)?;
        Ok(Awake {
            acquired,
            timed_out,
        })
    }

    /// The first half of [`wait`](Self::wait): frees the lock and sleeps, a second at most.
    pub(crate) fn sleep(
        &self,
        mutex: &Mutex<M>,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
    ) -> Slept {
        if mutex.owner() != Some(me) {
            return Slept::NotOurs;
        }
        // SYNC POINT condvar-sleepers (models: loom_tests/condvar.rs): before the lock is
        // freed; pairs with the look in `notify`, which comes after the lock was taken.
        let noted = self.word.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS;
        if mutex.unlock(me) == Released::NotOurs {
            return Slept::NotOurs;
        }
        let now = env.now();
        if now >= until {
            return Slept::TimedOut;
        }
        let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
        M::wait(M::cell(&self.word), noted, bound);
        if env.now() >= until {
            Slept::TimedOut
        } else {
            Slept::Look
        }
    }

    /// Wakes one sleeper. Changes to the predicate were made under the lock.
    pub(crate) fn notify_one(&self) {
        if self.transition_to_notified(|word| word.wrapping_add(SEQUENCE)) {
            M::wake(M::cell(&self.word), 1);
        }
    }

    /// Wakes all sleepers. Changes to the predicate were made under the lock.
    pub(crate) fn notify_all(&self) {
        if self.transition_to_notified(|word| word.wrapping_add(SEQUENCE) & !SLEEPERS) {
            M::wake(M::cell(&self.word), ALL);
        }
    }

    /// Moves the word if anybody may sleep on it. `true`: the caller owes a wake.
    #[must_use]
    fn transition_to_notified(&self, step: impl Fn(u32) -> u32) -> bool {
        // SYNC POINT condvar-sleepers (models: loom_tests/condvar.rs): pairs with `sleep`.
        self.word.update(|word| match word & SLEEPERS {
            0 => Next::Leave(false),
            _ => Next::Store(step(word), true),
        })
    }
}
