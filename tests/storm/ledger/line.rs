//! A line of the ledger: the books of one registered runner.
//!
//! Every call that changes what the library counts is bracketed: announced before,
//! confirmed after. A thread killed between the two leaves an *open bracket*: then the
//! call has happened or not, and both are right. Of all others the books are exact.
//!
//! The state of a runner is one word, so that one load is a statement that was true at one
//! instant: see [`Status`].

use std::sync::atomic::{AtomicU64, Ordering};

use ebbtide::Phase;

use super::{Head, LINES, LINES_AT, Ledger};

/// Threads of one runner that keep books.
pub const THREADS: usize = 3;
pub const LINE_WORDS: usize = 32;

const PROCESS: usize = 0;
const STATUS: usize = 1;
const FILE: usize = 2;
const FILE_CLEANUPS: usize = 3;
const CACHE: usize = 4;
const CACHE_CLEANUPS: usize = 5;
const DEPENDS_ON: usize = 6;
const RECLAIMED: usize = 7;
const COUNTS: usize = 8;
const COUNT_WORDS: usize = 6;

const FATE: usize = COUNTS + THREADS * COUNT_WORDS;
const HEIR: usize = FATE + 1;
const HEIR_OF: usize = FATE + 2;

const _: () = assert!(HEIR_OF < LINE_WORDS);

/// Set in the process word of one that joins and leaves all the time.
const JOINER: u64 = 1 << 32;

/// How far a runner has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u64)]
pub enum State {
    Joining = 1,
    /// Refused: it never was a runner.
    Refused = 2,
    /// A member, until it writes the next state.
    Joined = 3,
    /// In `run_shutdown`, which leaves by itself when the shutdown is complete.
    Driving = 4,
    /// About to leave: it is a member or not.
    Leaving = 5,
    /// It left in order, and its threads have ended.
    Closed = 6,
}

/// State of a runner, its generation, and the last phase that it has done, in one word. `done`
/// is raised before the phase is acknowledged, `Leaving` is written before leaving.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status(u64);

impl Status {
    const GENERATION_SHIFT: u32 = 16;
    const DONE_SHIFT: u32 = 8;

    fn new(state: State, done: Phase, generation: u32) -> Self {
        let (state, done) = (state as u64, done as u64);
        Self(u64::from(generation) << Self::GENERATION_SHIFT | done << Self::DONE_SHIFT | state)
    }

    pub fn is(self, state: State) -> bool {
        self.0 & 0xff == state as u64
    }

    pub fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION_SHIFT) as u32
    }

    pub fn done(self) -> u64 {
        self.0 >> Self::DONE_SHIFT & 0xff
    }

    /// Registered, and not about to leave, as `run_shutdown` is after every phase is done.
    pub fn is_member(self, is_patient: bool) -> bool {
        let is_done = self.done() >= Phase::Closing as u64;
        self.is(State::Joined) || self.is(State::Driving) && is_patient && !is_done
    }

    /// Registered, whether or not it has begun to leave.
    pub fn has_joined(self) -> bool {
        [State::Joined, State::Driving, State::Leaving]
            .into_iter()
            .any(|state| self.is(state))
    }
}

/// Of the file that is registered as a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum File {
    Created = 1,
    Registered = 2,
    Removed = 3,
}

/// Of the resource that depends on a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Cache {
    Registered = 1,
    Cleaning = 2,
    Cleaned = 3,
}

/// What a runner did to itself; written down before it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Fate {
    /// A handler panics or a cleanup fails.
    Flawed = 1,
    /// It goes away while a shutdown waits for it.
    Parted = 2,
    /// It acknowledges by hand and runs no handlers.
    ByHand = 4,
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
    pub ledger: &'a Ledger,
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
        let index = ledger.add(Head::NextLine) as usize - 1;
        assert!(index < LINES, "a round this long needs a longer ledger");
        let line = Self { ledger, index };
        line.word(PROCESS)
            .store(process as u64 + 1, Ordering::Release);
        line.set_state(State::Joining);
        line
    }

    /// A line that is used for one registration after the other, and keeps no books.
    pub fn take_as_joiner(ledger: &'a Ledger, process: usize) -> Self {
        let line = Self::take(ledger, process);
        line.word(PROCESS).fetch_or(JOINER, Ordering::AcqRel);
        line
    }

    pub fn at(ledger: &'a Ledger, index: usize) -> Self {
        Self { ledger, index }
    }

    fn word(&self, word: usize) -> &'a AtomicU64 {
        assert!(self.index < LINES && word < LINE_WORDS);
        self.ledger.word(LINES_AT + self.index * LINE_WORDS + word)
    }

    pub fn is_joiner(&self) -> bool {
        self.word(PROCESS).load(Ordering::Acquire) & JOINER != 0
    }

    /// The id its runner has.
    pub fn id(&self) -> String {
        let kind = if self.is_joiner() { 'j' } else { 'r' };
        format!("{kind}{}", self.heir_of().unwrap_or(self.index))
    }

    pub fn set_fate(&self, fate: Fate) {
        self.word(FATE).fetch_or(fate as u64, Ordering::AcqRel);
    }

    pub fn has_fate(&self, fate: Fate) -> bool {
        self.word(FATE).load(Ordering::Acquire) & fate as u64 != 0
    }

    /// The line whose id its runner has.
    pub fn heir_of(&self) -> Option<usize> {
        (self.word(HEIR_OF).load(Ordering::Acquire) as usize).checked_sub(1)
    }

    /// The line of the runner that takes its id.
    pub fn heir(&self) -> Option<Line<'a>> {
        let heir = (self.word(HEIR).load(Ordering::Acquire) as usize).checked_sub(1)?;
        Some(Line::at(self.ledger, heir))
    }

    /// Takes the id of a runner that was killed, if nobody else has.
    pub fn inherit(&self, from: Line<'_>) -> bool {
        let is_free = !from.is_joiner()
            && from.heir_of().is_none()
            && from.status().has_joined()
            && from.process().is_some_and(|it| self.ledger.has_ended(it));
        let me = self.index as u64 + 1;
        let heir = from.word(HEIR);
        let is_mine = is_free
            && heir
                .compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if is_mine {
            let from = from.index as u64 + 1;
            self.word(HEIR_OF).store(from, Ordering::Release);
        }
        is_mine
    }

    /// The line of an id; the first, if another took it over.
    pub fn of(ledger: &'a Ledger, id: &str) -> Option<Self> {
        let index = id.strip_prefix(['r', 'j'])?.parse().ok()?;
        (index < ledger.lines()).then(|| Self::at(ledger, index))
    }

    /// `None`: taken by a process that was killed before it wrote its name.
    pub fn process(&self) -> Option<usize> {
        let word = self.word(PROCESS).load(Ordering::Acquire) & !JOINER;
        (word as usize).checked_sub(1)
    }

    /// Its process was sent a signal that may end it.
    pub fn may_be_dead(&self) -> bool {
        self.process().is_none_or(|it| self.ledger.is_doomed(it))
    }

    /// For a report.
    pub fn who(&self) -> String {
        match self.process() {
            Some(process) => format!("{} of {}", self.id(), self.ledger.describe(process)),
            None => format!("{} of no process", self.id()),
        }
    }

    pub fn status(&self) -> Status {
        Status(self.word(STATUS).load(Ordering::Acquire))
    }

    fn change(&self, change: impl Fn(Status) -> Status) {
        let update = |word| Some(change(Status(word)).0);
        let _ = self
            .word(STATUS)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    /// In another state, with nothing done.
    pub fn set_state(&self, state: State) {
        self.change(|old| Status::new(state, Phase::Running, old.generation()));
    }

    pub fn set_joined(&self, generation: u32) {
        self.change(|_| Status::new(State::Joined, Phase::Running, generation));
    }

    /// Before a phase is acknowledged.
    pub fn set_done(&self, phase: Phase) {
        self.change(|old| {
            let done = (phase as u64) << Status::DONE_SHIFT;
            match old.done() < phase as u64 {
                true => Status(old.0 & !(0xff << Status::DONE_SHIFT) | done),
                false => old,
            }
        });
    }

    pub fn is(&self, state: State) -> bool {
        self.status().is(state)
    }

    pub fn generation(&self) -> u32 {
        self.status().generation()
    }

    pub fn set_file(&self, file: File) {
        self.word(FILE).store(file as u64, Ordering::Release);
    }

    pub fn file_is(&self, file: File) -> bool {
        self.word(FILE).load(Ordering::Acquire) == file as u64
    }

    /// Starts of the cleanup of its file, and of its cache.
    pub fn file_cleanups(&self) -> &'a AtomicU64 {
        self.word(FILE_CLEANUPS)
    }

    pub fn cache_cleanups(&self) -> &'a AtomicU64 {
        self.word(CACHE_CLEANUPS)
    }

    /// Its registration has returned. Its cleanup may have begun by now.
    pub fn register_cache(&self) {
        let registered = Cache::Registered as u64;
        let _ =
            self.word(CACHE)
                .compare_exchange(0, registered, Ordering::AcqRel, Ordering::Acquire);
    }

    pub fn set_cache(&self, cache: Cache) {
        self.word(CACHE).store(cache as u64, Ordering::Release);
    }

    pub fn cache_is(&self, cache: Cache) -> bool {
        self.word(CACHE).load(Ordering::Acquire) == cache as u64
    }

    /// The line whose file its cache depends on, besides its own.
    pub fn set_depends_on(&self, other: Option<usize>) {
        let other = other.map_or(0, |other| other as u64 + 1);
        self.word(DEPENDS_ON).store(other, Ordering::Release);
    }

    pub fn depends_on(&self) -> Option<usize> {
        (self.word(DEPENDS_ON).load(Ordering::Acquire) as usize).checked_sub(1)
    }

    /// How often its file was reported as reclaimed.
    pub fn reclaims(&self) -> &'a AtomicU64 {
        self.word(RECLAIMED)
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
            || self.process().is_none_or(|it| self.ledger.has_ended(it))
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

    /// Whether an item was in flight all the time between the two loads made here: begun
    /// by the first, and not about to be finished by the second.
    pub fn is_working(&self) -> bool {
        (0..THREADS).any(|thread| {
            let get = |count| self.counter(thread, count).load(Ordering::Acquire);
            let begun = get(Count::Begun);
            begun > get(Count::Leaving)
        })
    }

    /// The permit words of all its threads.
    pub fn permits(self) -> impl Iterator<Item = &'a AtomicU64> {
        (0..THREADS).map(move |thread| self.counter(thread, Count::Permit))
    }
}

impl Ledger {
    /// How many lines are taken.
    pub fn lines(&self) -> usize {
        (self.get(Head::NextLine) as usize).min(LINES)
    }

    pub fn all_lines(&self) -> impl Iterator<Item = Line<'_>> {
        (0..self.lines()).map(|index| Line::at(self, index))
    }
}
