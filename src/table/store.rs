//! The store: up to `N` keys with values, read without a lock, written in transactions.
//!
//! ```text
//! commit: u64          how many transactions were published; the snapshot everybody reads
//! shape: u64           how often a tag was replaced
//! tags: [u64; N]       hash of the key last put in the slot; 0 never used, and never again
//! entries: [Entry; N]  two versions each, stamped with their commits
//! ```
//! One writer at a time, by a robust lock. Transaction `s + 1` fills the idle versions of
//! its keys, stamped `s + 1`, which nobody reads while `commit` is `s`; then one store of
//! `commit` publishes all of them. A writer killed before that store changed nothing: its
//! versions are younger than every snapshot. Whoever takes the lock over marks them
//! ABORTED before it lets the stamp `s + 1` be used again.
//!
//! # Why a reader is not fooled
//! A reader loads `commit` = `s` (acquire), so all that was published up to `s` is
//! visible, and takes of an entry the version with the greatest stamp ≤ `s`.
//! - *A copy is whole.* Before the words of a version its new stamp is stored, with a
//!   release fence between; a reader that copied any such word sees, after its acquire
//!   fence, another stamp than before, and begins again. No stamp comes back: they grow,
//!   but for ABORTED, which only a greater one follows.
//! - *It is the right version.* The current version `c` of `s` can only be missed if it is
//!   being used again already, for `t' > t > s`, where `t` published the other version
//!   `o`. If the reader saw the mark of `t'` (or ABORTED) in `c` but still an older stamp
//!   in `o`, and so took `o`, then the writer's release fence between `t` and that mark
//!   makes the second look at `o` see `t`. If it saw both younger, it begins again with a
//!   new `s`.
//! - *Nothing is overlooked.* A key that is in `s` has its tag in a slot that the search
//!   reaches, as tags never become zero again; its tag is replaced only after the key was
//!   deleted in some `t > s`, and `shape` is moved before. A reader loads `shape` before
//!   `commit` and again after a fruitless search. Seen unmoved: nothing was replaced that
//!   it could have missed. Moved before its first look: then its `s` is at least `t`.
//!
//! So every answer is that of one moment, and of many keys, read at the same `s`, of the
//! same moment. A reader is sent back only when the key it reads is written twice during
//! the copy, or a slot changes its key during a fruitless search; after `READ_TRIES` of
//! them it takes the writers' lock, so that reading ends whatever others do.
//!
//! Models: `loom_tests/store.rs`; of reading in a known place `loom_tests/store_known.rs`.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::limits;
use crate::segment::shared;
use crate::sync::mutex::Mutex;
use crate::sync::{Env, Mem, Word};

use super::Corrupt;
use super::bells::Bells;
use super::entry::{Current, Entry, Nothing, Target};
use super::key::Key;
use super::place::Place;

/// The words that readers look at first.
#[repr(C)]
pub(super) struct Head<M: Mem> {
    pub(super) commit: M::U64,
    pub(super) shape: M::U64,
}

/// The store of up to `N` keys; a key and its value have `WORDS` words together.
#[repr(C)]
pub(crate) struct Store<M: Mem, const N: usize, const WORDS: usize> {
    /// Apart from what readers look at.
    pub(super) writing: CachePadded<Mutex<M>>,
    pub(super) head: CachePadded<Head<M>>,
    pub(super) bells: Bells<M>,
    /// Dense, so that a search reads eight slots per cache line.
    pub(super) tags: [M::U64; N],
    pub(super) entries: [Entry<M, WORDS>; N],
}

/// A snapshot to read at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    shape: u64,
    pub(super) commit: u64,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Found {
    /// A value, written by the commit of this number; it was copied.
    Present(u64),
    Absent,
}

/// The snapshot is gone: look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// One key that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: Vec<u8>,
    pub(crate) length: usize,
    pub(crate) version: u64,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Watched {
    Changed,
    TimedOut,
}

impl<M: Mem, const N: usize, const WORDS: usize> Store<M, N, WORDS> {
    /// The snapshot of now.
    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        // In this order: see the module.
        let shape = self.head.shape.load(Ordering::Acquire);
        // SYNC POINT store-publish (models: loom_tests/store.rs): pairs with `commit`.
        let commit = self.head.commit.load(Ordering::Acquire);
        Mark { shape, commit }
    }

    /// Reads one key in a snapshot.
    #[inline]
    pub(crate) fn read_at(
        &self,
        mark: Mark,
        key: &Key,
        into: &mut impl Target,
    ) -> Result<Found, Moved> {
        let found = self.find_at(mark, key, into)?;
        Ok(found.map_or(Found::Absent, |(_, seen)| Found::Present(seen.stamp)))
    }

    /// The same, and tells where it is; `None` if it is not there.
    pub(crate) fn locate_at(
        &self,
        mark: Mark,
        key: &Key,
        into: &mut impl Target,
    ) -> Result<Option<Place>, Moved> {
        let found = self.find_at(mark, key, into)?;
        Ok(found.map(|(slot, seen)| Place::new(slot, seen)))
    }

    #[inline]
    fn find_at(
        &self,
        mark: Mark,
        key: &Key,
        into: &mut impl Target,
    ) -> Result<Option<(usize, Current)>, Moved> {
        for slot in Self::path(key) {
            match self.tags[slot].load(Ordering::Relaxed) {
                0 => break,
                tag if tag != key.hash() => continue,
                _ => {}
            }
            let entry = &self.entries[slot];
            let current = entry.current(mark.commit).ok_or(Moved)?;
            let is_it = entry.copy(current, key, into);
            if !entry.stands(current) {
                return Err(Moved);
            }
            if is_it {
                return Ok(Some((slot, current)));
            }
        }
        // SYNC POINT store-shape (models: loom_tests/store.rs): pairs with `commit`.
        M::fence(Ordering::Acquire);
        match self.head.shape.load(Ordering::Relaxed) == mark.shape {
            true => Ok(None),
            false => Err(Moved),
        }
    }

    /// Reads a key at its newest, if the version of it that was seen is still the current
    /// one; its key has so many words. False: ask [`read_in`](Self::read_in).
    #[inline]
    pub(crate) fn read_seen(&self, place: Place, key_words: usize, into: &mut impl Target) -> bool {
        let Some(entry) = self.entries.get(place.slot()) else {
            return false;
        };
        // SYNC POINT store-publish (models: loom_tests/store_known.rs): pairs with `commit`.
        let at = self.head.commit.load(Ordering::Acquire);
        entry.copy_seen(place.seen(), at, key_words, into)
    }

    /// Reads a key at its newest in the slot where it was found, and tells where it is now.
    /// `None` if it is not in that slot any more, or not for certain: then it is to be
    /// searched.
    pub(crate) fn read_in(&self, place: Place, key: &Key, into: &mut impl Target) -> Option<Place> {
        let entry = self.entries.get(place.slot())?;
        // SYNC POINT store-publish (models: loom_tests/store_known.rs): pairs with `commit`.
        let current = entry.current(self.head.commit.load(Ordering::Acquire))?;
        let is_it = entry.copy(current, key, into);
        (entry.stands(current) && is_it).then(|| Place::new(place.slot(), current))
    }

    /// Tries to read until a snapshot stands still for it. After `READ_TRIES` the caller
    /// may ask again under the writers' lock.
    #[inline]
    pub(crate) fn attempt<T>(&self, mut read: impl FnMut(Mark) -> Result<T, Moved>) -> Option<T> {
        for _ in 0..limits::READ_TRIES {
            if let Ok(done) = read(self.mark()) {
                return Some(done);
            }
            M::relax();
        }
        None
    }

    /// Every key of a snapshot.
    pub(crate) fn list_at(&self, mark: Mark) -> Result<Vec<Listed>, Moved> {
        let mut all = Vec::new();
        for (tag, entry) in self.tags.iter().zip(&self.entries) {
            if tag.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let current = entry.current(mark.commit).ok_or(Moved)?;
            let listed = entry.describe(current);
            if !entry.stands(current) {
                return Err(Moved);
            }
            all.extend(listed.map(|(key, length)| Listed {
                key,
                length,
                version: current.stamp,
            }));
        }
        Ok(all)
    }

    /// The version of a key now, 0 if it is not there; `None` if writers are too quick.
    pub(crate) fn version(&self, key: &Key) -> Option<u64> {
        let found = self.attempt(|mark| self.read_at(mark, key, &mut Nothing))?;
        Some(match found {
            Found::Present(version) => version,
            Found::Absent => 0,
        })
    }

    /// Sleeps until the version of the key is another than the one seen.
    pub(crate) fn wait_past(&self, key: &Key, seen: u64, env: &impl Env<M>, until: u64) -> Watched {
        // Ends: every round returns, or sleeps for a bounded time before the deadline.
        loop {
            // A key that nobody can read for its writers has changed.
            let Some((bell, heard)) = self.arm(key, seen) else {
                return Watched::Changed;
            };
            let now = env.now();
            if env.ends_wait(now, until) {
                return Watched::TimedOut;
            }
            let bound = now.saturating_add(limits::WAIT_BOUND_MICROS);
            M::wait(bell, heard, until.min(bound));
        }
    }

    /// What to sleep on until the version of the key may be another than the one seen;
    /// `None` when it is.
    pub(crate) fn arm(&self, key: &Key, seen: u64) -> Option<(M::Cell<'_>, u32)> {
        let heard = self.bells.listen(key.hash());
        (self.version(key) == Some(seen)).then(|| (self.bells.cell(key.hash()), heard))
    }

    /// The slots in which a key is searched, each once.
    #[inline]
    pub(crate) fn path(key: &Key) -> impl Iterator<Item = usize> {
        let first = (key.hash() >> 1) as usize % N;
        (0..N).map(move |step| (first + step) % N)
    }

    /// The writers' lock, for the reaper.
    pub(crate) fn writing(&self) -> &Mutex<M> {
        &self.writing
    }
}

/// What a look by the only writer says, who meets nobody.
pub(crate) fn undisturbed<T>(read: Result<T, Moved>) -> Result<T, Corrupt> {
    read.map_err(|Moved| Corrupt("shared state: no version of an entry is committed"))
}

impl<M: Mem, const N: usize, const WORDS: usize> Default for Store<M, N, WORDS> {
    fn default() -> Self {
        Self {
            writing: CachePadded::new(Mutex::default()),
            head: CachePadded::new(Head {
                commit: M::U64::default(),
                shape: M::U64::default(),
            }),
            bells: Bells::default(),
            tags: core::array::from_fn(|_| M::U64::default()),
            entries: core::array::from_fn(|_| Entry::default()),
        }
    }
}

shared!(Head<M> { commit, shape });
shared!(Store<M, const N, const WORDS> { writing, head, bells, tags, entries });
