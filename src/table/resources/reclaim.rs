//! Who reclaims the system resource of a gone process: exactly one, and another if that
//! one dies over it.
//!
//! ```text
//! 63                                       42 41          4 3    2 1     0
//! [ -                                        | generation  | fate | state ]
//! 63                     40 39         29 28              4 3    2 1     0
//! [ process generation:24  | process + 1 | generation:25   | -    | CLAIMED ]
//!
//! NONE --sweep--> PENDING --claim--> CLAIMED(by) --> DONE(fate)
//!                              ^---- claimant gone ----'
//! ```
//! A record is not used again while it is PENDING or CLAIMED, so what the claimant reads
//! stays what was registered.
//!
//! # What may happen in between
//! Each step is one compare-and-swap from a word that bears the generation of the registration
//! meant, and only a claimant of the record brings a new one in. A sweeper, a claimant or an
//! owner that was stopped meets either the word it loaded, and then nothing has happened, or
//! another one.
//! - Without a claimant the word has the whole generation, which wraps after 3 days of
//!   registering. It must: a mark by a sweeper that was stopped for a wrap would have the
//!   file of a living process removed.
//! - A claimed word is left by its own claimant, which lives, or taken over from one that is
//!   gone. For the latter its 25 bits of generation must be the same again, each with a death
//!   of an owner, and so must be the claimant, which has died and whose process slot has come
//!   round 2^24 generations: 13 minutes of attaching for the one and 26 minutes for the other,
//!   at the same count. Two processes then take the same thing away; one finds it absent.

use core::sync::atomic::Ordering;

use crate::sync::{Mem, Next, Word};
use crate::width::{RECLAIM_PROCESS, RECLAIM_RESOURCE, RESOURCE, mask};

use super::{Identity, Key, Resource, ResourceWord, Resources, State};

const STATE: u64 = 0b11;
const NONE: u64 = 0;
const PENDING: u64 = 1;
const CLAIMED: u64 = 2;
const DONE: u64 = 3;
const FATE_SHIFT: u32 = 2;
const FATE: u64 = 0b11;
const GENERATION_SHIFT: u32 = 4;
/// Of a claimed word.
const PROCESS_SHIFT: u32 = GENERATION_SHIFT + 25;
const PROCESS: u64 = mask(11);
const PROCESS_GENERATION_SHIFT: u32 = PROCESS_SHIFT + 11;

const _: () = assert!(GENERATION_SHIFT + RECLAIM_RESOURCE <= PROCESS_SHIFT);
const _: () = assert!(PROCESS_GENERATION_SHIFT + RECLAIM_PROCESS <= 64);

/// A process slot and the low bits of its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimant {
    pub(crate) process: usize,
    generation: u64,
}

impl Claimant {
    /// The holder of `generation` of a process slot.
    pub(crate) const fn new(process: usize, generation: u64) -> Self {
        Self {
            process,
            generation: generation & mask(RECLAIM_PROCESS),
        }
    }
}

/// What became of a system resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was removed (or ended).
    Reclaimed = 0,
    /// It was not there any more, or another one has its name.
    Absent = 1,
    /// The system refused.
    Refused = 2,
}

/// A word without a claimant.
const fn idle(state: u64, generation: u64) -> u64 {
    state | (generation & mask(RESOURCE)) << GENERATION_SHIFT
}

pub(super) const fn none(generation: u64) -> u64 {
    idle(NONE, generation)
}

const fn done(generation: u64, fate: Fate) -> u64 {
    idle(DONE, generation) | (fate as u64) << FATE_SHIFT
}

const fn claimant(raw: u64) -> Option<Claimant> {
    match ((raw >> PROCESS_SHIFT & PROCESS) as usize).checked_sub(1) {
        Some(process) => Some(Claimant::new(process, raw >> PROCESS_GENERATION_SHIFT)),
        None => None,
    }
}

const fn claimed(generation: u64, by: Claimant) -> u64 {
    CLAIMED
        | (generation & mask(RECLAIM_RESOURCE)) << GENERATION_SHIFT
        | ((by.process as u64 + 1) & PROCESS) << PROCESS_SHIFT
        | by.generation << PROCESS_GENERATION_SHIFT
}

/// Whether a word is of a registration, as far as its bits say.
const fn is_of(raw: u64, generation: u64) -> bool {
    if raw & STATE == CLAIMED {
        (raw >> GENERATION_SHIFT ^ generation) & mask(RECLAIM_RESOURCE) == 0
    } else {
        raw >> GENERATION_SHIFT == generation & mask(RESOURCE)
    }
}

/// What no release writes into the reclaim word of a registration, if it is that.
pub(in crate::table) fn fault(raw: u64, generation: u64, state: State) -> Option<&'static str> {
    let fate = raw >> FATE_SHIFT & FATE;
    let has_ended = matches!(
        state,
        State::Failed | State::TimedOut | State::Orphaned | State::Dropped
    );
    match raw & STATE {
        _ if !is_of(raw, generation) => Some("is of another registration"),
        CLAIMED => match claimant(raw) {
            None => Some("is claimed by nobody"),
            Some(by) if raw != claimed(generation, by) => Some("has bits that nobody sets"),
            Some(_) if !has_ended => Some("is claimed before its end"),
            Some(_) => None,
        },
        DONE if fate > Fate::Refused as u64 => Some("has no such fate"),
        DONE => None,
        _ if fate != 0 => Some("has a fate before its end"),
        PENDING if state == State::Closed => Some("is to be reclaimed, and was closed"),
        _ => None,
    }
}

/// Whether it waits to be reclaimed, and who does so.
pub(in crate::table) fn waiting(raw: u64) -> Option<Option<Claimant>> {
    match raw & STATE {
        PENDING => Some(None),
        CLAIMED => Some(claimant(raw)),
        _ => None,
    }
}

/// A checksum (FNV-1a) of what was registered.
pub(in crate::table) fn seal(generation: u64, identity: Identity, path: &str) -> u64 {
    let words = identity.into_iter().chain([generation]);
    sum(words.flat_map(u64::to_le_bytes).chain(path.bytes()))
}

/// FNV-1a: tells what was written from what was not, and is no defence against one who
/// forges it.
pub(super) fn sum(bytes: impl Iterator<Item = u8>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.fold(BASIS, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

impl<M: Mem, const N: usize> Resources<M, N> {
    /// Moves exactly this reclaim word to another; false if it is not that.
    fn swap_reclaim(&self, key: Key, from: u64, to: u64) -> bool {
        self.records.get(key.index).is_some_and(|record| {
            let word = &record.reclaim;
            word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    /// Marks a system resource of a gone process, if it is not marked already.
    pub(super) fn mark_to_reclaim(&self, key: Key) {
        if self.has_identity(key.index) {
            let pending = idle(PENDING, key.generation);
            self.swap_reclaim(key, none(key.generation), pending);
        }
    }

    /// Claims a system resource to be reclaimed; one whose claimant is gone, too. At most
    /// one living claimant has it.
    pub(crate) fn claim_reclaim(
        &self,
        index: usize,
        me: Claimant,
        is_gone: impl Fn(Claimant) -> bool,
    ) -> Option<Key> {
        let record = self.records.get(index)?;
        let word = self.word(index);
        let key = self.key_of(index, word);
        // The sweep orphans what it marks; a mark on what is open or closed is not its.
        let has_ended = matches!(
            word.state(),
            Ok(State::Failed | State::TimedOut | State::Orphaned | State::Dropped)
        );
        if !has_ended {
            return None;
        }
        record.reclaim.update(|raw| {
            let free = match raw & STATE {
                PENDING => true,
                // A word that names nobody is nobody's.
                CLAIMED => claimant(raw).is_none_or(&is_gone),
                _ => false,
            };
            if free && is_of(raw, key.generation) {
                Next::Store(claimed(key.generation, me), Some(key))
            } else {
                Next::Leave(None)
            }
        })
    }

    /// The claimant has done it. False if it was not (any more) the claimant.
    pub(crate) fn finish_reclaim(&self, key: Key, me: Claimant, fate: Fate) -> bool {
        let from = claimed(key.generation, me);
        self.swap_reclaim(key, from, done(key.generation, fate))
    }

    /// The claimant cannot judge: another one may.
    pub(crate) fn postpone_reclaim(&self, key: Key, me: Claimant) {
        let from = claimed(key.generation, me);
        self.swap_reclaim(key, from, idle(PENDING, key.generation));
    }

    /// Nothing is to be reclaimed of a registration: its owner detaches in order, and may
    /// live on.
    pub(crate) fn forgo_reclaim(&self, key: Key) {
        let from = none(key.generation);
        self.swap_reclaim(key, from, done(key.generation, Fate::Absent));
    }

    /// What became of a system resource; `None` while it is not reclaimed.
    pub(crate) fn fate(&self, key: Key) -> Option<Fate> {
        let raw = self.records.get(key.index)?.reclaim.load(Ordering::Acquire);
        if raw & STATE != DONE || !is_of(raw, key.generation) {
            return None;
        }
        Some(match raw >> FATE_SHIFT & FATE {
            0 => Fate::Reclaimed,
            1 => Fate::Absent,
            _ => Fate::Refused,
        })
    }

    /// Whether anything waits to be reclaimed.
    pub(crate) fn is_to_reclaim(&self, index: usize) -> bool {
        self.records.get(index).is_some_and(|record| {
            matches!(
                record.reclaim.load(Ordering::Acquire) & STATE,
                PENDING | CLAIMED
            )
        })
    }

    /// Whether a system resource was registered with a record.
    pub(crate) fn has_identity(&self, index: usize) -> bool {
        let record = self.records.get(index);
        record.is_some_and(|record| record.identity[0].load(Ordering::Relaxed) != 0)
    }

    /// The identity of a registration, if it is sealed with this path.
    pub(crate) fn identity(&self, key: Key, path: &str) -> Option<Identity> {
        let record = self.records.get(key.index)?;
        let identity: Identity =
            core::array::from_fn(|i| record.identity[i].load(Ordering::Relaxed));
        let sealed = record.seal.load(Ordering::Relaxed);
        (sealed == seal(key.generation, identity, path)).then_some(identity)
    }
}

impl<M: Mem> Resource<M> {
    /// Whether nothing is left to reclaim of an ended record, nor ever will be.
    pub(super) fn is_settled(&self, word: ResourceWord) -> bool {
        match word.state() {
            Ok(State::Free | State::Closed) => true,
            Ok(_) => {
                let reclaim = self.reclaim.load(Ordering::Acquire);
                let is_done = reclaim & STATE == DONE && is_of(reclaim, word.generation());
                is_done || self.identity[0].load(Ordering::Relaxed) == 0
            }
            Err(_) => false,
        }
    }
}
