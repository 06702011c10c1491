//! What went wrong while runners shut down: handlers, drains, cleanups and force closures
//! that failed, were skipped or were left behind, with the first bytes of the cause.
//!
//! ```text
//! word:  [ generation:50 | runner slot + 1:11 | state:3 ]   of the runner's slot
//! about: [ micros:48 | phase:4 | kind:4 | source:8 ]
//!
//! FREE --claim--> CLAIMED --publish--> TOLD --withdraw--> WITHDRAWN
//!  any of a runner whose slot has another generation --claim--> CLAIMED
//! ```
//! An entry belongs to the holder of a slot generation, and only that holder's process writes
//! into it, under the lock that its leaving takes, too (`api/left.rs`). It may be claimed for
//! another one when the slot has another generation: then the holder has left, and leaving
//! waits for a write in progress, or is dead. So nobody writes into an entry of another
//! holder, however long a thread was stopped. A claim that was killed before it published is
//! never shown, and is claimed again likewise.
//!
//! Within a slot generation an entry is published once, so no value of its word comes back
//! while that generation holds the slot ([`width::RUNNER`](crate::width::RUNNER)). A reader
//! that finds the same word before and after it has read the rest has read one failure.
//!
//! A holder has at most [`FAILURES_PER_RUNNER`] entries; what finds no place is counted in its
//! record (`runner.rs`).

mod kind;

use core::sync::atomic::Ordering;

use crate::limits::{FAILURES_PER_RUNNER, MAX_RUNNERS};
use crate::phase::Phase;
use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::{Mem, Word};
use crate::width::{RUNNER, mask};

use super::resources::Key;
pub use kind::{FailureKind, FailureSource};

const STATE_BITS: u32 = 3;
const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const TOLD: u64 = 2;
const WITHDRAWN: u64 = 3;
const SLOT_BITS: u32 = 11;
const GENERATION_SHIFT: u32 = STATE_BITS + SLOT_BITS;
const KIND_SHIFT: u32 = 8;
const PHASE_SHIFT: u32 = 12;
const MICROS_SHIFT: u32 = 16;

const _: () = assert!(GENERATION_SHIFT + RUNNER <= u64::BITS);
const _: () = assert!((MAX_RUNNERS as u64) < 1 << SLOT_BITS);

/// One failure, to be recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing<'a> {
    pub(crate) source: FailureSource,
    pub(crate) kind: FailureKind,
    pub(crate) phase: Phase,
    /// Of the handler or resource.
    pub(crate) name: &'a str,
    pub(crate) cause: &'a str,
    /// The registration, if it is of a resource.
    pub(crate) resource: Option<Key>,
}

/// One failure as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Epochs of the group and of the runner's own scope when it was recorded.
    pub(crate) epochs: (u64, u64),
    pub(crate) at: u64,
    pub(crate) source: FailureSource,
    pub(crate) kind: FailureKind,
    pub(crate) phase: Phase,
    pub(crate) resource: Option<Key>,
    pub(crate) name: String,
    pub(crate) cause: String,
}

/// One entry.
#[repr(C)]
pub(crate) struct Failure<M: Mem> {
    word: M::U64,
    group_epoch: M::U64,
    own_epoch: M::U64,
    about: M::U64,
    resource: M::U64,
    name: Text<M, 9>,
    cause: Text<M, 16>,
}

/// The table.
#[repr(C)]
pub(crate) struct Failures<M: Mem, const N: usize> {
    /// Raised before an entry is claimed, never lowered.
    high_water: M::U32,
    _pad: M::U32,
    records: [Failure<M>; N],
}

/// The word of an entry of a holder.
const fn of(holder: (usize, u64), state: u64) -> u64 {
    (holder.1 & mask(RUNNER)) << GENERATION_SHIFT | (holder.0 as u64 + 1) << STATE_BITS | state
}

/// The holder that a word names.
const fn holder(word: u64) -> Option<(usize, u64)> {
    match (word >> STATE_BITS & mask(SLOT_BITS)).checked_sub(1) {
        Some(slot) => Some((slot as usize, word >> GENERATION_SHIFT)),
        None => None,
    }
}

const fn state(word: u64) -> u64 {
    word & mask(STATE_BITS)
}

impl<M: Mem, const N: usize> Failures<M, N> {
    /// The entries that were ever used.
    fn used(&self) -> usize {
        (self.high_water.load(Ordering::Acquire) as usize).min(N)
    }

    /// Publishes a failure of a holder; by a thread of its process, one at a time, that has
    /// the right to write into its record. `is_gone` says whether a slot has another
    /// generation by now. False if there is no place.
    pub(crate) fn tell(
        &self,
        by: (usize, u64),
        epochs: (u64, u64),
        at: u64,
        failing: &Failing<'_>,
        is_gone: impl Fn((usize, u64)) -> bool,
    ) -> bool {
        let words = || self.records.iter().take(self.used());
        let own = words().filter(|one| holder(one.word.load(Ordering::Acquire)) == Some(by));
        if own.count() >= FAILURES_PER_RUNNER {
            return false;
        }
        for (index, entry) in self.records.iter().enumerate() {
            let seen = entry.word.load(Ordering::Acquire);
            let is_free = match holder(seen) {
                // Its own generation may be one that the slot has not come to, in corrupt bytes.
                Some(other) => other != by && is_gone(other),
                None => true,
            };
            if !is_free {
                continue;
            }
            self.high_water.raise(index as u32 + 1);
            let claimed = of(by, CLAIMED);
            if entry
                .word
                .compare_exchange(seen, claimed, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
            {
                continue;
            }
            // SYNC POINT failure-reuse: pairs with the fence in `of` and `has`.
            M::fence(Ordering::Release);
            entry.fill(epochs, at, failing);
            // Published after it was filled.
            let _ = entry.word.compare_exchange(
                claimed,
                of(by, TOLD),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            return true;
        }
        false
    }

    /// Takes back what a holder recorded of handlers, drains and items of phases after `kept`: the
    /// shutdown was cancelled, and they run again in the next one. By a writer as in
    /// [`tell`](Self::tell).
    pub(crate) fn withdraw(&self, by: (usize, u64), kept: Phase) {
        for entry in self.records.iter().take(self.used()) {
            let told = of(by, TOLD);
            if entry.word.load(Ordering::Acquire) != told {
                continue;
            }
            let is_undone = entry.about().is_some_and(|(_, source, _, phase)| {
                phase > kept && !matches!(source, FailureSource::Cleanup | FailureSource::Force)
            });
            if is_undone {
                let _ = entry.word.compare_exchange(
                    told,
                    of(by, WITHDRAWN),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
            }
        }
    }

    /// The failures of a holder in the order of their times.
    pub(crate) fn of(&self, wanted: (usize, u64)) -> Vec<Read> {
        let told = of(wanted, TOLD);
        let entries = self.records.iter().take(self.used());
        let mut all: Vec<Read> = entries
            .filter(|entry| entry.word.load(Ordering::Acquire) == told)
            .filter_map(|entry| {
                let read = entry.read()?;
                // SYNC POINT failure-reuse.
                M::fence(Ordering::Acquire);
                // Still the same one: what was read is of it.
                (entry.word.load(Ordering::Acquire) == told).then_some(read)
            })
            .collect();
        all.sort_by_key(|read| read.at);
        all
    }

    /// Whether a holder has recorded a failure in the shutdown that `is_of` picks by the epochs
    /// of the group and of the own scope, and by the time when it was recorded.
    pub(crate) fn has(
        &self,
        wanted: (usize, u64),
        is_of: impl Fn((u64, u64), u64) -> bool,
    ) -> bool {
        let told = of(wanted, TOLD);
        self.records.iter().take(self.used()).any(|entry| {
            entry.word.load(Ordering::Acquire) == told && is_of(entry.epochs(), entry.at()) && {
                // SYNC POINT failure-reuse.
                M::fence(Ordering::Acquire);
                entry.word.load(Ordering::Acquire) == told
            }
        })
    }

    /// What no release writes into an entry: the fault and the word.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (usize, &'static str, u64)> {
        self.records
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let word = entry.word.load(Ordering::Acquire);
                // The mark is read after the word.
                let is_beyond = index >= self.used();
                let what = match (state(word), holder(word)) {
                    (FREE, None) if word == 0 => return None,
                    _ if is_beyond => "is used beyond the high-water mark",
                    (CLAIMED | TOLD | WITHDRAWN, Some((slot, _))) if slot < MAX_RUNNERS => {
                        if state(word) == TOLD && entry.about().is_none() {
                            "has an unknown source, kind or phase"
                        } else {
                            return None;
                        }
                    }
                    _ => "has no such state",
                };
                Some((index, what, word))
            })
    }
}

impl<M: Mem> Failure<M> {
    fn fill(&self, epochs: (u64, u64), at: u64, failing: &Failing<'_>) {
        self.group_epoch.store(epochs.0, Ordering::Relaxed);
        self.own_epoch.store(epochs.1, Ordering::Relaxed);
        let about = failing.source as u64
            | (failing.kind as u64) << KIND_SHIFT
            | (failing.phase as u64) << PHASE_SHIFT
            | at << MICROS_SHIFT;
        self.about.store(about, Ordering::Relaxed);
        let resource = failing.resource.map_or(0, Key::packed);
        self.resource.store(resource, Ordering::Relaxed);
        self.name.write(failing.name);
        self.cause.write(failing.cause);
    }

    fn epochs(&self) -> (u64, u64) {
        let load = |word: &M::U64| word.load(Ordering::Acquire);
        (load(&self.group_epoch), load(&self.own_epoch))
    }

    fn at(&self) -> u64 {
        self.about.load(Ordering::Acquire) >> MICROS_SHIFT
    }

    /// Time, source, kind and phase; `None` for what no release writes.
    fn about(&self) -> Option<(u64, FailureSource, FailureKind, Phase)> {
        let about = self.about.load(Ordering::Acquire);
        let nibble = |shift: u32| (about >> shift & 0xf) as usize;
        Some((
            about >> MICROS_SHIFT,
            *FailureSource::ALL.get((about & 0xff) as usize)?,
            *FailureKind::ALL.get(nibble(KIND_SHIFT))?,
            *Phase::ACKNOWLEDGED.get(nibble(PHASE_SHIFT).checked_sub(1)?)?,
        ))
    }

    fn read(&self) -> Option<Read> {
        let (at, source, kind, phase) = self.about()?;
        Some(Read {
            epochs: self.epochs(),
            at,
            source,
            kind,
            phase,
            resource: Key::unpacked(self.resource.load(Ordering::Acquire)),
            name: self.name.read().0,
            cause: self.cause.read().0,
        })
    }
}

impl<M: Mem> Default for Failure<M> {
    fn default() -> Self {
        Self {
            word: M::U64::default(),
            group_epoch: M::U64::default(),
            own_epoch: M::U64::default(),
            about: M::U64::default(),
            resource: M::U64::default(),
            name: Text::default(),
            cause: Text::default(),
        }
    }
}

impl<M: Mem, const N: usize> Default for Failures<M, N> {
    fn default() -> Self {
        Self {
            high_water: M::U32::default(),
            _pad: M::U32::default(),
            records: core::array::from_fn(|_| Failure::default()),
        }
    }
}

shared!(Failure<M> { word, group_epoch, own_epoch, about, resource, name, cause });
shared!(Failures<M, const N> { high_water, _pad, records });

#[cfg(test)]
mod tests;
