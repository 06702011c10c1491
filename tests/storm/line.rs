//! A line of the ledger: the books of one registered runner.
//!
//! Every call that changes what the library counts is bracketed: announced before,
//! confirmed after. A thread killed between the two leaves an *open bracket*: then the
//! call has happened or not, and both are right. Of all others the books are exact.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::{Head, LINES, Ledger};

/// Threads of one runner that keep books.
pub const THREADS: usize = 3;

const PROCESS: usize = 0;
const STATE: usize = 1;
const GENERATION: usize = 2;
const FILE: usize = 3;
const COUNTS: usize = 8;
const COUNT_WORDS: usize = 6;

/// How far a runner has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u64)]
pub enum State {
    Joining = 1,
    /// Refused: it never was a runner.
    Refused = 2,
    Joined = 3,
    /// It left in order, and its threads have ended.
    Closed = 4,
}

/// Of the file that is registered as a resource.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u64)]
pub enum File {
    Created = 1,
    Registered = 2,
    Removed = 3,
}

/// What a thread counts.
#[derive(Clone, Copy)]
pub enum Count {
    /// Before an item is begun.
    Entering = 0,
    /// It was refused.
    Refused = 1,
    Begun = 2,
    /// Before it is finished.
    Leaving = 3,
    Finished = 4,
    /// Odd while it holds a permit.
    Permit = 5,
}

#[derive(Clone, Copy)]
pub struct Line<'a> {
    ledger: &'a Ledger,
    pub index: usize,
}

/// What a line says of its items: how many may be in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub begun: u64,
    pub finished: u64,
    pub least: u64,
    pub most: u64,
}

impl<'a> Line<'a> {
    /// A new line for a process.
    pub fn take(ledger: &'a Ledger, process: usize) -> Self {
        let index = ledger.head(Head::NextLine).fetch_add(1, Ordering::AcqRel) as usize;
        assert!(index < LINES, "a round this long needs a longer ledger");
        let line = Self { ledger, index };
        line.word(PROCESS)
            .store(process as u64 + 1, Ordering::Relaxed);
        line.set_state(State::Joining);
        line
    }

    pub fn at(ledger: &'a Ledger, index: usize) -> Self {
        Self { ledger, index }
    }

    fn word(&self, word: usize) -> &'a AtomicU64 {
        self.ledger.line_word(self.index, word)
    }

    /// The id its runner has.
    pub fn id(&self) -> String {
        format!("r{}", self.index)
    }

    /// `None`: taken by somebody who was killed before it wrote its name.
    pub fn process(&self) -> Option<usize> {
        (self.word(PROCESS).load(Ordering::Acquire) as usize).checked_sub(1)
    }

    pub fn set_state(&self, state: State) {
        self.word(STATE).store(state as u64, Ordering::Release);
    }

    pub fn is(&self, state: State) -> bool {
        self.word(STATE).load(Ordering::Acquire) == state as u64
    }

    pub fn set_generation(&self, generation: u32) {
        self.word(GENERATION)
            .store(generation.into(), Ordering::Release);
    }

    pub fn generation(&self) -> u32 {
        self.word(GENERATION).load(Ordering::Acquire) as u32
    }

    pub fn set_file(&self, file: File) {
        self.word(FILE).store(file as u64, Ordering::Release);
    }

    pub fn file_is(&self, file: File) -> bool {
        self.word(FILE).load(Ordering::Acquire) == file as u64
    }

    pub fn counter(&self, thread: usize, count: Count) -> &'a AtomicU64 {
        assert!(thread < THREADS);
        self.word(COUNTS + thread * COUNT_WORDS + count as usize)
    }

    pub fn add(&self, thread: usize, count: Count) {
        self.counter(thread, count).fetch_add(1, Ordering::AcqRel);
    }

    /// Nothing of it changes any more.
    pub fn is_settled(&self) -> bool {
        self.is(State::Closed)
            || self.is(State::Refused)
            || self
                .process()
                .is_none_or(|process| self.ledger.is_buried(process))
    }

    /// Exact once it is settled.
    pub fn books(&self) -> Books {
        let mut books = Books::default();
        for thread in 0..THREADS {
            let get = |count| self.counter(thread, count).load(Ordering::Acquire);
            let (begun, finished) = (get(Count::Begun), get(Count::Finished));
            books.begun += begun;
            books.finished += finished;
            books.least += begun - get(Count::Leaving);
            books.most += get(Count::Entering) - get(Count::Refused) - finished;
        }
        books
    }

    /// The permit words of all its threads.
    pub fn permits(&self) -> impl Iterator<Item = &'a AtomicU64> {
        let line = *self;
        (0..THREADS).map(move |thread| line.counter(thread, Count::Permit))
    }
}
