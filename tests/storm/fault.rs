//! Must-fail variants: faults that the oracles must catch.

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Fault {
    /// A lock that is read and then stored, without a compare-and-swap.
    Racy = 1,
    /// Three writes in place of one transaction.
    Torn = 2,
    /// Items that are finished and stay counted.
    Uncounted = 4,
    /// A permit that is not asked for.
    Unasked = 8,
    /// A runner that acknowledges a phase before it has done it.
    Early = 16,
    /// A reader of an event that does not report one of the sets.
    Deaf = 32,
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults(u64);

impl Faults {
    pub const NONE: Self = Self(0);

    pub fn of(all: &[Fault]) -> Self {
        Self(all.iter().fold(0, |bits, one| bits | *one as u64))
    }

    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub fn has(self, fault: Fault) -> bool {
        self.0 & fault as u64 != 0
    }
}
