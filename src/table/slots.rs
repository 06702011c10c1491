//! Process slots: one per attached process, claimed and reaped under its byte lock.
//!
//! The byte lock is the claim: the kernel gives it to one process and takes it back at
//! the process's end, whatever instruction that end comes at. So a slot in any state
//! whose byte lock can be had belongs to nobody who lives; whoever holds the byte lock
//! sweeps what the old holder left and only then marks the slot free or its own. A
//! sweeper that dies loses the byte lock too, and the next one begins again: each step
//! of a sweep is idempotent.
//!
//! ```text
//! word: [ keeper thread slot + 1 :16 | - | generation:16 | state:2 ]
//! ```

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Word};

/// The kernel's word on who is gone, per process slot. Real: byte locks on the file.
pub(crate) trait Gone {
    /// Takes the byte lock; false when another process holds it.
    fn try_claim(&self, process: usize) -> bool;
    fn release(&self, process: usize);
    /// Whether somebody (this process included) holds it.
    fn is_held(&self, process: usize) -> bool;
}

const STATE: u64 = 0b11;
const FREE: u64 = 0;
const STARTING: u64 = 1;
const LIVE: u64 = 2;
const GENERATION_SHIFT: u32 = 2;
const KEEPER_SHIFT: u32 = 48;

/// One process slot.
#[repr(C)]
pub(crate) struct Process<M: Mem> {
    pub(super) word: M::U64,
    /// As the process sees itself; for people and for signals, with `start_time`.
    pub(crate) pid: M::U64,
    pub(crate) start_time: M::U64,
    pub(crate) pid_namespace: M::U64,
}

/// A snapshot of a process slot's word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessWord(u64);

impl ProcessWord {
    pub(crate) const fn is_free(self) -> bool {
        self.0 & STATE == FREE
    }
    pub(crate) const fn is_live(self) -> bool {
        self.0 & STATE == LIVE
    }
    /// The thread slot whose life word stands for the process.
    pub(crate) const fn keeper(self) -> Option<usize> {
        ((self.0 >> KEEPER_SHIFT) as usize).checked_sub(1)
    }
    pub(crate) const fn generation(self) -> u16 {
        (self.0 >> GENERATION_SHIFT) as u16
    }
    pub(super) const fn raw(self) -> u64 {
        self.0
    }
    /// What no release writes, if it is that.
    pub(super) const fn fault(self) -> Option<&'static str> {
        let unused = self.0 >> (GENERATION_SHIFT + 16) & 0x3fff_ffff;
        match (self.0 & STATE, self.keeper()) {
            (0b11, _) => Some("has no such state"),
            _ if unused != 0 => Some("has bits that nobody sets"),
            (LIVE, None) => Some("is live without a keeper"),
            (FREE | STARTING, Some(_)) => Some("has a keeper before it is live"),
            _ => None,
        }
    }
}

/// The table of processes.
#[repr(C)]
pub(crate) struct Processes<M: Mem, const N: usize>([Process<M>; N]);

impl<M: Mem, const N: usize> Processes<M, N> {
    pub(crate) fn get(&self, slot: usize) -> Option<&Process<M>> {
        self.0.get(slot)
    }

    pub(crate) fn word(&self, slot: usize) -> ProcessWord {
        ProcessWord(
            self.0
                .get(slot)
                .map_or(0, |p| p.word.load(Ordering::Acquire)),
        )
    }

    /// Claims a slot: its byte lock, then (after `sweep` of what a dead holder left)
    /// its word. `None` when living processes hold them all.
    pub(crate) fn claim(&self, gone: &impl Gone, sweep: impl Fn(usize)) -> Option<usize> {
        // Free slots first: probing a held byte is a system call.
        for only_free in [true, false] {
            for slot in 0..N {
                if self.word(slot).is_free() != only_free || !gone.try_claim(slot) {
                    continue;
                }
                if !self.word(slot).is_free() {
                    sweep(slot);
                }
                self.start(slot);
                return Some(slot);
            }
        }
        None
    }

    fn start(&self, slot: usize) {
        if let Some(process) = self.0.get(slot) {
            let generation = self.word(slot).generation().wrapping_add(1);
            let word = STARTING | u64::from(generation) << GENERATION_SHIFT;
            process.word.store(word, Ordering::Release);
        }
    }

    /// The process is fully attached; `keeper` is the thread slot that stands for it.
    pub(crate) fn go_live(&self, slot: usize, keeper: usize) {
        if let Some(process) = self.0.get(slot) {
            let generation = self.word(slot).generation();
            let word = LIVE
                | u64::from(generation) << GENERATION_SHIFT
                | ((keeper + 1) as u64) << KEEPER_SHIFT;
            process.word.store(word, Ordering::Release);
        }
    }

    /// Marks the slot free; by the holder of its byte lock, after the sweep.
    pub(crate) fn free(&self, slot: usize) {
        if let Some(process) = self.0.get(slot) {
            let generation = self.word(slot).generation();
            let word = FREE | u64::from(generation) << GENERATION_SHIFT;
            process.word.store(word, Ordering::Release);
        }
    }

    /// Reaps every slot whose process is gone; returns how many.
    pub(crate) fn reap(&self, gone: &impl Gone, sweep: impl Fn(usize)) -> usize {
        let mut reaped = 0;
        for slot in 0..N {
            if self.word(slot).is_free() || gone.is_held(slot) || !gone.try_claim(slot) {
                continue;
            }
            if !self.word(slot).is_free() {
                sweep(slot);
                self.free(slot);
                reaped += 1;
            }
            gone.release(slot);
        }
        reaped
    }

    /// Slots that are not free.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = usize> {
        (0..N).filter(|slot| !self.word(*slot).is_free())
    }
}

impl<M: Mem, const N: usize> Default for Processes<M, N> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| Process {
            word: M::U64::default(),
            pid: M::U64::default(),
            start_time: M::U64::default(),
            pid_namespace: M::U64::default(),
        }))
    }
}

shared!(Process<M> { word, pid, start_time, pid_namespace });
shared!(Processes<M, const N> { 0 });
