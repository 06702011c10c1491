//! The memory that the algorithms run on: atomic words, a fence, and futex waits.
//!
//! [`Real`] is the mapping itself. The loom memory and the killing memory live
//! with the tests and implement the same trait, so that the code under proof is
//! the code that ships.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::io;

use crate::os::futex;

/// Why a wait came back. No answer says that the condition holds: look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A wake-up, a spurious return, or a word that was not as expected.
    Look,
    /// The deadline passed.
    TimedOut,
}

/// Wakes every sleeper of a cell.
pub(crate) const ALL: u32 = i32::MAX as u32;

/// What a step of [`Word::update`] wants to happen to the word it saw.
pub(crate) enum Next<V, T> {
    /// Put this value in place of the one seen, then answer `T`.
    Store(V, T),
    /// Leave the word as it is and answer `T`.
    Leave(T),
}

/// An atomic word of 32 or 64 bits.
pub(crate) trait Word: Sync {
    type Value: Copy + Eq;
    fn load(&self, order: Ordering) -> Self::Value;
    fn store(&self, value: Self::Value, order: Ordering);
    /// For must-fail variants: what ships moves a word from exactly the value seen.
    #[cfg(test)]
    #[cfg_attr(not(feature = "loom"), allow(dead_code))]
    fn swap(&self, value: Self::Value, order: Ordering) -> Self::Value;
    fn compare_exchange(
        &self,
        current: Self::Value,
        new: Self::Value,
        success: Ordering,
        failure: Ordering,
    ) -> Result<Self::Value, Self::Value>;
    fn fetch_add(&self, value: Self::Value, order: Ordering) -> Self::Value;
    fn fetch_or(&self, value: Self::Value, order: Ordering) -> Self::Value;
    fn fetch_and(&self, value: Self::Value, order: Ordering) -> Self::Value;

    /// Moves the word by one transition, computed from exactly the value it
    /// replaces: the only compare-and-swap loop of `sync/`.
    ///
    /// The look acquires, the store acquires and releases. Lock-free: a round is
    /// repeated only when another access moved the word in between.
    #[inline]
    fn update<T>(&self, mut step: impl FnMut(Self::Value) -> Next<Self::Value, T>) -> T {
        let mut seen = self.load(Ordering::Acquire);
        loop {
            match step(seen) {
                Next::Leave(answer) => return answer,
                Next::Store(new, answer) => {
                    match self.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => return answer,
                        Err(moved) => seen = moved,
                    }
                }
            }
        }
    }
}

/// A memory. All methods are associated functions: a memory has no state of its own.
pub(crate) trait Mem: Sized + Sync + 'static {
    type U32: Word<Value = u32> + Default;
    type U64: Word<Value = u64> + Default;
    /// The area in which a thread's life word lives (see `sync/life.rs`).
    type Life: LifeArea<Self> + Default;
    /// Something the kernel can compare and sleep on: 32 bits at an address.
    type Cell<'a>: Copy;

    /// The futex cell of a 32-bit word.
    fn cell(word: &Self::U32) -> Self::Cell<'_>;
    /// The futex cell of the low half of a 64-bit word.
    fn low_cell(word: &Self::U64) -> Self::Cell<'_>;
    fn fence(order: Ordering);
    /// Sleeps while the cell holds `expected`, at most until the absolute instant
    /// `until` (microseconds of the segment's clock).
    fn wait(cell: Self::Cell<'_>, expected: u32, until: u64) -> Woken;
    /// Sleeps while every cell (of at most `MAX_WAIT_WORDS`) holds what is expected.
    /// Where the kernel has no such wait, sleeps on the first alone for at most
    /// `PORTABLE_POLL_MICROS`.
    fn wait_any(cells: &[(Self::Cell<'_>, u32)], until: u64) -> Woken;
    /// Wakes up to `count` sleepers of the cell.
    fn wake(cell: Self::Cell<'_>, count: u32);
    /// Tells the processor (or the model's scheduler) that this is a spin.
    fn relax();
}

/// The home of one life word. Peers only read and wait on the word.
pub(crate) trait LifeArea<M: Mem>: Sync {
    /// The word in which the kernel marks the death of the thread.
    fn word(&self) -> &M::U32;
    /// Takes the word for the life of the calling thread; the area is exclusively ours.
    fn hold(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Lets it go, by the same thread, and wakes whoever sleeps on it.
    fn release(&self) {}
}

/// The mapping itself: core atomics and the kernel's futex.
#[derive(Debug)]
pub(crate) struct Real;

macro_rules! word {
    ($atomic:ty, $value:ty) => {
        impl Word for $atomic {
            type Value = $value;
            #[inline]
            fn load(&self, order: Ordering) -> $value {
                <$atomic>::load(self, order)
            }
            #[inline]
            fn store(&self, value: $value, order: Ordering) {
                <$atomic>::store(self, value, order);
            }
            #[cfg(test)]
            #[inline]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::swap(self, value, order)
            }
            #[inline]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                <$atomic>::compare_exchange(self, current, new, success, failure)
            }
            #[inline]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_add(self, value, order)
            }
            #[inline]
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_or(self, value, order)
            }
            #[inline]
            fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_and(self, value, order)
            }
        }
    };
}
word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// Implements [`Word`] for a wrapper of an atomic that calls `tick` before each access: a
/// memory of the tests.
#[cfg(test)]
macro_rules! ticking_word {
    ($word:ty, $value:ty, $tick:path) => {
        impl $crate::sync::Word for $word {
            type Value = $value;
            fn load(&self, order: Ordering) -> $value {
                $tick();
                self.0.load(order)
            }
            fn store(&self, value: $value, order: Ordering) {
                $tick();
                self.0.store(value, order);
            }
            fn swap(&self, value: $value, order: Ordering) -> $value {
                $tick();
                self.0.swap(value, order)
            }
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                $tick();
                self.0.compare_exchange(current, new, success, failure)
            }
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                $tick();
                self.0.fetch_add(value, order)
            }
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                $tick();
                self.0.fetch_or(value, order)
            }
            fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                $tick();
                self.0.fetch_and(value, order)
            }
        }
    };
}
#[cfg(test)]
pub(crate) use ticking_word;

impl Mem for Real {
    type U32 = AtomicU32;
    type U64 = AtomicU64;
    type Life = super::life::RealLife;
    type Cell<'a> = futex::Cell<'a>;

    #[inline]
    fn cell(word: &AtomicU32) -> futex::Cell<'_> {
        futex::Cell::of(word)
    }
    #[inline]
    fn low_cell(word: &AtomicU64) -> futex::Cell<'_> {
        futex::Cell::low_half_of(word)
    }
    #[inline]
    fn fence(order: Ordering) {
        fence(order);
    }
    fn wait(cell: futex::Cell<'_>, expected: u32, until: u64) -> Woken {
        futex::wait(cell, expected, until)
    }
    fn wait_any(cells: &[(futex::Cell<'_>, u32)], until: u64) -> Woken {
        futex::wait_any(cells, until)
    }
    fn wake(cell: futex::Cell<'_>, count: u32) {
        futex::wake(cell, count);
    }
    #[inline]
    fn relax() {
        core::hint::spin_loop();
    }
}
