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

#[cfg(test)]
mod tests {
    use core::cell::{Cell, RefCell};

    use super::*;
    use crate::sync::Real;

    const N: usize = 3;

    type Table = Processes<Real, N>;

    /// Byte locks: of others, and ours.
    #[derive(Default)]
    struct Bytes {
        others: [Cell<bool>; N],
        ours: [Cell<bool>; N],
        probes: Cell<usize>,
    }

    impl Gone for Bytes {
        fn try_claim(&self, process: usize) -> bool {
            self.probes.set(self.probes.get() + 1);
            let is_ours = !self.others[process].get();
            self.ours[process].set(self.ours[process].get() || is_ours);
            is_ours
        }
        fn release(&self, process: usize) {
            self.ours[process].set(false);
        }
        fn is_held(&self, process: usize) -> bool {
            self.others[process].get() || self.ours[process].get()
        }
    }

    /// Claims a slot as another process does, which lives until its byte is free.
    fn live(table: &Table, bytes: &Bytes, keeper: usize) -> Option<usize> {
        let slot = table.claim(bytes, |_| panic!("nobody died"))?;
        table.go_live(slot, keeper);
        bytes.release(slot);
        bytes.others[slot].set(true);
        Some(slot)
    }

    #[test]
    fn free_slots_are_claimed_first_and_each_claim_is_a_generation() {
        let (table, bytes) = (Table::default(), Bytes::default());
        for slot in 0..N {
            assert_eq!(live(&table, &bytes, slot + 5), Some(slot));
            let word = table.word(slot);
            assert!(word.is_live() && !word.is_free() && word.fault().is_none());
            assert_eq!((word.keeper(), word.generation()), (Some(slot + 5), 1));
        }
        assert!(table.occupied().eq(0..N));
        assert_eq!(table.claim(&bytes, |_| panic!("nobody died")), None);
        // One ends as it should, and one dies: the free one is taken without a sweep.
        table.free(2);
        bytes.others[2].set(false);
        bytes.others[0].set(false);
        assert!(table.word(2).is_free() && table.word(2).fault().is_none());
        assert!(table.occupied().eq(0..2));
        bytes.probes.set(0);
        assert_eq!(live(&table, &bytes, 9), Some(2));
        assert_eq!((table.word(2).generation(), bytes.probes.get()), (2, 1));
        // The dead one's is swept before it is ours.
        let swept = RefCell::new(Vec::new());
        let sweep = |slot| {
            assert_eq!(
                table.word(slot).generation(),
                1,
                "it is the dead one's still"
            );
            swept.borrow_mut().push(slot);
        };
        assert_eq!(table.claim(&bytes, sweep), Some(0));
        assert_eq!(*swept.borrow(), [0]);
        let word = table.word(0);
        assert!(!word.is_live() && !word.is_free() && word.fault().is_none());
        assert_eq!((word.keeper(), word.generation()), (None, 2));
        assert!(bytes.ours[0].get());
    }

    #[test]
    fn only_the_dead_are_reaped_and_their_bytes_given_back() {
        let (table, bytes) = (Table::default(), Bytes::default());
        for keeper in 0..2 {
            live(&table, &bytes, keeper).unwrap();
        }
        let ours = table.claim(&bytes, |_| panic!("nobody died")).unwrap();
        assert_eq!(table.reap(&bytes, |_| panic!("nobody died")), 0);
        bytes.others[1].set(false);
        let swept = Cell::new(None);
        assert_eq!(table.reap(&bytes, |slot| swept.set(Some(slot))), 1);
        assert_eq!(swept.get(), Some(1));
        assert!(table.word(1).is_free() && table.word(0).is_live());
        assert_eq!(table.word(1).generation(), 1);
        assert!(!bytes.is_held(1) && bytes.is_held(ours) && !table.word(ours).is_free());
        assert_eq!(table.reap(&bytes, |_| panic!("it was reaped")), 0);
    }

    #[test]
    fn one_that_somebody_else_freed_or_claims_is_not_reaped() {
        /// What happens between our look at a byte and our claim of it.
        struct Between<'a>(&'a Table, bool);
        impl Gone for Between<'_> {
            fn try_claim(&self, process: usize) -> bool {
                self.0.free(process);
                self.1
            }
            fn release(&self, _process: usize) {}
            fn is_held(&self, _process: usize) -> bool {
                false
            }
        }
        for is_claimed in [true, false] {
            let (table, bytes) = (Table::default(), Bytes::default());
            live(&table, &bytes, 0).unwrap();
            let between = Between(&table, is_claimed);
            assert_eq!(table.reap(&between, |_| panic!("it was swept")), 0);
        }
    }

    #[test]
    fn there_is_nothing_beyond_the_table() {
        let table = Table::default();
        assert!(table.get(N).is_none() && table.get(N - 1).is_some());
        table.go_live(N, 1);
        table.free(N);
        assert!(table.word(N).is_free() && table.word(N).raw() == 0);
        table.go_live(0, 1);
        assert_eq!(table.word(0).raw(), LIVE | 2 << KEEPER_SHIFT);
    }

    #[test]
    fn words_that_no_release_writes_are_told() {
        let keeper = |number: u64| number << KEEPER_SHIFT;
        let generation = u64::from(u16::MAX) << GENERATION_SHIFT;
        for good in [FREE, STARTING, LIVE | keeper(1), LIVE | keeper(0xffff)] {
            assert_eq!(ProcessWord(good | generation).fault(), None, "{good:#x}");
        }
        let unused = |bit: u32| LIVE | keeper(1) | 1 << bit;
        for bad in [
            3,
            3 | keeper(1),
            LIVE,
            FREE | keeper(1),
            STARTING | keeper(1),
        ] {
            assert!(ProcessWord(bad | generation).fault().is_some(), "{bad:#x}");
        }
        for bit in [GENERATION_SHIFT + 16, KEEPER_SHIFT - 1] {
            assert!(ProcessWord(unused(bit)).fault().is_some(), "bit {bit}");
        }
        assert_eq!(ProcessWord(generation).generation(), u16::MAX);
    }
}
