//! The membership word of a runner slot: who holds it and which phase it has done.
//!
//! ```text
//! 63          48 47        32 31        8  7    6  4 3    0
//! [ process + 1 | generation |   epoch   |late|acked|state ]
//! ```
//!
//! State and acknowledgement share one word, so that acknowledging a slot that was
//! counted out, or counting out one that has just left, is impossible: each is one
//! compare-and-swap on the whole. `acked` is of the shutdown of `epoch` and of no other.
//!
//! ```text
//! FREE --claim--> CLAIMED --publish--> JOINING --admit--> LIVE --leave--> LEFT
//!   ^                |                    |                 '--- reap --> DEAD
//!   '---- withdraw or reap ---------------'        LEFT, DEAD --claim--> CLAIMED
//! ```
//!
//! LEFT and DEAD keep the record readable until the slot is claimed again.

use crate::phase::Phase;

use super::Corrupt;
use super::control::EPOCH_MASK;

const STATE: u64 = 0b1111;
const ACKED_SHIFT: u32 = 4;
const ACKED: u64 = 0b111 << ACKED_SHIFT;
const LATE: u64 = 1 << 7;
const EPOCH_SHIFT: u32 = 8;
const EPOCH: u64 = (EPOCH_MASK as u64) << EPOCH_SHIFT;
const GENERATION_SHIFT: u32 = 32;
const PROCESS_SHIFT: u32 = 48;

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
    pub(crate) const fn is_live(self, generation: u16) -> bool {
        matches!(self.state(), Ok(State::Live)) && self.generation() == generation
    }
    pub(crate) const fn generation(self) -> u16 {
        (self.0 >> GENERATION_SHIFT) as u16
    }
    /// Process slot of the holder; `None` for a word that names none.
    pub(crate) const fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT) as usize).checked_sub(1)
    }
    /// The shutdown that its acknowledgements are of.
    pub(super) const fn epoch(self) -> u32 {
        ((self.0 & EPOCH) >> EPOCH_SHIFT) as u32
    }
    /// What no release writes, if it is that.
    pub(super) const fn fault(self) -> Option<&'static str> {
        let done = (self.0 & ACKED) >> ACKED_SHIFT;
        match self.state() {
            Err(_) => Some("has no such state"),
            Ok(_) if done > Phase::Closing as u64 => Some("has done no such phase"),
            Ok(_) if done == 0 && self.0 & LATE != 0 => Some("is late with no phase"),
            Ok(State::Free | State::Claimed | State::Joining)
                if self.0 & (ACKED | LATE | EPOCH) != 0 =>
            {
                Some("has done a phase before it was live")
            }
            Ok(State::Free) => None,
            Ok(_) if self.process().is_none() => Some("names no process"),
            Ok(_) => None,
        }
    }
    /// The last phase done in the shutdown of `epoch`.
    pub(crate) const fn acked(self, epoch: u32) -> Phase {
        if (self.0 & EPOCH) >> EPOCH_SHIFT != epoch as u64 {
            return Phase::Running;
        }
        match Phase::from_bits((self.0 & ACKED) >> ACKED_SHIFT) {
            Some(phase) => phase,
            None => Phase::Running,
        }
    }
    /// Whether a phase of the shutdown of `epoch` was done only after it was forced.
    pub(crate) const fn is_late(self, epoch: u32) -> bool {
        (self.0 & EPOCH) >> EPOCH_SHIFT == epoch as u64 && self.0 & LATE != 0
    }

    /// A fresh claim by a process; everything of the old holder is forgotten.
    pub(crate) const fn claimed(self, process: usize) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self(
            State::Claimed as u64
                | (generation as u64) << GENERATION_SHIFT
                | ((process + 1) as u64) << PROCESS_SHIFT,
        )
    }
    pub(crate) const fn with_state(self, state: State) -> Self {
        Self(self.0 & !STATE | state as u64)
    }
    /// The same slot with `phase` acknowledged in `epoch`.
    pub(crate) fn with_acked(self, epoch: u32, phase: Phase, late: bool) -> Self {
        let acked = self.acked(epoch).max(phase);
        let late = late || self.is_late(epoch);
        Self(
            self.0 & !(ACKED | LATE | EPOCH)
                | (acked as u64) << ACKED_SHIFT
                | if late { LATE } else { 0 }
                | ((epoch & EPOCH_MASK) as u64) << EPOCH_SHIFT,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_counts_only_in_its_epoch() {
        let member = Member::from_raw(0)
            .claimed(7)
            .with_state(State::Live)
            .with_acked(3, Phase::Draining, false);
        assert_eq!(member.acked(3), Phase::Draining);
        assert_eq!(member.acked(4), Phase::Running);
        assert_eq!(member.process(), Some(7));
        assert!(member.is_live(1));
        let late = member.with_acked(3, Phase::Signaling, true);
        assert_eq!(late.acked(3), Phase::Draining);
        assert!(late.is_late(3) && !late.is_late(2));
    }

    #[test]
    fn a_claim_forgets_the_old_holder() {
        let old = Member::from_raw(0)
            .claimed(1279)
            .with_acked(9, Phase::Closing, true)
            .with_state(State::Dead);
        let new = old.claimed(0);
        assert_eq!(new.acked(9), Phase::Running);
        assert!(!new.is_late(9));
        assert_eq!(new.generation(), 2);
        assert_eq!(new.process(), Some(0));
    }

    #[test]
    fn impossible_states_are_refused() {
        assert!(Member::from_raw(6).state().is_err());
        assert!(!Member::from_raw(15).is_counted());
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
    fn words_that_no_release_writes_are_told() {
        let claimed = Member::from_raw(0).claimed(1279);
        let live = claimed.with_state(State::Live);
        let done = live.with_acked(EPOCH_MASK, Phase::Closing, true);
        assert_eq!((done.epoch(), live.epoch()), (EPOCH_MASK, 0));
        let again = done.with_acked(5, Phase::Draining, false);
        assert_eq!((again.epoch(), again.is_late(5)), (5, false));
        assert_eq!(again.acked(5), Phase::Draining);
        for good in [
            Member::from_raw(0),
            claimed,
            claimed.with_state(State::Free),
            claimed.with_state(State::Joining),
            live,
            done,
            done.with_state(State::Left),
            done.with_state(State::Dead),
        ] {
            assert_eq!(good.fault(), None, "{:#x}", good.raw());
        }
        let and = |word: Member, bits: u64| Member::from_raw(word.raw() | bits);
        let of_nobody = |word: Member| Member::from_raw(word.raw() & !(u64::MAX << PROCESS_SHIFT));
        for bad in [
            and(done, STATE),
            and(live, 4 << ACKED_SHIFT),
            and(live, 7 << ACKED_SHIFT),
            and(live, LATE),
            and(claimed, 1 << ACKED_SHIFT),
            and(claimed.with_state(State::Free), 1 << EPOCH_SHIFT),
            done.with_state(State::Joining),
            of_nobody(claimed),
            of_nobody(live),
            of_nobody(done.with_state(State::Left)),
        ] {
            assert!(bad.fault().is_some(), "{:#x}", bad.raw());
        }
    }
}
