//! The word of a process slot.

use crate::limits::MAX_THREADS;
use crate::width;

const STATE: u64 = 0b11;
const FREE: u64 = 0;
const STARTING: u64 = 1;
const LIVE: u64 = 2;
const KEEPER_SHIFT: u32 = 2;
const KEEPER_BITS: u32 = 13;
const GENERATION_SHIFT: u32 = KEEPER_SHIFT + KEEPER_BITS;
const USED_BITS: u32 = GENERATION_SHIFT + width::PROCESS;

const _: () = assert!(MAX_THREADS < 1 << KEEPER_BITS && USED_BITS < u64::BITS);

/// A snapshot of a process slot's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessWord(u64);

impl ProcessWord {
    pub(crate) const fn is_free(self) -> bool {
        self.0 & STATE == FREE
    }
    pub(crate) const fn is_live(self) -> bool {
        self.0 & STATE == LIVE
    }
    /// The thread slot whose life word is that of the process.
    pub(crate) const fn keeper(self) -> Option<usize> {
        ((self.0 >> KEEPER_SHIFT & width::mask(KEEPER_BITS)) as usize).checked_sub(1)
    }
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT & width::mask(width::PROCESS)
    }
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    pub(in crate::table) const fn free(generation: u64) -> Self {
        Self(FREE | generation << GENERATION_SHIFT)
    }
    pub(super) const fn starting(generation: u64) -> Self {
        Self(STARTING | generation << GENERATION_SHIFT)
    }
    pub(in crate::table) const fn live(generation: u64, keeper: usize) -> Self {
        Self(LIVE | (keeper as u64 + 1) << KEEPER_SHIFT | generation << GENERATION_SHIFT)
    }
    const fn next_generation(self) -> u64 {
        self.generation().wrapping_add(1) & width::mask(width::PROCESS)
    }
    /// The next holder's.
    pub(super) const fn claimed(self) -> Self {
        Self::starting(self.next_generation())
    }
    /// The same holder's, and never before.
    pub(super) const fn renewed(self) -> Self {
        let below = self.0 & width::mask(GENERATION_SHIFT);
        Self(below | self.next_generation() << GENERATION_SHIFT)
    }
    /// What no release writes, if it is that.
    pub(in crate::table) const fn fault(self) -> Option<&'static str> {
        match (self.0 & STATE, self.keeper()) {
            (0b11, _) => Some("has no such state"),
            _ if self.0 >> USED_BITS != 0 => Some("has bits that nobody sets"),
            (LIVE, None) => Some("is live without a keeper"),
            (FREE | STARTING, Some(_)) => Some("has a keeper before it is live"),
            _ => None,
        }
    }
}
