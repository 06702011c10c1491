//! The ledger: shared memory of the test, in which every process writes down what it does
//! before and after it does it, so that its books outlive it. The library knows nothing
//! of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Processes and lines of one round.
pub const PROCESSES: usize = 16_384;
pub const LINES: usize = 16_384;

/// Locks of which the ledger proves that one thread holds them at a time.
pub const LOCKS: usize = 3;
const LOCK_WORDS: usize = 4;
/// Deeds that are counted, see [`Deed`].
pub const DEEDS: usize = Deed::ALL.len();

const HEAD: usize = 16;
const LOCKS_AT: usize = HEAD;
const DEEDS_AT: usize = LOCKS_AT + LOCKS * LOCK_WORDS;
const DEAD_AT: usize = DEEDS_AT + DEEDS;
const LINES_AT: usize = DEAD_AT + PROCESSES;
pub const LINE_WORDS: usize = 32;
const WORDS: usize = LINES_AT + LINES * LINE_WORDS;

/// Words of the head.
#[derive(Clone, Copy)]
pub enum Head {
    /// Runners do not join again, and end.
    Stop,
    /// Initiators and reapers end.
    StopVisitors,
    NextLine,
    /// The last generation whose books are closed; only then may the next one begin.
    Harvested,
    Violations,
    /// Things put into the box, and taken out, under its lock.
    Produced,
    Consumed,
    /// Of the barrier.
    Arrived,
    Passed,
    Led,
    /// Claims of the event that resets itself.
    Claimed,
}

/// What has been done how often, for the table.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Work,
    Lock,
    Takeover,
    Condvar,
    Permit,
    Barrier,
    Broken,
    Event,
    Commit,
    Snapshot,
    Resource,
    Shutdown,
    Cancel,
    Escalate,
    Extend,
    Generation,
    Reap,
    Deadlock,
    Join,
    Leave,
}

impl Deed {
    pub const ALL: [Self; 20] = [
        Self::Work,
        Self::Lock,
        Self::Takeover,
        Self::Condvar,
        Self::Permit,
        Self::Barrier,
        Self::Broken,
        Self::Event,
        Self::Commit,
        Self::Snapshot,
        Self::Resource,
        Self::Shutdown,
        Self::Cancel,
        Self::Escalate,
        Self::Extend,
        Self::Generation,
        Self::Reap,
        Self::Deadlock,
        Self::Join,
        Self::Leave,
    ];
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

    pub fn count(&self, deed: Deed) {
        self.word(DEEDS_AT + deed as usize)
            .fetch_add(1, Ordering::Relaxed);
    }

    pub fn counted(&self, deed: Deed) -> u64 {
        self.word(DEEDS_AT + deed as usize).load(Ordering::Relaxed)
    }

    /// One of the four words that a lock protects: its owner, and two that are equal
    /// whenever nobody holds it.
    pub fn guarded(&self, lock: usize, word: usize) -> &AtomicU64 {
        assert!(lock < LOCKS && word < LOCK_WORDS);
        self.word(LOCKS_AT + lock * LOCK_WORDS + word)
    }

    /// A word of a line; see `line.rs`.
    pub fn line_word(&self, line: usize, word: usize) -> &AtomicU64 {
        assert!(line < LINES && word < LINE_WORDS);
        self.word(LINES_AT + line * LINE_WORDS + word)
    }

    pub fn lines(&self) -> usize {
        (self.get(Head::NextLine) as usize).min(LINES)
    }

    /// The parent has waited for this process: none of its instructions runs any more.
    pub fn bury(&self, process: usize) {
        self.word(DEAD_AT + process).store(1, Ordering::Release);
    }

    pub fn is_buried(&self, process: usize) -> bool {
        self.word(DEAD_AT + process).load(Ordering::Acquire) != 0
    }

    /// Something that must never be was seen.
    pub fn violate(&self, text: &str) {
        let number = self.head(Head::Violations).fetch_add(1, Ordering::AcqRel);
        let path = self.directory.join("violations").join(number.to_string());
        let _ = std::fs::write(path, format!("process {}: {text}", std::process::id()));
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn violations(&self) -> Vec<String> {
        let count = self.get(Head::Violations);
        let text = |number: u64| {
            let path = self.directory.join("violations").join(number.to_string());
            std::fs::read_to_string(path).unwrap_or_else(|_| "killed while it told".into())
        };
        (0..count).take(20).map(text).collect()
    }
}
