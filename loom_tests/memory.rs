//! The modelled memory: loom's atomics and a faithful futex.
//!
//! The kernel here has one bucket: a FIFO of sleepers under one lock. A wait takes the
//! lock, compares the words, queues itself, lets the lock go and parks: as in Linux, a
//! wake either comes before the comparison (which then sees what was stored before the
//! wake) or finds the sleeper in the queue. A wake takes up to n sleepers of the
//! address, in order. Nobody comes back for any other reason than a wake or time.

use core::cell::Cell as StdCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::OnceLock;

use loom::sync::{Condvar, Mutex, atomic};
use loom::thread;

use super::world;
use crate::sync::mem::{LifeArea, Mem, Woken, Word};
use core::sync::atomic::Ordering;

/// The memory that loom watches.
#[derive(Debug)]
pub(crate) struct Loom;

/// A 32-bit word. `raw` and the loads beside it are for the modelled kernel, whose
/// accesses are no kill points.
#[derive(Debug, Default)]
pub(crate) struct U32 {
    raw: atomic::AtomicU32,
    loaders: Loaders,
}

/// A 64-bit word.
#[derive(Debug, Default)]
pub(crate) struct U64 {
    raw: atomic::AtomicU64,
    loaders: Loaders,
}

macro_rules! word {
    ($word:ty, $value:ty, $raw:ty) => {
        impl $word {
            /// For a load by the kernel.
            pub(super) fn look(&self, order: Ordering) -> $value {
                self.loaders.about_to_load();
                self.raw.load(order)
            }
            /// For any other access by the kernel.
            pub(super) fn kernel(&self) -> &$raw {
                &self.raw
            }
            /// For a step of the algorithm that may write: a kill point.
            fn step(&self) -> &$raw {
                world::tick();
                self.kernel()
            }
        }

        impl Word for $word {
            type Value = $value;
            fn load(&self, order: Ordering) -> $value {
                world::tick();
                self.look(order)
            }
            fn store(&self, value: $value, order: Ordering) {
                self.step().store(value, order);
            }
            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.step().swap(value, order)
            }
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.step().compare_exchange(current, new, success, failure)
            }
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.step().fetch_add(value, order)
            }
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.step().fetch_or(value, order)
            }
            fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.step().fetch_and(value, order)
            }
        }
    };
}
word!(U32, u32, atomic::AtomicU32);
word!(U64, u64, atomic::AtomicU64);

/// What makes loom's search complete: loads of one word depend on each other.
///
/// Loom 0.7.3 remembers only the *last* access to an object. In "B loads, A loads, A
/// writes" (every compare-and-swap loop) it compares A's write with A's own load, sees
/// no race, and never tries A's write before B's load; a latch whose writer first
/// loads its stamp then passes whatever is broken in it. So each load first touches
/// another object, on which all touches depend on each other: loom tries A's load
/// before B's, too, and there meets B's load as the last access before or after A's
/// write. The object is a condition variable without waiters: to notify it is a step
/// that orders no memory.
#[derive(Debug, Default)]
struct Loaders(OnceLock<Condvar>);

impl Loaders {
    fn about_to_load(&self) {
        self.0.get_or_init(Condvar::new).notify_one();
    }
}

/// The modelled life word.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(super) word: U32,
}

impl LifeArea<Loom> for Life {
    fn word(&self) -> &U32 {
        &self.word
    }
}

/// Thirty-two bits at an address.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Whole(&'a U32),
    LowHalf(&'a U64),
}

impl Cell<'_> {
    fn address(self) -> usize {
        match self {
            Self::Whole(word) => core::ptr::from_ref(word).addr(),
            Self::LowHalf(word) => core::ptr::from_ref(word).addr(),
        }
    }

    fn value(self) -> u32 {
        match self {
            Self::Whole(word) => word.look(Ordering::Relaxed),
            Self::LowHalf(word) => word.look(Ordering::Relaxed) as u32,
        }
    }
}

impl Mem for Loom {
    type U32 = U32;
    type U64 = U64;
    type Life = Life;
    type Cell<'a> = Cell<'a>;

    fn cell(word: &U32) -> Cell<'_> {
        Cell::Whole(word)
    }
    fn low_cell(word: &U64) -> Cell<'_> {
        Cell::LowHalf(word)
    }
    fn fence(order: Ordering) {
        world::tick();
        atomic::fence(order);
    }
    fn wait(cell: Cell<'_>, expected: u32, until: u64) -> Woken {
        world::tick();
        world::current().sleep(&[(cell, expected)], until)
    }
    fn wait_any(cells: &[(Cell<'_>, u32)], until: u64) -> Woken {
        world::tick();
        world::current().sleep(cells, until)
    }
    fn wake(cell: Cell<'_>, count: u32) {
        world::tick();
        world::current().kernel().wake(cell, count);
    }
    fn relax() {
        thread::yield_now();
    }
}

/// One sleeper in the bucket.
struct Sleeper {
    addresses: Vec<usize>,
    until: u64,
    thread: thread::Thread,
    /// Written by whoever takes the sleeper out of the queue, before it unparks it.
    outcome: Rc<StdCell<Option<Woken>>>,
}

impl Sleeper {
    fn resume(self, outcome: Woken) {
        self.outcome.set(Some(outcome));
        self.thread.unpark();
    }
}

/// The futex part of the kernel.
pub(super) struct Kernel {
    bucket: Mutex<VecDeque<Sleeper>>,
    /// Length of the bucket, for the driver of time; not part of the model.
    asleep: StdCell<usize>,
    /// Wakes nobody, and takes no lock for it.
    deaf: bool,
}

impl Kernel {
    pub(super) fn new(deaf: bool) -> Self {
        Self {
            deaf,
            bucket: Mutex::new(VecDeque::new()),
            asleep: StdCell::new(0),
        }
    }

    pub(super) fn asleep(&self) -> usize {
        self.asleep.get()
    }

    /// Sleeps while all cells hold what is expected. `now_asleep` runs when the
    /// caller is in the queue.
    pub(super) fn wait(
        &self,
        cells: &[(Cell<'_>, u32)],
        until: u64,
        now_asleep: impl FnOnce(),
    ) -> Woken {
        let mut bucket = self.bucket.lock().unwrap();
        if cells
            .iter()
            .any(|(cell, expected)| cell.value() != *expected)
        {
            return Woken::Look;
        }
        let outcome = Rc::new(StdCell::new(None));
        bucket.push_back(Sleeper {
            addresses: cells.iter().map(|(cell, _)| cell.address()).collect(),
            until,
            thread: thread::current(),
            outcome: Rc::clone(&outcome),
        });
        self.asleep.set(bucket.len());
        drop(bucket);
        now_asleep();
        // No step of another thread can come between the drop and the park (neither
        // has a branch point before), so the token is never stored while runnable.
        loop {
            thread::park();
            if let Some(outcome) = outcome.get() {
                return outcome;
            }
        }
    }

    pub(super) fn wake(&self, cell: Cell<'_>, count: u32) {
        if self.deaf {
            return;
        }
        let mut bucket = self.bucket.lock().unwrap();
        for _ in 0..count {
            let address = cell.address();
            let Some(first) = bucket
                .iter()
                .position(|sleeper| sleeper.addresses.contains(&address))
            else {
                break;
            };
            let sleeper = bucket.remove(first).expect("position is in the queue");
            self.asleep.set(bucket.len());
            sleeper.resume(Woken::Look);
        }
    }

    /// Time moves on to the next bound: every sleeper with a bound comes back (those
    /// whose bound is later still, for no reason). Answers the new time, or `None` if
    /// nobody sleeps with a bound.
    pub(super) fn time_out(&self) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap();
        let next = bucket
            .iter()
            .map(|sleeper| sleeper.until)
            .filter(|&until| until != u64::MAX)
            .min()?;
        for _ in 0..bucket.len() {
            let sleeper = bucket.pop_front().expect("counted");
            match sleeper.until {
                u64::MAX => bucket.push_back(sleeper),
                until if until <= next => sleeper.resume(Woken::TimedOut),
                _ => sleeper.resume(Woken::Look),
            }
        }
        self.asleep.set(bucket.len());
        Some(next)
    }
}
