//! Lock words, and who waits for a lock.

use core::sync::atomic::Ordering;

use crate::limits::MAX_LOCKS;
use crate::sync::mutex::Mutex;
use crate::sync::{Mem, Owner, Word};
use crate::table::threads::Threads;
use crate::table::waits::{LOCK, SEQUENCE, Waits, is_signed};

use super::{At, Invariant, Look, Witness, is_dead};

/// A lock of any kind: its word, and whether its owner lives.
pub(crate) fn lock<M: Mem, W: Witness<M>, const T: usize>(
    look: &mut Look<'_, W>,
    at: At,
    lock: &Mutex<M>,
    threads: &Threads<M, T>,
) {
    let seen = lock.look();
    look.fault(Invariant::Lock, at, seen.fault, &[seen.word]);
    if let Some(holder) = seen.owner {
        owner(look, at, seen.word, holder, threads);
    }
}

/// Whether who is named in a word, read before, lives; of locks, permits and places.
pub(super) fn owner<M: Mem, W: Witness<M>, const T: usize>(
    look: &mut Look<'_, W>,
    at: At,
    word: u64,
    holder: Owner,
    threads: &Threads<M, T>,
) {
    let now = threads.word(usize::from(holder.slot));
    let words = [word, now.raw()];
    if NAMES_ARE_UNIQUE && now.is_before(holder) {
        // Generations go up, and the slot was read last: nobody had this name yet.
        let what = "is held by a thread that there has not been yet";
        look.broken(Invariant::Owner, at, what, &words);
    } else if !now.is_of(holder) {
        // The next locker takes it over. Where names were narrow, a later holder of the slot
        // could be taken for this one.
        let what = "is held by an earlier holder of its thread slot";
        look.left(Invariant::Owner, at, what, &words);
    } else if let Some(thread) = is_dead(threads, holder, look.witness) {
        let what = "is held by a dead thread";
        look.left(Invariant::Owner, at, what, &[word, thread]);
    }
}

/// Whether a name that is greater is one of later; narrow ones come round.
const NAMES_ARE_UNIQUE: bool = !cfg!(feature = "narrow");

pub(crate) fn waits<M: Mem, W: Witness<M>, const T: usize>(
    look: &mut Look<'_, W>,
    waits: &Waits<M, T>,
    threads: &Threads<M, T>,
) {
    for (slot, wait) in waits.0.iter().enumerate() {
        let word = wait.word.load(Ordering::Acquire);
        let lock = word & LOCK;
        let at = At("wait", slot);
        if lock == 0 {
            if word & !SEQUENCE != 0 {
                look.broken(Invariant::Wait, at, "is for nothing, and marked", &[word]);
            }
            continue;
        }
        if lock as usize > MAX_LOCKS {
            look.broken(
                Invariant::Wait,
                at,
                "is for a lock that there is not",
                &[word],
            );
            continue;
        }
        let since = wait.since.load(Ordering::Relaxed);
        if look.is_ahead(since) {
            look.broken(Invariant::Wait, at, "is since the future", &[word, since]);
        }
        // After the word: it is of the slot's present holder, or of one that is gone.
        let now = threads.word(slot);
        let waiter = now.owner(slot as u16);
        if now.is_free() || !is_signed(word, waiter) {
            let what = "is of an earlier holder of its slot";
            look.left(Invariant::Wait, at, what, &[word, now.raw()]);
        } else if let Some(thread) = is_dead(threads, waiter, look.witness) {
            look.left(Invariant::Wait, at, "is of a dead thread", &[word, thread]);
        }
    }
}

impl<M: Mem, const N: usize> Waits<M, N> {
    /// Takes back the waits of threads that are dead.
    pub(crate) fn settle(&self, threads: &Threads<M, N>, is_dead: impl Fn(Owner) -> bool) {
        for (slot, wait) in self.0.iter().enumerate() {
            let word = wait.word.load(Ordering::Acquire);
            // After the word: if the slot has gone on, so has the waiter.
            let now = threads.word(slot);
            let waiter = now.owner(slot as u16);
            let is_its = !now.is_free() && is_signed(word, waiter);
            if word & LOCK != 0 && (!is_its || is_dead(waiter)) {
                wait.taken_back(word);
            }
        }
    }
}
