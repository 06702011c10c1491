//! The event: a level that can be set, cleared, read at any time, and slept on.
//!
//! ```text
//!  31      30                  1    0
//! ┌───────┬─────────────────────┬─────┐
//! │WAITERS│ generation          │ SET │
//! └───────┴─────────────────────┴─────┘
//! ```
//! Every set that changes the level moves the generation, so a waiter that slept
//! through set and clear still returns: it waits for "set, or was set since I came".
//!
//! # No wake-up is lost
//! A sleeper has WAITERS set in the value it sleeps on. A setter clears WAITERS in
//! the same store that sets the level, and owes one wake-all exactly when it was
//! set; a waiter that sleeps again sets it again.
//!
//! # Faults
//! A setter killed between store and wake leaves the level readable; sleepers find
//! it at their bound of a second. A waiter killed anywhere leaves at most a WAITERS
//! flag, which costs one idle system call. The generation wraps after 2^30 sets: a
//! waiter would have to sleep through exactly that many, ended by a clear, in one
//! second.
//!
//! Orderings: setting releases, seeing it set acquires (SYNC POINT event-set).
//! Models: `loom_tests/event.rs`.

use core::sync::atomic::Ordering;

use super::Env;
use super::mem::{ALL, Mem, Next, Word};
use crate::limits;

const SET: u32 = 0b1;
const GENERATION: u32 = 0b0111_1111_1111_1111_1111_1111_1111_1110;
const GENERATION_ONE: u32 = 0b10;
const WAITERS: u32 = 0b1000_0000_0000_0000_0000_0000_0000_0000;

/// A process-shared, manually reset event.
#[repr(C)]
pub(crate) struct Event<M: Mem> {
    /// `WAITERS:1 | generation:30 | SET:1`
    word: M::U32,
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

/// What a setter has to do after its store.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Transition {
    WakeAll,
    Nothing,
}

impl<M: Mem> Default for Event<M> {
    fn default() -> Self {
        Self {
            word: M::U32::default(),
        }
    }
}

impl<M: Mem> Event<M> {
    /// Sets the level and wakes every sleeper. Setting it again changes nothing.
    pub(crate) fn set(&self) {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `is_set`, `wait`.
        let duty = self.word.update(|word| {
            if word & SET != 0 {
                return Next::Leave(Transition::Nothing);
            }
            let duty = if word & WAITERS != 0 {
                Transition::WakeAll
            } else {
                Transition::Nothing
            };
            Next::Store(word.wrapping_add(GENERATION_ONE) & GENERATION | SET, duty)
        });
        if duty == Transition::WakeAll {
            M::wake(M::cell(&self.word), ALL);
        }
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

    /// Sleeps until the event is set (or was, since the call), or until the
    /// absolute instant `until`.
    pub(crate) fn wait(&self, env: &impl Env<M>, until: u64) -> Waited {
        let came = self.word.load(Ordering::Acquire) & GENERATION;
        // Ends: every round returns, or sleeps for a bounded time before the deadline.
        loop {
            let Some(asleep_on) = self.enlist(came) else {
                return Waited::Set;
            };
            let now = env.now();
            if now >= until {
                return Waited::TimedOut;
            }
            let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
            M::wait(M::cell(&self.word), asleep_on, bound);
        }
    }

    /// Sets WAITERS unless the wait is over. Answers the value to sleep on.
    fn enlist(&self, came: u32) -> Option<u32> {
        // SYNC POINT event-set (models: loom_tests/event.rs): pairs with `set`.
        self.word.update(|word| {
            if word & SET != 0 || word & GENERATION != came {
                Next::Leave(None)
            } else if word & WAITERS != 0 {
                Next::Leave(Some(word))
            } else {
                Next::Store(word | WAITERS, Some(word | WAITERS))
            }
        })
    }
}
