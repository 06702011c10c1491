//! Events, semaphores and barriers.

use core::sync::atomic::Ordering;

use crate::limits::{EVENT_PAYLOAD_BYTES, MAX_PARTIES, MAX_PROCESSES};
use crate::sync::{Holder, Mem, Owner, Word};
use crate::table::barrier::Barrier;
use crate::table::barrier_word::Control;
use crate::table::event_log::EventLog;
use crate::table::semaphore::Semaphore;
use crate::table::threads::Threads;

use super::locks::owner;
use super::{At, Invariant, Look, Witness, lock};

pub(crate) fn event<M: Mem, W: Witness<M>, const N: usize, const T: usize>(
    look: &mut Look<'_, W>,
    index: usize,
    log: &EventLog<M, N>,
    threads: &Threads<M, T>,
) {
    let at = At("event", index);
    if log.resets().is_err() {
        look.broken(Invariant::Event, at, "has no such kind of reset", &[0]);
    }
    lock(look, At("lock of setters", index), log.writer(), threads);
    let (number, flags) = log.event.look();
    if number == 0 && flags & 1 != 0 {
        look.broken(Invariant::Event, at, "is set, and was never set", &[flags]);
    }
    // The entry that the next set replaces: a setter is in it, or died there.
    let next = number.wrapping_add(1);
    for (place, entry) in log.entries.iter().enumerate() {
        let stamp = entry.stamp.load(Ordering::Acquire);
        let behind = number.wrapping_sub(place as u64) % N as u64;
        // The latest number up to `number` that belongs here; 0 before the first.
        let due = number.saturating_sub(behind);
        let is_next = next % N as u64 == place as u64;
        let is_due = stamp == due || is_next && (stamp == 0 || stamp == next);
        let words = [number, stamp, place as u64];
        if !is_due {
            look.broken(
                Invariant::Event,
                at,
                "has an entry of another number",
                &words,
            );
            continue;
        }
        let length = entry.length.load(Ordering::Relaxed);
        if length > EVENT_PAYLOAD_BYTES as u64 {
            look.broken(
                Invariant::Event,
                at,
                "has a payload longer than its room",
                &words,
            );
        }
        let when = entry.at.load(Ordering::Relaxed);
        if look.is_ahead(when) {
            look.broken(Invariant::Event, at, "was set in the future", &words);
        }
    }
}

pub(crate) fn semaphore<M: Mem, W: Witness<M>, const N: usize, const T: usize>(
    look: &mut Look<'_, W>,
    index: usize,
    semaphore: &Semaphore<M, N>,
    threads: &Threads<M, T>,
) {
    let at = At("semaphore", index);
    for (permit, held) in semaphore.held.iter().enumerate() {
        lock(look, At("permit", index * N + permit), held, threads);
        // After the lock: the number is fixed before any is taken.
        let word = held.look().word;
        let permits = semaphore.permits.load(Ordering::Acquire);
        if permit >= permits as usize && word != 0 {
            let words = [u64::from(permits), permit as u64, word];
            look.broken(
                Invariant::Semaphore,
                at,
                "has more holders than permits",
                &words,
            );
        }
    }
    let permits = semaphore.permits.load(Ordering::Acquire);
    if permits as usize > N {
        let words = [u64::from(permits)];
        look.broken(
            Invariant::Semaphore,
            at,
            "has more permits than room",
            &words,
        );
    }
}

pub(crate) fn barrier<M: Mem, W: Witness<M>, const N: usize, const T: usize>(
    look: &mut Look<'_, W>,
    index: usize,
    barrier: &Barrier<M, N>,
    threads: &Threads<M, T>,
) {
    let at = At("barrier", index);
    let raw = barrier.control.load(Ordering::Acquire);
    let control = Control(raw);
    let parties = barrier.parties.load(Ordering::Acquire);
    let fault = if parties > MAX_PARTIES as u64 {
        Some("has more parties than room")
    } else if control
        .process()
        .is_some_and(|process| process >= MAX_PROCESSES)
    {
        Some("is broken by a process that there is no room for")
    } else if control.arrived() > parties.saturating_sub(1) {
        Some("has more arrived than it waits for")
    } else {
        control.fault()
    };
    look.fault(Invariant::Barrier, at, fault, &[raw, parties]);

    let mut here = 0;
    for (place, one) in barrier.places.iter().enumerate() {
        let name = one.holder.load(Ordering::Acquire);
        let since = one.since();
        let at = At("place", index * N + place);
        let words = [name, since.0];
        look.fault(Invariant::Barrier, at, since.fault(), &words);
        match Holder::of(name) {
            Holder::Nobody => {}
            Holder::Corrupt => {
                let what = "is of no thread that there can be, and not free";
                look.broken(Invariant::Barrier, at, what, &words);
            }
            Holder::Thread(holder) => {
                here += u64::from(one.of(control).is_some());
                owner(look, at, name, holder, threads);
            }
        }
    }
    // The places were read after the control word, which is never again what it was.
    let is_still = barrier.control.load(Ordering::Acquire) == raw;
    if fault.is_none() && control.is_open() && is_still && here < control.arrived() {
        let what = "counts more than have a place";
        look.broken(Invariant::Counted, at, what, &[raw, here]);
    }
}

impl<M: Mem, const N: usize> Barrier<M, N> {
    /// The threads that have places now, dead ones too.
    pub(crate) fn holders(&self) -> impl Iterator<Item = Owner> {
        self.places.iter().filter_map(|one| one.holder().thread())
    }
}
