//! A name for one act of one thread of one process: never used twice in a round.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ledger, PROCESSES};

const ACT_BITS: u32 = 28;
const THREAD_BITS: u32 = 20;
const THREAD_SHIFT: u32 = ACT_BITS;
const PROCESS_SHIFT: u32 = ACT_BITS + THREAD_BITS;

const _: () = assert!(PROCESSES < 1 << (64 - PROCESS_SHIFT));

/// `process + 1 :16 | thread:20 | act:28`. Zero is no stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp(pub u64);

impl Stamp {
    pub fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT) as usize)
            .checked_sub(1)
            .filter(|process| *process < PROCESSES)
    }

    fn thread(self) -> u64 {
        self.0 >> THREAD_SHIFT & ((1 << THREAD_BITS) - 1)
    }

    fn act(self) -> u64 {
        self.0 & ((1 << ACT_BITS) - 1)
    }
}

/// One thread, with a counter of its own.
#[derive(Debug)]
pub struct Actor {
    process: usize,
    thread: u64,
    acts: Cell<u64>,
}

/// The next thread of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Actor {
    /// The calling thread, of this process of the round.
    ///
    /// # Panics
    /// A million threads were named.
    pub fn new(process: usize) -> Self {
        let thread = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(
            thread < 1 << THREAD_BITS,
            "too many threads to name them all"
        );
        Self {
            process,
            thread,
            acts: Cell::new(0),
        }
    }

    pub fn process(&self) -> usize {
        self.process
    }

    /// The stamp of the next act.
    pub fn next(&self) -> Stamp {
        let act = (self.acts.get() + 1) & ((1 << ACT_BITS) - 1);
        self.acts.set(act);
        Stamp((self.process as u64 + 1) << PROCESS_SHIFT | self.thread << THREAD_SHIFT | act)
    }
}

impl Ledger {
    /// Who that was, for a report.
    pub fn who(&self, stamp: Stamp) -> String {
        match stamp.process() {
            Some(process) => format!(
                "{} thread {} act {}",
                self.describe(process),
                stamp.thread(),
                stamp.act()
            ),
            None => format!("no stamp ({:#x})", stamp.0),
        }
    }

    /// Whether the process of a stamp was sent a signal that may end it.
    pub fn may_be_dead(&self, stamp: Stamp) -> bool {
        stamp
            .process()
            .is_some_and(|process| self.is_doomed(process))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratch;
    use super::*;

    #[test]
    fn a_stamp_names_its_process_and_no_two_are_equal() {
        let (_directory, ledger) = scratch();
        ledger.set_pid(PROCESSES - 1, 77);
        let [one, other] = [(); 2].map(|()| Actor::new(PROCESSES - 1));
        let all = [one.next(), one.next(), other.next(), other.next()];
        for (at, stamp) in all.iter().enumerate() {
            assert_eq!(stamp.process(), Some(PROCESSES - 1));
            assert!(!all[..at].contains(stamp));
            assert!(ledger.who(*stamp).contains("pid 77"), "{stamp:?}");
        }
        assert_eq!(Stamp(0).process(), None);
        assert!(!ledger.may_be_dead(all[0]) && !ledger.may_be_dead(Stamp(0)));
        ledger.doom(PROCESSES - 1);
        assert!(ledger.may_be_dead(all[0]));
    }
}
