//! Writing to the store: the lock, the repair after a dead writer, and the commit.

use core::sync::atomic::Ordering;

use crate::sync::mutex::NotLocked;
use crate::sync::{Env, Mem, Owner, Word};

use super::Corrupt;
use super::entry::Key;
use super::store::{Moved, Store, undisturbed};

/// One key of a transaction, written or deleted. Each key at most once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) key: Key,
    pub(crate) value: Option<&'a [u8]>,
}

/// Why a transaction was not made; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCommitted {
    Full,
    Corrupt(Corrupt),
}

/// Where a key is, or may be put.
struct Place {
    slot: usize,
    is_there: bool,
}

/// A write with the version it fills.
struct Planned<'a> {
    slot: usize,
    version: usize,
    write: &'a Write<'a>,
}

impl<M: Mem, const N: usize, const WORDS: usize> Store<M, N, WORDS> {
    /// Takes the writers' lock, and makes whole what a dead writer left.
    pub(crate) fn lock(&self, me: Owner, env: &impl Env<M>, until: u64) -> Result<(), NotLocked> {
        let acquired = self.writing.lock(me, env, until)?;
        if acquired.previous_owner_died {
            // The lock stays inconsistent until this is done, whoever dies in it.
            self.repair();
            self.writing.mark_consistent(me);
        }
        Ok(())
    }

    pub(crate) fn unlock(&self, me: Owner) {
        let _ = self.writing.unlock(me);
    }

    fn repair(&self) {
        let commit = self.head.commit.load(Ordering::Relaxed);
        // As at the beginning of `commit`.
        M::fence(Ordering::Release);
        for entry in &self.entries {
            entry.abort_after(commit);
        }
        // The dead one may have published without waking anybody.
        self.bells.ring_all();
    }

    /// Makes all writes visible at once; by the holder of the lock. Answers whether
    /// anything was written.
    pub(crate) fn commit(&self, writes: &[Write<'_>]) -> Result<bool, NotCommitted> {
        let seen = self.mark().commit;
        let plan = self.plan(writes, seen)?;
        if plan.is_empty() {
            return Ok(false);
        }
        let next = seen.wrapping_add(1);
        // SYNC POINT store-reuse (models: loom_tests/store.rs): pairs with the second looks of
        // readers. Who sees a store from here on sees that `seen` was published.
        M::fence(Ordering::Release);
        self.place_tags(&plan);
        for Planned { slot, version, .. } in &plan {
            self.entries[*slot].stamp(*version, next);
        }
        // SYNC POINT store-reuse (models: loom_tests/store.rs): who sees a word sees the stamp.
        M::fence(Ordering::Release);
        for planned in &plan {
            let Write { key, value } = planned.write;
            self.entries[planned.slot].fill(planned.version, key, *value);
        }
        // SYNC POINT store-publish (models: loom_tests/store.rs): pairs with `mark`.
        self.head.commit.store(next, Ordering::Release);
        self.bells
            .ring(plan.iter().map(|planned| planned.write.key.hash()));
        Ok(true)
    }

    /// Finds room for everything before anything is touched.
    fn plan<'a>(
        &self,
        writes: &'a [Write<'a>],
        commit: u64,
    ) -> Result<Vec<Planned<'a>>, NotCommitted> {
        let mut plan: Vec<Planned<'a>> = Vec::with_capacity(writes.len());
        for write in writes {
            let taken = |slot| plan.iter().any(|planned| planned.slot == slot);
            let place = undisturbed(self.place(&write.key, commit, taken));
            let place = match place.map_err(NotCommitted::Corrupt)? {
                Some(place) => place,
                None if write.value.is_none() => continue,
                None => return Err(NotCommitted::Full),
            };
            if write.value.is_none() && !place.is_there {
                continue;
            }
            let entry = &self.entries[place.slot];
            plan.push(Planned {
                slot: place.slot,
                version: entry.idle(entry.current(commit)),
                write,
            });
        }
        Ok(plan)
    }

    /// The slot that holds the key, else one that it can be put in: with its own tag, or
    /// the first on its path that holds nothing.
    fn place(
        &self,
        key: &Key,
        commit: u64,
        taken: impl Fn(usize) -> bool,
    ) -> Result<Option<Place>, Moved> {
        let (mut own, mut room) = (None, None);
        for slot in Self::path(key) {
            let tag = self.tags[slot].load(Ordering::Relaxed);
            let is_own = tag == key.hash();
            // For a foreign tag only the first empty slot matters.
            if !is_own && room.is_some() && tag != 0 {
                continue;
            }
            let entry = &self.entries[slot];
            let current = entry.current(commit).ok_or(Moved)?;
            if is_own && entry.copy(current, key, &mut super::entry::Nothing) {
                return Ok(Some(Place {
                    slot,
                    is_there: true,
                }));
            }
            if !taken(slot) && !entry.is_present(current) {
                room = room.or(Some(slot));
                own = own.or(Some(slot).filter(|_| is_own));
            }
            if tag == 0 && room.is_some() {
                break;
            }
        }
        Ok(own.or(room).map(|slot| Place {
            slot,
            is_there: false,
        }))
    }

    /// For models: as far as a writer gets that dies before it publishes.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn begin_and_leave(&self, key: &Key, value: &[u8]) {
        let seen = self.mark().commit;
        let write = Write {
            key: *key,
            value: Some(value),
        };
        let plan = self.plan(core::slice::from_ref(&write), seen);
        for Planned { slot, version, .. } in plan.into_iter().flatten() {
            self.entries[slot].stamp(version, seen.wrapping_add(1));
            self.entries[slot].fill(version, key, Some(value));
        }
    }

    fn place_tags(&self, plan: &[Planned<'_>]) {
        let is_new = |planned: &&Planned<'_>| {
            let tag = self.tags[planned.slot].load(Ordering::Relaxed);
            tag != planned.write.key.hash()
        };
        if !plan.iter().any(|planned| is_new(&planned)) {
            return;
        }
        let shape = self.head.shape.load(Ordering::Relaxed);
        self.head
            .shape
            .store(shape.wrapping_add(1), Ordering::Relaxed);
        // SYNC POINT store-shape (models: loom_tests/store.rs): who sees a tag sees the shape.
        M::fence(Ordering::Release);
        for planned in plan.iter().filter(is_new) {
            self.tags[planned.slot].store(planned.write.key.hash(), Ordering::Relaxed);
        }
    }
}
