//! The state word of a resource record.
//!
//! ```text
//! 63          53 52         42 41              4 3     0
//! [ process + 1 | runner + 1  | generation : 38 | state ]
//! ```
//! The low half is the futex of those that wait for the resource: the state and 28 bits of the
//! generation. A claim raises the generation, so a handle of an earlier registration never
//! fits.
//!
//! Every change is one compare-and-swap from a word of the registration meant. Between the
//! load and the swap the record may be registered again; then the generation differs, and the
//! swap fails. It wraps after 2^38 registrations, 1 µs each: 3 days. Within a registration
//! the states from which a step is taken admit it whenever the swap succeeds.
//!
//! ```text
//! FREE --claim--> CLAIMED --publish--> ACTIVE <--> DRAINING --> CLOSING --> CLOSED, FAILED
//!   ^                |                    |           |            |
//!   '--- withdraw ---'                    '-----------+------------+--> TIMED_OUT, ORPHANED
//!                                         '--> DROPPED
//! ```

use crate::limits::{MAX_PROCESSES, MAX_RUNNERS};
use crate::table::Corrupt;
use crate::width::{RESOURCE, mask};

const STATE_BITS: u32 = 4;
const STATE: u64 = mask(STATE_BITS);
/// Room of the generation.
const GENERATION_BITS: u32 = 38;
const SLOT_BITS: u32 = 11;
const RUNNER_SHIFT: u32 = STATE_BITS + GENERATION_BITS;
const PROCESS_SHIFT: u32 = RUNNER_SHIFT + SLOT_BITS;

const _: () = assert!(RESOURCE <= GENERATION_BITS && PROCESS_SHIFT + SLOT_BITS == 64);
const _: () = assert!((MAX_RUNNERS as u64) <= mask(SLOT_BITS));
const _: () = assert!((MAX_PROCESSES as u64) <= mask(SLOT_BITS));

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
    pub(crate) generation: u64,
}

impl Key {
    /// Index and generation in one word, which is never 0. Its highest bits are free.
    pub(crate) const fn packed(self) -> u64 {
        self.generation & mask(RESOURCE) | (self.index as u64 + 1) << GENERATION_BITS
    }

    /// What was packed; `None` for a word that names no record.
    pub(crate) const fn unpacked(raw: u64) -> Option<Self> {
        match ((raw >> GENERATION_BITS) as usize).checked_sub(1) {
            Some(index) => Some(Self {
                index,
                generation: raw & mask(GENERATION_BITS),
            }),
            None => None,
        }
    }
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
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> STATE_BITS & mask(RESOURCE)
    }
    /// Runner slot of the owner.
    pub(crate) const fn runner(self) -> Option<usize> {
        ((self.0 >> RUNNER_SHIFT & mask(SLOT_BITS)) as usize).checked_sub(1)
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
        let unused = self.0 >> STATE_BITS & mask(GENERATION_BITS) & !mask(RESOURCE);
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
        let generation = self.generation().wrapping_add(1) & mask(RESOURCE);
        Self(
            State::Claimed as u64
                | generation << STATE_BITS
                | ((runner as u64 + 1) & mask(SLOT_BITS)) << RUNNER_SHIFT
                | (process as u64 + 1) << PROCESS_SHIFT,
        )
    }
    pub(super) const fn with_state(self, state: State) -> Self {
        Self(self.0 & !STATE | state as u64)
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
        let last = ResourceWord(mask(RESOURCE) << STATE_BITS);
        assert_eq!(last.claimed(0, 0).generation(), 0);
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
        let last = ResourceWord(mask(RESOURCE) << STATE_BITS).claimed(1279, 1023);
        assert_eq!((last.generation(), last.runner()), (0, Some(1023)));
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
        let without =
            |word: ResourceWord, shift: u32| ResourceWord(word.0 & !(mask(SLOT_BITS) << shift));
        let with = |word: ResourceWord, bit: u32| ResourceWord(word.0 | 1 << bit);
        let mut bad = vec![
            ResourceWord(claimed.0 | 15),
            without(claimed, RUNNER_SHIFT),
            without(claimed, PROCESS_SHIFT),
        ];
        if RESOURCE < GENERATION_BITS {
            bad.push(with(claimed, STATE_BITS + RESOURCE));
            bad.push(with(free, RUNNER_SHIFT - 1));
        }
        for bad in bad {
            assert!(bad.fault().is_some(), "{:#x}", bad.0);
        }
        let half = with(claimed, RUNNER_SHIFT);
        assert_eq!((half.raw(), half.futex_half()), (half.0, half.0 as u32));
    }

    #[test]
    fn keys_come_back_from_a_word() {
        let last = Key {
            index: 1023,
            generation: mask(RESOURCE),
        };
        for key in [
            Key {
                index: 0,
                generation: 0,
            },
            last,
        ] {
            assert_eq!(Key::unpacked(key.packed()), Some(key));
            assert_eq!(key.packed() >> (GENERATION_BITS + SLOT_BITS), 0);
        }
        assert_eq!(Key::unpacked(mask(GENERATION_BITS)), None);
    }
}
