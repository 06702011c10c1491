//! Where a key of the store was found: what a reader remembers of it, in one word.
//!
//! ```text
//! 63       16   15    14       0
//! [ stamp + 1 | version | slot ]
//! ```
//! A hint of one process, good for what it is checked for: the slot is bounds-checked where it
//! is used, and what is found there is compared with the key. Only a version of the very stamp
//! that was seen here before needs no comparison: a stamp that a reader has accepted never
//! comes back (invariant 3 of `docs/design.md`, section 12).

use super::entry::Current;

const SLOT_BITS: u32 = 15;
const SLOT: u64 = (1 << SLOT_BITS) - 1;
const STAMP_SHIFT: u32 = SLOT_BITS + 1;
/// Stamps from here on are not remembered, so none is taken for another.
const STAMPS: u64 = (1 << (u64::BITS - STAMP_SHIFT)) - 1;

/// A slot, and the version of the key that was seen in it, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Place {
    /// No slot has this number.
    pub(crate) const NOWHERE: Self = Self(SLOT);

    #[inline]
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    #[inline]
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// The slot in which this version was seen.
    pub(super) fn new(slot: usize, seen: Current) -> Self {
        let slot = u64::try_from(slot).unwrap_or(SLOT).min(SLOT);
        let version = (seen.index as u64 & 1) << SLOT_BITS;
        let stamp = if seen.stamp < STAMPS {
            seen.stamp + 1
        } else {
            0
        };
        Self(slot | version | stamp << STAMP_SHIFT)
    }

    #[inline]
    pub(super) const fn slot(self) -> usize {
        (self.0 & SLOT) as usize
    }

    /// The version that was seen; for none, one with a stamp that no snapshot has.
    #[inline]
    pub(super) const fn seen(self) -> Current {
        Current {
            index: (self.0 >> SLOT_BITS & 1) as usize,
            stamp: (self.0 >> STAMP_SHIFT).wrapping_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::entry::ABORTED;

    #[test]
    fn what_was_seen_is_remembered() {
        for slot in [0, 7, 511] {
            for index in [0, 1] {
                for stamp in [0, 1, 1 << 40, STAMPS - 1] {
                    let seen = Current { index, stamp };
                    let place = Place::new(slot, seen);
                    assert_eq!((place.slot(), place.seen()), (slot, seen));
                    assert_eq!(Place::from_raw(place.raw()), place);
                }
            }
        }
    }

    #[test]
    fn a_stamp_that_does_not_fit_is_none_that_a_snapshot_has() {
        for stamp in [STAMPS, STAMPS + 1, u64::MAX - 1, u64::MAX] {
            let place = Place::new(3, Current { index: 1, stamp });
            assert_eq!((place.slot(), place.seen().stamp), (3, ABORTED));
        }
        assert_eq!(Place::NOWHERE.seen().stamp, ABORTED);
        assert_eq!(Place::NOWHERE.slot(), SLOT as usize);
    }
}
