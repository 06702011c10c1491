//! The latch: a value of several words that is read whole while it is written.
//!
//! ```text
//! stamp: u64           how often the value was written; its low bit names the
//!                      version that is current
//! versions: [[u64; WORDS]; 2]
//! ```
//! Write number s + 1 fills version (s + 1) & 1, which nobody is sent to, and then
//! publishes it by one store of the stamp. A plain sequence lock has one version and
//! an odd stamp while it is written, so a writer killed half-way blocks its readers
//! for ever; here that writer leaves the old version current and whole, and the next
//! writer fills the other version again from its first word.
//!
//! # Why a reader is not fooled
//! A reader loads stamp s (acquire: all of write s is visible), copies version
//! s & 1, fences (acquire), and loads the stamp again. Only write s + 2 and later
//! ones touch that version. Write s + 2 begins with a load of the stamp s + 1,
//! published before (program order, or the writer's lock), and then a release fence;
//! so if the reader copied any word of write s + 2, its acquire fence synchronises
//! with that release fence, the store of s + 1 happens before the second load, and
//! the stamps differ. The fence stands *between* "s + 1 is published" and "the first
//! store of write s + 2"; the release of the stamp store does not order later stores.
//!
//! A reader tries a bounded number of times and then says that its copy may be torn:
//! that takes two writes during each copy, every time.
//!
//! One writer at a time is the caller's promise (a lock, or a single owner). Breaking
//! it mixes values; it breaks no memory. Models: `loom_tests/latch.rs`.

use core::array;
use core::sync::atomic::Ordering;

use super::mem::{Mem, Word};
use crate::limits;

/// A value of `WORDS` words with two versions.
#[repr(C)]
pub(crate) struct Latch<M: Mem, const WORDS: usize> {
    /// Relaxed or acquire to load; released by each write.
    stamp: M::U64,
    /// Only through relaxed loads and stores of whole words.
    versions: [[M::U64; WORDS]; 2],
}

/// Whether a copy is one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a copy may be torn"]
pub(crate) enum Copied {
    Whole,
    /// Writers came between on each of `READ_TRIES` tries.
    Torn,
}

impl<M: Mem, const WORDS: usize> Default for Latch<M, WORDS> {
    fn default() -> Self {
        let version = || array::from_fn(|_| M::U64::default());
        Self {
            stamp: M::U64::default(),
            versions: [version(), version()],
        }
    }
}

impl<M: Mem, const WORDS: usize> Latch<M, WORDS> {
    /// Writes a new value; words beyond `words` become zero, words beyond the latch
    /// are dropped. One writer at a time.
    pub(crate) fn write(&self, words: &[u64]) {
        let next = self.stamp.load(Ordering::Relaxed).wrapping_add(1);
        // SYNC POINT latch-reuse (models: loom_tests/latch.rs): pairs with the fence in `read`.
        M::fence(Ordering::Release);
        let given = words.iter().copied().chain(core::iter::repeat(0));
        for (word, value) in self.version(next).iter().zip(given) {
            word.store(value, Ordering::Relaxed);
        }
        // SYNC POINT latch-publish (models: loom_tests/latch.rs): pairs with the load in `read`.
        self.stamp.store(next, Ordering::Release);
    }

    /// Copies the current value into `words`, as far as that reaches.
    pub(crate) fn read(&self, words: &mut [u64]) -> Copied {
        for _ in 0..limits::READ_TRIES {
            // SYNC POINT latch-publish (models: loom_tests/latch.rs): pairs with `write`.
            let stamp = self.stamp.load(Ordering::Acquire);
            for (word, value) in words.iter_mut().zip(self.version(stamp)) {
                *word = value.load(Ordering::Relaxed);
            }
            // SYNC POINT latch-reuse (models: loom_tests/latch.rs): pairs with the fence in `write`.
            M::fence(Ordering::Acquire);
            if self.stamp.load(Ordering::Relaxed) == stamp {
                return Copied::Whole;
            }
            M::relax();
        }
        Copied::Torn
    }

    fn version(&self, stamp: u64) -> &[M::U64; WORDS] {
        match stamp & 1 {
            0 => &self.versions[0],
            _ => &self.versions[1],
        }
    }
}

/// A text in a latch: one word of length, then the bytes, eight to a word. The upper 48 bits
/// of the first word are a mark, which is read together with the text; 0 for none.
#[repr(C)]
pub(crate) struct Text<M: Mem, const WORDS: usize> {
    latch: Latch<M, WORDS>,
}

const BYTES_PER_WORD: usize = size_of::<u64>();
const MARK_SHIFT: u32 = 16;
const LENGTH: u64 = (1 << MARK_SHIFT) - 1;

impl<M: Mem, const WORDS: usize> Default for Text<M, WORDS> {
    fn default() -> Self {
        Self {
            latch: Latch::default(),
        }
    }
}

impl<M: Mem, const WORDS: usize> Text<M, WORDS> {
    /// Bytes it can hold.
    pub(crate) const CAPACITY: usize = (WORDS - 1) * BYTES_PER_WORD;

    /// Writes a text, cut at a character if it is too long. One writer at a time.
    pub(crate) fn write(&self, text: &str) {
        self.write_marked(text, 0);
    }

    /// Writes a text with a mark of up to 48 bits. One writer at a time.
    pub(crate) fn write_marked(&self, text: &str, mark: u64) {
        let bytes = cut(text, Self::CAPACITY).as_bytes();
        let mut words = [0; WORDS];
        words[0] = bytes.len() as u64 | mark << MARK_SHIFT;
        for (word, chunk) in words[1..].iter_mut().zip(bytes.chunks(BYTES_PER_WORD)) {
            let mut raw = [0; BYTES_PER_WORD];
            raw[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(raw);
        }
        self.latch.write(&words);
    }

    /// Reads the text. Whatever bytes another process put there, the answer is a
    /// string of at most the capacity; what is not UTF-8 is replaced.
    pub(crate) fn read(&self) -> (String, Copied) {
        let (text, _, copied) = self.read_marked();
        (text, copied)
    }

    /// Reads the text and its mark, which are of one write unless the copy is torn.
    pub(crate) fn read_marked(&self) -> (String, u64, Copied) {
        let mut words = [0; WORDS];
        // Most texts are empty, and then the length alone is the whole value.
        if self.latch.read(&mut words[..1]) == Copied::Whole && words[0] == 0 {
            return (String::new(), 0, Copied::Whole);
        }
        let copied = self.latch.read(&mut words);
        let length = ((words[0] & LENGTH) as usize).min(Self::CAPACITY);
        let mut bytes = Vec::with_capacity(WORDS * BYTES_PER_WORD);
        for word in &words[1..] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.truncate(length);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (text, words[0] >> MARK_SHIFT, copied)
    }

    /// Whatever words, for tests.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, words: &[u64]) {
        self.latch.write(words);
    }

    /// What no writer writes, if it is that. A text that changes during the read has no fault.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.fault_under(u64::MAX)
    }

    /// The same of a text that may have a mark.
    pub(crate) fn marked_fault(&self) -> Option<&'static str> {
        self.fault_under(LENGTH)
    }

    fn fault_under(&self, length: u64) -> Option<&'static str> {
        let mut words = [0; WORDS];
        if self.latch.read(&mut words) == Copied::Torn {
            return None;
        }
        words[0] &= length;
        let length = usize::try_from(words[0]).unwrap_or(usize::MAX);
        if length > Self::CAPACITY {
            return Some("is longer than its room");
        }
        let bytes: Vec<u8> = words[1..].iter().flat_map(|w| w.to_ne_bytes()).collect();
        let (text, rest) = bytes.split_at(length);
        if rest.iter().any(|byte| *byte != 0) {
            return Some("has something behind its end");
        }
        core::str::from_utf8(text).is_err().then_some("is no text")
    }

    /// Whether the text is exactly this one; no allocation. A torn copy is not.
    pub(crate) fn is(&self, text: &str) -> bool {
        let mut words = [0; WORDS];
        if self.latch.read(&mut words) == Copied::Torn || words[0] != text.len() as u64 {
            return false;
        }
        let bytes = words[1..].iter().flat_map(|word| word.to_ne_bytes());
        text.len() <= Self::CAPACITY && bytes.take(text.len()).eq(text.bytes())
    }
}

/// The longest beginning of `text` that fits `capacity` bytes and ends at a character.
pub(crate) fn cut(text: &str, capacity: usize) -> &str {
    let mut end = text.len().min(capacity);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
