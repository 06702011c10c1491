//! The event: a level and a sequence number in one word, which can be set, cleared,
//! read at any time, and slept on.
//!
//! ```text
//!  63                         2      1       0
//! ┌────────────────────────────┬─────────┬─────┐
//! │ sequence: how often set    │ WAITERS │ SET │
//! └────────────────────────────┴─────────┴─────┘
//!                  the low half is the futex
//! ```
//! Every set moves the sequence, so a waiter that slept through set and clear still
//! returns: it waits for "set, or was set since I came". Level, number and whatever was
//! written before are published by the same store.
//!
//! # No wake-up is lost
//! A sleeper has WAITERS set in the value it sleeps on. A setter clears WAITERS in
//! the same store that sets the level, and owes one wake-all exactly when it was
//! set; a waiter that sleeps again sets it again. Clearing and taking keep WAITERS.
//!
//! # One taker
//! [`Goal::Take`] (auto-reset) clears the level by compare-and-swap, so each set is taken
//! once. All sleepers are woken and one takes it: a woken one that is killed before its
//! compare-and-swap keeps nobody from it. One killed after has taken it along, as one
//! that is killed just after its wait returned.
//!
//! # Faults
//! A setter killed between store and wake leaves the level readable; sleepers find
//! it at their bound of a second. A waiter killed anywhere leaves at most a WAITERS
//! flag, which costs one idle system call. The low half repeats after 2^30 sets, which
//! could hide that many sets between a look and a sleep, for a second.
//!
//! Orderings: setting releases, seeing it set acquires (SYNC POINT event-set).
//! Models: `loom_tests/event.rs`.

use core::sync::atomic::Ordering;

use super::Env;
use super::mem::{ALL, Mem, Next, Word};
use crate::limits;

const SET: u64 = 0b01;
const WAITERS: u64 = 0b10;
const SEQUENCE_SHIFT: u32 = 2;

/// A process-shared event.
#[repr(C)]
pub(crate) struct Event<M: Mem> {
    /// `sequence:62 | WAITERS:1 | SET:1`
    word: M::U64,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wait may end by its deadline"]
pub(crate) enum Waited {
    /// The event is set, or was set at least once since the wait began.
    Set,
    /// The deadline passed first.
    TimedOut,
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// It is set, or has another sequence number than this.
    Set { came: u64 },
    /// It is set, and we are the one to clear it.
    Take,
    /// A higher sequence number than this.
    After(u64),
}

impl<M: Mem> Default for Event<M> {
    fn default() -> Self {
        Self {
            word: M::U64::default(),
        }
    }
}

const fn sequence(word: u64) -> u64 {
    word >> SEQUENCE_SHIFT
}

impl<M: Mem> Event<M> {
    /// Sets the level, moves the sequence and wakes every sleeper. Answers the new
    /// number.
    pub(crate) fn set(&self) -> u64 {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `is_set`, `try_for`.
        let before = self.word.update(|word| {
            let next = sequence(word).wrapping_add(1) << SEQUENCE_SHIFT | SET;
            Next::Store(next, word)
        });
        if before & WAITERS != 0 {
            M::wake(M::low_cell(&self.word), ALL);
        }
        sequence(before).wrapping_add(1) & (u64::MAX >> SEQUENCE_SHIFT)
    }

    /// Clears the level. Clearing it again changes nothing.
    pub(crate) fn clear(&self) {
        self.word.fetch_and(!SET, Ordering::AcqRel);
    }

    /// The level now.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `set`.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// How often it was set; what the last setter published before is visible.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `set`.
        sequence(self.word.load(Ordering::Acquire))
    }

    /// Whatever bytes, for tests.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, raw: u64) {
        self.word.store(raw, Ordering::Release);
    }

    /// The whole word, for one who only looks: its number, and what is left of it.
    pub(crate) fn look(&self) -> (u64, u64) {
        let word = self.word.load(Ordering::Acquire);
        (sequence(word), word & !(u64::MAX << SEQUENCE_SHIFT))
    }

    /// The goal of a wait that begins now and takes nothing.
    pub(crate) fn goal_from_now(&self) -> Goal {
        Goal::Set {
            came: self.sequence(),
        }
    }

    /// Sleeps until the goal is reached or the absolute instant `until` has passed.
    pub(crate) fn wait(&self, goal: Goal, env: &impl Env<M>, until: u64) -> Waited {
        match wait_any(&[(self, goal)], env, until) {
            Some(_) => Waited::Set,
            None => Waited::TimedOut,
        }
    }

    /// What to sleep on until the goal may be reached; `None` when it is.
    pub(crate) fn arm(&self, goal: Goal) -> Option<(M::Cell<'_>, u32)> {
        let word = self.try_for(goal)?;
        Some((M::low_cell(&self.word), word as u32))
    }

    /// Reaches the goal, or sets WAITERS and answers the value to sleep on.
    fn try_for(&self, goal: Goal) -> Option<u64> {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `set`.
        self.word.update(|word| {
            let reached = match goal {
                Goal::Take if word & SET != 0 => return Next::Store(word & !SET, None),
                Goal::Take => false,
                Goal::Set { came } => word & SET != 0 || sequence(word) != came,
                Goal::After(seen) => sequence(word) > seen,
            };
            if reached {
                Next::Leave(None)
            } else if word & WAITERS != 0 {
                Next::Leave(Some(word))
            } else {
                Next::Store(word | WAITERS, Some(word | WAITERS))
            }
        })
    }
}

/// Sleeps until one of the goals is reached; answers which (the first of those that
/// are), or `None` when `until` passes first. At most `MAX_WAIT_WORDS` goals.
pub(crate) fn wait_any<M: Mem>(
    goals: &[(&Event<M>, Goal)],
    env: &impl Env<M>,
    until: u64,
) -> Option<usize> {
    let mut cells = Vec::new();
    // Ends: every round returns, or sleeps for a bounded time before the deadline.
    loop {
        cells.clear();
        for (index, (event, goal)) in goals.iter().enumerate() {
            match event.arm(*goal) {
                None => return Some(index),
                Some(cell) => cells.push(cell),
            }
        }
        let now = env.now();
        if env.ends_wait(now, until) {
            return None;
        }
        let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
        match cells.as_slice() {
            [(cell, word)] => M::wait(*cell, *word, bound),
            all => M::wait_any(all, bound),
        };
    }
}
