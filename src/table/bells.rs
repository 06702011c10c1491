//! The bells of the store: futex words that watchers of keys sleep on.
//!
//! ```text
//!  31      30                0
//! ┌───────┬───────────────────┐
//! │WAITERS│ how often it rang │
//! └───────┴───────────────────┘
//! ```
//! Keys share a few bells by hash, so a bell says only: look again. A watcher sets
//! WAITERS, fences, looks at its key, and sleeps on the word it left. A writer
//! publishes, fences, and looks at the bells of the keys it wrote: by the total order of
//! the fences one of the two sees the other. A writer that finds WAITERS clears it,
//! moves the count in the same step, and wakes all; so without watchers a commit costs
//! one fence and one load per key.
//!
//! The count wraps in 10 minutes of nothing else (each ring is a system call): a watcher that
//! was stopped between look and sleep for exactly that long misses one ring for one sleep of
//! a second.
//!
//! A watcher killed anywhere leaves at most WAITERS, which costs one idle system call. A
//! writer killed between publishing and waking leaves sleepers to their bound of a second
//! or to the next writer, who takes the lock over and rings all bells.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::mem::{ALL, Next};
use crate::sync::{Mem, Word};

const WAITERS: u32 = 1 << 31;

/// Bells of one store: few, as a ring in vain costs a watcher one look.
const BELLS: usize = 16;

#[repr(C)]
pub(crate) struct Bells<M: Mem>([M::U32; BELLS]);

impl<M: Mem> Bells<M> {
    fn of(&self, hash: u64) -> &M::U32 {
        // Other bits than those that choose the slot.
        &self.0[(hash >> 48) as usize % BELLS]
    }

    /// Rings the bells of these hashes, after what they announce was published.
    pub(super) fn ring(&self, hashes: impl Iterator<Item = u64>) {
        // SYNC POINT store-bell (models: loom_tests/store.rs): pairs with `listen`.
        M::fence(Ordering::SeqCst);
        for hash in hashes {
            Self::ring_one(self.of(hash));
        }
    }

    pub(super) fn ring_all(&self) {
        M::fence(Ordering::SeqCst);
        self.0.iter().for_each(Self::ring_one);
    }

    fn ring_one(bell: &M::U32) {
        let rung = bell.update(|word| match word & WAITERS {
            0 => Next::Leave(false),
            _ => Next::Store(word.wrapping_add(1) & !WAITERS, true),
        });
        if rung {
            M::wake(M::cell(bell), ALL);
        }
    }

    /// Announces a watcher; what it looks at after this, or the bell, tells of a change.
    /// Answers the word to sleep on.
    pub(super) fn listen(&self, hash: u64) -> u32 {
        let heard = self.of(hash).fetch_or(WAITERS, Ordering::AcqRel) | WAITERS;
        // SYNC POINT store-bell (models: loom_tests/store.rs): pairs with `ring`.
        M::fence(Ordering::SeqCst);
        heard
    }

    /// What to sleep on after [`listen`](Self::listen).
    pub(super) fn cell(&self, hash: u64) -> M::Cell<'_> {
        M::cell(self.of(hash))
    }
}

impl<M: Mem> Default for Bells<M> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| M::U32::default()))
    }
}

shared!(Bells<M> { 0 });
