//! The value of a lock word: its bits and what they become. The word itself is moved
//! by `sync/mutex.rs`, where the rules and proofs are.

use super::Owner;
use crate::limits;

/// Nobody owns it, nobody waits, nothing is broken.
pub(super) const FREE: u32 = 0;
const WAITERS: u32 = 0b1000_0000_0000_0000_0000_0000_0000_0000;
const INCONSISTENT: u32 = 0b0100_0000_0000_0000_0000_0000_0000_0000;
const TAG: u32 = 0b0010_0000_0000_0000_0000_0000_0000_0000;
const GENERATION: u32 = 0b0001_1111_1111_1111_1110_0000_0000_0000;
const SLOT: u32 = 0b0000_0000_0000_0000_0001_1111_1111_1111;
const GENERATION_SHIFT: u32 = 13;

const _: () = assert!(limits::MAX_THREADS < SLOT as usize);
const _: () = assert!(WAITERS | INCONSISTENT | TAG | GENERATION | SLOT == u32::MAX);

/// What the word says about ownership.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    Thread(Owner),
    Corrupt,
}

/// One value of the lock word.
#[derive(Clone, Copy)]
pub(super) struct State(pub(super) u32);

impl State {
    #[inline]
    pub(super) fn owned_by(owner: Owner) -> Self {
        let slot = (u32::from(owner.slot) + 1) & SLOT;
        Self(TAG | u32::from(owner.generation) << GENERATION_SHIFT | slot)
    }

    /// The same as `holder() == Holder::Thread(owner)`, for an owner of a possible slot.
    #[inline]
    pub(super) fn is_owned_by(self, owner: Owner) -> bool {
        self.0 & !(WAITERS | INCONSISTENT) == Self::owned_by(owner).0
    }

    pub(super) fn holder(self) -> Holder {
        let slot = self.0 & SLOT;
        match (self.0 & TAG != 0, slot) {
            (false, _) if self.0 & (GENERATION | SLOT) == 0 => Holder::Nobody,
            (true, 1..) if slot as usize <= limits::MAX_THREADS => Holder::Thread(Owner {
                slot: (slot - 1) as u16,
                generation: (self.0 >> GENERATION_SHIFT) as u16,
            }),
            _ => Holder::Corrupt,
        }
    }

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    pub(super) fn with_waiters(self) -> Self {
        Self(self.0 | WAITERS)
    }

    /// The next owner's word: keeps who waits and what is broken.
    pub(super) fn passed_to(self, owner: Owner) -> Self {
        Self(self.0 & (WAITERS | INCONSISTENT) | Self::owned_by(owner).0)
    }

    pub(super) fn after_death(self) -> Self {
        Self(self.0 | INCONSISTENT)
    }

    pub(super) fn made_whole(self) -> Self {
        Self(self.0 & !INCONSISTENT)
    }

    /// The free word that remembers only what is broken.
    pub(super) fn freed(self) -> Self {
        Self(self.0 & INCONSISTENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_survives_the_way_through_the_word() {
        for (slot, generation) in [(0, 0), (0, u16::MAX), (limits::MAX_THREADS as u16 - 1, 1)] {
            let owner = Owner { slot, generation };
            let state = State::owned_by(owner);
            assert!(state.holder() == Holder::Thread(owner));
            assert!(state.with_waiters().after_death().holder() == Holder::Thread(owner));
            assert!(
                state.is_owned_by(owner) && state.with_waiters().after_death().is_owned_by(owner)
            );
            let other = Owner {
                generation: generation ^ 1,
                ..owner
            };
            assert!(!state.is_owned_by(other) && !State(FREE).is_owned_by(owner));
        }
    }

    #[test]
    fn words_that_nobody_writes_are_corrupt() {
        let too_high = TAG | (limits::MAX_THREADS as u32 + 1);
        for word in [
            TAG,
            TAG | GENERATION,
            1,
            1 << GENERATION_SHIFT,
            TAG | SLOT,
            too_high,
        ] {
            assert!(State(word).holder() == Holder::Corrupt, "{word:#x}");
            assert!(State(word | WAITERS | INCONSISTENT).holder() == Holder::Corrupt);
        }
        assert!(State(FREE | WAITERS | INCONSISTENT).holder() == Holder::Nobody);
    }
}
