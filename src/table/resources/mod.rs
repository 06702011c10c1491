//! Registered resources: what a runner owns and closes, readable by everybody.
//!
//! A record is claimed by one compare-and-swap on behalf of a process, filled in, and
//! published by another; the sweep of a dead process frees a claimed one and orphans an
//! open one. Every change of state is one compare-and-swap from exactly the generation
//! meant, followed by a wake of whoever waits for it.
//!
//! SYNC POINT `dependency` (models: `loom_tests/resources.rs`): who registers publishes
//! its word, fences, and reads the words of what it depends on; who closes has stored
//! Draining, fences, and reads the words of all who depend on it. Of two such parties at
//! least one sees the other: either the registration is refused or its end is awaited.

mod death;
pub(super) mod reclaim;
#[cfg(test)]
mod tests;
mod wait;
mod word;

use core::sync::atomic::Ordering;

use crate::limits::MAX_DEPENDENCIES;
use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Next, Word};
use crate::table::stamp::Stamp;

pub(crate) use reclaim::{Claimant, Fate};
pub(crate) use wait::Dependents;
pub(crate) use word::{Key, ResourceWord, State};

/// Identity of what the operating system knows of a resource: a kind (0 for none) and up
/// to three numbers, whose meaning is the API's.
pub(crate) type Identity = [u64; 4];

/// One record.
#[repr(C)]
pub(crate) struct Resource<M: Mem> {
    pub(super) word: M::U64,
    /// Runner slot's generation (16), type (8), order (32), low to high.
    pub(super) about: M::U64,
    /// When it became Active, Draining, Closing, and ended; tagged with the generation.
    entered: [Stamp<M>; 4],
    /// When a cleanup came to its end after all; tagged likewise.
    late: Stamp<M>,
    /// Generation (16) and index + 1 (32) of what it depends on; 0 for none.
    pub(super) depends_on: [M::U64; MAX_DEPENDENCIES],
    pub(super) reclaim: M::U64,
    pub(super) identity: [M::U64; 4],
    /// Over identity, path and generation: only what was registered is reclaimed.
    pub(super) seal: M::U64,
}

/// The texts of a record.
#[repr(C)]
pub(crate) struct ResourceTexts<M: Mem> {
    /// Id of the runner; its slot may have a new holder while this still tells of it.
    pub(crate) runner: Text<M, 9>,
    pub(crate) name: Text<M, 9>,
    pub(crate) path: Text<M, 33>,
}

/// The table.
#[repr(C)]
pub(crate) struct Resources<M: Mem, const N: usize> {
    /// As in `group.rs`: raised before a record is claimed, never lowered.
    pub(super) high_water: M::U32,
    _pad: M::U32,
    pub(super) records: [Resource<M>; N],
}

/// What is known at registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Of the runner slot, as far as it is [kept](Self::kept).
    pub(crate) runner_generation: u16,
    pub(crate) kind: u8,
    pub(crate) order: i32,
}

/// What came of a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Moved {
    Done,
    /// Nothing was done: it is in this state.
    Was(State),
    /// The record is another registration's.
    Stale,
}

impl<M: Mem, const N: usize> Resources<M, N> {
    /// The records that were ever used.
    pub(crate) fn used(&self) -> usize {
        (self.high_water.load(Ordering::Acquire) as usize).min(N)
    }

    pub(crate) fn word(&self, index: usize) -> ResourceWord {
        ResourceWord(
            self.records
                .get(index)
                .map_or(0, |record| record.word.load(Ordering::Acquire)),
        )
    }

    /// Its present registration.
    pub(crate) fn key(&self, index: usize) -> Key {
        let generation = self.word(index).generation();
        Key { index, generation }
    }

    /// The word of a registration; `None` if the record is another's or free.
    pub(crate) fn find(&self, key: Key) -> Option<ResourceWord> {
        let word = self.word(key.index);
        let fits = word.generation() == key.generation && (word.is_open() || word.is_ended());
        fits.then_some(word)
    }

    /// Claims a record: a free one, else one whose end `is_old`, else one that has ended.
    /// Those whose system resource is still to be reclaimed are left alone.
    pub(crate) fn claim(
        &self,
        process: usize,
        runner: usize,
        is_old: impl Fn(ResourceWord, About) -> bool,
    ) -> Option<Key> {
        for pass in 0..3 {
            for (index, record) in self.records.iter().enumerate() {
                if pass == 1 && index >= self.used() {
                    break;
                }
                let seen = self.word(index);
                let wanted = match (pass, seen.state()) {
                    (0, Ok(State::Free)) => true,
                    (1, Ok(state)) if state.is_ended() => is_old(seen, record.about()),
                    (2, Ok(state)) => state.is_ended(),
                    _ => false,
                };
                if !wanted || !record.is_settled(seen) {
                    continue;
                }
                self.high_water.update(|high| match high <= index as u32 {
                    true => Next::Store(index as u32 + 1, ()),
                    false => Next::Leave(()),
                });
                let claimed = seen.claimed(process, runner);
                if record.swap(seen, claimed) {
                    record.clear(claimed.generation());
                    return Some(self.key_of(index, claimed));
                }
            }
        }
        None
    }

    fn key_of(&self, index: usize, word: ResourceWord) -> Key {
        Key {
            index,
            generation: word.generation(),
        }
    }

    /// Fills a claimed record in. The texts are the caller's to write before.
    pub(crate) fn describe(&self, key: Key, about: About, identity: Identity, path: &str) {
        let Some(record) = self.records.get(key.index) else {
            return;
        };
        let raw = u64::from(about.runner_generation)
            | u64::from(about.kind) << 16
            | u64::from(about.order as u32) << 32;
        record.about.store(raw, Ordering::Relaxed);
        for (word, value) in record.identity.iter().zip(identity) {
            word.store(value, Ordering::Relaxed);
        }
        let seal = reclaim::seal(key.generation, identity, path);
        record.seal.store(seal, Ordering::Relaxed);
    }

    /// Makes a claimed record visible as Active.
    pub(crate) fn publish(&self, key: Key, now: u64) -> Moved {
        let moved = self.move_to(key, &[State::Claimed], State::Active, now);
        // SYNC POINT dependency: what we depend on is looked at after this.
        M::fence(Ordering::SeqCst);
        moved
    }

    /// Moves a registration from one of some states to another, and wakes who waits for it.
    pub(crate) fn move_to(&self, key: Key, from: &[State], to: State, now: u64) -> Moved {
        let Some(record) = self.records.get(key.index) else {
            return Moved::Stale;
        };
        let moved = record.word.update(|raw| {
            let seen = ResourceWord(raw);
            if seen.generation() != key.generation {
                return Next::Leave(Moved::Stale);
            }
            match seen.state() {
                Ok(state) if from.contains(&state) => {
                    if let Some(stamp) = record.stamp(to) {
                        record.set_once(stamp, key, now);
                    }
                    Next::Store(seen.with_state(to).0, Moved::Done)
                }
                Ok(State::Free) | Err(_) => Next::Leave(Moved::Stale),
                Ok(state) => Next::Leave(Moved::Was(state)),
            }
        });
        if moved == Moved::Done {
            if to == State::Draining {
                // SYNC POINT dependency: who depends on us is looked for after this.
                M::fence(Ordering::SeqCst);
            }
            M::wake(M::low_cell(&record.word), ALL);
        }
        moved
    }

    /// Records that a cleanup ended after it was given up.
    pub(crate) fn finish_late(&self, key: Key, now: u64) {
        if let Some(record) = self.records.get(key.index)
            && self.find(key).is_some()
        {
            record.set_once(&record.late, key, now);
        }
    }

    /// When a registration entered a state (any of the ended ones is one), if it did.
    pub(crate) fn entered(&self, key: Key, state: State) -> Option<u64> {
        let record = self.records.get(key.index)?;
        record.stamp(state)?.get(u64::from(key.generation), 0)
    }

    /// When its cleanup ended after it was given up.
    pub(crate) fn late(&self, key: Key) -> Option<u64> {
        self.records
            .get(key.index)?
            .late
            .get(u64::from(key.generation), 0)
    }

    pub(crate) fn about(&self, index: usize) -> About {
        self.records
            .get(index)
            .map_or_else(About::default, Resource::about)
    }

    /// What a record depends on; read before its word is checked again by the caller.
    pub(crate) fn dependencies(&self, index: usize) -> impl Iterator<Item = Key> + '_ {
        let record = self.records.get(index);
        record
            .into_iter()
            .flat_map(|record| &record.depends_on)
            .filter_map(|word| unpack(word.load(Ordering::Acquire)))
            .filter(|key| key.index < N)
    }

    /// Makes a claimed record depend on another, by the owner, one thread at a time. False if
    /// there is no room.
    pub(crate) fn add_dependency(&self, key: Key, on: Key) -> bool {
        self.put_edge(key, pack(on))
    }

    /// Tries to make a registration depend on another. The edge binds like any other from now
    /// on; the owner looks whether it may stand, and [ends the try](Self::end_try).
    pub(crate) fn try_dependency(&self, key: Key, on: Key) -> bool {
        let has_room = self.put_edge(key, pack(on) | TRIED);
        // SYNC POINT dependency: the other words are looked at after this.
        M::fence(Ordering::SeqCst);
        has_room
    }

    /// The edge that is tried stands from now on, or is taken back.
    pub(crate) fn end_try(&self, key: Key, on: Key, stands: bool) {
        let tried = self
            .edges(key)
            .find(|word| word.load(Ordering::Acquire) == pack(on) | TRIED);
        if let Some(word) = tried {
            let edge = if stands { pack(on) } else { 0 };
            word.store(edge, Ordering::Release);
        }
    }

    /// Whether the first edge of a record stands.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn has_standing(&self, index: usize) -> bool {
        let edge = self.records[index].depends_on[0].load(Ordering::Acquire);
        edge != 0 && edge & TRIED == 0
    }

    fn put_edge(&self, key: Key, edge: u64) -> bool {
        let free = self
            .edges(key)
            .find(|word| word.load(Ordering::Acquire) == 0);
        if let Some(free) = free {
            free.store(edge, Ordering::Release);
        }
        free.is_some()
    }

    fn edges(&self, key: Key) -> impl Iterator<Item = &M::U64> {
        let record = self.records.get(key.index);
        record.into_iter().flat_map(|record| &record.depends_on)
    }
}

impl<M: Mem> Resource<M> {
    fn swap(&self, from: ResourceWord, to: ResourceWord) -> bool {
        self.word
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Sets a time of a registration, if the record still is that one's.
    fn set_once(&self, stamp: &Stamp<M>, key: Key, now: u64) {
        let word = || ResourceWord(self.word.load(Ordering::Acquire));
        let is_on = || word().generation() == key.generation;
        stamp.set_once(u64::from(key.generation), 0, now, is_on);
    }

    pub(super) fn stamp(&self, state: State) -> Option<&Stamp<M>> {
        match state {
            State::Free | State::Claimed => None,
            State::Active => Some(&self.entered[0]),
            State::Draining => Some(&self.entered[1]),
            State::Closing => Some(&self.entered[2]),
            _ => Some(&self.entered[3]),
        }
    }

    fn about(&self) -> About {
        let raw = self.about.load(Ordering::Relaxed);
        About {
            runner_generation: raw as u16,
            kind: (raw >> 16) as u8,
            order: (raw >> 32) as u32 as i32,
        }
    }

    /// Makes a claimed record as new.
    fn clear(&self, generation: u16) {
        self.entered.iter().for_each(Stamp::clear);
        self.late.clear();
        for word in &self.depends_on {
            word.store(0, Ordering::Relaxed);
        }
        for word in &self.identity {
            word.store(0, Ordering::Relaxed);
        }
        self.reclaim
            .store(reclaim::none(generation), Ordering::Release);
    }
}

/// Of an edge whose owner has not found out yet whether it closes a circle.
pub(crate) const TRIED: u64 = 1 << 63;

fn pack(key: Key) -> u64 {
    u64::from(key.generation) | (key.index as u64 + 1) << 16
}

/// What an edge leads to, tried or not.
pub(super) fn unpack(raw: u64) -> Option<Key> {
    let index = usize::try_from((raw & !TRIED) >> 16).ok()?.checked_sub(1)?;
    Some(Key {
        index,
        generation: raw as u16,
    })
}

impl<M: Mem> Default for Resource<M> {
    fn default() -> Self {
        Self {
            word: M::U64::default(),
            about: M::U64::default(),
            entered: core::array::from_fn(|_| Stamp::default()),
            late: Stamp::default(),
            depends_on: core::array::from_fn(|_| M::U64::default()),
            reclaim: M::U64::default(),
            identity: core::array::from_fn(|_| M::U64::default()),
            seal: M::U64::default(),
        }
    }
}

impl<M: Mem, const N: usize> Default for Resources<M, N> {
    fn default() -> Self {
        Self {
            high_water: M::U32::default(),
            _pad: M::U32::default(),
            records: core::array::from_fn(|_| Resource::default()),
        }
    }
}

shared!(Resource<M> { word, about, entered, late, depends_on, reclaim, identity, seal });
shared!(ResourceTexts<M> { runner, name, path });
shared!(Resources<M, const N> { high_water, _pad, records });
