//! The name of a thread: its slot and the slot's generation, as a value and as a number.
//!
//! ```text
//!    63     62              16 15       3    2    1     0
//! ┌─────────┬──────────────────┬──────────┬─────┬─────────┐
//! │ free: 0 │ generation       │ slot + 1 │ TAG │ free: 0 │
//! └─────────┴──────────────────┴──────────┴─────┴─────────┘
//! ```
//! Zero names nobody. The highest bit and the two lowest ones belong to the word that keeps
//! the name (the flags of a lock). The low half of the number is what a sleeper compares: it has the slot, TAG
//! and the low bits of the generation (`width::NAME_LOW`).
//!
//! # Why a name may be compared at any later time
//! A slot's generation goes up when the slot is freed (`table/threads.rs`) and never
//! otherwise, so a name belongs to one thread, and comes back only after 2^47 threads of
//! one slot: 205 years (`width::THREAD`). A step that replaces a dead thread's name, stopped
//! for any time in between, therefore never meets the same name of a living one. Nothing
//! else guards those steps.
//!
//! Never a TID: TIDs repeat across pid namespaces.

use crate::limits::MAX_THREADS;
use crate::width;

const TAG: u64 = 0b100;
const SLOT_SHIFT: u32 = 3;
const SLOT: u64 = 0x1fff;
const GENERATION_SHIFT: u32 = u32::BITS - width::NAME_LOW;
const GENERATION: u64 = width::mask(width::THREAD);

const _: () = assert!(MAX_THREADS < SLOT as usize);
const _: () = assert!(GENERATION_SHIFT >= SLOT_SHIFT + 13);
const _: () = assert!(GENERATION_SHIFT + width::THREAD < u64::BITS);

/// The name of an attached thread: its slot and the slot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) slot: u16,
    /// At most `width::THREAD` bits.
    pub(crate) generation: u64,
}

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Thread(Owner),
    /// No name that is ever written.
    Corrupt,
}

impl Owner {
    /// The name as a number, for a slot of the table.
    #[inline]
    pub(crate) const fn name(self) -> u64 {
        let slot = (self.slot as u64 + 1) << SLOT_SHIFT;
        self.generation << GENERATION_SHIFT | slot | TAG
    }
}

impl Holder {
    /// Whose name a number is.
    pub(crate) fn of(name: u64) -> Self {
        let slot = name >> SLOT_SHIFT & SLOT;
        let owner = Owner {
            slot: slot.wrapping_sub(1) as u16,
            generation: name >> GENERATION_SHIFT & GENERATION,
        };
        match slot {
            0 if name == 0 => Self::Nobody,
            1.. if slot as usize <= MAX_THREADS && owner.name() == name => Self::Thread(owner),
            _ => Self::Corrupt,
        }
    }

    /// The thread, if it is one's.
    pub(crate) fn thread(self) -> Option<Owner> {
        match self {
            Self::Thread(owner) => Some(owner),
            Self::Nobody | Self::Corrupt => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_thread_and_leaves_two_bits() {
        for slot in [0, 1, MAX_THREADS as u16 - 1] {
            for generation in [0, 1, GENERATION] {
                let owner = Owner { slot, generation };
                let name = owner.name();
                assert_eq!(Holder::of(name), Holder::Thread(owner));
                assert_eq!(Holder::of(name).thread(), Some(owner));
                assert_eq!(name & 0b11, 0);
            }
        }
        assert_eq!(Holder::of(0), Holder::Nobody);
        assert_eq!(Holder::of(0).thread(), None);
    }

    #[test]
    fn numbers_that_name_no_thread_are_corrupt() {
        let last = Owner {
            slot: MAX_THREADS as u16 - 1,
            generation: GENERATION,
        };
        let beyond = last.name() + (1 << SLOT_SHIFT);
        let of_no_slot = TAG | GENERATION << GENERATION_SHIFT;
        let untagged = last.name() & !TAG;
        for name in [TAG, beyond, of_no_slot, untagged, 1, last.name() | 1] {
            assert_eq!(Holder::of(name), Holder::Corrupt, "{name:#x}");
        }
        // Every bit is of a field, or set by nobody.
        for bit in 0..u64::BITS {
            let other = Holder::of(last.name() ^ 1 << bit);
            assert_ne!(other, Holder::Thread(last), "bit {bit}");
        }
    }

    #[test]
    fn the_half_that_sleepers_compare_has_slot_tag_and_the_low_bits_of_the_generation() {
        let low = |slot, generation| Owner { slot, generation }.name() as u32;
        let round = 1 << width::NAME_LOW;
        assert_ne!(low(3, 0), low(4, 0));
        assert_ne!(low(3, 0), low(3, 1));
        assert_ne!(low(3, 0), low(3, round >> 1));
        assert_eq!(low(3, 0), low(3, round), "the rest is in the high half");
        assert_ne!(low(0, 0), 0);
    }
}
