//! The in-flight gate of a runner: how many items are being worked on, and whether new
//! ones are let in.
//!
//! ```text
//! 63       62  48 47        32 31     0
//! [ closed |  -  | generation | count ]
//! ```
//! `generation` is that of the slot: an item may be finished long after its runner has
//! left (Draining was forced), and must not count for the next holder of the slot.
//!
//! Beginning and the drainer's closing meet on this one word: `begin` looks at the
//! phase, adds one, and the value before tells whether the gate was closed in between.
//! An item is either counted before the gate closed (the drainer sees it) or takes
//! itself back; no fence is needed, and an uncontended begin or end is one
//! read-modify-write.
//!
//! *A gate closed by a cancelled shutdown* may be met by a `begin` before its runner
//! re-opens it. Then `begin` looks again. The closer had read Draining(e) before it
//! closed, and `begin` read its closing (SYNC POINT `gate`), so the second look is at
//! least as new as Draining(e): if it is unchanged and lets work in, the closing is of
//! an older epoch and the item stands.
//!
//! Modelled by `loom_tests/drain.rs`.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::segment::shared;
use crate::sync::mem::{ALL, Next};
use crate::sync::{Mem, Word};

pub(super) const COUNT: u64 = 0xffff_ffff;
pub(super) const GENERATION_SHIFT: u32 = 32;
pub(super) const CLOSED: u64 = 1 << 63;

/// The shared gate, on its own cache line.
#[repr(C)]
pub(crate) struct Gate<M: Mem>(pub(super) CachePadded<M::U64>);

/// What a look at the phase words said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) refuses: bool,
    /// Epochs of the group and of the runner's own scope.
    pub(crate) epochs: (u64, u64),
}

impl<M: Mem> Gate<M> {
    /// Counts one item of the holder of `generation` in, unless work is refused or the
    /// slot has another holder by now. `look` reads the phase words.
    #[inline]
    pub(crate) fn begin_as(&self, generation: u64, look: impl Fn() -> Look) -> bool {
        loop {
            let seen = look();
            if seen.refuses {
                return false;
            }
            // SYNC POINT gate: acquires the closing in `close`.
            let before = self.0.fetch_add(1, Ordering::AcqRel);
            let holder = holder_of(before);
            let generation = generation & 0xffff;
            if holder == generation && (before & CLOSED == 0 || look() == seen) {
                return true;
            }
            self.end_as(holder);
            if holder != generation {
                return false;
            }
            // The phase words moved: ask again. Each turn needs one more move of a
            // phase word, so this ends.
        }
    }

    /// Counts one item of the holder of `generation` out and wakes the drainer if it
    /// was the last. Does nothing when the slot has another holder.
    #[inline]
    pub(crate) fn end_as(&self, generation: u64) {
        let was_last = self.0.update(|word| {
            if holder_of(word) != generation & 0xffff || word & COUNT == 0 {
                return Next::Leave(false);
            }
            Next::Store(word - 1, word & CLOSED != 0 && word & COUNT == 1)
        });
        if was_last {
            self.wake();
        }
    }

    /// For whoever holds the slot now.
    #[cfg(test)]
    pub(crate) fn begin(&self, look: impl Fn() -> Look) -> bool {
        self.begin_as(holder_of(self.0.load(Ordering::Acquire)), look)
    }

    /// For whoever holds the slot now.
    #[cfg(test)]
    pub(crate) fn end(&self) {
        self.end_as(holder_of(self.0.load(Ordering::Acquire)));
    }

    #[cold]
    fn wake(&self) {
        M::wake(self.cell(), ALL);
    }

    /// Closes the gate, after Draining was read, and returns how many are in flight.
    pub(crate) fn close(&self) -> u32 {
        // SYNC POINT gate: releases what the closer has read of the phase words.
        let before = self.0.fetch_or(CLOSED, Ordering::AcqRel);
        (before & COUNT) as u32
    }

    /// Opens the gate again after a cancelled shutdown; by the one who closed it.
    pub(crate) fn reopen(&self) {
        self.0.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn count(&self) -> u32 {
        (self.0.load(Ordering::Acquire) & COUNT) as u32
    }

    /// What a drainer sleeps on: the count.
    pub(crate) fn cell(&self) -> M::Cell<'_> {
        M::low_cell(&self.0)
    }

    /// Empties the gate for a new holder of the slot.
    pub(crate) fn reset(&self, generation: u64) {
        let empty = (generation & 0xffff) << GENERATION_SHIFT;
        self.0.store(empty, Ordering::Release);
    }
}

/// The slot generation whose items are counted.
fn holder_of(word: u64) -> u64 {
    word >> GENERATION_SHIFT & 0xffff
}

impl<M: Mem> Default for Gate<M> {
    fn default() -> Self {
        Self(CachePadded::new(M::U64::default()))
    }
}

shared!(Gate<M> { 0 });

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::sync::Real;

    const OPEN: Look = Look {
        refuses: false,
        epochs: (0, 0),
    };
    const SHUT: Look = Look {
        refuses: true,
        epochs: (0, 0),
    };

    #[test]
    fn items_are_counted_in_and_out_while_work_is_taken() {
        let gate = Gate::<Real>::default();
        gate.reset(3);
        assert!(gate.begin_as(3, || OPEN) && gate.begin_as(3, || OPEN));
        assert!(!gate.begin_as(3, || SHUT));
        assert!(!gate.begin_as(4, || OPEN), "the slot has another holder");
        assert_eq!((gate.count(), gate.close()), (2, 2));
        assert!(!gate.begin_as(4, || OPEN));
        gate.end_as(4);
        assert_eq!(gate.count(), 2);
        gate.end_as(3);
        gate.end_as(3);
        gate.end_as(3);
        assert_eq!(
            (gate.count(), gate.close()),
            (0, 0),
            "nothing below nothing"
        );
        gate.reset(4);
        assert!(gate.begin_as(4, || OPEN));
        assert_eq!(gate.0.load(Ordering::Relaxed), 4 << GENERATION_SHIFT | 1);
    }

    #[test]
    fn what_meets_a_closed_gate_looks_again() {
        let gate = Gate::<Real>::default();
        let looks = Cell::new(0);
        let look_by_look = |later: Look| {
            looks.set(0);
            gate.begin(|| {
                looks.set(looks.get() + 1);
                if looks.get() == 1 { OPEN } else { later }
            })
        };
        assert!(look_by_look(SHUT));
        assert_eq!(looks.get(), 1, "an open gate needs no second look");
        gate.end();
        gate.close();
        assert!(!look_by_look(SHUT));
        assert_eq!((looks.get(), gate.count()), (3, 0), "it took itself back");
        // Closed by a shutdown that was called off before: nothing has moved since.
        assert!(look_by_look(OPEN));
        assert_eq!((looks.get(), gate.count()), (2, 1));
        gate.end();
        let epochs = (1, 0);
        assert!(look_by_look(Look { epochs, ..OPEN }));
        assert_eq!(
            (looks.get(), gate.count()),
            (4, 1),
            "something had moved, so it asked again"
        );
        gate.reopen();
        assert!(look_by_look(SHUT));
        assert_eq!(gate.count(), 2);
    }
}
