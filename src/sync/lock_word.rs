//! The value of a lock word: its bits and what they become. The word itself is moved
//! by `sync/mutex.rs`, where the rules and proofs are.

use super::owner::{Holder, Owner};

/// No owner, no waiters, nothing inconsistent.
pub(super) const FREE: u64 = 0;
const WAITERS: u64 = 0b01;
const INCONSISTENT: u64 = 0b10;
/// Beside INCONSISTENT: the owner did not die, it panicked.
const PANICKED: u64 = 1 << 63;
const FLAGS: u64 = WAITERS | INCONSISTENT | PANICKED;

/// One value of the lock word: an owner's name, or zero, and three flags.
#[derive(Clone, Copy)]
pub(super) struct State(pub(super) u64);

impl State {
    #[inline]
    pub(super) fn owned_by(owner: Owner) -> Self {
        Self(owner.name())
    }

    /// The same as `holder() == Holder::Thread(owner)`, for an owner of a possible slot.
    #[inline]
    pub(super) fn is_owned_by(self, owner: Owner) -> bool {
        self.0 & !FLAGS == Self::owned_by(owner).0
    }

    pub(super) fn holder(self) -> Holder {
        match self.0 & (INCONSISTENT | PANICKED) {
            PANICKED => Holder::Corrupt,
            _ => Holder::of(self.0 & !FLAGS),
        }
    }

    /// The half that sleepers compare.
    pub(super) fn low(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    /// Whether the owner that left it inconsistent panicked, and did not die.
    pub(super) fn has_panicked(self) -> bool {
        self.0 & PANICKED != 0
    }

    pub(super) fn with_waiters(self) -> Self {
        Self(self.0 | WAITERS)
    }

    /// The next owner's word: keeps who waits and what is broken.
    pub(super) fn passed_to(self, owner: Owner) -> Self {
        Self(self.0 & FLAGS | Self::owned_by(owner).0)
    }

    pub(super) fn after_death(self) -> Self {
        Self(self.0 & !PANICKED | INCONSISTENT)
    }

    /// One that died inside before weighs more.
    pub(super) fn after_panic(self) -> Self {
        match self.is_inconsistent() {
            true => self,
            false => Self(self.0 | INCONSISTENT | PANICKED),
        }
    }

    pub(super) fn made_whole(self) -> Self {
        Self(self.0 & !(INCONSISTENT | PANICKED))
    }

    /// The free word that remembers only what is broken.
    pub(super) fn freed(self) -> Self {
        Self(self.0 & (INCONSISTENT | PANICKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits, width};

    #[test]
    fn owner_survives_the_way_through_the_word() {
        let last = width::mask(width::THREAD);
        for (slot, generation) in [(0, 0), (0, last), (limits::MAX_THREADS as u16 - 1, 1)] {
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
    fn a_death_and_a_panic_are_distinguished_and_the_death_weighs_more() {
        let of = |state: State| (state.is_inconsistent(), state.has_panicked());
        let state = State::owned_by(Owner {
            slot: 3,
            generation: 1,
        });
        assert_eq!(of(state), (false, false));
        let (dead, panicked) = (state.after_death(), state.after_panic());
        assert_eq!((of(dead), of(panicked)), ((true, false), (true, true)));
        assert_eq!(of(panicked.after_death()), (true, false));
        assert_eq!(of(dead.after_panic()), (true, false));
        for state in [dead, panicked] {
            assert_eq!(
                of(state.freed().passed_to(Owner {
                    slot: 4,
                    generation: 0
                })),
                of(state)
            );
            assert_eq!(of(state.made_whole()), (false, false));
            assert!(state.freed().holder() == Holder::Nobody);
        }
        assert_eq!(state.low(), State(state.0 | PANICKED).low());
    }

    #[test]
    fn words_that_nobody_writes_are_corrupt() {
        for word in [PANICKED, PANICKED | WAITERS] {
            assert!(State(word).holder() == Holder::Corrupt, "{word:#x}");
        }
        for word in [0b100, 1 << 3, 1 << 32, u64::MAX] {
            assert!(State(word).holder() == Holder::Corrupt, "{word:#x}");
            assert!(State(word | WAITERS | INCONSISTENT).holder() == Holder::Corrupt);
        }
        assert!(State(FREE | WAITERS | INCONSISTENT).holder() == Holder::Nobody);
    }

    #[test]
    fn a_sleeper_sees_the_flags() {
        let slot = 3;
        let state = State::owned_by(Owner {
            slot,
            generation: 1,
        });
        assert_ne!(state.low(), state.with_waiters().low());
        assert_ne!(state.low(), state.after_death().low());
    }
}
