//! A time that belongs to one tag (an epoch, or the generation of a slot), in one word.
//!
//! ```text
//! 63  48 47          0
//! [ tag | microseconds ]
//! ```
//!
//! The first to come sets it and anybody may help, so a process that dies before it sets
//! a time takes none with it. Nothing is cleared: a stamp counts under its tag only, and
//! only from a *floor* on, which is stored beside it.
//!
//! # Why a stopped helper does no harm
//! Tags are narrow and cannot be ordered. Time can: what a stamp of an epoch records
//! happened after that epoch's shutdown began, and the floor is not later than that
//! beginning and later than all that was recorded before (see SYNC POINT `floor` in
//! `scope.rs`). A helper loads the word, then asks whether its epoch is still the present
//! one, then compare-and-swaps. If it is stopped
//! - before it asks: the epoch is over, and it stores nothing;
//! - after it asked: what it stores was read from the clock before the next shutdown
//!   began, so it lies below that one's floor and reads as unset, though its tag may have
//!   wrapped. If anything was set meanwhile, the word that it loaded is gone, and does not
//!   come back, as it contains a time.
//!
//! Only two times of one microsecond under one tag could be taken for each other, which
//! takes all tags in between within that microsecond. The same holds for the end of a
//! runner, whose tag is the slot's generation and whose floor is the instant of its claim.
//! Models: `loom_tests/stamps.rs`; `search_tests/stamps_small.rs`, also without tags.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

const MICROS: u64 = (1 << TAG_SHIFT) - 1;
const TAG_SHIFT: u32 = 48;
const TAG: u64 = width::mask(width::STAMP);

const _: () = assert!(TAG_SHIFT + width::STAMP <= u64::BITS);

/// One stamp. All-zero is unset.
#[repr(C)]
pub(crate) struct Stamp<M: Mem>(M::U64);

impl<M: Mem> Stamp<M> {
    /// The microseconds set under this tag, if any.
    pub(crate) fn get(&self, tag: u64, floor: u64) -> Option<u64> {
        unpack(self.raw(), tag, floor)
    }

    /// Whatever bytes, for tests.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, raw: u64) {
        self.0.store(raw, Ordering::Release);
    }

    /// The stored word.
    pub(crate) fn raw(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets the stamp unless it is set under this tag already; returns the stored time.
    /// When `is_on` says that the tag is of the past, returns `micros` and stores nothing.
    pub(crate) fn set_once(
        &self,
        tag: u64,
        floor: u64,
        micros: u64,
        is_on: impl Fn() -> bool,
    ) -> u64 {
        // Zero means unset; the clock has long passed its first microsecond.
        let micros = micros.max(floor).clamp(1, MICROS);
        self.0.update(|raw| match unpack(raw, tag, floor) {
            Some(set) => Next::Leave(set),
            // After the load: if the tag passes from here on, this word is not set under
            // the next one, or the swap fails.
            None if !is_on() => Next::Leave(micros),
            None => Next::Store((tag & TAG) << TAG_SHIFT | micros, micros),
        })
    }
}

fn unpack(raw: u64, tag: u64, floor: u64) -> Option<u64> {
    let micros = raw & MICROS;
    let is_its = (raw >> TAG_SHIFT ^ tag) & TAG == 0;
    (is_its && micros != 0 && micros >= floor).then_some(micros)
}

/// A word of a stamp, for tests.
#[cfg(test)]
pub(crate) fn pack(tag: u64, micros: u64) -> u64 {
    (tag & TAG) << TAG_SHIFT | micros & MICROS
}

impl<M: Mem> Default for Stamp<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

shared!(Stamp<M> { 0 });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn on() -> bool {
        true
    }

    /// The number of epochs after which a tag wraps.
    const AROUND: u64 = TAG + 1;

    #[test]
    fn the_first_of_a_tag_is_kept_and_a_late_one_of_the_past_is_not_stored() {
        let stamp = Stamp::<Real>::default();
        assert_eq!((stamp.get(7, 0), stamp.raw()), (None, 0));
        assert_eq!(stamp.set_once(7, 50, 100, on), 100);
        assert_eq!(stamp.set_once(7, 50, 200, on), 100);
        assert_eq!(stamp.set_once(8, 250, 300, on), 300);
        assert_eq!(
            stamp.set_once(7, 50, 400, || false),
            400,
            "returned, not stored"
        );
        assert_eq!((stamp.get(8, 250), stamp.get(7, 50)), (Some(300), None));
        stamp.write_raw(0);
        assert_eq!(stamp.get(8, 250), None);
    }

    #[test]
    fn nothing_counts_below_the_floor_and_the_bounds_of_a_time_are_kept() {
        let stamp = Stamp::<Real>::default();
        stamp.set_once(3, 0, 100, on);
        assert_eq!((stamp.get(3, 100), stamp.get(3, 101)), (Some(100), None));
        assert_eq!(stamp.set_once(3, 150, 120, on), 150, "not before the floor");
        assert_eq!(stamp.set_once(4, 0, 0, on), 1, "zero is unset");
        assert_eq!(stamp.set_once(5, 0, u64::MAX, on), MICROS);
        assert_eq!(stamp.get(5, MICROS), Some(MICROS));
    }

    /// Another shutdown, or many, between a helper's question and its swap: what it stores
    /// is below the floor, whether or not its tag has wrapped.
    #[test]
    fn a_helper_that_was_stopped_sets_no_time_of_a_later_shutdown() {
        for later in [8, 7 + AROUND, 7 + 2 * AROUND, 7 + AROUND / 2 + 1] {
            let stamp = Stamp::<Real>::default();
            assert_eq!(stamp.set_once(7, 50, 100, on), 100);
            // Nothing is set in the later one.
            assert_eq!(stamp.get(later, 1000), None);
            assert_eq!(stamp.set_once(later, 1000, 1010, on), 1010);
            // Something is: the word that was loaded is gone.
            let stamp = Stamp::<Real>::default();
            let asked = core::cell::Cell::new(false);
            let meanwhile = || {
                let first = !asked.replace(true);
                if first {
                    stamp.set_once(later, 1000, 1010, on);
                }
                first
            };
            stamp.set_once(7, 50, 100, meanwhile);
            assert_eq!(stamp.get(later, 1000), Some(1010));
            // Nothing is, and the late one comes last.
            let stamp = Stamp::<Real>::default();
            stamp.set_once(7, 50, 100, on);
            assert_eq!(stamp.get(later, 1000), None, "below the floor");
        }
    }
}
