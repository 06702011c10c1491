//! Process slots and thread slots.

use core::sync::atomic::Ordering;

use crate::limits::MAX_THREADS;
use crate::sync::{Mem, Word};
use crate::table::liveness::Verdict;
use crate::table::slots::{LOCK_LOST, ORDER, Processes};
use crate::table::threads::Threads;

use super::{At, Invariant, Look, Standing, Witness, standing};

/// To be called first: it also finds out whether anybody lives.
pub(crate) fn processes<M: Mem, W: Witness<M>, const P: usize>(
    look: &mut Look<'_, W>,
    processes: &Processes<M, P>,
) {
    let witness = look.witness;
    let lives = |slot: usize| standing(processes, slot, witness) == Standing::Living;
    look.is_deserted = !processes.occupied().any(lives);
    for slot in 0..P {
        let word = processes.word(slot);
        let at = At("process", slot);
        let fault = match word.keeper() {
            Some(keeper) if keeper >= MAX_THREADS => Some("has a keeper that there is no room for"),
            _ => word.fault(),
        };
        look.fault(Invariant::Process, at, fault, &[word.raw()]);
        let messages = processes
            .inbox(slot)
            .map_or(0, |inbox| inbox.load(Ordering::Relaxed));
        if messages & !(LOCK_LOST | ORDER) != 0 {
            let what = "has messages that nobody sends";
            look.broken(Invariant::Process, at, what, &[messages.into()]);
        }
        if fault.is_some() || word.is_free() {
            continue;
        }
        let what = match look.witness.weigh(slot, word) {
            Verdict::Gone => "is gone, and not swept",
            Verdict::LockLost => "lives, and has lost its lock",
            Verdict::Living => continue,
        };
        look.left(Invariant::Swept, at, what, &[word.raw()]);
    }
}

pub(crate) fn threads<M: Mem, W: Witness<M>, const T: usize, const P: usize>(
    look: &mut Look<'_, W>,
    threads: &Threads<M, T>,
    processes: &Processes<M, P>,
) {
    let high = threads.high_water.load(Ordering::Acquire);
    if high > T as u64 {
        look.broken(
            Invariant::Reach,
            At("threads", 0),
            "reach beyond their table",
            &[high],
        );
    }
    for slot in 0..T {
        let at = At("thread", slot);
        let word = threads.word(slot);
        let raw = word.raw();
        if raw == 0 {
            continue;
        }
        if slot >= threads.used() {
            let high = threads.high_water.load(Ordering::Acquire);
            let what = "is used beyond the high-water mark";
            look.broken(Invariant::Reach, at, what, &[raw, high]);
        }
        let fault = match word.process() {
            Some(process) if process >= P => Some("names a process that there is no room for"),
            _ => word.fault(),
        };
        look.fault(Invariant::Thread, at, fault, &[raw]);
        if fault.is_some() {
            continue;
        }
        let Some(process) = word.process() else {
            continue;
        };
        let owner = processes.word(process);
        match standing(processes, process, look.witness) {
            Standing::Free => {
                let what = "belongs to a process that is not attached";
                look.broken(Invariant::Attached, at, what, &[raw, owner.raw()]);
            }
            // A thread that finds no free slot frees it. A keeper's mark is its process's death.
            Standing::Living if owner.keeper() != Some(slot) => {
                if threads.ended(slot).is_some_and(|(seen, _)| seen == word) {
                    let what = "belongs to a thread that has ended, of a process that lives";
                    look.left(Invariant::Attached, at, what, &[raw, owner.raw()]);
                }
            }
            // It is swept with its process.
            Standing::Living | Standing::Dead => {}
        }
    }
}
