//! The shared state.

use core::sync::atomic::Ordering;
use std::collections::HashMap;

use crate::sync::{Mem, Word};
use crate::table::entry::{ABORTED, Meta};
use crate::table::key::Key;
use crate::table::store::Store;
use crate::table::threads::Threads;

use super::{At, Invariant, Look, Witness, lock};

pub(crate) fn store<M: Mem, W: Witness<M>, const N: usize, const WORDS: usize, const T: usize>(
    look: &mut Look<'_, W>,
    store: &Store<M, N, WORDS>,
    threads: &Threads<M, T>,
) {
    lock(
        look,
        At("lock of the shared state", 0),
        store.writing(),
        threads,
    );
    let mut keys = HashMap::new();
    for slot in 0..N {
        stamps(look, store, slot);
        versions(look, store, slot);
        key(look, store, slot, &mut keys);
    }
}

/// Read in this order: a writer stamps after it locked, and publishes before it unlocks. So
/// a stamp above the commit, then a lock that nobody holds, and still the same commit, are
/// nothing that a living writer can be at.
fn stamps<M: Mem, W, const N: usize, const WORDS: usize>(
    look: &mut Look<'_, W>,
    store: &Store<M, N, WORDS>,
    slot: usize,
) {
    let at = At("key", slot);
    let commit = store.head.commit.load(Ordering::Acquire);
    let [a, b] = [0, 1].map(|index| store.entries[slot].stamps[index].load(Ordering::Acquire));
    let lock = store.writing().look();
    let again = store.head.commit.load(Ordering::Acquire);
    if commit != again {
        return;
    }
    // They grow, so the same two are of the same time, and whoever commits meanwhile, every
    // look is whole by itself.
    let words = [a, b];
    let above = |stamp: u64| stamp > commit && stamp != ABORTED;
    if a > commit && b > commit || a != 0 && a == b {
        look.broken(
            Invariant::Commit,
            at,
            "has no version that is committed",
            &words,
        );
    } else if [a, b]
        .iter()
        .any(|s| above(*s) && *s != commit.wrapping_add(1))
    {
        look.broken(Invariant::Commit, at, "has a version to come", &words);
    } else if (above(a) || above(b)) && lock.owner.is_none() {
        match lock.is_inconsistent {
            true => look.left(Invariant::Commit, at, "was begun by a dead writer", &words),
            false => look.broken(Invariant::Commit, at, "was begun by nobody", &words),
        }
    }
    let tag = store.tags[slot].load(Ordering::Acquire);
    if tag & 1 == 0 && (tag != 0 || a != 0 || b != 0) {
        let words = [tag, a, b];
        look.broken(Invariant::Path, at, "has no tag, and was used", &words);
    }
}

fn versions<M: Mem, W, const N: usize, const WORDS: usize>(
    look: &mut Look<'_, W>,
    store: &Store<M, N, WORDS>,
    slot: usize,
) {
    let entry = &store.entries[slot];
    for (index, version) in entry.versions.iter().enumerate() {
        let stamp = entry.stamps[index].load(Ordering::Acquire);
        let meta = version.meta.load(Ordering::Acquire);
        let commit = store.head.commit.load(Ordering::Acquire);
        M::fence(Ordering::Acquire);
        let stands = entry.stamps[index].load(Ordering::Relaxed) == stamp;
        // What is younger than the commit may be in the middle of being filled.
        if stands && stamp != 0 && stamp <= commit && !Meta::is_sane(meta, WORDS) {
            let words = [stamp, meta, index as u64];
            look.broken(Invariant::Version, At("key", slot), "is not whole", &words);
        }
    }
}

/// Whether the key of a slot is where one looks for it.
fn key<M: Mem, W, const N: usize, const WORDS: usize>(
    look: &mut Look<'_, W>,
    store: &Store<M, N, WORDS>,
    slot: usize,
    keys: &mut HashMap<Vec<u8>, (usize, u64)>,
) {
    let at = At("key", slot);
    let mark = store.mark();
    let entry = &store.entries[slot];
    let Some(current) = entry.current(mark.commit) else {
        return;
    };
    let Some((bytes, _)) = entry.describe(current) else {
        return;
    };
    let tag = store.tags[slot].load(Ordering::Acquire);
    let path = Key::new(&bytes).map(|key| {
        let on_way = Store::<M, N, WORDS>::path(&key).take_while(|on| *on != slot);
        let gap = on_way
            .into_iter()
            .any(|on| store.tags[on].load(Ordering::Acquire) == 0);
        (key.hash(), gap)
    });
    // Read while it was written over. (A slot that went to another key since is told once at
    // most: who sees its new tag sees the commit that deleted this one.)
    if !entry.stands(current) {
        return;
    }
    let words = [tag, current.stamp, slot as u64];
    match path {
        Some((hash, false)) if hash == tag => {}
        Some((hash, _)) if hash == tag => {
            look.broken(Invariant::Path, at, "comes after a gap on its path", &words);
        }
        _ => look.broken(Invariant::Path, at, "has the tag of another key", &words),
    }
    if let Some((other, stamp)) = keys.insert(bytes, (slot, current.stamp)) {
        let words = [tag, current.stamp, other as u64, stamp];
        look.broken(Invariant::Path, at, "is there twice", &words);
    }
}
