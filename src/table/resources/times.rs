//! When a registration entered its states.
//!
//! ```text
//! each word: [ generation:16 | microseconds:48 ]
//! ```
//! Anybody may set a time, once in a registration, before the move of the state word that it
//! is of. A thread that is stopped before its swap may store into a record that has been
//! registered again since. So a time counts only if its tag is that of the registration *and*
//! it is not before the instant of the registration, its floor:
//! - the thread loads the word, then the floor, then asks whether the registration is the
//!   present one, and then swaps from what it loaded. It stores a time of an instant before it
//!   asked, and the next registration takes its floor after that: what is stored too late is
//!   below the floor of the registration that it meets, and reads as unset;
//! - it overwrites nothing that was set since, as that is not what it loaded: the value
//!   contains the time.
//!
//! Both could fail only for two registrations with the same tag in one microsecond. The floor
//! is stored by the claimant alone, before it publishes.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::mem::Next;
use crate::sync::{Mem, Word};
use crate::width::{STAMP, mask};

use super::State;

const MICROS_BITS: u32 = 48;
const MICROS: u64 = mask(MICROS_BITS);

/// The times of one record. All-zero is unset.
#[repr(C)]
pub(crate) struct Times<M: Mem> {
    /// Became Active first.
    registered: M::U64,
    /// Draining, Closing, ended, and the end of a cleanup that was given up.
    since: [M::U64; 4],
}

/// What a time is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    State(State),
    /// A cleanup came to its end after it was given up.
    Late,
}

const fn pack(generation: u64, micros: u64) -> u64 {
    // Zero means unset; the clock has long passed its first microsecond.
    let micros = match micros {
        0 => 1,
        micros if micros > MICROS => MICROS,
        micros => micros,
    };
    (generation & mask(STAMP)) << MICROS_BITS | micros
}

/// The microseconds of a word, if it is of this registration.
fn unpack(raw: u64, generation: u64) -> Option<u64> {
    let micros = raw & MICROS;
    let of_it = raw >> MICROS_BITS == generation & mask(STAMP);
    (of_it && micros != 0).then_some(micros)
}

impl<M: Mem> Times<M> {
    /// A registration begins, all other times unset; by its claimant.
    pub(super) fn begin(&self, generation: u64, now: u64) {
        self.registered
            .store(pack(generation, now), Ordering::Release);
    }

    /// Unsets all; by the claimant of the record.
    pub(super) fn clear(&self) {
        for word in self.since.iter().chain([&self.registered]) {
            word.store(0, Ordering::Release);
        }
    }

    fn word(&self, of: Of) -> Option<&M::U64> {
        match of {
            Of::State(State::Free | State::Claimed) => None,
            Of::State(State::Active) => Some(&self.registered),
            Of::State(State::Draining) => Some(&self.since[0]),
            Of::State(State::Closing) => Some(&self.since[1]),
            Of::State(_) => Some(&self.since[2]),
            Of::Late => Some(&self.since[3]),
        }
    }

    /// The time, if it is set in this registration.
    pub(super) fn get(&self, generation: u64, of: Of) -> Option<u64> {
        let micros = unpack(self.word(of)?.load(Ordering::Acquire), generation)?;
        let floor = self.floor(generation)?;
        (micros >= floor).then_some(micros)
    }

    fn floor(&self, generation: u64) -> Option<u64> {
        unpack(self.registered.load(Ordering::Acquire), generation)
    }

    /// Sets a time unless it is set in this registration, or that `is_over`. The time of
    /// becoming Active is set by [`begin`](Self::begin).
    pub(super) fn set_once(&self, generation: u64, of: Of, now: u64, is_over: impl Fn() -> bool) {
        let Some(word) = self.word(of).filter(|_| of != Of::State(State::Active)) else {
            return;
        };
        word.update(|raw| {
            let Some(floor) = self.floor(generation) else {
                return Next::Leave(());
            };
            let is_set = unpack(raw, generation).is_some_and(|micros| micros >= floor);
            // After all loads, and before the swap.
            if is_set || is_over() {
                return Next::Leave(());
            }
            // A registration may be strictly newer than the clock.
            Next::Store(pack(generation, now.max(floor)), ())
        });
    }

    /// The word of a state, for the checker.
    pub(in crate::table) fn raw(&self, state: State) -> u64 {
        let word = self.word(Of::State(state));
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The time that has the tag of a registration, whether it counts or not.
    #[cfg(test)]
    pub(super) fn stored(&self, generation: u64, of: Of) -> Option<u64> {
        unpack(self.word(of)?.load(Ordering::Acquire), generation)
    }

    /// Any bytes, for tests.
    #[cfg(test)]
    pub(in crate::table) fn write_raw(&self, state: State, raw: u64) {
        if let Some(word) = self.word(Of::State(state)) {
            word.store(raw, Ordering::Release);
        }
    }
}

impl<M: Mem> Default for Times<M> {
    fn default() -> Self {
        Self {
            registered: M::U64::default(),
            since: core::array::from_fn(|_| M::U64::default()),
        }
    }
}

shared!(Times<M> { registered, since });
