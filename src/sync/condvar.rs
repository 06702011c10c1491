//! The condition variable: one word, a sequence number and two flags.
//!
//! ```text
//!  31                 2    1        0
//! ┌────────────────────┬────────┬─────────┐
//! │ sequence           │ SHARED │SLEEPERS │
//! └────────────────────┴────────┴─────────┘
//! ```
//! A waiter, still holding the lock, notes the word with SLEEPERS set, frees the
//! lock, and sleeps while the word is as noted. A notifier moves the sequence and
//! wakes. There is no count of waiters: a count cannot be repaired after a kill.
//!
//! # No wake-up is lost
//! A notifier that changed the predicate under the lock comes after every waiter
//! that found it false: it sees their flag, moves the sequence, and each of them
//! either sleeps (and is woken) or finds the sequence moved (and does not sleep).
//! SLEEPERS is sticky: only who wakes everybody clears it, in the same store that moves
//! the sequence; without it a notifier makes no system call.
//! A sequence that wraps all of its 2^30 values between note and sleep hides one
//! notification for one bounded sleep; each value is a system call of 0.3 µs, so a wrap
//! takes 5 minutes of nothing else. A task's bound is set when it notes the word, so it,
//! too, reads the word again after a second at most.
//!
//! # Sleepers that wait for several things
//! A task's wait is slept by a thread that waits for many things (`note_shared`), and the
//! task may be gone when that thread is woken. A wake-up of one could be spent on such a
//! thread, and another sleeper, whose notification it was, would sleep on. So such a waiter
//! sets SHARED beside SLEEPERS, and with it set `notify_one` does what `notify_all` does.
//! Whenever such a thread is queued on the word, SHARED is set, or whoever cleared it owes
//! a wake of all: the thread queues itself only while the word is as noted, with SHARED in
//! it, and every store that clears SHARED wakes all. So a wake-up of one is never spent on
//! it, whatever was dropped or killed in between. The price is a herd at each notification,
//! only while tasks wait; every one of them looks at its predicate.
//!
//! # Faults
//! A notifier killed between store and wake, or a woken waiter killed, takes that
//! one notification along (and, if it was to wake all, perhaps the next one, which may be
//! spent on a sleeper that it left in the queue). Every sleep is bounded by a second and
//! may end for no reason, so callers look at their predicate again. The lock is the robust
//! one: re-taking it tells whether an owner died.
//!
//! Orderings: the lock orders predicate, flag and notification; the word itself
//! needs none beyond coherence. Models: `loom_tests/condvar.rs`, `condvar_shared.rs`.

use core::sync::atomic::Ordering;

use super::mem::{ALL, Mem, Next, Word};
use super::mutex::{Acquired, Mutex, NotLocked, Released, Watch};
use super::{Env, Owner};
use crate::limits;

const SLEEPERS: u32 = 0b1;
const SHARED: u32 = 0b10;
const SEQUENCE: u32 = 0b100;

/// A process-shared condition variable, used with one [`Mutex`].
#[repr(C)]
pub(crate) struct Condvar<M: Mem> {
    /// `sequence:30 | SHARED:1 | SLEEPERS:1`
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
        if env.ends_wait(now, until) {
            return Slept::TimedOut;
        }
        let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
        M::wait(M::cell(&self.word), noted, bound);
        if env.ends_wait(env.now(), until) {
            Slept::TimedOut
        } else {
            Slept::Look
        }
    }

    /// Notes the word for one whose thread waits for other things besides. The caller holds
    /// the lock, frees it next, and is notified once [`is_notified`](Self::is_notified);
    /// until then its thread sleeps on [`cell`](Self::cell) with the value noted, a second
    /// at most.
    pub(crate) fn note_shared(&self) -> u32 {
        // SYNC POINT condvar-sleepers (models: loom_tests/condvar_shared.rs): as in `sleep`.
        let flags = SLEEPERS | SHARED;
        self.word.fetch_or(flags, Ordering::Relaxed) | flags
    }

    /// Whether there was a notification since the word was noted.
    pub(crate) fn is_notified(&self, noted: u32) -> bool {
        self.word.load(Ordering::Relaxed) != noted
    }

    /// What to sleep on.
    pub(crate) fn cell(&self) -> M::Cell<'_> {
        M::cell(&self.word)
    }

    /// Wakes one sleeper, or all if one of them waits for other things besides. Changes to
    /// the predicate were made under the lock.
    pub(crate) fn notify_one(&self) {
        self.notify(|word| word & SHARED != 0);
    }

    /// Wakes all sleepers. Changes to the predicate were made under the lock.
    pub(crate) fn notify_all(&self) {
        self.notify(|_| true);
    }

    /// Moves the word, if anybody may sleep on it, and wakes.
    fn notify(&self, is_for_all: impl Fn(u32) -> bool) {
        // SYNC POINT condvar-sleepers (models: loom_tests/condvar.rs): pairs with `sleep`.
        let woken = self.word.update(|word| {
            let moved = word.wrapping_add(SEQUENCE);
            match word & SLEEPERS {
                0 => Next::Leave(0),
                _ if is_for_all(word) => Next::Store(moved & !(SLEEPERS | SHARED), ALL),
                _ => Next::Store(moved, 1),
            }
        });
        if woken > 0 {
            M::wake(M::cell(&self.word), woken);
        }
    }
}

#[cfg(all(test, feature = "loom"))]
impl<M: Mem> Condvar<M> {
    /// [`note_shared`](Self::note_shared) without its flag: broken on purpose.
    pub(crate) fn note_as_if_alone(&self) -> u32 {
        self.word.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS
    }
}
