//! The membership word of a runner slot: who holds it.
//!
//! ```text
//! 63         14 13           3 2    0
//! [ generation | process + 1 | state ]
//! ```
//!
//! ```text
//! FREE --claim--> CLAIMED --publish--> JOINING --admit--> LIVE --leave--> LEFT
//!   ^                |                    |                 |'--- reap --> DEAD
//!   '---- withdraw or reap ---------------'---- withdraw ---'
//!                                                  LEFT, DEAD --claim--> CLAIMED
//! ```
//!
//! LEFT and DEAD keep the record readable until the slot is claimed again.
//!
//! Every transition is one compare-and-swap from exactly the word that was read, and a
//! claim raises the generation, so within a generation no value comes back: marking a
//! runner dead on evidence that was collected before it left, or before the slot got its
//! next holder, fails however long the process was stopped in between. The width of the
//! generation ([`width::RUNNER`]) guards that; what the runner has done is in another
//! word ([`Ack`](super::ack::Ack)).

use crate::segment::shared;
use crate::sync::Mem;
use crate::width;

use super::Corrupt;

const STATE: u64 = 0b111;
const PROCESS_SHIFT: u32 = 3;
const PROCESS_BITS: u32 = 11;
const PROCESS: u64 = width::mask(PROCESS_BITS) << PROCESS_SHIFT;
const GENERATION_SHIFT: u32 = PROCESS_SHIFT + PROCESS_BITS;
const GENERATION: u64 = width::mask(width::RUNNER) << GENERATION_SHIFT;

const _: () = assert!(GENERATION_SHIFT + width::RUNNER <= u64::BITS);
const _: () = assert!(crate::limits::MAX_PROCESSES < 1 << PROCESS_BITS);

/// The two words of a runner slot that everybody scans. Together in one cache line; a
/// process that dies between them leaves nothing to be repaired, see `ack.rs`.
#[repr(C, align(16))]
pub(crate) struct Membership<M: Mem> {
    pub(crate) member: M::U64,
    /// [`Ack`](super::ack::Ack) in the group's scope.
    pub(crate) ack: M::U64,
}

impl<M: Mem> Default for Membership<M> {
    fn default() -> Self {
        Self {
            member: M::U64::default(),
            ack: M::U64::default(),
        }
    }
}

shared!(Membership<M> { member, ack });

/// What a runner slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Free = 0,
    /// Being filled in; not counted by anybody.
    Claimed = 1,
    /// Published, and about to look whether a shutdown is on. Counted.
    Joining = 2,
    /// A runner. Counted.
    Live = 3,
    /// Left in order; the outcome stays readable.
    Left = 4,
    /// Died; the outcome stays readable.
    Dead = 5,
}

/// A snapshot of a membership word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member(u64);

impl Member {
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
    pub(crate) const fn state(self) -> Result<State, Corrupt> {
        Ok(match self.0 & STATE {
            0 => State::Free,
            1 => State::Claimed,
            2 => State::Joining,
            3 => State::Live,
            4 => State::Left,
            5 => State::Dead,
            _ => return Err(Corrupt("membership word: no such state")),
        })
    }
    /// Whether phases wait for this slot.
    pub(crate) const fn is_counted(self) -> bool {
        matches!(self.state(), Ok(State::Joining | State::Live))
    }
    pub(crate) const fn is_live(self, generation: u64) -> bool {
        matches!(self.state(), Ok(State::Live)) && self.generation() == generation
    }
    pub(crate) const fn generation(self) -> u64 {
        (self.0 & GENERATION) >> GENERATION_SHIFT
    }
    /// Process slot of the holder; `None` for a word that names none.
    pub(crate) const fn process(self) -> Option<usize> {
        (((self.0 & PROCESS) >> PROCESS_SHIFT) as usize).checked_sub(1)
    }
    /// What no release writes, if it is that.
    // At the shipped widths the fields fill the word.
    #[allow(clippy::bad_bit_mask)]
    pub(super) const fn fault(self) -> Option<&'static str> {
        match self.state() {
            Err(_) => Some("has no such state"),
            Ok(_) if self.0 & (STATE | PROCESS | GENERATION) != self.0 => {
                Some("has bits that are never set")
            }
            Ok(State::Free) => None,
            Ok(_) if self.process().is_none() => Some("names no process"),
            Ok(_) => None,
        }
    }

    /// A fresh claim by a process; everything of the old holder is forgotten.
    pub(crate) const fn claimed(self, process: usize) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self(
            State::Claimed as u64
                | generation << GENERATION_SHIFT & GENERATION
                | ((process + 1) as u64) << PROCESS_SHIFT & PROCESS,
        )
    }
    pub(crate) const fn with_state(self, state: State) -> Self {
        Self(self.0 & !STATE | state as u64)
    }
    /// The same slot under another generation or process, for tests.
    #[cfg(test)]
    pub(crate) const fn with_generation(self, generation: u64) -> Self {
        Self(self.0 & !GENERATION | generation << GENERATION_SHIFT & GENERATION)
    }
    #[cfg(test)]
    pub(crate) const fn with_process(self, process: Option<usize>) -> Self {
        let named = match process {
            Some(process) => process as u64 + 1,
            None => 0,
        };
        Self(self.0 & !PROCESS | named << PROCESS_SHIFT & PROCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap() {
        let last = Member::from_raw(GENERATION).with_process(Some(1279));
        let live = last.with_state(State::Live);
        assert_eq!(
            (live.generation(), live.process()),
            (width::mask(width::RUNNER), Some(1279))
        );
        assert!(live.is_live(width::mask(width::RUNNER)));
        let new = live.claimed(0);
        assert_eq!(
            (new.generation(), new.process()),
            (0, Some(0)),
            "generations wrap"
        );
        assert_eq!(new.state(), Ok(State::Claimed));
    }

    #[test]
    fn a_claim_forgets_the_old_holder() {
        let old = Member::from_raw(0).claimed(1279).with_state(State::Dead);
        let new = old.claimed(0);
        assert_eq!((new.generation(), new.process()), (2, Some(0)));
    }

    #[test]
    fn impossible_states_are_refused() {
        assert!(Member::from_raw(6).state().is_err());
        assert!(!Member::from_raw(7).is_counted());
    }

    #[test]
    fn a_runner_is_live_under_its_own_generation_only() {
        let live = Member::from_raw(0).claimed(3).with_state(State::Live);
        assert!(live.is_live(1) && !live.is_live(0) && !live.is_live(2));
        for state in [
            State::Free,
            State::Claimed,
            State::Joining,
            State::Left,
            State::Dead,
        ] {
            assert!(!live.with_state(state).is_live(1), "{state:?}");
        }
    }

    #[test]
    fn words_that_no_release_writes_are_reported() {
        let claimed = Member::from_raw(0).claimed(1279);
        let live = claimed.with_state(State::Live);
        for good in [
            Member::from_raw(0),
            claimed,
            claimed.with_state(State::Free),
            claimed.with_state(State::Joining),
            live,
            live.with_state(State::Left),
            live.with_state(State::Dead),
        ] {
            assert_eq!(good.fault(), None, "{:#x}", good.raw());
        }
        let of_none = |word: Member| word.with_process(None);
        for bad in [
            Member::from_raw(live.raw() | STATE),
            of_none(claimed),
            of_none(live),
            of_none(live.with_state(State::Left)),
        ] {
            assert!(bad.fault().is_some(), "{:#x}", bad.raw());
        }
    }
}
