//! The ledger: shared memory of the test, in which every process writes down what it does
//! before and after it does it, so that its books outlive it. The library knows nothing
//! of it, and it is no part of the segment: the oracles compare the two.
//!
//! Every word is accessed by plain atomic operations. A process may be killed or stopped
//! between any two of them, so what an oracle concludes must hold whichever of its writes
//! are there and however old its reads are; each oracle's module says why.

pub mod act;
pub mod line;
pub mod process;
pub mod stamp;

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::fault::Faults;
use super::plan::Kind;
use act::ACTS;
use line::LINE_WORDS;
use process::PROCESS_WORDS;

/// Processes and lines of one round.
pub const PROCESSES: usize = 16_384;
pub const LINES: usize = 16_384;
/// Numbers of an event, and commits of the store, that are remembered.
pub const NUMBERS: u64 = 1 << 17;
pub const COMMITS: u64 = 1 << 16;
/// Waits at the barrier, likewise.
pub const MEETINGS: u64 = 1 << 14;

/// Locks of which the ledger shows that one thread holds each at a time.
pub const LOCKS: usize = 3;
pub const BANK_WORDS: usize = 16;
pub const COMMIT_WORDS: usize = 4;

const HEAD: usize = 64;
const BANKS_AT: usize = HEAD;
const ACTS_AT: usize = BANKS_AT + LOCKS * BANK_WORDS;
const PROCESSES_AT: usize = ACTS_AT + ACTS;
const LINES_AT: usize = PROCESSES_AT + PROCESSES * PROCESS_WORDS;
const NUMBERS_AT: usize = LINES_AT + LINES * LINE_WORDS;
const COMMITS_AT: usize = NUMBERS_AT + NUMBERS as usize;
const MEETINGS_AT: usize = COMMITS_AT + COMMITS as usize * COMMIT_WORDS;
const MEETING_WORDS: usize = 3;
/// The file has holes: only what is used takes memory.
const WORDS: usize = MEETINGS_AT + MEETINGS as usize * MEETING_WORDS;

/// Words of the head.
#[derive(Clone, Copy)]
pub enum Head {
    /// Runners do not join again, and end.
    Stop,
    /// All others end.
    StopVisitors,
    NextLine,
    /// Of the plan.
    Kind,
    Parties,
    Closes,
    Faults,
    /// The last generation that is known to have begun.
    Begun,
    /// Until when the group rests, and the generation that does, below it.
    Rest,
    /// The last generation that was seen Complete.
    Complete,
    /// The last generation of which `wait_gone` returned.
    Gone,
    /// The last generation whose books are closed; only then may the next one begin.
    Harvested,
    /// Whose shutdown is to be left alone for a while: process and one.
    Hold,
    /// Joins of joiners that were admitted into the present generation, below its number.
    Admitted,
    /// The last generation of whose shutdown the full terms were read.
    FullTerms,
    Violations,
    /// Things put into the box, and taken out, under its lock.
    Produced,
    Consumed,
    /// Waits at the barrier, and ticks of the counter that orders them.
    Meetings,
    Ticks,
    /// Sets of the event with subscribers: before, and after; the highest number returned.
    Announced,
    Confirmed,
    Newest,
    /// Sets and takes of the event that resets itself, and sets made in place of lost ones.
    Tickets,
    TicketsRenewed,
    /// The highest commit that has returned.
    Committed,
    /// Whether members stop themselves.
    NoStops,
    /// Stops and kills so far.
    Stops,
    Kills,
}

pub struct Ledger {
    map: MmapRaw,
    directory: PathBuf,
}

impl Ledger {
    /// Makes the ledger of a round.
    pub fn create(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("violations")).unwrap();
        let file = std::fs::File::create_new(directory.join("ledger")).unwrap();
        file.set_len((WORDS * 8) as u64).unwrap();
        Self::open(directory)
    }

    pub fn open(directory: &Path) -> Self {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(directory.join("ledger"))
            .unwrap();
        let map = MmapOptions::new().len(WORDS * 8).map_raw(&file).unwrap();
        Self {
            map,
            directory: directory.into(),
        }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS);
        // SAFETY:
        // - within the mapping, which has WORDS words and lives as long as `self`;
        // - aligned, as mappings begin at a page;
        // - nobody accesses it but by atomic operations of this width.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }

    pub fn head(&self, word: Head) -> &AtomicU64 {
        self.word(word as usize)
    }

    pub fn get(&self, word: Head) -> u64 {
        self.head(word).load(Ordering::Acquire)
    }

    pub fn add(&self, word: Head) -> u64 {
        self.head(word).fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn raise(&self, word: Head, to: u64) {
        self.head(word).fetch_max(to, Ordering::AcqRel);
    }

    pub fn kind(&self) -> Kind {
        match self.get(Head::Kind) {
            2 => Kind::Patient,
            3 => Kind::Hammer,
            _ => Kind::Mixed,
        }
    }

    pub fn is_patient(&self) -> bool {
        self.kind() == Kind::Patient
    }

    /// How many of the four modes may be asked for: `Immediate` waits for nobody.
    pub fn modes(&self) -> u64 {
        if self.is_patient() { 3 } else { 4 }
    }

    /// Until when the group rests after this generation: what the first one said.
    pub fn rest_until(&self, generation: u32, until: u64) -> u64 {
        const BITS: u32 = 12;
        let mark = u64::from(generation) & ((1 << BITS) - 1);
        let first = |word: u64| (word & ((1 << BITS) - 1) != mark).then_some(until << BITS | mark);
        let rest = self.head(Head::Rest);
        match rest.fetch_update(Ordering::AcqRel, Ordering::Acquire, first) {
            Ok(_) => until,
            Err(word) => word >> BITS,
        }
    }

    /// A joiner was admitted into this generation.
    pub fn note_admitted(&self, generation: u32) {
        let first = u64::from(generation) << 32;
        self.raise(Head::Admitted, first);
        self.add(Head::Admitted);
    }

    /// How many were so far.
    pub fn admitted(&self, generation: u32) -> u64 {
        let (first, word) = (u64::from(generation) << 32, self.get(Head::Admitted));
        word.saturating_sub(first)
    }

    pub fn parties(&self) -> u64 {
        self.get(Head::Parties)
    }

    pub fn faults(&self) -> Faults {
        Faults::from_bits(self.get(Head::Faults))
    }

    /// A word of the accounts that a lock protects; see `oracle/bank.rs`.
    pub fn bank(&self, lock: usize, word: usize) -> &AtomicU64 {
        assert!(lock < LOCKS && word < BANK_WORDS);
        self.word(BANKS_AT + lock * BANK_WORDS + word)
    }

    /// Whose set has this number; see `oracle/numbers.rs`.
    pub fn number(&self, number: u64) -> Option<&AtomicU64> {
        (number < NUMBERS).then(|| self.word(NUMBERS_AT + number as usize))
    }

    /// A word of the log of commits; see `oracle/store.rs`.
    pub fn commit(&self, commit: u64, word: usize) -> Option<&AtomicU64> {
        assert!(word < COMMIT_WORDS);
        (commit < COMMITS).then(|| self.word(COMMITS_AT + commit as usize * COMMIT_WORDS + word))
    }

    /// The record of a wait; see `oracle/meeting.rs`.
    pub fn meeting(&self, number: u64) -> Option<[&AtomicU64; MEETING_WORDS]> {
        let first = MEETINGS_AT + number as usize * MEETING_WORDS;
        (number < MEETINGS).then(|| core::array::from_fn(|word| self.word(first + word)))
    }

    /// Reports something that must never be: what was seen, by which process, and where
    /// in the test.
    #[track_caller]
    pub fn violate(&self, text: &str) {
        let number = self.add(Head::Violations) - 1;
        let path = self.directory.join("violations").join(number.to_string());
        let (pid, place) = (std::process::id(), Location::caller());
        let text = format!("{text} (seen by pid {pid} at {place})");
        let _ = std::fs::write(path, text);
    }

    /// The same unless it is so.
    #[track_caller]
    pub fn ensure(&self, is_so: bool, text: impl FnOnce() -> String) {
        if !is_so {
            self.violate(&text());
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Those from this number on.
    pub fn violations_from(&self, first: u64) -> impl Iterator<Item = String> {
        let text = |number: u64| {
            let path = self.directory.join("violations").join(number.to_string());
            std::fs::read_to_string(path)
                .unwrap_or_else(|_| "killed while it reported a violation".into())
        };
        (first..self.get(Head::Violations)).map(text)
    }

    /// The first of them.
    pub fn violations(&self) -> Vec<String> {
        self.violations_from(0).take(20).collect()
    }
}

/// A ledger of its own for the test of an oracle.
#[cfg(test)]
pub fn scratch() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(&directory.path().join("ledger"));
    (directory, ledger)
}
