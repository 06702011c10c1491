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
//! A dependency on a name is followed in the same order, by both: of two registrations that
//! close a cycle at once at least one sees the other's edge.

mod death;
mod edges;
pub(super) mod reclaim;
#[cfg(test)]
mod tests;
mod times;
mod wait;
mod word;

use core::sync::atomic::Ordering;

use crate::limits::MAX_DEPENDENCIES;
use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Next, Word};
use crate::table::member::Member;

pub(super) use edges::{TRIED, unpack};
pub(crate) use edges::{Target, name_hash};
pub(crate) use reclaim::{Claimant, Fate};
use times::{Of, Times};
pub(crate) use wait::Dependents;
pub(crate) use word::{Key, ResourceWord, State};

/// Identity of what the operating system knows of a resource: a kind (0 for none) and up
/// to three numbers, whose meaning is the API's.
pub(crate) type Identity = [u64; 4];

/// One record.
#[repr(C)]
pub(crate) struct Resource<M: Mem> {
    pub(super) word: M::U64,
    /// Of the owner's runner slot.
    runner_generation: M::U64,
    /// `[ order:32 | -:24 | type:8 ]`
    pub(super) about: M::U64,
    pub(super) times: Times<M>,
    /// Hash of its name; see `edges.rs`.
    pub(super) called: M::U64,
    /// What it depends on; see `edges.rs`.
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
    /// Of the runner slot.
    pub(crate) runner_generation: u64,
    pub(crate) kind: u8,
    pub(crate) order: i32,
    /// Hash of the full name.
    pub(crate) called: u64,
}

impl About {
    /// Whether the owner is this holder of its runner slot.
    pub(crate) fn is_of(self, member: Member) -> bool {
        self.runner_generation == member.generation()
    }
}

/// The result of a change of state.
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
                self.high_water.raise(index as u32 + 1);
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
        let generation = about.runner_generation;
        record
            .runner_generation
            .store(generation, Ordering::Relaxed);
        let raw = u64::from(about.kind) | u64::from(about.order as u32) << 32;
        record.about.store(raw, Ordering::Relaxed);
        record.called.store(about.called, Ordering::Release);
        for (word, value) in record.identity.iter().zip(identity) {
            word.store(value, Ordering::Relaxed);
        }
        let seal = reclaim::seal(key.generation, identity, path);
        record.seal.store(seal, Ordering::Relaxed);
    }

    /// Makes a claimed record visible as Active.
    pub(crate) fn publish(&self, key: Key, now: u64) -> Moved {
        if let Some(record) = self.records.get(key.index)
            && record.is_claimed_as(key)
        {
            record.times.begin(key.generation, now);
        }
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
                    record.entered(key, Of::State(to), now);
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
            record.entered(key, Of::Late, now);
        }
    }

    /// When a registration entered a state (any of the ended ones is one), if it did.
    pub(crate) fn entered(&self, key: Key, state: State) -> Option<u64> {
        self.records.get(key.index)?.since(key, state)
    }

    /// When its cleanup ended after it was given up.
    pub(crate) fn late(&self, key: Key) -> Option<u64> {
        let record = self.records.get(key.index)?;
        record.times.get(key.generation, Of::Late)
    }

    pub(crate) fn about(&self, index: usize) -> About {
        self.records
            .get(index)
            .map_or_else(About::default, Resource::about)
    }
}

impl<M: Mem> Resource<M> {
    fn swap(&self, from: ResourceWord, to: ResourceWord) -> bool {
        self.word
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Its present registration is this one, and its owner fills it in.
    fn is_claimed_as(&self, key: Key) -> bool {
        let word = ResourceWord(self.word.load(Ordering::Acquire));
        word.generation() == key.generation && word.state() == Ok(State::Claimed)
    }

    /// When a registration entered a state, if it did.
    pub(super) fn since(&self, key: Key, state: State) -> Option<u64> {
        self.times.get(key.generation, Of::State(state))
    }

    /// Sets a time of a registration, unless it is set, or the record is another's by then.
    fn entered(&self, key: Key, of: Of, now: u64) {
        self.times.set_once(key.generation, of, now, || {
            let word = ResourceWord(self.word.load(Ordering::Acquire));
            word.generation() != key.generation
        });
    }

    fn about(&self) -> About {
        let raw = self.about.load(Ordering::Relaxed);
        About {
            runner_generation: self.runner_generation.load(Ordering::Relaxed),
            kind: raw as u8,
            order: (raw >> 32) as u32 as i32,
            called: self.called.load(Ordering::Relaxed),
        }
    }

    /// Makes a claimed record as new.
    fn clear(&self, generation: u64) {
        self.times.clear();
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

impl<M: Mem> Default for Resource<M> {
    fn default() -> Self {
        Self {
            word: M::U64::default(),
            runner_generation: M::U64::default(),
            about: M::U64::default(),
            times: Times::default(),
            called: M::U64::default(),
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

shared!(Resource<M> {
    word, runner_generation, about, times, called, depends_on, reclaim, identity, seal
});
shared!(ResourceTexts<M> { runner, name, path });
shared!(Resources<M, const N> { high_water, _pad, records });
