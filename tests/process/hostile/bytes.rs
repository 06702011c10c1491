//! What is written, and where.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ebbtide::Liveness;
use ebbtide::limits::MAX_THREADS;

pub const HEADER: usize = 4096;
const LINE: usize = 64;
/// A thread slot: the area of its life word, and a line of its own word.
const THREAD_SLOT: usize = 2 * LINE;

/// A small generator of pseudo-random numbers (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A word of a kind that tables are made of, or of none.
    pub fn word(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => self.next() % 8,
            2 => self.next() & 0xffff,
            3 => u64::MAX,
            4 => 1 << self.below(64),
            _ => 0,
        }
    }
}

/// The body of a segment, to be written to through a descriptor of its own.
pub struct Body {
    file: File,
    length: usize,
    /// Where the area of the first thread slot's life word is; `None`: nobody is attached, or
    /// only such as have none.
    first_life: Option<usize>,
}

impl Body {
    /// Of a segment to which nobody is attached.
    pub fn of_nobody(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.unwrap();
        let length = file.metadata().unwrap().len() as usize;
        Self {
            file,
            length,
            first_life: None,
        }
    }

    /// Of a segment that this process made with life words and nobody has written to yet.
    pub fn of_ours(path: &Path) -> Self {
        let mut body = Self::of_nobody(path);
        // Forced on all: then there are no life words to be spared.
        let is_portable = std::env::var_os("EBBTIDE_LIVENESS").is_some_and(|how| how == "portable");
        body.first_life = (!is_portable).then(|| body.find_first_life());
        body
    }

    /// The same of a segment that is used on this back end: the portable one has no life
    /// words to be spared.
    pub fn of_users(path: &Path, liveness: Liveness) -> Self {
        match liveness {
            Liveness::Portable => Self::of_nobody(path),
            _ => Self::of_ours(path),
        }
    }

    /// The same segment, opened by another process that was told [`Self::first_life`].
    pub fn of_others(path: &Path, first_life: Option<usize>) -> Self {
        let mut body = Self::of_nobody(path);
        body.first_life = first_life;
        body
    }

    pub fn first_life(&self) -> Option<usize> {
        self.first_life
    }

    /// The first cache line that begins with the id of a thread of this process. The
    /// first thread of a new segment has the first slot.
    fn find_first_life(&self) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let ids: Vec<u32> = tasks
            .flatten()
            .filter_map(|task| task.file_name().to_str()?.parse().ok())
            .collect();
        let bytes = self.read();
        let is_life = |line: &usize| {
            // The C library keeps the word first or second.
            bytes[*line..line + 8].chunks_exact(4).any(|word| {
                let word = u32::from_le_bytes(word.try_into().unwrap());
                ids.contains(&(word & 0x3fff_ffff))
            })
        };
        // Its own line follows: live, of the first process, generation 0.
        let own = (1_u64 << 2 | 2).to_le_bytes();
        let mut lines = (HEADER..self.length - THREAD_SLOT).step_by(LINE);
        lines
            .find(|line| is_life(line) && bytes[line + LINE..line + LINE + 8] == own)
            .expect("the keeper's life word, so this needs life words")
    }

    fn is_spared(&self, at: usize) -> bool {
        self.first_life.is_some_and(|first| {
            let behind = at.wrapping_sub(first);
            behind < MAX_THREADS * THREAD_SLOT && behind % THREAD_SLOT < LINE
        })
    }

    /// What the C library keeps in the first two thread slots.
    pub fn lives(&self) -> Option<[Vec<u8>; 2]> {
        let bytes = self.read();
        let life = |slot| self.first_life.map(|first| first + slot * THREAD_SLOT);
        let of = |slot| life(slot).map(|at| bytes[at..at + LINE].to_vec());
        Some([of(0)?, of(1)?])
    }

    /// Has all thread slots say that they are free, where it is known where they are.
    pub fn free_threads(&self) {
        let Some(first) = self.first_life else { return };
        for slot in 0..MAX_THREADS {
            let own = first + slot * THREAD_SLOT + LINE;
            self.put((own - HEADER) / 8, 0);
        }
    }

    pub fn words(&self) -> usize {
        (self.length - HEADER) / 8
    }

    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Overwrites one word of the body, unless it is spared.
    pub fn put(&self, word: usize, value: u64) {
        let at = HEADER + word % self.words() * 8;
        if !self.is_spared(at) {
            self.file
                .write_all_at(&value.to_ne_bytes(), at as u64)
                .unwrap();
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut begin = HEADER;
        // In pieces, so that the spared lines are not even rewritten.
        for line in (HEADER..self.length).step_by(LINE) {
            if self.is_spared(line) {
                self.file
                    .write_all_at(&bytes[begin..line], begin as u64)
                    .unwrap();
                begin = line + LINE;
            }
        }
        self.file
            .write_all_at(&bytes[begin..], begin as u64)
            .unwrap();
    }

    /// Overwrites it in one of several ways.
    pub fn scribble(&self, random: &mut Random) {
        let mut bytes = self.read();
        let body = &mut bytes[HEADER..];
        match random.below(6) {
            // Everything.
            0 => body
                .chunks_exact_mut(8)
                .for_each(|word| word.copy_from_slice(&random.next().to_le_bytes())),
            1 => body
                .chunks_exact_mut(8)
                .for_each(|word| word.copy_from_slice(&random.word().to_le_bytes())),
            2 => body.fill([0xff, 0x55, 0x01][random.below(3)]),
            // Some words.
            3 => {
                for _ in 0..body.len() / 8 / 50 {
                    let at = random.below(body.len() / 8) * 8;
                    body[at..at + 8].copy_from_slice(&random.word().to_le_bytes());
                }
            }
            // What is true at one place, at another.
            4 => {
                for _ in 0..40 {
                    let size = 8 << random.below(12);
                    let from = random.below((body.len() - size) / 8) * 8;
                    let to = random.below((body.len() - size) / 8) * 8;
                    body.copy_within(from..from + size, to);
                }
            }
            // Single bits, where anything is written at all.
            _ => {
                let used: Vec<usize> = (0..body.len()).filter(|at| body[*at] != 0).collect();
                for _ in 0..(used.len() / 20).max(8) {
                    let at = match used.len() {
                        0 => random.below(body.len()),
                        some => used[random.below(some)],
                    };
                    body[at] ^= 1 << random.below(8);
                }
            }
        }
        self.write(&bytes);
    }

    /// Writes words over what is used, or anywhere, for as long as it is asked to.
    pub fn disturb(&self, random: &mut Random, goes_on: impl Fn() -> bool) {
        while goes_on() {
            let bytes = self.read();
            let is_used = |word: &usize| bytes[HEADER + word * 8..][..8] != [0; 8];
            let used: Vec<usize> = (0..self.words()).filter(is_used).collect();
            for _ in 0..2000 {
                let word = match random.below(4) {
                    0 => random.below(self.words()),
                    _ if used.is_empty() => 0,
                    // A little beside it, too.
                    _ => used[random.below(used.len())] + random.below(3),
                };
                self.put(word, random.word());
            }
        }
    }
}
