//! Lock words, and who waits for a lock.

use core::sync::atomic::Ordering;

use crate::limits::MAX_LOCKS;
use crate::sync::mutex::Mutex;
use crate::sync::{Mem, Owner, Word};
use crate::table::threads::Threads;
use crate::table::waits::{GENERATION_SHIFT, LOCK, SEQUENCE, Waits};

use super::{At, Invariant, Look, Witness, is_dead};

/// A lock of any kind: its word, and whether its owner lives.
pub(crate) fn lock<M: Mem, W: Witness<M>, const T: usize>(
    look: &mut Look<'_, W>,
    at: At,
    lock: &Mutex<M>,
    threads: &Threads<M, T>,
) {
    let seen = lock.look();
    let word = u64::from(seen.word);
    look.fault(Invariant::Lock, at, seen.fault, &[word]);
    if let Some(owner) = seen.owner
        && let Some(thread) = is_dead(threads, owner, look.witness)
    {
        // The next locker takes it over.
        look.left(
            Invariant::Owner,
            at,
            "is held by a dead thread",
            &[word, thread],
        );
    }
}

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
        let waiter = Owner {
            slot: slot as u16,
            generation: (word >> GENERATION_SHIFT) as u16,
        };
        if let Some(thread) = is_dead(threads, waiter, look.witness) {
            look.left(Invariant::Wait, at, "is of a dead thread", &[word, thread]);
        }
    }
}

impl<M: Mem, const N: usize> Waits<M, N> {
    /// Takes the wait of a thread known to be dead back, if it is still that.
    pub(crate) fn settle(&self, is_dead: impl Fn(Owner) -> bool) {
        for (slot, wait) in self.0.iter().enumerate() {
            let word = wait.word.load(Ordering::Acquire);
            let waiter = Owner {
                slot: slot as u16,
                generation: (word >> GENERATION_SHIFT) as u16,
            };
            if word & LOCK != 0 && is_dead(waiter) {
                let cleared = word & SEQUENCE;
                let _ =
                    wait.word
                        .compare_exchange(word, cleared, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }
}
