//! The state word of a resource record.
//!
//! ```text
//! 63          48 47         32 31     20 19       4 3    0
//! [ process + 1 | runner + 1  |   -     | generation |state ]
//! ```
//! The low half is the futex of whoever waits for the resource. A claim raises the
//! generation, so a handle of an earlier holder never fits.
//!
//! ```text
//! FREE --claim--> CLAIMED --publish--> ACTIVE <--> DRAINING --> CLOSING --> CLOSED, FAILED
//!   ^                |                    |           |            |
//!   '--- withdraw ---'                    '-----------+------------+--> TIMED_OUT, ORPHANED
//!                                         '--> DROPPED
//! ```

use crate::table::Corrupt;

use super::About;

const STATE: u64 = 0b1111;
const GENERATION_SHIFT: u32 = 4;
const RUNNER_SHIFT: u32 = 32;
const PROCESS_SHIFT: u32 = 48;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Free = 0,
    /// Being filled in; nobody looks at it.
    Claimed = 1,
    Active = 2,
    /// To be closed: nothing new may depend on it.
    Draining = 3,
    /// Its cleanup runs.
    Closing = 4,
    Closed = 5,
    Failed = 6,
    TimedOut = 7,
    /// Its owner died.
    Orphaned = 8,
    /// Its object went away without a word.
    Dropped = 9,
}

impl State {
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        Some(match bits {
            0 => Self::Free,
            1 => Self::Claimed,
            2 => Self::Active,
            3 => Self::Draining,
            4 => Self::Closing,
            5 => Self::Closed,
            6 => Self::Failed,
            7 => Self::TimedOut,
            8 => Self::Orphaned,
            9 => Self::Dropped,
            _ => return None,
        })
    }
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Draining | Self::Closing)
    }
    /// It ended, and the record tells how.
    pub(crate) const fn is_ended(self) -> bool {
        !self.is_open() && !matches!(self, Self::Free | Self::Claimed)
    }
}

/// One registration: a record and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) index: usize,
    pub(crate) generation: u16,
}

/// A snapshot of a state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResourceWord(pub(super) u64);

impl ResourceWord {
    pub(crate) const fn state(self) -> Result<State, Corrupt> {
        match State::from_bits(self.0 & STATE) {
            Some(state) => Ok(state),
            None => Err(Corrupt("resource word: no such state")),
        }
    }
    pub(crate) const fn is_open(self) -> bool {
        matches!(self.state(), Ok(state) if state.is_open())
    }
    pub(crate) const fn is_ended(self) -> bool {
        matches!(self.state(), Ok(state) if state.is_ended())
    }
    pub(crate) const fn generation(self) -> u16 {
        (self.0 >> GENERATION_SHIFT) as u16
    }
    /// Runner slot of the owner.
    pub(crate) const fn runner(self) -> Option<usize> {
        ((self.0 >> RUNNER_SHIFT & 0xffff) as usize).checked_sub(1)
    }
    /// Process slot of the owner.
    pub(crate) const fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT) as usize).checked_sub(1)
    }
    pub(in crate::table) const fn raw(self) -> u64 {
        self.0
    }
    /// What no release writes, if it is that.
    pub(in crate::table) const fn fault(self) -> Option<&'static str> {
        let unused = self.0 >> (GENERATION_SHIFT + 16) & 0xfff;
        match self.state() {
            Err(_) => Some("has no such state"),
            Ok(_) if unused != 0 => Some("has bits that nobody sets"),
            Ok(State::Free) => None,
            Ok(_) if self.process().is_none() || self.runner().is_none() => Some("names no owner"),
            Ok(_) => None,
        }
    }
    /// The half that the kernel compares.
    pub(crate) const fn futex_half(self) -> u32 {
        self.0 as u32
    }
    pub(super) const fn claimed(self, process: usize, runner: usize) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self(
            State::Claimed as u64
                | (generation as u64) << GENERATION_SHIFT
                | ((runner as u64 + 1) & 0xffff) << RUNNER_SHIFT
                | (process as u64 + 1) << PROCESS_SHIFT,
        )
    }
    pub(super) const fn with_state(self, state: State) -> Self {
        Self(self.0 & !STATE | state as u64)
    }
}

impl About {
    /// The low bits of a runner slot's generation.
    pub(crate) const fn kept(generation: u64) -> u16 {
        generation as u16
    }

    /// Whether it is about the runner of this slot generation.
    pub(crate) const fn is_of(&self, generation: u64) -> bool {
        self.runner_generation == Self::kept(generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_raises_the_generation_and_names_its_owner() {
        let old = ResourceWord(0).claimed(3, 4).with_state(State::Orphaned);
        let new = old.claimed(1279, 1023);
        assert_eq!((old.generation(), new.generation()), (1, 2));
        assert_eq!((new.process(), new.runner()), (Some(1279), Some(1023)));
        assert_eq!(new.state(), Ok(State::Claimed));
        assert!(ResourceWord(10).state().is_err());
        assert!(!ResourceWord(15).is_open() && !ResourceWord(15).is_ended());
    }

    #[test]
    fn a_record_is_open_then_ended_or_neither() {
        for bits in 0..=15 {
            let state = State::from_bits(bits);
            assert_eq!(state.map(|state| state as u64), (bits < 10).then_some(bits));
            let word = ResourceWord(bits);
            assert_eq!(word.state().ok(), state);
            assert_eq!(word.is_open(), (2..5).contains(&bits), "{bits}");
            assert_eq!(word.is_ended(), (5..10).contains(&bits), "{bits}");
        }
    }

    #[test]
    fn words_that_no_release_writes_are_told() {
        let claimed = ResourceWord(0).claimed(0, 0);
        let last = ResourceWord(0xffff << GENERATION_SHIFT).claimed(1279, 0xfffe);
        assert_eq!((last.generation(), last.runner()), (0, Some(0xfffe)));
        let free = claimed.with_state(State::Free);
        for good in [
            ResourceWord(0),
            free,
            claimed,
            last,
            last.with_state(State::Dropped),
        ] {
            assert_eq!(good.fault(), None, "{:#x}", good.raw());
        }
        let without = |word: ResourceWord, shift: u32| ResourceWord(word.0 & !(0xffff << shift));
        let with = |word: ResourceWord, bit: u32| ResourceWord(word.0 | 1 << bit);
        for bad in [
            ResourceWord(claimed.0 | 15),
            with(claimed, GENERATION_SHIFT + 16),
            with(free, RUNNER_SHIFT - 1),
            without(claimed, RUNNER_SHIFT),
            without(claimed, PROCESS_SHIFT),
        ] {
            assert!(bad.fault().is_some(), "{:#x}", bad.0);
        }
        let half = with(claimed, RUNNER_SHIFT);
        assert_eq!((half.raw(), half.futex_half()), (half.0, half.0 as u32));
    }
}
