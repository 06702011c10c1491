//! The robust lock: one word, one compare-and-swap to take it, one to free it.
//!
//! # The word
//! ```text
//!    63       62           16 15       3    2    1              0
//! ┌──────────┬───────────────┬──────────┬─────┬──────────────┬─────────┐
//! │ PANICKED │ generation    │ slot + 1 │ TAG │ INCONSISTENT │ WAITERS │
//! └──────────┴───────────────┴──────────┴─────┴──────────────┴─────────┘
//! ```
//! `generation | slot + 1 | TAG` is the owner's name (`sync/owner.rs`); all zero is free.
//! `WAITERS`: somebody may sleep on the word. `INCONSISTENT`: an owner died inside
//! or panicked inside, and nobody has marked what it protected consistent since. `PANICKED`,
//! only beside it: it panicked. The low half, which has the first two flags and the low 16 bits of the generation, is the futex.
//!
//! # Who may move it
//! Each by a compare-and-swap of all 64 bits from exactly the value seen:
//! - free → owned: any thread (`take`).
//! - owned → free: its owner (`unlock`); → free, INCONSISTENT: its owner, in a panic.
//! - owned by the dead → owned, INCONSISTENT: any thread that loaded the word and then
//!   found the thread named there dead (`take`); → free, INCONSISTENT: its reaper, likewise
//!   (`hand_over`).
//! - WAITERS on: a waiter about to sleep (`enlist`), or one that takes the lock
//!   after a sleep, for it cannot know whether it was the last sleeper.
//!
//! # A step that comes late
//! A thread may be stopped for any time between the load and the compare-and-swap.
//! - `take` of a free word: it does not matter which thread freed it.
//! - `take` and `hand_over` from the dead: the value seen comes back only with the dead
//!   thread's name, and a name has one thread in 205 years of thread churn (`width::THREAD`).
//!   So the swap fails once the lock has had another owner. Width is all that guards this:
//!   with names of few bits two threads own the lock (tests: `late_tests.rs`, models:
//!   `loom_tests/late.rs`).
//! - `unlock`, `mark_consistent`: from the caller's own name, which nobody else bears. If the
//!   lock was taken from the caller, which was held for dead, they do nothing.
//! - `enlist`: WAITERS in a word of another owner costs that one an idle wake.
//! - The sleep compares 32 bits. If the name has changed and agrees in those, WAITERS is set
//!   in it, so its owner wakes the sleeper; and the sleep is bounded.
//!
//! # No wake-up is lost
//! A sleeper has WAITERS set in the value it sleeps on, so either the unlocker finds
//! WAITERS in the word that it frees and wakes one, or the word changed before the sleep and
//! the kernel refuses the sleep. A thread that consumes a wake-up either takes the lock with
//! WAITERS set or sets WAITERS before it does anything else, leaving on time-out
//! included: the duty to wake the next one is passed on.
//!
//! # Faults
//! - Owner killed: the kernel marks its life word and wakes one sleeper of it, who
//!   wakes the rest of them.
//! - Unlocker killed between its store and its wake, woken waiter killed, ownership moved to
//!   a thread that dies while others still watch the former owner's life word: no
//!   wake-up comes. Every sleep is bounded (5, 25, then 100 ms), so the next look
//!   finds the truth.
//! - Hostile bytes: a word that no transition makes is reported, not followed.
//!
//! Orderings: taking acquires, freeing releases; a takeover acquires what the dead
//! wrote through its life word, which the kernel marks after the last of its stores.
//!
//! Models: `loom_tests/mutex.rs`.

use core::sync::atomic::Ordering;

use super::life::{self, Pulse};
use super::lock_word::{FREE, State};
use super::mem::{Mem, Next, Word};
use super::watch::sleep_beside;
pub(crate) use super::watch::{CalledOff, Watch};
use super::{Env, Holder, Owner};
use crate::limits;

/// A robust process-shared lock.
#[repr(C)]
pub(crate) struct Mutex<M: Mem> {
    /// `PANICKED:1 | generation:47 | slot+1:13 | TAG:1 | INCONSISTENT:1 | WAITERS:1`
    word: M::U64,
}

/// The lock is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a lock that is not released stays taken until its thread dies"]
pub(crate) struct Acquired {
    /// An owner died inside and nobody called the protected state whole since.
    pub(crate) previous_owner_died: bool,
    /// The same of one that panicked inside, if none died.
    pub(crate) previous_owner_panicked: bool,
}

impl Acquired {
    /// From a lock in this state.
    fn of(state: State) -> Self {
        let (is_broken, has_panicked) = (state.is_inconsistent(), state.has_panicked());
        Self {
            previous_owner_died: is_broken && !has_panicked,
            previous_owner_panicked: has_panicked,
        }
    }
}

/// Why `try_lock` did not take the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// That living thread holds it.
    Held(Owner),
    /// The caller holds it already.
    Recursive,
    /// The word is none that this code writes.
    Corrupt { word: u64 },
}

/// Why `lock` came back without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLocked {
    /// The deadline passed while that thread held it.
    TimedOut { waited_for: Owner },
    /// The caller holds it already; waiting would never end.
    Recursive,
    /// The word is none that this code writes.
    Corrupt { word: u64 },
    /// Only from a condition variable: the caller does not hold the lock it gave.
    NotOurs,
    /// By the caller's [`Watch`].
    CalledOff,
}

/// What `unlock` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a lock that was not ours is still held by somebody"]
pub(crate) enum Released {
    Freed,
    /// The caller was not the owner; the word was not touched.
    NotOurs,
}

/// One look at the word, and the step that followed from it.
pub(super) enum Taking<'e, M: Mem> {
    Taken(Acquired),
    Held {
        seen: State,
        owner: Owner,
        life: Option<&'e M::U32>,
    },
    Recursive,
    Corrupt {
        word: u64,
    },
}

impl<M: Mem> Default for Mutex<M> {
    fn default() -> Self {
        Self {
            word: M::U64::default(),
        }
    }
}

impl<M: Mem> Mutex<M> {
    /// Takes the lock if it is free or its owner is dead.
    pub(crate) fn try_lock(&self, me: Owner, env: &impl Env<M>) -> Result<Acquired, Busy> {
        match self.take(me, env, false) {
            Taking::Taken(acquired) => Ok(acquired),
            Taking::Held { owner, .. } => Err(Busy::Held(owner)),
            Taking::Recursive => Err(Busy::Recursive),
            Taking::Corrupt { word } => Err(Busy::Corrupt { word }),
        }
    }

    /// Takes the lock, sleeping until the absolute instant `until` at most.
    ///
    /// May be called in slices: a caller that timed out and comes again loses
    /// neither its wake-ups nor those of others.
    #[inline]
    pub(crate) fn lock(
        &self,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<Acquired, NotLocked> {
        match self.take_free(me) {
            Some(acquired) => Ok(acquired),
            None => self.lock_watched(me, env, until, &()),
        }
    }

    /// Takes the lock if it is free, whole, and nobody waits: the step that is all there
    /// is to an uncontended lock.
    #[inline]
    pub(crate) fn take_free(&self, me: Owner) -> Option<Acquired> {
        let mine = State::owned_by(me).0;
        // SYNC POINT mutex-handover (models: loom_tests/mutex.rs): pairs with `unlock`.
        self.word
            .compare_exchange(FREE, mine, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then_some(Acquired {
                previous_owner_died: false,
                previous_owner_panicked: false,
            })
    }

    /// The same on the contended path, with something to be done before each sleep.
    #[cold]
    pub(crate) fn lock_watched(
        &self,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
        watch: &impl Watch<M>,
    ) -> Result<Acquired, NotLocked> {
        let mut slept = false;
        let mut arm_failed = false;
        let mut bounds = limits::LOCK_BOUNDS_MICROS.into_iter();
        let mut bound = bounds.next().unwrap_or(limits::PORTABLE_POLL_MICROS);
        // Ends: every round takes the lock, reports, sleeps, or follows another
        // thread's step; the deadline is looked at before every sleep.
        loop {
            let (seen, owner, life) = match self.take(me, env, slept) {
                Taking::Taken(acquired) => return Ok(acquired),
                Taking::Held { seen, owner, life } => (seen, owner, life),
                Taking::Recursive => return Err(NotLocked::Recursive),
                Taking::Corrupt { word } => return Err(NotLocked::Corrupt { word }),
            };
            let Some(asleep_on) = self.enlist(seen) else {
                continue;
            };
            let now = env.now();
            if env.ends_wait(now, until) {
                // WAITERS is set: a wake-up meant for us is passed on by the owner.
                return Err(NotLocked::TimedOut { waited_for: owner });
            }
            let Ok(beside) = watch.before_sleep() else {
                return Err(NotLocked::CalledOff);
            };
            let word = (self.cell(), asleep_on.low());
            let armed = life.and_then(|word| life::arm::<M>(word).map(|value| (word, value)));
            match (life, armed) {
                (_, Some((life, value))) => {
                    arm_failed = false;
                    let until = until.min(now.saturating_add(bound));
                    sleep_beside::<M>(word, (life, value), beside, until);
                    bound = bounds.next().unwrap_or(bound);
                }
                // Marked or released this instant: look again, once at full speed.
                (Some(_), None) if !arm_failed => {
                    arm_failed = true;
                    continue;
                }
                (Some(_), None) | (None, _) => {
                    let nap = limits::PORTABLE_POLL_MICROS.min(bound);
                    let until = until.min(now.saturating_add(nap));
                    match beside {
                        Some(beside) => M::wait_any(&[word, beside], until),
                        None => M::wait(word.0, word.1, until),
                    };
                }
            }
            slept = true;
        }
    }

    /// Frees the lock and wakes one sleeper. Stays INCONSISTENT if it was so and
    /// `mark_consistent` was not called.
    #[inline]
    pub(crate) fn unlock(&self, me: Owner) -> Released {
        let mine = State::owned_by(me).0;
        // Nobody waits and nothing is broken, mostly: then no step depends on a load before it.
        // SYNC POINT mutex-handover (models: loom_tests/mutex.rs): pairs with `lock`, `take`.
        let freed = self
            .word
            .compare_exchange(mine, FREE, Ordering::Release, Ordering::Relaxed);
        match freed {
            Ok(_) => Released::Freed,
            Err(_) => self.unlock_marked(me, |seen| seen),
        }
    }

    /// The same in a panic of its owner: stays INCONSISTENT.
    #[cold]
    pub(crate) fn unlock_in_panic(&self, me: Owner) -> Released {
        self.unlock_marked(me, State::after_panic)
    }

    /// The same of a word with WAITERS or INCONSISTENT, or that is not ours.
    #[cold]
    fn unlock_marked(&self, me: Owner, mark: impl Fn(State) -> State) -> Released {
        // SYNC POINT mutex-handover (models: loom_tests/mutex.rs): pairs with `lock`, `take`.
        // Ends: while we own it, only WAITERS moves.
        let before = self.word.update(|word| match State(word) {
            seen if seen.is_owned_by(me) => Next::Store(mark(seen).freed().0, Some(seen)),
            _ => Next::Leave(None),
        });
        match before {
            Some(before) if before.has_waiters() => self.wake_one(),
            Some(_) => {}
            None => return Released::NotOurs,
        }
        Released::Freed
    }

    #[cold]
    fn wake_one(&self) {
        M::wake(self.cell(), 1);
    }

    /// Tells that what the lock protects is whole again. Only its owner can.
    pub(crate) fn mark_consistent(&self, me: Owner) {
        self.word.update(|word| match State(word).holder() {
            Holder::Thread(owner) if owner == me => Next::Store(State(word).made_whole().0, ()),
            _ => Next::Leave(()),
        });
    }

    /// Who holds it now; `None` when free (or corrupt). Stale as soon as read.
    pub(crate) fn owner(&self) -> Option<Owner> {
        State(self.word.load(Ordering::Acquire)).holder().thread()
    }

    /// The reaper's step: frees the lock of a thread known to be dead, leaves it
    /// INCONSISTENT and wakes one sleeper. Answers whether that thread held it.
    pub(crate) fn hand_over(&self, dead: Owner) -> bool {
        // SYNC POINT mutex-handover (models: loom_tests/mutex.rs): the reaper read the mark
        // of death before, and its store releases what it acquired there.
        let before = self.word.update(|word| {
            let seen = State(word);
            match seen.holder() {
                Holder::Thread(owner) if owner == dead => {
                    Next::Store(seen.after_death().freed().0, Some(seen))
                }
                _ => Next::Leave(None),
            }
        });
        if before.is_some_and(State::has_waiters) {
            self.wake_one();
        }
        before.is_some()
    }

    /// The lock's word.
    pub(super) fn word(&self) -> &M::U64 {
        &self.word
    }

    /// What to sleep on: the low half of the word.
    pub(crate) fn cell(&self) -> M::Cell<'_> {
        M::low_cell(&self.word)
    }

    /// One look and, if the lock is free or its owner dead, one step to owning it.
    pub(super) fn take<'e>(&self, me: Owner, env: &'e impl Env<M>, slept: bool) -> Taking<'e, M> {
        // SYNC POINT mutex-handover (models: loom_tests/mutex.rs): pairs with `unlock`.
        self.word.update(|word| {
            let seen = State(word);
            let next = match seen.holder() {
                Holder::Nobody => seen.passed_to(me),
                Holder::Thread(owner) if owner == me => return Next::Leave(Taking::Recursive),
                Holder::Thread(owner) => match env.thread_pulse(owner) {
                    Pulse::Dead => seen.after_death().passed_to(me),
                    Pulse::Alive(life) => return Next::Leave(Taking::Held { seen, owner, life }),
                },
                Holder::Corrupt => return Next::Leave(Taking::Corrupt { word }),
            };
            // Who has slept cannot know whether it was the last sleeper.
            let next = if slept { next.with_waiters() } else { next };
            Next::Store(next.0, Taking::Taken(Acquired::of(next)))
        })
    }

    /// Sets WAITERS in exactly the word seen. Answers the value to sleep on, or
    /// `None` when the word moved: look again.
    pub(super) fn enlist(&self, seen: State) -> Option<State> {
        let flagged = seen.with_waiters();
        if seen.has_waiters() {
            return Some(flagged);
        }
        self.word
            .compare_exchange(seen.0, flagged.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
            .then_some(flagged)
    }
}
