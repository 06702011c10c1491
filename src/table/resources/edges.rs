//! What a registration depends on.
//!
//! ```text
//! 63      62   49 48        38 37          0
//! [ TRIED |   -  | index + 1  | generation  ]     0: no edge
//! ```
//! The edges of a record have no room for its own generation, so a swap alone would not see
//! that the record is another registration's by now. They are written by their owner only,
//! while the record is the owner's beyond doubt:
//! - before it publishes, by its claimant ([`add_dependency`](Resources::add_dependency));
//! - afterwards under a lock of the owner's process under which it reads that the registration
//!   is Active ([`try_dependency`](Resources::try_dependency)). All threads of the process end
//!   the registration under the same lock, and nobody else ends it while the process lives.
//!   So a thread that is stopped in between delays the closing by its own process, and no
//!   other registration gets its edge.
//!
//! Models: `loom_tests/resources.rs`.

use core::sync::atomic::Ordering;

use crate::sync::{Mem, Word};

use super::{Key, Resources};

/// Of an edge whose owner has not found out yet whether it closes a cycle.
pub(in crate::table) const TRIED: u64 = 1 << 63;

/// What an edge leads to, tried or not.
pub(in crate::table) fn unpack(raw: u64) -> Option<Key> {
    Key::unpacked(raw & !TRIED)
}

impl<M: Mem, const N: usize> Resources<M, N> {
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
        self.move_edge(key, 0, on.packed())
    }

    /// Tries to make a registration depend on another; by its owner, under the lock under
    /// which its process ends it. The edge binds like any other from now on; the owner checks
    /// whether it may remain, and [ends the try](Self::end_try). False if there is no room.
    pub(crate) fn try_dependency(&self, key: Key, on: Key) -> bool {
        let has_room = self.move_edge(key, 0, on.packed() | TRIED);
        // SYNC POINT dependency: the other words are read after this.
        M::fence(Ordering::SeqCst);
        has_room
    }

    /// The edge that is tried remains from now on, or is removed; under the same lock.
    pub(crate) fn end_try(&self, key: Key, on: Key, remains: bool) {
        let edge = if remains { on.packed() } else { 0 };
        self.move_edge(key, on.packed() | TRIED, edge);
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
