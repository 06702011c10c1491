//! The words that the benchmark's own processes share: orders, raw contenders, stamps.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};

use crate::Fallible;
use crate::peer::raw_sync;
use crate::peer::shared_map::SharedMap;
use crate::raw::futex;
use crate::raw::pthread;

/// Most processes that fit.
pub const MOST: usize = 512;

/// The longest sleep of an ebbtide waiter.
const BOUND_NANOS: u64 = 1_000_000_000;

/// A value with its own cache lines.
#[repr(C, align(128))]
pub struct Line<T>(pub T);

/// The shared page; all zero at first.
#[repr(C)]
pub struct Page {
    /// `round << 16 | what it is with << 8 | task`.
    order: Line<AtomicU32>,
    /// How many have got ready for a round, over all rounds.
    pub ready: Line<Tally>,
    /// How many are through with a round, over all rounds.
    pub done: Line<Tally>,
    /// The raw one-word broadcast: all sleep until it moves.
    pub told: Line<AtomicU32>,
    /// These never move: further words to sleep on.
    quiet: Line<AtomicU32>,
    still: Line<AtomicU32>,
    /// Moves when those who work until told otherwise are to stop.
    pub stop: Line<AtomicU32>,
    pub barrier: Line<Barrier>,
    pub lock: Line<futex::Lock>,
    pub robust: Line<pthread::Mutex>,
    pub condition: Line<pthread::Condition>,
    pub pthread_barrier: Line<pthread::Barrier>,
    pub raw_event: Line<raw_sync::Area>,
    pub raw_mutex: Line<raw_sync::Area>,
    /// When each process saw the end of what it waited for, or how much it did.
    stamps: [Line<AtomicU64>; MOST],
    pub map: Line<SharedMap>,
}

/// Counts arrivals and tells the parent of the last.
pub struct Tally(AtomicU32);

impl Tally {
    /// Counts one in; wakes the parent when that makes `all`.
    pub fn arrive(&self, all: u32) {
        if self.0.fetch_add(1, Ordering::AcqRel).wrapping_add(1) == all {
            futex::wake_all(&self.0);
        }
    }

    /// Sleeps until `all` have arrived, for at most `limit`; whether they have.
    pub fn wait(&self, all: u32, limit: Duration) -> bool {
        let now = self.0.load(Ordering::Acquire);
        if now != all {
            futex::wait(&self.0, now, Some(limit));
        }
        self.0.load(Ordering::Acquire) == all
    }
}

/// A sense-reversing barrier: the classic one, by a counter and a futex word.
pub struct Barrier {
    arrived: AtomicU32,
    _line: Line<()>,
    /// Moves by one at each passing.
    sense: AtomicU32,
    passed: AtomicU64,
}

impl Barrier {
    pub fn sense(&self) -> u32 {
        self.sense.load(Ordering::Acquire)
    }

    /// When it was passed the last time.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }

    /// Arrives and waits for the others, `all` in number, by `sleep` on a word's value.
    pub fn pass(&self, all: u32, sleep: impl Fn(&AtomicU32, u32)) {
        let sense = self.sense();
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == all {
            self.arrived.store(0, Ordering::Relaxed);
            self.passed.store(futex::now(), Ordering::Relaxed);
            self.sense.store(sense.wrapping_add(1), Ordering::Release);
            futex::wake_all(&self.sense);
        } else {
            self.watch(sense.wrapping_add(1), sleep);
        }
    }

    /// Waits for a sense to come, without taking part.
    pub fn watch(&self, coming: u32, sleep: impl Fn(&AtomicU32, u32)) {
        loop {
            let sense = self.sense();
            if sense == coming {
                return;
            }
            sleep(&self.sense, sense);
        }
    }
}

impl Page {
    /// Makes the objects that zero is no good for; by the parent, before it has children.
    pub fn make(&self, all: usize) {
        self.robust.0.make(true);
        self.condition.0.make();
        self.pthread_barrier.0.make(all as u32);
        self.map.0.make();
    }

    /// Sleeps while a word holds a value.
    pub fn sleep(&self, word: &AtomicU32, expected: u32) {
        futex::wait(word, expected, None);
    }

    /// The same with futex_waitv, as an ebbtide waiter sleeps: on a second word, too, and
    /// for 1 s at most.
    pub fn sleep_on_two(&self, word: &AtomicU32, expected: u32) {
        let words = [(word, expected), (&self.quiet.0, 0)];
        futex::wait_any(words, futex::now() + BOUND_NANOS);
    }

    /// The same on two more words, as a runner does who has done its part of a phase.
    pub fn sleep_on_three(&self, word: &AtomicU32, expected: u32) {
        let words = [(word, expected), (&self.quiet.0, 0), (&self.still.0, 0)];
        futex::wait_any(words, futex::now() + BOUND_NANOS);
    }

    /// Tells all who sleep on the raw word.
    pub fn tell(&self) {
        self.told.0.fetch_add(1, Ordering::AcqRel);
        futex::wake_all(&self.told.0);
    }

    /// Gives an order; rounds are numbered from 1, and repeat after 65536.
    pub fn give(&self, round: u32, order: u16) {
        let word = round << 16 | u32::from(order);
        self.order.0.store(word, Ordering::Release);
        futex::wake_all(&self.order.0);
    }

    /// Sleeps until there is an order for a round after `round`.
    pub fn next(&self, round: u32) -> u16 {
        loop {
            let word = self.order.0.load(Ordering::Acquire);
            if word >> 16 != round & 0xffff {
                return word as u16;
            }
            futex::wait(&self.order.0, word, None);
        }
    }

    /// Records that process `index` has seen the end, now.
    pub fn stamp(&self, index: usize) {
        self.note(index, futex::now());
    }

    /// Records a number of process `index`.
    pub fn note(&self, index: usize, number: u64) {
        self.stamps[index].0.store(number, Ordering::Release);
    }

    /// What the first `all` processes have recorded.
    pub fn notes(&self, all: usize) -> impl Iterator<Item = u64> {
        let stamps = self.stamps[..all].iter();
        stamps.map(|stamp| stamp.0.load(Ordering::Acquire))
    }

    /// When the last of `all` processes saw the end.
    pub fn last(&self, all: usize) -> u64 {
        self.notes(all).max().unwrap_or(0)
    }
}

/// The page, mapped.
pub struct Mapped(MmapRaw);

impl Mapped {
    pub fn create(path: &Path) -> Fallible<Self> {
        File::create_new(path)?.set_len(size_of::<Page>() as u64)?;
        Self::open(path)
    }

    pub fn open(path: &Path) -> Fallible<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let map = MmapOptions::new().len(size_of::<Page>()).map_raw(&file)?;
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY:
        // - the mapping is page-aligned, as large as a Page, writable, and lives as long
        //   as `self`; nobody shortens the file;
        // - a Page is atomics, and cells that are reached through their own rules: all
        //   bytes are valid, and others may change them.
        unsafe { &*self.0.as_mut_ptr().cast::<Page>() }
    }
}
