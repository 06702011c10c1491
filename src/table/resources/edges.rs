//! What a registration depends on.
//!
//! ```text
//! 63      62      61   49 48        38 37          0
//! [ TRIED | NAMED |   -  | index + 1  | generation  ]     0: no edge
//! [ TRIED | NAMED | hash of the name : 62           ]     with NAMED
//! ```
//! An edge to a registration ends with it. An edge to a name leads to every open registration
//! that bears the name when the edge is followed, so the name may come later, and may be
//! registered again by its owner's successor. Each record keeps the hash of its own name
//! (`called`). Names whose hashes agree, one pair in 2^62, would be taken for one another: then
//! one resource waits for another without need.
//!
//! The edges of a record have no room for its own generation, so a swap alone would not see
//! that the record is another registration's by now. They are written by their owner only,
//! while the record is the owner's beyond doubt:
//! - before it publishes, by its claimant, tried;
//! - afterwards under a lock of the owner's process under which it reads that the registration
//!   is Active ([`try_dependency`](Resources::try_dependency)). All threads of the process end
//!   the registration under the same lock, and nobody else ends it while the process lives.
//!   So a thread that is stopped in between delays the closing by its own process, and no
//!   other registration gets its edge.
//!
//! Models: `loom_tests/resources.rs`.

use core::sync::atomic::Ordering;

use crate::sync::{Mem, Word};

use super::reclaim::sum;
use super::{Key, ResourceWord, Resources};
use crate::width::mask;

/// Of an edge whose owner has not found out yet whether it closes a cycle.
pub(in crate::table) const TRIED: u64 = 1 << 63;

/// Of an edge to a name.
const NAMED: u64 = 1 << 62;

/// What an edge leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One registration.
    Key(Key),
    /// Whoever bears the name, by its hash.
    Name(u64),
}

impl Target {
    const fn packed(self) -> u64 {
        match self {
            Self::Key(key) => key.packed(),
            Self::Name(hash) => hash & mask(62) | NAMED,
        }
    }
}

impl From<Key> for Target {
    fn from(key: Key) -> Self {
        Self::Key(key)
    }
}

/// What an edge leads to, tried or not.
pub(in crate::table) fn unpack(raw: u64) -> Option<Target> {
    match raw & NAMED {
        0 => Key::unpacked(raw & !TRIED).map(Target::Key),
        _ => Some(Target::Name(raw & mask(62))),
    }
}

/// The hash of a full name, `runner/name`.
pub(crate) fn name_hash(runner: &str, name: &str) -> u64 {
    // A last mixing step, as the highest bits of a sum change little.
    let hash = sum(runner.bytes().chain([b'/']).chain(name.bytes()));
    (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask(62)
}

impl<M: Mem, const N: usize> Resources<M, N> {
    /// The edges of a record; read before its word is checked again by the caller.
    fn targets(&self, index: usize) -> impl Iterator<Item = Target> + '_ {
        let record = self.records.get(index);
        record
            .into_iter()
            .flat_map(|record| &record.depends_on)
            .filter_map(|word| unpack(word.load(Ordering::Acquire)))
    }

    /// What a record depends on now, by registration and by name; read before its word is
    /// checked again by the caller.
    pub(crate) fn dependencies(&self, index: usize) -> impl Iterator<Item = Key> + '_ {
        self.resolved(index, ResourceWord::is_open)
    }

    /// What a record depends on or depended on, for reports: by name, registrations that have
    /// ended, too.
    pub(crate) fn dependencies_ever(&self, index: usize) -> impl Iterator<Item = Key> + '_ {
        self.resolved(index, |_| true)
    }

    /// The registrations that the edges of a record lead to; by name, those that `fit`.
    fn resolved(
        &self,
        index: usize,
        fit: fn(ResourceWord) -> bool,
    ) -> impl Iterator<Item = Key> + '_ {
        let keys = self.targets(index).flat_map(move |target| {
            let (key, name) = match target {
                Target::Key(key) => (Some(key), None),
                Target::Name(hash) => (None, Some(self.named(hash, fit))),
            };
            key.into_iter().chain(name.into_iter().flatten())
        });
        keys.filter(|key| key.index < N)
    }

    fn named(&self, hash: u64, fit: fn(ResourceWord) -> bool) -> impl Iterator<Item = Key> + '_ {
        let keys = (0..self.used()).map(|index| self.key(index));
        keys.filter(move |key| self.called_if(*key, fit) == Some(hash))
    }

    /// The open registrations that bear a name.
    pub(crate) fn holders(&self, hash: u64) -> impl Iterator<Item = Key> + '_ {
        self.named(hash, ResourceWord::is_open)
    }

    /// Whether a record has an edge to a registration, or to its name.
    pub(crate) fn depends(&self, index: usize, on: Key) -> bool {
        self.targets(index).any(|target| match target {
            Target::Key(key) => key == on,
            Target::Name(hash) => self.called(on) == Some(hash),
        })
    }

    /// The hash of the name of an open registration.
    pub(crate) fn called(&self, key: Key) -> Option<u64> {
        self.called_if(key, ResourceWord::is_open)
    }

    /// The hash of the name of a registration, open or ended, that `fits`.
    fn called_if(&self, key: Key, fits: impl Fn(ResourceWord) -> bool) -> Option<u64> {
        let does_fit = || self.find(key).is_some_and(&fits);
        let called = &self.records.get(key.index).filter(|_| does_fit())?.called;
        // Before the word is read again: written after the claim, and released.
        let called = called.load(Ordering::Acquire);
        does_fit().then_some(called)
    }

    /// Makes a claimed record depend on another, by the owner, one thread at a time. False if
    /// there is no room.
    #[cfg(test)]
    pub(crate) fn add_dependency(&self, key: Key, on: Key) -> bool {
        self.move_edge(key, 0, on.packed())
    }

    /// Tries to make a registration depend on another; by its owner, under the lock under
    /// which its process ends it. The edge binds like any other from now on; the owner checks
    /// whether it may remain, and [ends the try](Self::end_try). False if there is no room.
    pub(crate) fn try_dependency(&self, key: Key, on: impl Into<Target>) -> bool {
        let has_room = self.move_edge(key, 0, on.into().packed() | TRIED);
        // SYNC POINT dependency: the other words are read after this.
        M::fence(Ordering::SeqCst);
        has_room
    }

    /// The edge that is tried remains from now on, or is removed; under the same lock.
    pub(crate) fn end_try(&self, key: Key, on: impl Into<Target>, remains: bool) {
        let on = on.into().packed();
        let edge = if remains { on } else { 0 };
        self.move_edge(key, on | TRIED, edge);
    }

    /// Whether the first edge of a record remains after its try.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn has_standing(&self, index: usize) -> bool {
        let edge = self.records[index].depends_on[0].load(Ordering::Acquire);
        edge != 0 && edge & TRIED == 0
    }

    /// Moves the first edge that has one value to another; false if there is none.
    fn move_edge(&self, key: Key, from: u64, to: u64) -> bool {
        let moves = |word: &M::U64| {
            let moved = word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
            moved.is_ok()
        };
        self.edges(key).any(moves)
    }

    fn edges(&self, key: Key) -> impl Iterator<Item = &M::U64> {
        let record = self.records.get(key.index);
        record.into_iter().flat_map(|record| &record.depends_on)
    }
}
