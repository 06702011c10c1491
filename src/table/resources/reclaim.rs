//! Who reclaims the system resource of a gone process: exactly one, and another if that
//! one dies over it.
//!
//! ```text
//! word: [ fate:2 | process generation:16 | process + 1 :16 | generation:16 | state:2 ]
//!
//! NONE --sweep--> PENDING --claim--> CLAIMED(by) --> DONE(fate)
//!                              ^---- claimant gone ----'
//! ```
//! A record is not used again while it is PENDING or CLAIMED, so what the claimant reads
//! stays what was registered.

use core::sync::atomic::Ordering;

use crate::sync::{Mem, Next, Word};

use super::{Identity, Key, Resource, ResourceWord, Resources, State};

const STATE: u64 = 0b11;
const NONE: u64 = 0;
const PENDING: u64 = 1;
const CLAIMED: u64 = 2;
const DONE: u64 = 3;
const GENERATION_SHIFT: u32 = 2;
const PROCESS_SHIFT: u32 = 18;
const PROCESS_GENERATION_SHIFT: u32 = 34;
const FATE_SHIFT: u32 = 50;

/// A process slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimant {
    pub(crate) process: usize,
    pub(crate) generation: u16,
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

pub(super) const fn none(generation: u16) -> u64 {
    NONE | (generation as u64) << GENERATION_SHIFT
}

const fn tagged(raw: u64, generation: u16) -> bool {
    (raw >> GENERATION_SHIFT) as u16 == generation
}

const fn claimant(raw: u64) -> Option<Claimant> {
    match ((raw >> PROCESS_SHIFT & 0xffff) as usize).checked_sub(1) {
        Some(process) => Some(Claimant {
            process,
            generation: (raw >> PROCESS_GENERATION_SHIFT) as u16,
        }),
        None => None,
    }
}

fn claimed(generation: u16, by: Claimant) -> u64 {
    CLAIMED
        | u64::from(generation) << GENERATION_SHIFT
        | ((by.process as u64 + 1) & 0xffff) << PROCESS_SHIFT
        | u64::from(by.generation) << PROCESS_GENERATION_SHIFT
}

/// What no release writes into the reclaim word of a registration, if it is that.
pub(in crate::table) fn fault(raw: u64, generation: u16, state: State) -> Option<&'static str> {
    let fate = raw >> FATE_SHIFT;
    let owned = raw >> PROCESS_SHIFT & 0xffff_ffff;
    let has_ended = matches!(
        state,
        State::Failed | State::TimedOut | State::Orphaned | State::Dropped
    );
    match raw & STATE {
        _ if !tagged(raw, generation) => Some("is of another registration"),
        CLAIMED if claimant(raw).is_none() => Some("is claimed by nobody"),
        CLAIMED if fate != 0 => Some("has a fate before its end"),
        CLAIMED if !has_ended => Some("is claimed before its end"),
        CLAIMED => None,
        _ if owned != 0 => Some("names a claimant, and is not claimed"),
        DONE if fate > Fate::Refused as u64 => Some("has no such fate"),
        DONE => None,
        _ if fate != 0 => Some("has a fate before its end"),
        PENDING if state == State::Closed => Some("is to be reclaimed, and was closed"),
        _ => None,
    }
}

/// Whether it waits to be reclaimed, and who is at it.
pub(in crate::table) fn waiting(raw: u64) -> Option<Option<Claimant>> {
    match raw & STATE {
        PENDING => Some(None),
        CLAIMED => Some(claimant(raw)),
        _ => None,
    }
}

/// A checksum (FNV-1a) of what was registered.
pub(in crate::table) fn seal(generation: u16, identity: Identity, path: &str) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let words = identity.into_iter().chain([u64::from(generation)]);
    words
        .flat_map(u64::to_le_bytes)
        .chain(path.bytes())
        .fold(BASIS, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(PRIME)
        })
}

impl<M: Mem, const N: usize> Resources<M, N> {
    /// Marks a system resource of a gone process; under that process's byte lock.
    pub(super) fn mark_to_reclaim(&self, key: Key) {
        let Some(record) = self.records.get(key.index) else {
            return;
        };
        if record.identity[0].load(Ordering::Relaxed) == 0 {
            return;
        }
        let pending = PENDING | u64::from(key.generation) << GENERATION_SHIFT;
        // Fails when it is marked already, or the record was used again.
        let _ = record.reclaim.compare_exchange(
            none(key.generation),
            pending,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
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
            if free && tagged(raw, key.generation) {
                Next::Store(claimed(key.generation, me), Some(key))
            } else {
                Next::Leave(None)
            }
        })
    }

    /// The claimant has done it. False if it was not (any more) the claimant.
    pub(crate) fn finish_reclaim(&self, key: Key, me: Claimant, fate: Fate) -> bool {
        let done =
            DONE | u64::from(key.generation) << GENERATION_SHIFT | (fate as u64) << FATE_SHIFT;
        self.records.get(key.index).is_some_and(|record| {
            record
                .reclaim
                .compare_exchange(
                    claimed(key.generation, me),
                    done,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
        })
    }

    /// The claimant cannot judge: another one may.
    pub(crate) fn postpone_reclaim(&self, key: Key, me: Claimant) {
        let pending = PENDING | u64::from(key.generation) << GENERATION_SHIFT;
        if let Some(record) = self.records.get(key.index) {
            let _ = record.reclaim.compare_exchange(
                claimed(key.generation, me),
                pending,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
    }

    /// Nothing is to be reclaimed of a registration: its owner detaches in order, and may
    /// live on.
    pub(crate) fn forgo_reclaim(&self, key: Key) {
        if let Some(record) = self.records.get(key.index) {
            let done = DONE
                | u64::from(key.generation) << GENERATION_SHIFT
                | (Fate::Absent as u64) << FATE_SHIFT;
            let _ = record.reclaim.compare_exchange(
                none(key.generation),
                done,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
    }

    /// What became of a system resource; `None` while it is not reclaimed.
    pub(crate) fn fate(&self, key: Key) -> Option<Fate> {
        let raw = self.records.get(key.index)?.reclaim.load(Ordering::Acquire);
        if raw & STATE != DONE || !tagged(raw, key.generation) {
            return None;
        }
        Some(match raw >> FATE_SHIFT & 0b11 {
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
                let is_done = reclaim & STATE == DONE && tagged(reclaim, word.generation());
                is_done || self.identity[0].load(Ordering::Relaxed) == 0
            }
            Err(_) => false,
        }
    }
}
