//! The in-flight gate of a runner: how many items are in progress, and whether new ones
//! are admitted.
//!
//! ```text
//! 63       62                24 23     0
//! [ closed | generation : 39   | count ]
//! ```
//! `generation` is the low bits of the slot's: an item may be finished long after its runner
//! has left (Draining was forced), and must not count for the next holder of the slot. Only
//! the claimant of the slot writes it; every other step is one compare-and-swap from a word
//! that bears the generation of the holder that takes the step, and changes no other word.
//! The low half is the futex: the count, with eight bits of generation above it.
//!
//! # Begin against close
//! `begin` reads the phase words and then moves the gate from a word that it has loaded.
//! - *From an open word.* The word was open at the instant of the swap, so the item was
//!   counted before the next close, which returns it. How long ago the phase was read does
//!   not matter.
//! - *From a closed word.* `begin` reads the phase words again, after the swap. The closer
//!   had read Draining(e) before it closed, and the swap reads its closing (SYNC POINT
//!   `gate`; closing writes the word also when it is closed already), so the second read is
//!   at least as new as Draining(e). If it is unchanged and admits work, the closing is of a
//!   cancelled shutdown and the item counts. Else `begin` counts it out again: its own item,
//!   in a gate of its own generation.
//!
//! # What may happen in between
//! A thread may be stopped between its load and its swap for any time. The swap succeeds only
//! if the word is the one loaded: the same holder, the same count, open or closed as before.
//! Adding or removing one item is then right, whatever happened in between. A wrap of the
//! generation takes 2^39 admitted joins, 3 µs each: 19 days.
//!
//! `reopen` is different: it follows from a read of the phase words, and a closed word does
//! not show who closed it. A runner therefore closes and reopens its gate under one lock of
//! its process, and reads the phase words under it before it reopens.
//!
//! Modelled by `loom_tests/drain.rs`.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::limits::MAX_IN_FLIGHT;
use crate::segment::shared;
use crate::sync::mem::{ALL, Next};
use crate::sync::{Mem, Word};
use crate::width::{GATE, mask};

const COUNT_BITS: u32 = 24;
pub(super) const COUNT: u64 = mask(COUNT_BITS);
pub(super) const CLOSED: u64 = 1 << 63;

const _: () = assert!(MAX_IN_FLIGHT as u64 == COUNT && COUNT_BITS + GATE < 64);

/// The shared gate, on its own cache line.
#[repr(C)]
pub(crate) struct Gate<M: Mem>(pub(super) CachePadded<M::U64>);

/// What one read of the phase words returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) refuses: bool,
    /// Epochs of the group and of the runner's own scope.
    pub(crate) epochs: (u64, u64),
}

/// The result of beginning an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Begun {
    /// It is counted: the caller ends it.
    Counted,
    /// New work is refused, or the slot has another holder.
    Refused,
    /// `MAX_IN_FLIGHT` items are in progress.
    Full,
}

/// What a close found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Items in flight.
    pub(crate) count: u32,
    /// The value of the gate's cell with that count: what a drainer sleeps on.
    pub(crate) half: u32,
}

/// The open, empty gate of a holder.
#[inline]
pub(super) const fn empty(generation: u64) -> u64 {
    (generation & mask(GATE)) << COUNT_BITS
}

impl<M: Mem> Gate<M> {
    /// Counts one item of the holder of `generation` in, unless work is refused or the
    /// slot has another holder by now. `look` reads the phase words.
    #[inline]
    pub(crate) fn begin_as(&self, generation: u64, look: impl Fn() -> Look) -> Begun {
        let refuses = look().refuses;
        let seen = self.0.load(Ordering::Acquire);
        // The count, if the gate is this holder's and open; else a larger number.
        if !refuses && seen ^ empty(generation) < COUNT && self.swap(seen, seen + 1) {
            return Begun::Counted;
        }
        self.begin_contended(generation, &look)
    }

    /// The gate is closed, full or another holder's, or it moved.
    #[cold]
    fn begin_contended(&self, generation: u64, look: &impl Fn() -> Look) -> Begun {
        loop {
            let seen = look();
            if seen.refuses {
                return Begun::Refused;
            }
            // SYNC POINT gate (model: loom_tests/drain.rs): acquires the closing in `close`.
            let before = self.0.update(|word| {
                if !is_of(word, generation) {
                    Next::Leave(Err(Begun::Refused))
                } else if word & COUNT == COUNT {
                    Next::Leave(Err(Begun::Full))
                } else {
                    Next::Store(word + 1, Ok(word))
                }
            });
            match before {
                Err(result) => return result,
                Ok(word) if word & CLOSED == 0 || look() == seen => return Begun::Counted,
                // The phase words moved: retry. Each turn needs one more move of a
                // phase word, so this ends.
                Ok(_) => self.end_as(generation),
            }
        }
    }

    /// Counts one item of the holder of `generation` out and wakes the drainer if it
    /// was the last. Does nothing when the slot has another holder.
    #[inline]
    pub(crate) fn end_as(&self, generation: u64) {
        let seen = self.0.load(Ordering::Acquire);
        // The count, if the gate is this holder's and open; from 1 on.
        let count = seen ^ empty(generation);
        if count.wrapping_sub(1) >= COUNT || !self.swap(seen, seen - 1) {
            self.end_contended(generation);
        }
    }

    /// The gate is closed or another holder's, or it moved.
    #[cold]
    fn end_contended(&self, generation: u64) {
        let was_last = self.0.update(|word| {
            if !is_of(word, generation) || word & COUNT == 0 {
                return Next::Leave(false);
            }
            Next::Store(word - 1, word & CLOSED != 0 && word & COUNT == 1)
        });
        if was_last {
            M::wake(self.cell(), ALL);
        }
    }

    #[inline]
    fn swap(&self, seen: u64, next: u64) -> bool {
        self.0
            .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Closes the gate of the holder of `generation`, after Draining was read; `None` when
    /// the slot has another holder. By one of its threads at a time, as `reopen`.
    pub(crate) fn close(&self, generation: u64) -> Option<Closed> {
        // SYNC POINT gate (model: loom_tests/drain.rs): releases what the closer has read of
        // the phase words. So it is a write also when the gate is closed.
        self.0.update(|word| {
            if !is_of(word, generation) {
                return Next::Leave(None);
            }
            let closed = Closed {
                count: (word & COUNT) as u32,
                half: word as u32,
            };
            Next::Store(word | CLOSED, Some(closed))
        })
    }

    /// Opens the gate of the holder of `generation` again after a cancelled shutdown, unless
    /// the phase words refuse work by now. Excludes `close`: see the module's text.
    pub(crate) fn reopen(&self, generation: u64, look: impl Fn() -> Look) {
        self.0.update(|word| {
            if !is_of(word, generation) || word & CLOSED == 0 || look().refuses {
                return Next::Leave(());
            }
            Next::Store(word & !CLOSED, ())
        });
    }

    /// Items in flight of the holder of `generation`.
    pub(crate) fn count(&self, generation: u64) -> u32 {
        let word = self.0.load(Ordering::Acquire);
        if is_of(word, generation) {
            (word & COUNT) as u32
        } else {
            0
        }
    }

    /// What a drainer sleeps on while it has the value that `close` returned.
    pub(crate) fn cell(&self) -> M::Cell<'_> {
        M::low_cell(&self.0)
    }

    /// Empties the gate for a new holder of the slot; by its claimant.
    #[cfg(test)]
    pub(crate) fn reset(&self, generation: u64) {
        self.reset_while(generation, || true);
    }

    /// The same while `is_its`: a claimant that was swept leaves the next one's gate alone.
    pub(crate) fn reset_while(&self, generation: u64, is_its: impl Fn() -> bool) {
        self.0.store_while(empty(generation), is_its);
    }

    /// The word itself, for tests and must-fail variants.
    #[cfg(test)]
    pub(crate) fn word(&self) -> &M::U64 {
        &self.0
    }
}

/// Whether the gate is that of the holder of `generation`.
const fn is_of(word: u64, generation: u64) -> bool {
    word & !(CLOSED | COUNT) == empty(generation)
}

impl<M: Mem> Default for Gate<M> {
    fn default() -> Self {
        Self(CachePadded::new(M::U64::default()))
    }
}

shared!(Gate<M> { 0 });

#[cfg(test)]
mod tests;
